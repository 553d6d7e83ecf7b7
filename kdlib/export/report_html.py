"""A report as one HTML page that holds all it needs: it asks nobody for anything, on the screen and on paper.

Jinja escapes all text. What is not text is made here: the figures' data, in which `<` is written so that no label can
end the script, and scripts, whose hashes are all that the page's own policy lets run.
"""

import base64
import hashlib
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from kdlib.analysis.figures.style import library_script, to_data
from kdlib.export.report_blocks import FigureBlock, Report

TEMPLATES = Path(__file__).parent / "templates"


def to_html(report: Report) -> str:
    """Return the report as a page.

    Example:
        >>> Path("report.html").write_text(to_html(make_report([run_id])))
    """
    blocks = [block for section in report.sections for block in section.blocks if isinstance(block, FigureBlock)]
    figures, numbers = [], {}
    for block in blocks:
        numbers[id(block)] = range(len(figures), len(figures) + len(block.figures))
        figures += [to_data(figure) for figure in block.figures]
    library, script = library_script(), _read("report.js")
    return _template().render(
        report=report,
        numbers=numbers,
        block_id=id,
        figures=Markup(_inside_script(f"[{','.join(figures)}]")),
        library=Markup(library),
        script=Markup(script),
        style=Markup(_read("report.css")),
        policy=_policy(library, script),
    )


def _policy(*scripts: str) -> str:
    """Return what the page may load and run: nothing but its own scripts and styles, and pictures it makes itself."""
    hashes = " ".join(f"'sha256-{_hash(script)}'" for script in scripts)
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


@cache
def _hash(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _inside_script(json: str) -> str:
    """Return JSON that cannot end the script element it stands in."""
    return json.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _read(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template("report.html")
