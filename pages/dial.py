"""Dial: turn the width of a compressed embedding and see at once what it keeps and what it throws away."""

import streamlit as st

from kdlib import runs
from kdlib.checks import default_spec
from kdlib.names import teacher_name
from kdlib.spaces import width_jobs
from kdlib.spec import RunSpec
from kdlib.store import DONE, FAILED, RunInfo, RunNotFoundError
from pages import address, live, run_tables, show, width_dial
from pages.text import escape

WIDEST = 64  # of the run that the page offers to train


def launch() -> None:
    """Train a run that holds every width, and select it."""
    spec = default_spec(RunSpec.dataset).replace(method=width_jobs.nested_methods()[0], dim=WIDEST)
    (run_id,) = address.launch([spec], name="Every width")
    address.select_runs([])
    st.query_params["run"] = run_id


def launch_button() -> None:
    """Show the button that trains a run."""
    if st.button(f"Train one, {WIDEST} wide", type="primary", icon=":material/play_arrow:", key="go"):
        launch()
        st.rerun()


def addressed_run() -> RunInfo | None:
    """Return the run that the address names; a message says why it cannot be turned."""
    run_id = st.query_params.get("run", "")
    if not address.RUN_ID.fullmatch(run_id):
        return None
    try:
        run = runs.get(run_id)
        width_jobs.check_nested(run.spec)
    except RunNotFoundError:
        st.info(f"Run {run_id[:8]} is not in this store; it may have been deleted.", icon=":material/search_off:")
        return None
    except ValueError as error:
        st.info(f"Run {run_id[:8]} has one width only: {escape(error)}.", icon=":material/info:")
        return None
    return run


def choose(listed: list[RunInfo], current: RunInfo) -> None:
    """Show which run is turned, and let another be chosen."""
    names = {run.id: f"{run.name} · {run.setting.dim} wide" for run in [current, *listed]}
    run_tables.choose_one(names, current.id)


def draw_training(run: RunInfo) -> list[RunInfo]:
    """Show how far a run is that still trains; return it as it is now."""
    infos = address.load_runs([run.id])
    run_tables.show_progress(infos)
    return infos


def show_run(run: RunInfo) -> None:
    """Show the dial of a run, or in words why it cannot be turned (yet)."""
    if run.active:
        st.info("This run is training; its dial comes when it is done.", icon=":material/model_training:")
        live.draw_while_active(lambda: draw_training(run), [run])
        return
    if run.state != DONE:
        ending = "failed" if run.state == FAILED else "was cancelled"
        st.error(f"This run {ending}, so it has no widths to turn. {escape(run.reason)}", icon=":material/error:")
        launch_button()
        return
    report = width_dial.show_dial(run.id)
    if report:
        st.caption(
            f"{len(report.shown):,} test rows in each map, as seed 0 has them: the two directions of largest variance, "
            "each width turned onto the next. PCA is fitted to the same labelled rows; its first two directions are "
            "the same at every width from 2 up, so its map stays. Probes are linear, fitted on "
            f"{run.spec.labels:,} labelled rows and scored on {report.probed:,} test rows; neighbours are those among "
            f"{report.compared:,} test rows."
        )


current, listed = addressed_run(), width_jobs.nested_runs()
if current is None and listed:
    current = listed[0]
    address.name_window("Dial", current.name)
with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
    st.title("Dial", width="content")
    if current is not None:
        choose(listed, current)
if current is None:
    show.empty(
        "**How few numbers are enough?** A *matryoshka* compressor is trained so that its first 2, 4, 8, ... numbers "
        f"are embeddings too: one run holds every width. Here you turn a dial from {WIDEST} numbers down to one, and "
        "see at once what is kept of the target and what is thrown away of everything else, beside PCA of the same "
        "width. There is no such run yet; training one takes about half a minute."
    )
    launch_button()
else:
    st.markdown(
        f"One run holds every width of {escape(teacher_name(current.spec.teacher))} on {escape(current.spec.dataset)}. "
        "Turn it down: what stays is what the target needs. PCA of the same width keeps what varies most."
    )
    show_run(current)
