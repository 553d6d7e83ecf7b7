"""The picture of the chain on Start: teacher, compressor, student, with the numbers of the moment."""

import base64
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st
from PIL import Image
from streamlit.components.v2 import component

from kdlib.analysis.comparison import format_percent
from kdlib.results import Summary

ASSETS = Path(__file__).parent.parent / "assets"


@st.cache_resource(show_spinner=False)
def _component() -> Callable[..., Any]:
    html, css, js = ((ASSETS / f"chain.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js"))
    return component("kd_chain", html=html, css=css, js=js)


def show_chain(
    words: Mapping[str, object], accuracies: Mapping[str, Summary | None], picture: np.ndarray | None
) -> None:
    """Show the chain with its numbers.

    Args:
        words: placeholder of the picture -> what is written there.
        accuracies: "baseline", "raw", "compressed" -> mean and interval, None while they are not known.
        picture: (h, w) in [0, 1], what the teacher and the student see; None while it is being loaded.
    """
    scores = {role: "?" if value is None else f"{format_percent(value)} %" for role, value in accuracies.items()}
    data = {
        "words": {name: str(word) for name, word in (dict(words) | scores).items()},
        "bars": {role: value and value.mean for role, value in accuracies.items()},
        "picture": "" if picture is None else _png(picture),
    }
    _component()(key="chain", data=data)


def _png(picture: np.ndarray) -> str:
    """Return a grey picture (h, w) in [0, 1] as a data address."""
    buffer = io.BytesIO()
    Image.fromarray((255 * np.clip(picture, 0, 1)).astype(np.uint8)).save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
