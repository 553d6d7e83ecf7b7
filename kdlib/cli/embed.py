"""The command line of embedding: embed."""

import argparse
import sys
from pathlib import Path

from kdlib.cli.data import ProgressBar
from kdlib.cli.output import errors, print_lines
from kdlib.data import imported


def add_commands(commands: argparse._SubParsersAction, progress_bar: ProgressBar) -> None:
    """Add the command to a parser; it sets `handler`, which returns the exit code.

    Args:
        commands: takes it.
        progress_bar: shows how far it is and how long it takes, as in `cli.progress_bar`.
    """
    text = (embed.__doc__ or "").strip()
    parser = commands.add_parser("embed", help=text, description=text)
    parser.set_defaults(handler=embed, progress_bar=progress_bar)
    parser.add_argument("--dataset", required=True, metavar="X", help="whose items: see `list datasets`")
    parser.add_argument("--teacher", required=True, metavar="X", help="see `list teachers`")
    parser.add_argument("--pooling", default="mean", metavar="X", help="of frames: see `list poolings` (default: mean)")
    parser.add_argument("--export", type=Path, metavar="FILE", help="write ids and embeddings: .parquet, .npz or .npy")
    parser.add_argument("--quiet", action="store_true", help="print nothing but complaints")


def embed(arguments: argparse.Namespace) -> int:
    """Embed a dataset here and now, say what the teacher knows of the target; Ctrl-C keeps what is done."""
    from kdlib.analysis import teacher_report
    from kdlib.analysis.failure import Failure
    from kdlib.data import datasets
    from kdlib.models import embedding, embedding_files
    from kdlib.spaces import teacher_jobs

    dataset, teacher = (imported.resolve_name(name) for name in (arguments.dataset, arguments.teacher))
    if arguments.export:
        embedding_files.check_format(arguments.export)
    data = datasets.load(dataset)
    try:
        label, quiet = f"Embedding {dataset} with {teacher}", arguments.quiet
        with arguments.progress_bar(label, quiet, "items") as on_progress:
            embeddings = embedding.embed(teacher, dataset, on_progress, arguments.pooling)
    except KeyboardInterrupt:
        done, rows = embedding.count_embedded(teacher, dataset)
        errors.print(f"{done:,} of {rows:,} items are kept; the same command goes on with them", markup=False)
        raise
    if arguments.export:
        embedding_files.write_embeddings(arguments.export, data.ids, embeddings)
    if not teacher_report.cached(teacher, dataset):
        teacher_jobs.compute(teacher, dataset)
    report = teacher_report.cached(teacher, dataset)
    if isinstance(report, Failure):
        errors.print(f"what {teacher} knows cannot be said: {report.reason}", markup=False)
    elif report and not quiet:
        size = " x ".join(f"{number:,}" for number in embeddings.shape)
        print_lines(f"{teacher} on {dataset}: {size} numbers; {report.target.describe()}")
    sys.stdout.flush()
    return 0
