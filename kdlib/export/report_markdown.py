"""A report as markdown: all text and tables; bars of text where the page has figures."""

import re
from collections.abc import Sequence

from kdlib.export.report_blocks import Block, Bullets, CodeBlock, Facts, FigureBlock, Paragraph, Report, Section, Table

BAR = 20  # characters of a full bar


def to_markdown(report: Report) -> str:
    """Return the report as markdown that GitHub, Jupyter and pandoc read alike.

    Example:
        >>> print(to_markdown(make_report([run_id])))
    """
    head = [f"# {escape(report.title)}", f"**{escape(report.sentence)}**"]
    return "\n\n".join([*head, *map(section_text, report.sections), f"*{escape(report.stamp)}*"]) + "\n"


def section_text(section: Section) -> str:
    """Return a section with its heading."""
    return "\n\n".join([f"## {escape(section.title)}", *filter(None, map(block_text, section.blocks))])


def block_text(block: Block) -> str:
    """Return a block as markdown; of a figure what it shows, its numbers are in the table beside it."""
    if isinstance(block, Paragraph):
        return f"**{escape(block.text)}**" if block.strong else escape(block.text)
    if isinstance(block, Bullets):
        return "\n".join(f"- {escape(line)}" for line in block.lines)
    if isinstance(block, Facts):
        return f"### {escape(block.title)}\n\n" + "\n".join(f"- {escape(k)}: {escape(v)}" for k, v in block.items)
    if isinstance(block, Table):
        return _table(block)
    if isinstance(block, CodeBlock):
        return f"### {escape(block.title)}\n\n{fenced(block.text, block.language)}"
    assert isinstance(block, FigureBlock)
    return f"*Figure, in the page and in the notebook: {escape(block.alt)}.*"


def _table(block: Table) -> str:
    columns, rows = [*block.columns], [[*row] for row in block.rows]
    lines = [_line([escape(name) or " " for name in columns] + ([" "] if block.bars else []))]
    lines.append(_line([":--"] + ["--:"] * (len(columns) - 1) + ([":--"] if block.bars else [])))
    for row, share in zip(rows, block.bars or [None] * len(rows), strict=True):
        lines.append(_line([escape(cell) for cell in row] + ([_bar(share)] if block.bars else [])))
    return "\n".join(lines) + (f"\n\n{escape(block.caption)}" if block.caption else "")


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _bar(share: float | None) -> str:
    full = round(BAR * min(max(share or 0.0, 0.0), 1.0))
    return "█" * full + "░" * (BAR - full)


def escape(text: object) -> str:
    """Return text as markdown shows it literally, in one line.

    Example:
        >>> escape("a|b `c`")
        'a\\\\|b \\\\`c\\\\`'
    """
    line = " ".join(str(text).split())
    line = re.sub(r"([\\`*_{}\[\]#|~$])", r"\\\1", line)
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # Only at the beginning of a line are these marks more than characters; "://" and "www." make links anywhere.
    line = re.sub(
        r"^([-+](?=\s|$)|[-=](?=[-=])|\d+[.)](?=\s|$))", lambda match: f"{match[0][:-1]}\\{match[0][-1]}", line
    )
    return line.replace("://", ":&#47;&#47;").replace("www.", "www&#46;")


def fenced(text: str, language: str) -> str:
    """Return code in a fence that nothing in it can end."""
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"
