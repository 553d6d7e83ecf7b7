"""What the leading widths of a run hold, found out by the engine: the trained compressor beside PCA."""

import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from kdlib import engine, runs
from kdlib.analysis.failure import Failure
from kdlib.analysis.measure import PROBE_ROWS
from kdlib.analysis.probes import Probes
from kdlib.analysis.scaling import ScaledEmbeddings
from kdlib.analysis.widths import SpaceRows, WidthReport, leading_widths, measure_widths
from kdlib.cache import content_key
from kdlib.data import datasets
from kdlib.models import embedding
from kdlib.models.compressors import COMPRESSORS
from kdlib.progress import OnProgress, Progress
from kdlib.spaces import storage
from kdlib.spaces.rows import MAX_ROWS
from kdlib.spaces.storage import answer_path, read_answer, write_answer
from kdlib.spec import RunSpec
from kdlib.store import DONE, RunInfo

VERSION = 1  # of the reports: raise it when the same run would be reported otherwise
TRAINED, PCA = "trained", "pca"  # the spaces of a report
WRITE_SECONDS = 0.3  # between two notes of how far it is


@dataclass(frozen=True)
class WidthRequest:
    """Whose leading widths are to be measured.

    Attributes:
        run: id of a finished run whose method is in `nested_methods`.
        member: which seed.
    """

    run: str
    member: int = 0

    @property
    def key(self) -> str:
        """The cache key of the report: the run, whose files never change, and which member of it."""
        return content_key(version=VERSION, widths=self.run, member=self.member)


def nested_methods() -> list[str]:
    """Return the compressors whose leading widths are trained to be embeddings by themselves.

    Example:
        >>> nested_methods()
        ['matryoshka']
    """
    return [name for name, entry in COMPRESSORS.items() if len(entry.prefixes(4)) > 1]


def nested_runs(limit: int = 50) -> list[RunInfo]:
    """Return finished runs that hold every width, newest first.

    Example:
        >>> [run.name for run in nested_runs()]
    """
    return runs.list_runs(limit=limit, states=[DONE], where={"method": nested_methods()})


def cached(request: WidthRequest) -> WidthReport | Failure | None:
    """Return the report if it is there, None if not, a `Failure` when making it failed."""
    return read_answer(request.key, WidthReport.from_parts)


def request(request: WidthRequest) -> WidthReport | Failure | None:
    """Return what is `cached`; if nothing is, have the engine make it. Repeated requests are one piece of work.

    Raises:
        EngineError: the engine cannot be started.

    Example:
        >>> request(WidthRequest(run_id))
    """
    report = cached(request)
    if report is None:
        engine.submit(compute, asdict(request), key=f"widths-{request.key}", priority=1.0)
    return report


def discard(request: WidthRequest) -> None:
    """Forget a report that failed, so that the next `request` has it made again."""
    answer_path(request.key).unlink(missing_ok=True)


def read_progress(request: WidthRequest) -> float:
    """Return how far a report that is being made is, 0 to 1.

    Example:
        >>> read_progress(WidthRequest(run_id))
        0.0
    """
    return storage.read_progress(request.key) or 0.0  # it has not begun, or is over


def compute(fields: dict[str, Any]) -> None:
    """Make a report and store it; what goes wrong is stored as its "error".

    Args:
        fields: of a `WidthRequest`.
    """
    request = WidthRequest(**fields)
    written = 0.0

    def note(progress: Progress) -> None:
        nonlocal written
        now = time.monotonic()
        if now - written > WRITE_SECONDS:
            written = now
            storage.write_progress(request.key, progress.share)

    write_answer(request.key, lambda: make_report(request, note).to_parts())


def make_report(request: WidthRequest, on_progress: OnProgress | None = None) -> WidthReport:
    """Return what the leading widths of a run hold, beside PCA of the same embeddings fitted to the same rows.

    At the full width these are the numbers that the run itself reported for this member.

    Args:
        request: whose.
        on_progress: called with a `Progress` between the fits of a probe.

    Raises:
        RunNotFoundError: there is no such run, or its files are gone.
        ValueError: the method of the run trains no leading widths.

    Example:
        >>> make_report(WidthRequest(run_id)).scores["trained"].probes["target"]
    """
    spec = runs.get(request.run).setting
    check_nested(spec)
    data = datasets.load(spec.dataset)
    train, test = data.labelled(spec.labels, spec.subset), data.splits["test"][:MAX_ROWS]
    blocks = embedding.block_widths(spec.teacher, spec.dataset, spec.pooling)
    raw = embedding.embed(spec.teacher, spec.dataset, pooling=spec.pooling)
    embeddings = ScaledEmbeddings.to_unit(raw, train, blocks)
    raw = SpaceRows(embeddings[train], embeddings[test])
    kept = {split: f"compressed/{split}" for split in ("train", "test")}
    arrays = {split: runs.member_array(request.run, "features", name, request.member) for split, name in kept.items()}
    trained = SpaceRows(arrays["train"], arrays["test"][:MAX_ROWS])
    dim = trained.test.shape[1]
    fitted = COMPRESSORS["pca"].build(min(dim, *raw.train.shape), request.member).fit(raw.train, data.labels[train])
    pca = SpaceRows(*(fitted.transform(rows).astype(np.float32) for rows in (raw.train, raw.test)))
    widths = leading_widths(dim)
    probes = Probes(data, train, test[:PROBE_ROWS], 2 * len(widths) + 1, on_progress)
    return measure_widths({TRAINED: trained, PCA: pca}, raw, widths, probes)


def check_nested(spec: RunSpec) -> None:
    """Return if every leading width of a run with this spec was trained.

    Raises:
        ValueError: it was not.
    """
    if spec.method not in nested_methods():
        raise ValueError(
            f"only {' and '.join(nested_methods())} trains every leading width, got {spec.method}; choose another run"
        )
