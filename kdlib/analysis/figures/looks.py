"""Looks of a comparison in rounds: how narrow its widest interval has become, and how narrow it shall be."""

from collections.abc import Sequence

import plotly.graph_objects as go

from kdlib.analysis.figures.style import COLOURS, WHISKER, fade, new_figure

HEIGHT = 250  # pixels


def plot_looks(seeds: Sequence[int], half_widths: Sequence[float], goal: float = 0.0) -> go.Figure:
    """Return the half-width of the widest interval over the seeds, with the goal as a line.

    Looks that are still to come are where they would be if the spread stays: hollow.

    Args:
        seeds: at each planned look.
        half_widths: at those that were taken, fractions; as many or fewer.
        goal: half-width at which it stops, a fraction; 0 for none.

    Example:
        >>> plot_looks([5, 10, 20], [0.03, 0.02], 0.01).show()
    """
    figure, taken = new_figure("seeds of each method", "widest interval, ± points", HEIGHT), len(half_widths)
    if 0 < taken < len(seeds):
        last = half_widths[-1]
        expected = [100 * last * (seeds[taken - 1] / each) ** 0.5 for each in seeds[taken - 1 :]]
        figure.add_scatter(
            x=list(seeds[taken - 1 :]), y=expected, mode="lines+markers", name="if the spread stays",
            line={"color": fade(COLOURS["student"], 0.6), "dash": "dot"},
            marker={"size": 9, "color": "rgba(0,0,0,0)", "line": {"color": COLOURS["student"], "width": 1.5}},
            hovertemplate="%{x} seeds: about ± %{y:.2f} points<extra></extra>",
        )  # fmt: skip
    figure.add_scatter(
        x=list(seeds[:taken]), y=[100 * value for value in half_widths], mode="lines+markers", name="looked at",
        line={"color": COLOURS["student"]}, marker={"size": 10, "color": COLOURS["student"]},
        hovertemplate="%{x} seeds: ± %{y:.2f} points<extra></extra>",
    )  # fmt: skip
    if goal:
        figure.add_hline(y=100 * goal, line={"color": WHISKER, "dash": "dash"}, annotation_text="asked for")
    figure.update_xaxes(type="log", tickvals=list(seeds), ticktext=[str(each) for each in seeds])
    figure.update_yaxes(rangemode="tozero")
    return figure
