"""Landscapes: a score over the settings in which runs differ; a click on a cell opens its run."""

from collections.abc import Sequence

import streamlit as st

from kdlib.analysis.comparison import METRIC_NAMES, format_percent
from kdlib.analysis.figures.accuracy import plot_accuracy_over
from kdlib.analysis.figures.landscapes import plot_landscape, plot_settings
from kdlib.analysis.figures.style import Figure
from kdlib.analysis.landscape import (
    SCORES,
    Cell,
    axis_name,
    cell_label,
    find_axes,
    gather,
    is_numeric,
    landscape_points,
    settings_frame,
)
from kdlib.names import run_name
from kdlib.results import RunResult
from kdlib.spec import BASELINE, RAW
from kdlib.store import DONE, RunInfo
from pages import address, controls, show
from pages.text import escape

MAP, CURVES, LINES = "Heatmap", "Curves", "All settings"
FIRST_AXES = ("dim", "distance_weight")  # of a heatmap, where the runs differ in them
NOTES = {
    "val": "Validation: the score by which settings are chosen, measured for every one of them; * is the best.",
    "test": "Test: of a grid that trained as one population, only the setting chosen on validation was tested.",
    "ood": "Mean of the out-of-domain sets; of a grid, only the setting chosen on validation was tested.",
}
OPENED = "cell"  # key of the box that says which cell is open


def show_section(results: Sequence[RunResult]) -> None:
    """Show the landscape of the chosen runs; those that are not done are blank."""
    show_landscape(address.load_runs(address.selected_ids()), results)


def show_landscape(infos: Sequence[RunInfo], results: Sequence[RunResult]) -> None:
    """Show a landscape in one of three ways, and the cell that is opened.

    Args:
        infos: all its runs.
        results: of those that are done.
    """
    reasons = {run.spec.identity: run.state for run in infos if run.state != DONE}
    cells = gather([run.spec for run in infos], results, reasons)
    axes = find_axes(cells)
    numeric = [axis for axis in axes if is_numeric(cells, axis)]
    if not numeric:
        st.info(
            "These runs do not differ in any number. Launch a landscape on Distill, or choose runs with other widths, "
            "weights or labels.",
            icon=":material/grid_on:",
        )
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        views = [MAP, CURVES, LINES] if len(axes) > 1 else [CURVES]
        view = st.segmented_control(
            "View",
            views,
            default=views[0],
            required=True,
            key="view",
            bind="query-params",
            label_visibility="collapsed",
        )
        score = st.segmented_control(
            "Score",
            list(SCORES),
            default="val",
            required=True,
            key="score",
            bind="query-params",
            format_func=SCORES.__getitem__,
            label_visibility="collapsed",
        )
    metric = f"{SCORES[score].lower()} {_metric(cells)}"
    if view == MAP:
        _show_map(cells, axes, score, metric)
    elif view == CURVES:
        _show_curves(cells, numeric, score, metric)
    else:
        _show_lines(cells, axes, score, metric)
    _show_cell(cells, axes, infos)


def _metric(cells: Sequence[Cell]) -> str:
    return METRIC_NAMES[next((cell.metric for cell in cells if cell.scores), "accuracy")]


def _axis_box(label: str, axes: Sequence[str], first: str, key: str) -> str:
    """Show a box of axes; one that the runs do not differ in any more gives way to the first."""
    if st.session_state.get(key) not in (None, *axes):
        del st.session_state[key]
    return st.selectbox(
        label, axes, index=axes.index(first), key=key, format_func=axis_name, bind="query-params", width=260
    )


def _show_map(cells: Sequence[Cell], axes: Sequence[str], score: str, metric: str) -> None:
    """Show a score over two settings."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        first = [axis for axis in (*FIRST_AXES, *axes) if axis in axes]
        x = _axis_box("Across", axes, first[0], "x")
        others = [axis for axis in axes if axis != x]
        y = _axis_box("Down", others, next(axis for axis in first if axis != x), "y")
        points = landscape_points(cells, [x, y], score)
        inside = points[points["x"].notna() & points["y"].notna()]
        labels = list(inside["label"].unique())
        if st.session_state.get("of") not in (None, *labels):
            del st.session_state["of"]
        label = st.selectbox("Of", labels, key="of", width=320) if len(labels) > 1 else None
    if label is not None:
        inside = inside[inside["label"] == label]
    if inside.empty:
        st.info("No method of these runs uses both settings.", icon=":material/info:")
        return
    figure = plot_landscape(inside, axis_name(x), axis_name(y), metric)
    _show_clickable(
        figure, f"landscape-{x}-{y}-{score}-{label}", f"The {metric} over {axis_name(x)} and {axis_name(y)}"
    )
    references = points[points["x"].isna() & points["y"].isna()]
    told = [f"{row.label}: {format_percent(cells[row.place].scores.get(score))} %" for row in references.itertuples()]
    beside = f" Without these settings: {'; '.join(told)}." if told else ""
    st.caption(f"Percent, mean over the seeds. {NOTES[score]} Blank: not measured.{escape(beside)}")


def _show_curves(cells: Sequence[Cell], axes: Sequence[str], score: str, metric: str) -> None:
    """Show a score over one setting, a line for each method."""
    preferred = [axis for axis in ("labels", "parameters", *FIRST_AXES, *axes) if axis in axes]
    x = _axis_box("Over", axes, preferred[0], "over")
    points = landscape_points(cells, [x], score)
    points = points[points["mean"].notna()]
    if points["x"].notna().any():
        figure = plot_accuracy_over(points, axis_name(x), metric)
        _show_clickable(figure, f"curves-{x}-{score}", f"The {metric} over {axis_name(x)}")
        st.caption(f"Whiskers and bands: 95 % interval over the seeds, dots: the seeds. {NOTES[score]}")
    else:
        st.info("Nothing is measured yet.", icon=":material/hourglass_top:")


def _show_lines(cells: Sequence[Cell], axes: Sequence[str], score: str, metric: str) -> None:
    """Show every setting as a line through all axes."""
    frame, scores = settings_frame(cells, axes, score)
    if frame.empty:
        st.info("Nothing is measured yet.", icon=":material/hourglass_top:")
        return
    show.figure(plot_settings(frame, scores, metric), f"settings-{score}", f"Every setting with its {metric}")
    st.caption(f"A line is a setting. Drag along an axis to keep only the lines that pass there. {NOTES[score]}")


def _show_clickable(figure: Figure, key: str, alt: str) -> None:
    """Show a figure whose points open their cell."""

    def open_cell() -> None:
        for point in st.session_state[key]["selection"]["points"]:
            data = point.get("customdata") or []
            if len(data) > 1:
                st.session_state[OPENED] = int(data[1])

    show.figure(figure, key, alt, on_select=open_cell)


def _show_cell(cells: Sequence[Cell], axes: Sequence[str], infos: Sequence[RunInfo]) -> None:
    """Show the box in which a cell is chosen, and what is known of that cell."""
    ids = {run.spec.identity: run for run in reversed(infos)}
    if st.session_state.get(OPENED) not in (None, *range(len(cells))):
        del st.session_state[OPENED]

    others = [axis for axis in axes if axis not in ("method", "dim", "parameters")]  # a run's name says those

    def label(place: int) -> str:
        setting = cells[place].setting
        return ", ".join(filter(None, [run_name(setting), cell_label(cells[place], others)]))

    place = st.selectbox(
        "Open a cell",
        range(len(cells)),
        index=None,
        key=OPENED,
        format_func=label,
        placeholder="Click a cell, or choose it here",
    )
    if place is None:
        return
    cell = cells[place]
    run = ids[cell.run.identity]
    with st.container(border=True, key="opened-cell"):
        st.markdown(f"**{escape(label(place))}**: {escape(_describe(cell))}")
        if len(cell.run.cells) > 1:
            chosen = "this one was chosen on validation" if "test" in cell.scores else "another one was chosen"
            st.caption(f"One of {len(cell.run.cells)} settings that a run trained as one population; {chosen}.")
        with st.container(horizontal=True):
            for page, words, icon, query in (
                ("runs", "Open its run", "list", address.query([run])),
                ("embeddings", "See its spaces", "scatter_plot", address.query([run])),
                ("distill", "Set this on Distill", "tune", controls.query(cell.setting, [BASELINE, RAW])),
            ):
                st.page_link(f"pages/{page}.py", label=words, icon=f":material/{icon}:", query_params=query)


def _describe(cell: Cell) -> str:
    """Return the scores of a cell in words, or why there are none."""
    scores = [
        f"{name.lower()} {format_percent(cell.scores[split])} %"
        for split, name in SCORES.items()
        if split in cell.scores
    ]
    n = max((len(each.values) for each in cell.scores.values()), default=0)
    return f"{', '.join(scores)}, n = {n}" if scores else cell.reason
