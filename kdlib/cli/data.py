"""The command line of the user's own data: import, data list, data delete."""

import argparse
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from kdlib.data import imported
from kdlib.data.dataset import ITEM_NAMES
from kdlib.data.intake import LAYOUTS, InputFormat, Limits
from kdlib.data.texts import WIDTH
from kdlib.progress import OnProgress

if TYPE_CHECKING:
    from kdlib.data import importing

PIPED = 200  # columns of a table that nobody looks at directly
MAX_CLASSES = 30  # classes that a preview lists


ProgressBar = Callable[..., AbstractContextManager[OnProgress | None]]


def add_commands(commands: argparse._SubParsersAction, progress_bar: ProgressBar) -> None:
    """Add the commands to a parser; each sets `handler`, which returns the exit code.

    Args:
        commands: takes them.
        progress_bar: shows how far a reading is, as in `cli.progress_bar`.
    """
    parser = _add_command(commands, "import", import_data)
    parser.set_defaults(progress_bar=progress_bar)
    _add_files(parser)
    _add_format(parser)
    _add_columns(parser)
    _add_splits(parser)
    parser.add_argument("--source-task", default="not said", help="what the teacher of the embeddings was trained for")
    parser.add_argument("--dry-run", action="store_true", help="say what was understood and keep nothing")
    parser.add_argument(
        "--large", action="store_true", help="read files above the usual limits on size: 16 GB an array, 32 GB in all"
    )

    data_commands = commands.add_parser("data", help="Work with imported data.").add_subparsers(
        required=True, metavar="COMMAND"
    )
    _add_command(data_commands, "list", list_data)
    _add_command(data_commands, "delete", delete_data).add_argument("names", nargs="+", metavar="NAME")


def _add_command(
    parent: argparse._SubParsersAction, name: str, handler: Callable[[argparse.Namespace], int]
) -> argparse.ArgumentParser:
    description = (handler.__doc__ or "").strip()
    parser = parent.add_parser(name, help=description, description=description)
    parser.set_defaults(handler=handler)
    return parser


def _add_files(parser: argparse.ArgumentParser) -> None:
    """Add which files to read."""
    parser.add_argument(
        "path", type=Path, help=".npz, .npy, .parquet, .csv, .sf2, or a folder or zip of recordings or pictures"
    )
    layouts = ", ".join(f"{name}: {text}" for name, text in LAYOUTS.items())
    parser.add_argument(
        "--format", dest="layout", default="", choices=list(LAYOUTS), help=f"a published dataset as it comes; {layouts}"
    )
    parser.add_argument("--name", default="", help="what to call it (default: after the file)")
    parser.add_argument(
        "--labels", type=Path, action="append", default=[], metavar="FILE", help="a table of labels, matched by id"
    )
    description = "embeddings of a teacher, matched by id; may be given several times"
    parser.add_argument("--embeddings", type=Path, action="append", default=[], metavar="FILE", help=description)


def _add_format(parser: argparse.ArgumentParser) -> None:
    """Add in which form a student gets pictures and recordings, of which the originals are kept."""
    form = InputFormat()
    texts = {
        "size": "pictures: pixels of a side that the student gets, at most",
        "seconds": "recordings: seconds that the student gets, at most",
        "mels": "recordings: mel bands that the student gets",
        "rate": "recordings: Hz of the sound that the student gets, at most",
    }
    for name, text in texts.items():
        value = getattr(form, name)
        parser.add_argument(f"--{name}", type=type(value), default=value, help=f"{text} (default: {value:g})")


def _add_columns(parser: argparse.ArgumentParser) -> None:
    """Add what each column is."""
    description = "column with the classes; several, separated by commas, hold 0, 1 or blank each"
    parser.add_argument("--target", type=_names, default=(), metavar="COLUMN,...", help=description)
    description = (
        "where the classes come from, without --target: the folders, the first part of --pattern, "
        "or a column that is called like a label"
    )
    parser.add_argument("--labels-from", choices=["folder", "pattern", "table"], default="table", help=description)
    parser.add_argument(
        "--pattern",
        default="",
        help="takes file names apart: '{digit}_{speaker}_{take}.wav'; each part becomes a column",
    )
    parser.add_argument("--id", default="", metavar="COLUMN", help="names the items")
    parser.add_argument(
        "--inputs",
        default="",
        metavar="COLUMN",
        help="numbers or texts that the student gets (default: the items themselves)",
    )
    description = f"texts: numbers that the student gets of each, hashed n-grams (default: {WIDTH})"
    parser.add_argument("--text-width", type=int, default=WIDTH, metavar="N", help=description)
    parser.add_argument(
        "--tables",
        type=_names,
        default=(),
        metavar="COLUMN,...",
        help="embeddings of teachers (default: all there are)",
    )
    parser.add_argument(
        "--attributes", type=_names, default=(), metavar="COLUMN,...", help="known factors beside the target"
    )


def _add_splits(parser: argparse.ArgumentParser) -> None:
    """Add which items are test sets."""
    parser.add_argument("--split", default="", metavar="COLUMN", help="says train, val, test or ood:<name>")
    parser.add_argument(
        "--test",
        type=_parse_selection,
        default=("", ()),
        metavar="COLUMN=VALUE,...",
        help="items that are the test set",
    )
    description = "items that are an out-of-domain test set and nothing else, such as speaker=jackson,nicolas"
    parser.add_argument(
        "--leave-out", type=_parse_selection, default=("", ()), metavar="COLUMN=VALUE,...", help=description
    )


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _parse_selection(text: str) -> tuple[str, tuple[str, ...]]:
    column, equals, values = text.partition("=")
    if not equals or not _names(values):
        raise argparse.ArgumentTypeError(f"expected COLUMN=VALUE,..., got {text!r}")
    return column.strip(), _names(values)


def import_data(arguments: argparse.Namespace) -> int:
    """Import your own data: say what was understood, then keep it as a dataset."""
    from kdlib.data import importing

    limits = Limits.current().enlarged() if arguments.large else Limits.current()
    form = InputFormat(arguments.size, arguments.seconds, arguments.mels, arguments.rate)
    beside = [(path, path.name) for path in (*arguments.labels, *arguments.embeddings)]
    quiet, file = not sys.stderr.isatty(), arguments.path.resolve().name
    with arguments.progress_bar(f"Reading {file}", quiet, "items") as on_progress:
        source = importing.stage(
            arguments.path, beside=beside, limits=limits, on_progress=on_progress, form=form, layout=arguments.layout
        )
    try:
        draft = importing.build_draft(source, _plan(arguments, source))
        _preview(source, draft)
        if arguments.dry_run:
            return 0
        with arguments.progress_bar(f"Importing {file}", quiet, "items") as on_progress:
            name = importing.store_dataset(source, draft, arguments.name or arguments.path.resolve().stem, on_progress)
    finally:
        importing.discard(source.token)
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"\nkept as {name}", markup=False)
    return 0


def _plan(arguments: argparse.Namespace, source: "importing.Source") -> "importing.ImportPlan":
    """Return what the options say, guesses where they say nothing."""
    from kdlib.data import importing

    guessed = importing.guess_plan(source)
    target = arguments.target
    if not target and arguments.labels_from == "folder":
        target = ("folder",)
    if not target and arguments.labels_from == "pattern":
        target = (importing.pattern_parts(arguments.pattern)[0],)
    return replace(
        guessed,
        target=target or guessed.target,
        id=arguments.id or guessed.id,
        inputs=arguments.inputs or guessed.inputs,
        tables=arguments.tables or guessed.tables,
        attributes=arguments.attributes or guessed.attributes,
        pattern=arguments.pattern,
        split=arguments.split or guessed.split,
        test=arguments.test,
        leave_out=arguments.leave_out,
        text_width=arguments.text_width,
        source_task=arguments.source_task,
    )


def _preview(source: "importing.Source", draft: "importing.DatasetDraft") -> None:
    """Print what was understood: columns, classes by split, warnings."""
    console = Console(highlight=False)
    console = console if console.is_terminal else Console(highlight=False, width=PIPED)
    plan = draft.plan
    shape = " x ".join(map(str, draft.shape))
    lines = {
        source.name: f"{source.rows:,} items, {ITEM_NAMES[draft.modality]} of shape {shape}",
        "classes": f"{len(draft.classes)}, from {', '.join(plan.target)}"
        + (" (several an item)" if draft.labels.ndim == 2 else ""),
        "student gets": plan.inputs,
        "teachers": ", ".join(
            f"{name} ({' x '.join(map(str, source.columns[name].shape[1:]))} wide)" for name in plan.tables
        )
        or "none",
        "attributes": ", ".join(f"{name} ({len(names)})" for name, (_, names) in draft.attributes.items()) or "none",
    }
    if source.originals:
        rate = f" at {source.rate:,} Hz" if source.rate else ""
        lines["originals"] = f"kept{rate}, {source.original_bytes / 1e6:,.1f} MB"
    for key, value in lines.items():
        console.print(f"{key}: {value}", markup=False)
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("class")
    for split in draft.split_names:
        table.add_column(escape(split), justify="right")
    counts = draft.counts()
    for name, row in list(counts.items())[:MAX_CLASSES]:
        table.add_row(escape(name), *(f"{count:,}" for count in row.values()))
    if len(counts) > MAX_CLASSES:
        table.add_row(f"... {len(counts) - MAX_CLASSES} more")
    console.print(table)
    for lines, texts in (("note", draft.notes), ("warning", draft.warnings)):
        for text in texts:
            console.print(f"{lines}: {text}", markup=False)


def list_data(arguments: argparse.Namespace) -> int:  # noqa: ARG001
    """Print what was imported, a line each; on standard error what cannot be read."""
    console = Console(highlight=False, soft_wrap=True)
    for name, card in imported.cards().items():
        splits, teachers = ", ".join(card.splits), ", ".join(card.tables) or "none"
        items = f"{card.rows:,} {ITEM_NAMES[card.modality]}"
        about = f"{items}, {len(card.classes)} classes, splits {splits}, teachers {teachers}"
        console.print(f"{name}  {about}", markup=False)
    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    for folder in imported.damaged():
        errors.print(
            f"{folder} cannot be read: its {imported.CARD} is damaged; delete that folder and import the file again",
            markup=False,
        )
    return 0


def delete_data(arguments: argparse.Namespace) -> int:
    """Delete imported data with everything that was computed from it; runs on it keep their results."""
    from kdlib.spaces import deletion

    for name in arguments.names:
        deletion.delete_dataset(imported.resolve_name(name))
    return 0
