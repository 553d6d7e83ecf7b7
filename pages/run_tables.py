"""Runs as a page lists them: tables to select from, their states, how far they are."""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Literal

import pandas as pd
import streamlit as st

from kdlib import durations, runs
from kdlib.analysis import frames
from kdlib.analysis.comparison import METRIC_NAMES, format_percent
from kdlib.names import ROLES, method_role, setting_name
from kdlib.progress import PHASES
from kdlib.spec import RunSpec, setting_text, unused_fields
from kdlib.store import CANCELLED, DONE, FAILED, RUNNING, RunInfo
from pages import address, registries
from pages.text import describe_range, escape

SHOWN_FIELDS = ("dataset", "teacher", "method", "dim")  # of a spec, in every table of runs: what tells them apart
RECENT = 200  # runs among which the newest comparison is looked for
NONE_CHOSEN = "none-chosen"  # in the session: whether a visitor took out every run
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
            share = run.progress_label if run.state == RUNNING else run.state
            st.badge("stopping" if run.cancelling else share, color=BADGES[run.state])
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


def run_frame(infos: Sequence[RunInfo], now: float) -> pd.DataFrame:
    """Return runs as rows of a table: name, state, what was run, what else differs, accuracy, curve, age."""
    varied = [name for name in frames.differing_fields([run.spec for run in infos]) if name not in SHOWN_FIELDS]
    metric = " or ".join(dict.fromkeys(METRIC_NAMES[run.metric] for run in infos))
    training = any(run.active for run in infos)
    rows = []
    for run, curve in zip(infos, address.load_validation_curves(infos), strict=True):
        accuracy = run.accuracy()
        row: dict[str, Any] = {"name": run.name, "state": run.state}
        row |= {"progress": round(run.progress, 2)} if training else {}
        row |= _used_values(run.spec, SHOWN_FIELDS)
        row |= {f"{metric} %": format_percent(accuracy) if accuracy else "", "curve": curve}
        row |= _used_values(run.spec, varied)
        rows.append(row | {"seeds": run.spec.seeds, "age": age(now - run.created)})
    return pd.DataFrame(rows).rename(columns=lambda name: name.replace("_", " "))


def _used_values(spec: RunSpec, names: Sequence[str]) -> dict[str, Any]:
    """Return field -> value, None for one that the method does not use."""
    unused = unused_fields(spec)
    values = {name: None if name in unused else getattr(spec, name) for name in names}
    values |= {name: setting_text(value) for name, value in values.items() if isinstance(value, tuple)}
    named = {name: setting_name(name, values[name]) for name in ("method", "teacher") if values.get(name)}
    return values | named


def age(seconds: float) -> str:
    """Return how long ago something was, in words."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def table_of_runs(infos: Sequence[RunInfo], key: str = "table") -> None:
    """Show runs as a table in which rows are selected; the selection goes into the address."""
    ids = [run.id for run in infos]
    marked = [ids.index(run_id) for run_id in address.selected_ids() if run_id in ids]
    # Other rows are another table: what is selected are rows, not places.
    table_key = f"{key}-{hashlib.sha256(','.join(ids).encode()).hexdigest()[:12]}"

    def store_selection() -> None:
        rows = st.session_state[table_key]["selection"]["rows"]
        chosen = [run_id for run_id in address.selected_ids() if run_id not in ids]
        chosen += [ids[row] for row in rows if row < len(ids)]
        address.select_runs(chosen)
        st.session_state[NONE_CHOSEN] = not chosen

    st.dataframe(
        run_frame(infos, time.time()),
        hide_index=True,
        column_config={
            "progress": st.column_config.ProgressColumn(min_value=0, max_value=1, format="percent", width="small"),
            "curve": st.column_config.LineChartColumn(
                help="Validation score over the epochs, 0 to 1.", y_min=0, y_max=1, width="small"
            ),
        },
        key=table_key,
        on_select=store_selection,
        selection_mode="multi-row",
        selection_default={"selection": {"rows": marked, "columns": [], "cells": []}},
        placeholder="–",
        alt="Runs, newest first",
    )


def choose_runs(states: Sequence[str]) -> None:
    """Show a table of runs to choose from, closed once there is a choice; nothing where there are none."""
    if not runs.list_runs(limit=1, states=states):
        return
    with st.expander(
        f"Runs ({len(address.selected_ids())} chosen)", expanded=not address.selected_ids(), icon=":material/checklist:"
    ):
        _list_to_choose(states)


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
    if not address.selected_ids() and not st.session_state.get(NONE_CHOSEN):
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
        table_of_runs(infos, "done" if list(states) == [DONE] else "table")
    else:
        st.info("No run fits this search.", icon=":material/search_off:")


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
