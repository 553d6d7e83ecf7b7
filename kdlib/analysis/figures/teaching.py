"""Figures of lessons: votes of a class, guesses on a curve, a difference over the seeds."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from kdlib.analysis.figures.heatmaps import LIGHTEST
from kdlib.analysis.figures.style import COLOURS, GRID, WHISKER, escape, fade, new_figure

VOTE, CAME = "#6a51a3", COLOURS["student"]  # what people said, what came out


def plot_votes(counts: Sequence[int], choices: Sequence[str], came_true: int | None = None) -> go.Figure:
    """Return a bar per choice: how many chose it; what came true has another colour.

    Args:
        counts: per choice.
        choices: in words.
        came_true: place of the one that came true, None where it is not known or shown.

    Example:
        >>> plot_votes([3, 5], ["more", "less"]).show()
    """
    figure = new_figure("answers", "", height=90 + 44 * len(choices))
    colours = [CAME if place == came_true else VOTE for place in range(len(choices))]
    figure.add_bar(
        x=list(counts), y=list(range(len(choices))), orientation="h", marker_color=colours, width=0.6,
        text=[str(count) for count in counts], textposition="outside", cliponaxis=False,
        customdata=[escape(choice) for choice in choices], hovertemplate="%{customdata}: %{x}<extra></extra>",
    )  # fmt: skip
    names = [_wrapped(choice) for choice in choices]
    figure.update_yaxes(tickvals=list(range(len(choices))), ticktext=names, autorange="reversed", showgrid=False)
    figure.update_xaxes(range=[0, max([*counts, 4]) * 1.15], tickformat="d")
    figure.update_layout(margin={"l": 180, "r": 24, "t": 8, "b": 40}, showlegend=False)
    return figure


def plot_number_votes(
    answers: Sequence[float], low: float, high: float, unit: str, value: float | None = None
) -> go.Figure:
    """Return how often each range of numbers was answered, and what came out as a line.

    Args:
        answers: of a class.
        low, high: ends of the axis.
        unit: of the numbers.
        value: what came out, None while it is not shown.

    Example:
        >>> plot_number_votes([20, 25, 70], 0, 100, "%", 56.0).show()
    """
    figure = new_figure(f"answer, {escape(unit)}", "answers", height=240)
    heights, edges = np.histogram(np.asarray(answers, float), bins=20, range=(low, high))
    figure.add_bar(
        x=(edges[:-1] + edges[1:]) / 2, y=heights, width=0.9 * np.diff(edges), marker_color=VOTE,
        hovertemplate="%{y} answers near %{x}<extra></extra>",
    )  # fmt: skip
    if value is not None:
        figure.add_vline(value, line={"color": CAME, "width": 3}, annotation_text="came out")
    figure.update_xaxes(range=[low, high])
    figure.update_yaxes(range=[0, max([*heights.tolist(), 4]) * 1.15], tickformat="d")
    figure.update_layout(margin={"l": 48, "r": 12, "t": 12, "b": 44}, showlegend=False)
    return figure


def plot_guesses(
    at: Sequence[float],
    guesses: Sequence[Sequence[float]],
    measured: Sequence[float] | None,
    axis: str,
    unit: str,
    own: bool = True,
) -> go.Figure:
    """Return curves that were guessed, and the one that was measured.

    Args:
        at: places on the horizontal axis, above 0.
        guesses: a curve each; with `own`, the first is the visitor's own.
        measured: what came out at these places, None while it is not shown.
        axis, unit: what the axes are.
        own: whether the first guess is the visitor's own.

    Example:
        >>> plot_guesses([1, 4, 16], [[20, 60, 90]], [30, 70, 88], "numbers kept", "%").show()
    """
    figure = new_figure(escape(axis), escape(unit), height=300)
    for number, guess in enumerate(guesses):
        first = own and number == 0
        figure.add_scatter(
            x=list(at), y=list(guess), mode="lines+markers" if first else "lines",
            name="your guess" if first else "guesses",
            line={"color": VOTE if first else fade(VOTE, 0.4), "dash": "dash" if first else "solid", "width": 2.5},
            showlegend=number == 0 or (own and number == 1),
        )  # fmt: skip
    if measured is not None:
        line = {"color": CAME, "width": 3}
        figure.add_scatter(x=list(at), y=list(measured), mode="lines+markers", name="came out", line=line)
    figure.update_xaxes(type="log", tickvals=list(at), ticktext=[f"{place:g}" for place in at])
    return figure


def plot_difference_over_seeds(frame: pd.DataFrame) -> go.Figure:
    """Return a difference with its interval for each number of seeds; clear ones are filled, 0 is a line.

    Args:
        frame: from `lessons.tables.difference_over_seeds`.

    Example:
        >>> rows = [(2, 3.0, -4.0, 10.0, False), (3, 2.5, 0.5, 4.5, True)]
        >>> plot_difference_over_seeds(pd.DataFrame(rows, columns=["seeds", "mean", "low", "high", "clear"])).show()
    """
    figure, colour = new_figure("seeds", "difference, points"), COLOURS["compressed"]
    for clear, name in ((False, "interval holds 0: not clear"), (True, "interval excludes 0: clear")):
        rows = frame[frame["clear"] == clear]
        figure.add_scatter(
            x=rows["seeds"], y=rows["mean"], mode="markers", name=name,
            marker={"size": 11, "color": colour if clear else LIGHTEST, "line": {"color": colour, "width": 2}},
            error_y={"type": "data", "array": rows["high"] - rows["mean"], "color": WHISKER, "width": 6},
            customdata=rows[["low", "high"]],
            hovertemplate="%{x} seeds: %{y:.1f} (%{customdata[0]:.1f} to %{customdata[1]:.1f}) points<extra></extra>",
        )  # fmt: skip
    figure.add_hline(0, line={"color": GRID, "width": 3})
    if len(frame):  # the interval of two seeds is so wide that nothing else could be seen
        reach = 1.3 * frame.iloc[1:][["low", "high"]].abs().max().max() if len(frame) > 1 else 20.0
        figure.update_yaxes(range=[-reach, reach])
    figure.update_xaxes(dtick=1)
    return figure


def _wrapped(text: str, width: int = 26) -> str:
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + len(word) >= width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "<br>".join(escape(line) for line in lines)
