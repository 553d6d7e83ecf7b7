"""Target normalisers: how the targets of a distance are rescaled before the student is compared with them.

A normaliser maps targets (n, d) to (n, d), a pure function. It moves only what the distance compares: compressor,
teacher head and all that is measured of them stay as they are. A fixed compressor's targets are normalised once, over
all labelled rows. Those of a trained one change from step to step: they are normalised within each batch, and only by
what is `moving`, since axes that turn from batch to batch would be nothing to learn. To add one, write the function and
give it a line in `TARGET_NORMALISERS`; `tests/test_target_normalisers.py` runs the contract over every entry.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from kdlib.training.rows import standardised_columns

SMALLEST = 1e-6  # share of the largest variance from which a direction counts as one in which the targets vary


def none(targets: Tensor) -> Tensor:
    """The targets as they are."""
    return targets


def standardise(targets: Tensor) -> Tensor:
    """Each number of the target at mean 0 and variance 1: all count alike, whatever their scale.

    (t_j - mean_j) / sd_j; a number that does not vary becomes 0.

    Args:
        targets: (n, d).

    Source: Miles & Mikolajczyk 2024, Understanding the Role of the Projector in Knowledge Distillation (batch
    normalisation of both sides). Differs: the target only.
    """
    return standardised_columns(targets)


def whiten(targets: Tensor) -> Tensor:
    """All directions at variance 1 and uncorrelated: small directions count as much as large ones, noise included.

    (t - mean) U Λ^-1/2 Uᵀ with the covariance U Λ Uᵀ; directions that do not vary become 0.

    Args:
        targets: (n, d).

    Source: Bell & Sejnowski 1997, The "Independent Components" of Natural Scenes are Edge Filters (ZCA); as a target
    normalisation: Miles, Elezi & Deng 2024, VkD.
    """
    centred, values, vectors = _principal_axes(targets)
    flat = values <= SMALLEST * values.max()
    scales = torch.where(flat, 0.0, values.where(~flat, torch.ones_like(values)).rsqrt())
    return (centred @ vectors * scales @ vectors.mT).to(targets.dtype)


def phi_s(targets: Tensor) -> Tensor:
    """Turned so that every number varies alike, then one scale for all: the geometry of the targets stays.

    (t - mean) U Hᵀ / sqrt(mean λ): U the principal axes, λ their variances, H an orthonormal Hadamard matrix, which
    spreads each axis evenly over all numbers. Every number then has variance 1. The width has to be a power of 2.

    Args:
        targets: (n, d).

    Raises:
        ValueError: another width.

    Source: Ranzinger et al. 2024, PHI-S: Distribution Balancing for Label-Free Multi-Teacher Distillation.
    Differs: Sylvester's matrices only, which exist for powers of 2.
    """
    centred, values, vectors = _principal_axes(targets)
    scale = values.mean()
    scale = torch.where(scale > 0, scale.clamp(min=1e-300).rsqrt(), torch.zeros_like(scale))
    return (scale * centred @ vectors @ hadamard(targets.shape[1]).mT).to(targets.dtype)


def hadamard(size: int) -> Tensor:
    """Return the orthonormal Hadamard matrix (size, size), float64, whose entries are all ± 1 / sqrt(size).

    Raises:
        ValueError: size is no power of 2.

    Example:
        >>> hadamard(2) * 2**0.5
        tensor([[ 1.,  1.],
                [ 1., -1.]], dtype=torch.float64)
    """
    if size < 1 or size & (size - 1):
        raise ValueError(
            f"phi_s needs a target whose width is a power of 2, got {size}; choose another width or target normaliser"
        )
    matrix, step = torch.ones(1, 1, dtype=torch.float64), torch.tensor([[1.0, 1.0], [1.0, -1.0]], dtype=torch.float64)
    while len(matrix) < size:
        matrix = torch.kron(step, matrix)
    return matrix / size**0.5


def _principal_axes(targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return centred targets (n, d), variances (d,) and axes (d, d) in columns, float64; largest entries positive."""
    rows = targets.double()
    centred = rows - rows.mean(0)
    values, vectors = torch.linalg.eigh(centred.mT @ centred / len(rows))
    largest = vectors.gather(0, vectors.abs().argmax(0, keepdim=True))
    return centred, values.clamp(min=0), vectors * torch.where(largest < 0, -1.0, 1.0)


class TargetNormaliser(NamedTuple):
    """How targets are rescaled.

    Attributes:
        function: targets (n, d) -> (n, d).
        moving: it treats each number of the targets by itself, so that targets that change can be normalised batch by
            batch, and prefixes of them.
    """

    function: Callable[[Tensor], Tensor]
    moving: bool = False


TARGET_NORMALISERS: dict[str, TargetNormaliser] = {
    "none": TargetNormaliser(none, moving=True),
    "standardise": TargetNormaliser(standardise, moving=True),
    "phi_s": TargetNormaliser(phi_s),
    "whiten": TargetNormaliser(whiten),
}
