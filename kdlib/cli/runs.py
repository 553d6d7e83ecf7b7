"""The command line of background runs: launch, runs, watch, show, cancel, resume, rename, delete, sweep, engine.

Answers go to standard output, one a line, so that they can be piped: `launch` prints ids, and every command takes an id, its beginning, or
a run's name. What goes on is told on standard error.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from kdlib import engine, runs, store
from kdlib.analysis.comparison import METRIC_NAMES, differences_to_references, excludes_zero, format_percent, to_json
from kdlib.cache import atomic_path
from kdlib.data import imported
from kdlib.results import CURVES, RunResult
from kdlib.runs import sweeps
from kdlib.spec import BASELINE, DATASET_DEPENDENT, EXPECTED, RAW, RunSpec
from kdlib.store import RunInfo

errors = Console(stderr=True, highlight=False)

PIPED = 200  # columns of a table that nobody looks at directly
METHODS = "baseline,raw,pca,linear,mlp"
DEFAULT_NOTES: dict[str, str] = dict.fromkeys(DATASET_DEPENDENT, ", or what suits the dataset")


def add_commands(
    commands: argparse._SubParsersAction, add_spec_options: Callable[[argparse.ArgumentParser], None]
) -> None:
    """Add the commands to a parser; each sets `handler`, which returns the exit code.

    Args:
        add_spec_options: adds one option per field of `RunSpec` but the method.
    """

    def command(
        name: str, handler: Callable[[argparse.Namespace], int], *, run: str | None = None
    ) -> argparse.ArgumentParser:
        told = (handler.__doc__ or "").strip()
        parser = commands.add_parser(name, help=told, description=told)
        parser.set_defaults(handler=handler)
        if run:
            parser.add_argument(
                "run", nargs=None if run == "one" else "+", metavar="RUN", help="id, beginning of an id, or name"
            )
        return parser

    launching = command("launch", launch)
    launching.add_argument("--methods", default=METHODS, help="names separated by commas: see `list methods`")
    add_spec_options(launching)
    launching.add_argument("--name", default="", help="what to call the runs (default: after their methods)")
    launching.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")

    listing = command("runs", list_runs)
    listing.add_argument("--limit", type=int, default=30, metavar="N", help="how many (default: 30)")
    listing.add_argument(
        "--state",
        action="append",
        default=[],
        choices=list(store.STATUS),
        help="only these; may be given several times",
    )
    listing.add_argument("--user", default="", help="only theirs")
    listing.add_argument("--text", default="", help="only runs whose name or spec contains it")
    listing.add_argument("--json", action="store_true", help="one JSON object a line instead of a table")

    command("watch", watch, run="one")
    command("show", show, run="one").add_argument(
        "--json", action="store_true", help="everything that was measured, as JSON"
    )
    command("cancel", cancel, run="some")
    command("resume", resume, run="some")
    command("delete", delete, run="some")
    command("undelete", undelete, run="some")
    command("rename", rename, run="one").add_argument("name", help="its new name")

    sweeping = command("sweep", sweep)
    sweeping.add_argument("--methods", default=METHODS, help="names separated by commas: see `list methods`")
    for field in fields(RunSpec):
        if field.name != "method":
            told = f"one value or several, separated by commas (default: {field.default}{DEFAULT_NOTES.get(field.name, '')})"
            sweeping.add_argument(
                f"--{_option(field.name)}", type=partial(_values, type(field.default)), metavar="X,...", help=told
            )
    sweeping.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    sweeping.add_argument("--json", type=Path, metavar="FILE", help="write everything that was measured to FILE")
    sweeping.add_argument("--no-wait", action="store_true", help="print the ids of its runs and return")

    command("engine", engine_command).add_argument("what", choices=["start", "status", "stop"])


def _option(name: str) -> str:
    return name.replace("_", "-")


def _values(kind: type, text: str) -> list[Any]:
    try:
        return [kind(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected {EXPECTED[kind]} or several, separated by commas, got {text!r}"
        ) from None


def _names(text: str) -> list[str]:
    names = [part.strip() for part in text.split(",") if part.strip()]
    if not names:
        raise ValueError("no method given, see `list methods`")
    return names


def _spec_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the fields of a spec that the options set."""
    found = {field.name: getattr(arguments, field.name) for field in fields(RunSpec) if field.name != "method"}
    for name in ("dataset", "teacher"):
        value = found[name]
        found[name] = (
            [imported.resolve_name(each) for each in value]
            if isinstance(value, list)
            else value and imported.resolve_name(value)
        )
    return {name: value for name, value in found.items() if value is not None}


def specs_of(arguments: argparse.Namespace) -> list[RunSpec]:
    """Return one spec per method; what the options leave open is as usual for the dataset."""
    from kdlib.checks import default_spec  # loads torch, which most commands do without

    methods, given = _names(arguments.methods), _spec_options(arguments)
    base = default_spec(given.get("dataset", RunSpec.dataset))
    return [base.replace(method=method, **given) for method in methods]


def launch(arguments: argparse.Namespace) -> int:
    """Start runs in the background and print their ids."""
    _print_lines(*runs.launch(specs_of(arguments), name=arguments.name, device=arguments.device))
    return 0


def list_runs(arguments: argparse.Namespace) -> int:
    """List the runs, newest first."""
    found = runs.list_runs(limit=arguments.limit, states=arguments.state, user=arguments.user, text=arguments.text)
    if arguments.json:
        _print_lines(*(json.dumps(asdict(run), ensure_ascii=False) for run in found))
        return 0
    if not found:
        told = "no run fits" if arguments.state or arguments.user or arguments.text else "no runs yet"
        errors.print(told, markup=False)
        return 0
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in ("run", "state", "progress", "test, %", "age", "user"):
        table.add_column(column, no_wrap=True, min_width=11 if column == "test, %" else None)
    table.add_column("name")
    for run in found:
        age, accuracy = _age(time.time() - run.created), run.accuracy()
        told = format_percent(accuracy) if accuracy else "–"
        share = run.progress_label if run.active else f"{run.progress:.0%}"
        table.add_row(run.id[:12], _state(run), share, told, age, Text(run.user), Text(run.name))
    _print(table)
    return 0


def watch(arguments: argparse.Namespace) -> int:
    """Follow a run until it is over; Ctrl-C stops watching, not the run."""
    run = runs.find(arguments.run)
    follow = _follow_on_screen if errors.is_terminal else _follow_in_lines
    run = follow(run)
    _print_lines(_describe_state(run))
    return 0 if run.state == store.DONE else 1


def _follow_in_lines(run: RunInfo) -> RunInfo:
    phase = ""
    for now, points in runs.watch(run.id):
        if now.phase != phase and now.active:
            phase = now.phase
            errors.print(f"{phase or now.state} ...", markup=False)
        for point in points:
            curves = {name: getattr(point, name) for name in CURVES}
            means = (f"{name} {_mean(values):.4g}" for name, values in curves.items() if values)
            _print_lines(f"epoch {point.epoch}: {', '.join(means)}")
        run = now
    return run


def _follow_on_screen(run: RunInfo) -> RunInfo:
    with _bar() as bar:
        task = bar.add_task(run.name, total=1.0)
        val = ""
        for now, points in runs.watch(run.id):
            val = f"  val {100 * _mean(points[-1].val):.1f} %" if points and points[-1].val else val
            phase = f"  {now.progress_label}" if now.phase not in ("", "training") else ""
            bar.update(task, completed=now.progress, description=f"{now.name}  {_state(now)}{phase}{val}")
            run = now
    return run


def show(arguments: argparse.Namespace) -> int:
    """Print what is known of a run."""
    run = runs.find(arguments.run)
    if arguments.json:
        history = [point.to_dict() for point in runs.history(run.id)]
        _print_lines(
            json.dumps(asdict(run) | {"result": _result(run), "history": history}, ensure_ascii=False, default=float)
        )
        return 0
    rows = {
        "run": run.id,
        "name": run.name,
        "user": run.user,
        "state": _describe_state(run),
        "progress": run.progress_label,
    }
    rows |= {name: str(value) for name, value in asdict(run.spec).items()}
    rows |= {name: f"{value:.4g}" for name, value in sorted((run.metrics or {}).items()) if "/" in name}
    if run.unsynced:
        rows["unsynced points"] = f"{run.unsynced}; `resume {run.id[:12]}` brings them to the store"
    for name, value in rows.items():
        _print_lines(f"{name:24} {value}")
    return 0


def cancel(arguments: argparse.Namespace) -> int:
    """Stop runs; what they have learned so far is kept."""
    return _each(arguments, lambda run: runs.cancel(run.id))


def resume(arguments: argparse.Namespace) -> int:
    """Let failed or cancelled runs go on from their last checkpoint, and bring the store up to date."""
    return _each(arguments, lambda run: runs.resume(run.id))


def delete(arguments: argparse.Namespace) -> int:
    """Take finished runs out of every list; `undelete` with the whole id brings one back."""
    return _each(arguments, lambda run: runs.delete(run.id))


def undelete(arguments: argparse.Namespace) -> int:
    """Bring deleted runs back, by their whole ids."""
    for run_id in arguments.run:
        runs.undelete(run_id)
        _print_lines(run_id)
    return 0


def rename(arguments: argparse.Namespace) -> int:
    """Give a run another name."""
    runs.rename(runs.find(arguments.run).id, arguments.name)
    return 0


def sweep(arguments: argparse.Namespace) -> int:
    """Run every combination of the given values in the background, but for what is there already, and print what came out."""
    from kdlib.checks import default_spec

    axes = _spec_options(arguments)
    base = default_spec(next(iter(axes.get("dataset", ())), RunSpec.dataset))
    specs = sweeps.expand(base, {"method": _names(arguments.methods)} | axes)
    started = time.perf_counter()
    launched = sweeps.launch(specs, device=arguments.device)
    errors.print(f"sweep {launched.name}: {len(specs)} runs, {launched.reused} of them there already", markup=False)
    if arguments.no_wait:
        _print_lines(*launched.runs)
        return 0
    ended = _wait(launched.runs)
    results = sweeps.results(launched.runs)
    if arguments.json:
        with atomic_path(arguments.json) as temporary:
            temporary.write_text(
                json.dumps(to_json(results, time.perf_counter() - started), indent=1, ensure_ascii=False) + "\n"
            )
    _print(_sweep_table(results))
    for run in ended:
        if run.state != store.DONE:
            errors.print(f"{run.id[:12]} {run.name}: {_describe_state(run)}", markup=False)
    return 0 if len(results) == len(specs) else 1


def engine_command(arguments: argparse.Namespace) -> int:
    """Start the engine, see how it is, or stop it."""
    if arguments.what == "start":
        engine.start()
    elif arguments.what == "stop":
        _print_lines("stopped" if engine.stop() else "not running")
        return 0
    status = engine.status()
    if not status.running:
        _print_lines("not running")
        return 1
    place = (
        f"process {status.pid}, leaves after {status.idle_seconds:.0f} s without work" if status.local else "a cluster"
    )
    _print_lines(f"running at {status.address} ({place}): {status.busy} of {status.workers} workers busy")
    return 0


def _each(arguments: argparse.Namespace, change: Callable[[RunInfo], RunInfo | None]) -> int:
    for run in [runs.find(text) for text in arguments.run]:
        after = change(run)
        _print_lines(f"{run.id} {'deleted' if after is None else _state(after)}")
    return 0


def _wait(run_ids: Sequence[str]) -> list[RunInfo]:
    """Return the runs when they are over, showing how far they are; Ctrl-C leaves them at work."""
    with _bar() as bar:
        task = bar.add_task("Sweep", total=len(run_ids))
        over: dict[str, RunInfo] = {}
        while True:
            for run_id in run_ids:
                if run_id not in over and not (run := runs.get(run_id)).active:
                    over[run_id] = run
            bar.update(task, completed=len(over))
            if len(over) == len(run_ids):
                return [over[run_id] for run_id in run_ids]
            time.sleep(0.5)


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        console=errors,
        transient=True,
    )


def _sweep_table(results: Sequence[RunResult]) -> Table:
    """Return a row per result: what it differs in, accuracy, and the paired difference to raw and baseline (* the interval excludes 0)."""
    fields_shown = sweeps.varying_fields(result.spec for result in results) or ["method"]
    several = len({result.primary_name for result in results}) > 1
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in (*fields_shown, *(["metric"] if several else []), "test, %", "mean ood, %", "- baseline", "- raw"):
        table.add_column(column, no_wrap=True)
    for result in results:
        found = differences_to_references(results, result)
        cells = [format_percent(result.score(split)) for split in ("test", "ood")]
        for other in (BASELINE, RAW):
            value = found.get(other, {}).get("test")
            cells.append(format_percent(value, signed=True) + ("*" if value and excludes_zero(value) else ""))
        measure = [METRIC_NAMES[result.primary_name]] if several else []
        table.add_row(*(str(getattr(result.spec, name)) for name in fields_shown), *measure, *cells)
    return table


def _result(run: RunInfo) -> dict[str, Any] | None:
    try:
        return runs.result(run.id).to_dict()
    except store.RunNotFoundError:
        return None


def _describe_state(run: RunInfo) -> str:
    accuracy = run.accuracy()
    if accuracy:
        return f"{run.state}, test {METRIC_NAMES[run.metric]} {format_percent(accuracy)} %"
    return f"{_state(run)}: {run.reason}" if run.reason else _state(run)


def _state(run: RunInfo) -> str:
    return "cancelling" if run.cancelling and run.active else run.state


def _age(seconds: float) -> str:
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _print(table: Table) -> None:
    Console(highlight=False, width=None if sys.stdout.isatty() else PIPED).print(table)


def _print_lines(*lines: str) -> None:
    for line in lines:
        sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
