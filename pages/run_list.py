"""Runs to choose from, as many as a page lists: a component of our own, rows of a table, in a narrow window cards.

Its rows are text that is changed in place while runs train: what changes counts, and no click or focus is lost.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import streamlit as st
from streamlit.components.v2 import component

from kdlib.analysis import frames
from kdlib.analysis.comparison import METRIC_NAMES, format_percent
from kdlib.names import setting_name
from kdlib.spec import RunSpec, setting_text, unused_fields
from kdlib.store import RUNNING, RunInfo
from pages import address
from pages.chain import ASSETS
from pages.small_table import cell_text, curve_points, curve_words

SHOWN_FIELDS = ("dataset", "teacher", "method", "dim")  # of a spec, in every list of runs: what tells them apart
PLAIN = ("dataset", "teacher", "method")  # that say on a card what they are without the name of their column
NONE_CHOSEN = "none-chosen"  # in the session: whether a visitor took out every run
KEY = "run-list"


def list_of_runs(infos: Sequence[RunInfo]) -> None:
    """Show runs to choose from, which go into the address."""

    def store_choice() -> None:
        _choose(infos, st.session_state[KEY]["chosen"] or [])

    listed = [run.id for run in infos]
    data = {
        "runs": [_shown(run, row) for run, row in zip(infos, run_rows(infos, time.time()), strict=True)],
        "chosen": [run_id for run_id in address.selected_ids() if run_id in listed],
    }
    st.html(f"<style>.st-key-{KEY} {{ --rows: {len(infos)} }}</style>")  # as high as what comes into it a moment later
    _component()(key=KEY, data=data, on_chosen_change=store_choice)


@st.cache_resource(show_spinner=False)
def _component() -> Callable[..., Any]:
    # Not isolated from the page: its styles, its counting and its sorting of tables apply.
    script = (ASSETS / "run_list.js").read_text(encoding="utf-8")
    return component("kd_run_list", html="<div data-runs></div>", js=script, isolate_styles=False)


def _choose(infos: Sequence[RunInfo], chosen: Sequence[str]) -> None:
    """Put what is chosen of the listed runs into the address, which keeps what it names of others."""
    listed = {run.id for run in infos}
    ids = [run_id for run_id in address.selected_ids() if run_id not in listed]
    ids += [run_id for run_id in chosen if run_id in listed]
    address.select_runs(ids)
    st.session_state[NONE_CHOSEN] = not ids


def state_words(run: RunInfo) -> str:
    """Return the state of a run, of one that runs how far it is."""
    if run.cancelling:
        return "stopping"
    return run.progress_label if run.state == RUNNING else run.state


def _shown(run: RunInfo, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the component gets of a run, see `Run` in assets/run_list.js."""
    cells = []
    for name, value in row.items():
        before, after = card_words(name)
        text = cell_text(None if value is None else setting_text(value))
        order = f"{-run.created:.3f}" if name == "age" else ""
        cells.append({"name": name, "text": text, "before": before, "after": after, "order": order})
    [curve] = address.load_validation_curves([run])
    return {
        "id": run.id,
        "name": run.name,
        "state": run.state,
        "words": state_words(run),
        "share": round(run.progress, 2) if run.state == RUNNING else None,
        "cells": cells,
        "points": curve_points(curve),
        "curve": curve_words(curve),
    }


def card_words(name: str) -> tuple[str, str]:
    """Return what stands before and after the value of a column where nothing else says what it is.

    Example:
        >>> card_words("accuracy %"), card_words("age"), card_words("dim"), card_words("teacher")
        (('accuracy', '%'), ('', 'ago'), ('dim', ''), ('', ''))
    """
    if name == "age":
        return "", "ago"
    if name in PLAIN:
        return "", ""
    return name.removesuffix(" %"), "%" if name.endswith(" %") else ""


def run_rows(infos: Sequence[RunInfo], now: float) -> list[dict[str, Any]]:
    """Return what a list says of each run beside name, state and curve: what was run, accuracy, what else differs, age.

    A field that the method of a run does not use is None.
    """
    varied = [name for name in frames.differing_fields([run.spec for run in infos]) if name not in SHOWN_FIELDS]
    metric = " or ".join(dict.fromkeys(METRIC_NAMES[run.metric] for run in infos))
    rows = []
    for run in infos:
        accuracy = run.accuracy()
        row: dict[str, Any] = _used_values(run.spec, SHOWN_FIELDS)
        row |= {f"{metric} %": format_percent(accuracy) if accuracy else None}
        row |= _used_values(run.spec, varied)
        row |= {"seeds": run.spec.seeds, "age": age(now - run.created)}
        rows.append({name.replace("_", " "): value for name, value in row.items()})
    return rows


def _used_values(spec: RunSpec, names: Sequence[str]) -> dict[str, Any]:
    """Return field -> value, None for one that the method does not use."""
    unused = unused_fields(spec)
    values = {name: None if name in unused else getattr(spec, name) for name in names}
    named = {name: setting_name(name, values[name]) for name in ("method", "teacher") if values.get(name)}
    return values | named


def age(seconds: float) -> str:
    """Return how long ago something was, in words."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
