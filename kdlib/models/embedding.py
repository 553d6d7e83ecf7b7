"""Embeddings: what teachers give for the rows of a dataset, computed in batches and cached on disk as they come.

An entry is named by the content of dataset and teacher. A process that is killed leaves the batches that it finished,
and the next one goes on after them.
"""

import hashlib
from collections.abc import Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from kdlib.cache import Unkeyed, cached_rows, content_key, delete_rows
from kdlib.data import datasets
from kdlib.data.dataset import Dataset
from kdlib.models.teacher import Teacher
from kdlib.models.teachers import check_compatible, get_teacher
from kdlib.progress import OnProgress, report_progress

FOLDER = "embeddings"


def embed(name: str, dataset: str, on_progress: OnProgress | None = None) -> np.ndarray:
    """Return the teacher's embeddings of all rows of a dataset, (n, d_t) float32, from the cache where possible.

    Args:
        name: of the teacher.
        dataset: whose rows.
        on_progress: called with the rows embedded so far, and while another process embeds them.

    Raises:
        ValueError: unknown name, a teacher that takes something else, or embeddings that are not finite.
        CancelledError: `on_progress` asked to stop; the rows embedded so far are kept.

    Example:
        >>> embed("random", "digits").shape[1]
        256
    """
    check_compatible(name, dataset)
    return _embeddings(name, dataset, Unkeyed(on_progress))


@lru_cache(maxsize=8)
def _embeddings(name: str, dataset: str, reporting: Unkeyed) -> np.ndarray:
    teacher, data, on_progress = get_teacher(name), datasets.load(dataset), reporting.value
    if teacher.dataset:  # checked row by row when it was imported; it may be too large to do so again
        return teacher.load()(data, np.arange(len(data.inputs)))
    count = len(data.inputs)
    return cached_rows(
        FOLDER,
        _key(name, data),
        count,
        partial(_batches, name, teacher, data, on_progress),
        partial(report_progress, on_progress, "embedding", 0, count),
    )


def _batches(name: str, teacher: Teacher, data: Dataset, on_progress: OnProgress | None, first: int) -> Iterator:
    """Yield the embeddings of the rows from `first` on, a batch at a time.

    Raises:
        ValueError: they are not finite, or not one for each row.
        CancelledError: `on_progress` asked to stop.
    """
    embed_rows, count = teacher.load(), len(data.inputs)
    for start in range(first, count, teacher.batch):
        report_progress(on_progress, "embedding", start, count)
        rows = np.arange(start, min(start + teacher.batch, count))
        batch = embed_rows(data, rows)
        if batch.ndim != 2 or len(batch) != len(rows):
            raise ValueError(f"teacher {name} gives an array {batch.shape} for {len(rows)} rows, expected one row each")
        if not np.isfinite(batch).all():
            row = rows[int(np.flatnonzero(~np.isfinite(batch).all(axis=1))[0])]
            raise ValueError(f"teacher {name} gives a number that is not finite in row {row} of {data.name}")
        yield batch
    report_progress(on_progress, "embedding", count, count)


def embedding_width(name: str, dataset: str) -> int:
    """Return d_t of a teacher on a dataset: from what is known of it, so that asking does not embed all items."""
    teacher = get_teacher(name)
    return teacher.width or teacher.card.get("width") or _width(name, dataset)


@lru_cache(maxsize=64)
def _width(name: str, dataset: str) -> int:
    return get_teacher(name).load()(datasets.load(dataset), np.arange(1)).shape[1]


def delete_embeddings(name: str, dataset: str) -> None:
    """Remove from the cache what a teacher made of a dataset; the imported tables of a dataset stay.

    Example:
        >>> delete_embeddings("random", "digits")
    """
    if not get_teacher(name).dataset:
        delete_rows(FOLDER, _key(name, datasets.load(dataset)))


def provenance(name: str) -> dict[str, Any]:
    """Return what decides a teacher's embeddings beside its name and the rows: "version" and the hash of its "weights".

    The hash is "" for a teacher without weights. An imported table needs neither: its name holds the hash of its
    content.
    """
    teacher = get_teacher(name)
    weights = teacher.weights
    return {"version": teacher.version, "weights": _hashed(weights, weights.stat().st_mtime_ns) if weights else ""}


@lru_cache(maxsize=64)
def _hashed(path: Path, modified: int) -> str:  # noqa: ARG001 - another time, another file
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _key(name: str, data: Dataset) -> str:
    items = data.inputs if data.name in datasets.DATASETS else datasets.content(data.name)
    return content_key(teacher=name, **provenance(name), items=items)
