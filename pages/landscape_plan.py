"""The landscape mode of Distill: two settings with their values, what all of it costs, one button, and what came out.

Everything else is as the controls beside it say. Values of λ, learning rate and soft labels train as one population.
"""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from kdlib import engine, planning, runs
from kdlib.analysis.landscape import axis_name
from kdlib.analysis.rounds import Repetition, expected_specs
from kdlib.analysis.subsets import with_subsets
from kdlib.data import datasets
from kdlib.models import students
from kdlib.models.teachers import compatible_teachers
from kdlib.runs import sweeps
from kdlib.spec import RunSpec
from kdlib.store import CANCELLED, DONE, FAILED, RunInfo
from pages import address, landscape_section, registries, rounds_section, run_tables, show
from pages.text import escape
from pages.values import number_values

MODE = "Landscape"
NONE = "nothing else"
NUMBERS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {  # axis -> values at first, further ones offered
    "dim": ((2, 4, 8, 16, 32), (1, 64, 128, 256)),
    "distance_weight": ((0.25, 0.5, 0.75, 0.9), (0, 0.1, 0.6, 0.95, 1)),
    "labels": ((50, 100, 300, 1000), (20, 200, 500, 2000)),
    "width": ((3, 4, 8, 12), (2, 6, 16, 24)),
    "lr": ((0.003, 0.01, 0.03), (0.001, 0.1)),
    "soft_label_weight": ((0, 0.5, 1), (0.25, 2)),
    "epochs": ((10, 30, 100), (5, 20, 60)),
}
NAMES = {"teacher": "teachers", "student": "students", "loss": "losses"}  # axis -> registry of its values
AXES = (*NUMBERS, *NAMES)
MAX_RUNS = 200  # of a landscape
RECENT = 500  # runs among which those of a landscape are looked for; a launch looks at all of them


def show_mode(
    spec: RunSpec, methods: Sequence[str], repetition: Repetition, errors: Sequence[str], usual_workers: int
) -> None:
    """Show what plans and launches a landscape.

    Args:
        spec: decides every other field.
        methods: to be compared.
        repetition: of which the labelled subsets count.
        errors: what is wrong with them before any axis is chosen.
        usual_workers: of an engine that has yet to start.
    """
    axes = _choose_axes(spec)
    st.caption(
        "A run for each value, with students of its own for every seed. Values of λ, learning rate and soft labels "
        "train together in one run, which tests the one that is best on validation."
    )
    if repetition.half_width:
        st.caption("A landscape adds no seeds: every run has those that are set beside it.")
    draws = Repetition(repetition.subsets)
    specs: list[RunSpec] = []
    if all(axes.values()) and not errors:
        specs = sweeps.expand(spec, {"method": list(methods)} | axes, grid=True)
        errors = _find_errors(expected_specs(specs, draws))
    with st.container(horizontal=True, vertical_alignment="center"):
        ready = bool(specs) and not errors
        pressed = st.button(
            "Launch", type="primary", icon=":material/grid_on:", disabled=not ready, key="launch-landscape"
        )
        name = show.launch_name()
        show.code_behind_button(planning.sweep_as_code(spec, methods, axes, draws))
        if ready:
            _show_cost(expected_specs(specs, draws), usual_workers)
    for error in errors:
        st.error(escape(error), icon=":material/block:")
    if pressed:
        if draws.in_rounds(specs):
            address.launch_rounds(specs, draws, name)
        else:
            address.launch_sweep(with_subsets(specs, draws.subsets), name)
        st.rerun()


def draw_runs() -> list[RunInfo]:
    """Show how far the selected runs are, what ends or resumes them, and their landscape so far; return them."""
    infos = address.load_runs(address.selected_ids())
    if not landscape_section.has_landscape(infos):
        show.empty("Nothing launched yet: choose settings and values above and press **Launch**. Cells fill in, live.")
        return infos
    rounds_section.show_line(infos)
    active = [run for run in infos if run.active]
    stopped = [run for run in infos if run.state in (CANCELLED, FAILED)]
    if active:
        run_tables.show_progress(infos)
    else:  # as high as while they train: the landscape stays where it is
        done = len(infos) - len(stopped)
        st.progress(
            done / len(infos), f"{done} of {len(infos)} runs are done" if stopped else f"All {done} runs are done"
        )
    with st.container(horizontal=True, vertical_alignment="center"):
        if active and st.button("Cancel all", icon=":material/stop_circle:", key="cancel"):
            for run in active:
                runs.cancel(run.id)
        words = f"Resume {len(stopped)} that {'was' if len(stopped) == 1 else 'were'} stopped"
        if stopped and st.button(words, icon=":material/resume:", key="resume"):
            for run in stopped:
                runs.resume(run.id)
            st.rerun()
        query = address.query(infos) | {"show": "Landscape"}
        st.page_link("pages/compare.py", label="Open in Compare", icon=":material/bar_chart:", query_params=query)
    landscape_section.show_landscape(infos, [each for each in address.load_results(infos) if each.metrics])
    return infos


def _choose_axes(spec: RunSpec) -> dict[str, list[Any]]:
    """Show the boxes of one or two settings and of their values; return axis -> values."""
    first = _axis_row("Over", "axis", list(AXES), "dim", spec)
    others = [NONE, *(name for name in AXES if name not in first)]
    default = "distance_weight" if "distance_weight" not in first else "dim"
    return first | _axis_row("and over", "axis2", others, default, spec)


def _axis_row(label: str, key: str, axes: Sequence[str], default: str, spec: RunSpec) -> dict[str, list[Any]]:
    left, right = st.columns([2, 3], vertical_alignment="top")
    if st.session_state.get(key) not in (None, *axes):
        del st.session_state[key]
    if asked := address.read_choice(key, axes):
        st.session_state[key] = asked[0]
    with left:
        place = 0 if key in st.session_state else axes.index(default)
        axis = st.selectbox(label, axes, index=place, key=key, format_func=axis_name)
        address.write_choice(key, [axis], [default])
    if axis == NONE:
        return {}
    with right:
        return {axis: _values(axis, spec)}


def _values(axis: str, spec: RunSpec) -> list[Any]:
    """Show the box of an axis' values; return those that are chosen."""
    if axis in NAMES:
        fitting = {
            "teacher": lambda: compatible_teachers(spec.dataset),
            "student": lambda: students.compatible_students(datasets.load(spec.dataset).inputs.shape[1:]),
        }
        names = fitting[axis]() if axis in fitting else list(registries.describe(NAMES[axis]))
        plain = registries.PLAIN_NAMES.get(NAMES[axis], str)
        return st.multiselect("Values", names, [getattr(spec, axis)], key=f"values-{axis}", format_func=plain)
    first, further = NUMBERS[axis]
    if axis == "labels":
        available = datasets.load(spec.dataset).labelled_rows
        first = tuple(sorted({*(each for each in first if each < available), min(available, max(first))}))
        further = (*(each for each in further if each < available), available)
    return number_values("Values", f"values-{axis}", first, further, type(getattr(RunSpec, axis)))


def _find_errors(specs: Sequence[RunSpec]) -> list[str]:
    if len(specs) > MAX_RUNS:
        return [f"a landscape may have up to {MAX_RUNS} runs, got {len(specs)}: give fewer values"]
    return planning.find_errors(specs)


def _show_cost(specs: Sequence[RunSpec], usual_workers: int) -> None:
    """Show how many runs a landscape is, how many are there already, and how long the rest will take."""
    past = runs.list_runs(limit=RECENT)
    there = {run.spec.identity for run in past if run.active or run.state == DONE}
    missing = [spec for spec in specs if spec.identity not in there]
    settings = sum(spec.cell_count for spec in specs)
    words = f"{len(specs)} runs" + (f", {settings} settings" if settings > len(specs) else "")
    there_already = len(specs) - len(missing)
    words += f", {there_already if missing else 'all'} there already" if there_already else ""
    st.markdown(words, width="content")
    if missing:
        workers = engine.status().workers or usual_workers
        show.launch_time(planning.estimate_cost(missing, [run for run in past if run.state == DONE], workers))
