"""Distill: set the whole chain, see what it will cost, launch several methods as one comparison and watch them.

Or step through it: one training, batch by batch (`step_mode`); or launch a whole landscape (`landscape_plan`).
"""

import time
from collections.abc import Sequence

import streamlit as st

from kdlib import engine, planning, runs
from kdlib.analysis import frames, teacher_report
from kdlib.analysis.figures.curves import plot_curves
from kdlib.analysis.rounds import Repetition
from kdlib.analysis.subsets import with_subsets
from kdlib.analysis.teacher_report import TargetProbe, TeacherReport
from kdlib.analysis.verdicts import verdict
from kdlib.data import datasets
from kdlib.models import embedding
from kdlib.names import teacher_name
from kdlib.results import Point
from kdlib.spec import BASELINE, RunSpec, teacher_parts
from kdlib.store import RunInfo
from pages import (
    address,
    chain,
    controls,
    items,
    landscape_plan,
    live,
    repetition_controls,
    rounds_section,
    run_tables,
    show,
    step_mode,
)
from pages.text import escape

TRAIN, STEP = "Train", step_mode.STEP_MODE
NO_BREAK = "\u00a0"
USUAL_WORKERS = 3  # of a local engine that has yet to start, at least
CURVE_HEIGHT = 198  # pixels: with all the rest it fits a screen of 900
CURVES = {
    "val": "Validation score",
    "prediction": "Prediction loss",
    "distance": "Distance loss",
    "teacher": "Teacher loss",
    "gradient_cosine": "Gradient cosine",
}


def planned_specs(spec: RunSpec, methods: Sequence[str]) -> list[RunSpec]:
    """Return what a launch compares: every method as it is set, and where methods are tuned first, also tuned."""
    given = [spec.replace(method=method, tune=0) for method in methods]
    return given + ([spec.replace(method=method) for method in methods] if spec.tune else [])


def find_errors(specs: Sequence[RunSpec], repetition: Repetition) -> list[str]:
    """Return why specs cannot be run as often as is asked for, each reason once."""
    if not specs:
        return ["choose at least one method to compare"]
    return planning.find_errors([*specs, *with_subsets([spec.replace(tune=0) for spec in specs], repetition.subsets)])


def launch(specs: Sequence[RunSpec], repetition: Repetition, name: str) -> None:
    """Launch specs and select their runs: one comparison, of which later rounds launch themselves where there are."""
    if repetition.in_rounds(specs):
        address.launch_rounds(specs, repetition, name)
    elif any(spec.tune for spec in specs):
        address.launch_sweep(specs, name)
    else:
        address.launch(with_subsets(specs, repetition.subsets), name=name)


def show_plan(spec: RunSpec, methods: Sequence[str], repetition: Repetition, errors: Sequence[str]) -> None:
    """Show the button, what a launch costs and what speaks against it, and the same thing as code."""
    specs = planned_specs(spec, methods)
    with st.container(horizontal=True, vertical_alignment="center"):
        pressed = st.button("Launch", type="primary", icon=":material/play_arrow:", disabled=bool(errors), key="launch")
        name = show.launch_name()
        show.code_behind_button(planning.as_code(spec, methods, repetition))
        past = [] if errors else runs.list_runs(limit=200, states=["done"])
        if not errors:
            st.markdown(repetition_controls.count_runs(specs, repetition), width="content")
            workers = engine.status().workers or USUAL_WORKERS
            show.launch_time(planning.estimate_repeated(specs, repetition, past, workers))
    if pressed:
        launch(specs, repetition, name)
        st.rerun()
    with st.container(key="notices", gap="xsmall"):
        show_notices(spec, methods, repetition, errors, past)


def show_notices(
    spec: RunSpec, methods: Sequence[str], repetition: Repetition, errors: Sequence[str], past: Sequence[RunInfo]
) -> None:
    """Show why a launch is not possible, or what should be known before it."""
    taught = any(method != BASELINE for method in methods)
    if taught and not spec.teacher:
        st.info(
            "No teacher has been asked about these data yet: embed one on Data & teachers, or choose one here.",
            icon=":material/school:",
        )
        ask_link(spec.dataset, "Embed a teacher")
        return
    for error in errors:
        st.error(escape(error), icon=":material/block:")
    if not errors:
        target = show_knowledge(spec) if taught else None
        specs = [spec.replace(method=method) for method in methods]
        for warning in planning.find_warnings(specs, target, past, repetition):
            st.warning(escape(warning), icon=":material/lightbulb:")


def show_knowledge(spec: RunSpec) -> TargetProbe | None:
    """Show what is known of the teacher and the target before anything is trained; return it, if any."""
    report, name = teacher_report.cached(spec.teacher, spec.dataset), escape(teacher_name(spec.teacher))
    if isinstance(report, TeacherReport):
        target = report.target.for_labels(spec.labels)
        st.info(f"**{name}**: {escape(target.describe()).replace(' %', NO_BREAK + '%')}.", icon=":material/school:")
        return target
    if len(teacher_parts(spec.teacher)) > 1:
        return None
    done, rows = embedding.count_embedded(spec.teacher, spec.dataset)
    first = "" if done == rows else f" A launch embeds {rows - done:,} items first."
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
        st.info(f"Nobody has asked **{name}** yet what it knows of this target.{first}", icon=":material/school:")
        ask_link(spec.dataset, "Ask it on Data & teachers")
    return None


def ask_link(dataset: str, label: str) -> None:
    """Show the way to where teachers are asked."""
    st.page_link("pages/data_teachers.py", label=label, icon=":material/help:", query_params={"dataset": dataset})


def draw_runs() -> list[RunInfo]:
    """Show state, curves and outcome of the selected runs; return them."""
    infos = address.load_runs(address.selected_ids())
    if not infos:
        show.empty("Nothing launched yet: choose what to compare and press **Launch**. Its curves appear here, live.")
        return infos
    methods, histories = rounds_section.combine(infos)
    names = frames.run_labels([run.spec for run in methods])
    with st.container(key="came-out"):  # as high as what comes out: the curves stay where they are
        if any(run.active for run in infos):
            show_training(infos)
        else:
            show_outcome(infos)
        run_tables.state_line(methods, names)
    show_curves(methods, histories, names)
    return infos


def show_training(infos: Sequence[RunInfo]) -> None:
    """Show how far runs are, and what ends them."""
    share = sum(run.progress for run in infos) / len(infos)
    st.progress(share, text=f"Training: {run_tables.remaining_time(infos, time.time())}")
    rounds_section.show_line(infos)
    if st.button("Cancel", icon=":material/stop_circle:", key="cancel"):
        for run in infos:
            if run.active:
                runs.cancel(run.id)


def show_outcome(infos: Sequence[RunInfo]) -> None:
    """Show in one sentence what came out, if all runs are done, and where to look closer."""
    results = address.load_results(infos)
    if len(results) < len(infos):
        return
    rounds_section.show_line(infos)
    st.info(escape(verdict(address.load_pooled(infos))), icon=":material/flag:")
    with st.container(horizontal=True):
        for page, label, icon in (
            ("pages/compare.py", "Compare in every detail", "bar_chart"),
            ("pages/embeddings.py", "See the spaces", "scatter_plot"),
        ):
            st.page_link(page, label=label, icon=f":material/{icon}:", query_params=address.query(infos))


def show_curves(infos: Sequence[RunInfo], histories: Sequence[Sequence[Point]], names: Sequence[str]) -> None:
    """Show a curve of each method over the epochs, which one is chosen above it."""
    specs = [run.spec for run in infos]
    roles = dict(zip(names, map(frames.method_role, specs), strict=True))
    curve = st.segmented_control(
        "Curve",
        list(CURVES),
        default="val",
        required=True,
        key="curve",
        format_func=CURVES.__getitem__,
        label_visibility="collapsed",
        bind="query-params",
    )
    points = frames.curves(specs, histories, names)
    epochs = max(spec.epochs for spec in specs)
    figure = plot_curves(points, curve, epochs, roles, frames.metric_label(specs)).update_layout(height=CURVE_HEIGHT)
    show.figure(figure, f"curve-{curve}", CURVES[curve])
    st.caption("Lines are the mean over the seeds, bands reach from the lowest to the highest of them.")


def show_chain(spec: RunSpec, methods: Sequence[str], errors: Sequence[str]) -> None:
    """Show the chain with the numbers that are set."""
    taught, data = any(method != BASELINE for method in methods), datasets.load(spec.dataset)
    widths, parameters = (0, 0), 0
    if not errors:
        cost = planning.estimate_cost([spec.replace(method=method) for method in methods])
        widths, parameters = (cost.teacher_width if taught else 0, cost.compressed_width or 0), cost.parameters
    item = f"{items.source(data)}{data.splits['test'][0]}"
    chain.show_controls(spec, methods, widths, parameters, item)


def main() -> None:
    """Show the chain, its controls beside what comes of them, and let it be launched or gone through step by step."""
    with st.container(horizontal=True, vertical_alignment="center", key="head"):
        st.title("Distill")
        mode = st.segmented_control(
            "Mode",
            [TRAIN, STEP, landscape_plan.MODE],
            default=TRAIN,
            required=True,
            key="mode",
            label_visibility="collapsed",
            bind="query-params",
        )
        controls.preset_control()
    picture = st.container()
    left, right = st.columns([1, 2], gap="medium")
    with left:
        spec, methods, repetition = controls.spec_controls()
    errors = find_errors(planned_specs(spec, methods), repetition)
    with picture:
        show_chain(spec, methods, errors)
    with right:
        if mode == STEP:
            step_mode.show(spec.cells[0].replace(tune=0), methods, errors)  # a step has one setting
        elif mode == landscape_plan.MODE:
            landscape_plan.show_mode(spec.replace(tune=0), methods, repetition, errors, USUAL_WORKERS)
            live.draw_while_active(landscape_plan.draw_runs, address.load_runs(address.selected_ids()))
        else:
            show_plan(spec, methods, repetition, errors)
            live.draw_while_active(draw_runs, address.load_runs(address.selected_ids()))


main()
