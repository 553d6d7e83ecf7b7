"""A report of runs: what was asked, what came out, what was kept and thrown away, how to do it again.

`make_report` collects it; `write_report` writes it as one HTML page that works offline, as a notebook or as markdown.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import kdlib
from kdlib.analysis.verdicts import verdict
from kdlib.cache import atomic_path
from kdlib.export import report_background as background
from kdlib.export import report_findings as findings
from kdlib.export.report_blocks import CodeBlock, Report
from kdlib.export.report_html import to_html
from kdlib.export.report_markdown import to_markdown
from kdlib.export.report_notebook import to_notebook
from kdlib.export.report_source import load_source

FORMATS: dict[str, Callable[[Report], str]] = {"html": to_html, "ipynb": to_notebook, "md": to_markdown}


def make_report(run_ids: Sequence[str], *, measure: bool = False) -> Report:
    """Return the report of some runs; those that are not done are named and left out.

    Args:
        run_ids: of the runs.
        measure: whether to measure how alike the spaces are where that is not known yet, which takes seconds.

    Raises:
        ValueError: a run is not in the store, or none of them is done.

    Example:
        >>> make_report([run_id]).sentence
    """
    source = load_source(run_ids, measure=measure)
    sections = [
        background.question(source),
        findings.accuracy(source),
        findings.differences(source),
        findings.kept(source),
        findings.maps(source),
        background.data(source),
        background.teacher(source),
        background.methods(source),
        findings.training(source),
        *findings.tuning(source),
        findings.costs(source),
        background.reproduce(source),
        background.limits(source),
        background.citations(source),
    ]
    names = ", ".join(dict.fromkeys(result.spec.dataset for result in source.results))
    blocks = [block for section in sections for block in section.blocks if isinstance(block, CodeBlock)]
    code = "\n".join(block.text for block in blocks if block.language == "python")
    return Report(
        f"Knowledge transfer on {names}",
        verdict(source.results),
        f"KD Lab {kdlib.__version__}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        sections,
        source.ids,
        code,
        findings.tiles(source),
    )


def render(run_ids: Sequence[str], file_format: str, *, measure: bool = False) -> str:
    """Return the report of some runs as text.

    Args:
        run_ids: of the runs.
        file_format: "html", "ipynb" or "md".
        measure: as in `make_report`.

    Raises:
        ValueError: an unknown format, or as `make_report`.

    Example:
        >>> render([run_id], "md")
    """
    if file_format not in FORMATS:
        raise ValueError(f"a report is a file that ends in {', '.join(f'.{n}' for n in FORMATS)}, got .{file_format}")
    return FORMATS[file_format](make_report(run_ids, measure=measure))


def write_report(run_ids: Sequence[str], path: Path) -> None:
    """Write the report of some runs; the ending of the file says in which format.

    Raises:
        ValueError: an ending that is none of html, ipynb and md, or as `make_report`.

    Example:
        >>> write_report([run_id], Path("report.html"))
    """
    text = render(run_ids, path.suffix.removeprefix(".").lower(), measure=True)
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
