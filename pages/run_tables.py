"""Runs as a page lists them: tables to select from, their states, how far they are."""

import hashlib
import time
from collections.abc import Mapping, Sequence
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
from pages.small_table import SMALL, curve_html
from pages.text import describe_range, escape

SHOWN_FIELDS = ("dataset", "teacher", "method", "dim")  # of a spec, in every table of runs: what tells them apart
RECENT = 200  # runs among which the newest comparison is looked for
NO_BREAK = "\u00a0"
SHORT = 32  # letters of a fact that stays in one line
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
            state_badge(run)
            st.text(name)
    for run, name in zip(infos, names, strict=True):
        if run.state == FAILED:
            st.error(f"{escape(name)} failed: {escape(run.reason)}", icon=":material/error:")
        if run.unsynced and not run.active:
            st.warning(
                f"{run.unsynced} points of {escape(name)} wait for the store; "
                "resume it on the Runs page to bring them there."
            )


def state_badge(run: RunInfo) -> None:
    """Show the state of a run, of one that runs how far it is."""
    share = run.progress_label if run.state == RUNNING else run.state
    st.badge("stopping" if run.cancelling else share, color=BADGES[run.state])


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
    """Return runs as a table, see `run_rows`."""
    return pd.DataFrame(run_rows(infos, now))


def run_rows(infos: Sequence[RunInfo], now: float) -> list[dict[str, Any]]:
    """Return what a list says of each run: name, state, what was run, what else differs, accuracy, curve, age."""
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
        row |= {"seeds": run.spec.seeds, "age": age(now - run.created)}
        rows.append({name.replace("_", " "): value for name, value in row.items()})
    return rows


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


def list_of_runs(infos: Sequence[RunInfo], key: str = "table") -> None:
    """Show runs to choose from, which go into the address: a few as cards, more of them as rows of a table."""
    ids = [run.id for run in infos]
    # Other rows are another table: what is selected are rows, not places.
    list_key = f"{key}-{hashlib.sha256(','.join(ids).encode()).hexdigest()[:12]}"
    if len(infos) <= SMALL:
        _cards(infos, list_key)
    else:
        _table(infos, list_key)


def _choose(infos: Sequence[RunInfo], chosen: Sequence[str]) -> None:
    """Put what is chosen of the listed runs into the address, which keeps what it names of others."""
    listed = {run.id for run in infos}
    ids = [run_id for run_id in address.selected_ids() if run_id not in listed] + list(chosen)
    address.select_runs(ids)
    st.session_state[NONE_CHOSEN] = not ids


def _table(infos: Sequence[RunInfo], key: str) -> None:
    ids = [run.id for run in infos]
    marked = [ids.index(run_id) for run_id in address.selected_ids() if run_id in ids]

    def store_selection() -> None:
        rows = st.session_state[key]["selection"]["rows"]
        _choose(infos, [ids[row] for row in rows if row < len(ids)])

    st.dataframe(
        run_frame(infos, time.time()),
        hide_index=True,
        column_config={
            "progress": st.column_config.ProgressColumn(min_value=0, max_value=1, format="percent", width="small"),
            "curve": st.column_config.LineChartColumn(
                help="Validation score over the epochs, 0 to 1.", y_min=0, y_max=1, width="small"
            ),
        },
        key=key,
        on_select=store_selection,
        selection_mode="multi-row",
        selection_default={"selection": {"rows": marked, "columns": [], "cells": []}},
        placeholder="–",
        alt="Runs, newest first",
    )


def _cards(infos: Sequence[RunInfo], key: str) -> None:
    boxes = {run.id: f"{key}-{run.id}" for run in infos}

    def store_selection() -> None:
        _choose(infos, [run_id for run_id, box in boxes.items() if st.session_state.get(box)])

    marked = address.selected_ids()
    cards = st.container(gap="xsmall", key=f"run-cards-{key}")
    for run, row in zip(infos, run_rows(infos, time.time()), strict=True):
        if boxes[run.id] not in st.session_state:
            st.session_state[boxes[run.id]] = run.id in marked
        with cards.container(border=True, horizontal=True, key=f"run-card-{boxes[run.id]}"):
            st.checkbox(escape(run.name), key=boxes[run.id], on_change=store_selection, width="stretch")
            state_badge(run)
            facts = [escape(fact) for fact in list_facts(row)]
            facts = [fact.replace(" ", NO_BREAK) if len(fact) < SHORT else fact for fact in facts]
            st.caption(f"{NO_BREAK}· ".join(facts), width="stretch")
            st.html(f"<div>{curve_html(row['curve'])}</div>", width="content")


def list_facts(row: Mapping[str, Any]) -> list[str]:
    """Return what one of `run_rows` says beside name, state and curve, each in words.

    Example:
        >>> list_facts({"name": "a", "dataset": "digits", "dim": 16, "accuracy %": "80.1 ± 0.2", "age": "5 min"})
        ['digits', 'dim 16', 'accuracy 80.1 ± 0.2 %', '5 min ago']
    """
    words = []
    for name, value in row.items():
        if name in ("name", "state", "progress", "curve") or value in (None, ""):
            continue
        if name.endswith(" %"):
            words.append(f"{name.removesuffix(' %')} {value} %")
        elif name in ("dataset", "teacher", "method"):
            words.append(str(value))
        else:
            words.append(f"{value} ago" if name == "age" else f"{name} {setting_text(value)}")
    return words


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
        list_of_runs(infos, "done" if list(states) == [DONE] else "table")
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
