"""Linked maps: their component and what is sent to it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from streamlit.components.v2 import component

from kdlib import spaces
from kdlib.analysis.figures.style import COLOURS
from kdlib.analysis.items import short_text
from kdlib.data.datasets import Dataset
from kdlib.spaces import Colouring
from kdlib.spec import BASELINE, RunSpec
from pages import items
from pages.chain import ASSETS

PROJECTED = {"pca": "PCA", "umap": "UMAP", "tsne": "t-SNE", "aligned": "aligned UMAP"}  # others go by their own name
TITLES = {"raw": "Raw teacher", "compressed": "Compressed", "student": "Student"}
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
    labels: Mapping[str, Mapping[str, Any]] | None = None,
    neighbours: Mapping[str, Any] | None = None,
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
        labels: space -> what is said at its map: "note", "help", "waiting", "moving" of `PanelLabel` in types.js.
        neighbours: of a single selected row, as `Neighbours` in types.js has them; {} where they come with one.
        when: names of the times.
        selected: rows that are selected to begin with.
        active: whether more times will come.
        kind: of maps; where it changes, zoom and position start anew.
    """
    if key not in st.session_state:  # afterwards the maps know the selection; sending it again would send all anew
        st.session_state[f"{key} first"] = list(selected)
    state = {
        "kind": kind,
        "points": point_table(rows, colouring, facts),
        "frames": coordinate_table(places),
        "panels": _panels(places, labels or {}),
        "legend": legend(colouring),
        "facts": [{"name": fact.name, "names": [str(name) for name in fact.names]} for fact in facts],
        **_sources(data),
        "neighbours": neighbours or None,
        "explains": neighbours is not None,
        "when": list(when),
        "live": active,
        "selected": st.session_state.get(f"{key} first", []),
    }
    begin = {"selected": state["selected"]}
    shown = _component()(key=key, data=state, default=begin, on_selected_change=lambda: None)
    return [int(row) for row in shown["selected"] or []]


def _sources(data: Dataset) -> dict[str, str]:
    """Return where the maps find pictures and sounds, "" where there are none."""
    return {
        "item": "" if data.read else items.source(data),
        "sound": items.sound_source(data) if data.listen else "",
    }


def _panels(names: Iterable[str], labels: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    common = {name: {"name": name, "title": TITLES[name], "note": "", "colour": COLOURS[name]} for name in names}
    return [each | dict(labels.get(name, {})) for name, each in common.items()]


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


def row_facts(data: Dataset, rows: np.ndarray, logits: np.ndarray | None) -> list[Fact]:
    """Return what the maps show of each row: class, prediction, attributes, the beginning of a text."""
    facts = [Fact("class", data.classes, spaces.first_label(data.labels[rows]))]
    if logits is not None:
        facts.append(Fact("prediction", data.classes, spaces.predictions(logits, data.labels[rows])[0]))
    facts += [Fact(name, each.names, each.values[rows]) for name, each in data.attributes.items()]
    if data.read:
        facts.append(Fact("text", [short_text(data, int(row)) for row in rows], np.arange(len(rows))))
    return facts
