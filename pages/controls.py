"""The controls of Distill: the whole chain as one spec, made of the registries, bound to the address."""

from typing import Any

import streamlit as st

from kdlib.analysis import teacher_report
from kdlib.checks import default_spec
from kdlib.data import datasets
from kdlib.models import students
from kdlib.models.teachers import compatible_teachers, get_teacher
from kdlib.spec import DATASET_DEPENDENT, DEEP_STUDENTS, RunSpec
from kdlib.training.augmentation import compatible_augmentations
from pages import registries

PRESETS: dict[str, dict[str, Any]] = {  # what a click sets; everything else goes back to its default
    "Default": {},
    "Few labels": {"labels": 200},
    "Only 4 numbers": {"dim": 4},
    "Irrelevant teacher": {"teacher": "background"},
    "Untrained teacher": {"teacher": "random"},
    "Sounds": {"dataset": "tones"},
    "Several labels an item": {"dataset": "mixtures"},
}
DEFAULT = RunSpec()
FIELDS = (
    "dataset",
    "labels",
    "teacher",
    "pooling",
    "dim",
    "loss",
    "distance_weight",
    "soft_label_weight",
    "temperature",
    "student",
    "width",
    "depth",
    "augmentation",
)
FIELDS += ("epochs", "batch_size", "lr", "seeds")
METHODS = ["baseline", "raw", DEFAULT.method]


def apply_preset(values: dict[str, Any]) -> None:
    """Set every control: to these values, and what they leave out to what suits the dataset."""
    spec = default_spec(values.get("dataset", DEFAULT.dataset)).replace(**values)
    for name in FIELDS:
        st.session_state[name] = getattr(spec, name)
    st.session_state["methods"] = METHODS


def follow_dataset() -> None:
    """Let the other controls follow the dataset: if the teacher does not fit it, what depends on it is set anew.

    A teacher that has not been asked about imported data does not fit them.
    """
    spec, teacher = default_spec(st.session_state["dataset"]), st.session_state.get("teacher")
    fits = teacher in compatible_teachers(spec.dataset)
    if not fits or (spec.dataset not in datasets.DATASETS and not teacher_report.cached(teacher, spec.dataset)):
        for name in DATASET_DEPENDENT:
            st.session_state[name] = getattr(spec, name)
    available = datasets.load(spec.dataset).labelled_rows
    st.session_state["labels"] = min(st.session_state.get("labels", spec.labels), available)


def spec_controls() -> tuple[RunSpec, list[str]]:
    """Show every control; return the spec they make, and the methods to compare."""
    with st.container(horizontal=True, gap="small"):
        for name, values in PRESETS.items():
            st.button(name, key=f"preset-{name}", on_click=apply_preset, args=(values,))
    methods = st.multiselect(
        "Methods to compare",
        list(registries.describe("methods")),
        METHODS,
        key="methods",
        help=registries.markdown_list("methods"),
        bind="query-params",
    )
    dataset = registries.select_entry("Dataset", "datasets", "dataset", DEFAULT.dataset, on_change=follow_dataset)
    default = default_spec(dataset)
    spec = _student_controls(_teacher_controls(RunSpec(dataset=dataset), default), default)
    with st.expander("Training and soft labels"):
        return _soft_label_controls(_training_controls(spec, default)), methods


def _teacher_controls(spec: RunSpec, default: RunSpec) -> RunSpec:
    """Show what the teacher gives and how the student is pulled towards it; return the spec with that."""
    teacher = registries.select_entry(
        "Teacher", "teachers", "teacher", default.teacher, compatible_teachers(spec.dataset)
    )
    pooling = DEFAULT.pooling
    if teacher and get_teacher(teacher).frames:
        pooling = registries.select_entry("Pooling of its frames", "poolings", "pooling", DEFAULT.pooling)
    dim = st.select_slider(
        "Dimension of the compressed embedding",
        [1, 2, 4, 8, 16, 32, 64, 128, 256],
        default.dim,
        key="dim",
        help="How many numbers the compressor keeps of each embedding.",
        bind="query-params",
    )
    loss = registries.select_entry("Distance loss", "losses", "loss", DEFAULT.loss)
    weight = st.slider(
        "Weight λ of the distance",
        0.0,
        1.0,
        default.distance_weight,
        0.05,
        key="distance_weight",
        help="λ: 0 = learn from the labels alone, 1 = only be like the teacher.",
        bind="query-params",
    )
    return spec.replace(teacher=teacher, pooling=pooling, dim=dim, loss=loss, distance_weight=weight)


def _student_controls(spec: RunSpec, default: RunSpec) -> RunSpec:
    """Show who learns, from how many labels and how often; return the spec with that."""
    item_shape = datasets.load(spec.dataset).inputs.shape[1:]
    student = registries.select_entry(
        "Student", "students", "student", default.student, students.compatible_students(item_shape)
    )
    width = st.select_slider(
        "Student width",
        [2, 3, 4, 6, 8, 12, 16, 24, 32],
        default.width,
        key="width",
        help="The student's size dial: parameters grow with its square.",
        bind="query-params",
    )
    depth = DEFAULT.depth
    if student in DEEP_STUDENTS:
        depth = st.slider(
            "Student depth",
            1,
            6,
            DEFAULT.depth,
            key="depth",
            help="Blocks in each of the student's stages.",
            bind="query-params",
        )
    labels = st.number_input(
        "Labels",
        2,
        10_000,
        default.labels,
        50,
        key="labels",
        help="How many training items keep their label.",
        bind="query-params",
    )
    seeds = st.slider(
        "Seeds",
        1,
        20,
        DEFAULT.seeds,
        key="seeds",
        help="How often each method is trained, from different random beginnings: more seeds, narrower intervals.",
        bind="query-params",
    )
    return spec.replace(student=student, width=width, depth=depth, labels=labels, seeds=seeds)


def _training_controls(spec: RunSpec, default: RunSpec) -> RunSpec:
    """Show how a student is trained; return the spec with that."""
    augmentation = registries.select_entry(
        "Augmentation",
        "augmentations",
        "augmentation",
        DEFAULT.augmentation,
        compatible_augmentations(datasets.load(spec.dataset).modality),
    )
    epochs = st.number_input(
        "Epochs", 1, 500, default.epochs, key="epochs", help="Passes over the labelled items.", bind="query-params"
    )
    batch_size = st.number_input(
        "Batch size", 2, 1024, DEFAULT.batch_size, key="batch_size", help="Items per step.", bind="query-params"
    )
    lr = st.number_input(
        "Learning rate",
        1e-5,
        1.0,
        default.lr,
        format="%.5f",
        key="lr",
        help="The peak of its schedule.",
        bind="query-params",
    )
    return spec.replace(augmentation=augmentation, epochs=epochs, batch_size=batch_size, lr=lr)


def _soft_label_controls(spec: RunSpec) -> RunSpec:
    """Show the soft labels; return the spec with them."""
    soft_label_weight = st.slider(
        "Soft labels",
        0.0,
        2.0,
        DEFAULT.soft_label_weight,
        0.1,
        key="soft_label_weight",
        help="How much the student also learns from the probabilities of the teacher's head; 0 = not at all.",
        bind="query-params",
    )
    temperature = st.slider(
        "Temperature",
        1.0,
        10.0,
        DEFAULT.temperature,
        0.5,
        key="temperature",
        help="Higher: the soft labels say more about which wrong classes are nearly right.",
        bind="query-params",
    )
    return spec.replace(soft_label_weight=soft_label_weight, temperature=temperature)
