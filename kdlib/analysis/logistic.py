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
        objective = _Objective(self._rows, torch.from_numpy(targets), count / count.sum(1, keepdim=True), penalty)
        curvature = (0.25 if k == 1 else 1 / k) * self._variances + objective.penalty
        at = torch.zeros(*penalty.shape, k, self._rows.shape[2]) if start is None else start.weights
        return Regression(self._axes, _minimise(objective, at, 1 / curvature, self._on_step))


class _Objective:
    """The objective and its gradient at weights (m, q, k, d + 1).

    Attributes:
        penalty: (m, q, 1, d + 1), 0 for intercepts.
    """

    def __init__(self, rows: Tensor, targets: Tensor, weight: Tensor, penalty: Tensor) -> None:
        self.rows, self.targets, self.weight = rows, targets, weight
        self.penalty = penalty[:, :, None, None].repeat(1, 1, 1, rows.shape[2])
        self.penalty[..., -1] = 0

    def __call__(self, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Return values (m, q) and gradients (m, q, k, d + 1)."""
        penalty = self.penalty * weights
        values, gradients = _dot(weights, penalty) / 2, penalty.flatten(1, 2)
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
        return values, gradients.view_as(weights)


def _minimise(
    objective: _Objective,
    at: Tensor,
    inverse_curvature: Tensor,
    on_step: Callable[[], None] | None,
) -> Tensor:
    """Return where each of the convex functions (m, q) of weights (m, q, k, d) is least, nearly: L-BFGS.

    Source: Nocedal & Wright 2006, Numerical Optimization, algorithm 7.4 and 7.5, with a step that is halved until the
    value falls (equation 3.4).
    """
    values, gradients = objective(at)
    history: list[tuple[Tensor, Tensor, Tensor]] = []
    for _ in range(MOST_STEPS):
        if on_step is not None:
            on_step()
        direction = -_precondition(gradients, history, inverse_curvature)
        moving = -_dot(direction, gradients) > TOLERANCE
        if not moving.any():
            break
        there, new_values, new_gradients, fell = _descend(
            objective, at, values, gradients, direction * moving[..., None, None]
        )
        fell = (fell & moving)[..., None, None]
        if not fell.any():
            break
        moved, bent = torch.where(fell, there - at, 0), torch.where(fell, new_gradients - gradients, 0)
        curved = _dot(moved, bent)
        rho = torch.where(curved > 0, 1 / curved.clamp(min=1e-30), 0)
        history = [*history[-MEMORY + 1 :], (moved, bent, rho)]
        at, gradients = torch.where(fell, there, at), torch.where(fell, new_gradients, gradients)
        values = torch.where(fell[..., 0, 0], new_values, values)
    return at


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


def _precondition(gradients: Tensor, history: list[tuple[Tensor, Tensor, Tensor]], inverse_curvature: Tensor) -> Tensor:
    """Return the inverse curvature times gradients, as `history` (moves, changes of the gradient, 1 / dot) tells it."""
    result, shares = gradients, []
    for moved, bent, rho in reversed(history):
        share = (rho * _dot(moved, result))[..., None, None]
        result = result - share * bent
        shares.append(share)
    result = inverse_curvature * result
    if history:
        moved, bent, rho = history[-1]
        scale = _dot(moved, bent) / _dot(bent, inverse_curvature * bent).clamp(min=1e-30)
        result = torch.where(rho > 0, scale, 1)[..., None, None] * result
    for (moved, bent, rho), share in zip(history, reversed(shares), strict=True):
        result = result + (share - (rho * _dot(bent, result))[..., None, None]) * moved
    return result


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Return the inner products of (m, q, k, d) over k and d, (m, q)."""
    return (a * b).sum((2, 3))
