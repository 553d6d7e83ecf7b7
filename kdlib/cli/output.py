"""How background runs are printed: lines and tables on standard output, messages and bars on standard error."""

import sys

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

PIPED_WIDTH = 200  # columns of a table that is written to a file or a pipe

errors = Console(stderr=True, highlight=False)


def plain_table() -> Table:
    """Return an empty table without lines."""
    return Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))


def print_table(table: Table) -> None:
    """Write a table, as wide as the terminal if there is one."""
    Console(highlight=False, width=None if sys.stdout.isatty() else PIPED_WIDTH).print(table)


def print_lines(*lines: str) -> None:
    """Write lines at once, so that a pipe has them."""
    for line in lines:
        sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def progress_bar() -> Progress:
    """Return a bar on standard error that is gone afterwards."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=errors, transient=True)
