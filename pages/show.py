"""What pages show in the same way: figures, tables, cost estimates, the empty state, grids."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from kdlib.analysis.figures.style import Figure, to_html
from pages import address
from pages.small_table import MOST, as_html
from pages.text import describe_range

if TYPE_CHECKING:
    from kdlib.planning import CostEstimate  # loads torch, which a first figure does without


def table(frame: pd.DataFrame, alt: str, picture: str = "", **options: Any) -> None:
    """Show a table: up to 30 rows as text, in a narrow window as cards; more of them as a grid that scrolls in itself.

    Only text counts when its numbers change: show what changes while one looks in as many rows as that.

    Args:
        frame: what a cell holds is shown as `small_table.cell_text` says, or as `options` do for a grid.
        alt: what it is.
        picture: the column that holds addresses of pictures, "" for none.
        options: of `st.dataframe`, for a grid.
    """
    if len(frame) <= MOST:
        st.html(as_html(frame, alt, picture))
    else:
        if picture:
            options = {"column_config": {picture: st.column_config.ImageColumn(width="small")}} | options
        st.dataframe(frame, hide_index=True, placeholder="–", alt=alt, **options)


def figure(
    plot: Figure, key: str, alt: str, file_format: str = "png", on_select: Callable[[], None] | None = None
) -> None:
    """Show a plotly figure; its camera button saves it.

    Args:
        plot: the figure.
        key: of the chart in session state, and of the file.
        alt: what it shows.
        file_format: of the camera button.
        on_select: called when a visitor clicks a point.
    """
    saved = {"format": file_format, "filename": key, "scale": 2}
    unused = ["lasso2d", "select2d", "autoScale2d"]
    config = {"displaylogo": False, "toImageButtonOptions": saved, "modeBarButtonsToRemove": unused}
    selecting = {"on_select": on_select, "selection_mode": "points"} if on_select else {}
    st.plotly_chart(plot, key=key, config=config, alt=alt, **selecting)


def launch_time(plan: "CostEstimate") -> None:
    """Show how long a launch will take, in few words; where they come from and what else it costs is behind them."""
    origin = (
        "by how long such runs took on this machine" if plan.measured else "a guess until such a run has ended here"
    )
    narrow, told = plan.compressed_width, describe_range(*plan.seconds)
    share = f" The embedding becomes {plan.teacher_width / narrow:.0f} times smaller." if narrow else ""
    words = (
        f"Time until all methods are done: {origin}, and by how busy it is now. The student has {plan.parameters:,} "
        f"parameters, all that is needed afterwards.{share}"
    )
    st.markdown(f"Takes **{told if told.startswith('up') else f'about {told}'}**", help=words, width="content")


def launch_name() -> str:
    """Show the box for a name of what is launched; return it."""
    return st.text_input(
        "Name",
        key="name",
        max_chars=80,
        placeholder="a name to find it by (optional)",
        label_visibility="collapsed",
        width=240,
        bind="query-params",
    )


def code_behind_button(code: Mapping[str, str]) -> None:
    """Show a button that opens a launch as code, language -> text."""
    with st.popover("Show as code", icon=":material/code:", key="code", on_change=address.opened_by_link("code")):
        for language, text in code.items():
            st.caption(language)
            st.code(text, language={"Python": "python", "YAML": "yaml"}.get(language, "bash"), wrap_lines=True)


def empty(message: str, label: str = "", page: str = "") -> None:
    """Show that there is nothing yet, and where to get it."""
    with st.container(border=True):
        st.markdown(message)
        if page:
            st.page_link(page, label=label, icon=":material/arrow_forward:")


def grid(count: int, columns: int) -> list[DeltaGenerator]:
    """Return `count` cells, in rows of `columns`."""
    return [cell for _ in range(0, count, columns) for cell in st.columns(columns)][:count]


REPORTS = {  # ending -> what it is called, its type, what it is good for
    "html": ("HTML page", "text/html", "One file with all figures; opens in any browser, offline, and prints."),
    "ipynb": ("Notebook", "application/x-ipynb+json", "Runs top to bottom where kdlib and these runs are."),
    "md": ("Markdown", "text/markdown", "Text and tables."),
}


def report_buttons(run_ids: Sequence[str]) -> None:
    """Show what downloads a report of some runs; it is written when it is asked for.

    Args:
        run_ids: at least one finished run among them.
    """
    with st.popover("Report", icon=":material/summarize:", key="report", on_change=address.opened_by_link("report")):
        st.caption("What came out of the chosen runs, with data, teachers, maps, costs, limits and how to do it again.")
        for ending, (label, mime, text) in REPORTS.items():
            st.download_button(
                label,
                partial(_report, tuple(run_ids), ending),
                f"report.{ending}",
                mime,
                icon=":material/download:",
                on_click="ignore",
                help=text,
                width="stretch",
            )


def _report(run_ids: Sequence[str], ending: str) -> str:
    from kdlib.export.report import render  # loads what a page that nobody takes a report from does without

    return render(run_ids, ending)


def exportable_figure(
    plot: Figure, key: str, alt: str, caption: str = "", on_select: Callable[[], None] | None = None
) -> None:
    """Show a figure with, below it, its caption and what it can be saved as: a picture, or a page of its own.

    Args:
        plot, key, alt, on_select: as for `figure`.
        caption: below it.
    """
    place = st.container()
    with st.container(horizontal=True, vertical_alignment="top"):
        if caption:
            st.caption(caption)
        with st.popover("Save figure", icon=":material/download:", type="tertiary", key=f"save-{key}"):
            kind = st.segmented_control(
                "The camera in the figure saves",
                ["png", "svg"],
                default="png",
                required=True,
                key=f"saves-{key}",
                format_func=str.upper,
            )
            st.download_button(
                "HTML page",
                lambda: to_html(plot),
                f"{key}.html",
                "text/html",
                icon=":material/download:",
                on_click="ignore",
                help="The figure as a page of its own that loads nothing.",
                key=f"html-{key}",
            )
    with place:
        figure(plot, key, alt, kind, on_select)
