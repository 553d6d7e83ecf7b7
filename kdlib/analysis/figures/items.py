"""One item: its probabilities over the seeds of several runs, and its place on a map of known items."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from kdlib.analysis.figures.accuracy import plot_accuracy_bars
from kdlib.analysis.figures.style import WHISKER, escape, new_figure

ITEM = "#d7191c"  # of the item on a map: no role and no class has this colour
MARGIN = {"l": 8, "r": 8, "t": 8, "b": 8}


def plot_probabilities(frame: pd.DataFrame, height: int = 300) -> go.Figure:
    """Return bars of the mean probability per class and run, with interval and seeds; a dash at each threshold.

    Args:
        frame: from `trying.probability_table`.
        height: in pixels.

    Example:
        >>> plot_probabilities(probability_table(answer.predictions, data.classes)).show()
    """
    figure = plot_accuracy_bars(frame, "probability")
    bars: list[Any] = list(figure.select_traces({"type": "bar"}))
    for bar, label in zip(bars, dict.fromkeys(frame["label"]), strict=True):
        cuts = frame[frame["label"] == label]["cut"]
        if cuts.notna().any():
            dash = {"symbol": "line-ew", "size": 14, "line": {"width": 2, "color": WHISKER}}
            name = "threshold from which a class counts as there: %{y:.0f} %<extra></extra>"
            figure.add_scatter(x=bar.x, y=100 * cuts, mode="markers", marker=dash, hovertemplate=name, showlegend=False)
    figure.update_layout(height=height, margin={"l": 56, "r": 12, "t": 32, "b": 24})
    figure.update_xaxes(title=None)
    figure.update_yaxes(range=[0, 103])  # a seed's dot at 100 % is whole
    return figure


def plot_item_map(
    places: np.ndarray,
    codes: np.ndarray,
    names: Sequence[str],
    colours: Sequence[str],
    item: np.ndarray | None,
    nearest: np.ndarray,
    height: int = 300,
) -> go.Figure:
    """Return a map of known items in the colours of their classes, a new one as a cross, rings around its nearest.

    Args:
        places: (r, 2).
        codes: (r,) into names and colours.
        names: of the classes.
        colours: of the classes.
        item: (2,) where the new one is; None where it has no place.
        nearest: (k,) which places get a ring.
        height: in pixels.

    Example:
        >>> plot_item_map(places, codes, ["a", "b"], ["#0072b2", "#e69f00"], places[0], np.array([1])).show()
    """
    figure = new_figure("", "", height)
    count, ends = len(colours), np.repeat(np.arange(len(colours) + 1) / len(colours), 2)[1:-1]
    # Numbers on a scale of steps: plotly checks a list of colours one by one, a tenth of a second for a thousand.
    steps = [[float(end), colour] for end, colour in zip(ends, np.repeat(colours, 2).tolist(), strict=True)]
    dots = {"size": 5, "opacity": 0.75, "color": codes, "colorscale": steps, "cmin": -0.5, "cmax": count - 0.5}
    hover = np.array([escape(name) for name in names], dtype=object)[codes]
    x, y = places.T
    figure.add_scatter(x=x, y=y, mode="markers", marker=dots, text=hover, hovertemplate="%{text}<extra></extra>")
    rings = {"size": 11, "symbol": "circle-open", "color": WHISKER, "line": {"width": 2}}
    figure.add_scatter(x=x[nearest], y=y[nearest], mode="markers", marker=rings, hoverinfo="skip")
    if item is not None:
        star = {"size": 19, "symbol": "star", "color": ITEM, "line": {"width": 1.5, "color": "white"}}
        figure.add_scatter(
            x=item[:1], y=item[1:], mode="markers", marker=star, hovertemplate="this item<extra></extra>"
        )
    figure.update_layout(showlegend=False, margin=MARGIN)
    bare = {"title": None, "showticklabels": False, "showgrid": False}
    figure.update_xaxes(**bare)
    figure.update_yaxes(scaleanchor="x", **bare)
    return figure
