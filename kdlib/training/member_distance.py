"""The distance correlation of all members in one piece, its gradient by hand: half of the time of the mapped one.

For batches of some dozens of rows an operation costs more than what it computes, and the mapped function takes a
hundred of them with its gradient. Here are forty, none of which records anything.
`tests/test_member_distance.py` compares both, value and gradient.
"""

from typing import Any

import torch
from torch import Tensor

from kdlib.training.rows import FLAT, GUARD, TINY, check_rows


def distance_correlations(students: Tensor, targets: Tensor) -> Tensor:
    """Return `losses.distance_correlation` of each member; its gradient flows into the features only.

    Args:
        students: features of each member, shape (m, b, d_s).
        targets: shape (m, b, d_c); the widths may differ.

    Returns:
        (m,), 0 (same distances up to scale) to 1 (unrelated).

    Raises:
        ValueError: different numbers of rows.

    Source: as of `losses.distance_correlation`.

    Example:
        >>> distance_correlations(torch.eye(3)[None], torch.eye(3)[None]).shape
        torch.Size([1])
    """
    check_rows(students[0], targets[0])
    return _DistanceCorrelations.apply(students, targets)


class _DistanceCorrelations(torch.autograd.Function):
    """(m, b, d_s) and (m, b, d_c) to (m,).

    With A = L / μ the distances L in units of their mean over pairs, Ā the double-centred A, of the target B̄:
    1 - n / r, n = mean(Ā · B̄), r² = mean(Ā²) mean(B̄²) + GUARD.
    """

    @staticmethod
    def forward(ctx: Any, students: Tensor, targets: Tensor) -> Tensor:
        members, rows = students.shape[:2]
        (centred, peaks), (others, _) = _centred(students), _centred(targets)
        products = torch.cat([centred @ centred.mT, others @ others.mT])  # students first, then targets
        square = products.diagonal(dim1=1, dim2=2).clone()
        square = products.mul_(-2).add_(square[:, :, None]).add_(square[:, None])
        lengths = torch.where(square > FLAT, square.clamp_(min=FLAT).sqrt_(), 0)
        sums = lengths.sum((1, 2)) / max(rows * (rows - 1), 1)
        units = sums.clamp(min=FLAT**0.5)[:, None, None]
        apart = lengths / units
        mean = apart.mean(2)
        both = apart - mean[:, None] - (mean - mean.mean(1, keepdim=True))[:, :, None]
        a, b = both[:members], both[members:]
        spread = both.square().mean((1, 2))
        other = spread[members:]
        root = (spread[:members] * other + GUARD).sqrt()
        joint = (a * b).mean((1, 2))
        varying = (sums[:members] > FLAT**0.5)[:, None, None]  # otherwise the unit is a constant
        ctx.save_for_backward(centred, peaks, lengths[:members], units[:members], varying, a, b, joint, other, root)
        return 1 - joint / root

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        centred, peaks, lengths, units, varying, a, b, joint, other, root = ctx.saved_tensors
        rows = a.shape[1]
        factor = gradient / (-root * rows**2)
        # of the distances in their unit; centring it once more would change nothing
        pull = torch.addcmul(b * factor[:, None, None], a, (-factor * joint * other / root.square())[:, None, None])
        drift = (pull * lengths).sum((1, 2), keepdim=True) / (units * max(rows * (rows - 1), 1))
        pull = (pull - torch.where(varying, drift, 0)) / units
        pull = torch.where(lengths > 0, pull / lengths.clamp(min=FLAT**0.5), 0)  # 2 x of the squared distances
        moved = torch.baddbmm(pull.sum(2, keepdim=True) * centred, pull, centred, alpha=-1)
        return moved.mul_(2).div_(peaks), None


def _centred(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return rows (m, b, d) in units of the largest entry of each batch minus their mean, and that entry (m, 1, 1)."""
    peaks = rows.abs().amax((1, 2), keepdim=True)
    peaks = torch.where(peaks > TINY, peaks, 1)
    rows = rows / peaks
    return rows.sub_(rows.mean(1, keepdim=True)), peaks
