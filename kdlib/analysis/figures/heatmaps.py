"""Matrices as shaded tables: classes against classes, teachers against questions."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from kdlib.analysis.figures.style import COLOURS, escape, new_figure

LIGHTEST, INK = "#dfe3e8", "#111111"  # of shaded tables, the same on a white and on a black page


class MatrixText(NamedTuple):
    """What a matrix of classes says.

    Attributes:
        columns: title of the columns.
        rows: title of the rows.
        hover: plotly's template for a cell.
    """

    columns: str
    rows: str
    hover: str


CONFUSION_TEXT = MatrixText("taken for", "true class", "%{z:.1f} % of row %{y} taken for column %{x}<extra></extra>")
FALSE_ALARM_TEXT = MatrixText(
    "told to be there", "there", "row %{y} is there: column %{x} told in %{z:.1f} %<extra></extra>"
)


def plot_confusion(
    matrix: np.ndarray, classes: Sequence[str], role: str, text: MatrixText = CONFUSION_TEXT
) -> go.Figure:
    """Return a matrix of classes by classes in shades of the role's colour, percent written into the cells.

    Args:
        matrix: (k, k) in [0, 1], from `class_scores.confusion_matrix` or `class_scores.false_alarm_matrix`; NaN cells
            stay empty.
        classes: their names.
        role: decides the colour.
        text: `CONFUSION_TEXT` or `FALSE_ALARM_TEXT`.

    Example:
        >>> plot_confusion(np.array([[0.9, 0.1], [0.3, 0.7]]), ["cat", "dog"], "student").show()
    """
    names = [escape(name) for name in classes]
    figure = new_figure(text.columns, text.rows, height=440)
    figure.add_heatmap(
        z=100 * matrix, colorscale=_color_scale(role), zmin=0, zmax=100, showscale=False, hovertemplate=text.hover
    )
    _annotate(figure, [[f"{100 * value:.0f}" if value >= 0.005 else "" for value in row] for row in matrix])
    ticks = {"tickvals": list(range(len(names))), "ticktext": names, "showgrid": False}
    figure.update_xaxes(**ticks)
    figure.update_yaxes(autorange="reversed", **ticks)
    return figure


def plot_teacher_heatmap(frame: pd.DataFrame) -> go.Figure:
    """Return what each teacher knows: probe accuracy per teacher and question, shaded by how far above chance it is.

    Args:
        frame: columns teacher, question, accuracy, chance.

    Example:
        >>> rows = [("simclr", "target", 0.9, 0.1), ("simclr", "ink", 0.4, 0.3)]
        >>> plot_teacher_heatmap(pd.DataFrame(rows, columns=["teacher", "question", "accuracy", "chance"])).show()
    """
    teachers, questions = list(dict.fromkeys(frame["teacher"])), list(dict.fromkeys(frame["question"]))
    figure = new_figure("", "", height=90 + 44 * len(teachers))
    shades: list[list[float | None]] = [[None] * len(questions) for _ in teachers]
    cells, hover = ([[""] * len(questions) for _ in teachers] for _ in range(2))
    columns = (frame[name] for name in ("teacher", "question", "accuracy", "chance"))
    for teacher, question, accuracy, chance in zip(*columns, strict=True):
        row, column = teachers.index(teacher), questions.index(question)
        shades[row][column] = max(0.0, (accuracy - chance) / max(1 - chance, 1e-9))
        cells[row][column] = f"{100 * accuracy:.1f} %"
        hover[row][column] = f"{100 * accuracy:.1f} % (chance {100 * chance:.1f} %)"
    figure.add_heatmap(
        z=shades, zmin=0, zmax=1, colorscale=_color_scale("raw"), showscale=False,
        customdata=hover, hovertemplate="%{customdata}<extra></extra>", xgap=3, ygap=3,
    )  # fmt: skip
    _annotate(figure, cells)
    chances = frame.drop_duplicates("question")["chance"]
    heads = [
        f"{escape(name)}<br>chance<br>{100 * chance:.0f} %" for name, chance in zip(questions, chances, strict=True)
    ]
    figure.update_xaxes(
        tickvals=list(range(len(questions))), ticktext=heads, side="top", showgrid=False, tickangle=0, tickfont_size=11
    )
    names = [_in_two_lines(teacher) for teacher in teachers]
    figure.update_yaxes(tickvals=list(range(len(teachers))), ticktext=names, autorange="reversed", showgrid=False)
    figure.update_layout(margin={"l": 90, "r": 8, "t": 72, "b": 8})
    return figure


def _in_two_lines(name: str) -> str:
    """Return a plain name with its code name below it: on a phone there is no room for both beside the cells."""
    plain, _, code = name.rpartition(" (")
    return f"{escape(plain)}<br>({escape(code)}" if plain and code.endswith(")") else escape(name)


def _annotate(figure: go.Figure, cells: list[list[str]]) -> None:
    """Write text into the cells of a heatmap. Plotly would choose its colour as if the page were white."""
    ink = {"font": {"color": INK}, "showarrow": False}
    notes = [{"x": x, "y": y, "text": text} | ink for y, row in enumerate(cells) for x, text in enumerate(row) if text]
    figure.update_layout(annotations=notes)


def _color_scale(role: str) -> list[list[float | str]]:
    """Return a scale up to the colour of a role. `INK` can be read on all of it, whatever the page's colour."""
    return [[0, LIGHTEST], [1, COLOURS[role]]]
