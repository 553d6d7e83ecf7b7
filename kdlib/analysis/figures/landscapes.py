"""Landscapes: a score over two settings as a shaded table, and every setting as a line through all axes."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from kdlib.analysis.figures.heatmaps import INK, LIGHTEST
from kdlib.analysis.figures.style import COLOURS, escape, new_figure

CELL = 46  # pixels, the height of a row
MAX_WRITTEN = 150  # cells with a number in them
NO_VALUE = "not used"
BLANK = "rgba(128,128,128,0.1)"  # a cell without a score, on a white and on a black page


def plot_landscape(frame: pd.DataFrame, x: str, y: str, metric: str = "accuracy") -> go.Figure:
    """Return a score over two settings as a shaded table; cells without a score are blank and say why.

    Every cell has a point that a click selects: its custom data is the cell's text, and its place.

    Args:
        frame: from `landscape.landscape_points`, of one label; every row with a place on both axes.
        x, y: titles of the axes.
        metric: name of the score.

    Example:
        >>> points = landscape_points(cells, ["dim", "distance_weight"], "val")
        >>> plot_landscape(points, "width", "λ", "validation accuracy").show()
    """
    columns, rows = (_in_order(frame[name]) for name in ("x", "y"))
    figure = new_figure(x, y, height=110 + CELL * max(len(rows), 3))
    shades: list[list[float | None]] = [[None] * len(columns) for _ in rows]
    across, down, data = [], [], []
    written = len(columns) * len(rows) <= MAX_WRITTEN
    for cell in frame.to_dict("records"):
        column, row = columns.index(cell["x"]), rows.index(cell["y"])
        place = f"{escape(x)} {escape(_tick(cell['x']))}, {escape(y)} {escape(_tick(cell['y']))}"
        across.append(column)
        down.append(row)
        data.append([f"{place}<br>{_describe(cell, metric)}", cell["place"]])
        if not pd.isna(cell["mean"]):
            shades[row][column] = 100 * cell["mean"]
            if written:
                text = f"{100 * cell['mean']:.1f}{'*' if cell['best'] else ''}"
                figure.add_annotation(x=column, y=row, text=text, showarrow=False, font_color=INK)
    figure.add_heatmap(
        z=[[0] * len(columns) for _ in rows], colorscale=[[0, BLANK], [1, BLANK]], showscale=False, hoverinfo="skip",
        xgap=3, ygap=3,
    )  # fmt: skip
    figure.add_heatmap(
        z=shades, colorscale=[[0, LIGHTEST], [1, COLOURS["compressed"]]], hoverinfo="skip", xgap=3, ygap=3,
        showscale=not written, colorbar={"title": {"text": f"{escape(metric)}, %"}, "thickness": 12},
    )  # fmt: skip
    figure.add_scatter(
        x=across, y=down, mode="markers", showlegend=False, customdata=data,
        hovertemplate="%{customdata[0]}<extra></extra>",
        marker={"symbol": "square-open", "size": CELL - 8, "color": INK, "opacity": 0, "line": {"width": 2}},
        selected={"marker": {"opacity": 1}}, unselected={"marker": {"opacity": 0}},
    )  # fmt: skip
    figure.update_xaxes(**_ticks(columns))
    figure.update_yaxes(**_ticks(rows))
    return figure.update_layout(hoverdistance=-1, margin={"t": 12})  # the nearest cell, wherever the mouse is in it


def plot_settings(frame: pd.DataFrame, scores: Sequence[float], metric: str = "accuracy") -> go.Figure:
    """Return settings as lines through parallel axes, one per setting and one for the score, which shades them.

    Args:
        frame: from `landscape.settings_frame`.
        scores: of its rows, fractions.
        metric: name of the score.

    Example:
        >>> plot_settings(*settings_frame(cells, find_axes(cells), "val"), "validation accuracy").show()
    """
    figure = new_figure("", "", height=420)
    axes: list[dict[str, Any]] = []
    for name in frame.columns:
        values = _in_order(frame[name])
        axis = {"label": escape(name), "values": [values.index(_plain(value)) for value in frame[name]]}
        ticks = {"tickvals": list(range(len(values))), "ticktext": [escape(_tick(value)) for value in values]}
        axes.append(axis | ticks | {"range": [0, max(len(values) - 1, 1)]})
    percent = [100 * score for score in scores]
    axes.append({"label": f"{escape(metric)}, %", "values": percent, "tickformat": ".1f"})
    line = {"color": percent, "colorscale": [[0, "#93a1b0"], [1, COLOURS["compressed"]]]}
    figure.add_parcoords(dimensions=axes, line=line, labelangle=0, rangefont={"size": 1, "color": "rgba(0,0,0,0)"})
    return figure.update_layout(margin={"l": 70, "r": 60, "t": 70, "b": 24})


def _describe(cell: Mapping[Any, Any], metric: str) -> str:
    """Return mean, interval and n of a cell in words, or why it has none."""
    if pd.isna(cell["mean"]):
        return escape(cell["reason"])
    interval = "" if pd.isna(cell["ci95"]) else f" ± {100 * cell['ci95']:.1f}"
    return f"{escape(metric)} {100 * cell['mean']:.1f}{interval} %, n = {len(cell['values'])}"


def _plain(value: Any) -> Any:
    return None if value is None or value != value else value


def _in_order(values: pd.Series) -> list[Any]:
    """Return the different values of an axis: none first, numbers ascending, texts as they come."""
    different = list(dict.fromkeys(map(_plain, values)))
    numbers = sorted(value for value in different if isinstance(value, int | float))
    texts = [value for value in different if isinstance(value, str)]
    return [*([None] if None in different else []), *numbers, *texts]


def _tick(value: Any) -> str:
    if value is None:
        return NO_VALUE
    return value if isinstance(value, str) else f"{value:,.6g}"


def _ticks(values: Sequence[Any]) -> dict[str, Any]:
    texts = [escape(_tick(value)) for value in values]
    span = [-0.5, len(values) - 0.5]
    ticks = {"tickvals": list(range(len(values))), "ticktext": texts, "range": span}
    return ticks | {"showgrid": False, "fixedrange": True}
