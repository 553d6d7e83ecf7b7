"""The linked maps of the Embeddings page: their component, what is sent to it, and waiting for what is computed."""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from streamlit.components.v2 import component

from kdlib import spaces
from kdlib.analysis.figures.style import COLOURS
from kdlib.analysis.items import short_text
from kdlib.analysis.projection import PROJECTIONS, Maps
from kdlib.data.datasets import Dataset
from kdlib.spaces import Colouring, Failure, Scorecard, SpaceMaps, SpaceRequest, Spaces
from kdlib.spec import BASELINE, RunSpec
from pages import items, live
from pages.chain import ASSETS
from pages.text import escape

PROJECTED = {"pca": "PCA", "umap": "UMAP", "tsne": "t-SNE", "aligned": "aligned UMAP"}  # others go by their own name
TITLES = {"raw": "Raw teacher", "compressed": "Compressed", "student": "Student"}
MAX_ADDRESSED = 250  # selected rows that fit into the address
ROW_LIST = re.compile("[0-9]{1,9}(,[0-9]{1,9})*")
# The maps' script. Streamlit runs it from a blob, where relative imports lead nowhere, and serves files of installed
# packages only. So it imports the modules of assets/maps from the page's own server.
SCRIPT = """
const { default: maps } = await import(new URL("maps/index.js", document.baseURI).href);
export default maps;
"""


@dataclass(frozen=True)
class Fact:
    """What is known of each row in one respect.

    Attributes:
        name: class, prediction, or of an attribute.
        names: what its values are called.
        codes: (n,) into the names, -1 = not known.
    """

    name: str
    names: Sequence[str]
    codes: np.ndarray


def projection_name(projection: str) -> str:
    """Return what a projection is called on the page."""
    return PROJECTED.get(projection, projection)


@st.cache_resource(show_spinner=False)
def _component() -> Callable[..., Any]:
    html, css = ((ASSETS / "maps" / name).read_text(encoding="utf-8") for name in ("maps.html", "maps.css"))
    return component("kd_maps", html=html, css=css, js=SCRIPT)


def why_student_only(spec: RunSpec) -> str:
    """Return why a run has no raw and no compressed space, in words."""
    if spec.method == BASELINE:
        return "A baseline has no teacher, so there is no raw and no compressed space"
    return "This run was imported without what its teacher gave, so there is no raw and no compressed space"


def linked_maps(
    key: str,
    data: Dataset,
    rows: np.ndarray,
    places: Mapping[str, np.ndarray],
    colouring: Colouring,
    facts: Sequence[Fact],
    *,
    notes: Mapping[str, str] | None = None,
    when: Sequence[str] = (),
    selected: Sequence[int] = (),
    active: bool = False,
    kind: str = "",
) -> list[int]:
    """Show maps of the same rows and return the rows selected in them, as row numbers of the dataset.

    Args:
        key: of the component.
        data: whose items they are.
        rows: (n,) row numbers.
        places: space -> (n, 2), or (t, n, 2) with one name per time in `when`.
        colouring: of the rows.
        facts: shown of a row where a pointer rests on it.
        notes: space -> what is said below its map.
        when: names of the times.
        selected: rows that are selected to begin with.
        active: whether more times will come.
        kind: of maps; where it changes, zoom and position start anew.
    """
    first = f"{key} first"
    if key not in st.session_state:  # afterwards the maps know the selection; sending it again would send all anew
        st.session_state[first] = list(selected)
    state = {
        "kind": kind,
        "points": point_table(rows, colouring, facts),
        "frames": coordinate_table(places),
        "panels": [
            {"name": name, "title": TITLES[name], "note": (notes or {}).get(name, ""), "colour": COLOURS[name]}
            for name in places
        ],
        "legend": legend(colouring),
        "facts": [{"name": fact.name, "names": [str(name) for name in fact.names]} for fact in facts],
        "item": "" if data.read else items.source(data),
        "when": list(when),
        "live": active,
        "selected": st.session_state.get(first, []),
    }
    default = {"selected": state["selected"]}
    shown = _component()(key=key, data=state, default=default, on_selected_change=lambda: None)
    return [int(row) for row in shown["selected"] or []]


def point_table(rows: np.ndarray, colouring: Colouring, facts: Sequence[Fact]) -> pd.DataFrame:
    """Return a line per row: its number in the dataset, its colour, and the value of each fact."""
    columns = {"row": rows.astype(np.int32), "code": colouring.codes}
    return pd.DataFrame(columns | {f"fact{i}": np.asarray(fact.codes, np.int16) for i, fact in enumerate(facts)})


def coordinate_table(places: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Return columns x0, y0, x1, y1, ... of the spaces, float32; the times of a replay below one another."""
    flat = [value.reshape(-1, 2) for value in places.values()]
    columns = {f"{axis}{i}": value[:, j] for i, value in enumerate(flat) for j, axis in enumerate("xy")}
    return pd.DataFrame(columns, copy=False).astype(np.float32)


def legend(colouring: Colouring) -> list[dict[str, Any]]:
    entries = zip(colouring.names, colouring.colours, colouring.shapes, strict=True)
    return [{"name": name, "colour": colour, "shape": shape} for name, colour, shape in entries]


@st.cache_resource(max_entries=4, show_spinner="Reading the spaces")
def load_rows(run_id: str, split: str, member: int, ended: float) -> Spaces:  # noqa: ARG001
    """Return the rows of a finished run in its spaces; the last few stay in memory."""
    return spaces.load_spaces(run_id, split, member)


@st.cache_resource(max_entries=8, show_spinner=False)
def _project_now(key: str, _rows: Spaces) -> tuple[np.ndarray, Maps]:  # noqa: ARG001
    return spaces.project_now(_rows)


def show_waiting(
    requests: Sequence[SpaceRequest], rows: Spaces, answers: Sequence[Scorecard | SpaceMaps | Failure | None]
) -> None:
    """Show what the engine is still computing, and draw the page anew when it is done.

    What failed can be requested again.

    Args:
        requests: what the page shows.
        rows: in whose spaces.
        answers: what is known of each.
    """
    names = [
        f"drawing {projection_name(each.projection)}" if each.projection else "measuring the spaces"
        for each in requests
    ]
    for request, name, answer in zip(requests, names, answers, strict=True):
        if isinstance(answer, Failure):
            st.error(f"{name.capitalize()} failed: {escape(answer.reason)}", icon=":material/error:")
            if st.button("Try again", key=f"again-{name}"):
                spaces.discard(request, rows)
                st.rerun()

    def draw() -> bool:
        missing = [name for request, name in zip(requests, names, strict=True) if not spaces.request(request, rows)]
        if missing:
            slow = " The first UMAP on a machine takes a minute." if len(requests) > 1 else ""
            share = (len(requests) - len(missing)) / len(requests)
            st.progress(share, text=f"In the background: {', '.join(missing)}.{slow}")
        return bool(missing)

    live.draw_while(draw, not all(answers))


def show_maps(
    data: Dataset, view: Spaces, request: SpaceRequest, by: str, card: Scorecard | None, layout: SpaceMaps | None
) -> list[int]:
    """Show the maps of a run and return the selected rows, as row numbers of the dataset.

    Args:
        data: the dataset.
        view: the rows in their spaces.
        request: what to draw.
        by: what to colour by.
        card: the scorecard, if it is known.
        layout: the maps of a projection that takes long, if they are known; PCA is shown until then.
    """
    shown, places, notes = _layout(view, request, layout, card)
    rows = view.rows[shown]
    change = {name: lost[shown] for name, lost in card.change.items()} if card else {}
    try:
        colouring = spaces.colours(by, data, rows, view.logits[shown], change)
    except ValueError:
        note = "How much neighbourhoods changed is still being measured; until then rows are coloured by class."
        colouring = replace(spaces.colours("class", data, rows, None, {}), note=note)
    if list(view.spaces) == ["student"]:
        st.info(f"{why_student_only(view.spec)}: this is the student's.", icon=":material/info:")
    selected = linked_maps(
        f"maps-{hashlib.sha256(data.name.encode()).hexdigest()[:12]}",
        data,
        rows,
        places,
        colouring,
        row_facts(data, rows, view.logits[shown]),
        kind=f"{request.projection} {request.strength}" if layout else "pca",
        notes=notes,
        selected=_addressed_rows(data),
    )
    if 0 < len(selected) <= MAX_ADDRESSED:
        st.query_params["row"] = ",".join(map(str, selected))
    else:
        st.query_params.pop("row", None)
    sampled = ", drawn at random," if len(rows) < view.total else ""
    st.caption(
        f"{len(rows):,} of {view.total:,} rows{sampled} as seed {request.member} has them. {_how(request)} Each map is "
        "turned onto the first; neighbours and scores are those of the spaces themselves, not of the maps. "
        + colouring.note
    )
    return selected


def _layout(
    view: Spaces, request: SpaceRequest, layout: SpaceMaps | None, card: Scorecard | None
) -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, str]]:
    """Return which rows are drawn, space -> their places (r, 2), and space -> what is said below its map."""
    if layout:
        shown, notes, trust = layout.shown, layout.notes, layout.faithful
        places = {name: layout.places[name] for name in view.spaces}
    else:
        shown, maps = _project_now(view.key, view)
        places = dict(zip(view.spaces, maps.places, strict=True))
        notes = dict(zip(view.spaces, maps.notes, strict=True))
        trust = card.faithful if card else {}
        if not PROJECTIONS[request.projection].instant:
            waiting = f"PCA until {projection_name(request.projection)} is drawn."
            notes = {name: f"{waiting} {note}".strip() for name, note in notes.items()}
    return shown, places, {name: describe_trust(trust.get(name), notes[name]) for name in places}


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


def row_facts(data: Dataset, rows: np.ndarray, logits: np.ndarray | None) -> list[Fact]:
    """Return what the maps show of each row: class, prediction, attributes, the beginning of a text."""
    facts = [Fact("class", data.classes, spaces.first_label(data.labels[rows]))]
    if logits is not None:
        facts.append(Fact("prediction", data.classes, spaces.predictions(logits, data.labels[rows])[0]))
    facts += [Fact(name, each.names, each.values[rows]) for name, each in data.attributes.items()]
    if data.read:
        facts.append(Fact("text", [short_text(data, int(row)) for row in rows], np.arange(len(rows))))
    return facts


def describe_trust(score: Mapping[str, Any] | None, note: str = "") -> str:
    """Return in words how far a map can be trusted.

    Args:
        score: from `projection.faithfulness`, None while it is being measured.
        note: what else is said of the map.
    """
    if not score:
        return note or "How far it can be trusted is being measured."
    words = [f"{name} {score[name]:.2f}" for name in ("trustworthiness", "continuity") if score[name] is not None]
    measured = (
        f"{', '.join(words)} ({score['rows']:,} rows)" if words else "Too few rows to say how far it can be trusted"
    )
    return f"{note} {measured[0].upper() + measured[1:]}".strip()
