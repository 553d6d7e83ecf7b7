"""Batches as pairs of rows: the two matrices that a distance compares, for looking at.

Registry `PAIRS`, a line per distance whose value can be read off the two matrices; the others are shown as distances.
`tests/test_pairs.py` holds that value against the loss.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from kdlib.training.rows import cosines, distances, double_centred


class Pairs(NamedTuple):
    """How pairs of rows of a batch are compared.

    Attributes:
        matrix: features (b, d) -> (b, b).
        entry: what an entry says, in words.
        difference: two matrices -> (b, b), whose mean is the loss.
        rule: how the loss comes out of the difference, in words; "" where it does not.
    """

    matrix: Callable[[Tensor], Tensor]
    entry: str
    difference: Callable[[Tensor, Tensor], Tensor]
    rule: str


def _pattern(rows: Tensor) -> Tensor:
    """Return the double-centred distances (b, b) at a mean square of 1; all 0 if the rows do not vary."""
    matrix = double_centred(distances(rows))
    return matrix / matrix.square().mean().clamp(min=1e-12).sqrt()


def _half_square(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).square() / 2


def _absolute(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).abs()


def _huber(a: Tensor, b: Tensor) -> Tensor:
    return torch.nn.functional.smooth_l1_loss(a, b, reduction="none")


APART = "how far two items lie apart, in units of the mean distance"
PAIRS: dict[str, Pairs] = {
    "distance_correlation": Pairs(
        _pattern,
        "how far two items lie apart, compared with what is usual for these two: above 0 farther, below 0 nearer",
        _half_square,
        "half the squared difference, averaged over all pairs",
    ),
    "cosine_distance": Pairs(
        cosines,
        "how alike the directions of two items are, from −1 (opposite) to 1 (the same)",
        _absolute,
        "the size of the difference, averaged over all pairs",
    ),
    "rkd_distance": Pairs(
        distances, APART, _huber, "half the squared difference where it is below 1, averaged over all pairs"
    ),
}
OTHERS = Pairs(distances, APART, _absolute, "")  # plain distances


@torch.no_grad()
def pair_matrix(features: np.ndarray, pairs: Pairs = OTHERS) -> np.ndarray:
    """Return the matrix (b, b) of all pairs of rows (b, d); by default their distances in units of the mean distance.

    Example:
        >>> pair_matrix(np.array([[0.0], [1.0], [3.0]], np.float32))[0].tolist()
        [0.0, 0.5, 1.5]
    """
    return pairs.matrix(torch.from_numpy(features)).numpy()


@torch.no_grad()
def compare_pairs(
    loss: str, features: np.ndarray, target: np.ndarray | None
) -> tuple[Pairs, np.ndarray, np.ndarray | None, np.ndarray | None]:
    """Return how a loss compares pairs, the matrices of student and target, and their difference, each (b, b).

    Args:
        loss: a name in `LOSSES`.
        features: (b, d) of the student.
        target: (b, d_c), None where there is none; so are then its matrix and the difference.

    Example:
        >>> pairs, student, compressed, difference = compare_pairs("cosine_distance", features, target)
        >>> difference.mean()
    """
    pairs = PAIRS.get(loss, OTHERS)
    student = pairs.matrix(torch.from_numpy(features))
    if target is None:
        return pairs, student.numpy(), None, None
    other = pairs.matrix(torch.from_numpy(target))
    return pairs, student.numpy(), other.numpy(), pairs.difference(student, other).numpy()
