"""Items as tiles: a component of our own in which one is chosen, listened to, or only looked at."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import streamlit as st
from streamlit.components.v2 import component

from kdlib import spaces
from kdlib.analysis.items import short_text
from kdlib.data.datasets import Dataset
from pages import items
from pages.chain import ASSETS


@st.cache_resource(show_spinner=False)
def _component() -> Callable[..., Any]:
    html, css, js = ((ASSETS / f"tiles.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js"))
    return component("kd_tiles", html=html, css=css, js=js)


def class_name(data: Dataset, row: int) -> str:
    """Return the class of an item, the first of several known ones."""
    label = int(spaces.first_label(data.labels[row : row + 1])[0])
    return str(data.classes[label]) if label >= 0 else "–"


def show_tiles(
    data: Dataset,
    rows: Sequence[int],
    key: str,
    *,
    choose: bool = False,
    chosen: int = -1,
    on_choose: Callable[[], None] | None = None,
) -> int:
    """Show items as tiles and return the row that was clicked last, -1 for none.

    Args:
        data: whose items they are.
        rows: their numbers.
        key: of the component.
        choose: whether a click chooses; otherwise it plays what can be heard.
        chosen: the row that is marked.
        on_choose: called when one is clicked.
    """
    mode: Literal["choose", "listen", "look"] = "choose" if choose else "listen" if data.listen else "look"
    state = {
        "tiles": [
            {"row": int(row), "caption": class_name(data, int(row)), "text": short_text(data, int(row))} for row in rows
        ],
        "mode": mode,
        "picture": "" if data.read else items.source(data),
        "sound": items.sound_source(data) if data.listen else "",
        "chosen": chosen,
    }
    shown = _component()(
        key=key, data=state, default={"chosen": -1}, on_chosen_change=on_choose or (lambda: None), height="content"
    )
    return int(shown["chosen"])
