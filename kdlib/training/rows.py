"""Rows of features, and what losses make of them: units, similarities and distances that stay finite.

Whatever the rows are, zero, identical, tiny or huge, value and gradient of these functions are finite. They have no
parameters and no data-dependent control flow, so that they run under `torch.vmap`.
"""

import torch
from torch import Tensor

# Rows whose largest entry is not above this count as zero: dividing a gradient by less would overflow float32.
TINY = 1e-34
# Squared length, in units of the batch's largest entry, below which a difference is rounding and counts as zero.
FLAT = 1e-10
# Under a root of two variances, each of order 1 / b: too small to show, enough to hold 0 / 0 at 0.
GUARD = 1e-14


def check_rows(student: Tensor, target: Tensor) -> None:
    if student.shape[0] != target.shape[0]:
        raise ValueError(
            f"student and target need the same number of rows, got {student.shape[0]} and {target.shape[0]}"
        )


def check_shapes(name: str, student: Tensor, target: Tensor) -> None:
    """Return if both have the same rows and columns.

    Raises:
        ValueError: they do not; the message begins with `name`.
    """
    check_rows(student, target)
    if student.shape[1] != target.shape[1]:
        raise ValueError(
            f"{name} needs student and target of the same width, got {student.shape[1]} and {target.shape[1]}"
        )


def check_temperature(temperature: float) -> None:
    """Return if the temperature is above 0.

    Raises:
        ValueError: it is not.
    """
    if not temperature > 0:
        raise ValueError(f"temperature must be above 0, got {temperature}")


def divided_by_peak(rows: Tensor, peak: Tensor) -> Tensor:
    """Return rows / peak, unchanged rows where the peak counts as zero.

    Squares of the result neither overflow nor vanish.

    Everything built on it is the same for c · rows as for rows, so the peak may be treated as a constant: the gradient
    is exact.
    """
    return rows / torch.where(peak > TINY, peak, 1)


def scaled(rows: Tensor) -> Tensor:
    """Return the rows (b, d) divided by the largest absolute entry of the batch."""
    return divided_by_peak(rows, rows.detach().abs().amax())


def unit(rows: Tensor) -> Tensor:
    """Return the rows (b, d) at Euclidean length 1; a zero row stays zero, with a bounded gradient."""
    rows = divided_by_peak(rows, rows.detach().abs().amax(-1, keepdim=True))
    return (
        rows * rows.square().sum(-1, keepdim=True).clamp(min=1).rsqrt()
    )  # only a zero row is shorter than its peak, now 1


def gram(rows: Tensor) -> Tensor:
    """Return the inner products of all pairs of rows, (b, d) -> (b, b)."""
    return rows @ rows.mT


def cosines(rows: Tensor) -> Tensor:
    """Return the cosine similarities of all pairs of rows in [-1, 1], (b, d) -> (b, b); 0 for a zero row."""
    return gram(unit(rows))


def distances(rows: Tensor) -> Tensor:
    """Return the Euclidean distances of all pairs in units of their mean over different rows, (b, d) -> (b, b).

    By inner products: about ten times as fast as differences. Centring first keeps a large common offset out of the
    cancellation, and what is left of equal rows lies under `FLAT`: distance 0, gradient 0.
    """
    rows = scaled(rows)
    products = gram(rows - rows.mean(0))
    square = products.diagonal()
    square = square[:, None] + square - 2 * products
    lengths = torch.where(square > FLAT, square.clamp(min=FLAT).sqrt(), 0)
    pairs = max(lengths.shape[0] * (lengths.shape[0] - 1), 1)
    return lengths / (lengths.sum() / pairs).clamp(min=FLAT**0.5)


def double_centred(matrix: Tensor) -> Tensor:
    """Return a symmetric matrix (b, b) minus its row means, minus its column means, plus its grand mean."""
    mean = matrix.mean(-1)
    return matrix - mean[:, None] - mean + mean.mean()


def standardised(rows: Tensor) -> Tensor:
    """Return the rows (b, d) centred, with a mean squared length of 1; all zero if they do not vary."""
    rows = scaled(rows)
    rows = rows - rows.mean(0)
    spread = rows.detach().square().mean()
    return torch.where(spread > FLAT, rows, 0) * (spread.clamp(min=FLAT) * rows.shape[1]).rsqrt()


def standardised_columns(rows: Tensor) -> Tensor:
    """Return the rows (b, d) with each column at mean 0 and variance 1; a column that does not vary is all zero."""
    rows = divided_by_peak(rows, rows.detach().abs().amax(0))
    rows = rows - rows.mean(0)
    variance = rows.square().mean(0)
    return rows * torch.where(variance > FLAT, variance.clamp(min=FLAT).rsqrt(), 0)
