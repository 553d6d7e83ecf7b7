"""Distances of all members between student features and targets, of several separate teachers the mean of theirs.

`tests/test_separation.py` works them out by hand.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.func import vmap

from kdlib.training.losses import LOSSES


class Pull(NamedTuple):
    """What the students of one method are pulled to.

    Attributes:
        members: where they are among all students.
        target: (m, b, d_c) of these members; None where nothing pulls.
        columns: of each separate teacher in the target; one that holds all for a single teacher.
    """

    members: slice
    target: Tensor | None
    columns: Sequence[slice]


class Distances:
    """The distances of one loss.

    Args:
        loss: a name in `LOSSES`.

    Example:
        >>> Distances("cka")(features, [Pull(slice(0, 5), target, (slice(None),))]).shape
        torch.Size([5])
    """

    def __init__(self, loss: str) -> None:
        entry = LOSSES[loss]
        self._distance, self._pointwise = entry.together or vmap(entry.function), entry.pointwise

    def __call__(self, adapted: Tensor, pulls: Sequence[Pull]) -> Tensor:
        """Return the distance loss of every member (m,), 0 for those without a target.

        Targets of one width are compared in one call: a call costs more than what it computes.

        Args:
            adapted: (m, b, d) student features as the distance sees them.
            pulls: of each method.
        """
        by_width: dict[tuple[int, int], list[tuple[slice, Tensor, Tensor]]] = {}
        for pull in pulls:
            for student, target in self._pairs(adapted[pull.members], pull):
                pairs = by_width.setdefault((target.shape[-1], len(pull.columns)), [])
                pairs.append((pull.members, student, target))
        distances = adapted.new_zeros(len(adapted))
        for (_, teachers), pairs in by_width.items():
            numbers = [i for members, *_ in pairs for i in range(members.start, members.stop)]
            places = torch.tensor(numbers, device=adapted.device)
            values = self._distance(torch.cat([each[1] for each in pairs]), torch.cat([each[2] for each in pairs]))
            distances = distances.index_add(0, places, values / teachers if teachers > 1 else values)
        return distances

    def _pairs(self, adapted: Tensor, pull: Pull) -> Iterator[tuple[Tensor, Tensor]]:
        """Return adapted features (m, b, d) and target (m, b, d_c) of each teacher; none where nothing pulls."""
        if pull.target is None:
            return iter(())
        targets = [pull.target[..., own] for own in pull.columns]
        widths = [own.shape[-1] for own in targets]
        students = adapted.split(widths, -1) if self._pointwise else [adapted] * len(targets)
        return zip(students, targets, strict=True)
