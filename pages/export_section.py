"""Taking a trained student away: a button that opens what is in an export, and has it made."""

from collections.abc import Sequence

import streamlit as st

from kdlib.analysis.failure import Failure
from kdlib.export import jobs
from kdlib.export.folder import folder_name
from kdlib.export.jobs import ExportRequest
from kdlib.store import DONE, RunInfo
from pages import address, live
from pages.text import escape

HELP = "Take the trained student away as files that run anywhere: ONNX, weights, a program that predicts, a model card."
SEEDS = {"best": "The best seed, by validation", "ensemble": "All seeds together: the mean of their probabilities"}


def export_button(infos: Sequence[RunInfo]) -> None:
    """Show the button; it can be pressed when some of the runs are done.

    Args:
        infos: the runs that are chosen.
    """
    done = {run.id: run for run in infos if run.state == DONE}
    on_change = address.opened_by_link("take")
    with st.popover(
        "Export", icon=":material/ios_share:", disabled=not done, help=HELP, key="take", on_change=on_change
    ):
        if done:
            _show_choice(done)


def _show_choice(done: dict[str, RunInfo]) -> None:
    ids = list(done)
    chosen = ids[0]
    if len(ids) > 1:
        chosen = st.selectbox("Run", ids, format_func=lambda run_id: done[run_id].name, key="export-run") or ids[0]
    run = done[chosen]
    seeds = [*(SEEDS if run.spec.seeds > 1 else {"best": ""}), *map(str, range(run.spec.seeds))]
    seed = "best"
    if run.spec.seeds > 1:
        seed = st.selectbox("Student", seeds, format_func=_seed_name, key=f"export-seed-{run.spec.seeds}") or "best"
    text = "Adds a graph of 8-bit weights and activations, calibrated on training items, and its accuracy to the card."
    request = ExportRequest(run.id, seed, st.checkbox("Also in 8 bits (int8)", key="export-int8", help=text))
    answer = jobs.cached(request)
    if answer is None and st.session_state.get("export") != request:
        if not st.button("Make the files", icon=":material/build:", key="export-make", width="stretch"):
            return
        st.session_state["export"] = request
    waiting = answer is None
    live.draw_while(lambda: _draw_answer(request, run, waiting), waiting)


def _seed_name(seed: str) -> str:
    return SEEDS.get(seed, f"Seed {seed}")


def _draw_answer(request: ExportRequest, run: RunInfo, waiting: bool) -> bool:
    """Show the download, or how it stands; return whether there is more to come.

    What was waited for is shown by the draw of the whole page that follows: a download whose button is drawn anew while
    its click is on the way is lost.
    """
    answer = jobs.request_export(request)
    if answer is None:
        st.caption("Making the files takes about ten seconds ...")
        return True
    if isinstance(answer, Failure):
        st.error(escape(answer.reason), icon=":material/error:")
        if st.button("Try again", key="export-again"):
            jobs.discard(request)
            st.session_state["export"] = request
            st.rerun()
        return False
    if waiting:
        return False
    st.download_button(
        f"Download ({answer.stat().st_size / 1000:,.0f} kB)",
        answer.read_bytes,
        f"{folder_name(run.name)}.zip",
        "application/zip",
        icon=":material/download:",
        on_click="ignore",
        key="export-download",
        type="primary",
        width="stretch",
    )
    st.caption(
        "Unpack it, then: `pip install onnxruntime numpy`, `python predict.py FILE`. README.md says how good it is."
    )
    return False
