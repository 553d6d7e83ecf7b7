"""The maps of a run on the Embeddings page: what is sent to them, and what is said at each while it is computed."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import streamlit as st

from kdlib import spaces
from kdlib.analysis.figures.style import COLOURS
from kdlib.analysis.items import short_text
from kdlib.analysis.projection import PROJECTIONS, Maps
from kdlib.data.datasets import Dataset
from kdlib.spaces import Colouring, Failure, Neighbourhood, Scorecard, SpaceMaps, SpaceRequest, Spaces
from pages.glossary import term
from pages.maps import linked_maps, projection_name, row_facts, why_student_only
from pages.tiles import class_name

MAX_ADDRESSED = 250  # selected rows that fit into the address
ROW_LIST = re.compile("[0-9]{1,9}(,[0-9]{1,9})*")


@dataclass(frozen=True)
class Drawn:
    """What the maps draw.

    Attributes:
        shown: (r,) which of the rows.
        places: space -> (r, 2).
        labels: space -> what is said at its map.
    """

    shown: np.ndarray
    places: dict[str, np.ndarray]
    labels: dict[str, dict[str, Any]]


@st.cache_resource(max_entries=4, show_spinner="Reading the spaces")
def load_rows(run_id: str, split: str, member: int, ended: float) -> Spaces:  # noqa: ARG001
    """Return the rows of a finished run in its spaces; the last few stay in memory."""
    return spaces.load_spaces(run_id, split, member)


@st.cache_resource(max_entries=8, show_spinner=False)
def _project_now(key: str, _rows: Spaces) -> tuple[np.ndarray, Maps]:  # noqa: ARG001
    return spaces.project_now(_rows)


def show_maps(
    data: Dataset,
    view: Spaces,
    request: SpaceRequest,
    by: str,
    card: Scorecard | Failure | None,
    layout: SpaceMaps | Failure | None,
) -> list[int]:
    """Show the maps of a run and return the selected rows, as row numbers of the dataset.

    Args:
        data: the dataset.
        view: the rows in their spaces.
        request: what to draw.
        by: what to colour by.
        card: the scorecard, None while it is measured.
        layout: the maps of a projection that takes long, None while they are made; PCA is shown until then.
    """
    drawn = _layout(view, request, layout, card)
    rows = view.rows[drawn.shown]
    colouring = _colour(by, data, view, drawn.shown, card)
    key, addressed = f"maps-{hashlib.sha256(data.name.encode()).hexdigest()[:12]}", _addressed_rows(data)
    before = (st.session_state[key]["selected"] or []) if key in st.session_state else addressed
    selected = linked_maps(
        key,
        data,
        rows,
        drawn.places,
        colouring,
        row_facts(data, rows, view.logits[drawn.shown]),
        labels=drawn.labels,
        neighbours=_neighbours(data, view, before),
        kind=f"{request.projection} {request.strength}" if isinstance(layout, SpaceMaps) else "pca",
        selected=addressed,
    )
    if 0 < len(selected) <= MAX_ADDRESSED:
        st.query_params["row"] = ",".join(map(str, selected))
    else:
        st.query_params.pop("row", None)
    alone = f"{why_student_only(view.spec)}: this is the student's. " if list(view.spaces) == ["student"] else ""
    sampled = ", drawn at random," if len(rows) < view.total else ""
    st.caption(
        f"{alone}{len(rows):,} of {view.total:,} rows{sampled} as seed {request.member} has them. {_how(request)} "
        "Each map is turned onto the first; neighbours and scores are those of the spaces themselves, not of the maps. "
        + colouring.note
    )
    return selected


def _colour(by: str, data: Dataset, view: Spaces, shown: np.ndarray, card: Scorecard | Failure | None) -> Colouring:
    """Return the colours of the rows that are drawn; those of the class while others are not known."""
    change = {name: lost[shown] for name, lost in card.change.items()} if isinstance(card, Scorecard) else {}
    try:
        return spaces.colours(by, data, view.rows[shown], view.logits[shown], change)
    except ValueError:
        note = "How much neighbourhoods changed is still being measured; until then rows are coloured by class."
        return replace(spaces.colours("class", data, view.rows[shown], None, {}), note=note)


def _layout(
    view: Spaces,
    request: SpaceRequest,
    layout: SpaceMaps | Failure | None,
    card: Scorecard | Failure | None,
) -> Drawn:
    """Return what the maps draw, and what is said at each."""
    labels: dict[str, dict[str, Any]] = {}
    if isinstance(layout, SpaceMaps):
        shown, notes, trust = layout.shown, layout.notes, layout.faithful
        places = {name: layout.places[name] for name in view.spaces}
    else:
        shown, maps = _project_now(view.key, view)
        places = dict(zip(view.spaces, maps.places, strict=True))
        notes = dict(zip(view.spaces, maps.notes, strict=True))
        trust = card.faithful if isinstance(card, Scorecard) else {}
        if not PROJECTIONS[request.projection].instant:
            notes = {name: f"PCA, not {projection_name(request.projection)}. {note}" for name, note in notes.items()}
            labels = {} if layout else _waiting(view, request)
    for name in places:
        words = describe_trust(trust.get(name), notes[name], measuring=card is None)
        labels[name] = labels.get(name, {}) | {"note": words, "help": term("trustworthiness")}
    return Drawn(shown, places, labels)


def _waiting(view: Spaces, request: SpaceRequest) -> dict[str, dict[str, Any]]:
    """Return what is said in each map while a projection that takes long is made."""
    name, number = projection_name(request.projection), spaces.laying_out(request, view)
    slow = " The first on a machine takes a minute."
    if number is None:
        return {space: {"waiting": f"{name} waits for a free worker."} for space in view.spaces}
    if PROJECTIONS[request.projection].joint:
        return {
            space: {"waiting": f"Laying out all maps together by {name}.{slow}", "moving": True}
            for space in view.spaces
        }
    words = {}
    for at, space in enumerate(view.spaces):
        if at < number:
            words[space] = {"waiting": f"{name} is ready; the others follow."}
        elif at == number:
            words[space] = {"waiting": f"Laying out by {name}.{slow if at == 0 else ''}", "moving": True}
        else:
            words[space] = {"waiting": f"{name} comes after the one on the left."}
    return words


def _neighbours(data: Dataset, view: Spaces, selected: list[int]) -> dict[str, Any]:
    """Return the neighbours of a single selected row as the component shows them, {} for several or none."""
    if len(selected) != 1 or selected[0] not in view.rows:
        return {}
    position = int(np.flatnonzero(view.rows == selected[0])[0])
    found = _find(view.key, data.name, position, view, data)
    if isinstance(found, str):
        return {"row": selected[0], "words": [found], "groups": [], "shared": {}, "legend": ""}
    logits = dict(zip(view.rows.tolist(), range(len(view.rows)), strict=True))

    def item(row: int, same: bool) -> dict[str, Any]:
        facts = row_facts(data, np.array([row]), view.logits[[logits[row]]])
        about = ", ".join(f"{each.name} {each.names[each.codes[0]]}" for each in facts if each.codes[0] >= 0)
        return {
            "row": row,
            "caption": class_name(data, row),
            "text": short_text(data, row) if data.read else "",
            "about": about,
            "same": same,
        }

    groups = []
    for each in found:
        same = each.shared.get("class", np.zeros(len(each.rows), bool)).tolist()
        items = [item(row, marked) for row, marked in zip(each.rows.tolist(), same, strict=True)]
        title = f"Nearest in the {each.space} space"
        groups.append({"name": each.space, "title": title, "colour": COLOURS[each.space], "items": items})
    words = [spaces.describe_neighbourhoods(found)]
    if len(found) == 1:
        words.append("There is no teacher here, so no raw and no compressed space to compare with.")
    shared = {name: " → ".join(str(each.count(name)) for each in found) for name in found[0].shared}
    legend = f"of {len(found[0].rows)} neighbours share it: {' → '.join(each.space for each in found)}"
    words = [each for each in words if each]
    return {"row": selected[0], "words": words, "groups": groups, "shared": shared, "legend": legend if shared else ""}


@st.cache_data(max_entries=200, show_spinner=False)
def _find(  # the keys stand for the rows, which are too large to be hashed at each click
    key: str,  # noqa: ARG001
    dataset: str,  # noqa: ARG001
    position: int,
    _view: Spaces,
    _data: Dataset,
) -> list[Neighbourhood] | str:
    try:
        return spaces.find_neighbourhoods(_view, _data, position)
    except ValueError as error:
        return str(error).removeprefix("undefined: ").capitalize() + "."


def _addressed_rows(data: Dataset) -> list[int]:
    """Return the rows that the address selects; none if it was written for another dataset, with other items."""
    same = st.session_state.setdefault("maps of", data.name) == data.name
    st.session_state["maps of"] = data.name
    rows = st.query_params.get("row", "")
    return [int(row) for row in rows.split(",")] if same and ROW_LIST.fullmatch(rows) else []


def _how(request: SpaceRequest) -> str:
    if not PROJECTIONS[request.projection].joint:
        return ""
    return f"Laid out together with strength {request.strength:g}: part of the agreement between these maps is made."


def describe_trust(score: Mapping[str, Any] | None, note: str = "", *, measuring: bool = False) -> str:
    """Return in words how far a map can be trusted.

    Args:
        score: from `projection.faithfulness`, None while it is not known.
        note: what else is said of the map.
        measuring: whether the score is still being measured.
    """
    if not score:
        return f"{note} How far this map can be trusted is being measured.".strip() if measuring else note.strip()
    words = [f"{name} {score[name]:.2f}" for name in ("trustworthiness", "continuity") if score[name] is not None]
    rows = f"over {score['rows']:,} rows"
    measured = (
        f"This map: {', '.join(words)} {rows}." if words else "Too few rows to say how far this map can be trusted."
    )
    return f"{note} {measured}".strip()
