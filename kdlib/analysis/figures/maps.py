"""Maps: the same rows in several spaces, side by side."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from kdlib.analysis.figures.style import COLOURS, WHISKER, escape, new_figure

MARKS = ("circle", "square", "triangle-up", "diamond")  # as `Colouring.shapes` counts them
TITLES = {"raw": "raw teacher", "compressed": "compressed", "student": "student"}
HEIGHT = 360  # pixels
GAP = 0.03  # between two maps, a share of the width


def plot_maps(
    places: Mapping[str, np.ndarray],
    codes: np.ndarray,
    names: Sequence[str],
    colours: Sequence[str],
    shapes: Sequence[int] = (),
) -> go.Figure:
    """Return one map per space next to one another, rows coloured alike in all; the legend switches them together.

    Args:
        places: space -> (n, 2), the same rows.
        codes: (n,) the entry of each row.
        names: of the entries.
        colours: of the entries.
        shapes: of the entries, 0 to 3; () = all discs.

    Example:
        >>> plot_maps({"student": np.zeros((2, 2))}, np.array([0, 1]), ["cat", "dog"], ["#0072b2", "#e69f00"]).show()
    """
    figure, count = new_figure("", "", HEIGHT), len(places)
    width = (1 - GAP * (count - 1)) / max(count, 1)
    # Distances on a map mean the same in both directions; the numbers on its axes mean nothing.
    axis = {"showticklabels": False, "showgrid": False, "zeroline": False, "title": None}
    layout, titles = {}, []
    for number, (name, flat) in enumerate(places.items()):
        key, left = str(number + 1) if number else "", number * (width + GAP)
        layout[f"xaxis{key}"] = axis | {"domain": [left, left + width], "anchor": f"y{key}", "constrain": "domain"}
        layout[f"yaxis{key}"] = axis | {"anchor": f"x{key}", "scaleanchor": f"x{key}", "scaleratio": 1}
        title = {"text": escape(TITLES.get(name, name)), "x": left + width / 2, "y": 1.0, "yanchor": "bottom"}
        titles.append(title | {"xref": "paper", "yref": "paper", "showarrow": False})
        for code in np.unique(codes):
            rows = codes == code
            figure.add_scatter(
                x=np.round(flat[rows, 0], 3), y=np.round(flat[rows, 1], 3), mode="markers",
                xaxis=f"x{key}", yaxis=f"y{key}",
                name=escape(names[code]), legendgroup=str(code), showlegend=not number,
                marker={"color": colours[code], "size": 5, "opacity": 0.75,
                        "symbol": MARKS[shapes[code] if shapes else 0]},
                hovertemplate=f"{escape(names[code])}<extra></extra>",
            )  # fmt: skip
    several = count > 1
    layout |= {"margin": {"l": 8, "r": 8, "t": 56 if several else 8, "b": 8}, "annotations": titles if several else []}
    figure.update_layout(**layout, legend_y=1.12)
    return figure


def plot_scorecard(frame: pd.DataFrame) -> go.Figure:
    """Return how alike the spaces of a run are, 0 to 1: a group of bars per pair of spaces, a line where chance lies.

    Args:
        frame: columns pair, measure, value, chance; None where a number does not exist.

    Example:
        >>> plot_scorecard(spaces.pair_frame(spaces.compute_scorecard(spaces.load_spaces(run_id)))).show()
    """
    figure = new_figure("", "1 = alike")
    pairs, measures = list(dict.fromkeys(frame["pair"])), list(dict.fromkeys(frame["measure"]))
    width = 0.84 / max(len(measures), 1)
    for number, measure in enumerate(measures):
        rows = frame[frame["measure"] == measure]
        x = [pairs.index(pair) + (number - (len(measures) - 1) / 2) * width for pair in rows["pair"]]
        colour = list(COLOURS.values())[1 + number % 3]
        figure.add_bar(x=x, y=rows["value"], width=0.92 * width, name=escape(measure), marker_color=colour,
                       hovertemplate="%{y:.2f}")  # fmt: skip
        for center, chance in zip(x, rows["chance"], strict=True):
            if not pd.isna(chance):
                ends = {"x0": center - width / 2, "x1": center + width / 2, "y0": chance, "y1": chance}
                figure.add_shape(type="line", **ends, line={"dash": "dot", "color": WHISKER})
    figure.update_xaxes(tickvals=list(range(len(pairs))), ticktext=[escape(pair) for pair in pairs])
    figure.update_yaxes(range=[0, 1])
    return figure
