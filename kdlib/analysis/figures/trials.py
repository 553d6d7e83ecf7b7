"""Trials of tuned methods: how each did on validation over one of the settings that were searched."""

import pandas as pd
import plotly.graph_objects as go

from kdlib.analysis.figures.style import escape, fade, label_roles, label_styles, new_figure

HEIGHT = 340  # pixels
MAX_TICKS = 8  # values that each have their number on the axis


def plot_trials(frame: pd.DataFrame, axis: str, metric: str = "accuracy", log: bool = False) -> go.Figure:
    """Return validation scores over a setting, a mark per trial: hollow where it was stopped early, large if chosen.

    Args:
        frame: from `frames.trial_frame`.
        axis: name of the setting.
        metric: name of the score.
        log: whether the setting is spread over orders of magnitude.

    Example:
        >>> plot_trials(trial_frame(results, "lr"), "learning rate", log=True).show()
    """
    figure, styles = new_figure(axis, f"validation {metric}, %", HEIGHT), label_styles(label_roles(frame))
    for label, (colour, _, mark) in styles.items():
        rows = frame[frame["label"] == label]
        fills = [colour if finished else fade(colour, 0.12) for finished in rows["finished"]]
        sizes = [15 if chosen else 8 for chosen in rows["chosen"]]
        figure.add_scatter(
            x=rows["value"], y=100 * rows["val"], mode="markers", name=escape(label), text=rows["words"].map(escape),
            marker={"color": fills, "size": sizes, "symbol": mark, "line": {"color": colour, "width": 1.5}},
            hovertemplate="%{text}<br>%{y:.1f} %<extra></extra>",
        )  # fmt: skip
    values = sorted(frame["value"].unique())
    if log:
        figure.update_xaxes(type="log", dtick=1)
        if len(values) <= MAX_TICKS:
            figure.update_xaxes(tickvals=values, ticktext=[f"{value:g}" for value in values])
    return figure
