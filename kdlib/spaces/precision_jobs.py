"""Width x precision of finished runs: from the cache at once, otherwise measured by the engine."""

import json
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kdlib import engine, runs
from kdlib.analysis.failure import Failure
from kdlib.analysis.geometry import sample_rows
from kdlib.analysis.width_precision import (
    TEST_ROWS,
    TRAIN_ROWS,
    LabelledRows,
    PrecisionRow,
    measure_precisions,
    neighbours_of,
)
from kdlib.cache import atomic_path, content_key, home
from kdlib.data import datasets
from kdlib.models import embedding
from kdlib.models.quantization import FLOAT32, calibrate
from kdlib.models.separation import spec_compressor
from kdlib.spaces.rows import to_raw_space
from kdlib.spaces.space_embeddings import nested_widths
from kdlib.spec import BASELINE, RAW, RunSpec, teacher_parts

VERSION = 1  # of the rows: raise it when the same request would be answered otherwise
RAW_SPACE, COMPRESSED_SPACE = "raw", "compressed"


@dataclass(frozen=True)
class PrecisionRequest:
    """Whose embedding is to be measured.

    Attributes:
        run: id of a finished run.
        space: "compressed", or "raw" for the teacher's whole embedding, which runs on the same labels share.
    """

    run: str
    space: str = COMPRESSED_SPACE


def list_requests(run_id: str, spec: RunSpec) -> list[PrecisionRequest]:
    """Return what there is to measure of a run: nothing of a baseline, the raw embedding alone of one that keeps it.

    Example:
        >>> [request.space for request in list_requests(run_id, spec)]
        ['raw', 'compressed']
    """
    if spec.method == BASELINE:
        return []
    spaces = [RAW_SPACE] if spec.method in (RAW, "none") else [RAW_SPACE, COMPRESSED_SPACE]
    return [PrecisionRequest(run_id, space) for space in spaces]


def widths_of(spec: RunSpec) -> tuple[int, ...]:
    """Return the widths in which the compressed embedding of a run is measured, its full one the last.

    Example:
        >>> widths_of(RunSpec(method="matryoshka"))
        (2, 4, 8, 16)
    """
    d_t = embedding.embedding_width(spec.teacher, spec.dataset, spec.pooling)
    if spec.method in (RAW, "none"):
        return (d_t,)
    classes = len(datasets.load(spec.dataset).classes)
    return nested_widths(spec, spec_compressor(spec).width(d_t, spec.dim, classes))


def request_key(request: PrecisionRequest, spec: RunSpec) -> str:
    """Return the cache key of an answer: what decides it, of a compressed space the run, whose files never change.

    Raises:
        ValueError: the teacher or the dataset are gone.
    """
    sizes = {"version": VERSION, "train": TRAIN_ROWS, "test": TEST_ROWS}
    if request.space == COMPRESSED_SPACE:
        return content_key(**sizes, run=request.run)
    items = embedding.entry_key(spec.teacher, spec.dataset)
    scaled = {"scaled": spec.subset} if len(teacher_parts(spec.teacher)) > 1 else {}
    return content_key(
        **sizes, items=items, data=datasets.content(spec.dataset), pooling=spec.pooling, rows=spec.labels, **scaled
    )


def _path(key: str) -> Path:
    return home() / "cache" / "precision" / f"{key}.json"


def cached(request: PrecisionRequest, spec: RunSpec) -> list[PrecisionRow] | Failure | None:
    """Return the rows if they have been measured, None if not, a `Failure` when measuring failed."""
    path = _path(request_key(request, spec))
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return Failure(str(data["error"])) if "error" in data else [PrecisionRow.from_dict(row) for row in data["rows"]]
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError):
        path.unlink(missing_ok=True)  # damaged by something outside: it can always be measured again
        return None


def request(request: PrecisionRequest, spec: RunSpec) -> list[PrecisionRow] | Failure | None:
    """Return what is `cached`; if nothing is, have the engine measure it. Repeated requests are one piece of work.

    Raises:
        EngineError: the engine cannot be started.

    Example:
        >>> request(PrecisionRequest(run_id), spec)
    """
    answer = cached(request, spec)
    if answer is None:
        engine.submit(compute, asdict(request), key=f"precision-{request_key(request, spec)}", priority=1.0)
    return answer


def discard(request: PrecisionRequest, spec: RunSpec) -> None:
    """Forget an answer that failed, so that the next `request` has it measured again."""
    _path(request_key(request, spec)).unlink(missing_ok=True)


def compute(fields: dict[str, Any]) -> None:
    """Measure and store the rows; what goes wrong is stored as its "error".

    Args:
        fields: of a `PrecisionRequest`.
    """
    request = PrecisionRequest(**fields)
    spec = runs.get(request.run).setting
    try:
        answer: dict[str, Any] = {"rows": [row.to_dict() for row in measure(request)]}
    except Exception as error:  # a page that waits for the rows must learn that none will come
        traceback.print_exc()
        answer = Failure.of(error).to_dict()
    with atomic_path(_path(request_key(request, spec))) as temporary:
        temporary.write_text(json.dumps(answer), encoding="utf-8")


def measure(request: PrecisionRequest) -> list[PrecisionRow]:
    """Return what every width and precision of a space of a run is worth, computed here and now.

    The raw embedding is measured whole, a compressed one at every leading width that its method trains.

    Raises:
        ValueError: the run has no such space, or its files or its teacher are gone; or "undefined: ..." as in
            `measure_precisions`.

    Example:
        >>> [row.width for row in measure(PrecisionRequest(run_id))]
    """
    spec = runs.get(request.run).setting
    if request not in list_requests(request.run, spec):
        raise ValueError(f"a run of {spec.method} has no {request.space} embedding to measure")
    data = datasets.load(spec.dataset)
    labelled, test = data.labelled(spec.labels, spec.subset), data.splits["test"]
    # Shuffled: labelled rows have their classes in turn, and of equally near rows the first wins.
    train_places = np.random.default_rng(0).permutation(len(labelled))[:TRAIN_ROWS]
    test_places = sample_rows(len(test), TEST_ROWS)
    train_labels, test_labels = data.labels[labelled[train_places]], data.labels[test[test_places]]
    embeddings = embedding.embed(spec.teacher, spec.dataset, pooling=spec.pooling)
    train, test_rows = (to_raw_space(spec, embeddings[rows]) for rows in (labelled[train_places], test[test_places]))
    raw = LabelledRows(train, test_rows, train_labels, test_labels)
    near = neighbours_of(raw, calibrate(FLOAT32, raw.train))
    if request.space == RAW_SPACE:
        return measure_precisions([raw], [raw.train.shape[1]], near)
    members = []
    for member in range(spec.seeds if _seeds_differ(spec) else 1):
        train, test_rows = (
            runs.member_array(request.run, "features", f"compressed/{split}", member) for split in ("train", "test")
        )
        members.append(LabelledRows(train[train_places], test_rows[test_places], train_labels, test_labels))
    return measure_precisions(members, nested_widths(spec, members[0].train.shape[1]), near)


def _seeds_differ(spec: RunSpec) -> bool:
    entry = spec_compressor(spec)
    return entry.trainable or entry.seeded
