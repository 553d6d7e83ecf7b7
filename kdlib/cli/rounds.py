"""The command line of comparisons in rounds: how often they are repeated, and how far one is in the background."""

import argparse

from kdlib.analysis.rounds import Repetition
from kdlib.cli.output import errors, plain_table, print_lines, print_table

MOST_SEEDS = 40


def add_subsets_option(parser: argparse.ArgumentParser) -> None:
    """Add the option that trains each method on several draws of labelled rows."""
    parser.add_argument(
        "--subsets", type=int, default=1, metavar="N", help="how many draws of labelled rows (default: 1)"
    )


def add_repetition_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that train each method on several draws of labelled rows, and with more and more seeds."""
    add_subsets_option(parser)
    parser.add_argument(
        "--until",
        type=float,
        metavar="X",
        help="go on adding seeds until every difference to baseline and raw on the test set is known to ± X points",
    )
    parser.add_argument(
        "--most-seeds",
        type=int,
        default=MOST_SEEDS,
        metavar="N",
        help="at most so many seeds with --until (default: %(default)s)",
    )


def repetition_of(arguments: argparse.Namespace) -> Repetition:
    """Return what the options ask for.

    Raises:
        ValueError: one of them makes no sense.
    """
    if arguments.until is None:
        return Repetition(arguments.subsets)
    if not arguments.until > 0:
        raise ValueError(f"--until must be above 0 points, got {arguments.until:g}")
    return Repetition(arguments.subsets, arguments.until / 100, arguments.most_seeds)


def print_look(seeds: int, half_width: float) -> None:
    """Say how sure a comparison is that goes on until it is sure enough."""
    errors.print(f"{seeds} seeds: the widest interval is ± {100 * half_width:.2f} points")


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Add the command to a parser; it sets `handler`, which returns the exit code."""
    text = (looks.__doc__ or "").strip()
    parser = commands.add_parser("looks", help=text, description=text)
    parser.set_defaults(handler=looks)
    parser.add_argument("name", metavar="NAME", help="12 digits, as `launch --until` says them")


def looks(arguments: argparse.Namespace) -> int:
    """Print how sure a comparison in the background is after each look, and launch its next round if nobody has."""
    from kdlib.runs import sequences

    progress = sequences.advance(arguments.name)
    plan = progress.plan
    table = plain_table()
    for column in ("look", "seeds", "widest interval, points"):
        table.add_column(column, no_wrap=True)
    for number, look in enumerate(progress.looks, 1):
        table.add_row(f"{number} of {len(plan.looks)}", str(look.seeds), f"± {100 * look.half_width:.2f}")
    print_table(table)
    print_lines(sequences.describe(progress))
    return 0 if progress.state != sequences.STOPPED else 1
