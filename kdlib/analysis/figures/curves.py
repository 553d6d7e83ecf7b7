"""Training curves: one line per run, in a band over its seeds."""

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go

from kdlib.analysis.figures.style import LabelStyle, escape, fade, label_styles, new_figure

CURVES = {
    "val": "validation {metric}, %",
    "prediction": "prediction loss",
    "distance": "distance loss",
    "teacher": "teacher loss",
    "gradient_cosine": "cosine of the two gradients",
}


def plot_curves(
    frame: pd.DataFrame, curve: str, epochs: int, roles: Mapping[str, str], metric: str = "accuracy"
) -> go.Figure:
    """Return one line per run, the mean of its seeds, in a band from the lowest seed to the highest.

    Args:
        frame: from `frames.curves`.
        curve: a key of `CURVES`.
        epochs: where the axis ends; it stands still while the runs are live.
        roles: label -> role of every run, also of those that have no point yet, so that the legend stands still as
            well.
        metric: name of the validation score.

    Example:
        >>> frame = frames.curves([result.spec], [result.history])
        >>> plot_curves(frame, "val", result.spec.epochs, {"mlp 16": "compressed"}).show()
    """
    figure, scale = new_figure("epoch", CURVES[curve].format(metric=metric)), 100 if curve == "val" else 1
    for label, style in label_styles(roles).items():
        rows = frame[(frame["curve"] == curve) & (frame["label"] == label)]
        if not rows.empty:
            _add_curve(figure, rows, label, style, scale)
        elif not (frame["label"] == label).any():  # no point yet, so it takes its place in the legend
            line = {"color": style[0], "dash": style[1]}
            figure.add_scatter(x=[None], y=[None], name=escape(label), mode="lines+markers", line=line)
    figure.update_xaxes(range=[0, epochs + 0.5])
    if curve == "val":
        figure.update_yaxes(range=[0, 100])
    elif curve == "gradient_cosine":
        figure.update_yaxes(range=[-1, 1])
    else:
        figure.update_yaxes(rangemode="tozero")
    return figure


def _add_curve(figure: go.Figure, rows: pd.DataFrame, label: str, style: LabelStyle, scale: int) -> None:
    """Add the line of one run and its band. `scale` is 100 for percent."""
    (colour, dash, _), name = style, escape(label)
    x = rows["epoch"].tolist()
    low, high, mean = ((scale * rows[column]).tolist() for column in ("low", "high", "mean"))
    band = {"x": x + x[::-1], "y": high + low[::-1], "fill": "toself", "fillcolor": fade(colour, 0.18)}
    figure.add_scatter(**band, line_width=0, hoverinfo="skip", showlegend=False, legendgroup=name, mode="lines")
    seeds = "seeds %{customdata[0]:.2f} to %{customdata[1]:.2f}, n = %{customdata[2]}"
    figure.add_scatter(
        x=x, y=mean, name=name, legendgroup=name, mode="lines+markers", marker_size=4,
        line={"color": colour, "dash": dash, "width": 2.5},
        customdata=list(zip(low, high, rows["n"], strict=True)),
        hovertemplate="epoch %{x}: %{y:.2f}<br>" + seeds,
    )  # fmt: skip
