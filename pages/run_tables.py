"""Runs on a page: their states, how far they are, how they are chosen."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Literal

import streamlit as st

from kdlib import durations, runs
from kdlib.names import ROLES, method_role
from kdlib.progress import PHASES
from kdlib.spec import setting_text
from kdlib.store import CANCELLED, DONE, FAILED, RunInfo
from pages import address, registries
from pages.run_list import NONE_CHOSEN, list_of_runs, state_words
from pages.text import describe_range, escape

RECENT = 200  # runs among which the newest comparison is looked for
BADGES: dict[str, Literal["gray", "blue", "green", "red", "orange"]] = {
    "queued": "gray",
    "running": "blue",
    DONE: "green",
    FAILED: "red",
    CANCELLED: "orange",
}


def state_line(infos: Sequence[RunInfo], names: Sequence[str]) -> None:
    """Show name, state and progress of each run, and why it failed."""
    columns = st.columns(max(len(infos), 1)) if len(infos) <= 4 else [st.container() for _ in infos]
    for column, run, name in zip(columns, infos, names, strict=True):
        with column, st.container(horizontal=True, vertical_alignment="center"):
            st.badge(state_words(run), color=BADGES[run.state])
            st.text(name)
    for run, name in zip(infos, names, strict=True):
        if run.state == FAILED:
            st.error(f"{escape(name)} failed: {escape(run.reason)}", icon=":material/error:")
        if run.unsynced and not run.active:
            st.warning(
                f"{run.unsynced} points of {escape(name)} wait for the store; "
                "resume it on the Runs page to bring them there."
            )


def list_left_out(infos: Sequence[RunInfo]) -> None:
    """Say which of some runs have nothing to compare, and why."""
    for run in infos:
        if run.state in (FAILED, CANCELLED):
            ending = f"failed: {run.reason}" if run.state == FAILED else "was cancelled"
            st.info(f"{escape(run.name)} is left out: it {escape(ending)}", icon=":material/info:")


def remaining_time(infos: Sequence[RunInfo], now: float) -> str:
    """Return how long it takes until all runs are over, in words; while none of them trains, their phase instead."""
    active = [run for run in infos if run.active]
    first = min(active, key=lambda run: (PHASES.index(run.phase or "training"), run.phase_share), default=None)
    if first and all(run.phase not in ("", "tuning", "training") for run in active):
        return first.progress_label
    found = durations.estimate_remaining(active, address.load_histories(active), now)
    if found is None:
        return first.progress_label if first and first.phase == "tuning" else "starting"
    told = _countdown(tuple(sorted((run.id, run.submitted) for run in infos))).tell(found)
    return f"{describe_range(*told)} to go"


@st.cache_resource(max_entries=300, show_spinner=False)
def _countdown(launched: tuple[tuple[str, float], ...]) -> durations.Countdown:  # noqa: ARG001
    """Return what was told of these runs, to every visitor."""
    return durations.Countdown()


def choose_in_title(page: str, states: Sequence[str]) -> None:
    """Show the title of a page and beside it a button that opens a table of runs, and how many of them are chosen.

    Who comes without a choice gets the newest comparison, until all of its runs are taken out. Without any run there is
    the title alone.

    Args:
        page: its title.
        states: of runs that can be chosen.
    """
    with st.container(horizontal=True, vertical_alignment="center"):
        st.title(page, width="content")
        _choose_behind_button(page, states)


def _choose_behind_button(page: str, states: Sequence[str]) -> None:
    if not runs.list_runs(limit=1, states=states):
        return
    if address.open_sweep() and not address.selected_ids():
        st.info(f"This store has no sweep {address.open_sweep()}.", icon=":material/search_off:")
    elif not address.selected_ids() and not st.session_state.get(NONE_CHOSEN):
        address.select_runs(newest_comparison())
        address.name_window(page)
    count = len(address.selected_ids())
    address.opened_by_link("choose")
    # With the number in its label it would be another one after each choice, and closed.
    opened = st.popover("Choose runs", icon=":material/checklist:", key="choose", on_change="rerun")
    if count:
        st.caption(f"{count} run{'' if count == 1 else 's'} chosen", width="content")
    if opened.open:
        with opened:
            _list_to_choose(states)


def _list_to_choose(states: Sequence[str]) -> None:
    search, where = registries.run_filters()
    infos = runs.list_runs(limit=100, states=states, text=search, where=where)
    if infos:
        list_of_runs(infos)
    else:
        st.info("No run fits this search.", icon=":material/search_off:")


def choose_one(names: Mapping[str, str], current: str) -> None:
    """Show which run is open on a page that shows one at a time, and let another be chosen, in the address as `run`.

    Args:
        names: id -> what it is called here.
        current: id of the one that is open.
    """

    def store() -> None:
        st.query_params["run"] = st.session_state["open-run"]

    st.session_state["open-run"] = current
    st.selectbox(
        "Run",
        list(names),
        key="open-run",
        format_func=names.__getitem__,
        on_change=store,
        label_visibility="collapsed",
        width=440,
    )


def newest_comparison() -> list[str]:
    """Return the newest finished run of each role that shares dataset and labels with the newest of all."""
    infos = runs.list_runs(limit=RECENT, states=[DONE])
    alike = [run for run in infos if _question(run) == _question(infos[0])]
    newest = {method_role(run.spec): run.id for run in reversed(alike)}
    return [newest[role] for role in ROLES if role in newest]


def _question(run: RunInfo) -> tuple[str, int]:
    return run.spec.dataset, run.spec.labels


def show_progress(infos: Sequence[RunInfo]) -> Sequence[RunInfo]:
    """Show how far the active ones of some runs are, and return all of them."""
    active = [run for run in infos if run.active]
    if active:
        share = sum(run.progress if run.active else 1 for run in infos) / len(infos)
        ended = f"{len(infos) - len(active)} of {len(infos)} runs are done"
        st.progress(share, text=f"{ended}, {remaining_time(infos, time.time())}")
    return infos


def spec_text(run: RunInfo) -> str:
    """Return what a run computes, a field a line."""
    return "\n".join(f"{name}: {setting_text(value)}" for name, value in asdict(run.spec).items())
