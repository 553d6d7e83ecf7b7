"""The controls of Distill: the whole chain as one spec, made of the registries, bound to the address.

Each part of the chain is a group, one line while it is closed: its name and, in words, what is set in it.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import streamlit as st

from kdlib import planning
from kdlib.analysis import teacher_report
from kdlib.analysis.rounds import Repetition
from kdlib.checks import default_spec
from kdlib.data import datasets
from kdlib.models import students
from kdlib.models.teachers import compatible_teachers, get_teacher
from kdlib.names import AXES, MIXINGS, TEACHERS
from kdlib.names import METHODS as METHOD_NAMES
from kdlib.spec import (
    BASELINE,
    DATASET_DEPENDENT,
    DEEP_STUDENTS,
    GRID_FIELDS,
    RAW,
    RunSpec,
    grid_values,
    teacher_parts,
)
from kdlib.training.augmentation import compatible_augmentations
from pages import method_controls, registries, repetition_controls
from pages.text import escape
from pages.values import number_values

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
GROUPS: dict[str, tuple[str, ...]] = {  # part of the chain -> what is set in it
    "What": ("dataset", "labels", "methods"),
    "Teacher": ("teacher", "second_teacher", "teacher_mixing", "pooling"),
    "Compression": (
        "dim",
        "attribute",
        "loss",
        "projector",
        "target_normaliser",
        "distance_weight",
        "soft_label_weight",
        "soft_label_loss",
        "temperature",
    ),
    "Student": ("student", "width", "depth"),
    "Training": ("augmentation", "epochs", "batch_size", "lr", "seeds", *repetition_controls.KEYS),
}
NO_FIELDS = ("methods", "second_teacher", *repetition_controls.KEYS)
FIELDS = tuple(name for names in GROUPS.values() for name in names if name not in NO_FIELDS)
METHODS = ["baseline", "raw", DEFAULT.method]
OPENED = "opened-groups"
GRID = "grid"  # key of the switch that lets some fields have several values
GRID_OFFERS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {  # field -> values at first, further ones
    "distance_weight": ((0.25, 0.5, 0.75, 0.9), (0, 0.1, 0.6, 0.85, 0.95, 1)),
    "lr": ((), (0.001, 0.003, 0.01, 0.03, 0.1)),
    "soft_label_weight": ((), (0, 0.25, 0.5, 1, 2)),
}


def apply_preset(values: dict[str, Any]) -> None:
    """Set every control: to these values, and what they leave out to what suits the dataset."""
    spec = default_spec(values.get("dataset", DEFAULT.dataset)).replace(**values)
    for name in FIELDS:
        st.session_state[name] = getattr(spec, name)
    st.session_state["methods"], st.session_state[GRID], st.session_state["second_teacher"] = METHODS, False, None
    repetition_controls.reset()


def query(spec: RunSpec, references: Sequence[str]) -> dict[str, str | list[str]]:
    """Return the part of an address that sets every control to a spec, its method beside some others."""
    values: dict[str, str | list[str]] = {name: str(grid_values(getattr(spec, name))[0]) for name in FIELDS}
    values = {name: value for name, value in values.items() if value}
    values["teacher"], *others = teacher_parts(spec.teacher)
    if others:
        values["second_teacher"] = others[0]
    if spec.grid:
        grid = {f"grid-{name}": [f"{each:g}" for each in grid_values(getattr(spec, name))] for name in GRID_FIELDS}
        values |= {GRID: "true"} | grid
    return values | {"methods": list(dict.fromkeys([*references, spec.method]))}


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


def preset_control() -> None:
    """Show what sets every control at once."""

    def apply() -> None:
        name = st.session_state["preset"]
        if name is not None:
            apply_preset(PRESETS[name])
            st.session_state["preset"] = None  # from here on any control may change

    st.selectbox(
        "Start from a preset",
        list(PRESETS),
        index=None,
        key="preset",
        placeholder="Start from a preset",
        label_visibility="collapsed",
        on_change=apply,
    )


def spec_controls() -> tuple[RunSpec, list[str], Repetition]:
    """Show every control; return the spec they make, the methods to compare, and how often."""
    if OPENED not in st.session_state or "dataset" not in st.session_state:  # somebody comes: what a link sets is open
        st.session_state[OPENED] = {group for group, names in GROUPS.items() if set(names) & set(st.query_params)}
    with st.container(key="controls", gap="xsmall"):
        spec, default, methods = _what_controls()
        spec = _compression_controls(_teacher_controls(spec, default), default, methods)
        spec, repetition = _training_controls(_student_controls(spec, default), default)
        return spec, methods, repetition


@contextmanager
def _group(name: str) -> Iterator[Callable[[str], Any]]:
    """Show what is drawn inside as one group; yield what writes on its line, in words, what is set in it."""
    frame = st.container(key=f"group-{name.lower()}", gap=None)
    with frame.expander(name, expanded=name in st.session_state[OPENED]):
        yield lambda words: frame.caption(escape(words))


def _what_controls() -> tuple[RunSpec, RunSpec, list[str]]:
    """Show which question is asked; return the spec so far, the default for the dataset, and the methods to compare."""
    with _group("What") as say:
        dataset = registries.select_entry("Dataset", "datasets", "dataset", DEFAULT.dataset, on_change=follow_dataset)
        default = default_spec(dataset)
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
        methods = registries.select_entries(
            "Methods to compare", "methods", "methods", METHODS, help=registries.markdown_list("methods")
        )
        say(f"{dataset}, {labels:,} labels, {len(methods)} method{'' if len(methods) == 1 else 's'}")
    return RunSpec(dataset=dataset, labels=labels), default, methods


def _teacher_controls(spec: RunSpec, default: RunSpec) -> RunSpec:
    """Show who teaches; return the spec with that."""
    with _group("Teacher") as say:
        names = compatible_teachers(spec.dataset)
        teacher = registries.select_entry("Teacher", "teachers", "teacher", default.teacher, names)
        pooling = DEFAULT.pooling
        second = method_controls.select_second_teacher(teacher, names)
        if second:
            teacher = f"{teacher}+{second}"
        elif teacher and get_teacher(teacher).frames:
            pooling = registries.select_entry("Pooling of its frames", "poolings", "pooling", DEFAULT.pooling)
        mixing = method_controls.select_mixing(len(teacher_parts(teacher)))
        spec = spec.replace(teacher=teacher, pooling=pooling, teacher_mixing=mixing)
        say(_describe_teacher(spec))
    return spec


def _describe_teacher(spec: RunSpec) -> str:
    """Return the teacher of a spec in words: its name, and what is known of it."""
    teacher = spec.teacher
    if not teacher:
        return "none yet"
    if len(teacher_parts(teacher)) > 1:
        parts = " and ".join(TEACHERS.get(part, part) for part in teacher_parts(teacher))
        return f"{parts}, {MIXINGS[spec.teacher_mixing]}"
    report = teacher_report.cached(teacher, spec.dataset)
    if not isinstance(report, teacher_report.TeacherReport):
        return TEACHERS.get(teacher, teacher)
    known = report.target.for_labels(spec.labels).accuracy
    return f"{TEACHERS.get(teacher, teacher)}, {report.width} wide, knows {100 * known:.0f} %"


def _compression_controls(spec: RunSpec, default: RunSpec, methods: Sequence[str]) -> RunSpec:
    """Show what is kept of the teacher and how the student is pulled towards it; return the spec with that."""
    with _group("Compression") as say:
        dim = st.select_slider(
            "Dimension of the compressed embedding",
            [1, 2, 4, 8, 16, 32, 64, 128, 256],
            default.dim,
            key="dim",
            help="How many numbers the compressor keeps of each embedding.",
            bind="query-params",
        )
        spec = method_controls.select_attribute(spec.replace(dim=dim), methods)
        loss = registries.select_entry("Distance loss", "losses", "loss", DEFAULT.loss)
        spec = method_controls.show_matching(spec.replace(loss=loss))
        weight = st.slider(
            "Weight λ of the distance",
            0.0,
            1.0,
            grid_values(default.distance_weight)[0],
            0.05,
            key="distance_weight",
            help="λ: 0 = learn from the labels alone, 1 = only be like the teacher.",
            disabled=_grid_is_on(),
            bind="query-params",
        )
        spec = method_controls.show_soft_labels(spec.replace(distance_weight=weight), _grid_is_on())
        compressors = [method for method in methods if method not in (BASELINE, RAW)]
        soft = f", soft labels {spec.soft_label_weight:g}" if spec.soft_label_weight else ""
        kept = f"{', '.join(METHOD_NAMES.get(name, name) for name in compressors)} to {dim}" if compressors else "none"
        through = "" if spec.projector == DEFAULT.projector else f" through {spec.projector}"
        kept += f", without {spec.attribute}" if spec.attribute else ""
        shown = "in a grid" if _grid_is_on() else f"{weight:g}"
        say(f"{kept}, λ {shown}, {loss.replace('_', ' ')}{through}{soft}")
    return spec


def _student_controls(spec: RunSpec, default: RunSpec) -> RunSpec:
    """Show who learns; return the spec with that."""
    with _group("Student") as say:
        names = students.compatible_students(datasets.load(spec.dataset).inputs.shape[1:])
        student = registries.select_entry("Student", "students", "student", default.student, names)
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
        spec = spec.replace(student=student, width=width, depth=depth)
        deep = f", depth {depth}" if student in DEEP_STUDENTS else ""
        say(f"{student}, width {width}{deep}, {planning.student_size(spec)[0]:,} parameters")
    return spec


def _training_controls(spec: RunSpec, default: RunSpec) -> tuple[RunSpec, Repetition]:
    """Show how a student is trained and how often; return the spec with that, and what is repeated beside its seeds."""
    with _group("Training") as say:
        seeds = st.slider(
            "Seeds",
            1,
            20,
            DEFAULT.seeds,
            key="seeds",
            help="How often each method is trained, from different random beginnings: more seeds, narrower intervals.",
            bind="query-params",
        )
        repetition = repetition_controls.show(seeds)
        names = compatible_augmentations(datasets.load(spec.dataset).modality)
        augmentation = registries.select_entry(
            "Augmentation", "augmentations", "augmentation", DEFAULT.augmentation, names
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
            grid_values(default.lr)[0],
            format="%.5f",
            key="lr",
            help="The peak of its schedule.",
            disabled=_grid_is_on(),
            bind="query-params",
        )
        spec = spec.replace(augmentation=augmentation, epochs=epochs, batch_size=batch_size, lr=lr, seeds=seeds)
        spec = _grid_controls(spec)
        spec = spec.replace(tune=0 if _grid_is_on() else repetition_controls.show_tuning())
        varied = "" if augmentation == DEFAULT.augmentation else f", {augmentation}"
        varied += f", tuned with {spec.tune} trials each" if spec.tune else ""
        varied += f", {spec.cell_count} settings" if spec.cell_count > 1 else ""
        often = repetition_controls.describe(seeds, repetition)
        say(f"{often}, {epochs} epochs of batches of {batch_size}{varied}")
    return spec, repetition


def _grid_is_on() -> bool:
    return st.session_state.get(GRID, st.query_params.get(GRID) == "true")


def _grid_controls(spec: RunSpec) -> RunSpec:
    """Show the switch that lets some fields have several values, and these; return the spec with them."""
    text = (
        "Trains every combination of the values below with every seed, all of them at once. The setting that is best "
        "on validation is tested, and no other."
    )
    if not st.toggle("Grid: several values of λ, learning rate, soft labels", key=GRID, help=text, bind="query-params"):
        return spec
    values = {}
    for name, (first, further) in GRID_OFFERS.items():
        at_first = first or grid_values(getattr(spec, name))
        label = AXES[name][0].upper() + AXES[name][1:]
        values[name] = number_values(label, f"grid-{name}", at_first, further, float) or getattr(spec, name)
    return spec.replace(**values)
