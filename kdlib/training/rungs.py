"""Rungs: a population of trials from which the worse ones leave while the others go on.

Those that stay end up as if nothing else had been trained: `tests/test_rungs.py` compares.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from kdlib.progress import CancelledError
from kdlib.results import Point
from kdlib.training.loop import CHECKPOINT_SECONDS, Score, Training, validated_epochs
from kdlib.training.step_loss import MethodGroup, StepLoss, TrainingData
from kdlib.training.stepper import Stepper

RUNG_SHARES = (0.5, 0.75)  # of the epochs. Earlier, the learning rate is at its peak and no trial shows what it can do.

# Called at a rung with its epoch, the best validation score of each present member so far, and which of them diverged;
# returns which of them go on.
Keep = Callable[[int, list[float], set[int]], list[int]]
Report = Callable[[int], bool]  # called after every step with the steps so far; returning True stops


def rung_epochs(epochs: int) -> list[int]:
    """Return the epochs after which the worse half of some trials is stopped, the last epoch being none of them.

    Example:
        >>> rung_epochs(30)
        [15, 22]
    """
    validated = sorted(validated_epochs(epochs))[:-1]
    marks = {max((epoch for epoch in validated if epoch <= share * epochs), default=0) for share in RUNG_SHARES}
    return sorted(marks - {0})


class RungTraining:
    """A training whose members may leave.

    Args:
        groups: whose students have one architecture.
        rows: to learn from.
        loss, augmentation: names in their registries.
        epochs, batch_size: as in `train`.
        lr: peak learning rate of each member.
        score: of validation logits.
        device: where to compute.

    Attributes:
        stepper: takes the steps of the members that are left.
        steps: optimizer steps of the whole training.

    Example:
        >>> training = RungTraining([group], rows, loss="mse", epochs=4, batch_size=16, lr=[0.01, 0.1], score=score)
        >>> training.run(keep=lambda epoch, scores, diverged: [scores.index(max(scores))])
    """

    def __init__(
        self,
        groups: Sequence[MethodGroup],
        rows: TrainingData,
        *,
        loss: str,
        epochs: int,
        batch_size: int,
        lr: Sequence[float],
        score: Score,
        augmentation: str = "none",
        device: torch.device | str = "cpu",
    ) -> None:
        self._rows, self._loss, self._augmentation = rows.to(torch.device(device)), loss, augmentation
        self._epochs, self._batch_size, self._device, self._score = epochs, batch_size, torch.device(device), score
        self.stepper = self._start(groups, lr)
        self.steps = self.stepper.steps

    def load(self, checkpoint: Path, signature: str) -> bool:
        """Go on from a checkpoint; return False, unchanged, if there is none of these members."""
        return checkpoint.exists() and self.stepper.state.load(checkpoint, signature)

    def run(
        self,
        keep: Keep,
        report: Report | None = None,
        checkpoint: Path | None = None,
        sign: Callable[[], str] = str,
    ) -> None:
        """Train, asking at every rung and after the last epoch which members go on.

        Args:
            keep: says who.
            report: called after every step.
            checkpoint: file written every few seconds.
            sign: names the computation with the members that are left; a checkpoint is of one such name.

        Raises:
            CancelledError: `report` asked to stop.
        """
        for rung in [*rung_epochs(self._epochs), self._epochs]:
            state = self.stepper.state
            if state.done > rung * self.stepper.steps_per_epoch:
                continue
            reporter = _Reporter(self.stepper, rung, report, checkpoint, sign)
            Training(self.stepper, self._score).run(reporter)
            if reporter.asked_to_stop:
                reporter.save()
                raise CancelledError("cancelled while tuning")
            kept = keep(rung, list(state.best_score), set(state.diverged))
            if not kept or rung == self._epochs:
                return
            if len(kept) < self.stepper.step_loss.students.size:
                self.stepper = self._subset(kept)

    def _start(self, groups: Sequence[MethodGroup], lr: Sequence[float]) -> Stepper:
        self._groups, self._rates = list(groups), list(lr)
        step_loss = StepLoss(self._groups, self._rows, self._loss, self._device, self._augmentation)
        return Stepper(step_loss, epochs=self._epochs, batch_size=self._batch_size, lr=self._rates)

    def _subset(self, members: Sequence[int]) -> Stepper:
        """Return what takes the remaining steps of some members."""
        state, groups, start = self.stepper.state, [], 0
        for group in self._groups:
            own = [member - start for member in members if start <= member < start + len(group.seeds)]
            groups += [group.subset(own)] if own else []
            start += len(group.seeds)
        stepper = self._start(groups, [self._rates[member] for member in members])
        stepper.state.take_over(state, members)
        return stepper


class _Reporter:
    """What accompanies the steps up to one rung; `cancelled` ends them, whether it is reached or somebody asked."""

    def __init__(
        self, stepper: Stepper, rung: int, report: Report | None, checkpoint: Path | None, sign: Callable[[], str]
    ) -> None:
        self._state, self._last = stepper.state, rung * stepper.steps_per_epoch
        self._report, self._checkpoint, self._sign = report, checkpoint, sign
        self._saved_at, self.asked_to_stop = time.monotonic(), False
        self.cancelled = self._state.done >= self._last

    def __call__(self, point: Point | None = None) -> bool:  # noqa: ARG002
        if time.monotonic() - self._saved_at > CHECKPOINT_SECONDS:
            self.save()
        self.asked_to_stop = self._report is not None and self._report(self._state.done)
        self.cancelled = self.asked_to_stop or self._state.done >= self._last
        return self.cancelled

    def save(self) -> None:
        """Write the checkpoint."""
        if self._checkpoint is not None:
            self._state.save(self._checkpoint, self._sign())
            self._saved_at = time.monotonic()
