"""Prefixes: how many leading numbers of its target each member of a population is taught.

A prefix is data, not shape: behind it both sides are set to 0, so that members with different prefixes train in one
vmapped step. Lengths, angles and distances of rows are then those of the prefix by itself, and a mean over columns is
divided by those that count. `tests/test_prefixes.py` compares every loss, and whole trainings, with targets cut off.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from kdlib.training.losses import MEAN, Loss


class Prefixes:
    """The prefixes of all members; where nobody has one, everything stays as it is.

    Args:
        kept: per group, of each of its members, how many leading numbers count; 0 for all.
        heads: per group, the leading widths that its teachers have a head for, the last being all; () without heads.
        loss: what compares features and targets.
        device: where they are.

    Example:
        >>> prefixes = Prefixes([[2, 4]], [(2, 4)], LOSSES["mse"], torch.device("cpu"))
        >>> prefixes.cut(0, torch.ones(2, 1, 4)).tolist()
        [[[1.0, 1.0, 0.0, 0.0]], [[1.0, 1.0, 1.0, 1.0]]]
    """

    def __init__(
        self, kept: Sequence[Sequence[int]], heads: Sequence[Sequence[int]], loss: Loss, device: torch.device
    ) -> None:
        self._masks: list[Tensor | None] = []
        self._heads: list[Tensor | None] = []
        for own, widths in zip(kept, heads, strict=True):
            used = any(own) and bool(widths)
            numbers = torch.tensor([each or widths[-1] for each in own], device=device) if used else None
            self._masks.append(None if numbers is None else _mask(numbers, widths[-1]))
            places = [widths.index(each or widths[-1]) for each in own] if used else []
            self._heads.append(torch.tensor(places, device=device) if used else None)
        self._features, self._scale = None, None
        width = next((mask.shape[-1] for mask in self._masks if mask is not None), 0)
        if width and loss.pointwise:  # all members have an adapter of this width
            everybody = [
                torch.ones(len(own), 1, width, device=device) if mask is None else mask
                for own, mask in zip(kept, self._masks, strict=True)
            ]
            self._features = torch.cat(everybody)
            self._scale = width / self._features.sum((1, 2)) if loss.tail == MEAN else None

    def cut(self, group: int, targets: Tensor) -> Tensor:
        """Return the targets (m, b, d_c) of a group with 0 behind the prefix of each member."""
        mask = self._masks[group]
        return targets if mask is None else targets * mask

    def cut_features(self, features: Tensor) -> Tensor:
        """Return the features (m, b, d) of all members as the distance sees them: 0 where the target does not count."""
        return features if self._features is None else features * self._features

    def rescale(self, distances: Tensor) -> Tensor:
        """Return the distances (m,) of all members as means over the columns that count."""
        return distances if self._scale is None else distances * self._scale

    def logits(self, group: int, logits: Sequence[Tensor]) -> Tensor:
        """Return the logits (m, b, k) of the head that reads the prefix of each member, out of those of all heads."""
        heads = self._heads[group]
        if heads is None:
            return logits[-1]
        return torch.stack([*logits])[heads, torch.arange(len(heads), device=heads.device)]


def _mask(kept: Tensor, width: int) -> Tensor:
    """Return (m, 1, width): 1 for the leading numbers that count, 0 behind them."""
    return (torch.arange(width, device=kept.device) < kept[:, None]).float()[:, None]
