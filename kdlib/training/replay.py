"""Snapshots: where a fixed sample of rows lies in the student's and the compressed space, again and again while these form.

Only the first member of each branch is followed: one space forming is a story, the mean of several is not. The student's features come from
the validation that takes place anyway, so a snapshot costs next to nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kdlib.cache import Arrays
from kdlib.training.population import Population

ROWS = 500  # followed at most


@dataclass(frozen=True)
class ReplaySample:
    """Which rows are followed.

    Attributes:
        rows: (r,) their numbers in the dataset.
        places: (r,) their places among the validation rows.
        embeddings: (r, d_t) what a trainable compressor gets.
        fixed: per branch, (r, d_c) where its compressor does not learn, otherwise None.
    """

    rows: np.ndarray
    places: np.ndarray
    embeddings: np.ndarray
    fixed: Sequence[np.ndarray | None]


class ReplayRecorder:
    """All snapshots of a training.

    Args:
        watched: which rows; None = none, and nothing is ever taken.
        firsts: per branch, its first member's number among all students.
        teachers: per branch, what compresses, or None.
    """

    def __init__(
        self, watched: ReplaySample | None, firsts: Sequence[int], teachers: Sequence[Population | None]
    ) -> None:
        self._watched, self._firsts, self._teachers = watched, firsts, teachers
        self.epochs: list[int] = []
        self._taken: dict[str, list[Tensor]] = {}

    @torch.no_grad()
    def take(self, epoch: int, features: Tensor) -> None:
        """Keep a snapshot; `features` (m, v, d_s) are those of all members on all validation rows."""
        if self._watched is None:
            return
        self.epochs.append(epoch)
        for branch, (first, teachers) in enumerate(zip(self._firsts, self._teachers, strict=True)):
            self._taken.setdefault(f"student/{branch}", []).append(features[first, self._watched.places].clone())
            if teachers is not None and self._watched.fixed[branch] is None:
                rows = torch.from_numpy(self._watched.embeddings).to(teachers.device)
                compressed = teachers(rows.expand(teachers.size, *rows.shape))[0]
                self._taken.setdefault(f"compressed/{branch}", []).append(compressed[0].cpu())

    def since(self, count: int, branch: int = 0) -> list[dict[str, Any]]:
        """Return the snapshots of a branch that came after the first `count`.

        Each holds "epoch" and "student" (r, d_s), and where a compressor learns "compressed" (r, d_c). The very first also has "rows" (r,)
        and the compressed rows that never move.
        """
        found = []
        for number in range(count, len(self.epochs)):
            frame: dict[str, Any] = {"epoch": self.epochs[number]}
            frame |= {
                name.partition("/")[0]: taken[number].numpy()
                for name, taken in self._taken.items()
                if name.endswith(f"/{branch}")
            }
            if number == 0:
                frame |= self._still(branch)
            found.append(frame)
        return found

    def _still(self, branch: int) -> Arrays:
        """Return what does not change from snapshot to snapshot."""
        fixed = self._watched.fixed[branch] if self._watched else None
        rows = {"rows": self._watched.rows.astype(np.int64)} if self._watched else {}
        return rows | ({} if fixed is None else {"compressed": np.asarray(fixed, np.float32)})

    def of(self, branch: int) -> Arrays:
        """Return all snapshots of a branch, {} when there are none.

        "rows" (r,), "epochs" (t,), "student" (t, r, d_s) and, with a teacher, "compressed" (t, r, d_c); t is 1 where it does not learn.
        """
        return stack_snapshots(self.since(0, branch))

    def tensors(self) -> dict[str, Tensor]:
        """Return what a checkpoint has to hold."""
        return {f"frames/{name}": torch.stack(taken) for name, taken in self._taken.items()}

    def load(self, epochs: Sequence[int], tensors: dict[str, Tensor]) -> None:
        """Go on from what a checkpoint held."""
        self.epochs = list(epochs)
        self._taken = {
            name.removeprefix("frames/"): list(value) for name, value in tensors.items() if name.startswith("frames/")
        }


def stack_snapshots(frames: Sequence[dict[str, Any]]) -> Arrays:
    """Return single snapshots, as from `ReplayRecorder.since`, as arrays over time; {} if the first one is not there."""
    if not frames or "rows" not in frames[0]:
        return {}
    found = {"rows": frames[0]["rows"], "epochs": np.array([int(frame["epoch"]) for frame in frames], dtype=np.int64)}
    for name in ("student", "compressed"):
        there = [frame[name] for frame in frames if name in frame]
        if there:
            found[name] = np.stack(there)
    return found
