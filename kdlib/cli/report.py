"""The command line of reports: `kdlib report RUN... --to FILE`."""

import argparse
from pathlib import Path

from kdlib import runs
from kdlib.cli.output import print_lines

DESCRIPTION = "Write a report of finished runs: one HTML page that works offline, a Jupyter notebook, or markdown."


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Add the command to a parser; it sets `handler`, which returns the exit code."""
    parser = commands.add_parser("report", help=DESCRIPTION, description=DESCRIPTION)
    parser.set_defaults(handler=report)
    parser.add_argument(
        "run",
        nargs="+",
        metavar="RUN",
        help="id, beginning of an id, or name of a run, or name of a sweep: all its runs",
    )
    parser.add_argument(
        "--to", type=Path, default=Path("report.html"), metavar="FILE",
        help="its ending says what it becomes: .html, .ipynb or .md (default: %(default)s)",
    )  # fmt: skip


def report(arguments: argparse.Namespace) -> int:
    """Write the report and print where it is."""
    from kdlib.export.report import write_report  # loads torch, which other commands do without

    write_report([run.id for run in runs.find_all(arguments.run)], arguments.to)
    print_lines(str(arguments.to))
    return 0
