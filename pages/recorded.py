"""The recorded race on pages that have no run to show yet: labelled as recorded, never among runs of this server."""

import pandas as pd
import streamlit as st

from kdlib import spaces
from kdlib.analysis.comparison import format_percent
from kdlib.data import datasets
from kdlib.names import method_name, teacher_name
from kdlib.recording import Recording, load_recording
from kdlib.spec import BASELINE
from pages import sections, show
from pages.maps import linked_maps, row_facts
from pages.text import escape


def _show_heading(message: str) -> Recording:
    """Say that there is no run, where to start one, and that what follows is recorded; return it."""
    recording = load_recording()
    show.empty(message, "Run a race live", "pages/start.py")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.badge("Recorded example", icon=":material/history:", color="gray")
        st.caption(escape(recording.describe()))
    return recording


def show_comparison() -> None:
    """Show what came out of the recorded race, as Compare shows runs."""
    recording = _show_heading("There is no finished run to compare yet. Below is one that was recorded.")
    sections.show_answer(recording.results)


def show_spaces() -> None:
    """Show how the spaces of the recorded race formed, as Embeddings shows runs."""
    recording = _show_heading("There is no finished run whose spaces could be looked at yet. Below is a recorded one.")
    formation, spec = recording.formation, recording.results[-1].spec
    data = datasets.load(spec.dataset)
    linked_maps(
        "recorded",
        data,
        formation.rows,
        {name: formation.places[name] for name in spaces.SPACE_NAMES if name in formation.places},
        spaces.colours("class", data, formation.rows, None, {}),
        row_facts(data, formation.rows, None),
        when=[f"after epoch {epoch}" if epoch else "before training" for epoch in formation.epochs],
        active=True,  # opens with what came out; Play shows how it came
        kind="recorded",
    )
    st.caption(
        f"{len(formation.rows)} validation rows in the spaces of seed 0, all drawn in the plane of the last snapshot "
        "(PCA). With a run of your own there are all test rows, other projections, neighbours and a scorecard."
    )


def show_runs() -> None:
    """Show the recorded race as the list of runs would show it."""
    recording = _show_heading("There is no run yet. Below is a race that was recorded.")
    rows = [
        {
            "method": method_name(result.spec.method),
            "teacher": None if result.spec.method == BASELINE else teacher_name(result.spec.teacher),
            "dataset": result.spec.dataset,
            "accuracy %": format_percent(result.score("test")),
            "seeds": result.spec.seeds,
            "curve": [sum(values) / len(values) for point in result.history if (values := point.finite("val"))],
        }
        for result in recording.results
    ]
    show.table(pd.DataFrame(rows), "The runs of the recorded race")
