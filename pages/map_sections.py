"""The sections below the maps of the Embeddings page: the scorecard, the replay, a table of the selected rows."""

from collections.abc import Sequence

import numpy as np
import streamlit as st

from kdlib import spaces
from kdlib.analysis.figures.accuracy import plot_probes
from kdlib.analysis.items import short_text
from kdlib.data.datasets import Dataset
from kdlib.results import RunResult
from kdlib.spaces import Scorecard, Spaces
from pages import items, show, sounds
from pages.glossary import show_text, term
from pages.maps import linked_maps, row_facts
from pages.text import escape

MAX_LISTED = 100  # selected rows that are listed
MAX_PLAYERS = 8  # of them that can be heard


def show_selection(data: Dataset, view: Spaces, selected: Sequence[int]) -> None:
    """List the selected rows with their pictures in a table.

    Args:
        data: the dataset.
        view: the rows in their spaces.
        selected: row numbers of the dataset.
    """
    position = {row: i for i, row in enumerate(view.rows.tolist())}
    positions = [position[row] for row in selected if row in position]
    if not positions:
        st.caption("Nothing is selected: draw around points in a map, or click one, and its row stands here.")
        return
    listed = positions[:MAX_LISTED]
    frame = spaces.row_table(data, view.rows[listed], view.logits[listed])
    if data.read:
        frame.insert(1, "text", [short_text(data, row) for row in view.rows[listed].tolist()])
    else:
        frame.insert(1, "picture", items.addresses(data, view.rows[listed].tolist()))
    words = "The selected rows with picture or text, class, prediction and attributes"
    show.table(frame, words, "" if data.read else "picture", height=420)
    if len(positions) > MAX_LISTED:
        st.caption(f"The first {MAX_LISTED} of {len(positions):,} selected rows.")
    sounds.show_players(data, view.rows[positions[:MAX_PLAYERS]].tolist())


def show_gallery(data: Dataset, rows: np.ndarray) -> None:
    """Show items in a row, each with its class."""
    if not len(rows):
        st.text("none")
        return
    labels = spaces.first_label(data.labels[rows])
    if data.read:
        names = [data.classes[label] if label >= 0 else "–" for label in labels]
        st.text("\n".join(f"{name}: {short_text(data, row)}" for name, row in zip(names, rows.tolist(), strict=True)))
        return
    captions = [escape(data.classes[label]) if label >= 0 else "–" for label in labels]
    alt = [f"item {row}, {caption}" for row, caption in zip(rows.tolist(), captions, strict=True)]
    st.image(items.addresses(data, rows.tolist()), caption=captions, width=56, alt=alt)


def show_scorecard(card: Scorecard, results: Sequence[RunResult], view: Spaces) -> None:
    """Show what a probe still reads from each space, and what the spaces say about one another."""
    if results and results[0].metrics:
        _show_probes(results[0], view)
    left, right = st.columns([3, 2], gap="large")
    with left:
        _show_pairs(card)
    with right:
        st.subheader("Space by space", help=term("effective rank"))
        show.table(spaces.space_table(card), "Width, effective rank and silhouette of each space")
        show_text("[[silhouette|Silhouette]] by class: -1 mixed up, 0 overlapping, 1 well apart.")
    for reason in card.undefined:
        st.caption(f"Undefined: {escape(reason)}.")


def _show_pairs(card: Scorecard) -> None:
    st.subheader("Pair by pair")
    if not card.pairs:
        st.info("A baseline has one space only, so there is no pair.", icon=":material/info:")
        return
    show.table(spaces.pair_table(card), "How alike each pair of spaces is")
    show_text(
        f"[[neighbour overlap|Overlap]]: how many of its {card.k} nearest neighbours a row keeps; by chance: the same "
        "with the rows of one space shuffled. [[linear cka|CKA]] and [[space correlation|distance correlation]]: 0 "
        f"unrelated, 1 the same up to scale and turn. {card.rows:,} rows."
    )


def _show_probes(result: RunResult, view: Spaces) -> None:
    frame = spaces.probe_table(result)
    if frame.empty:
        return
    st.subheader("What was kept, what was thrown away", help=term("probe"))
    show.figure(plot_probes(frame), "probes", "Probe accuracy in each space for the target and each attribute")
    st.caption(
        "How well a linear probe reads target and attributes from each space on test rows "
        f"(n = {view.spec.seeds}); dotted: chance."
    )


def show_replay(run_id: str, data: Dataset, active: bool) -> None:
    """Show how the spaces of a run formed, or form while it is active."""
    replay = spaces.replay(run_id)
    if replay is None:
        if active:
            st.info("The first snapshot comes in a moment.", icon=":material/hourglass_top:")
        else:
            st.info(
                "This run was trained before snapshots were kept; there is nothing to replay.", icon=":material/info:"
            )
        return
    when = [f"after epoch {epoch}" if epoch else "before training" for epoch in replay.epochs]
    linked_maps(
        "replay",
        data,
        replay.rows,
        replay.places,
        spaces.colours("class", data, replay.rows, None, {}),
        row_facts(data, replay.rows, None),
        when=when,
        active=active,
        kind=run_id,
    )
    st.caption(
        f"{len(replay.rows)} validation rows in the spaces of seed 0, {len(when)} snapshots, all drawn in the plane of "
        "the last (PCA), so what moves here has moved; the raw space does not change."
    )
