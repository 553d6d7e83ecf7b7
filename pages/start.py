"""Start: the idea as a picture, one button, a race, and its outcome in one sentence."""

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import streamlit as st

from kdlib.results import RunResult, Summary
from kdlib.spec import RunSpec
from kdlib.store import RunInfo
from pages import address, chain, live, server
from pages.text import escape

if TYPE_CHECKING:
    from pandas import DataFrame

SPEC = RunSpec()
NAMES = {  # in the order in which they start: where two run at a time, the two that matter most
    "raw": "raw: teacher as it is",
    SPEC.method: f"compressed: {SPEC.method} {SPEC.dim}",
    "baseline": "baseline: no teacher",
}
RACE = [SPEC.replace(method=method) for method in NAMES]
WORDS = {  # of the picture, as far as no library is needed to know them
    "teacher": SPEC.teacher,
    "method": SPEC.method,
    "dim": SPEC.dim,
    "labels": f"{SPEC.labels:,}",
    "told": "on pictures held back while training",
    "teacher_width": "…",
    "parameters": "…",
}


def draw_loading() -> bool:
    """Show the picture without its counts; return whether the libraries that count are still being loaded."""
    chain.show_chain(WORDS, dict.fromkeys(("baseline", "raw", "compressed")), None)
    return not server.libraries_ready.is_set()


def draw_race() -> list[RunInfo]:
    """Show the picture with the numbers of the moment, and what there is of a race; return its runs."""
    from kdlib.analysis import frames  # such libraries load for seconds, in which the picture is there already

    racing = {run.spec.method: run for run in address.load_runs(address.selected_ids()) if run.spec.method in NAMES}
    infos = list(racing.values()) if len(racing) == len(NAMES) else []
    results = [result for result in address.load_results(infos) if result.metrics]
    specs = [run.spec for run in infos] or RACE
    curves = frames.curves(specs, address.load_histories(infos) or [[]] * len(specs), [NAMES[s.method] for s in specs])
    latest = curves[curves["curve"] == "val"].groupby("role")["mean"].last()
    roles = [frames.method_role(spec) for spec in specs]
    validation = {role: Summary(latest[role], None) if role in latest else None for role in roles}
    show_picture(specs, results, validation)
    if infos:
        show_outcome(infos, results)
        show_curves(infos, curves, roles)
    return infos


def show_picture(
    specs: Sequence[RunSpec], results: Sequence[RunResult], validation: Mapping[str, Summary | None]
) -> None:
    """Show the chain with test accuracies once all are known, with validation accuracies until then.

    Args:
        specs: of the race.
        results: of its runs that are done.
        validation: role -> accuracy so far.
    """
    from kdlib import planning
    from kdlib.analysis import frames
    from kdlib.data import datasets

    plan, data = planning.estimate_cost(specs), datasets.load(SPEC.dataset)
    words = WORDS | {"labels": f"{specs[0].labels:,}"}
    words |= {"teacher_width": plan.teacher_width, "parameters": f"{plan.parameters:,}"}
    if results:
        words["told"] = f"test set, mean and 95 % interval, n = {specs[0].seeds}"
    tested = {frames.method_role(result.spec): result.metrics["test"].primary for result in results}
    accuracies = tested if len(tested) == len(RACE) else validation
    chain.show_chain(words, accuracies, datasets.to_float(data.inputs[data.splits["test"][3]]).mean(0))


def show_outcome(infos: Sequence[RunInfo], results: Sequence[RunResult]) -> None:
    """Show in one sentence what came out, or how far the race is."""
    from kdlib.analysis.comparison import verdict
    from pages import run_tables

    if len(results) == len(RACE):
        st.info(escape(verdict(results)), icon=":material/flag:")
    elif any(run.active for run in infos):
        share = sum(run.progress for run in infos) / len(infos)
        st.progress(share, text=f"Racing: {run_tables.remaining_time(infos, time.time())}")


def show_curves(infos: Sequence[RunInfo], curves: "DataFrame", roles: Sequence[str]) -> None:
    """Show the curves of the race and the state of its runs."""
    from kdlib.analysis.figures.curves import plot_curves
    from pages import run_tables, show

    names, spec = [NAMES[run.spec.method] for run in infos], infos[0].spec
    figure = plot_curves(curves, "val", spec.epochs, dict(zip(names, roles, strict=True)))
    show.figure(figure, "race", "Validation accuracy of baseline, raw and compressed over the epochs")
    run_tables.state_line(infos, names)
    st.caption(
        f"Lines are the mean of {spec.seeds} students that differ in their seed, "
        "bands reach from the worst to the best of them."
    )


st.title("Does it help to teach less?")
st.markdown(
    "A big **teacher** network knows a lot, much of it of no use for the task at hand. Compressing what it knows "
    "before a small **student** learns from it should make the student better. Try it: three students, the same data, "
    "the same effort."
)
launched = address.load_runs(address.selected_ids())
active = any(run.active for run in launched)
if st.button("Start the race", type="primary", icon=":material/play_arrow:", disabled=active, key="go"):
    address.launch(RACE, name="Race")
    st.rerun()
if server.libraries_ready.is_set():
    live.draw_while_active(draw_race, launched)
else:
    live.draw_while(draw_loading, active=True, every=live.EARLY_TICK)

if address.selected_ids() and not active:
    st.subheader("What to try next")
    these = address.query(launched)
    links = [
        ("pages/distill.py", "A teacher that learned something else", "school", {"teacher": "background"}),
        ("pages/distill.py", "Keep only 4 numbers", "compress", {"dim": "4"}),
        ("pages/compare.py", "These three in every detail", "bar_chart", these),
        ("pages/embeddings.py", "See what compression did to the space", "scatter_plot", these),
    ]
    for column, (page, label, icon, query) in zip(st.columns(len(links)), links, strict=True):
        column.page_link(page, label=label, icon=f":material/{icon}:", query_params=query)
