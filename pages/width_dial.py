"""The dial: a component that turns the width of a compressed embedding, on the page Dial and in lessons."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import streamlit as st
from streamlit.components.v2 import component

from kdlib import runs, spaces
from kdlib.analysis.failure import Failure
from kdlib.analysis.figures.style import COLOURS
from kdlib.analysis.widths import WidthReport
from kdlib.data import datasets
from kdlib.data.datasets import Dataset
from kdlib.spaces import width_jobs
from kdlib.spaces.width_jobs import PCA, TRAINED, WidthRequest
from pages import items, live, maps
from pages.chain import ASSETS
from pages.text import escape

SCRIPT = maps.SCRIPT.replace("maps", "dial")


@st.cache_resource(show_spinner=False)
def _component() -> Callable[..., Any]:
    html = (ASSETS / "dial" / "dial.html").read_text(encoding="utf-8")
    css = "".join((ASSETS / name).read_text(encoding="utf-8") for name in ("maps/maps.css", "dial/dial.css"))
    return component("kd_dial", html=html, css=css, js=SCRIPT)


def show_dial(run_id: str, member: int = 0, start: int | None = None, key: str = "dial") -> WidthReport | None:
    """Show the dial of a finished run that holds every width, or how far its numbers are; return these once there.

    Args:
        run_id: of a run whose method is in `width_jobs.nested_methods`.
        member: which seed.
        start: the width that is shown first; by default the whole width.
        key: of the component: one for each dial of a page.
    """
    request = WidthRequest(run_id, member)
    answer = width_jobs.cached(request)
    if isinstance(answer, Failure):
        st.error(f"The widths could not be measured: {escape(answer.reason)}", icon=":material/error:")
        if st.button("Try again", key=f"{key}-again"):
            width_jobs.discard(request)
            st.rerun()
        return None
    if answer is None:
        live.draw_while(lambda: _draw_waiting(request), active=True, every=live.EARLY_TICK)
        return None
    data = datasets.load(runs.get(run_id).spec.dataset)
    _component()(key=key, data=dial_data(answer, data, f"{run_id}-{member}", start))
    return answer


def _draw_waiting(request: WidthRequest) -> bool:
    """Show how far the numbers are; return whether they are still being made."""
    if width_jobs.request(request) is not None:
        return False
    share = width_jobs.read_progress(request)
    st.progress(share, text="Reading every width of this run: what a probe finds in it, which neighbours it keeps.")
    return True


def dial_data(report: WidthReport, data: Dataset, kind: str, start: int | None = None) -> dict[str, Any]:
    """Return what the component is sent.

    Args:
        report: of a run.
        data: its dataset.
        kind: names the report; another one turns the dial to its start.
        start: the width that is shown first; by default the last.
    """
    rows = data.splits["test"][report.shown]
    facts = maps.row_facts(data, rows, None)
    names = ["target", *data.attributes]
    colourings = [spaces.colours(name, data, rows, None, {}) for name in ("class", *data.attributes)]
    points = maps.point_table(rows, colourings[0], facts)
    for number, colouring in enumerate(colourings):
        points[f"colour{number}"] = np.asarray(colouring.codes, np.int16)
    widths = report.widths
    index = widths.index(min(widths, key=lambda width: abs(width - start))) if start else len(widths) - 1
    titles = {TRAINED: "Trained on the target", PCA: "PCA, knows no target"}
    shades = {TRAINED: COLOURS["compressed"], PCA: COLOURS["baseline"]}
    return {
        "kind": f"{kind}-{start}",
        "points": points,
        "frames": maps.coordinate_table(report.places),
        "panels": [{"name": name, "title": titles[name], "note": "", "colour": shades[name]} for name in report.places],
        "legend": maps.legend(colourings[0]),
        "facts": [{"name": fact.name, "names": [str(name) for name in fact.names]} for fact in facts],
        "item": "" if data.read else items.source(data),
        "when": [str(width) for width in widths],
        "live": False,
        "selected": [],
        "widths": widths,
        "start": index,
        "rawWidth": report.raw_width,
        "series": series(report),
        "colours": [{"name": n, "legend": maps.legend(each)} for n, each in zip(names, colourings, strict=True)],
    }


def series(report: WidthReport) -> list[dict[str, Any]]:
    """Return the curves of a report as the component draws them: the target, each attribute, neighbours, rank."""

    def entry(name: str, kind: str, help: str, pick: Callable[[Any], Sequence[float | None]], **lines: Any) -> dict:
        curves = {space: list(pick(report.scores[space])) for space in (TRAINED, PCA)}
        return {"name": name, "kind": kind, "help": help, **curves, "raw": None, "chance": None} | lines

    entries = [
        entry(
            "target" if name == "target" else name,
            "target" if name == "target" else "attribute",
            f"How well a linear probe reads {'the target' if name == 'target' else name} from so many numbers",
            lambda scores, name=name: scores.probes[name],
            raw=report.raw.probes[name][0],
            chance=chance,
        )
        for name, chance in report.chance.items()
    ]
    kept = "How many of its 10 nearest neighbours in the raw embedding a row keeps"
    rank = "How many directions are really used"
    return [
        *entries,
        entry("neighbours kept", "overlap", kept, lambda scores: scores.overlap, chance=report.overlap_chance),
        entry("effective rank", "rank", rank, lambda scores: scores.effective_rank),
    ]
