"""The controls of Distill that not every chain has: a second teacher, an attribute, projectors, soft labels."""

from collections.abc import Sequence

import streamlit as st

from kdlib.checks import removable_attributes
from kdlib.data import datasets
from kdlib.models.teachers import get_teacher
from kdlib.names import MIXINGS, teacher_name
from kdlib.spec import POINTWISE, REMOVING, TEACHER_MIXINGS, RunSpec, grid_values
from pages import address, registries

DEFAULT = RunSpec()


def select_second_teacher(first: str, names: Sequence[str]) -> str:
    """Show who teaches beside the first teacher, where somebody can; return its name, "" for nobody."""
    others = [name for name in names if name != first and not get_teacher(name).frames]
    if not first or not others or get_teacher(first).frames:
        return ""
    if st.session_state.get("second_teacher") not in others:
        asked = address.read_choice("second_teacher", others)
        st.session_state["second_teacher"] = asked[0] if asked else None
    chosen = st.selectbox(
        "Second teacher",
        others,
        key="second_teacher",
        index=None,
        placeholder="none",
        format_func=teacher_name,
        help="Both teach at once, each at the same scale.",
    )
    address.write_choice("second_teacher", [chosen] if chosen else [], [])
    return chosen or ""


def select_mixing(teachers: int) -> str:
    """Show how several teachers teach together, where there are several; return its name."""
    key, default = "teacher_mixing", DEFAULT.teacher_mixing
    if teachers == 1:
        address.write_choice(key, [], [])
        return default
    if key not in st.session_state:
        st.session_state[key] = next(iter(address.read_choice(key, list(TEACHER_MIXINGS))), default)
    helps = "\n".join(f"- **{MIXINGS[name]}**: {line}" for name, line in TEACHER_MIXINGS.items())
    shown = st.segmented_control(
        "Two teachers",
        list(TEACHER_MIXINGS),
        required=True,
        key=key,
        format_func=lambda name: MIXINGS[name].capitalize(),
        help=f"{helps}\n\nWith one distance each, each teacher gets half of the compressed numbers.",
    )
    chosen = shown or default
    address.write_choice(key, [chosen], [default])
    return chosen


def select_attribute(spec: RunSpec, methods: Sequence[str]) -> RunSpec:
    """Show which attribute is removed, where a method removes one; return the spec with it."""
    names = removable_attributes(datasets.load(spec.dataset)) if set(methods) & set(REMOVING) else []
    if not names:
        return spec
    if st.session_state.get("attribute", names[0]) not in names:  # of another dataset
        st.session_state["attribute"] = names[0]
    attribute = st.selectbox(
        "Attribute to remove",
        names,
        key="attribute",
        help="The compressor learns that nobody can read it from the compressed embedding with a linear probe.",
        bind="query-params",
    )
    return spec.replace(attribute=attribute)


def show_matching(spec: RunSpec) -> RunSpec:
    """Show what stands between student features and target; return the spec with it."""
    projector = DEFAULT.projector
    if spec.loss in POINTWISE:
        projector = registries.select_entry("Projector", "projectors", "projector", DEFAULT.projector)
    normaliser = registries.select_entry(
        "Target normaliser", "target-normalisers", "target_normaliser", DEFAULT.target_normaliser
    )
    return spec.replace(projector=projector, target_normaliser=normaliser)


def show_soft_labels(spec: RunSpec, in_grid: bool) -> RunSpec:
    """Show the soft labels, whose weight a grid sets elsewhere; return the spec with them."""
    soft_label_weight = st.slider(
        "Soft labels",
        0.0,
        2.0,
        grid_values(DEFAULT.soft_label_weight)[0],
        0.1,
        key="soft_label_weight",
        help="How much the student also learns from the probabilities of the teacher's head; 0 = not at all.",
        disabled=in_grid,
        bind="query-params",
    )
    soft_label_loss = DEFAULT.soft_label_loss
    if soft_label_weight or in_grid:
        soft_label_loss = registries.select_entry(
            "Loss of the soft labels", "soft-label-losses", "soft_label_loss", DEFAULT.soft_label_loss
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
    return spec.replace(soft_label_weight=soft_label_weight, soft_label_loss=soft_label_loss, temperature=temperature)
