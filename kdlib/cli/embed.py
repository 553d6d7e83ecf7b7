"""The command line of embedding: embed, with a teacher or in a space of a run."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kdlib.cli.data import ProgressBar
from kdlib.cli.output import errors, print_lines
from kdlib.data import imported
from kdlib.progress import OnProgress

SPACES = ("raw", "compressed", "student")


def add_commands(commands: argparse._SubParsersAction, progress_bar: ProgressBar) -> None:
    """Add the command to a parser; it sets `handler`, which returns the exit code.

    Args:
        commands: takes it.
        progress_bar: shows how far it is and how long it takes, as in `cli.progress_bar`.
    """
    text = (embed.__doc__ or "").strip()
    parser = commands.add_parser("embed", help=text, description=text)
    parser.set_defaults(handler=embed, progress_bar=progress_bar)
    parser.add_argument("--dataset", metavar="X", help="whose items: see `list datasets` (default: those of the run)")
    who = parser.add_mutually_exclusive_group(required=True)
    who.add_argument("--teacher", metavar="X", help="see `list teachers`")
    who.add_argument("--run", metavar="RUN", help="a finished run: id, beginning of an id, or name")
    parser.add_argument("--pooling", metavar="X", help="of a teacher's frames: see `list poolings` (default: mean)")
    parser.add_argument("--space", choices=SPACES, help="of the run (default: compressed)")
    parser.add_argument("--seed", type=int, metavar="N", help="which member of the run (default: 0)")
    parser.add_argument("--width", type=int, metavar="N", help="only the N leading numbers, of a matryoshka run")
    parser.add_argument("--export", type=Path, metavar="FILE", help="write ids and embeddings: .parquet, .npz or .npy")
    parser.add_argument(
        "--precision", metavar="X", help="of the exported numbers: float32, float16, int8 or binary (default: float32)"
    )
    parser.add_argument("--quiet", action="store_true", help="print nothing but complaints")


def embed(arguments: argparse.Namespace) -> int:
    """Embed a dataset here and now, with a teacher or in a space of a run, and export it; Ctrl-C keeps what is done."""
    from kdlib.models import embedding_files
    from kdlib.models.quantization import PRECISIONS
    from kdlib.registry import lookup

    if arguments.export:
        embedding_files.check_format(arguments.export)
    if arguments.precision:
        lookup(PRECISIONS, arguments.precision, "precision")
        if not arguments.export:
            raise ValueError("--precision says how numbers are written to a file; add --export FILE")
    return _embed_space(arguments) if arguments.run else _embed_with_teacher(arguments)


def _embed_with_teacher(arguments: argparse.Namespace) -> int:
    from kdlib.analysis import teacher_report
    from kdlib.analysis.failure import Failure
    from kdlib.data import datasets
    from kdlib.models import embedding, embedding_files
    from kdlib.models.quantization import FLOAT32, calibrate
    from kdlib.spaces import teacher_jobs
    from kdlib.spaces.space_embeddings import calibration_rows

    for name in ("space", "seed", "width"):
        if getattr(arguments, name) is not None:
            raise ValueError(f"--{name} is about the spaces of a run; give --run RUN instead of --teacher")
    if not arguments.dataset:
        raise ValueError("a teacher needs to know whose items to embed; add --dataset")
    dataset, teacher = (imported.resolve_name(name) for name in (arguments.dataset, arguments.teacher))
    data = datasets.load(dataset)
    with _embedding(arguments, f"Embedding {dataset} with {teacher}", teacher, dataset) as on_progress:
        embeddings = embedding.embed(teacher, dataset, on_progress, arguments.pooling or embedding.MEAN)
    if arguments.export:
        quantizer = calibrate(arguments.precision or FLOAT32, embeddings[calibration_rows(data.splits["train"])])
        embedding_files.write_embeddings(arguments.export, data.ids, embeddings, quantizer)
    if not teacher_report.cached(teacher, dataset):
        teacher_jobs.compute(teacher, dataset)
    report = teacher_report.cached(teacher, dataset)
    if isinstance(report, Failure):
        errors.print(f"what {teacher} knows cannot be said: {report.reason}", markup=False)
    elif report and not arguments.quiet:
        size = " x ".join(f"{number:,}" for number in embeddings.shape)
        print_lines(f"{teacher} on {dataset}: {size} numbers; {report.target.describe()}")
    sys.stdout.flush()
    return 0


def _embed_space(arguments: argparse.Namespace) -> int:
    from kdlib import runs
    from kdlib.models import embedding_files
    from kdlib.models.quantization import FLOAT32, calibrate
    from kdlib.spaces.space_embeddings import open_space

    if not arguments.export:
        raise ValueError("the embeddings of a run go to a file; add --export FILE")
    if arguments.pooling:
        raise ValueError("a run pools as it was trained; leave --pooling out")
    run, space = runs.find(arguments.run), arguments.space or "compressed"
    dataset = imported.resolve_name(arguments.dataset) if arguments.dataset else run.spec.dataset
    label = f"Embedding {dataset} with {run.spec.teacher}"
    with _embedding(arguments, label, run.spec.teacher, dataset) as on_progress:
        embeddings = open_space(
            run.id, space, dataset, member=arguments.seed or 0, width=arguments.width, on_progress=on_progress
        )
    quantizer = calibrate(arguments.precision or FLOAT32, embeddings.training)
    with arguments.progress_bar(f"Writing {arguments.export.name}", arguments.quiet, "items") as on_progress:
        embedding_files.write_embeddings(arguments.export, embeddings.ids, embeddings, quantizer, on_progress)
    if not arguments.quiet:
        rows, width = embeddings.shape
        item = quantizer.precision.item_bytes(width)
        print_lines(
            f"{space} space of {run.name}, seed {arguments.seed or 0}, on {dataset}: {rows:,} x {width:,} numbers, "
            f"{quantizer.name}, {item:,} bytes an item"
        )
    return 0


@contextmanager
def _embedding(arguments: argparse.Namespace, label: str, teacher: str, dataset: str) -> Iterator[OnProgress]:
    """Yield what shows how far a teacher is; when it is stopped, say how much is kept."""
    from kdlib.models import embedding

    try:
        with arguments.progress_bar(label, arguments.quiet, "items") as on_progress:
            yield on_progress
    except KeyboardInterrupt:
        done, rows = embedding.count_embedded(teacher, dataset)
        errors.print(f"{done:,} of {rows:,} items are kept; the same command goes on with them", markup=False)
        raise
