"""The command line of width x precision: widths."""

import argparse
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from kdlib.analysis.failure import Failure
from kdlib.cli.output import errors, plain_table, print_lines, print_table

if TYPE_CHECKING:
    from kdlib.analysis.width_precision import PrecisionRow
    from kdlib.spaces.precision_jobs import PrecisionRequest
    from kdlib.spec import RunSpec


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Add the command to a parser; it sets `handler`, which returns the exit code."""
    text = (widths.__doc__ or "").strip()
    parser = commands.add_parser("widths", help=text, description=text)
    parser.set_defaults(handler=widths)
    parser.add_argument("run", nargs="+", metavar="RUN", help="id, beginning of an id, or name")
    parser.add_argument(
        "--judge", default="probe", metavar="X", help="probe (default), knn, overlap, recall_1 or recall_10"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON object a line instead of a table")
    form.add_argument("--csv", action="store_true", help="comma-separated values instead of a table")


def widths(arguments: argparse.Namespace) -> int:
    """Measure what embeddings of finished runs are worth in fewer numbers and fewer bits, and what is good enough."""
    from kdlib import runs
    from kdlib.analysis import frames
    from kdlib.analysis.result_tables import to_csv
    from kdlib.analysis.width_precision import MEASURES, verdict
    from kdlib.registry import lookup
    from kdlib.spaces import precision_jobs

    lookup(MEASURES, arguments.judge, "measure")
    found = [runs.find(text) for text in arguments.run]
    if len(set(frames.family_labels([run.spec for run in found]))) > 1:
        raise ValueError("these runs differ in more than their width; name one of them, or the runs of one sweep")
    groups: dict[str, list[PrecisionRow]] = {precision_jobs.RAW_SPACE: [], precision_jobs.COMPRESSED_SPACE: []}
    for run in found:
        for request in precision_jobs.list_requests(run.id, run.spec):
            if request.space == precision_jobs.RAW_SPACE and groups[request.space]:
                continue
            groups[request.space] += _measured(request, run.spec)
    if not any(groups.values()):
        raise ValueError("a baseline has no teacher, so there is no embedding to store; name another run")
    if arguments.json:
        rows = [{"space": space} | row.to_dict() for space, group in groups.items() for row in group]
        print_lines(*map(json.dumps, rows))
        return 0
    raw, compressed = groups.values()
    frame = frames.precision_table(raw, compressed, arguments.judge)
    if arguments.csv:
        sys.stdout.write(to_csv(frame))
        return 0
    table = plain_table()
    for column in frame.columns:
        table.add_column(column, no_wrap=True)
    for row in frame.itertuples(index=False):
        table.add_row(*map(str, row))
    print_table(table)
    errors.print(verdict([*raw, *compressed], arguments.judge), markup=False)
    return 0


def _measured(request: "PrecisionRequest", spec: "RunSpec") -> "list[PrecisionRow]":
    """Return the rows of a request, measured here and now if they are not in the cache.

    Raises:
        ValueError: they cannot be measured.
    """
    from kdlib.spaces import precision_jobs

    answer = precision_jobs.cached(request, spec)
    if not isinstance(answer, list):
        with errors.status(f"Measuring the {request.space} embedding"):
            precision_jobs.compute(asdict(request))
        answer = precision_jobs.cached(request, spec)
    if isinstance(answer, Failure):
        precision_jobs.discard(request, spec)
        raise ValueError(answer.reason)
    return answer or []
