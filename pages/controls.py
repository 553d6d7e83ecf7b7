"""The controls of Distill: the whole chain as one spec, made of the registries, bound to the address."""

import streamlit as st

from kdlib.checks import default_spec
from kdlib.data import datasets
from kdlib.models import students
from kdlib.models.teachers import compatible_teachers
from kdlib.spec import DATASET_DEPENDENT, RunSpec
from pages import registries

PRESETS = {  # what a click sets; everything else goes back to its default
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
    "dim",
    "loss",
    "distance_weight",
    "soft_label_weight",
    "temperature",
    "student",
    "width",
)
FIELDS += ("epochs", "batch_size", "lr", "seeds")
METHODS = ["baseline", "raw", DEFAULT.method]


def apply_preset(values: dict) -> None:
    """Set every control: as usual for the dataset, but for these values."""
    spec = default_spec(values.get("dataset", DEFAULT.dataset)).replace(**values)
    for name in FIELDS:
        st.session_state[name] = getattr(spec, name)
    st.session_state["methods"] = METHODS


def follow_dataset() -> None:
    """Let what depends on the dataset follow it: all of it goes to what is usual, if the teacher does not fit."""
    spec = default_spec(st.session_state["dataset"])
    if st.session_state.get("teacher") not in compatible_teachers(spec.dataset):
        for name in DATASET_DEPENDENT:
            st.session_state[name] = getattr(spec, name)
    there = datasets.load(spec.dataset).labelled_rows
    st.session_state["labels"] = min(st.session_state.get("labels", spec.labels), there)


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
    teacher = registries.select_entry("Teacher", "teachers", "teacher", default.teacher, compatible_teachers(dataset))
    dims = [1, 2, 4, 8, 16, 32, 64, 128, 256]
    told = "How many numbers the compressor keeps of each embedding."
    dim = st.select_slider(
        "Dimension of the compressed embedding", dims, default.dim, key="dim", help=told, bind="query-params"
    )
    loss = registries.select_entry("Distance loss", "losses", "loss", DEFAULT.loss)
    told = "λ: 0 = learn from the labels alone, 1 = only be like the teacher."
    weight = st.slider(
        "Weight λ of the distance",
        0.0,
        1.0,
        default.distance_weight,
        0.05,
        key="distance_weight",
        help=told,
        bind="query-params",
    )
    student = registries.select_entry(
        "Student",
        "students",
        "student",
        default.student,
        students.compatible_students(datasets.load(dataset).inputs.shape[1:]),
    )
    told = "The student's size dial: parameters grow with its square."
    width = st.select_slider(
        "Student width", [2, 3, 4, 6, 8, 12, 16, 24, 32], default.width, key="width", help=told, bind="query-params"
    )
    told = "How many training items keep their label."
    labels = st.number_input("Labels", 2, 10_000, default.labels, 50, key="labels", help=told, bind="query-params")
    told = "How often each method is trained, from different random beginnings: more seeds, narrower intervals."
    seeds = st.slider("Seeds", 1, 20, DEFAULT.seeds, key="seeds", help=told, bind="query-params")
    with st.expander("Training and soft labels"):
        epochs = st.number_input(
            "Epochs", 1, 500, default.epochs, key="epochs", help="Passes over the labelled items.", bind="query-params"
        )
        batch = st.number_input(
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
        told = "How much the student also learns from the probabilities of the teacher's head; 0 = not at all."
        soft = st.slider(
            "Soft labels",
            0.0,
            2.0,
            DEFAULT.soft_label_weight,
            0.1,
            key="soft_label_weight",
            help=told,
            bind="query-params",
        )
        told = "Higher: the soft labels say more about which wrong classes are nearly right."
        temperature = st.slider(
            "Temperature", 1.0, 10.0, DEFAULT.temperature, 0.5, key="temperature", help=told, bind="query-params"
        )
    return RunSpec(
        dataset=dataset, labels=labels, teacher=teacher, dim=dim, loss=loss, distance_weight=weight, soft_label_weight=soft,
        temperature=temperature, student=student, width=width, epochs=epochs, batch_size=batch, lr=lr, seeds=seeds,
    ), methods  # fmt: skip
