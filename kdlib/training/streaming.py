"""Inputs that are read when they are needed: a training may have more of them than memory holds.

What is read ahead by a thread while the step before is computed is bit by bit what indexing a tensor gives;
`tests/test_streaming.py` compares the two.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from math import prod

import numpy as np
import psutil
import torch
from torch import Tensor

from kdlib.data.dataset import to_float
from kdlib.processes import OWN_MEMORY

LIMIT = "KDLIB_STREAM_MB"  # environment variable: MB of inputs above which they are streamed


class StreamedRows:
    """Some rows of an array on disk, for those who index or split it like a tensor (n, ...) float32.

    Args:
        array: (N, ...) of any dtype that `to_float` takes, mapped from disk.
        rows: (n,) numbers of its rows.
        device: where what was read goes.

    Example:
        >>> StreamedRows(np.eye(4, dtype=np.float16), np.array([3, 1]))[torch.tensor([[0, 0], [1, 0]])].shape
        torch.Size([2, 2, 4])
    """

    def __init__(self, array: np.ndarray, rows: np.ndarray, device: torch.device | str = "cpu") -> None:
        self._array, self._rows, self.device = array, rows, torch.device(device)
        self.shape = (len(rows), *array.shape[1:])

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Tensor) -> Tensor:
        """Return the rows at the places `index`, any shape; each is read once, however often it is in there."""
        numbers, places = np.unique(self._rows[index.cpu().numpy()], return_inverse=True)
        return torch.from_numpy(to_float(self._array[numbers])[places.reshape(index.shape)]).to(self.device)

    def split(self, chunk: int) -> Iterator[Tensor]:
        """Yield all rows in order, `chunk` at a time."""
        return read_ahead(self, torch.arange(len(self)).split(chunk))

    def to(self, device: torch.device) -> "StreamedRows":
        """Return the same rows for another device."""
        return StreamedRows(self._array, self._rows, device)


def read_ahead(inputs: Tensor | StreamedRows, indices: Sequence[Tensor]) -> Iterator[Tensor]:
    """Yield `inputs[index]` of each index (m, b); of streamed rows a thread reads the next while this one is used."""
    if isinstance(inputs, Tensor):  # in memory the members of a row lie side by side, as convolutions want them
        yield from (inputs[index.mT].transpose(0, 1) for index in indices)
        return
    with ThreadPoolExecutor(1, "read-ahead") as reader:
        pending = [reader.submit(inputs.__getitem__, index) for index in indices[:1]]
        for number in range(len(indices)):
            values = pending.pop().result()
            pending += [reader.submit(inputs.__getitem__, index) for index in indices[number + 1 : number + 2]]
            yield values


def available_memory() -> int:
    """Return the bytes of memory that are available now, in a worker of the engine its share at most."""
    return min(psutil.virtual_memory().available, int(os.environ.get(OWN_MEMORY) or sys.maxsize))


def load_rows(array: np.ndarray, rows: np.ndarray) -> Tensor:
    """Return rows of an array in memory, (n, ...) float32."""
    return torch.from_numpy(to_float(array[rows]))


def fit_in_memory(array: np.ndarray, count: int) -> bool:
    """Return whether so many rows of an array as float32 take no more than inputs may.

    That is a quarter of the memory that is available now, in a worker of the engine of its share at most, or
    `KDLIB_STREAM_MB` megabytes.

    Raises:
        ValueError: the variable is no number.

    Example:
        >>> fit_in_memory(np.zeros((100, 1, 16, 16), np.uint8), 100)
        True
    """
    given = os.environ.get(LIMIT)
    try:
        most = float(given) * 2**20 if given else available_memory() / 4
    except ValueError:
        raise ValueError(f"{LIMIT} must be a number of megabytes, got {given!r}") from None
    return 4 * count * prod(array.shape[1:]) <= most
