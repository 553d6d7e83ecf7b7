"""Embeddings as files for other tools: parquet, npz or npy, written piece by piece.

To add a format, write `(path, ids, embeddings) -> None` and give it a line in `WRITERS`;
`tests/test_embedding_files.py` reads every one back.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from kdlib.cache import atomic_path
from kdlib.registry import lookup

CHUNK_BYTES = 8 << 20  # bytes of embeddings written at a time
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
    with path.open("wb") as stream:
        header = {"descr": "<f4", "fortran_order": False, "shape": embeddings.shape}
        np.lib.format.write_array_header_1_0(stream, header)
        for rows in _chunks(embeddings):
            stream.write(np.ascontiguousarray(embeddings[rows], "<f4").tobytes())


def _write_npz(path: Path, ids: np.ndarray, embeddings: np.ndarray) -> None:
    with path.open("wb") as stream:
        np.savez(stream, id=ids, embedding=embeddings)


def _write_parquet(path: Path, ids: np.ndarray, embeddings: np.ndarray) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    width = embeddings.shape[1]
    schema = pa.schema([("id", pa.string()), ("embedding", pa.list_(pa.float32(), width))])
    with parquet.ParquetWriter(path, schema) as writer:
        for rows in _chunks(embeddings):
            flat = pa.array(embeddings[rows].ravel(), pa.float32())
            columns = [pa.array(ids[rows].tolist()), pa.FixedSizeListArray.from_arrays(flat, width)]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))


def _chunks(embeddings: np.ndarray) -> Iterator[np.ndarray]:
    """Yield all row numbers, some at a time: read by them, the rows of a large array leave no memory behind."""
    count = max(1, CHUNK_BYTES // (4 * embeddings.shape[1]))
    for start in range(0, len(embeddings), count):
        yield np.arange(start, min(start + count, len(embeddings)))


WRITERS: dict[str, Writer] = {".parquet": _write_parquet, ".npz": _write_npz, ".npy": _write_npy}
