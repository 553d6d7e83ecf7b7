"""The chain as a picture, teacher, compressor, student, with the numbers of the moment: on Start, and on Distill."""

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st
from PIL import Image
from streamlit.components.v2 import component

from kdlib.analysis.comparison import format_percent
from kdlib.results import Summary
from kdlib.spec import BASELINE, RAW, RunSpec

ASSETS = Path(__file__).parent.parent / "assets"


@st.cache_resource(show_spinner=False)
def load_component(name: str) -> Callable[..., Any]:
    """Return the component whose markup, style and script are `assets/<name>.html`, `.css` and `.js`."""
    html, css, js = ((ASSETS / f"{name}.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js"))
    return component(f"kd_{name}", html=html, css=css, js=js)


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
    load_component("chain")(key="chain", data=data)


def show_controls(spec: RunSpec, methods: Sequence[str], widths: tuple[int, int], parameters: int, item: str) -> None:
    """Show the chain that a spec sets; a click on a part opens the controls of that part.

    Args:
        spec: what is set.
        methods: to be compared.
        widths: of the embedding before and after compression; 0 where there is none or it is not known.
        parameters: of the student; 0 where that is not known.
        item: address of an item's picture.
    """
    before, after = widths
    compressors = [method for method in methods if method not in (BASELINE, RAW)]
    taught = any(method != BASELINE for method in methods)
    words = {
        "dataset": spec.dataset,
        "labels": f"{spec.labels:,} labels",
        "teacher": spec.teacher or "none yet",
        "teacher_width": f"{before:,} numbers an item" if before else "width not known yet",
        "compressor": ", ".join(compressors) or "none",
        "kept": f"{after:,} numbers an item" if after else "everything is kept",
        "weight": f"λ = {spec.distance_weight:g}",
        "loss": spec.loss.replace("_", " "),
        "student": f"{spec.student}, width {spec.width}",
        "parameters": f"{parameters:,} parameters" if parameters else "",
        "seeds": f"{spec.seeds} seed{'s' if spec.seeds > 1 else ''}",
        "epochs": f"{spec.epochs} epochs",
    }
    unused = [part for part, used in (("teacher", taught), ("compression", bool(compressors))) if not used]
    data = {"words": words, "picture": item, "widths": [before, after or before], "unused": unused}
    load_component("chain_controls")(key="chain-controls", data=data)


def _png(picture: np.ndarray) -> str:
    """Return a grey picture (h, w) in [0, 1] as a data address."""
    buffer = io.BytesIO()
    Image.fromarray((255 * np.clip(picture, 0, 1)).astype(np.uint8)).save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
