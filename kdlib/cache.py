"""Arrays on disk under a content key.

A key covers everything that can change the result, a version included, so an entry is never stale and never needs to be
invalidated.
Entries are written under a temporary name and then renamed: a reader sees a whole file or none.
"""

import hashlib
import json
import logging
import math
import mmap
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

Arrays = dict[str, np.ndarray]
WAIT = 0.2  # seconds between two calls of `on_wait`
MAPPED_BYTES = 64 << 20  # bytes from which an array stays on disk
CHUNK_ROWS = 1000  # rows copied at a time
log = logging.getLogger("kdlib.cache")


@dataclass(frozen=True)
class Unkeyed:
    """An argument that does not count for `functools.lru_cache`: all of these are equal, whatever they hold."""

    value: Any = field(default=None, compare=False)


def home() -> Path:
    """Return the data folder: `KDLIB_HOME`, by default `~/.kdlib`; created if missing, readable by its owner only."""
    folder = Path(os.environ.get("KDLIB_HOME") or Path.home() / ".kdlib")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_mode & 0o077:
        with suppress(PermissionError):  # the folder of another user, who decides about it
            folder.chmod(0o700)
    return folder


def keep_private() -> None:
    """Make everything that this process writes from now on readable by its owner only."""
    os.umask(0o077)


def content_key(**parts: Any) -> str:
    """Return a 24-digit hexadecimal key of the named parts: what JSON can hold, bytes, arrays.

    Example:
        >>> content_key(teacher="simclr", version=1) == content_key(version=1, teacher="simclr")
        True
    """
    text = json.dumps(parts, sort_keys=True, default=fingerprint)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def fingerprint(value: Any) -> str:
    """Return the SHA-256 of bytes, or of an array with its shape and type: what stands for them in a `content_key`.

    Raises:
        TypeError: it is something else.

    Example:
        >>> len(fingerprint(np.zeros(3)))
        64
    """
    if isinstance(value, np.ndarray):
        head = f"{value.dtype.str}{value.shape}".encode()
        return hashlib.sha256(head + np.ascontiguousarray(value).tobytes()).hexdigest()
    if isinstance(value, bytes):
        return hashlib.sha256(value).hexdigest()
    raise TypeError(f"a key cannot be made of {type(value).__name__}")


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path; it becomes `path` in one step on leaving, and is removed if there was an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


class MappedArray(np.memmap):
    """An array on disk that releases its memory after rows were copied from it.

    The system maps the neighbours of a row along with it, so that a few thousand scattered rows would occupy gigabytes
    of memory.
    """

    _mmap: mmap.mmap  # set by numpy

    def __getitem__(self, index: Any) -> np.ndarray:
        if not (isinstance(index, np.ndarray) and index.ndim == 1 and index.dtype.kind == "i"):
            return super().__getitem__(index)
        rows = np.empty((len(index), *self.shape[1:]), self.dtype)
        for start in range(0, len(index), CHUNK_ROWS):
            rows[start : start + CHUNK_ROWS] = super().__getitem__(index[start : start + CHUNK_ROWS])
            self._mmap.madvise(mmap.MADV_DONTNEED)
        return rows


def open_array(path: Path) -> np.ndarray:
    """Return the array of an .npy file; a large one stays on disk, and only the rows that are indexed are read.

    Raises:
        OSError, ValueError, EOFError: there is none, or it is damaged.

    Example:
        >>> open_array(home() / "cache" / "embeddings" / "0123.npy")[np.arange(64)]
    """
    if path.stat().st_size <= MAPPED_BYTES:
        return np.load(path, allow_pickle=False)
    return np.load(path, mmap_mode="c", allow_pickle=False).view(MappedArray)


def cached_arrays(
    folder: str, key: str, build: Callable[[], Arrays], on_wait: Callable[[], None] | None = None
) -> Arrays:
    """Return the arrays stored under `key`, built and stored first if they are not there.

    Args:
        folder: sub-folder of the cache, one per kind of content ("datasets", "embeddings").
        key: from `content_key`; it names the content for good.
        build: makes the arrays. Called only when there is no readable entry.
        on_wait: called several times a second while another process makes them; what it raises ends the waiting.

    Example:
        >>> cached_arrays("embeddings", content_key(rows=3), lambda: {"x": np.zeros(3)})["x"].shape
        (3,)
    """
    path = home() / "cache" / folder / f"{key}.safetensors"
    arrays = _read(path)
    if arrays is not None:
        return arrays
    locks = home() / "locks"
    locks.mkdir(exist_ok=True)
    # A second process that needs the same entry waits for the first one instead of building it again.
    with _file_lock(locks / f"{folder}-{key}.lock", on_wait):
        arrays = _read(path)
        if arrays is not None:
            return arrays
        arrays = {name: np.ascontiguousarray(value) for name, value in build().items()}
        with atomic_path(path) as temporary:
            save_file(arrays, temporary)
        return arrays


@contextmanager
def _file_lock(path: Path, on_wait: Callable[[], None] | None) -> Iterator[None]:
    """Hold the lock at `path`."""
    lock = FileLock(path)
    while on_wait is not None and not lock.is_locked:
        try:
            lock.acquire(timeout=WAIT)
        except Timeout:
            on_wait()
    if on_wait is None:
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def delete_arrays(folder: str, key: str) -> None:
    """Remove the arrays stored under `key`, if they are there."""
    (home() / "cache" / folder / f"{key}.safetensors").unlink(missing_ok=True)


def cached_rows(
    folder: str,
    key: str,
    count: int,
    batches: Callable[[int], Iterator[np.ndarray]],
    on_wait: Callable[[], None] | None = None,
) -> np.ndarray:
    """Return the array (count, ...) float32 stored under `key`; large ones stay on disk.

    Batches are written as they come. What is there when the process is killed, or `batches` raises, is gone on with.

    Args:
        folder: as in `cached_arrays`.
        key: as in `cached_arrays`.
        count: rows.
        batches: `first -> batches (b, ...) of the rows from `first` on`, in order.
        on_wait: as in `cached_arrays`.

    Example:
        >>> cached_rows("embeddings", content_key(rows=3), 3, lambda first: iter([np.zeros((3 - first, 2))])).shape
        (3, 2)
    """
    path = home() / "cache" / folder / f"{key}.npy"
    rows = _read_rows(path)
    if rows is not None:
        return rows
    locks = home() / "locks"
    locks.mkdir(exist_ok=True)
    with _file_lock(locks / f"{folder}-{key}.lock", on_wait):
        rows = _read_rows(path)
        if rows is None:
            _append_rows(path.with_suffix(".part"), count, batches)
            os.replace(path.with_suffix(".part"), path)
            rows = _read_rows(path)
    if rows is None:
        raise OSError(f"what was just written to {path} cannot be read")
    return rows


def _append_rows(path: Path, count: int, batches: Callable[[int], Iterator[np.ndarray]]) -> None:
    """Complete the .npy file at `path` to `count` rows; whole rows that are there stay."""
    path.parent.mkdir(parents=True, exist_ok=True)
    done, shape = _whole_rows(path, count)
    with path.open("ab") as stream:
        for batch in batches(done) if done < count else ():
            if shape is None:
                shape = batch.shape[1:]
                header = {"descr": "<f4", "fortran_order": False, "shape": (count, *shape)}
                np.lib.format.write_array_header_1_0(stream, header)
            if batch.shape[1:] != shape:
                raise ValueError(f"expected rows of shape {shape} like those before them, got {batch.shape[1:]}")
            stream.write(np.ascontiguousarray(batch, "<f4").tobytes())
            stream.flush()


def _whole_rows(path: Path, count: int) -> tuple[int, tuple[int, ...] | None]:
    """Return how many whole rows are in an unfinished file, and their shape; cut off what is less than a row."""
    try:
        with path.open("r+b") as stream:
            if np.lib.format.read_magic(stream) == (1, 0):
                shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
                start, row_bytes = stream.tell(), dtype.itemsize * math.prod(shape[1:])
                done = (path.stat().st_size - start) // row_bytes
                if shape[0] == count and dtype == np.dtype("<f4") and done <= count:
                    stream.truncate(start + done * row_bytes)
                    return done, shape[1:]
    except FileNotFoundError:
        return 0, None
    except (ValueError, ZeroDivisionError) as error:  # cut off inside its header, or damaged by something outside
        log.debug("%s is begun anew: %s", path, error)
    path.unlink()
    return 0, None


def count_rows(folder: str, key: str, count: int) -> int:
    """Return how many of `count` rows are stored under `key` so far, without reading them.

    Example:
        >>> count_rows("embeddings", content_key(rows=3), 3)
    """
    path = home() / "cache" / folder / f"{key}.npy"
    if path.exists():
        return count
    try:
        with path.with_suffix(".part").open("rb") as stream:
            np.lib.format.read_magic(stream)
            shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
            written = os.fstat(stream.fileno()).st_size - stream.tell()
    except (OSError, ValueError):  # none yet, or renamed in this very moment
        return count if path.exists() else 0
    return min(written // max(dtype.itemsize * math.prod(shape[1:]), 1), count)


def delete_rows(folder: str, key: str) -> None:
    """Remove the rows stored under `key`, finished or not, if they are there."""
    for suffix in (".npy", ".part"):
        (home() / "cache" / folder / f"{key}{suffix}").unlink(missing_ok=True)


def _read_rows(path: Path) -> np.ndarray | None:
    """Return the rows at `path`, or None if nothing readable is there."""
    try:
        return open_array(path)
    except FileNotFoundError:
        return None
    except (ValueError, EOFError, OSError):
        path.unlink(missing_ok=True)  # damaged by something outside: an entry can always be made again
        return None


def _read(path: Path) -> Arrays | None:
    """Return the arrays at `path`, or None if nothing readable is there."""
    try:
        return load_file(path)
    except FileNotFoundError:
        return None
    except (SafetensorError, OSError):
        path.unlink(missing_ok=True)  # damaged by something outside: an entry can always be made again
        return None
