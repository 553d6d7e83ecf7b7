"""The command line of sweeps: a grid of specs in the background, waited for, and a table of what came out."""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

from rich.table import Table

from kdlib import runs, store
from kdlib.analysis.comparison import (
    METRIC_NAMES,
    differences_to_references,
    format_differences,
    format_percent,
    to_json,
)
from kdlib.analysis.rounds import Repetition, expected_specs, pool
from kdlib.analysis.subsets import with_subsets
from kdlib.cache import atomic_path
from kdlib.cli import rounds
from kdlib.cli.output import errors, plain_table, print_lines, print_table, progress_bar
from kdlib.cli.runs import DEFAULT_NOTES, METHODS, describe_run, parse_methods, spec_fields
from kdlib.results import RunResult
from kdlib.runs import sequences, sweeps
from kdlib.spec import BASELINE, EXPECTED, RAW, RunSpec, setting_text, unused_fields
from kdlib.store import RunInfo

RECENT = 500  # runs among which those of a sweep are looked for, before it is launched
POLL_SECONDS = 0.5  # seconds between two reads of the runs that are waited for


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Add the command to a parser; it sets `handler`, which returns the exit code."""
    text = (sweep.__doc__ or "").strip()
    parser = commands.add_parser("sweep", help=text, description=text)
    parser.set_defaults(handler=sweep)
    parser.add_argument("--methods", default=METHODS, help="names separated by commas: see `list methods`")
    for field in fields(RunSpec):
        if field.name != "method":
            default = f"{field.default}{DEFAULT_NOTES.get(field.name, '')}"
            parser.add_argument(
                f"--{field.name.replace('_', '-')}",
                type=partial(_parse_values, type(field.default)),
                metavar="X,...",
                help=f"one value or several, separated by commas (default: {default})",
            )
    parser.add_argument(
        "--grid",
        action="store_true",
        help="train the values of distance-weight, lr and soft-label-weight as one population per run; of each, the "
        "setting that is best on validation is tested (otherwise every combination is a run)",
    )
    rounds.add_subsets_option(parser)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was measured to FILE")
    parser.add_argument("--no-wait", action="store_true", help="print the ids of its runs and return")


def _parse_values(kind: type, text: str) -> list[Any]:
    try:
        return [kind(part) for part in text.split(",") if part.strip()]
    except ValueError:
        message = f"expected {EXPECTED[kind]} or several, separated by commas, got {text!r}"
        raise argparse.ArgumentTypeError(message) from None


def sweep(arguments: argparse.Namespace) -> int:
    """Run every combination of the given values in the background, except what is done, and print the results."""
    from kdlib.checks import default_spec

    axes = spec_fields(arguments)
    base = default_spec(next(iter(axes.get("dataset", ())), RunSpec.dataset))
    specs = sweeps.expand(base, {"method": parse_methods(arguments.methods)} | axes, grid=arguments.grid)
    repetition = Repetition(arguments.subsets)
    _print_cost(expected_specs(specs, repetition))
    started = time.perf_counter()
    launched = _launch(specs, repetition, arguments.device)
    words = f"{len(launched.runs)} runs, {launched.reused} of them there already"
    errors.print(f"sweep {launched.name}: {words}", markup=False)
    if arguments.no_wait:
        print_lines(*launched.runs)
        return 0
    ended = _wait(launched, repetition.in_rounds(specs))
    found = sweeps.results(run.id for run in ended)
    results = pool(found)
    if arguments.json:
        text = json.dumps(to_json(results, time.perf_counter() - started), indent=1, ensure_ascii=False)
        with atomic_path(arguments.json) as temporary:
            temporary.write_text(f"{text}\n")
    print_table(sweep_table(results))
    for run in ended:
        if run.state != store.DONE:
            errors.print(f"{run.id[:12]} {run.name}: {describe_run(run)}", markup=False)
    return 0 if len(found) == len(ended) else 1


def _print_cost(specs: Sequence[RunSpec]) -> None:
    """Say how long those of the specs will take that the store does not have."""
    from kdlib import engine, planning

    past = runs.list_runs(limit=RECENT)
    there = {run.spec.identity for run in past if run.active or run.state == store.DONE}
    missing = [spec for spec in specs if spec.identity not in there]
    if missing and not planning.find_errors(missing):
        done = [run for run in past if run.state == store.DONE]
        seconds = planning.estimate_cost(missing, done, engine.status().workers or 1).seconds
        errors.print(f"{len(missing)} runs to train: {seconds.fewest:.0f} to {seconds.most:.0f} s", markup=False)


def _launch(specs: Sequence[RunSpec], repetition: Repetition, device: str) -> sweeps.Sweep:
    """Launch specs on so many draws of labelled rows; the settings of grids are chosen on the first."""
    if repetition.in_rounds(specs):
        return sequences.launch(specs, repetition, device=device)
    return sweeps.launch(with_subsets(specs, repetition.subsets) if repetition.subsets > 1 else specs, device=device)


def _wait(launched: sweeps.Sweep, in_rounds: bool) -> list[RunInfo]:
    """Return the runs when they are over, those of later rounds too, showing how far they are.

    Ctrl-C leaves them at work.
    """
    run_ids, ended = list(launched.runs), dict[str, RunInfo]()
    with progress_bar() as bar:
        task = bar.add_task("Sweep", total=len(run_ids))
        while True:
            for run_id in run_ids:
                if run_id not in ended and not (run := runs.get(run_id)).active:
                    ended[run_id] = run
            if len(ended) == len(run_ids) and in_rounds:
                sequences.advance(launched.name)
                run_ids += [run.id for run in sequences.members(launched.name) if run.id not in run_ids]
            bar.update(task, completed=len(ended), total=len(run_ids))
            if len(ended) == len(run_ids):
                return [ended[run_id] for run_id in run_ids]
            time.sleep(POLL_SECONDS)


def sweep_table(results: Sequence[RunResult]) -> Table:
    """Return a row per result: the fields in which it differs, accuracies, and paired differences to baseline and raw.

    Of a grid these are the values that were chosen on validation; a dash stands for a field that a method does not use.
    A * means that the difference is clear at 5 %, corrected for all of the table (Holm).
    """
    gridded = {name for result in results for name in result.spec.grid}
    varying = {*sweeps.varying_fields(result.spec for result in results), *gridded} or {"method"}
    names = [field.name for field in fields(RunSpec) if field.name in varying]
    several_metrics = len({result.primary_name for result in results}) > 1
    table = plain_table()
    metric_column = ["metric"] if several_metrics else []
    for column in (*names, *metric_column, "test, %", "mean ood, %", "- baseline", "- raw"):
        table.add_column(column, no_wrap=True)
    found = [differences_to_references(results, result) for result in results]
    differences = format_differences([[each.get(name, {}).get("test") for name in (BASELINE, RAW)] for each in found])
    for result, words in zip(results, differences, strict=True):
        cells = [*(format_percent(result.score(split)) for split in ("test", "ood")), *words]
        metric = [METRIC_NAMES[result.primary_name]] if several_metrics else []
        unused = unused_fields(result.setting)
        settings = ["–" if name in unused else setting_text(getattr(result.setting, name)) for name in names]
        table.add_row(*settings, *metric, *cells)
    return table
