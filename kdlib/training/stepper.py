"""One optimizer step after another: what `loop` runs through, and what a person can go through batch by batch.

A `Stepper` learns from the next batch, or says what a batch comes to without learning from it.
`tests/test_stepper.py` compares it with a plain loop.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from kdlib.training.replay import ReplaySample
from kdlib.training.state import TrainingState
from kdlib.training.step_loss import LossParts, StepLoss

BOTH, COMPRESSOR, STUDENT = "both", "compressor", "student"  # who learns


def batches(seeds: Sequence[int], epoch: int, rows: int, size: int) -> Tensor:
    """Return the row numbers of one epoch, (steps, members, size): shuffled by each member's seed.

    The rows that fill no batch are left out.
    """
    orders = {}
    for seed in dict.fromkeys(seeds):
        rng = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
        orders[seed] = torch.randperm(rows, generator=rng)[: rows // size * size].view(-1, size)
    return torch.stack([orders[seed] for seed in seeds], dim=1)


@dataclass(frozen=True)
class BatchView:
    """What one batch comes to for the first member, with the weights of the moment.

    Attributes:
        places: (b,) which of the labelled rows are in it.
        losses: of the total, before their weights: "prediction", "distance", "teacher", "soft"; and "total".
        features: (b, d) of the student, as the distance sees them.
        target: (b, d_c) what it is pulled to; None where nothing pulls.
    """

    places: np.ndarray
    losses: dict[str, float]
    features: np.ndarray
    target: np.ndarray | None


class Stepper:
    """The steps of one training.

    Args:
        step_loss: the members and the rows to learn from.
        epochs: passes over the rows.
        batch_size: rows per step and member; all of them if there are fewer.
        lr: peak learning rate, one for all members or one for each.
        replay_sample: as in `TrainingState`.

    Attributes:
        state: what changes.
        steps: optimizer steps of the whole training.
        steps_per_epoch: of each pass over the rows.
        learning: "both", "compressor" or "student": the other one keeps its weights.

    Example:
        >>> stepper = Stepper(StepLoss([group], rows, "mse", torch.device("cpu")), epochs=5, batch_size=16, lr=0.01)
        >>> stepper.step().total
    """

    def __init__(
        self,
        step_loss: StepLoss,
        *,
        epochs: int,
        batch_size: int,
        lr: float | Sequence[float],
        replay_sample: ReplaySample | None = None,
    ) -> None:
        self.step_loss, self.row_count = step_loss, len(step_loss.rows.inputs)
        self.batch_size = min(batch_size, self.row_count)
        self.steps_per_epoch = self.row_count // self.batch_size
        self.steps = epochs * self.steps_per_epoch
        seeds = [group.seeds for group in step_loss.groups]
        rates = list(lr) if isinstance(lr, Sequence) else [lr] * step_loss.students.size
        self.state = TrainingState(
            step_loss.students,
            step_loss.teachers,
            seeds,
            lr=rates,
            steps=self.steps,
            replay_sample=replay_sample,
            prefixes=[group.prefix for group in step_loss.groups],
        )
        self.learning = BOTH

    @property
    def over(self) -> bool:
        """Whether no step is left."""
        return self.state.done >= self.steps

    @property
    def epoch(self) -> int:
        """The number of the epoch of the next step, from 1."""
        return self.state.done // self.steps_per_epoch + 1

    @property
    def compresses(self) -> bool:
        """Whether there is a compressor (or a teacher's head) that learns."""
        return any(teachers is not None for teachers in self.step_loss.teachers)

    def learn_only(self, part: str) -> None:
        """Let both learn, or only one part of the chain, from the next step on.

        Raises:
            ValueError: no such part, or nothing in this chain compresses and learns.

        Example:
            >>> stepper.learn_only("student")
        """
        if part not in (BOTH, COMPRESSOR, STUDENT):
            raise ValueError(f"who learns must be {BOTH}, {COMPRESSOR} or {STUDENT}, got {part!r}")
        if part == COMPRESSOR and not self.compresses:
            raise ValueError("this chain has no compressor that learns, so only the student can; choose linear or mlp")
        self.learning = part

    def rest_of_epoch(self) -> tuple[Tensor, ...]:
        """Return the row numbers (m, b) of the batches that are left of this epoch."""
        order = batches(self.step_loss.seeds, self.epoch - 1, self.row_count, self.batch_size)
        return order[self.state.done % self.steps_per_epoch :].to(self.state.device).unbind()

    def take(self, index: Tensor, inputs: Tensor, before: Callable[[LossParts], object] | None = None) -> LossParts:
        """Let every member learn from one batch, the row numbers `index` (m, b) and their inputs (m, b, ...).

        `before` gets the losses while their graph is still there.
        """
        state, parts = self.state, self.step_loss(index, inputs, self.state.done)
        if before is not None:
            before(parts)
        state.optimizer.zero_grad()
        parts.total.sum().backward()
        self._drop_gradients()
        state.optimizer.step()
        state.done += 1
        if state.done < self.steps:
            state.schedule.step()
        return parts

    def step(self) -> LossParts:
        """Learn from the next batch; return its losses, of before the step.

        Raises:
            ValueError: no step is left.

        Example:
            >>> stepper.step().total
        """
        if self.over:
            raise ValueError(f"all {self.steps} steps have been taken; start again")
        index = self.rest_of_epoch()[0]
        return self.take(index, self.step_loss.rows.inputs[index])

    @torch.no_grad()
    def view(self, places: np.ndarray | None = None) -> BatchView:
        """Return what a batch comes to, without learning from it.

        Args:
            places: (b,) which of the labelled rows; by default those of the next step, after the last those of it.

        Example:
            >>> stepper.view().losses["distance"]
        """
        if places is None:
            step = min(self.state.done, self.steps - 1)
            epoch, number = divmod(step, self.steps_per_epoch)
            index = batches(self.step_loss.seeds, epoch, self.row_count, self.batch_size)[number]
        else:
            index = torch.from_numpy(places).expand(self.step_loss.students.size, -1)
        index = index.to(self.state.device)
        parts, features, targets = self.step_loss.outputs(
            index, self.step_loss.rows.inputs[index], min(self.state.done, self.steps - 1)
        )
        losses = {name: float(value[0]) for name, value in parts._asdict().items()}
        kept = next(iter(self.step_loss.groups[0].prefix), 0) or None
        target = None if targets[0] is None else targets[0][0, :, :kept].cpu().numpy()
        return BatchView(index[0].cpu().numpy(), losses, features[0].cpu().numpy(), target)

    def fingerprint(self) -> str:
        """Return 12 hexadecimal digits that change with any weight.

        Example:
            >>> before = stepper.fingerprint()
        """
        digest = hashlib.sha256()
        for value in self.state.parameters:
            digest.update(value.detach().cpu().numpy().tobytes())
        return digest.hexdigest()[:12]

    def _drop_gradients(self) -> None:
        """Leave no gradient where nothing shall be learned: the optimizer then does not even decay those weights."""
        if self.learning == BOTH:
            return
        for name, population in self.state.populations.items():
            if (name == "students") == (self.learning == COMPRESSOR):
                for value in population.parameters.values():
                    value.grad = None
