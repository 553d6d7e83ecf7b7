"""The chain as a picture, teacher, compressor, student, with the numbers of the moment: the controls of Distill."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.components.v2 import component

from kdlib.names import METHODS, TEACHERS
from kdlib.spec import BASELINE, NESTED, RAW, RunSpec, grid_values

ASSETS = Path(__file__).parent.parent / "assets"


@st.cache_resource(show_spinner=False)
def load_component(name: str) -> Callable[..., Any]:
    """Return the component whose markup, style and script are `assets/<name>.html`, `.css` and `.js`."""
    html, css, js = ((ASSETS / f"{name}.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js"))
    return component(f"kd_{name}", html=html, css=css, js=js)


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
    weights = grid_values(spec.distance_weight)
    words = {
        "dataset": spec.dataset,
        "labels": f"{spec.labels:,} labels",
        "teacher": TEACHERS.get(spec.teacher, spec.teacher) or "none yet",
        "teacher_width": f"{before:,} numbers an item" if before else "width not known yet",
        "compressor": ", ".join(METHODS.get(name, name) for name in compressors) or "none",
        "kept": _describe_kept(spec, methods, after),
        "weight": f"λ = {' to '.join(f'{each:g}' for each in dict.fromkeys((weights[0], weights[-1])))}",
        "loss": spec.loss.replace("_", " "),
        "student": f"{spec.student}, width {spec.width}",
        "parameters": f"{parameters:,} parameters" if parameters else "",
        "seeds": f"{spec.seeds} seed{'s' if spec.seeds > 1 else ''}",
        "epochs": f"{spec.epochs} epochs",
    }
    unused = [part for part, used in (("teacher", taught), ("compression", bool(compressors))) if not used]
    data = {"words": words, "picture": item, "widths": [before, after or before], "unused": unused}
    load_component("chain_controls")(key="chain-controls", data=data)


def _describe_kept(spec: RunSpec, methods: Sequence[str], width: int) -> str:
    """Return how many numbers are kept, in words; of a grid of prefixes from the fewest to all."""
    fewest = grid_values(spec.prefix)[0]
    if width and fewest and set(methods) & set(NESTED):
        return f"{fewest:,} to {width:,} numbers an item" if fewest < width else f"{width:,} numbers an item"
    return f"{width:,} numbers an item" if width else "everything is kept"
