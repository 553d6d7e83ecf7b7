"""What a report consists of, whatever its format: sections of text, facts, tables, figures and code.

All text in blocks is plain: each format escapes it in its own way. Figures are plotly figures, whose own text is
escaped where they are made.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Paragraph:
    """One paragraph.

    Attributes:
        text: plain.
        strong: whether it is what a reader should take away.
    """

    text: str
    strong: bool = False


@dataclass(frozen=True)
class Bullets:
    """A list of sentences."""

    lines: Sequence[str]


@dataclass(frozen=True)
class Facts:
    """Names with what is known of them.

    Attributes:
        title: of what.
        items: (name, fact) pairs.
    """

    title: str
    items: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Table:
    """A table of text.

    Attributes:
        columns: their names; the first column names the row.
        rows: as many cells each.
        caption: what it shows, and how to read it.
        bars: share of a bar per row, 0 to 1, for formats without figures; () = none.
        code: that shows the same in a notebook, where `results` is the comparison; "" where there is none.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""
    bars: Sequence[float | None] = ()
    code: str = ""

    @property
    def numeric(self) -> list[bool]:
        """Whether each column holds numbers, which stand at its right."""
        return [all(re.match(r"[-+−]?\d|–", str(row[i])) for row in self.rows) for i in range(len(self.columns))]


@dataclass(frozen=True)
class FigureBlock:
    """A figure, or several side by side that are read together.

    Attributes:
        figures: plotly figures.
        alt: what they show, for those who do not see them.
        caption: how to read them.
        titles: one above each figure; () for a single one.
        legend: (name, colour) pairs beside them, where the figures have none of their own.
        code: that shows the same in a notebook; "" where there is none.
    """

    figures: Sequence[Any]
    alt: str
    caption: str = ""
    titles: Sequence[str] = ()
    legend: Sequence[tuple[str, str]] = ()
    code: str = ""


@dataclass(frozen=True)
class CodeBlock:
    """Something to copy.

    Attributes:
        title: what it is.
        language: "bash", "python", "yaml" or "json".
        text: as it is written.
    """

    title: str
    language: str
    text: str


Block = Paragraph | Bullets | Facts | Table | FigureBlock | CodeBlock


@dataclass(frozen=True)
class Section:
    """A part of a report.

    Attributes:
        name: of its place in the page, a word.
        title: its heading.
        blocks: what it says.
    """

    name: str
    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Tile:
    """A number that is seen first.

    Attributes:
        role: "baseline", "raw" or "compressed".
        label: of the run.
        value: its score.
        note: what kind of score.
    """

    role: str
    label: str
    value: str
    note: str


@dataclass(frozen=True)
class Report:
    """A report, before it has a format.

    Attributes:
        title: what it is about.
        sentence: the result in one sentence, also where the method does not help.
        stamp: when and by what it was made.
        sections: in the order of reading.
        runs: ids of the runs it is about.
        python: code that trains the same again.
        tiles: the numbers that are seen first.
    """

    title: str
    sentence: str
    stamp: str
    sections: Sequence[Section]
    runs: Sequence[str]
    python: str
    tiles: Sequence[Tile] = ()


def plain_table(frame: Any, caption: str = "", code: str = "") -> Table:
    """Return a table of a pandas frame whose cells are text or numbers; a missing one is a dash."""
    rows = [
        ["–" if cell is None or cell != cell else _plain(cell) for cell in row] for row in frame.itertuples(index=False)
    ]
    return Table([str(name) for name in frame.columns], rows, caption, code=code)


def _plain(cell: Any) -> str:
    if isinstance(cell, float):
        return f"{cell:,.0f}" if cell.is_integer() else f"{cell:,.1f}"
    return f"{cell:,}" if isinstance(cell, int) else str(cell)
