"""The command line: `kdlib compare`, `paper`, `list`, and the commands for own data, teachers and background runs.

Answers go to standard output, progress and complaints to standard error. Bad input is one line and exit code 2; Ctrl-C
is exit code 130.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import NoReturn

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from kdlib import catalog
from kdlib.cache import atomic_path
from kdlib.cli import (
    benchmark,
    data,
    embed,
    export,
    record,
    report,
    rounds,
    runs,
    store,
    sweeps,
    tables,
    teacher,
    widths,
)
from kdlib.data import imported
from kdlib.progress import OnProgress
from kdlib.progress import Progress as Step
from kdlib.spec import GRID_FIELDS, RunSpec

OPTIONS = {
    "dataset": "what to learn: see `list datasets`",
    "labels": "labelled training rows",
    "subset": "which draw of that many rows",
    "teacher": "whose embeddings: see `list teachers`; several with + between them teach together",
    "pooling": "what is made of the frames of an item, where the teacher gives frames: see `list poolings`",
    "dim": "width of the compressed embedding",
    "loss": "distance between student and target: see `list losses`",
    "projector": "what brings the student to the target's width, where the loss needs it: see `list projectors`",
    "target_normaliser": "how the target is rescaled before the distance: see `list target-normalisers`",
    "distance_weight": "λ from 0 to 1: how much the distance counts against the prediction",
    "soft_label_weight": "weight of the soft labels from the teacher's head",
    "soft_label_loss": "what compares the soft labels with the student's: see `list soft-label-losses`",
    "temperature": "of the soft labels",
    "teacher_mixing": "how several teachers teach: concatenate (one embedding, one distance) or separate (a "
    "compressor, a head and a distance each)",
    "student": "the network that learns: see `list students`",
    "width": "size of the student",
    "depth": "blocks per stage of the student, where it has such a dial (resnet)",
    "augmentation": "how the student's inputs vary from step to step: see `list augmentations`",
    "epochs": "passes over the labelled rows",
    "batch_size": "rows per step",
    "lr": "peak learning rate",
    "seeds": "how often each method is trained, with seeds 0, 1, ...",
    "first_seed": "the first of these seeds",
    "tune": "settings of learning rate, λ, dim and soft labels to try for each method on validation, with other seeds; "
    "0 takes them as given",
    "attribute": "what the method adversarial removes from the embedding: an attribute of the dataset",
}
GRID_NOTE = "; several values, separated by commas, make a grid, of which the best cell on validation counts"
errors = Console(stderr=True, highlight=False)


class Parser(argparse.ArgumentParser):
    """A parser that complains in one line."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(message)


def add_spec_options(parser: argparse.ArgumentParser, grid: bool = True) -> None:
    """Add one option per field of `RunSpec` but the method; one that is not given is None.

    Args:
        parser: of the command.
        grid: whether the `GRID_FIELDS` take several values.
    """
    for field in fields(RunSpec):
        if field.name in OPTIONS:
            note = runs.DEFAULT_NOTES.get(field.name, "")
            several = grid and field.name in GRID_FIELDS
            line = f"{OPTIONS[field.name]}{GRID_NOTE if several else ''} (default: {field.default}{note})"
            parser.add_argument(
                f"--{field.name.replace('_', '-')}",
                type=runs.parse_grid if several else type(field.default),
                metavar="X,..." if several else "X",
                help=line,
            )


@contextmanager
def progress_bar(label: str, quiet: bool, unit: str = "steps") -> Iterator[OnProgress | None]:
    """Yield a callback that moves a bar on standard error, of one phase after the other.

    Args:
        label: what is done. Without a terminal only this appears.
        quiet: print nothing.
        unit: of the steps.
    """
    if quiet or not errors.is_terminal:
        if not quiet:
            errors.print(f"{label} ...", markup=False)
        yield None
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=errors, transient=True) as bar:
        task, phase = bar.add_task(label, total=None), ""

        def move(step: Step) -> None:
            nonlocal phase
            if step.phase != phase:
                phase = step.phase
                named = phase in ("training", "importing") or phase in label.lower()
                bar.reset(task, description=label if named else phase.capitalize())
            bar.update(task, completed=step.step, total=step.steps or None)

        yield move


def compare(arguments: argparse.Namespace) -> int:
    """Train several methods side by side and print what came out."""
    from kdlib.analysis import comparison
    from kdlib.analysis.rounds import pool
    from kdlib.checks import check
    from kdlib.sequential import compare_repeated
    from kdlib.training.devices import pick_device

    asked, repetition = runs.specs_of(arguments), rounds.repetition_of(arguments)
    specs = [spec.replace(tune=0) for spec in asked] + [spec for spec in asked if spec.tune]
    started = time.perf_counter()
    with errors.status("Loading data and teacher") if not arguments.quiet else no_status():
        pick_device(arguments.device)
        for spec in specs:
            check(spec)
    with progress_bar("Training", arguments.quiet) as on_progress:
        found = compare_repeated(
            specs,
            repetition,
            device=arguments.device,
            on_progress=on_progress,
            on_look=None if arguments.quiet else rounds.print_look,
        )
        results = pool(found)
    seconds = time.perf_counter() - started
    if arguments.json:
        with atomic_path(arguments.json) as temporary:
            temporary.write_text(json.dumps(comparison.to_json(results, seconds), indent=1, ensure_ascii=False) + "\n")
    if not arguments.quiet:
        tables.print_comparison([each for each in results if not each.spec.tune], seconds)
        tables.print_tuned([each for each in results if each.spec.tune])
    return 0 if all(result.status == "done" for result in results) else 1


def paper(arguments: argparse.Namespace) -> int:
    """Train what the papers compare (baseline, raw, compressed, soft labels, both) with the teacher named, by
    default every built-in or imported one that fits, and print one table.
    """
    from kdlib import pipeline
    from kdlib.analysis import comparison, papers
    from kdlib.runs import default_name
    from kdlib.training.devices import pick_device

    started = time.perf_counter()
    pick_device(arguments.device)
    base = runs.specs_of(arguments)[0]
    if base.tune:
        raise ValueError("paper compares treatments that fix λ and soft labels, so they cannot be tuned; use compare")
    teachers = arguments.teachers.split(",") if arguments.teachers else [arguments.teacher] if arguments.teacher else []
    names = [imported.resolve_name(name.strip()) for name in teachers if name.strip()]
    specs = papers.paper_specs(base, names)
    with progress_bar("Training", arguments.quiet) as on_progress:
        results = pipeline.compare(list(specs.values()), device=arguments.device, on_progress=on_progress)
    seconds = time.perf_counter() - started
    if arguments.json:
        with atomic_path(arguments.json) as temporary:
            temporary.write_text(json.dumps(comparison.to_json(results, seconds), indent=1, ensure_ascii=False) + "\n")
    rows = papers.paper_rows(dict(zip(specs, results, strict=True)))
    if rows and not arguments.quiet:
        tables.print_papers(rows, seconds)
    for result in results:
        if result.status == "failed":
            errors.print(f"{default_name(result.spec)}: {result.reason}", markup=False)
    return 0 if all(result.status == "done" for result in results) else 1


@contextmanager
def no_status() -> Iterator[None]:
    """Yield nothing, do nothing."""
    yield


def list_entries(arguments: argparse.Namespace) -> int:
    """Print what there is to choose from, a line each."""
    tables.print_entries(arguments.what)
    return 0


def _add_compare_options(comparing: argparse.ArgumentParser) -> None:
    comparing.add_argument(
        "--methods", default="baseline,raw,pca,linear,mlp", help="names separated by commas: see `list methods`"
    )
    add_spec_options(comparing)
    rounds.add_repetition_options(comparing)
    comparing.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    comparing.add_argument("--json", type=Path, metavar="FILE", help="write everything that was measured to FILE")
    comparing.add_argument("--quiet", action="store_true", help="print nothing but complaints")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line; each command sets `handler`, which returns the exit code."""
    main_parser = Parser(prog="kdlib", description="Embedding compression in teacher-to-student knowledge transfer.")
    commands = main_parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(
        name: str, handler: Callable[[argparse.Namespace], int], parent: argparse._SubParsersAction = commands
    ) -> Parser:
        line = (handler.__doc__ or "").strip()
        added = parent.add_parser(name, help=line, description=line)
        added.set_defaults(handler=handler)
        return added

    _add_compare_options(command("compare", compare))
    papers = command("paper", paper)
    papers.add_argument("--method", dest="methods", default="linear", help="the compressor (default: %(default)s)")
    add_spec_options(papers, grid=False)
    papers.add_argument("--teachers", default="", metavar="X,...", help="several, separated by commas (default: all)")
    papers.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    papers.add_argument("--json", type=Path, metavar="FILE", help="write everything that was measured to FILE")
    papers.add_argument("--quiet", action="store_true", help="print nothing but complaints")

    listing = command("list", list_entries)
    listing.add_argument("what", choices=list(catalog.NAMES))
    data.add_commands(commands, progress_bar)
    teacher.add_commands(commands, progress_bar)
    embed.add_commands(commands, progress_bar)
    runs.add_commands(commands, add_spec_options)
    sweeps.add_commands(commands)
    rounds.add_commands(commands)
    benchmark.add_commands(commands, add_spec_options, progress_bar)
    widths.add_commands(commands)
    report.add_commands(commands)
    export.add_commands(commands)
    store.add_commands(commands)
    record.add_commands(commands)
    return main_parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    try:
        given = parser().parse_args(arguments)
        return given.handler(given)
    except (ValueError, OSError) as error:
        errors.print(f"error: {error}", markup=False, soft_wrap=True)
        return 2
    except KeyboardInterrupt:
        errors.print("stopped", markup=False)
        return 130
