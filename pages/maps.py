"""What the Embeddings page shows: linked maps, selected rows, a row's neighbours, the scorecard, the replay."""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from streamlit.components.v2 import component

from kdlib import spaces
from kdlib.analysis.figures.accuracy import plot_probes
from kdlib.analysis.figures.style import COLOURS
from kdlib.analysis.projection import PROJECTIONS, Maps
from kdlib.data import spectrograms
from kdlib.data.datasets import Dataset
from kdlib.results import RunResult
from kdlib.spaces import Colouring, SpaceRequest, Spaces
from kdlib.spec import BASELINE
from pages import items, live, show
from pages.text import escape

PROJECTED = {"pca": "PCA", "umap": "UMAP", "tsne": "t-SNE", "aligned": "aligned UMAP"}  # others go by their own name
TITLES = {"raw": "Raw teacher", "compressed": "Compressed", "student": "Student"}
LISTED = 100  # selected rows that are listed
ADDRESSED = 250  # selected rows that fit into the address
PLAYERS = 8  # of them that can be heard
# The maps' script. Streamlit runs it from a blob, where relative imports lead nowhere, and serves files of installed packages only. So it
# imports the modules of assets/maps from the page's own server.
SCRIPT = """
const { default: maps } = await import(new URL("maps/index.js", document.baseURI).href);
export default maps;
"""


def projection_name(projection: str) -> str:
    """Return what a projection is called on the page."""
    return PROJECTED.get(projection, projection)


@st.cache_resource(show_spinner=False)
def _component() -> Callable[..., Any]:
    html, css = ((show.ASSETS / "maps" / name).read_text(encoding="utf-8") for name in ("maps.html", "maps.css"))
    return component("kd_maps", html=html, css=css, js=SCRIPT)


def linked_maps(
    key: str,
    data: Dataset,
    rows: np.ndarray,
    places: dict[str, np.ndarray],
    colouring: Colouring,
    facts: Sequence[dict[str, Any]],
    *,
    notes: dict[str, str] | None = None,
    when: Sequence[str] = (),
    selected: Sequence[int] = (),
    live: bool = False,
    kind: str = "",
) -> list[int]:
    """Show maps of the same rows and return the rows selected in them, as row numbers of the dataset.

    Args:
        key: of the component.
        data: whose items they are.
        rows: (n,) row numbers.
        places: space -> (n, 2), or (t, n, 2) with one name per time in `when`.
        colouring: of the rows.
        facts: what is told of a row: `{"name", "names", "codes"}`, codes (n,) into the names, -1 = not known.
        notes: space -> what is said below its map.
        when: names of the times.
        selected: rows that are selected to begin with.
        live: whether more times will come.
        kind: of maps; where it changes, zoom and position start anew.
    """
    points = {"row": rows.astype(np.int32), "code": colouring.codes}
    points |= {f"fact{i}": np.asarray(fact["codes"], np.int16) for i, fact in enumerate(facts)}
    flat = {name: value.reshape(-1, 2) for name, value in places.items()}
    frames = {f"{axis}{i}": value[:, j] for i, value in enumerate(flat.values()) for j, axis in enumerate("xy")}
    legend = zip(colouring.names, colouring.colours, colouring.shapes, strict=True)
    sent = {
        "kind": kind,
        "points": pd.DataFrame(points),
        "frames": pd.DataFrame(frames, copy=False).astype(np.float32),
        "panels": [
            {"name": name, "title": TITLES[name], "note": (notes or {}).get(name, ""), "colour": COLOURS[name]}
            for name in places
        ],
        "legend": [{"name": name, "colour": colour, "shape": shape} for name, colour, shape in legend],
        "facts": [{"name": fact["name"], "names": [str(name) for name in fact["names"]]} for fact in facts],
        "item": items.source(data),
        "when": list(when),
        "live": live,
    }
    if (
        key not in st.session_state
    ):  # afterwards the maps know themselves what is selected; telling them again would send everything anew
        st.session_state[f"{key} first"] = list(selected)
    sent["selected"] = st.session_state.get(f"{key} first", [])
    found = _component()(key=key, data=sent, default={"selected": sent["selected"]}, on_selected_change=lambda: None)
    return [int(row) for row in found["selected"] or []]


@st.cache_resource(max_entries=4, show_spinner="Reading the spaces")
def rows_of(run_id: str, split: str, member: int, ended: float) -> Spaces:  # noqa: ARG001
    """Return the rows of a finished run in its spaces; the last few stay in memory."""
    return spaces.load_spaces(run_id, split, member)


@st.cache_resource(max_entries=8, show_spinner=False)
def _drawn_now(key: str, _found: Spaces) -> tuple[np.ndarray, Maps]:  # noqa: ARG001
    return spaces.project_now(_found)


def show_waiting(asked: Sequence[SpaceRequest], found: Spaces, known: Sequence[dict[str, Any]]) -> None:
    """Say what the engine is still finding out, and draw the page anew when it is known; what failed can be asked again."""
    names = [
        f"drawing {projection_name(each.projection)}" if each.projection else "measuring the spaces" for each in asked
    ]
    for question, name, answer in zip(asked, names, known, strict=True):
        if "error" in answer:
            st.error(f"{name.capitalize()} failed: {escape(answer['error'])}", icon=":material/error:")
            if st.button("Try again", key=f"again-{name}"):
                spaces.discard(question, found)
                st.rerun()

    def look() -> bool:
        missing = [name for question, name in zip(asked, names, strict=True) if not spaces.request(question, found)]
        if missing:
            slow = " The first UMAP on a machine takes a minute." if len(asked) > 1 else ""
            st.progress(
                (len(asked) - len(missing)) / len(asked), text=f"In the background: {', '.join(missing)}.{slow}"
            )
        return bool(missing)

    live.draw_while(look, not all(known))


def side_by_side(
    data: Dataset, found: Spaces, question: SpaceRequest, by: str, card: dict[str, Any], drawn: dict[str, Any]
) -> list[int]:
    """Show the maps of a run and return the selected rows, as row numbers of the dataset.

    Args:
        data: the dataset.
        found: the rows in their spaces.
        question: what to draw.
        by: what to colour by.
        card: the scorecard, as far as it is known.
        drawn: the maps of a projection that takes long, as far as they are known.
    """
    if "places" in drawn:
        shown, places, notes, trust = drawn["shown"], drawn["places"], drawn["notes"], drawn["faithful"]
    else:
        shown, made = _drawn_now(found.key, found)
        places, notes = (
            dict(zip(found.spaces, made.places, strict=True)),
            dict(zip(found.spaces, made.notes, strict=True)),
        )
        trust = card.get("faithful", {})
        if not PROJECTIONS[question.projection].instant:
            notes = {
                name: f"PCA until {projection_name(question.projection)} is drawn. {note}".strip()
                for name, note in notes.items()
            }
    rows = found.rows[shown]
    try:
        colouring = spaces.colours(
            by, data, rows, found.logits[shown], {name: lost[shown] for name, lost in card.get("change", {}).items()}
        )
    except ValueError:
        note = "How much neighbourhoods changed is still being measured; until then rows are coloured by class."
        colouring = replace(spaces.colours("class", data, rows, None, {}), note=note)
    words = {name: faithful(trust.get(name), notes[name]) for name in places}
    if found.spec.method == BASELINE:
        st.info(
            "A baseline has no teacher, so there is no raw and no compressed space: this is the student's.",
            icon=":material/info:",
        )
    names = {name: places[name] for name in found.spaces}
    asked = st.query_params.get("row", "")
    same = st.session_state.setdefault("maps of", data.name) == data.name  # rows of another dataset are other items
    st.session_state["maps of"] = data.name
    first = [int(row) for row in asked.split(",")] if same and re.fullmatch("[0-9]{1,9}(,[0-9]{1,9})*", asked) else []
    key = f"maps-{hashlib.sha256(data.name.encode()).hexdigest()[:12]}"
    kind = f"{question.projection} {question.strength}" if "places" in drawn else "pca"
    chosen = linked_maps(
        key,
        data,
        rows,
        names,
        colouring,
        facts(data, rows, found.logits[shown]),
        kind=kind,
        notes=words,
        selected=first,
    )
    if 0 < len(chosen) <= ADDRESSED:
        st.query_params["row"] = ",".join(map(str, chosen))
    else:
        st.query_params.pop("row", None)
    sampled = ", drawn at random," if len(rows) < found.total else ""
    st.caption(
        f"{len(rows):,} of {found.total:,} rows{sampled} as seed {question.member} has them. {_how(question)} Each map is "
        "turned onto the first; neighbours and scores are those of the spaces themselves, not of the maps. "
        + colouring.note
    )
    return chosen


def _how(question: SpaceRequest) -> str:
    if not PROJECTIONS[question.projection].joint:
        return ""
    return f"Laid out together with strength {question.strength:g}: part of the agreement between these maps is made."


def facts(data: Dataset, rows: np.ndarray, logits: np.ndarray | None) -> list[dict[str, Any]]:
    """Return what the maps tell of each row: class, prediction, attributes."""
    told = [{"name": "class", "names": data.classes, "codes": spaces.first_label(data.labels[rows])}]
    if logits is not None:
        told.append(
            {"name": "prediction", "names": data.classes, "codes": spaces.predictions(logits, data.labels[rows])[0]}
        )
    return told + [
        {"name": name, "names": each.names, "codes": each.values[rows]} for name, each in data.attributes.items()
    ]


def faithful(score: dict[str, Any] | None, note: str = "") -> str:
    """Return how far a map can be trusted, in words."""
    if not score:
        return note or "How far it can be trusted is being measured."
    words = [f"{name} {score[name]:.2f}" for name in ("trustworthiness", "continuity") if score[name] is not None]
    measured = (
        f"{', '.join(words)} ({score['rows']:,} rows)" if words else "Too few rows to say how far it can be trusted"
    )
    return f"{note} {measured[0].upper() + measured[1:]}".strip()


def selection(data: Dataset, found: Spaces, chosen: Sequence[int]) -> None:
    """List the selected rows with their pictures; of a single one, show its neighbours."""
    place = {row: i for i, row in enumerate(found.rows.tolist())}
    here = [place[row] for row in chosen if row in place]
    if not here:
        st.caption(
            "Nothing is selected: draw around points in a map, or click one, to see the items and their neighbours."
        )
        return
    listed = here[:LISTED]
    frame = spaces.row_table(data, found.rows[listed], found.logits[listed])
    frame.insert(0, "picture", items.addresses(data, found.rows[listed].tolist()))
    height = min(420, 40 + 36 * len(frame))
    st.dataframe(
        frame,
        hide_index=True,
        height=height,
        column_config={"picture": st.column_config.ImageColumn(width="small")},
        alt="The selected rows with picture, class, prediction and attributes",
    )
    if len(here) > LISTED:
        st.caption(f"The first {LISTED} of {len(here):,} selected rows.")
    if data.listen:
        players(data, data.listen, found.rows[here[:PLAYERS]].tolist())
    if len(here) == 1:
        neighbours(data, found, here[0])


def players(data: Dataset, listen: Callable[[int], tuple[int, np.ndarray]], rows: Sequence[int]) -> None:
    """Show a player for each of some items that can be heard."""
    for cell, row in zip(show.grid(len(rows), 4), rows, strict=True):
        rate, samples = listen(row)
        with cell:
            st.caption(escape(data.ids[row] if len(data.ids) else row))
            st.audio(spectrograms.wav(rate, samples), format="audio/wav")


def neighbours(data: Dataset, found: Spaces, row: int) -> None:
    """Show which nearest neighbours a row keeps, loses and gains from space to space."""
    st.subheader("Its 10 nearest neighbours, in the spaces themselves")
    told = _changes(found.key, row, found)
    if not told:
        st.info(
            "A baseline has no teacher: there is no other space in which its neighbours could be compared.",
            icon=":material/info:",
        )
    for (a, b), change in told.items():
        st.markdown(f"**{TITLES[a]} → {TITLES[b]}**")
        if isinstance(change, str):
            st.info(escape(change), icon=":material/info:")
            continue
        for column, (kind, rows) in zip(st.columns(3), change.items(), strict=True):
            with column:
                st.caption(f"{kind}: {len(rows)}")
                gallery(data, found.rows[rows].tolist())


@st.cache_data(max_entries=200, show_spinner=False)
def _changes(key: str, row: int, _found: Spaces) -> dict[tuple[str, str], dict[str, np.ndarray] | str]:  # noqa: ARG001
    return spaces.neighbour_changes(_found, row)


def gallery(data: Dataset, rows: Sequence[int]) -> None:
    """Show items in a row, each with its class."""
    if not len(rows):
        st.text("none")
        return
    labels = spaces.first_label(data.labels[rows])
    told = [escape(data.classes[label]) if label >= 0 else "–" for label in labels]
    st.image(items.addresses(data, rows), caption=told, width=56)


def scorecard(card: dict[str, Any], results: Sequence[RunResult], found: Spaces) -> None:
    """Show what the spaces say about one another, and what a probe still reads from each."""
    if "pairs" not in card:
        st.info("The spaces are being measured.", icon=":material/hourglass_top:")
        return
    left, right = st.columns([3, 2], gap="large")
    with left:
        st.subheader("Pair by pair")
        if card["pairs"]:
            st.dataframe(
                spaces.pair_table(card), hide_index=True, placeholder="–", alt="How alike each pair of spaces is"
            )
            told = "Overlap: how many of its 10 nearest neighbours a row keeps; by chance: the same with the rows of one space shuffled. "
            st.caption(
                f"{told}CKA and distance correlation: 0 unrelated, 1 the same up to scale and turn. {card['n']:,} rows."
            )
        else:
            st.info("A baseline has one space only, so there is no pair.", icon=":material/info:")
    with right:
        st.subheader("Space by space")
        st.dataframe(
            spaces.space_table(card),
            hide_index=True,
            placeholder="–",
            alt="Width, effective rank and silhouette of each space",
        )
        st.caption(
            "Effective rank: how many directions are really used. Silhouette by class: -1 mixed up, 0 overlapping, 1 well apart."
        )
    for why in card["undefined"]:
        st.caption(f"Undefined: {escape(why)}.")
    frame = spaces.probe_table(results[0]) if results and results[0].metrics else pd.DataFrame()
    if not frame.empty:
        st.subheader("What was kept, what was thrown away")
        show.figure(plot_probes(frame), "probes", "Probe accuracy in each space for the target and each attribute")
        st.caption(
            f"How well a linear probe reads target and attributes from each space on test rows (n = {found.spec.seeds}); dotted: chance."
        )


def replay(run_id: str, data: Dataset, live: bool) -> None:
    """Show how the spaces of a run formed, or form."""
    found = spaces.replay(run_id)
    if found is None:
        told = (
            "The first snapshot comes in a moment."
            if live
            else "This run was trained before snapshots were kept; there is nothing to replay."
        )
        st.info(told, icon=":material/hourglass_top:" if live else ":material/info:")
        return
    colouring = spaces.colours("class", data, found.rows, None, {})
    when = [f"after epoch {epoch}" if epoch else "before training" for epoch in found.epochs]
    linked_maps(
        "replay",
        data,
        found.rows,
        found.places,
        colouring,
        facts(data, found.rows, None),
        when=when,
        live=live,
        kind=run_id,
    )
    st.caption(
        f"{len(found.rows)} validation rows in the spaces of seed 0, {len(when)} snapshots, all drawn in the plane of the last "
        "(PCA), so what moves here has moved; the raw space does not change."
    )
