"""A table as HTML, which `assets/app.css` shows as cards where the window is narrow.

Its numbers count when they change (`assets/page/count.js`), and a click on a column's name sorts it
(`assets/page/sort.js`). Roles are written out because a browser forgets what is a table once its rows are laid out as
blocks.
"""

from collections.abc import Sequence
from html import escape
from math import isfinite
from numbers import Integral, Real
from typing import Any
from urllib.parse import quote

import pandas as pd

NONE = "–"
MOST = 30  # rows of a table that is text; more of them are a grid that draws only what is in sight
SORTED = 6  # rows from which on a table can be sorted
CURVE = (100, 24)  # width and height of a curve in a cell, pixels


def as_html(frame: pd.DataFrame, alt: str, picture: str = "") -> str:
    """Return a table; its first column names the rows. Whatever is in it is shown literally.

    Args:
        frame: shape (n, columns).
        alt: what the table is, for those who hear it.
        picture: the column that holds addresses of pictures, "" for none.

    Example:
        >>> as_html(pd.DataFrame({"split": ["test"], "items": [2000]}), "The splits of the dataset")
    """
    names = [str(name) for name in frame.columns]
    numbers = {name for name, column in zip(names, frame.columns, strict=True) if _is_numeric(frame[column])}
    head = "".join(
        f'<th role="columnheader" scope="col"{_aligned(name, numbers)}>{_heading(name, len(frame) >= SORTED)}</th>'
        for name in names
    )
    cells = enumerate(frame.itertuples(index=False, name=None))
    rows = "".join(_row(names, list(each), numbers, place, picture) for place, each in cells)
    return (
        f'<div class="kd-table" tabindex="0" role="region" aria-label="{escape(alt)}"><table role="table">'
        f'<thead role="rowgroup"><tr role="row">{head}</tr></thead><tbody role="rowgroup">{rows}</tbody></table></div>'
    )


def cell_text(value: Any) -> str:
    """Return a cell in words: thousands apart, one decimal, a dash for what is not there.

    Example:
        >>> cell_text(2000), cell_text(0.5), cell_text(None)
        ('2,000', '0.5', '–')
    """
    if value is None or value == "":
        return NONE
    if isinstance(value, Integral):
        return f"{int(value):,}"
    if isinstance(value, Real):
        return f"{float(value):,.1f}" if isfinite(value) else NONE
    return str(value).replace(" ± ", "\u00a0±\u00a0")  # a number stays with its interval


def _heading(name: str, sortable: bool) -> str:
    return f'<button type="button" class="kd-sort">{escape(name)}</button>' if sortable else escape(name)


def _row(names: Sequence[str], cells: Sequence[Any], numbers: set[str], place: int, picture: str) -> str:
    first = f'<th role="rowheader" scope="row">{_content(cells[0])}</th>'
    shown = [_picture if name == picture else _content for name in names]
    others = "".join(
        f'<td role="cell" data-label="{escape(name)}"{_aligned(name, numbers, cell)}>{show(cell)}</td>'
        for name, cell, show in zip(names[1:], cells[1:], shown[1:], strict=True)
    )
    return f'<tr role="row" data-row="{place}">{first}{others}</tr>'


def _content(value: Any) -> str:
    return curve_html(value) if isinstance(value, list) else f"<span>{escape(cell_text(value))}</span>"


def _picture(address: str) -> str:
    return f'<img class="kd-picture" src="{escape(address)}" alt="">'


def _is_numeric(column: pd.Series) -> bool:
    return all(isinstance(value, Real) or value in (None, NONE) for value in column)


def _aligned(name: str, numbers: set[str], cell: Any = 0) -> str:
    """Return the class of a cell: numbers stand to the right, and a card leaves out what is not there."""
    kinds = [kind for kind, it_is in (("kd-number", name in numbers), ("kd-none", _is_absent(cell))) if it_is]
    return f' class="{" ".join(kinds)}"' if kinds else ""


def _is_absent(cell: Any) -> bool:
    return not isinstance(cell, list) and cell_text(cell) == NONE


def curve_html(values: Sequence[float]) -> str:
    """Return values from 0 to 1 as a curve in the colour of the text, a dash for fewer than two of them.

    It is the mask of an empty element: Streamlit takes SVG out of HTML, and a picture would not know the theme.

    Example:
        >>> curve_html([0.5])
        '<span>–</span>'
    """
    points = curve_points(values)
    if not points:
        return f"<span>{NONE}</span>"
    width, height = CURVE
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}">'
        f'<polyline points="{points}" fill="none" stroke="black" stroke-width="1.5"/></svg>'
    )
    return (
        f'<i class="kd-curve" role="img" aria-label="{curve_words(values)}" '
        f'style="--curve: url(&quot;data:image/svg+xml,{quote(svg)}&quot;)"></i>'
    )


def curve_points(values: Sequence[float]) -> str:
    """Return where a curve of values from 0 to 1 goes in its cell, as SVG has it; "" for fewer than two of them.

    Example:
        >>> curve_points([0.0, 1.0])
        '0.0,23.0 100.0,1.0'
    """
    if len(values) < 2:
        return ""
    width, height = CURVE
    step = width / (len(values) - 1)
    return " ".join(f"{i * step:.1f},{1 + (height - 2) * (1 - value):.1f}" for i, value in enumerate(values))


def curve_words(values: Sequence[float]) -> str:
    """Return a curve in words: where it begins and ends; "" where there is none.

    Example:
        >>> curve_words([0.1, 0.85])
        'from 10 to 85 %'
    """
    return f"from {100 * values[0]:.0f} to {100 * values[-1]:.0f} %" if len(values) > 1 else ""
