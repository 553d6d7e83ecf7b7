"""Gradient cosines: whether labels and teacher pull the student the same way.

`tests/test_gradients.py` compares with one member after the other.
"""

import torch
from torch import Tensor

from kdlib.training.population import Population
from kdlib.training.step_loss import LossParts

SHARED = "body."  # how the names of the parameters begin that both losses move; heads and adapters serve one of them
COST = 1 / 50  # of all steps: a comparison costs about one more step


def compared_epochs(epochs: set[int], steps: int) -> set[int]:
    """Return at which of these epochs gradients are compared: the last, and as many as cost little beside the steps.

    Example:
        >>> sorted(compared_epochs({1, 2, 3, 4}, steps=100))
        [2, 4]
    """
    ordered = sorted(epochs, reverse=True)
    every = -(-len(ordered) // max(1, int(steps * COST)))
    return set(ordered[::every])


def gradient_cosines(students: Population, parts: LossParts) -> list[float | None]:
    """Return the cosine between the gradients of prediction and distance of each member, in [-1, 1].

    With respect to the parameters of the student's body, of the losses before their weights. Below 0 a small step for
    the one makes the other worse. None where a gradient is 0 or not finite, as of members without a target.

    Args:
        students: m members.
        parts: of one batch; its graph stays.

    Example:
        >>> gradient_cosines(step_loss.students, step_loss(index, inputs, step=0))

    Source: Yu et al. 2020, Gradient Surgery for Multi-Task Learning, definition 1.
    """
    if not parts.distance.requires_grad:
        return [None] * students.size
    shared = [value for name, value in students.parameters.items() if name.startswith(SHARED)]
    prediction, distance = (_flat_gradients(loss, shared, students.size) for loss in (parts.prediction, parts.distance))
    lengths = prediction.norm(dim=1) * distance.norm(dim=1)
    cosines = ((prediction * distance).sum(1) / lengths).clamp(-1, 1)
    return [value if abs(value) <= 1 else None for value in cosines.tolist()]


def _flat_gradients(loss: Tensor, parameters: list[Tensor], members: int) -> Tensor:
    """Return the gradients of losses (m,) as rows (m, all parameters), float64: lengths must not vanish."""
    gradients = torch.autograd.grad(loss.sum(), parameters, retain_graph=True)
    return torch.cat([each.reshape(members, -1).double() for each in gradients], dim=1)
