"""Embeddings as files for other tools: parquet, npz or npy, in any precision, written piece by piece.

To add a format, write `(path, ids, codes) -> None` and give it a line in `WRITERS`;
`tests/test_embedding_files.py` reads every one back. A file of codes holds what it takes to undo them: parquet in the
metadata of its schema, npz as arrays `low` and `high`, npy in a JSON file beside it.
"""

import glob
import json
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

import numpy as np

from kdlib.cache import atomic_path
from kdlib.models.quantization import FLOAT32, Quantizer
from kdlib.progress import OnProgress, report_progress
from kdlib.registry import lookup

CHUNK_BYTES = 8 << 20  # bytes of embeddings written at a time
ABANDONED_SECONDS = 600  # after which a part of a file that nobody writes to was left by a process that was killed


class Rows(Protocol):
    """Embeddings that are read, or computed, for the requested rows: an array, or what indexes like one."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, rows: np.ndarray, /) -> np.ndarray: ...


@dataclass(frozen=True)
class Codes:
    """Embeddings in a precision, made piece by piece.

    Attributes:
        embeddings: (n, d), read by rows.
        quantizer: what encodes them.
        on_progress: shown how many are made.
    """

    embeddings: Rows
    quantizer: Quantizer
    on_progress: OnProgress | None = None

    @property
    def dtype(self) -> str:
        """Of the codes, as numpy writes it."""
        return self.quantizer.precision.dtype

    @property
    def shape(self) -> tuple[int, int]:
        """Return (n, codes per item)."""
        return self.embeddings.shape[0], self.quantizer.code_width

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield row numbers and their codes, some at a time: so the rows of a large array leave no memory behind.

        Raises:
            CancelledError: the callback asked to stop.
        """
        rows, width = self.embeddings.shape[:2]
        count = max(1, CHUNK_BYTES // (4 * width))
        for start in range(0, rows, count):
            report_progress(self.on_progress, "writing", start, rows)
            numbers = np.arange(start, min(start + count, rows))
            yield numbers, np.ascontiguousarray(self.quantizer.encode(self.embeddings[numbers]), self.dtype)
        report_progress(self.on_progress, "writing", rows, rows)


Writer = Callable[[Path, np.ndarray, Codes], None]


def check_format(path: Path) -> None:
    """Return if embeddings can be written to a file of that name.

    Raises:
        ValueError: its ending is none of `WRITERS`.

    Example:
        >>> check_format(Path("digits.parquet"))
    """
    lookup(WRITERS, path.suffix.lower(), "ending of a file for embeddings")


def write_embeddings(
    path: Path,
    ids: np.ndarray,
    embeddings: Rows,
    quantizer: Quantizer | None = None,
    on_progress: OnProgress | None = None,
) -> None:
    """Write embeddings (n, d) and the names of their items (n,), in the format that the file's ending says.

    Args:
        path: of the file; one that is there is replaced when all is written.
        ids: names of the items.
        embeddings: read by rows, some at a time.
        quantizer: from `calibrate`; by default numbers are written as float32.
        on_progress: shown how many items are written; returning True stops.

    Raises:
        ValueError: unknown ending, or numbers that the precision cannot hold.
        OSError: the file cannot be written; nothing of it stays.
        CancelledError: `on_progress` asked to stop; nothing of it stays.

    Example:
        >>> write_embeddings(Path("digits.npz"), data.ids, embed("random", "digits"))
    """
    check_format(path)
    _remove_abandoned(path)
    codes = Codes(embeddings, quantizer or Quantizer(FLOAT32, embeddings.shape[1]), on_progress)
    with atomic_path(path) as temporary:
        WRITERS[path.suffix.lower()](temporary, ids, codes)
        if path.suffix.lower() == ".npy" and codes.quantizer.levels:
            with atomic_path(path.with_name(f"{path.name}.json")) as beside:
                beside.write_text(json.dumps(codes.quantizer.to_dict()), encoding="utf-8")


def _remove_abandoned(path: Path) -> None:
    """Remove what killed processes left of earlier attempts at this file."""
    for part in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        with suppress(OSError):
            if time.time() - part.stat().st_mtime > ABANDONED_SECONDS:
                part.unlink()


def _write_npy(path: Path, ids: np.ndarray, codes: Codes) -> None:  # noqa: ARG001 - rows in their order
    with path.open("wb") as stream:
        _stream_npy(stream, codes)


def _stream_npy(stream: IO[bytes], codes: Codes) -> None:
    header = {"descr": codes.dtype, "fortran_order": False, "shape": codes.shape}
    np.lib.format.write_array_header_1_0(stream, header)
    for _, part in codes:
        stream.write(part.data)


def _write_npz(path: Path, ids: np.ndarray, codes: Codes) -> None:
    small, quantizer = {"id": ids}, codes.quantizer
    if quantizer.levels:
        small |= vars(quantizer.levels) | {"width": np.array(quantizer.width), "precision": np.array(quantizer.name)}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, values in small.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, np.asarray(values), allow_pickle=False)
        with archive.open("embedding.npy", "w", force_zip64=True) as stream:
            _stream_npy(stream, codes)


def _write_parquet(path: Path, ids: np.ndarray, codes: Codes) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    kind, width = pa.from_numpy_dtype(np.dtype(codes.dtype)), codes.shape[1]
    metadata = {"kdlib": json.dumps(codes.quantizer.to_dict())} if codes.quantizer.levels else None
    schema = pa.schema([("id", pa.string()), ("embedding", pa.list_(kind, width))], metadata=metadata)
    with parquet.ParquetWriter(path, schema) as writer:
        for rows, part in codes:
            columns = [
                pa.array(ids[rows].tolist()),
                pa.FixedSizeListArray.from_arrays(pa.array(part.ravel(), kind), width),
            ]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))


WRITERS: dict[str, Writer] = {".parquet": _write_parquet, ".npz": _write_npz, ".npy": _write_npy}
