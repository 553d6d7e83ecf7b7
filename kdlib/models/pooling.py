"""Pooling: from the frames of an item, as teachers of sounds give them, to one embedding of it.

To add one, write a function `(frames (b, t, d)) -> (b, w)` and give it a line in `POOLINGS` with how many numbers it
makes of each; `tests/test_pooling.py` runs the contract over every entry.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Pooling:
    """A way from frames to one embedding.

    Attributes:
        function: frames (b, t, d) -> (b, factor · d) float32.
        factor: numbers it makes of each of the d.
    """

    function: Callable[[np.ndarray], np.ndarray]
    factor: int = 1


def pool_mean(frames: np.ndarray) -> np.ndarray:
    """The mean over an item's frames: what is there, however long.

    Args:
        frames: (b, t, d).

    Returns:
        (b, d).

    Example:
        >>> pool_mean(np.ones((2, 10, 128), np.float32)).shape
        (2, 128)
    """
    return frames.mean(axis=1)


def pool_mean_std(frames: np.ndarray) -> np.ndarray:
    """The mean over an item's frames beside their standard deviation: also how much it changes; twice as wide.

    Args:
        frames: (b, t, d).

    Returns:
        (b, 2 d), the means first.

    Example:
        >>> pool_mean_std(np.ones((2, 10, 128), np.float32)).shape
        (2, 256)
    """
    return np.concatenate([frames.mean(axis=1), frames.std(axis=1)], axis=1)


def pool_max(frames: np.ndarray) -> np.ndarray:
    """The largest value over an item's frames: what is there once counts, however short.

    Args:
        frames: (b, t, d).

    Returns:
        (b, d).

    Example:
        >>> pool_max(np.ones((2, 10, 128), np.float32)).shape
        (2, 128)
    """
    return frames.max(axis=1)


POOLINGS: dict[str, Pooling] = {
    "mean": Pooling(pool_mean),
    "mean+std": Pooling(pool_mean_std, factor=2),
    "max": Pooling(pool_max),
}
