"""Logistic regression of many spaces at once: what probes are made of.

The objective is scikit-learn's `LogisticRegression`: mean cross-entropy plus |w|² / (2 C n), the intercept free; one
sigmoid for two classes, a softmax for more. One L-BFGS walks for all of them, each with its own history and step. Their
columns are turned into principal axes first, where the curvature is nearly diagonal: a few steps instead of dozens.
`tests/test_logistic.py` compares with scikit-learn.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

# Twice what the objective can still fall, about, at which a walk ends: accuracies are then within a row or so in a
# thousand of those at the very bottom, and so is the choice of a strength.
TOLERANCE = 1e-7
MOST_STEPS, MEMORY, HALVINGS = 100, 8, 20
WIDEST = 512  # columns up to which turning them costs less than it saves
ROUNDING = 1e-6  # of a value: what float32 cannot tell from a fall
CHUNK_NUMBERS = 2**22  # logits that are in memory at once


@dataclass(frozen=True)
class Regression:
    """Logistic regressions on m spaces, q in each.

    Attributes:
        axes: (m, d, d) what columns are multiplied by, None for nothing.
        weights: (m, q, k, d + 1), the intercept last.
    """

    axes: Tensor | None
    weights: Tensor

    def choose(self, numbers: np.ndarray) -> "Regression":
        """Return those of the q with these numbers, (m, q') of each space."""
        return Regression(self.axes, self.weights[torch.arange(len(numbers))[:, None], torch.from_numpy(numbers)])

    def logits(self, x: np.ndarray) -> np.ndarray:
        """Return (m, n, q, k) of rows (m, n, d)."""
        rows = torch.from_numpy(x) if self.axes is None else torch.from_numpy(x) @ self.axes
        weights = self.weights.flatten(1, 2)
        logits = torch.baddbmm(weights[:, None, :, -1], rows, weights[..., :-1].mT)
        return logits.unflatten(2, self.weights.shape[1:3]).numpy()


class LogisticProblem:
    """m spaces of the same rows, in each of which these are to be told apart in q ways.

    Args:
        x: (m, n, d) float32, columns with mean 0 and variance 1 or 0.
        on_step: called before every step; what it raises ends the fit.

    Example:
        >>> targets, counts = np.eye(3, dtype=np.float32)[:, y][None], np.ones((1, len(y)), np.float32)
        >>> LogisticProblem(x).fit(targets, counts, np.ones((len(x), 1), np.float32)).logits(x).argmax(-1)
    """

    def __init__(self, x: np.ndarray, on_step: Callable[[], None] | None = None) -> None:
        rows = torch.from_numpy(x)
        variances, self._axes = torch.ones(rows.shape[0], rows.shape[2]), None
        if rows.shape[2] <= WIDEST:
            variances, axes = torch.linalg.eigh((rows.mT @ rows / rows.shape[1]).double())
            variances, self._axes = variances.clamp(min=0).float(), axes.float()
            rows = rows @ self._axes
        self._rows = functional.pad(rows, (0, 1), value=1.0)  # for the intercept
        self._variances = functional.pad(variances, (0, 1), value=1.0)[:, None, None]  # (m, 1, 1, d + 1)
        self._penalised = functional.pad(torch.ones(rows.shape[2]), (0, 1))
        self._on_step = on_step

    def fit(
        self,
        targets: np.ndarray,
        counts: np.ndarray,
        strengths: np.ndarray,
        start: Regression | None = None,
    ) -> Regression:
        """Return the regressions, each on the rows that count for it.

        Args:
            targets: (q, k, n) float32 of 0 and 1, one-hot classes, or k = 1 for one sigmoid.
            counts: (q, n) float32 what each row counts, 0 or 1.
            strengths: (m, q) float32, inverse regularisation C.
            start: where to begin; by default at 0.
        """
        count, k = torch.from_numpy(counts), targets.shape[1]
        penalty = 1 / (torch.from_numpy(strengths) * count.sum(1))
        penalty = penalty[:, :, None, None] * self._penalised
        unit = ((0.25 if k == 1 else 1 / k) * self._variances + penalty).rsqrt()
        weight = count / count.sum(1, keepdim=True)
        objective = _Objective(self._rows, torch.from_numpy(targets), weight, penalty, unit)
        at = torch.zeros(*penalty.shape[:2], k, penalty.shape[3]) if start is None else start.weights / unit
        return Regression(self._axes, unit * _minimise(objective, at, self._on_step))


class _Objective:
    """The objective and its gradient at weights (m, q, k, d + 1), in units in which its curvature is about 1.

    Args:
        rows: (m, n, d + 1), the last column 1.
        targets: (q, k, n).
        weight: (q, n) what each row counts.
        penalty: (m, q, 1, d + 1), 0 for intercepts.
        unit: (m, q, 1, d + 1) of the weights.
    """

    def __init__(self, rows: Tensor, targets: Tensor, weight: Tensor, penalty: Tensor, unit: Tensor) -> None:
        self.rows, self.targets, self.weight, self.penalty, self.unit = rows, targets, weight, penalty, unit

    def choose(self, spaces: Tensor, lists: Tensor) -> "_Objective":
        """Return the same for some of the spaces, their numbers (m', 1), and of the lists of labels (q',)."""
        penalty, unit = self.penalty[spaces, lists], self.unit[spaces, lists]
        return _Objective(self.rows[spaces[:, 0]], self.targets[lists], self.weight[lists], penalty, unit)

    def __call__(self, at: Tensor) -> tuple[Tensor, Tensor]:
        """Return values (m, q) and gradients (m, q, k, d + 1)."""
        weights = self.unit * at
        penalty = self.penalty * weights
        values, gradients = (weights * penalty).sum((2, 3)) / 2, penalty.flatten(1, 2)
        size = max(1, CHUNK_NUMBERS // weights[..., 0].numel())
        parts = (self.rows.split(size, 1), self.targets.split(size, 2), self.weight.split(size, 1))
        for rows, targets, weight in zip(*parts, strict=True):
            logits = (weights.flatten(1, 2) @ rows.mT).unflatten(1, weights.shape[1:3])  # (m, q, k, n)
            if weights.shape[2] == 1:
                losses = (functional.softplus(logits) - targets * logits)[:, :, 0]
                errors = logits.sigmoid_()
            else:
                logits -= logits.amax(2, keepdim=True)
                right = (targets * logits).sum(2)
                errors = logits.exp_()
                total = errors.sum(2, keepdim=True)
                losses, errors = total[:, :, 0].log() - right, errors.div_(total)
            values += (weight * losses).sum(2)
            errors = errors.sub_(targets).mul_(weight[:, None])
            gradients = torch.baddbmm(gradients, errors.flatten(1, 2), rows)
        return values, self.unit * gradients.view_as(weights)


def _minimise(objective: _Objective, at: Tensor, on_step: Callable[[], None] | None) -> Tensor:
    """Return where each of the convex functions (m, q) of weights (m, q, k, d) is least, nearly: L-BFGS.

    Spaces of which every walk has ended, and lists of labels of which every walk has, are computed no further.

    Source: Nocedal & Wright 2006, Numerical Optimization, algorithm 7.5, with a step that is halved until the value
    falls (equation 3.4).
    """
    values, gradients = objective(at)
    moves = bends = torch.zeros(*at.shape[:2], 0, at[0, 0].numel())  # of the last steps, and what the gradient changed
    spaces, lists, found = torch.arange(at.shape[0])[:, None], torch.arange(at.shape[1]), at.clone()
    for _ in range(MOST_STEPS):
        if on_step is not None:
            on_step()
        direction = -_precondition(gradients, moves, bends)
        moving = -_dot(direction, gradients) > TOLERANCE
        if not moving.any():
            break
        if not (moving.any(1).all() and moving.any(0).all()):
            found[spaces, lists] = at
            some, few = moving.any(1).nonzero(), moving.any(0).nonzero()[:, 0]
            spaces, lists, objective = spaces[some[:, 0]], lists[few], objective.choose(some, few)
            at, values, gradients, direction, moving, moves, bends = (
                each[some, few] for each in (at, values, gradients, direction, moving, moves, bends)
            )
        there, new_values, new_gradients, fell = _descend(
            objective, at, values, gradients, direction * moving[..., None, None]
        )
        if not (fell := fell & moving).any():
            break
        values, fell = torch.where(fell, new_values, values), fell[..., None, None]
        move, bend = there - at, new_gradients - gradients
        told = fell & (_dot(move, bend) > 0)[..., None, None]
        moves, bends = _append(moves, torch.where(told, move, 0)), _append(bends, torch.where(told, bend, 0))
        at, gradients = torch.where(fell, there, at), torch.where(fell, new_gradients, gradients)
    found[spaces, lists] = at
    return found


def _append(steps: Tensor, step: Tensor) -> Tensor:
    """Return the last steps (m, q, s, k · d) with another one (m, q, k, d), `MEMORY` at most."""
    return torch.cat([steps[:, :, -MEMORY + 1 :], step.flatten(2)[:, :, None]], 2)


def _precondition(gradients: Tensor, moves: Tensor, bends: Tensor) -> Tensor:
    """Return the inverse curvature times gradients (m, q, k, d), as steps (m, q, s, k · d) tell it.

    The two loops of algorithm 7.4 as two triangular systems: what the first loop takes off is the solution of one of
    s_i · y_j for i <= j, what the second adds that of its transpose.
    """
    if not moves.shape[2]:
        return gradients
    right = gradients.flatten(2)[..., None]  # (m, q, k · d, 1)
    slopes = moves @ bends.mT
    curved = slopes.diagonal(dim1=-2, dim2=-1)[..., None]  # 0 of a walk that made no such step
    triangle = slopes.triu() + torch.diag_embed((curved[..., 0] == 0).float())
    taken = torch.linalg.solve_triangular(triangle, moves @ right, upper=True)
    rest = right - bends.mT @ taken
    bend = bends[:, :, -1:].square().sum(-1, keepdim=True)
    rest = rest * torch.where(bend > 0, curved[:, :, -1:] / bend, 1)
    added = torch.linalg.solve_triangular(triangle.mT, curved * taken - bends @ rest, upper=False)
    return (rest + moves.mT @ added).view_as(gradients)


def _descend(
    objective: _Objective, at: Tensor, values: Tensor, gradients: Tensor, direction: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return where a step leads whose length is halved until the value falls, value and gradient there, and if it did.

    Each of the functions has its own length.
    """
    slope, step = _dot(direction, gradients), torch.ones_like(values)
    for number in range(HALVINGS + 1):
        there = at + step[..., None, None] * direction
        new_values, new_gradients = objective(there)
        fell = new_values <= values + 1e-4 * step * slope + ROUNDING * values
        if fell.all() or number == HALVINGS:
            return there, new_values, new_gradients, fell
        step = torch.where(fell, step, step / 2)
    raise AssertionError("the last turn returns")


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Return the inner products of (m, q, k, d) over k and d, (m, q)."""
    return (a * b).sum((2, 3))
