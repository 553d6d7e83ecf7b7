"""Embeddings as files for other tools: parquet, npz or npy, written piece by piece.

To add a format, write `(path, ids, embeddings) -> None` and give it a line in `WRITERS`;
`tests/test_embedding_files.py` reads every one back.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from kdlib.cache import atomic_path
from kdlib.registry import lookup

CHUNK = 1000  # rows written at a time
Writer = Callable[[Path, np.ndarray, np.ndarray], None]


def check_format(path: Path) -> None:
    """Return if embeddings can be written to a file of that name.

    Raises:
        ValueError: its ending is none of `WRITERS`.

    Example:
        >>> check_format(Path("digits.parquet"))
    """
    lookup(WRITERS, path.suffix.lower(), "ending of a file for embeddings")


def write_embeddings(path: Path, ids: np.ndarray, embeddings: np.ndarray) -> None:
    """Write embeddings (n, d) and the names of their items (n,), in the format that the file's ending says.

    Raises:
        ValueError: unknown ending.
        OSError: the file cannot be written; nothing of it stays.

    Example:
        >>> write_embeddings(Path("digits.npz"), data.ids, embed("random", "digits"))
    """
    check_format(path)
    with atomic_path(path) as temporary:
        WRITERS[path.suffix.lower()](temporary, ids, embeddings)


def _write_npy(path: Path, ids: np.ndarray, embeddings: np.ndarray) -> None:  # noqa: ARG001 - rows in their order
    out = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=embeddings.shape)
    for start in range(0, len(embeddings), CHUNK):
        out[start : start + CHUNK] = _rows(embeddings, start)
    out.flush()


def _write_npz(path: Path, ids: np.ndarray, embeddings: np.ndarray) -> None:
    with path.open("wb") as stream:
        np.savez(stream, id=ids, embedding=embeddings)


def _write_parquet(path: Path, ids: np.ndarray, embeddings: np.ndarray) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    width = embeddings.shape[1]
    schema = pa.schema([("id", pa.string()), ("embedding", pa.list_(pa.float32(), width))])
    with parquet.ParquetWriter(path, schema) as writer:
        for start in range(0, len(embeddings), CHUNK):
            flat = pa.array(_rows(embeddings, start).ravel(), pa.float32())
            columns = [pa.array(ids[start : start + CHUNK].tolist()), pa.FixedSizeListArray.from_arrays(flat, width)]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))


def _rows(embeddings: np.ndarray, start: int) -> np.ndarray:
    """Return the rows from `start` on by their numbers: so read, those of a large array leave no memory behind."""
    return np.asarray(embeddings[np.arange(start, min(start + CHUNK, len(embeddings)))], dtype=np.float32)


WRITERS: dict[str, Writer] = {".parquet": _write_parquet, ".npz": _write_npz, ".npy": _write_npy}
