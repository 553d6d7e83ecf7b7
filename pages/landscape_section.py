"""Landscapes: a score over the settings in which runs differ, and over costs; a click on a cell opens its run."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from kdlib.analysis.comparison import METRIC_NAMES, format_percent
from kdlib.analysis.figures.accuracy import plot_accuracy_over, plot_accuracy_over_cost
from kdlib.analysis.figures.landscapes import plot_landscape, plot_settings
from kdlib.analysis.figures.style import Figure
from kdlib.analysis.frames import COST_NAMES
from kdlib.analysis.landscape import (
    SCORES,
    Cell,
    axis_name,
    cell_identity,
    cell_label,
    cost_points,
    find_axes,
    gather,
    is_beside,
    is_numeric,
    landscape_points,
    settings_frame,
)
from kdlib.names import method_name, run_name
from kdlib.results import RunResult
from kdlib.spec import BASELINE, RAW
from kdlib.store import DONE, RunInfo
from pages import address, controls, show
from pages.text import escape

MAP, CURVES, LINES = "Heatmap", "Curves", "All settings"
FIRST_AXES = ("dim", "distance_weight")  # of a heatmap, where the runs differ in them
FIRST_OVER = ("labels", "parameters", *FIRST_AXES)  # of curves
NOTES = {
    "val": "Validation: the score that settings are chosen by, measured for each of them.",
    "test": "Test: where one run trained several settings, only the one chosen on validation was tested.",
    "ood": "Mean of the out-of-domain sets: where one run trained several settings, of the one chosen on validation.",
}
OPENED = "cell"  # key of the box that says which cell is open


def show_section(results: Sequence[RunResult]) -> None:
    """Show the landscape of the chosen runs; those that are not done are blank."""
    show_landscape(address.load_runs(address.selected_ids()), results)


def has_landscape(infos: Sequence[RunInfo]) -> bool:
    """Return whether some runs differ in a number, so that there is a landscape of them."""
    cells = _gather(infos, [])
    return any(is_numeric(cells, axis) for axis in find_axes(cells))


def show_landscape(infos: Sequence[RunInfo], results: Sequence[RunResult]) -> None:
    """Show a landscape in one of three ways, and the cell that is opened.

    Args:
        infos: all its runs.
        results: of those that are done.
    """
    cells = _gather(infos, results)
    axes = find_axes(cells)
    numeric = [axis for axis in axes if is_numeric(cells, axis)]
    if not numeric:
        st.info(
            "These runs do not differ in any number, so there is no landscape. Choose runs of several widths, weights "
            "or numbers of labels, or launch a landscape on Distill.",
            icon=":material/grid_on:",
        )
        st.page_link(
            "pages/distill.py", label="Launch one", icon=":material/grid_on:", query_params={"mode": "Landscape"}
        )
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        views = [MAP, CURVES, LINES] if len(axes) > 1 else [CURVES, LINES]
        if st.session_state.get("view") not in (None, *views):
            del st.session_state["view"]
        view = st.segmented_control(
            "View",
            views,
            default=views[0],
            required=True,
            key="view",
            bind="query-params",
            label_visibility="collapsed",
        )
        score = _score_control("val")
    metric = f"{SCORES[score].lower()} {_metric(cells)}"
    if view == MAP:
        _show_map(cells, axes, score, metric)
    elif view == CURVES:
        _show_curves(cells, numeric, score, metric)
    else:
        _show_lines(cells, axes, score, metric)
    _show_cell(cells, axes, infos)


def show_cost(results: Sequence[RunResult]) -> None:
    """Show a score against what a student, or an embedding, costs, with the Pareto front."""
    infos = address.load_runs(address.selected_ids())
    cells = _gather(infos, results)
    by = st.segmented_control(
        "Against",
        list(COST_NAMES),
        default="parameters",
        required=True,
        key="against",
        help="What better accuracy costs.",
        format_func=COST_NAMES.__getitem__,
        bind="query-params",
    )
    score = _score_control("test")
    points = cost_points(cells, by, score)
    if points.empty:
        st.info("None of the chosen runs has this cost: a baseline has no embedding.", icon=":material/info:")
        return
    metric = f"{SCORES[score].lower()} {_metric(cells)}"
    figure = plot_accuracy_over_cost(points, COST_NAMES[by], metric)
    words = (
        "Faint: another one costs no more and scores no less. The dotted line joins the others, the Pareto front; it "
        "goes by the means, so where intervals overlap the order is open. A parameter takes 4 bytes."
    )
    _show_clickable(figure, f"accuracy-over-{by}", f"The {metric} against {COST_NAMES[by]}", words)
    _show_cell(cells, find_axes(cells), infos)


def _gather(infos: Sequence[RunInfo], results: Sequence[RunResult]) -> list[Cell]:
    reasons = {run.spec.identity: run.state for run in infos if run.state != DONE}
    return gather([run.spec for run in infos], results, reasons)


def _metric(cells: Sequence[Cell]) -> str:
    return METRIC_NAMES[next((cell.metric for cell in cells if cell.scores), "accuracy")]


def _score_control(first: str) -> str:
    """Show which score is drawn, kept in the address; return its split."""
    if asked := address.read_choice("score", list(SCORES)):
        st.session_state["score"] = asked[0]
    score = st.segmented_control(
        "Score",
        list(SCORES),
        default=None if "score" in st.session_state else first,
        required=True,
        key="score",
        format_func=SCORES.__getitem__,
        label_visibility="collapsed",
    )
    score = score or first
    address.write_choice("score", [score], [first])
    return score


def _axis_box(label: str, axes: Sequence[str], first: str, key: str) -> str:
    """Show a box of axes, kept in the address; one in which the runs do not differ any more gives way to the first."""
    if st.session_state.get(key) not in (None, *axes):
        del st.session_state[key]
    if asked := address.read_choice(key, axes):
        st.session_state[key] = asked[0]
    place = 0 if key in st.session_state else axes.index(first)
    axis = st.selectbox(label, axes, index=place, key=key, format_func=axis_name, width=300)
    address.write_choice(key, [axis], [first])
    return axis


def _show_map(cells: Sequence[Cell], axes: Sequence[str], score: str, metric: str) -> None:
    """Show a score over two settings."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        first = [axis for axis in (*FIRST_AXES, *axes) if axis in axes]
        x = _axis_box("Across", axes, first[0], "x")
        y = _axis_box("Down", [axis for axis in axes if axis != x], next(each for each in first if each != x), "y")
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
    alt = f"The {metric} over {axis_name(x)} and {axis_name(y)}"
    beside = _describe_references(cells, points, inside["place"].iloc[0], [x, y], score)
    words = f"Percent, mean over the seeds; * the best on validation, blank: not measured. {NOTES[score]}"
    _show_clickable(
        figure,
        f"landscape-{x}-{y}-{score}-{label}",
        alt,
        f"{words} {f'Beside it: {escape(beside)}.' if beside else ''}",
    )


def _describe_references(
    cells: Sequence[Cell], points: pd.DataFrame, place: int, axes: Sequence[str], score: str
) -> str:
    """Return the methods that do not use both settings of a heatmap, each at its best on validation, in words.

    Args:
        cells, axes, score: of the heatmap.
        points: of all methods.
        place: of a cell in the heatmap; references are like it in everything else.
    """
    told = []
    for row in points[points["best"] & (points["x"].isna() | points["y"].isna())].to_dict("records"):
        cell = cells[row["place"]]
        if is_beside(cell, cells[place], axes):
            where = cell_label(cell, [axis for axis in axes if axis != "method"])
            words = f"{method_name(cell.setting.method)}{f', {where}' if where else ''}"
            told.append(f"{words}: {format_percent(cell.scores.get(score))} %")
    return "; ".join(told)


def _show_curves(cells: Sequence[Cell], axes: Sequence[str], score: str, metric: str) -> None:
    """Show a score over one setting, a line for each method."""
    x = _axis_box("Over", axes, next(axis for axis in (*FIRST_OVER, *axes) if axis in axes), "over")
    points = landscape_points(cells, [x], score)
    points = points[points["mean"].notna()]
    if points["x"].isna().all():
        st.info("Nothing is measured yet.", icon=":material/hourglass_top:")
        return
    words = "Whiskers and bands: 95 % interval over the seeds; dots: the seeds."
    figure, alt = plot_accuracy_over(points, axis_name(x), metric), f"The {metric} over {axis_name(x)}"
    _show_clickable(figure, f"curves-{x}-{score}", alt, f"{words} {NOTES[score]}")


def _show_lines(cells: Sequence[Cell], axes: Sequence[str], score: str, metric: str) -> None:
    """Show every setting as a line through all axes."""
    frame, scores = settings_frame(cells, axes, score)
    if frame.empty:
        st.info("Nothing is measured yet.", icon=":material/hourglass_top:")
        return
    words = f"A line is a setting. Drag along an axis to keep only the lines that pass there. {NOTES[score]}"
    figure = plot_settings(frame, scores, metric)
    show.exportable_figure(figure, f"settings-{score}", f"Every setting with its {metric}", words)


def _show_clickable(figure: Figure, key: str, alt: str, caption: str) -> None:
    """Show a figure whose points open their cell."""

    def open_cell() -> None:
        for point in st.session_state[key]["selection"]["points"]:
            data = point.get("customdata") or []
            if len(data) > 1:
                st.session_state[OPENED] = int(data[1])

    show.exportable_figure(figure, key, alt, caption, open_cell)


def _show_cell(cells: Sequence[Cell], axes: Sequence[str], infos: Sequence[RunInfo]) -> None:
    """Show the box in which a cell is chosen, and what is known of that cell."""
    if st.session_state.get(OPENED) not in (None, *range(len(cells))):
        del st.session_state[OPENED]
    others = [axis for axis in axes if axis not in ("method", "dim", "parameters")]  # a run's name says those

    def label(place: int) -> str:
        return ", ".join(filter(None, [run_name(cells[place].setting), cell_label(cells[place], others)]))

    place = st.selectbox(
        "Open a cell",
        range(len(cells)),
        index=None,
        key=OPENED,
        format_func=label,
        placeholder="Click one above, or choose it here",
    )
    if place is None:
        return
    cell = cells[place]
    own = [run for run in infos if cell_identity(run.spec) == cell_identity(cell.run)]
    with st.container(border=True, key="opened-cell"):
        st.markdown(f"**{escape(label(place))}**: {escape(_describe(cell))}")
        if len(cell.run.cells) > 1:
            chosen = "this one was chosen on validation" if "test" in cell.scores else "another one was chosen"
            st.caption(f"One of {len(cell.run.cells)} settings that a run trained as one population; {chosen}.")
        with st.container(horizontal=True):
            for page, words, icon, query in (
                ("runs", "Open its run" if len(own) == 1 else "Open its runs", "list", address.query(own)),
                ("embeddings", "See its spaces", "scatter_plot", address.query(own[:1])),
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
    sample = next((each.sample for each in cell.scores.values()), "")
    return f"{', '.join(scores)} ({sample})" if scores else cell.reason
