"""The command line of background runs: launch, runs, watch, show, cancel, resume, rename, delete, undelete, engine.

Results go to standard output, one a line, so that they can be piped: `launch` prints ids, and every command accepts an
id, its beginning, or a run's name. Messages go to standard error.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from typing import Any

from rich.text import Text

from kdlib import engine, runs, store
from kdlib.analysis.comparison import METRIC_NAMES, format_percent
from kdlib.cli import rounds
from kdlib.cli.output import errors, plain_table, print_lines, print_table, progress_bar
from kdlib.data import imported
from kdlib.results import CURVES
from kdlib.spec import DATASET_DEPENDENT, RunSpec, setting_text, teacher_parts
from kdlib.store import RunInfo

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
        name: str, handler: Callable[[argparse.Namespace], int], *, run_count: str | None = None
    ) -> argparse.ArgumentParser:
        text = (handler.__doc__ or "").strip()
        parser = commands.add_parser(name, help=text, description=text)
        parser.set_defaults(handler=handler)
        if run_count:
            nargs = None if run_count == "one" else "+"
            parser.add_argument("run", nargs=nargs, metavar="RUN", help="id, beginning of an id, or name")
        return parser

    launching = command("launch", launch)
    launching.add_argument("--methods", default=METHODS, help="names separated by commas: see `list methods`")
    add_spec_options(launching)
    rounds.add_repetition_options(launching)
    launching.add_argument("--name", default="", help="what to call the runs (default: after their methods)")
    launching.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")

    listing = command("runs", list_runs)
    listing.add_argument("--limit", type=int, default=30, metavar="N", help="how many (default: 30)")
    states = {"action": "append", "default": [], "choices": list(store.STATUS)}
    listing.add_argument("--state", **states, help="only these; may be given several times")
    listing.add_argument("--user", default="", help="only theirs")
    listing.add_argument("--text", default="", help="only runs whose name or spec contains it")
    listing.add_argument("--json", action="store_true", help="one JSON object a line instead of a table")

    command("watch", watch, run_count="one")
    command("show", show, run_count="one").add_argument(
        "--json", action="store_true", help="everything that was measured, as JSON"
    )
    command("cancel", cancel, run_count="some")
    command("resume", resume, run_count="some")
    command("delete", delete, run_count="some")
    command("undelete", undelete, run_count="some")
    command("rename", rename, run_count="one").add_argument("name", help="its new name")
    command("engine", engine_command).add_argument("what", choices=["start", "status", "stop"])


def parse_methods(text: str) -> list[str]:
    """Return the names of methods that commas separate.

    Raises:
        ValueError: there is none.
    """
    names = [part.strip() for part in text.split(",") if part.strip()]
    if not names:
        raise ValueError("no method given, see `list methods`")
    return names


def parse_grid(text: str) -> list[float]:
    """Return the numbers that commas separate.

    Raises:
        argparse.ArgumentTypeError: there is none, or something else.
    """
    try:
        values = [float(part) for part in text.split(",") if part.strip()]
    except ValueError:
        values = []
    if not values:
        raise argparse.ArgumentTypeError(f"expected a number, or several separated by commas, got {text!r}")
    return values


def spec_fields(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the fields of a spec that the options set; of a sweep, each with its values."""
    given = {field.name: getattr(arguments, field.name) for field in fields(RunSpec) if field.name != "method"}
    for name in ("dataset", "teacher"):
        value = given[name]
        if isinstance(value, list):
            given[name] = [_resolve(part) for part in value]
        elif value:
            given[name] = _resolve(value)
    return {name: value for name, value in given.items() if value is not None}


def _resolve(name: str) -> str:
    """Return the full name of a dataset, or of a teacher or several with "+" between them."""
    return "+".join(imported.resolve_name(part.strip()) for part in teacher_parts(name))


def specs_of(arguments: argparse.Namespace) -> list[RunSpec]:
    """Return one spec per method; what the options leave open is the default for the dataset."""
    from kdlib.checks import default_spec  # loads torch, which most commands do without

    methods, given = parse_methods(arguments.methods), spec_fields(arguments)
    base = default_spec(given.get("dataset", RunSpec.dataset))
    return [base.replace(method=method, **given) for method in methods]


def launch(arguments: argparse.Namespace) -> int:
    """Start runs in the background and print their ids; of a comparison in rounds those of the first round."""
    from kdlib.analysis.subsets import with_subsets
    from kdlib.runs import sequences

    specs, repetition = specs_of(arguments), rounds.repetition_of(arguments)
    if not repetition.in_rounds(specs):
        specs = with_subsets(specs, repetition.subsets) if repetition.subsets > 1 else specs
        print_lines(*runs.launch(specs, name=arguments.name, device=arguments.device))
        return 0
    launched = sequences.launch(specs, repetition, name=arguments.name, device=arguments.device)
    errors.print(f"comparison {launched.name}: `kdlib looks {launched.name}` says how far it is", markup=False)
    print_lines(*launched.runs)
    return 0


def list_runs(arguments: argparse.Namespace) -> int:
    """List the runs, newest first."""
    rows = runs.list_runs(limit=arguments.limit, states=arguments.state, user=arguments.user, text=arguments.text)
    if arguments.json:
        print_lines(*(json.dumps(asdict(run), ensure_ascii=False) for run in rows))
        return 0
    if not rows:
        message = "no run fits" if arguments.state or arguments.user or arguments.text else "no runs yet"
        errors.print(message, markup=False)
        return 0
    table = plain_table()
    for column in ("run", "state", "progress", "test, %", "age", "user"):
        table.add_column(column, no_wrap=True, min_width=11 if column == "test, %" else None)
    table.add_column("name")
    for run in rows:
        age, accuracy = format_age(time.time() - run.created), run.accuracy()
        test = format_percent(accuracy) if accuracy else "–"
        share = run.progress_label if run.active else f"{run.progress:.0%}"
        table.add_row(run.id[:12], _state(run), share, test, age, Text(run.user), Text(run.name))
    print_table(table)
    return 0


def watch(arguments: argparse.Namespace) -> int:
    """Follow a run until it is over; Ctrl-C stops watching, not the run."""
    run = runs.find(arguments.run)
    run = _follow_on_screen(run) if errors.is_terminal else _follow_in_lines(run)
    print_lines(describe_run(run))
    return 0 if run.state == store.DONE else 1


def _follow_in_lines(run: RunInfo) -> RunInfo:
    phase = ""
    for now, points in runs.watch(run.id):
        if now.phase != phase and now.active:
            phase = now.phase
            errors.print(f"{phase or now.state} ...", markup=False)
        for point in points:
            curves = {name: point.finite(name) for name in CURVES}
            means = (f"{name} {_mean(values):.4g}" for name, values in curves.items() if values)
            print_lines(f"epoch {point.epoch}: {', '.join(means)}")
        run = now
    return run


def _follow_on_screen(run: RunInfo) -> RunInfo:
    with progress_bar() as bar:
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
        content = asdict(run) | {"result": _read_result(run), "history": history}
        print_lines(json.dumps(content, ensure_ascii=False, default=float))
        return 0
    rows = {
        "run": run.id,
        "name": run.name,
        "user": run.user,
        "state": describe_run(run),
        "progress": run.progress_label,
    }
    rows |= {name: setting_text(value) for name, value in asdict(run.spec).items()}
    rows |= {name: f"{value:.4g}" for name, value in sorted((run.metrics or {}).items()) if "/" in name}
    if run.unsynced:
        rows["unsynced points"] = f"{run.unsynced}; `resume {run.id[:12]}` brings them to the store"
    for name, value in rows.items():
        print_lines(f"{name:24} {value}")
    return 0


def cancel(arguments: argparse.Namespace) -> int:
    """Stop runs; what they have learned so far is kept."""
    return _change_runs(arguments, lambda run: runs.cancel(run.id))


def resume(arguments: argparse.Namespace) -> int:
    """Let failed or cancelled runs go on from their last checkpoint, and bring the store up to date."""
    return _change_runs(arguments, lambda run: runs.resume(run.id))


def delete(arguments: argparse.Namespace) -> int:
    """Take finished runs out of every list; `undelete` with the whole id brings one back."""
    return _change_runs(arguments, lambda run: runs.delete(run.id))


def undelete(arguments: argparse.Namespace) -> int:
    """Bring deleted runs back, by their whole ids."""
    for run_id in arguments.run:
        runs.undelete(run_id)
        print_lines(run_id)
    return 0


def rename(arguments: argparse.Namespace) -> int:
    """Give a run another name."""
    runs.rename(runs.find(arguments.run).id, arguments.name)
    return 0


def engine_command(arguments: argparse.Namespace) -> int:
    """Start the engine, see how it is, or stop it."""
    if arguments.what == "start":
        engine.start()
    elif arguments.what == "stop":
        print_lines("stopped" if engine.stop() else "not running")
        return 0
    status = engine.status()
    if not status.running:
        print_lines("not running")
        return 1
    kind = "a cluster"
    if status.local:
        kind = f"process {status.pid}, leaves after {status.idle_seconds:.0f} s without work"
    print_lines(f"running at {status.address} ({kind}): {status.busy} of {status.workers} workers busy")
    return 0


def _change_runs(arguments: argparse.Namespace, change: Callable[[RunInfo], RunInfo | None]) -> int:
    for run in [runs.find(text) for text in arguments.run]:
        changed = change(run)
        print_lines(f"{run.id} {'deleted' if changed is None else _state(changed)}")
    return 0


def _read_result(run: RunInfo) -> dict[str, Any] | None:
    try:
        return runs.result(run.id).to_dict()
    except store.RunNotFoundError:
        return None


def describe_run(run: RunInfo) -> str:
    """Return the state of a run in words: with its accuracy when it is done, with its reason when it failed."""
    accuracy = run.accuracy()
    if accuracy:
        return f"{run.state}, test {METRIC_NAMES[run.metric]} {format_percent(accuracy)} %"
    return f"{_state(run)}: {run.reason}" if run.reason else _state(run)


def _state(run: RunInfo) -> str:
    return "cancelling" if run.cancelling and run.active else run.state


def format_age(seconds: float) -> str:
    """Return a duration in its largest unit: "12 d", "2 h", "59 s"."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
