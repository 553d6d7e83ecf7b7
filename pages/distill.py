"""Distill: set the whole chain, see what it will cost, launch several methods as one comparison and watch them."""

import time

import streamlit as st

from kdlib import engine, planning, runs
from kdlib.analysis import frames
from kdlib.analysis.comparison import verdict
from kdlib.analysis.figures.curves import plot_curves
from kdlib.spaces import teacher_report
from kdlib.spec import RunSpec
from pages import address, controls, live, show
from pages.text import escape

CURVES = {
    "val": "Validation score",
    "prediction": "Prediction loss",
    "distance": "Distance loss",
    "teacher": "Teacher loss",
}


def before_launch(spec: RunSpec, methods: list[str]) -> None:
    specs = [spec.replace(method=method) for method in methods]
    refusals = planning.find_errors(specs) if specs else ["choose at least one method to compare"]
    for reason in refusals:
        st.error(escape(reason), icon=":material/block:")
    if not refusals:
        past, status = runs.list_runs(limit=200, states=["done"]), engine.status()
        plan = planning.estimate_cost(specs, past, status.workers or 2)
        show.fact_list(plan)
        target = teacher_report.target_probe(teacher_report.cached(spec.teacher, spec.dataset), spec.labels)
        for concern in planning.find_warnings(
            specs, target.get("accuracy"), target.get("chance"), past, target.get("ood")
        ):
            st.warning(escape(concern), icon=":material/lightbulb:")
    launch, naming = st.columns([1, 2], vertical_alignment="bottom")
    told = "a name to find it by (optional)"
    name = naming.text_input(
        "Name", key="name", max_chars=80, placeholder=told, label_visibility="collapsed", bind="query-params"
    )
    if launch.button(
        "Launch", type="primary", icon=":material/play_arrow:", disabled=bool(refusals), key="launch", width="stretch"
    ):
        address.launch(specs, name=name)
        st.rerun()
    with st.expander("Show as code"):
        for language, text in planning.as_code(spec, methods).items():
            st.caption(language)
            st.code(text, language={"Python": "python", "YAML": "yaml"}.get(language, "bash"), wrap_lines=True)


def watch() -> list:
    found = address.load_runs(address.selected_ids())
    if not found:
        show.empty("Nothing launched yet: choose what to compare and press **Launch**. Its curves appear here, live.")
        return found
    specs = [run.spec for run in found]
    names = frames.run_labels(specs)
    active = [run for run in found if run.active]
    if active:
        st.progress(
            sum(run.progress for run in found) / len(found), text=f"Training: {show.remaining_time(found, time.time())}"
        )
        if st.button("Cancel", icon=":material/stop_circle:", key="cancel"):
            for run in active:
                runs.cancel(run.id)
    elif len(done := address.load_results(found)) == len(found):
        st.info(escape(verdict(done)), icon=":material/flag:")
        with st.container(horizontal=True):
            st.page_link(
                "pages/compare.py",
                label="Compare in every detail",
                icon=":material/bar_chart:",
                query_params=address.query(found),
            )
            st.page_link(
                "pages/embeddings.py",
                label="See the spaces",
                icon=":material/scatter_plot:",
                query_params=address.query(found),
            )
    show.state_line(found, names)
    frame, roles = (
        frames.curves(specs, address.load_histories(found), names),
        dict(zip(names, map(frames.method_role, specs), strict=True)),
    )
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
    drawn = plot_curves(frame, curve, max(spec.epochs for spec in specs), roles, frames.metric_label(specs))
    show.figure(drawn, f"curve-{curve}", CURVES[curve])
    st.caption("Lines are the mean over the seeds, bands reach from the lowest to the highest of them.")
    return found


st.title("Distill")
left, right = st.columns([1, 2], gap="large")
with left:
    spec, methods = controls.spec_controls()
with right:
    before_launch(spec, methods)
    live.draw_while_active(watch, address.load_runs(address.selected_ids()))
