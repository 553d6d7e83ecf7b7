"""What pages show in the same way: figures, tables of runs, how far runs are, the picture of the chain."""

import base64
import hashlib
import io
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import streamlit as st
from PIL import Image
from streamlit.components.v2 import component

from kdlib import runs
from kdlib.analysis import frames
from kdlib.analysis.comparison import METRIC_NAMES, format_percent
from kdlib.analysis.figures.pictures import plot_spectrogram
from kdlib.analysis.figures.style import to_html
from kdlib.analysis.items import describe_item, rows_of_class
from kdlib.data import spectrograms
from kdlib.data.datasets import Dataset
from kdlib.planning import CostEstimate
from kdlib.progress import PHASES
from kdlib.results import RunResult, Summary
from kdlib.spec import unused_fields
from kdlib.store import CANCELLED, DONE, FAILED, RunInfo
from pages import address, registries
from pages.text import escape

ASSETS = Path(__file__).parent.parent / "assets"
BADGES: dict[str, Literal["gray", "blue", "green", "red", "orange"]] = {
    "queued": "gray",
    "running": "blue",
    DONE: "green",
    FAILED: "red",
    CANCELLED: "orange",
}


def state_line(found: Sequence[RunInfo], names: Sequence[str]) -> None:
    """Show name, state and progress of each run, and why it failed."""
    columns = st.columns(max(len(found), 1)) if len(found) <= 4 else [st.container() for _ in found]
    for column, run, name in zip(columns, found, names, strict=True):
        with column, st.container(horizontal=True, vertical_alignment="center"):
            st.badge(run.state if not run.cancelling else "stopping", color=BADGES[run.state])
            share = f" {run.progress_label}" if run.active else ""
            st.text(f"{name}{share}")
    for run, name in zip(found, names, strict=True):
        if run.state == FAILED:
            st.error(f"{escape(name)} failed: {escape(run.reason)}", icon=":material/error:")
        if run.unsynced and not run.active:
            st.warning(
                f"{run.unsynced} points of {escape(name)} wait for the store; resume it on the Runs page to bring them there."
            )


def list_left_out(found: Sequence[RunInfo]) -> None:
    """Say which of some runs have nothing to compare, and why."""
    for run in found:
        if run.state in (FAILED, CANCELLED):
            told = f"failed: {run.reason}" if run.state == FAILED else "was cancelled"
            st.info(f"{escape(run.name)} is left out: it {escape(told)}", icon=":material/info:")


def remaining_time(found: Sequence[RunInfo], now: float) -> str:
    """Return how long it takes until all runs are over, in words; while none of them trains, what they are at instead."""
    active = [run for run in found if run.active]
    if active and all(run.phase not in ("", "training") for run in active):
        return min(active, key=lambda run: (PHASES.index(run.phase), run.phase_share)).progress_label
    share = sum(run.progress if run.active else 1.0 for run in found) / len(found)
    if share < 0.05:
        return "starting"
    elapsed = now - min(run.submitted for run in found)
    return f"about {max(1, elapsed * (1 - share) / share):.0f} s to go"


def figure(drawn: Any, key: str, alt: str, file_format: str = "png") -> None:
    """Show a plotly figure; its camera button saves it."""
    saved = {"format": file_format, "filename": key, "scale": 2}
    unused = ["lasso2d", "select2d", "autoScale2d"]
    config = {"displaylogo": False, "toImageButtonOptions": saved, "modeBarButtonsToRemove": unused}
    st.plotly_chart(drawn, key=key, config=config, alt=alt)


def fact_list(plan: CostEstimate) -> None:
    """Show what a launch will cost."""
    told = "measured on runs of this machine" if plan.measured else "a guess until a run has been measured here"
    narrow = plan.compressed_width
    with st.container(horizontal=True):
        st.metric("Time", f"≈ {plan.seconds:.0f} s", help=f"Until all methods are done; {told}.", border=True)
        st.metric(
            "Student",
            f"{plan.parameters:,}",
            help="Parameters of the student, all that is needed afterwards.",
            border=True,
        )
        ratio = f"{plan.teacher_width} → {narrow}" if narrow else f"{plan.teacher_width}"
        share = f" That is {plan.teacher_width / narrow:.0f} times smaller." if narrow else ""
        st.metric("Embedding", ratio, help=f"Numbers per item before and after compression.{share}", border=True)


def empty(text: str, label: str = "", page: str = "", **address: str) -> None:
    """Show that there is nothing yet, and where to get it."""
    with st.container(border=True):
        st.markdown(text)
        if page:
            st.page_link(page, label=label, icon=":material/arrow_forward:", query_params=address or None)


def rows_of(found: Sequence[RunInfo], now: float) -> pd.DataFrame:
    """Return runs as rows of a table: name, state, what differs between them, accuracy, age."""
    names = [name for name in frames.differing_fields([run.spec for run in found]) if name != "method"]
    metric = " or ".join(dict.fromkeys(METRIC_NAMES[run.metric] for run in found))
    rows = []
    for run in found:
        accuracy = run.accuracy()
        told = format_percent(accuracy) if accuracy else ""
        row = {"name": run.name, "state": run.state, "progress": round(run.progress, 2), "method": run.spec.method}
        row |= {name: getattr(run.spec, name) for name in names}
        for name in unused_fields(run.spec):
            if name in row:
                row[name] = None
        rows.append(row | {f"{metric} %": told, "seeds": run.spec.seeds, "age": age(now - run.created)})
    return pd.DataFrame(rows)


def age(seconds: float) -> str:
    """Return how long ago something was, in words."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def table_of_runs(found: Sequence[RunInfo], key: str = "table") -> None:
    """Show runs as a table in which rows are chosen; the choice goes into the address."""
    ids = [run.id for run in found]
    marked = [ids.index(run_id) for run_id in address.selected_ids() if run_id in ids]
    version = hashlib.sha256(",".join(ids).encode()).hexdigest()[
        :12
    ]  # other rows are another table: a choice is of rows, not of places

    def changed() -> None:
        picked = [ids[row] for row in st.session_state[f"{key}-{version}"]["selection"]["rows"] if row < len(ids)]
        address.select_runs([run_id for run_id in address.selected_ids() if run_id not in ids] + picked)

    over = all(run.state == DONE for run in found)
    share = (
        None
        if over and key == "done"
        else st.column_config.ProgressColumn(min_value=0, max_value=1, format="percent", width="small")
    )
    st.dataframe(
        rows_of(found, time.time()),
        hide_index=True,
        column_config={"progress": share},
        key=f"{key}-{version}",
        on_select=changed,
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
        text, where = registries.run_filters()
        found = runs.list_runs(limit=100, states=states, text=text, where=where)
        if found:
            table_of_runs(found, "done" if list(states) == [DONE] else "table")
        else:
            st.info("No run fits this search.", icon=":material/search_off:")


def progress(found: Sequence[RunInfo]) -> Sequence[RunInfo]:
    """Show how far the active ones of some runs are, and return all of them."""
    active = [run for run in found if run.active]
    if active:
        over = len(found) - len(active)
        share = sum(run.progress if run.active else 1 for run in found) / len(found)
        st.progress(share, text=f"{over} of {len(found)} runs are done, {remaining_time(found, time.time())}")
    return found


def seeds(done: Sequence[RunResult]) -> str:
    """Return how many seeds there are, "5" or "3 to 10"."""
    counts = sorted({each.spec.seeds for each in done})
    return f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"


def grid(count: int, wide: int) -> list[Any]:
    """Return as many cells, in rows of `wide`."""
    return [cell for _ in range(0, count, wide) for cell in st.columns(wide)][:count]


def spec_text(run: RunInfo) -> str:
    """Return what a run computes, a field a line."""
    return "\n".join(f"{name}: {value}" for name, value in asdict(run.spec).items())


def exportable_figure(drawn: Any, key: str, alt: str) -> None:
    """Show a figure with what it can be saved as: its own camera button for PNG or SVG, and a page of its own."""
    with st.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center"):
        kind = st.segmented_control(
            "Camera saves",
            ["png", "svg"],
            default="png",
            required=True,
            key="saves",
            help="What the camera button in the figure saves.",
            format_func=str.upper,
            wrap=False,
            bind="query-params",
        )
        st.download_button(
            "HTML",
            lambda: to_html(drawn),
            f"{key}.html",
            "text/html",
            icon=":material/download:",
            on_click="ignore",
        )
    figure(drawn, key, alt, kind)


def sound(data: Dataset, listen: Callable[[int], tuple[int, np.ndarray]], turn: int) -> None:
    """Show an item that can be heard: a player, its spectrogram, what is known of it.

    Args:
        data: a dataset of sounds.
        listen: its `Dataset.listen`.
        turn: another number, another item.
    """
    left, right = st.columns(2)
    names, splits = [str(name) for name in data.classes], [split for split in data.splits if split != "train"]
    for key, there in (("heard", names), ("from", splits)):
        if st.session_state.get(key, there[0]) not in there:  # chosen for another dataset
            del st.session_state[key]
    name = left.selectbox("Listen to", names, key="heard", help="A class of sounds.", bind="query-params")
    number = names.index(name)
    split = right.selectbox(
        "From",
        splits,
        index=splits.index("test"),
        key="from",
        format_func=frames.split_name,
        help="Which test set.",
        bind="query-params",
    )
    rows = rows_of_class(data, number, split)
    if not len(rows):
        st.info("No item of this part is known to be of this class.", icon=":material/music_off:")
        return
    row = int(rows[turn % len(rows)])
    rate, samples = listen(row)
    st.audio(spectrograms.wav(rate, samples), format="audio/wav")
    seconds = (
        data.inputs.shape[-1] * spectrograms.HOP / rate
    )  # what a student gets may be shorter than the sound, or end in silence
    drawn = plot_spectrogram(data.inputs[row].mean(0), spectrograms.frequencies(rate), seconds)
    figure(drawn, "spectrogram", "Spectrogram of the sound: time to the right, frequency upwards")
    st.caption("  \n".join(f"{escape(name)}: **{escape(told)}**" for name, told in describe_item(data, row).items()))


@st.cache_resource(show_spinner=False)
def _chain_component() -> Callable[..., Any]:
    html, css, js = ((ASSETS / f"chain.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js"))
    return component("kd_chain", html=html, css=css, js=js)


def chain(words: dict[str, Any], accuracies: dict[str, Summary | None], picture: np.ndarray) -> None:
    """Show the chain with its numbers.

    Args:
        words: what the picture's placeholders are called -> what is written there.
        accuracies: "baseline", "raw", "compressed" -> mean and interval, None while they are not known.
        picture: (h, w) in [0, 1].
    """
    told = {name: "?" if value is None else f"{format_percent(value)} %" for name, value in accuracies.items()}
    bars = {name: value and value.mean for name, value in accuracies.items()}
    data = {"words": {name: str(word) for name, word in (words | told).items()}, "bars": bars, "picture": _png(picture)}
    _chain_component()(key="chain", data=data)


def _png(picture: np.ndarray) -> str:
    """Return a grey picture (h, w) in [0, 1] as a data address."""
    written = io.BytesIO()
    Image.fromarray((255 * np.clip(picture, 0, 1)).astype(np.uint8)).save(written, "PNG")
    return f"data:image/png;base64,{base64.b64encode(written.getvalue()).decode()}"
