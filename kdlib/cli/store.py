"""The command line of the run store: store rebuild, store restore."""

import argparse
import sys

from kdlib.runs.rebuild import Rebuilt, rebuild_store


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Add the commands to a parser; each sets `handler`, which returns the exit code."""
    store = commands.add_parser("store", help="Mend a damaged run store.")
    group = store.add_subparsers(required=True, metavar="COMMAND")
    for name, handler in (("rebuild", rebuild), ("restore", restore)):
        text = (handler.__doc__ or "").strip()
        group.add_parser(name, help=text, description=text).set_defaults(handler=handler)


def rebuild(arguments: argparse.Namespace) -> int:  # noqa: ARG001
    """Move a damaged run store aside and make it anew from the files of the runs."""
    return _report(rebuild_store())


def restore(arguments: argparse.Namespace) -> int:  # noqa: ARG001
    """Move a damaged run store aside, take its newest daily copy, and add what came later from the runs' files."""
    return _report(rebuild_store(from_copy=True))


def _report(rebuilt: Rebuilt) -> int:
    lines = [
        "the run store is whole" if rebuilt.aside is None else f"the damaged run store was moved to {rebuilt.aside}"
    ]
    if rebuilt.copy is not None:
        lines.append(f"taken from the copy {rebuilt.copy}")
    lines.append(f"runs added from their files: {rebuilt.added}, brought up to date: {rebuilt.updated}")
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 0
