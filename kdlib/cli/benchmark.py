"""The command line of losses x methods: benchmark."""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdlib import catalog
from kdlib.cache import atomic_path
from kdlib.cli import runs
from kdlib.cli.output import errors, plain_table, print_lines, print_table
from kdlib.spec import RunSpec

if TYPE_CHECKING:
    from kdlib.results import RunResult

METHODS = "raw,pca,pls,linear,mlp"


def add_commands(
    commands: argparse._SubParsersAction, add_spec_options: Callable[..., None], progress_bar: Callable[..., Any]
) -> None:
    """Add the command to a parser; it sets `handler`, which returns the exit code.

    Args:
        commands: where to add it.
        add_spec_options: adds one option per field of `RunSpec` but the method.
        progress_bar: yields a callback that moves a bar.
    """
    text = (benchmark.__doc__ or "").strip()
    parser = commands.add_parser("benchmark", help=text, description=text)
    parser.set_defaults(handler=benchmark, progress_bar=progress_bar)
    parser.add_argument("--losses", default="", metavar="X,...", help="separated by commas (default: all)")
    parser.add_argument("--methods", default=METHODS, metavar="X,...", help="see `list methods` (default: %(default)s)")
    add_spec_options(parser)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every row to FILE, anew after each loss")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables to FILE, anew after each loss")
    parser.add_argument("--quiet", action="store_true", help="print nothing but complaints")


def benchmark(arguments: argparse.Namespace) -> int:
    """Train every loss with every method beside a baseline, and rank them with intervals and corrected differences."""
    from kdlib import pipeline
    from kdlib.analysis import benchmarks
    from kdlib.checks import check, default_spec
    from kdlib.training.devices import pick_device

    given, started = runs.spec_fields(arguments), time.perf_counter()
    losses = runs.parse_methods(arguments.losses or ",".join(entry["name"] for entry in catalog.list_entries("losses")))
    base = default_spec(given.get("dataset", RunSpec.dataset)).replace(**given)
    specs = benchmarks.benchmark_specs(base, losses, runs.parse_methods(arguments.methods))
    pick_device(arguments.device)
    for spec in specs.values():
        check(spec)
    results: dict[tuple[str, str], RunResult] = {}
    for loss in ["", *losses]:
        part = {key: spec for key, spec in specs.items() if key[0] == loss}
        label = loss or "baseline"
        with arguments.progress_bar(label, arguments.quiet) as on_progress:
            trained = pipeline.compare(list(part.values()), device=arguments.device, on_progress=on_progress)
        results |= dict(zip(part, trained, strict=True))
        _write(arguments, results)
    if not arguments.quiet:
        _print(results, time.perf_counter() - started)
    return 0 if all(result.status == "done" for result in results.values()) else 1


def _write(arguments: argparse.Namespace, results: "dict[tuple[str, str], RunResult]") -> None:
    from kdlib.analysis import benchmarks

    texts = {
        arguments.json: lambda: json.dumps(benchmarks.to_record(results), indent=1, ensure_ascii=False) + "\n",
        arguments.markdown: lambda: benchmarks.to_markdown(results),
    }
    for path, text in texts.items():
        if path is not None:
            with atomic_path(path) as temporary:
                temporary.write_text(text(), encoding="utf-8")


def _print(results: "dict[tuple[str, str], RunResult]", seconds: float) -> None:
    from kdlib.analysis import benchmarks

    rows, baseline = benchmarks.benchmark_rows(results), results[benchmarks.NO_LOSS]
    if rows:
        print_lines(benchmarks.describe(baseline.spec, baseline.primary_name))
        table = plain_table()
        for column in ("loss", "method", "validation", "test", "mean ood", "test - baseline"):
            table.add_column(column, no_wrap=True)
        for row in rows:
            table.add_row(*benchmarks.row_cells(row))
        print_table(table)
        for field in ("loss", "method"):
            gains = benchmarks.mean_gains(rows, field)
            listed = ", ".join(f"{name} {100 * gain:+.1f}" for name, gain in gains.items())
            print_lines(f"mean gain over the baseline by {field}: {listed}")
    for (loss, method), result in results.items():
        if not result.metrics:
            errors.print(f"{loss} with {method}: {result.reason or result.status}", markup=False)
    errors.print(f"Total {seconds:.0f} s.", markup=False)
