"""What the students say about an item: predictions side by side, its places on the maps, its nearest training items."""

import html
from collections.abc import Sequence

import numpy as np
import streamlit as st

from kdlib import spaces, trying
from kdlib.analysis import frames
from kdlib.analysis.figures.items import plot_item_map, plot_probabilities
from kdlib.analysis.figures.style import COLOURS
from kdlib.data import spectrograms
from kdlib.data.datasets import AUDIO, IMAGE, Dataset
from kdlib.store import RunInfo
from pages import items, show, tiles
from pages.maps import TITLES
from pages.text import escape

CARD = (
    "<div style='border-top:4px solid {colour};padding:.25rem 0 0'>"
    "<div style='font-size:.875rem;opacity:.8'>{label}</div>"
    "<div style='font-size:1.5rem;font-weight:600;line-height:1.2;overflow-wrap:anywhere'>{says}</div>"
    "<div style='font-size:.75rem;opacity:.8'>{facts}</div></div>"
)
SPACES = ("raw", "compressed", "student")
MOST_TAGS = 6  # that are named in a card


def show_seen(data: Dataset, item: trying.Item) -> None:
    """Show an item as the students get it."""
    seen = item.to_dataset()
    if data.modality in (IMAGE, AUDIO):
        picture = items.enlarged(items.picture(seen, 0, original=False), 160)
        st.image(
            items.address(picture), caption="As the students get it", width=160, alt="The item as the students get it"
        )
    if item.listen is not None:
        rate, wave = item.listen(0)
        st.audio(spectrograms.wav(rate, wave), format="audio/wav")
    if item.read is not None:
        words = " ".join(item.read(0).split())
        st.caption(escape(words if len(words) <= 400 else words[:399] + "…"))
    if item.row >= 0:
        st.caption(f"Its label: **{escape(_known_label(data, item.row))}**")
    if item.note:
        st.caption(escape(item.note))


def _known_label(data: Dataset, row: int) -> str:
    if not data.multi_label:
        return tiles.class_name(data, row)
    there = np.flatnonzero(np.nan_to_num(data.labels[row]) > 0)
    return ", ".join(str(data.classes[number]) for number in there) or "none that is known"


def show_predictions(data: Dataset, answer: trying.Answer) -> None:
    """Show what each run says, and the probabilities behind it."""
    labels = frames.run_labels([each.spec for each in answer.predictions])
    with st.container(key="says"):
        cells = st.columns(len(labels))
    for cell, label, each in zip(cells, labels, answer.predictions, strict=True):
        says, facts = _describe(data, each)
        colour = COLOURS[frames.method_role(each.spec)]
        words = {"label": html.escape(label), "says": html.escape(says), "facts": html.escape(facts)}
        cell.html(CARD.format(colour=colour, **words))
    if answer.unusual:
        st.warning(
            f"This is unlike anything seen in training: {answer.percentile:.1f} % of the validation items are nearer "
            "to a training item. What the students say about it means little.",
            icon=":material/warning:",
        )
    figure = plot_probabilities(trying.probability_table(answer.predictions, data.classes))
    show.figure(figure, "probabilities", "Probability of each class by each run, with interval and seeds")
    seeds = sorted({each.spec.seeds for each in answer.predictions})
    teacher = f" The teacher took {answer.teacher_ms:.1f} ms." if answer.teacher_ms is not None else ""
    usual = "" if answer.unusual else f" {answer.percentile:.0f} % of the validation items are nearer to training."
    dashes = " Dashes: thresholds from which a class counts as there." if data.multi_label else ""
    st.caption(
        f"Bars: mean over the seeds (n = {', '.join(map(str, seeds))}), whiskers: 95 % interval, dots: the seeds."
        f"{dashes}{usual}{teacher} Time is that of one student for this item, on this machine."
    )


def _describe(data: Dataset, each: trying.Prediction) -> tuple[str, str]:
    """Return what a run says in a word, and the facts about that."""
    seeds = len(each.probabilities)
    agreeing = f"{each.agreeing} of {seeds} seeds agree" if seeds > 1 else "1 seed"
    if data.multi_label:
        there = np.flatnonzero(each.chosen.mean(0) > 0.5)
        named = [str(data.classes[number]) for number in there[:MOST_TAGS]]
        says = ", ".join(named) + (" …" if len(there) > MOST_TAGS else "") or "none of the classes"
        return says, f"{agreeing} · {each.latency_ms:.2f} ms"
    share = 100 * each.probabilities.mean(0)[each.top]
    return str(data.classes[each.top]), f"{share:.0f} % · {agreeing} · {each.latency_ms:.2f} ms"


def show_places(data: Dataset, run: RunInfo, answer: trying.Answer, member: int, projection: str) -> None:
    """Show where the item falls in each space, with its nearest training items there."""
    maps = trying.item_maps(answer, run.id, member, projection)
    columns = st.columns(len(SPACES), gap="medium")
    for name, column in zip(SPACES, columns, strict=True):
        with column:
            st.html(
                f"<div style='border-bottom:3px solid {COLOURS[name]};font-weight:600;display:inline-block'>"
                f"{TITLES[name]}</div>"
            )
            if name in maps:
                _show_map(data, name, maps[name])
            if name in answer.placed:
                _show_nearest(data, name, answer.placed[name])
            elif name in answer.absent:
                st.caption(escape(answer.absent[name]))


def _show_map(data: Dataset, name: str, drawn: trying.ItemMap) -> None:
    colouring = spaces.colours("class", data, drawn.rows, None, {})
    figure = plot_item_map(drawn.places, colouring.codes, colouring.names, colouring.colours, drawn.item, drawn.nearest)
    show.figure(figure, f"map-{name}", f"Map of the training items in the {name} space, with this item as a star")
    if drawn.note:
        st.caption(escape(drawn.note))


def _show_nearest(data: Dataset, name: str, placed: trying.Placed) -> None:
    labels = spaces.first_label(data.labels[placed.rows])
    st.caption(f"Nearest training items{_counted(data, labels)}")
    tiles.show_tiles(data, placed.rows.tolist(), f"nearest-{name}")


def _counted(data: Dataset, labels: Sequence[int] | np.ndarray) -> str:
    """Return how often each class is there, ": 4 x seven, 2 x one"."""
    if data.multi_label:
        return ""
    values, counts = np.unique(np.asarray(labels), return_counts=True)
    order = np.argsort(-counts, kind="stable")
    names = [str(data.classes[values[i]]) if values[i] >= 0 else "not known" for i in order]
    return ": " + ", ".join(f"{counts[i]} × {escape(name)}" for i, name in zip(order, names, strict=True))
