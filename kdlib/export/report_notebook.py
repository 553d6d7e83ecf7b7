"""A report as a Jupyter notebook that runs top to bottom: it opens the runs and draws their figures itself."""

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from kdlib.export.report_blocks import Block, FigureBlock, Report, Section, Table
from kdlib.export.report_markdown import block_text, escape

OPENING = """import kdlib
from kdlib.analysis.result_tables import differences_to, result_table

results = kdlib.open({ids})
results"""
TRAIN_AGAIN = "TRAIN_AGAIN = False  # True trains all of it again, which takes as long as it did\nif TRAIN_AGAIN:\n"


def to_notebook(report: Report) -> str:
    """Return the report as the JSON of a notebook; it needs the store that holds its runs.

    Example:
        >>> Path("report.ipynb").write_text(to_notebook(make_report([run_id])))
    """
    ids = ",\n    ".join(repr(run_id) for run_id in report.runs)
    opening = OPENING.format(ids=f"[\n    {ids},\n]")
    cells = [new_markdown_cell(f"# {escape(report.title)}\n\n**{escape(report.sentence)}**"), new_code_cell(opening)]
    for section in report.sections:
        cells += _cells(section)
    code = "".join(f"    {line}\n" if line else "\n" for line in report.python.splitlines())
    cells += [new_markdown_cell("## Train it again"), new_code_cell(TRAIN_AGAIN + code.rstrip())]
    cells.append(new_markdown_cell(f"*{escape(report.stamp)}*"))
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"  # the same report is the same file
    metadata = {
        "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
        "language_info": {"name": "python"},
    }
    notebook = new_notebook(cells=cells, metadata=metadata)
    nbformat.validate(notebook)
    return nbformat.writes(notebook) + "\n"


def _cells(section: Section) -> list[nbformat.NotebookNode]:
    """Return the cells of a section: text as it is, tables and figures as code that makes them where there is any."""
    cells, texts = [], [f"## {escape(section.title)}"]
    for block in section.blocks:
        code = _code(block)
        if code:
            cells += [new_markdown_cell("\n\n".join(texts))] if texts else []
            cells.append(new_code_cell(code))
            texts = [escape(caption)] if (caption := getattr(block, "caption", "")) else []
        elif text := block_text(block):
            texts.append(text)
    return cells + ([new_markdown_cell("\n\n".join(texts))] if texts else [])


def _code(block: Block) -> str:
    return block.code if isinstance(block, FigureBlock | Table) else ""
