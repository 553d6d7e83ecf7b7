"""Snapshots: where a fixed sample of rows lies in the student's and the compressed space while these form.

Only the first seed of each group is followed, of a grid that of every setting: the mean of several members is not a
space. The student's features come from the validation that takes place anyway, so a snapshot costs next to nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from kdlib.cache import Arrays
from kdlib.training.population import Population

MAX_ROWS = 500  # of a sample


@dataclass(frozen=True)
class ReplaySample:
    """The rows that snapshots follow.

    Attributes:
        rows: (r,) their numbers in the dataset.
        places: (r,) their places among the validation rows.
        embeddings: (r, d_t) input of a trainable compressor.
        fixed: per group, (r, d_c) where its compressor is not trained, otherwise None.
        seeds: per group, the seed whose members are followed; None: the first of each.
    """

    rows: np.ndarray
    places: np.ndarray
    embeddings: np.ndarray
    fixed: Sequence[np.ndarray | None]
    seeds: Sequence[int] | None = None


class Followed(NamedTuple):
    """A member that snapshots follow.

    Attributes:
        group: its number.
        member: its number among the members of the group.
        student: its number among all students.
    """

    group: int
    member: int
    student: int


def followed_members(seeds: Sequence[Sequence[int]], chosen: Sequence[int] | None = None) -> list[Followed]:
    """Return the members with one seed of each group: one for every setting of a grid.

    Args:
        seeds: per group, of its members.
        chosen: per group, the seed; by default its first.

    Example:
        >>> [each.student for each in followed_members([[0, 1], [0, 1, 0, 1]])]
        [0, 2, 4]
    """
    followed, start = [], 0
    chosen = [each[0] for each in seeds] if chosen is None else chosen
    for group, each in enumerate(seeds):
        own = [member for member, seed in enumerate(each) if seed == chosen[group]]
        followed += [Followed(group, member, start + member) for member in own]
        start += len(each)
    return followed


class ReplayRecorder:
    """All snapshots of a training.

    Args:
        sample: the rows; None to record nothing.
        followed: the members whose spaces are recorded.
        teachers: per group, what compresses, or None.

    Attributes:
        epochs: of the snapshots, in order; 0 is before the first step.
    """

    def __init__(
        self, sample: ReplaySample | None, followed: Sequence[Followed], teachers: Sequence[Population | None]
    ) -> None:
        self._sample, self._followed, self._teachers = sample, followed, teachers
        self.epochs: list[int] = []
        self._snapshots: dict[str, list[Tensor]] = {}

    @property
    def active(self) -> bool:
        """Whether there are rows to follow."""
        return self._sample is not None

    @torch.no_grad()
    def record(self, epoch: int, features: Tensor) -> None:
        """Record a snapshot; `features` (m, v, d_s) are those of all members on all validation rows."""
        sample = self._sample
        if sample is None:
            return
        self.epochs.append(epoch)
        compressed: dict[int, Tensor] = {}
        for number, (group, member, student) in enumerate(self._followed):
            self._snapshots.setdefault(f"student/{number}", []).append(features[student, sample.places].clone())
            teachers = self._teachers[group]
            if teachers is not None and sample.fixed[group] is None:
                if group not in compressed:
                    rows = torch.from_numpy(sample.embeddings).to(teachers.device)
                    compressed[group] = teachers(rows.expand(teachers.size, *rows.shape))[0]
                self._snapshots.setdefault(f"compressed/{number}", []).append(compressed[group][member].cpu())

    def snapshots_since(self, count: int, number: int = 0) -> list[dict[str, Any]]:
        """Return the snapshots of a followed member, by its number, after the first `count`.

        Each holds "epoch" and "student" (r, d_s), and where a compressor is trained "compressed" (r, d_c). The very
        first also holds "rows" (r,) and the compressed rows that never move. Empty if no such member is followed.
        """
        snapshots: list[dict[str, Any]] = []
        if number >= len(self._followed):
            return snapshots
        for place in range(count, len(self.epochs)):
            snapshot: dict[str, Any] = {"epoch": self.epochs[place]}
            snapshot |= {
                name.partition("/")[0]: tensors[place].numpy()
                for name, tensors in self._snapshots.items()
                if name.endswith(f"/{number}")
            }
            if place == 0:
                snapshot |= self._constant_arrays(self._followed[number].group)
            snapshots.append(snapshot)
        return snapshots

    def _constant_arrays(self, group: int) -> Arrays:
        """Return what does not change from snapshot to snapshot."""
        if self._sample is None:
            return {}
        fixed = self._sample.fixed[group]
        rows = {"rows": self._sample.rows.astype(np.int64)}
        return rows if fixed is None else rows | {"compressed": np.asarray(fixed, np.float32)}

    def stack(self, group: int) -> list[Arrays]:
        """Return all snapshots of each followed member of a group, {} where there are none.

        "rows" (r,), "epochs" (t,), "student" (t, r, d_s) and, with a teacher, "compressed" (t, r, d_c); t is 1 there if
        the compressor is not trained.
        """
        numbers = [number for number, each in enumerate(self._followed) if each.group == group]
        return [stack_snapshots(self.snapshots_since(0, number)) for number in numbers]

    def tensors(self) -> dict[str, Tensor]:
        """Return what a checkpoint has to hold."""
        return {f"frames/{name}": torch.stack(tensors) for name, tensors in self._snapshots.items()}

    def load(self, epochs: Sequence[int], tensors: dict[str, Tensor]) -> None:
        """Take over what a checkpoint held."""
        self.epochs = list(epochs)
        self._snapshots = {
            name.removeprefix("frames/"): list(value) for name, value in tensors.items() if name.startswith("frames/")
        }


def stack_snapshots(snapshots: Sequence[dict[str, Any]]) -> Arrays:
    """Return snapshots of `ReplayRecorder.snapshots_since` as arrays over time; {} if the first one is missing."""
    if not snapshots or "rows" not in snapshots[0]:
        return {}
    epochs = np.array([int(snapshot["epoch"]) for snapshot in snapshots], dtype=np.int64)
    arrays = {"rows": snapshots[0]["rows"], "epochs": epochs}
    for name in ("student", "compressed"):
        parts = [snapshot[name] for snapshot in snapshots if name in snapshot]
        if parts:
            arrays[name] = np.stack(parts)
    return arrays
