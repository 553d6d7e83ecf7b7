"""The command line of teachers: teacher add, list, show, remove, build."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape

from kdlib.cli.data import ProgressBar
from kdlib.cli.output import plain_table, print_lines, print_table
from kdlib.models.providers import PROVIDERS

if TYPE_CHECKING:
    from kdlib.models.providers import onnx

SUPERVISIONS = {"supervised": True, "unsupervised": False}


def add_commands(commands: argparse._SubParsersAction, progress_bar: ProgressBar) -> None:
    """Add the commands to a parser; each sets `handler`, which returns the exit code.

    Args:
        commands: takes them.
        progress_bar: shows how far a piece of work is, as in `cli.progress_bar`.
    """
    parent = commands.add_parser("teacher", help="Add a network of your own as a teacher; list, show, remove, build.")
    group = parent.add_subparsers(required=True, metavar="COMMAND")
    for name, handler in (("add", add), ("list", list_teachers), ("show", show), ("remove", remove), ("build", build)):
        description = (handler.__doc__ or "").strip()
        parser = group.add_parser(name, help=description, description=description)
        parser.set_defaults(handler=handler, progress_bar=progress_bar)
        if name in OPTIONS:
            OPTIONS[name](parser)


def _show_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME")


def _remove_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="+", metavar="NAME")


def _build_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", metavar="NAME", help="which (default: all)")
    parser.add_argument("--folder", type=Path, help="where to write (default: the project's assets)")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected numbers separated by commas, got {text!r}") from error


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", help="an ONNX file, or hf:<id>, timm:<name>, torchaudio:<bundle>")
    parser.add_argument("--name", default="", help="what to call it (default: after the file)")
    parser.add_argument("--revision", default="", metavar="X", help="of a network out of a hub (default: the newest)")
    parser.add_argument("--outputs", action="store_true", help="list what can be the embedding; keep nothing")
    parser.add_argument("--dry-run", action="store_true", help="try it on three items and keep nothing")
    parser.add_argument("--dataset", default="", metavar="X", help="whose items it is tried on")
    items = parser.add_argument_group("how it gets an item (default: what the file says)")
    items.add_argument("--input", choices=["image", "waveform"], default="", help="what it takes")
    items.add_argument("--size", type=int, default=0, metavar="PIXELS", help="side of the pictures (default: 224)")
    items.add_argument("--rate", type=int, default=0, metavar="HZ", help="of the sound (default: 16000)")
    presets = ["imagenet", "clip", "dino", "none"]
    items.add_argument("--preset", choices=presets, default="", help="how pictures are resized and scaled")
    for what in ("mean", "std"):
        line = f"{what} of pictures in [0, 1] that is taken out, instead of the preset's"
        items.add_argument(f"--{what}", type=_numbers, default=(), metavar="R,G,B", help=line)
    output = parser.add_argument_group("what of it is the embedding")
    output.add_argument("--output", default="", metavar="TENSOR", help="any tensor (default: the first output)")
    output.add_argument("--pool", choices=["mean", "cls", "flatten"], default="", help="over places or tokens")
    line = "where the features of a tensor of places are, after the items or last"
    output.add_argument("--features", choices=["first", "last"], default="", help=line)
    card = parser.add_argument_group("what only you know")
    card.add_argument("--source-task", default="not said", metavar="TEXT", help="what it was trained for")
    card.add_argument("--supervision", choices=list(SUPERVISIONS), help="whether that used labels")
    card.add_argument("--licence", default="not said", metavar="TEXT", help="of its weights")


OPTIONS = {"add": _add_options, "show": _show_options, "remove": _remove_options, "build": _build_options}


def add(arguments: argparse.Namespace) -> int:
    """Add an ONNX file, or a network out of a hub, as a teacher: check it, try it, keep it."""
    return _add_hub(arguments) if _is_hub(arguments.source) else _add_onnx(arguments)


def _is_hub(name: str) -> bool:
    scheme = name.partition(":")[0]
    return PROVIDERS.get(scheme, "").startswith("kdlib.models.providers.hub.")


def _add_hub(arguments: argparse.Namespace) -> int:
    from kdlib.models.providers import hub

    said = {name: text for name in ("source_task", "licence") if (text := getattr(arguments, name)) != "not said"}
    supervised = SUPERVISIONS.get(arguments.supervision)
    card = hub.add(arguments.source, arguments.revision, supervised=supervised, **said)
    print_lines(
        f"{card.width:,} wide, {card.parameters:,} parameters, {_milliseconds(card.seconds_per_item)} an item",
        f"kept as {card.name} at revision {card.revision}",
    )
    return 0


def _add_onnx(arguments: argparse.Namespace) -> int:
    from kdlib.models.providers import onnx

    path = Path(arguments.source)
    bar, file = arguments.progress_bar, path.name
    name = onnx.check_name(arguments.name or onnx.suggest_name(file))
    draft = onnx.stage(path)
    try:
        if arguments.outputs:
            _print_tensors(draft.network)
            return 0
        wanted = ("input", "size", "rate", "mean", "std", "preset", "output", "pool", "features")
        plan = onnx.make_plan(draft.network, onnx.Wishes(**{name: getattr(arguments, name) for name in wanted}))
        _print_plan(draft.network, plan)
        with bar(f"Trying {file}", not sys.stderr.isatty(), "items") as on_progress:
            trial = onnx.try_out(draft, plan, arguments.dataset, on_progress=on_progress)
        print_lines(
            f"trial on 3 items of {trial.dataset}: {trial.width:,} wide, from {trial.low:.4g} to {trial.high:.4g}, "
            f"{_milliseconds(trial.seconds_per_item)} an item"
        )
        if arguments.dry_run:
            return 0
        about = onnx.About(arguments.source_task, SUPERVISIONS.get(arguments.supervision), arguments.licence)
        name = onnx.keep_draft(draft, plan, trial, name, about)
    finally:
        onnx.discard(draft.token)
    print_lines(f"kept as {name}")
    return 0


def _print_tensors(network: "onnx.Network") -> None:
    table = plain_table()
    for column in ("tensor", "shape", "type", "made by", "output"):
        table.add_column(column)
    for each in network.tensors:
        words = (each.name, each.describe_shape(), each.type or "not known", each.operation)
        table.add_row(*map(escape, words), "yes" if each.is_output else "")
    print_table(table)


def _print_plan(network: "onnx.Network", plan: "onnx.Plan") -> None:
    taken = network.input
    print_lines(
        f"{network.file}: {network.parameters:,} parameters, {network.operations:,} operations, "
        f"{network.bytes / 2**20:.1f} MB",
        f"input: {taken.name}, {taken.describe_shape()} {taken.type}: {plan.describe_input()}",
    )
    output = next(each for each in network.tensors if each.name == plan.output)
    pooled = output.shape is None or len(output.shape) > 2
    print_lines(f"embedding: {plan.output}, {output.describe_shape()}" + (f", pool {plan.pool}" if pooled else ""))


def _milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:.3g} ms"


def list_teachers(arguments: argparse.Namespace) -> int:  # noqa: ARG001
    """Print the teachers, as `list teachers` does."""
    from kdlib.cli import tables

    tables.print_entries("teachers")
    return 0


def show(arguments: argparse.Namespace) -> int:
    """Print the card of a teacher: source task, supervision, parameters, width, time, licence, origin, hash."""
    from kdlib.data import imported
    from kdlib.models.teachers import get_teacher

    name = imported.resolve_name(arguments.name)
    print_lines(name, *(f"{key}: {value}" for key, value in get_teacher(name).describe().items()))
    return 0


def remove(arguments: argparse.Namespace) -> int:
    """Remove teachers that were added, with their embeddings; runs keep their results."""
    from kdlib.spaces import deletion

    for name in arguments.names:
        deletion.delete_teacher(name)
    return 0


def build(arguments: argparse.Namespace) -> int:
    """Train the built-in teachers anew and write weights and cards."""
    from kdlib.analysis.linear_probe import probe_accuracy
    from kdlib.models import pretraining

    for name in arguments.names or pretraining.OBJECTIVES:
        with arguments.progress_bar(f"Training {name}", arguments.quiet) as on_progress:
            card = pretraining.build(name, probe_accuracy, arguments.folder or pretraining.WEIGHTS, on_progress)
        reads = ", ".join(f"{key} {100 * value:.1f} %" for key, value in card["probe_accuracy"].items())
        sys.stdout.write(f"{name}: probe accuracy {reads}\n")
    return 0
