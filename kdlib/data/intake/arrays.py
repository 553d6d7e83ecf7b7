"""Numpy files, header first and then chunk by chunk, so that a large one is never in memory as a whole."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Protocol

import numpy as np
from numpy.lib import format as npy

from kdlib.data.intake.archives import Archive
from kdlib.data.intake.contents import Column
from kdlib.data.intake.kinds import HEAD_BYTES, PICKLE_MESSAGE, identify
from kdlib.data.intake.limits import MB, TEXT, IntakeError, Limits
from kdlib.data.intake.originals import Originals
from kdlib.data.intake.progress import Reporter

CHUNK = 4 * MB  # bytes read at a time
MAX_COLUMNS = 1000
MAX_HEADER = 10_000  # characters of a header: longer ones are made to be slow to parse


class PickledError(IntakeError):
    """An array of Python objects."""


class Readable(Protocol):
    """A stream of bytes."""

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes, at most `size`."""
        ...


@dataclass
class Writer:
    """Writes columns into a folder, one .npy each, and adds up their size.

    Args:
        folder: that receives the files.
        limits: what may be written.
        reporter: receives every row of numbers that is written.

    Attributes:
        columns: written so far.
        written: bytes of all of them.
    """

    folder: Path
    limits: Limits
    reporter: Reporter = field(default_factory=Reporter)
    columns: list[Column] = field(default_factory=list)
    written: int = 0

    def _next_file(self, name: str, size: int) -> str:
        """Return the file name of the next column, once its name and its size in bytes are within the limits."""
        if len(name) > TEXT:
            raise IntakeError(
                f"the column {name[:TEXT]!r} ... has a name of {len(name):,} characters, at most {TEXT} can be read"
            )
        if len(self.columns) == MAX_COLUMNS:
            raise IntakeError(
                f"there are more than {MAX_COLUMNS:,} columns; number those of one embedding (e0, e1, ...) "
                "or put it into an array"
            )
        self.written += size
        if self.written > self.limits.dataset_mb * MB:
            raise IntakeError(
                f"all of it together would take more than {self.limits.dataset_mb:,} MB once decoded "
                "(KDLIB_MAX_DATASET_MB); on the command line, import --large reads more"
            )
        return f"column-{len(self.columns)}.npy"

    def write_text(self, name: str, values: list[str], role: str = "") -> None:
        """Write a column of text; `role` as in `Column`. Texts too long for a label or an id go into one file.

        Raises:
            IntakeError: one is longer than a text may be.
        """
        longest = max(range(len(values)), key=lambda row: len(values[row]), default=-1)
        characters = len(values[longest]) if values else 0
        if characters > self.limits.text:
            raise IntakeError(
                f"{name} holds a text of {characters:,} characters in row {longest}, "
                f"at most {self.limits.text:,} can be read (KDLIB_MAX_TEXT)"
            )
        column = Column(name, (len(values),), True, constant=len(set(values)) < 2, role=role)
        column.zero_rows = sum(not value.strip() for value in values)
        if characters > TEXT:
            self._write_long(column, values)
        else:
            array = np.array(values, dtype=str)
            column.file = self._next_file(name, array.nbytes)
            np.save(self.folder / column.file, array, allow_pickle=False)
        self.columns.append(column)

    def _write_long(self, column: Column, values: list[str]) -> None:
        """Write texts one after another: an array would give each the room of the longest."""
        column.ends = self._next_file(column.name, sum(map(len, values)))
        column.file = column.ends.replace(".npy", ".raw")
        texts = Originals(self.folder / column.file, self.limits)
        for row, value in enumerate(values):
            texts.add(f"row {row} of {column.name}", value.encode())
        texts.close()
        np.save(self.folder / column.ends, np.array(texts.ends, np.int64), allow_pickle=False)

    def write_numbers(
        self,
        name: str,
        shape: tuple[int, ...],
        chunks: Iterator[np.ndarray],
        dtype: str = "<f4",
        is_media: bool = False,
    ) -> None:
        """Write a column of numbers that comes in chunks of rows, and count its rows that cannot be learned from.

        Args:
            name: of the column.
            shape: of all rows.
            chunks: of rows.
            dtype: in which they are stored.
            is_media: whether they are pictures or spectrograms, which may be wider than an embedding.
        """
        item_bytes = np.dtype(dtype).itemsize
        self.limits.check_shape(name, shape, item_bytes, is_media)
        column = Column(name, shape, file=self._next_file(name, item_bytes * math.prod(shape)))
        first, row = None, 0
        with (self.folder / column.file).open("wb") as out:
            npy.write_array_header_1_0(out, {"descr": dtype, "fortran_order": False, "shape": shape})
            for chunk in chunks:
                with np.errstate(over="ignore", invalid="ignore"):
                    rows = np.ascontiguousarray(chunk, dtype=dtype).reshape(len(chunk), -1)
                finite = np.isfinite(rows).all(axis=1)
                if not finite.all():
                    column.bad_row = row + int(np.argmin(finite)) if column.bad_row is None else column.bad_row
                    column.bad += int((~finite).sum())
                column.zero_rows += int((~rows.any(axis=1)).sum())
                first = rows[0].copy() if first is None and len(rows) else first
                column.constant = column.constant and bool((rows == first).all())
                out.write(rows.tobytes())
                row += len(rows)
                self.reporter.advance(len(rows))
        if row != shape[0]:
            raise IntakeError(f"{name} says it has {shape[0]:,} rows but holds {row:,}")
        self.columns.append(column)


def _read_header(stream: Readable, name: str) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Return shape, whether columns come first, and type.

    Raises:
        IntakeError: it is damaged, or declares Python objects, which are pickles.
    """
    try:
        version = npy.read_magic(stream)
        read_header = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[version]
        shape, fortran, dtype = read_header(stream, max_header_size=MAX_HEADER)
    except (ValueError, KeyError, EOFError, SyntaxError, TypeError, RecursionError) as error:
        raise IntakeError(f"{name} has a damaged header: it is not a plain numpy array") from error
    if dtype.hasobject:
        raise PickledError(f"{name} holds Python objects, which is a pickle: {PICKLE_MESSAGE}")
    if dtype.kind not in "fiubUS":
        raise IntakeError(f"{name} holds {dtype}, expected numbers or text")
    if not dtype.itemsize:
        raise IntakeError(f"{name} holds texts of 0 letters, expected a column of words")
    if any(size < 0 for size in shape):
        raise IntakeError(f"{name} has a header with a negative shape: {shape}")
    return shape, fortran, dtype


def open_array(
    stream: IO[bytes], size: int, name: str
) -> tuple[tuple[int, ...], np.dtype, Callable[[], Iterator[np.ndarray]]]:
    """Return shape and type of an .npy stream, and a function that yields its rows in chunks.

    Args:
        stream: of the array.
        size: of the stream, bytes.
        name: shown in messages.

    Raises:
        IntakeError: the header does not fit the bytes.
    """
    counted = _CountingReader(stream)
    shape, fortran, dtype = _read_header(counted, name)
    body, available = math.prod(shape) * dtype.itemsize, size - counted.count
    if body != available:
        raise IntakeError(
            f"{name} has a header that disagrees with its content: "
            f"{shape} of {dtype} is {body:,} bytes, there are {available:,}"
        )
    if not shape or not shape[0]:
        raise IntakeError(f"{name} has no rows: its shape is {shape}")
    row_bytes = math.prod(shape[1:]) * dtype.itemsize
    step = max(1, CHUNK // max(row_bytes, 1))

    def chunks() -> Iterator[np.ndarray]:
        if fortran:
            values = np.frombuffer(_read_exactly(counted, body, name), dtype).reshape(shape, order="F")
            yield from (values[start : start + step] for start in range(0, len(values), step))
            return
        for start in range(0, shape[0], step):
            count = min(step, shape[0] - start)
            yield np.frombuffer(_read_exactly(counted, count * row_bytes, name), dtype).reshape(count, *shape[1:])

    return shape, dtype, chunks


def read_array(stream: IO[bytes], size: int, name: str, writer: Writer) -> None:
    """Read one .npy stream into a column: text and one-dimensional arrays as text, all others as float32.

    Bytes with two or more dimensions an item are pictures and stay bytes.

    Args:
        stream: of the array.
        size: of the stream, bytes.
        name: of the column.
        writer: receives the column.

    Raises:
        IntakeError: the header does not fit the bytes, or the array exceeds the limits.
    """
    shape, dtype, chunks = open_array(stream, size, name)
    is_text = len(shape) == 1
    if dtype.kind in "US" and not is_text:
        raise IntakeError(f"{name} is a table of text of shape {shape}, expected one column of text")
    stored = _stored_type(dtype, len(shape))
    writer.limits.check_shape(name, shape, max(4, dtype.itemsize) if is_text else np.dtype(stored).itemsize)
    writer.reporter.begin(shape[0], shape[0])
    if is_text:
        writer.write_text(name, to_texts(np.concatenate(list(chunks())), name))
        writer.reporter.advance(shape[0])
        return
    writer.write_numbers(name, shape, chunks(), stored)


def _stored_type(dtype: np.dtype, dimensions: int) -> str:
    """Return in which type numbers are stored."""
    return "|u1" if dtype == np.uint8 and dimensions > 2 else "<f4"


class _CountingReader:
    """A stream that counts the bytes read from it."""

    def __init__(self, stream: Readable) -> None:
        self.stream, self.count = stream, 0

    def read(self, size: int = -1, /) -> bytes:
        content = self.stream.read(size)
        self.count += len(content)
        return content


def _read_exactly(stream: Readable, size: int, name: str) -> bytes:
    content = stream.read(size)
    if len(content) != size:
        raise IntakeError(f"{name} ends too early: {size - len(content):,} bytes are missing")
    return content


def to_texts(values: np.ndarray, name: str) -> list[str]:
    """Return one-dimensional values as text: whole numbers without a point, missing numbers as ""."""
    if values.dtype.kind == "U":
        # Halves of surrogate pairs are no letters, and no file holds them as UTF-8.
        codes = values.view(f"{values.dtype.str[0]}u4")
        if ((codes > 0x10FFFF) | ((codes >= 0xD800) & (codes < 0xE000))).any():
            raise IntakeError(f"{name} holds letters that do not exist: it is damaged")
        return values.tolist()
    if values.dtype.kind == "S":
        try:
            return [text.decode() for text in values.tolist()]
        except UnicodeDecodeError as error:
            raise IntakeError(f"{name} holds a text that is not UTF-8; save it as text instead of bytes") from error
    if values.dtype.kind != "f":
        return [str(int(value)) if isinstance(value, bool) else str(value) for value in values.tolist()]
    return [
        "" if math.isnan(value) else str(int(value)) if value.is_integer() else repr(value)
        for value in values.astype(float).tolist()
    ]


def read_npz(archive: Archive, writer: Writer) -> None:
    """Read every array of an .npz into a column."""
    rows = []
    for member in archive.members:
        with archive.open(member) as stream:
            kind = identify(member.name, stream.read(HEAD_BYTES))
        if kind != "npy":
            raise IntakeError(f"{member.name!r} in {archive.name} is not a numpy array but {kind}")
        with archive.open(member) as stream:
            shape, _, _ = _read_header(stream, member.name.removesuffix(".npy"))
        rows += shape[:1]
    writer.reporter.begin(max(rows, default=0), sum(rows))
    for member in archive.members:
        with archive.open(member) as stream:
            read_array(stream, member.size, member.name.removesuffix(".npy"), writer)
