"""Data frames in, plotly figures out. Colours go by role, everywhere the same; every accuracy comes with its interval and its seeds.

To add a figure, write a function of a frame of `kdlib.analysis.frames` and name it in `tests/test_figures.py`, which
holds all of them to the rules: labels are escaped (plotly reads `<b>` and `<a>` in any text), axes of live charts do
not move, nothing but the role decides a colour.
"""

import html
from collections.abc import Mapping

import numpy as np
import pandas as pd
import plotly.graph_objects as go

# Okabe and Ito's palette, made a little lighter where a dark page asks for it: told apart with every kind of colour blindness.
SHADES = {  # several of one role: its own colour first
    "baseline": ("#8c8c8c", "#5f5f5f", "#b8b8b8"),
    "raw": ("#2b83ba", "#74add1", "#1d5f8a"),
    "compressed": ("#e08214", "#b35806", "#fdb863", "#8c510a", "#f6a04d", "#d9730d"),
    "student": ("#1b9e77", "#66c2a5", "#12694f"),
}
COLOURS = {role: shades[0] for role, shades in SHADES.items()}
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
MARKS = ("circle", "diamond", "square", "triangle-up", "cross", "star")
WHISKER = "#6b6b6b"  # seen on bars, on white and on black
HATCH = "rgba(255,255,255,0.7)"
GRID = "rgba(128,128,128,0.25)"
PAPER, INK = "#dfe3e8", "#111111"  # of tables in colour, the same on a white and on a black page
LOUDNESS_COLOURS = (
    "#0c0824",
    "#50127b",
    "#b6377a",
    "#fb8861",
    "#fcfdbf",
)  # plotly's Magma, whose first colour Streamlit takes for a place holder
CURVES = {
    "val": "validation {metric}, %",
    "prediction": "prediction loss",
    "distance": "distance loss",
    "teacher": "teacher loss",
}


CONFUSION_WORDS = ("taken for", "true class", "%{z:.1f} % of row %{y} taken for column %{x}<extra></extra>")
FALSE_ALARM_WORDS = ("told to be there", "there", "row %{y} is there: column %{x} told in %{z:.1f} %<extra></extra>")


def escape(text: object) -> str:
    """Return text as plotly shows it literally."""
    return html.escape(str(text), quote=False)


def _roles(frame: pd.DataFrame, by: str = "label") -> dict[str, str]:
    return dict(zip(frame[by], frame["role"], strict=True))


def _styles(roles: Mapping[str, str]) -> dict[str, tuple[str, str, str]]:
    """Return colour, dash and mark of each label: the role decides the colour, several of one role differ in shade and dash."""
    styles, used = {}, dict.fromkeys(COLOURS, 0)
    for label, role in roles.items():
        number = used[role]
        used[role] += 1
        shades = SHADES[role]
        styles[label] = (shades[number % len(shades)], DASHES[number % len(DASHES)], MARKS[number % len(MARKS)])
    return styles


def _figure(x: str, y: str, height: int = 340) -> go.Figure:
    figure = go.Figure()
    figure.update_layout(
        height=height,
        margin={"l": 56, "r": 12, "t": 36, "b": 48},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "title": None},
        hovermode="closest",
        uirevision="keep",  # what a person zoomed or hid stays when new points come
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        barcornerradius=3,
    )
    axis = {"gridcolor": GRID, "zeroline": False, "fixedrange": False}
    figure.update_xaxes(title=x, **axis)
    figure.update_yaxes(title=y, **axis)
    return figure


def _faded(colour: str, alpha: float) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha})"


def curves(
    frame: pd.DataFrame, curve: str, epochs: int, roles: Mapping[str, str], metric: str = "accuracy"
) -> go.Figure:
    """Return one line per run, the mean of its seeds, in a band from the lowest seed to the highest.

    Args:
        frame: from `views.curves`.
        curve: a key of `CURVES`.
        epochs: where the axis ends; it stands still while the runs are live.
        roles: label -> role of every run, also of those that have no point yet, so that the legend stands still as well.
        metric: what the validation score is called.
    """
    scale = 100 if curve == "val" else 1
    figure, styles = _figure("epoch", CURVES[curve].format(metric=metric)), _styles(roles)
    for label, (colour, dash, _) in styles.items():
        rows = frame[(frame["curve"] == curve) & (frame["label"] == label)]
        if rows.empty and (frame["label"] == label).any():  # it has points, but none of this kind
            continue
        if rows.empty:  # its place in the legend
            figure.add_scatter(
                x=[None], y=[None], name=escape(label), mode="lines+markers", line={"color": colour, "dash": dash}
            )
            continue
        x = rows["epoch"].tolist()
        low, high, mean = ((scale * rows[name]).tolist() for name in ("low", "high", "mean"))
        band = {"x": x + x[::-1], "y": high + low[::-1], "fill": "toself", "fillcolor": _faded(colour, 0.18)}
        figure.add_scatter(
            **band, line_width=0, hoverinfo="skip", showlegend=False, legendgroup=escape(label), mode="lines"
        )
        figure.add_scatter(
            x=x, y=mean, name=escape(label), legendgroup=escape(label), mode="lines+markers", marker_size=4,
            line={"color": colour, "dash": dash, "width": 2.5},
            customdata=list(zip(low, high, rows["n"], strict=True)),
            hovertemplate="epoch %{x}: %{y:.2f}<br>seeds %{customdata[0]:.2f} to %{customdata[1]:.2f}, n = %{customdata[2]}",
        )  # fmt: skip
    figure.update_xaxes(range=[0, epochs + 0.5])
    if curve == "val":
        figure.update_yaxes(range=[0, 100])
    else:
        figure.update_yaxes(rangemode="tozero")
    return figure


def _interval(rows: pd.DataFrame) -> dict:
    return {
        "type": "data",
        "array": [None if pd.isna(each) else 100 * each for each in rows["ci95"]],
        "thickness": 1.5,
        "width": 5,
        "color": WHISKER,
    }


def _told(rows: pd.DataFrame) -> list[str]:
    """Return mean, interval and n of each row, for the hover text."""
    return [
        f"{100 * mean:.1f}" + ("" if pd.isna(ci) else f" ± {100 * ci:.1f}") + f" %, n = {len(values)}"
        for mean, ci, values in zip(rows["mean"], rows["ci95"], rows["values"], strict=True)
    ]


def _dots(figure: go.Figure, places: list[float], rows: pd.DataFrame, width: float) -> None:
    """Draw the seeds beside their mean, spread a little so that equal ones are seen."""
    x, y = [], []
    for place, values in zip(places, rows["values"], strict=True):
        x += (place + 0.3 * width * np.linspace(-1, 1, len(values)) * (len(values) > 1)).tolist()
        y += [100 * value for value in values]
    dots = {"color": "rgba(255,255,255,0.85)", "size": 6, "line": {"color": "#333", "width": 1}}
    figure.add_scatter(
        x=x, y=y, mode="markers", marker=dots, showlegend=False, hovertemplate="one seed: %{y:.1f} %<extra></extra>"
    )


def accuracy_bars(frame: pd.DataFrame, metric: str = "accuracy") -> go.Figure:
    """Return bars of the mean with its 95 % interval and the seeds as dots; one group per split, out-of-domain hatched.

    Args:
        frame: from `views.accuracies`.
        metric: what the numbers are called.
    """
    figure, styles = _figure("", f"{metric}, %", height=420), _styles(_roles(frame))
    groups, names = list(dict.fromkeys(frame["split"])), list(styles)
    width = 0.84 / max(len(names), 1)
    for number, name in enumerate(names):
        rows = frame[frame["label"] == name]
        places = [groups.index(split) + (number - (len(names) - 1) / 2) * width for split in rows["split"]]
        colour = styles[name][0]
        hatch = {
            "shape": ["/" if outside else "" for outside in rows["outside"]],
            "fillmode": "overlay",
            "fgcolor": "rgba(255,255,255,0.7)",
        }
        figure.add_bar(
            x=places, y=100 * rows["mean"], width=0.92 * width, name=escape(name), error_y=_interval(rows),
            marker={"color": colour, "pattern": hatch}, customdata=_told(rows), hovertemplate="%{customdata}",
        )  # fmt: skip
        _dots(figure, places, rows, width)
    figure.update_xaxes(
        tickvals=list(range(len(groups))), ticktext=[escape(name) for name in groups], range=[-0.5, len(groups) - 0.5]
    )
    figure.update_yaxes(range=[0, 100])
    return figure


def probes(frame: pd.DataFrame) -> go.Figure:
    """Return bars of what a linear probe reads from each space, one group per question, with a line where chance is.

    Args:
        frame: as in `accuracy_bars`, and "chance" per row, None where it is not known.
    """
    figure = accuracy_bars(frame)
    chances = frame.drop_duplicates("split")["chance"]
    for place, chance in enumerate(chances):
        if not pd.isna(chance):
            figure.add_shape(
                type="line",
                x0=place - 0.45,
                x1=place + 0.45,
                y0=100 * chance,
                y1=100 * chance,
                line={"dash": "dot", "color": WHISKER},
            )
    figure.update_yaxes(title="read by a probe, %")
    return figure


def _with_interval(
    figure: go.Figure, rows: pd.DataFrame, x: list[float], name: str, style: tuple[str, str, str], mode: str
) -> None:
    colour, dash, mark = style
    for place, values in zip(x, rows["values"], strict=True):
        seeds = {"color": _faded(colour, 0.35), "size": 5}
        figure.add_scatter(
            x=[place] * len(values), y=[100 * value for value in values], mode="markers", marker=seeds, showlegend=False,
            hovertemplate="one seed: %{y:.1f} %<extra></extra>",
        )  # fmt: skip
    figure.add_scatter(
        x=x, y=100 * rows["mean"], name=escape(name), mode=mode, error_y=_interval(rows),
        line={"color": colour, "dash": dash, "width": 2.5}, marker={"color": colour, "symbol": mark, "size": 10},
        customdata=_told(rows), hovertemplate="%{x}: %{customdata}",
    )  # fmt: skip


def over_dim(frame: pd.DataFrame, metric: str = "accuracy") -> go.Figure:
    """Return accuracy over the width of the compressed embedding, one line per label, baseline and raw as reference lines.

    Args:
        frame: from `frames.accuracy_over_dim`.
        metric: what the numbers are called.
    """
    figure, styles = _figure("width of the compressed embedding", f"{metric}, %", height=420), _styles(_roles(frame))
    wide = frame[frame["role"] == "compressed"]
    dims = sorted(wide["dim"].dropna().unique())
    for label in wide["label"].unique():
        rows = wide[wide["label"] == label]
        _with_interval(figure, rows, rows["dim"].tolist(), label, styles[label], "lines+markers")
    ends = [dims[0] / 1.15, dims[-1] * 1.15] if dims else [1, 2]
    for _, row in frame[frame["role"] != "compressed"].iterrows():
        colour, half = styles[row["label"]][0], 0 if pd.isna(row["ci95"]) else row["ci95"]
        low, high = 100 * (row["mean"] - half), 100 * (row["mean"] + half)
        band = {
            "x": [*ends, *ends[::-1]],
            "y": [low, low, high, high],
            "fill": "toself",
            "fillcolor": _faded(colour, 0.12),
        }
        figure.add_scatter(**band, line_width=0, mode="lines", hoverinfo="skip", showlegend=False)
        line = {"color": colour, "dash": "dash", "width": 2}
        told = f"{escape(row['label'])}: {_told(pd.DataFrame([row]))[0]}"
        figure.add_scatter(
            x=ends, y=[100 * row["mean"]] * 2, name=escape(row["label"]), mode="lines", line=line, hovertemplate=told
        )
    figure.update_xaxes(type="log", tickvals=dims, ticktext=[f"{int(dim)}" for dim in dims])
    return figure


def over_cost(frame: pd.DataFrame, cost: str, metric: str = "accuracy") -> go.Figure:
    """Return accuracy against what it costs, one mark per run.

    Args:
        frame: from `frames.accuracy_over_cost`.
        cost: what the axis is called.
        metric: what the numbers are called.
    """
    figure, styles = _figure(cost, f"{metric}, %", height=420), _styles(_roles(frame))
    for name in frame["label"].unique():
        rows = frame[frame["label"] == name]
        _with_interval(figure, rows, rows["cost"].tolist(), name, styles[name], "markers")
    if frame["cost"].nunique() > 1:
        figure.update_xaxes(type="log")
    else:
        only = frame["cost"].iloc[0]
        figure.update_xaxes(tickvals=[only], ticktext=[f"{only:,}"])
    return figure


def per_class(frames: dict[str, pd.DataFrame], roles: dict[str, str], metric: str = "accuracy") -> go.Figure:
    """Return accuracy per class, bars side by side for each run with intervals and seeds.

    Args:
        frames: label -> frame from `views.per_class`.
        roles: label -> role.
        metric: what the numbers are called.
    """
    parts = [
        frame.assign(label=label, role=roles[label], split=frame["class"], outside=False)
        for label, frame in frames.items()
    ]
    return accuracy_bars(pd.concat(parts, ignore_index=True), metric)


def _written(figure: go.Figure, cells: list[list[str]]) -> None:
    """Write text into the cells of a heatmap of `_shades`. Plotly would choose its colour as if the page were white."""
    ink = {"font": {"color": INK}, "showarrow": False}
    notes = [{"x": x, "y": y, "text": text} | ink for y, row in enumerate(cells) for x, text in enumerate(row) if text]
    figure.update_layout(annotations=notes)


def _shades(role: str) -> list[list[float | str]]:
    """Return a scale up to the colour of a role, on all of which `INK` can be read, whatever the page's colour."""
    return [[0, PAPER], [1, COLOURS[role]]]


def confusion(
    matrix: np.ndarray, classes: list[str], role: str, words: tuple[str, str, str] = CONFUSION_WORDS
) -> go.Figure:
    """Return a matrix of classes by classes in shades of the role's colour, percent written into the cells.

    Args:
        matrix: (k, k) in [0, 1], from `views.confusion` or `views.false_alarms`; NaN cells stay empty.
        classes: their names.
        role: decides the colour.
        words: what columns and rows are, and what a cell says: `CONFUSION_WORDS` or `FALSE_ALARM_WORDS`.
    """
    names = [escape(name) for name in classes]
    columns, rows, cell = words
    figure = _figure(columns, rows, height=440)
    cells = [[f"{100 * value:.0f}" if value >= 0.005 else "" for value in row] for row in matrix]
    figure.add_heatmap(
        z=100 * matrix, colorscale=_shades(role), zmin=0, zmax=100, showscale=False,
        hovertemplate=cell,
    )  # fmt: skip
    _written(figure, cells)
    ticks = {"tickvals": list(range(len(names))), "ticktext": names, "showgrid": False}
    figure.update_xaxes(**ticks)
    figure.update_yaxes(autorange="reversed", **ticks)
    return figure


def teacher_heatmap(frame: pd.DataFrame) -> go.Figure:
    """Return what each teacher knows: probe accuracy per teacher and question as a shaded table, shade = how far above chance.

    Args:
        frame: columns teacher, question, accuracy, chance.
    """
    teachers, questions = list(dict.fromkeys(frame["teacher"])), list(dict.fromkeys(frame["question"]))
    figure = _figure("", "", height=90 + 44 * len(teachers))
    at = {(row["teacher"], row["question"]): row for _, row in frame.iterrows()}
    cells = [[at.get((teacher, question)) for question in questions] for teacher in teachers]
    above = [
        [None if c is None else max(0.0, (c["accuracy"] - c["chance"]) / max(1 - c["chance"], 1e-9)) for c in row]
        for row in cells
    ]
    text = [["" if c is None else f"{100 * c['accuracy']:.1f} %" for c in row] for row in cells]
    hover = [
        ["" if c is None else f"{100 * c['accuracy']:.1f} % (chance {100 * c['chance']:.1f} %)" for c in row]
        for row in cells
    ]
    figure.add_heatmap(
        z=above, zmin=0, zmax=1, colorscale=_shades("raw"), showscale=False,
        customdata=hover, hovertemplate="%{customdata}<extra></extra>", xgap=3, ygap=3,
    )  # fmt: skip
    _written(figure, text)
    chance = {question: frame[frame["question"] == question]["chance"].iloc[0] for question in questions}
    heads = [f"{escape(question)}<br>chance<br>{100 * chance[question]:.0f} %" for question in questions]
    figure.update_xaxes(
        tickvals=list(range(len(questions))), ticktext=heads, side="top", showgrid=False, tickangle=0, tickfont_size=11
    )
    names = [escape(teacher) for teacher in teachers]
    figure.update_yaxes(tickvals=list(range(len(teachers))), ticktext=names, autorange="reversed", showgrid=False)
    figure.update_layout(margin={"l": 90, "r": 8, "t": 72, "b": 8})
    return figure


def gallery(tiles: np.ndarray, rows: list[str], columns: list[str], column_title: str) -> go.Figure:
    """Return a sheet of pictures, one per class and category of an attribute.

    Args:
        tiles: (r, c, h, w) in [0, 1]; NaN where there is no such item.
        rows, columns: what they are called.
        column_title: the attribute.
    """
    r, c, height, width = tiles.shape
    framed = np.full((r, c, height + 2, width + 2), np.nan)
    framed[:, :, 1:-1, 1:-1] = tiles
    sheet = framed.transpose(0, 2, 1, 3).reshape(r * (height + 2), c * (width + 2))
    figure = _figure(escape(column_title), "class", height=80 + 46 * r)
    figure.add_heatmap(z=np.round(sheet, 3), colorscale="gray", zmin=0, zmax=1, showscale=False, hoverinfo="skip")

    def middles(names: list[str], size: int) -> dict:
        return {
            "tickvals": [(i + 0.5) * (size + 2) - 0.5 for i in range(len(names))],
            "ticktext": [escape(name) for name in names],
        }

    figure.update_xaxes(showgrid=False, fixedrange=True, side="top", constrain="domain", **middles(columns, width))
    figure.update_yaxes(
        showgrid=False,
        fixedrange=True,
        autorange="reversed",
        scaleanchor="x",
        constrain="domain",
        **middles(rows, height),
    )
    figure.update_layout(margin={"l": 48, "r": 8, "t": 64, "b": 8})
    return figure


def spectrogram(picture: np.ndarray, hertz: np.ndarray, seconds: float) -> go.Figure:
    """Return what a sound looks like: time to the right, frequency upwards, dark is quiet.

    Args:
        picture: (mels, frames) in [0, 1], low frequencies first.
        hertz: (mels,) the middle of each band.
        seconds: how long the sound is.
    """
    mels, frames = picture.shape
    figure = _figure("time, s", "frequency, Hz", height=260)
    times = (np.arange(frames) + 0.5) * seconds / frames
    figure.add_heatmap(
        z=np.round(picture, 3), x=np.round(times, 4), y=list(range(mels)), colorscale=list(LOUDNESS_COLOURS), showscale=False,
        customdata=np.repeat(np.round(hertz)[:, None], frames, 1), hovertemplate="%{x:.2f} s, %{customdata:.0f} Hz<extra></extra>",
    )  # fmt: skip
    ticks = list(range(0, mels, 6))
    figure.update_yaxes(tickvals=ticks, ticktext=[f"{hertz[i]:,.0f}" for i in ticks], showgrid=False)
    figure.update_xaxes(showgrid=False)
    figure.update_layout(margin={"t": 8})
    return figure


def to_html(figure: go.Figure) -> str:
    """Return a figure as a page of its own that asks no other host for anything."""
    whole = go.Figure(figure).update_layout(paper_bgcolor="white", template="plotly_white")
    return whole.to_html(include_plotlyjs=True, include_mathjax=False)
