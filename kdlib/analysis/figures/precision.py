"""What an embedding is worth over the bytes that it takes, a line for each precision."""

import pandas as pd
import plotly.graph_objects as go

from kdlib.analysis.figures.accuracy import HEIGHT, error_bars, format_hover
from kdlib.analysis.figures.style import WHISKER, escape, fade, label_roles, label_styles, new_figure


def plot_over_bytes(frame: pd.DataFrame, measure: str) -> go.Figure:
    """Return means with intervals over bytes per item; a ring around the row that is good enough.

    Args:
        frame: from `frames.worth_over_bytes`.
        measure: title of the axis.

    Example:
        >>> plot_over_bytes(frames.worth_over_bytes(raw, compressed, "probe"), "probe accuracy").show()
    """
    figure, styles = new_figure("bytes per item", f"{measure}, %", HEIGHT), label_styles(label_roles(frame))
    for label, (colour, dash, mark) in styles.items():
        rows = frame[frame["label"] == label].sort_values("bytes")
        hover = [
            f"{width:,} numbers in {precision}, {size:,} bytes: {text}"
            for width, precision, size, text in zip(
                rows["width"], rows["precision"], rows["bytes"], format_hover(rows), strict=True
            )
        ]
        figure.add_scatter(
            x=rows["bytes"], y=100 * rows["mean"], name=escape(label), mode="lines+markers", error_y=error_bars(rows),
            line={"color": colour, "dash": dash, "width": 2.5}, marker={"color": colour, "symbol": mark, "size": 10},
            customdata=hover, hovertemplate="%{customdata}<extra></extra>",
        )  # fmt: skip
    best = frame["mean"].max()
    line = {"dash": "dot", "color": WHISKER}
    figure.add_hline(y=100 * best - 1, line=line, annotation_text="one point below the best", annotation_font_size=11)
    chosen = frame[frame["chosen"]]
    ring = {"symbol": "circle-open", "size": 22, "line": {"width": 3}, "color": fade(WHISKER, 1)}
    figure.add_scatter(
        x=chosen["bytes"], y=100 * chosen["mean"], mode="markers", name="cheapest within one point", marker=ring,
        hoverinfo="skip",
    )  # fmt: skip
    ticks = sorted(frame["bytes"].unique())
    figure.update_xaxes(type="log", tickvals=ticks, ticktext=[f"{size:,}" for size in ticks])
    return figure
