"""Accuracies as a mean with its 95 % interval and the seeds as dots: bars, over the dimension, over a cost."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from kdlib.analysis.figures.style import WHISKER, LabelStyle, escape, fade, label_roles, label_styles, new_figure

HEIGHT = 420  # pixels
MAX_TICKS = 14
MAX_LEGEND = 12  # entries
FAINT = 0.25  # opacity of what is dominated
HATCH = "rgba(255,255,255,0.7)"
SEED_HOVER = "one seed: %{y:.1f} %<extra></extra>"


def plot_accuracy_bars(frame: pd.DataFrame, metric: str = "accuracy") -> go.Figure:
    """Return bars of the mean with its 95 % interval and the seeds as dots; one group per split, out-of-domain hatched.

    Args:
        frame: from `frames.accuracies`.
        metric: name of the score.

    Example:
        >>> plot_accuracy_bars(frames.accuracies(results)).show()
    """
    figure, styles = new_figure("", f"{metric}, %", HEIGHT), label_styles(label_roles(frame))
    groups, labels = list(dict.fromkeys(frame["split"])), list(styles)
    width = 0.84 / max(len(labels), 1)
    for number, label in enumerate(labels):
        rows = frame[frame["label"] == label]
        x = [groups.index(split) + (number - (len(labels) - 1) / 2) * width for split in rows["split"]]
        hatch = {
            "shape": ["/" if outside else "" for outside in rows["outside"]],
            "fillmode": "overlay",
            "fgcolor": HATCH,
        }
        figure.add_bar(
            x=x, y=100 * rows["mean"], width=0.92 * width, name=escape(label), error_y=error_bars(rows),
            marker={"color": styles[label][0], "pattern": hatch},
            customdata=format_hover(rows), hovertemplate="%{customdata}",
        )  # fmt: skip
        _add_seeds(figure, x, rows, width)
    names = [escape(group) for group in groups]
    figure.update_xaxes(tickvals=list(range(len(groups))), ticktext=names, range=[-0.5, len(groups) - 0.5])
    figure.update_yaxes(range=[0, 100])
    return figure.update_layout(margin={"b": 28})  # the axis has no title


def plot_probes(frame: pd.DataFrame) -> go.Figure:
    """Return bars of what a linear probe reads from each space, one group per question, with a line at chance.

    Args:
        frame: as in `plot_accuracy_bars`, and "chance" per row, None where it is not known.

    Example:
        >>> plot_probes(spaces.probe_table(result)).show()
    """
    figure = plot_accuracy_bars(frame)
    for number, chance in enumerate(frame.drop_duplicates("split")["chance"]):
        if not pd.isna(chance):
            ends = {"x0": number - 0.45, "x1": number + 0.45, "y0": 100 * chance, "y1": 100 * chance}
            figure.add_shape(type="line", **ends, line={"dash": "dot", "color": WHISKER})
    figure.update_yaxes(title="read by a probe, %")
    return figure


def plot_scores_per_class(
    frames: Mapping[str, pd.DataFrame], roles: Mapping[str, str], metric: str = "accuracy"
) -> go.Figure:
    """Return bars per class, side by side for each run, with intervals and seeds.

    Args:
        frames: label -> frame from `class_scores.scores_per_class`.
        roles: label -> role.
        metric: name of the score.

    Example:
        >>> frame = scores_per_class(result.arrays["logits/test"], data.labels[data.splits["test"]], data.classes)
        >>> plot_scores_per_class({"mlp 16": frame}, {"mlp 16": "compressed"}).show()
    """
    parts = [
        frame.assign(label=label, role=roles[label], split=frame["class"], outside=False)
        for label, frame in frames.items()
    ]
    return plot_accuracy_bars(pd.concat(parts, ignore_index=True), metric)


def plot_accuracy_over_dim(frame: pd.DataFrame, metric: str = "accuracy") -> go.Figure:
    """Return accuracy over the width of the compressed embedding, a line per label, baseline and raw for reference.

    Args:
        frame: from `frames.accuracy_over_dim`.
        metric: name of the score.

    Example:
        >>> plot_accuracy_over_dim(frames.accuracy_over_dim(results)).show()
    """
    return plot_accuracy_over(frame.rename(columns={"dim": "x"}), "width of the compressed embedding", metric)


def plot_accuracy_over(frame: pd.DataFrame, title: str, metric: str = "accuracy") -> go.Figure:
    """Return accuracy over a setting, a line per label; those without the setting are lines across, for reference.

    Args:
        frame: columns label, role, x (a number; None for a reference), mean, ci95, values, and maybe place (a number
            that a click gives back).
        title: of the axis.
        metric: name of the score.

    Example:
        >>> plot_accuracy_over(landscape_points(cells, ["labels"], "test"), "labels").show()
    """
    figure = new_figure(title, f"{metric}, %", HEIGHT)
    styles = label_styles(label_roles(frame))
    lines = frame[frame["x"].notna()]
    places = sorted(lines["x"].unique())
    log = _is_geometric(places)
    margin = max(0.03 * (places[-1] - places[0]), 1e-9) if places else 0
    ends = [1.0, 2.0] if not places else [places[0] - margin, places[-1] + margin]
    if places and (log or len(places) == 1):
        ends = [places[0] / 1.15, places[-1] * 1.15]
    references = frame[frame["x"].isna()]
    for number, label in enumerate(references["label"]):
        _add_reference(figure, references.iloc[[number]], ends, styles[label][0])
    for label in lines["label"].unique():
        rows = lines[lines["label"] == label].sort_values("x")
        _add_points(figure, rows, rows["x"].tolist(), styles[label], "lines+markers")
    shown = _apart(places, log)
    ticks = {"tickvals": shown, "ticktext": [_number(each) for each in shown]}
    figure.update_xaxes(type="log" if log else "linear", **ticks)
    return figure


def _is_geometric(places: list[float]) -> bool:
    """Return whether places of an axis are more evenly apart on a logarithmic axis, as 4, 8, 16 are."""
    if len(places) < 3 or places[0] <= 0:
        return False
    steps, ratios = np.diff(places), np.diff(np.log(places))
    return bool(ratios.std() / ratios.mean() < steps.std() / steps.mean())


def _number(value: float) -> str:
    """Return a number of an axis: all digits of a whole one, three of another."""
    return f"{value:,.0f}" if float(value).is_integer() or value >= 1000 else f"{value:.3g}"


def _apart(places: list[float], log: bool) -> list[float]:
    """Return those places of an axis that are far enough apart for their numbers to be read."""
    if len(places) < 2:
        return places
    scale = np.log(places) if log else np.asarray(places, dtype=float)
    gap = (scale[-1] - scale[0]) / MAX_TICKS
    shown = [0]
    for number in range(1, len(places)):
        if scale[number] - scale[shown[-1]] >= gap:
            shown.append(number)
    return [places[number] for number in shown]


def plot_accuracy_over_cost(frame: pd.DataFrame, cost: str, metric: str = "accuracy") -> go.Figure:
    """Return accuracy against a cost, one mark per run; those that another beats in both are faint.

    The line goes through the others, the Pareto front.

    Args:
        frame: from `landscape.cost_points`.
        cost: title of the axis.
        metric: name of the score.

    Example:
        >>> plot_accuracy_over_cost(cost_points(cells, "parameters", "test"), "parameters").show()
    """
    figure, styles = new_figure(cost, f"{metric}, %", HEIGHT), label_styles(label_roles(frame))
    front = frame[~frame["dominated"]].sort_values("cost")
    figure.add_scatter(
        x=front["cost"], y=100 * front["mean"], mode="lines", name="Pareto front", hoverinfo="skip",
        line={"color": WHISKER, "dash": "dot", "width": 1.5, "shape": "hv"},
    )  # fmt: skip
    for label in frame["label"].unique():
        rows = frame[frame["label"] == label]
        opacity = FAINT if rows["dominated"].all() else 1
        _add_points(figure, rows, rows["cost"].tolist(), styles[label], "markers", opacity)
    figure.update_layout(showlegend=len(styles) <= MAX_LEGEND)  # of more, the names are where the mouse is
    costs = sorted(frame["cost"].unique().tolist())
    shown = _apart(costs, log=True)
    figure.update_xaxes(tickvals=shown, ticktext=[_number(each) for each in shown])
    return figure.update_xaxes(type="log") if len(costs) > 1 else figure


def error_bars(rows: pd.DataFrame) -> dict[str, object]:
    """Return the intervals of the rows as plotly takes them, in percent."""
    return {
        "type": "data",
        "array": [None if pd.isna(half_width) else 100 * half_width for half_width in rows["ci95"]],
        "thickness": 1.5,
        "width": 5,
        "color": WHISKER,
    }


def format_hover(rows: pd.DataFrame) -> list[str]:
    """Return mean, interval and n of each row in words."""
    return [
        f"{100 * mean:.1f}" + ("" if pd.isna(ci95) else f" ± {100 * ci95:.1f}") + f" %, n = {len(values)}"
        for mean, ci95, values in zip(rows["mean"], rows["ci95"], rows["values"], strict=True)
    ]


def _add_seeds(figure: go.Figure, centers: list[float], rows: pd.DataFrame, width: float) -> None:
    """Add the seeds as dots beside their mean, spread a little so that equal ones are visible."""
    x, y = [], []
    for center, values in zip(centers, rows["values"], strict=True):
        x += (center + 0.3 * width * np.linspace(-1, 1, len(values)) * (len(values) > 1)).tolist()
        y += [100 * value for value in values]
    dots = {"color": "rgba(255,255,255,0.85)", "size": 6, "line": {"color": "#333", "width": 1}}
    figure.add_scatter(x=x, y=y, mode="markers", marker=dots, showlegend=False, hovertemplate=SEED_HOVER)


def _add_points(
    figure: go.Figure, rows: pd.DataFrame, x: list[float], style: LabelStyle, mode: str, opacity: float = 1
) -> None:
    """Add the means of one label with intervals, and their seeds. `mode` is plotly's: lines, markers or both."""
    colour, dash, mark = style
    for position, values in zip(x, rows["values"], strict=True):
        figure.add_scatter(
            x=[position] * len(values), y=[100 * value for value in values], mode="markers",
            marker={"color": fade(colour, 0.35 * opacity), "size": 5}, showlegend=False, hovertemplate=SEED_HOVER,
        )  # fmt: skip
    figure.add_scatter(
        x=x, y=100 * rows["mean"], name=escape(rows["label"].iloc[0]), mode=mode,
        error_y=error_bars(rows) | {"color": colour},
        line={"color": colour, "dash": dash, "width": 2.5}, opacity=opacity,
        marker={"color": colour, "symbol": mark, "size": 10},
        customdata=_with_places(rows), hovertemplate="%{x}: %{customdata[0]}",
    )  # fmt: skip


def _with_places(rows: pd.DataFrame) -> list[list[object]]:
    """Return for each row what its point says, and the number that a click on it gives back, if it has one."""
    words = format_hover(rows)
    if "place" not in rows:
        return [[each] for each in words]
    return [[each, place] for each, place in zip(words, rows["place"].tolist(), strict=True)]


def _add_reference(figure: go.Figure, row: pd.DataFrame, ends: list[float], colour: str) -> None:
    """Add a horizontal line in the band of its interval, for a frame of one row."""
    label, mean, ci95 = escape(row["label"].iloc[0]), row["mean"].iloc[0], row["ci95"].iloc[0]
    half_width = 0 if pd.isna(ci95) else ci95
    low, high = 100 * (mean - half_width), 100 * (mean + half_width)
    band = {"x": [*ends, *ends[::-1]], "y": [low, low, high, high], "fill": "toself", "fillcolor": fade(colour, 0.12)}
    figure.add_scatter(**band, line_width=0, mode="lines", hoverinfo="skip", showlegend=False)
    figure.add_scatter(
        x=ends, y=[100 * mean] * 2, name=label, mode="lines", line={"color": colour, "dash": "dash", "width": 2},
        hovertemplate=f"{label}: {format_hover(row)[0]}",
    )  # fmt: skip
