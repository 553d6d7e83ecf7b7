"""Embeddings: what teachers give for the rows of a dataset, computed in batches and cached on disk as they come.

An entry is named by the teacher and by what it sees of the items: the same pictures with other labels, or made smaller
for another student, are not embedded again. A process that is killed leaves the batches that it finished, and the next
one goes on after them.
"""

import hashlib
from collections.abc import Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from kdlib.cache import Unkeyed, cached_rows, content_key, count_rows, delete_rows
from kdlib.data import datasets
from kdlib.data.dataset import Dataset
from kdlib.models.pooling import POOLINGS
from kdlib.models.providers.tables import open_table
from kdlib.models.teacher import BATCH, Teacher
from kdlib.models.teachers import check_compatible, get_teacher
from kdlib.progress import OnProgress, report_progress
from kdlib.registry import lookup
from kdlib.spec import teacher_parts

FOLDER = "embeddings"
MEAN = "mean"  # how frames are pooled unless somebody says otherwise
BATCH_SECONDS = 1.0  # a batch takes no longer, where a teacher knows its speed: so soon is a cancel noticed


def embed(name: str, dataset: str, on_progress: OnProgress | None = None, pooling: str = MEAN) -> np.ndarray:
    """Return the teacher's embeddings of all rows of a dataset, (n, d_t) float32, from the cache where possible.

    Large ones stay on disk; index them by rows, and only these are read.

    Args:
        name: of the teacher.
        dataset: whose rows.
        on_progress: called with the rows embedded so far, also while another process embeds them.
        pooling: a name in `POOLINGS`, what is made of the frames of an item; without effect on a teacher without.

    Raises:
        ValueError: unknown name, a teacher that takes something else, or embeddings that are not finite.
        CancelledError: `on_progress` asked to stop; the rows embedded so far are kept.

    Example:
        >>> embed("random", "digits").shape[1]
        256
    """
    lookup(POOLINGS, pooling, "pooling")
    check_compatible(name, dataset)
    if len(teacher_parts(name)) > 1:
        return _joined(name, dataset, entry_key(name, dataset), Unkeyed(on_progress))
    pooling = pooling if get_teacher(name).frames else MEAN
    return _embeddings(name, dataset, pooling, entry_key(name, dataset), Unkeyed(on_progress))


@lru_cache(maxsize=8)
def _embeddings(name: str, dataset: str, pooling: str, key: str, reporting: Unkeyed) -> np.ndarray:
    teacher, count, on_progress = get_teacher(name), len(datasets.load(dataset).inputs), reporting.value

    def report() -> None:
        report_progress(on_progress, "embedding", count_embedded(name, dataset)[0], count)

    if teacher.dataset:  # checked row by row when it was imported; it may be too large to do so again
        embeddings = open_table(name)
    else:
        embeddings = cached_rows(FOLDER, key, count, partial(_batches, name, teacher, dataset, on_progress), report)
    if not teacher.frames:
        return embeddings
    pooled = partial(_pooled, embeddings, pooling, on_progress)
    return cached_rows(FOLDER, _pooled_key(name, dataset, pooling), count, pooled, report)


@lru_cache(maxsize=2)
def _joined(name: str, dataset: str, key: str, reporting: Unkeyed) -> np.ndarray:  # noqa: ARG001 - other content
    """Return the embeddings of several teachers side by side, (n, sum of d_t), in memory."""
    return np.concatenate([embed(part, dataset, reporting.value) for part in teacher_parts(name)], axis=1)


def block_widths(name: str, dataset: str, pooling: str = MEAN) -> list[int]:
    """Return how wide the embedding of each teacher is that teaches; one number for a single teacher.

    Example:
        >>> block_widths("simclr+random", "digits")
        [256, 256]
    """
    return [embedding_width(part, dataset, pooling) for part in teacher_parts(name)]


def _batches(name: str, teacher: Teacher, dataset: str, on_progress: OnProgress | None, first: int) -> Iterator:
    """Yield the embeddings of the rows from `first` on, a batch at a time.

    Raises:
        ValueError: they are not finite, or not one for each row.
        CancelledError: `on_progress` asked to stop.
    """
    data = datasets.load(dataset)
    embed_rows, count, size = teacher.load(), len(data.inputs), _batch_size(teacher)
    for start in range(first, count, size):
        report_progress(on_progress, "embedding", start, count)
        rows = np.arange(start, min(start + size, count))
        yield _check_batch(name, teacher, data, rows, embed_rows(data, rows))
    report_progress(on_progress, "embedding", count, count)


def _batch_size(teacher: Teacher) -> int:
    if not teacher.seconds_per_item:
        return teacher.batch
    return max(1, min(teacher.batch, int(BATCH_SECONDS / teacher.seconds_per_item)))


def _check_batch(name: str, teacher: Teacher, data: Dataset, rows: np.ndarray, batch: np.ndarray) -> np.ndarray:
    """Return the batch if it holds one finite embedding for each row, or frames where the teacher says that it does.

    Raises:
        ValueError: it does not.
    """
    if batch.ndim != 2 + teacher.frames or len(batch) != len(rows):
        expected = "some frames each" if teacher.frames else "one row each"
        raise ValueError(f"teacher {name} gives an array {batch.shape} for {len(rows)} rows, expected {expected}")
    finite = np.isfinite(batch).reshape(len(batch), -1).all(axis=1)
    if not finite.all():
        row = rows[int(np.argmin(finite))]
        raise ValueError(f"teacher {name} gives a number that is not finite in row {row} of {data.name}")
    return batch


def _pooled(frames: np.ndarray, pooling: str, on_progress: OnProgress | None, first: int) -> Iterator[np.ndarray]:
    """Yield what a pooling makes of frames (n, t, d), from row `first` on.

    Raises:
        CancelledError: `on_progress` asked to stop.
    """
    for start in range(first, len(frames), BATCH):
        report_progress(on_progress, "embedding", start, len(frames))
        yield POOLINGS[pooling].function(frames[np.arange(start, min(start + BATCH, len(frames)))])


def embedding_width(name: str, dataset: str, pooling: str = MEAN) -> int:
    """Return d_t of a teacher on a dataset: from what is known of it, so that asking does not embed all items.

    Raises:
        ValueError: unknown teacher or pooling.

    Example:
        >>> embedding_width("random", "digits")
        256
    """
    if len(teacher_parts(name)) > 1:
        return sum(block_widths(name, dataset, pooling))
    teacher = get_teacher(name)
    width = teacher.width or teacher.card.get("width") or _width(name, dataset)
    return width * (lookup(POOLINGS, pooling, "pooling").factor if teacher.frames else 1)


@lru_cache(maxsize=64)
def _width(name: str, dataset: str) -> int:
    return get_teacher(name).load()(datasets.load(dataset), np.arange(1)).shape[-1]


def count_embedded(name: str, dataset: str) -> tuple[int, int]:
    """Return how many rows of a dataset a teacher has embedded so far, and how many there are.

    Raises:
        ValueError: there is no such teacher or dataset (any more).

    Example:
        >>> done, rows = count_embedded("random", "digits")
    """
    if len(teacher_parts(name)) > 1:
        return min(count_embedded(part, dataset) for part in teacher_parts(name))
    count = len(datasets.load(dataset).inputs)
    done = count if get_teacher(name).dataset else count_rows(FOLDER, entry_key(name, dataset), count)
    return done, count


def is_embedded(name: str, dataset: str) -> bool:
    """Return whether embedding a dataset has nothing left to compute: all rows are cached, or were imported.

    Example:
        >>> is_embedded("random", "digits")
    """
    done, count = count_embedded(name, dataset)
    return done == count


def delete_embeddings(name: str, dataset: str) -> None:
    """Remove from the cache what a teacher made of a dataset, also for others of the same items; imported tables stay.

    Example:
        >>> delete_embeddings("random", "digits")
    """
    for pooling in POOLINGS if get_teacher(name).frames else ():
        delete_rows(FOLDER, _pooled_key(name, dataset, pooling))
    if not get_teacher(name).dataset:
        delete_rows(FOLDER, entry_key(name, dataset))


def is_shared(name: str, dataset: str) -> bool:
    """Return whether another dataset has the same items, so that it has a teacher's embeddings in common with this one.

    Example:
        >>> is_shared("random", "digits")
        False
    """
    key = entry_key(name, dataset)
    others = (other for other in datasets.describe_datasets() if other != dataset)
    return any(other not in datasets.DATASETS and entry_key(name, other) == key for other in others)


def provenance(name: str) -> dict[str, Any]:
    """Return what decides a teacher's embeddings beside its name and the rows: "version" and the hash of its "weights".

    The hash is "" for a teacher without weights. An imported table needs neither: its name holds the hash of its
    content. For several teachers: "parts", those of each.
    """
    if len(teacher_parts(name)) > 1:
        return {"parts": [provenance(part) for part in teacher_parts(name)]}
    teacher = get_teacher(name)
    weights = teacher.weights
    return {"version": teacher.version, "weights": _hashed(weights, weights.stat().st_mtime_ns) if weights else ""}


@lru_cache(maxsize=64)
def _hashed(path: Path, modified: int) -> str:  # noqa: ARG001 - another time, another file
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def entry_key(name: str, dataset: str) -> str:
    """Return what names a teacher's embeddings of a dataset by everything that decides them.

    Example:
        >>> entry_key("random", "digits")
    """
    items = datasets.items(dataset, get_teacher(name).originals)
    return content_key(teacher=name, **provenance(name), items=items)


def _pooled_key(name: str, dataset: str, pooling: str) -> str:
    return content_key(frames=entry_key(name, dataset), pooling=pooling)
