"""The grid of a run on Compare: what was chosen on validation, what it came to, and how the other settings did."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from kdlib.analysis.comparison import format_percent, metric_names
from kdlib.analysis.grid import describe_left_out, grid_table
from kdlib.names import cell_name, method_name
from kdlib.results import RunResult
from pages import show
from pages.text import escape


def show_section(results: Sequence[RunResult]) -> None:
    """Show the chosen setting of each run with a grid, and the validation score of all settings."""
    gridded = [(result, result.grid) for result in results if result.grid is not None]
    metric = metric_names([result for result, _ in gridded])
    rows = [
        {
            "method": method_name(result.spec.method),
            "chosen on validation": cell_name(grid.best.settings),
            f"validation {metric}, %": format_percent(result.score("val")),
            f"test {metric}, %": format_percent(result.score("test")),
            "settings tried": len(grid.cells),
            "n": result.spec.seeds,
        }
        for result, grid in gridded
    ]
    show.table(pd.DataFrame(rows), "What each method chose")
    st.caption(
        "Every setting was trained with every seed; the one with the highest mean on validation was tested, and no "
        "other. Its validation score flatters it, as it was chosen for being high; its test score does not."
    )
    st.button("See them as a landscape", icon=":material/grid_on:", key="to-landscape", on_click=_open_landscape)
    columns, cells = grid_table(results)
    st.markdown(f"**Validation {metric} of every setting, %** (mean over the seeds; * chosen)")
    show.table(pd.DataFrame(cells, columns=columns), "Validation score of every setting")
    if left_out := describe_left_out([result for result, _ in gridded]):
        st.caption(escape(left_out))


def _open_landscape() -> None:
    st.session_state["show"] = "Landscape"
