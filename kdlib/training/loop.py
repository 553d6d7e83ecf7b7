"""Training: one plain loop for many members at once.

The groups (one per method) train side by side, all their members in the same vmapped step (`step_loss`). Each member
ends up as if it had been trained alone: `tests/test_loop.py` compares the two.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from kdlib.cache import Arrays
from kdlib.progress import OnProgress, Progress
from kdlib.results import Point
from kdlib.training.devices import reuse_memory
from kdlib.training.gradients import compared_epochs, gradient_cosines
from kdlib.training.population import Population
from kdlib.training.replay import ReplaySample
from kdlib.training.state import TrainingState
from kdlib.training.step_loss import LossParts, MethodGroup, StepLoss, TrainingData
from kdlib.training.stepper import Stepper
from kdlib.training.streaming import StreamedRows, read_ahead

VALIDATIONS = 20  # of one training, about
CHECKPOINT_SECONDS = 3.0
CHUNK_NUMBERS = 2**21  # numbers of inputs that are predicted at once, in 64 rows at most

Score = Callable[[Tensor], list[float]]  # logits (m, v, k) on the CPU -> one number per member, higher is better


@dataclass
class Trained:
    """The outcome of a training.

    Attributes:
        students: all members of all groups, in order, with their best weights by validation score.
        teachers: per group, its trained `TeacherBranch`es, or None.
        history: one point per validation.
        cancelled: whether `on_progress` asked to stop.
        diverged: member -> epoch at which its loss stopped being finite.
        replay: per group, the snapshots of those of its members that are followed, as in `ReplayRecorder.stack`.
        seconds: of training, without the time between an interruption and the checkpoint before it.
    """

    students: Population
    teachers: list[Population | None]
    history: list[Point] = field(default_factory=list)
    cancelled: bool = False
    diverged: dict[int, int] = field(default_factory=dict)
    replay: list[list[Arrays]] = field(default_factory=list)
    seconds: float = 0.0


def train(
    groups: Sequence[MethodGroup],
    rows: TrainingData,
    *,
    loss: str,
    epochs: int,
    batch_size: int,
    lr: float | Sequence[float],
    score: Score,
    augmentation: str = "none",
    device: torch.device | str = "cpu",
    on_progress: OnProgress | None = None,
    checkpoint: Path | None = None,
    signature: str = "",
    replay_sample: ReplaySample | None = None,
) -> Trained:
    """Return all members of all groups, trained together by AdamW with a one-cycle learning rate.

    Each member has its best weights by validation score.

    Args:
        groups: whose students have one architecture.
        rows: to learn from.
        loss: a name in `LOSSES`.
        epochs: passes over `rows`.
        batch_size: rows per step and member; all of them if there are fewer.
        lr: peak learning rate, one for all members or one for each.
        score: of validation logits; decides which weights of a member are the best.
        augmentation: a name in `AUGMENTATIONS`.
        device: where to compute.
        on_progress: called after every step, once where the checkpoint leaves none; returning True stops.
        checkpoint: file written every few seconds and at the end, and resumed from if it exists; an interrupted and
            resumed training equals an uninterrupted one bit by bit on one CPU thread.
        signature: names the computation; a checkpoint with another one is not used.
        replay_sample: rows of which a snapshot is recorded before the first step and at every validation.

    Example:
        >>> group = MethodGroup([build_student("mlp", (6,), 2, 3)], seeds=[0])
        >>> train([group], rows, loss="mse", epochs=5, batch_size=16, lr=0.01, score=lambda logits: [0.0])
    """
    reuse_memory()
    step_loss = StepLoss(groups, rows, loss, torch.device(device), augmentation)
    stepper = Stepper(step_loss, epochs=epochs, batch_size=batch_size, lr=lr, replay_sample=replay_sample)
    training, state = Training(stepper, score), stepper.state
    if checkpoint is not None and checkpoint.exists():
        state.load(checkpoint, signature)
    reporter = _Reporter(state, stepper.steps, on_progress, checkpoint, signature)
    training.run(reporter)
    reporter.close()
    return training.outcome(reporter.cancelled)


class _Reporter:
    """What accompanies the steps: a checkpoint every few seconds, and progress for the callback."""

    def __init__(
        self, state: TrainingState, steps: int, on_progress: OnProgress | None, checkpoint: Path | None, signature: str
    ) -> None:
        self.state, self.steps, self.on_progress = state, steps, on_progress
        self.checkpoint, self.signature = checkpoint, signature
        self.first_step, self.saved_at, self.snapshots = state.done, time.monotonic(), len(state.recorder.epochs)
        self.cancelled = False

    def __call__(self, point: Point | None = None) -> bool:
        """Report a step, with its point if it has one; return whether to stop."""
        if self.checkpoint is not None and time.monotonic() - self.saved_at > CHECKPOINT_SECONDS:
            self.state.save(self.checkpoint, self.signature)
            self.saved_at = time.monotonic()
        frames = self.state.recorder.snapshots_since(self.snapshots)
        self.snapshots += len(frames)
        progress = Progress(self.state.done, self.steps, point, frames)
        stop = self.on_progress is not None and bool(self.on_progress(progress))
        self.cancelled = stop and self.state.done < self.steps
        return stop

    def close(self) -> None:
        """Write the last checkpoint, so that a resumed training repeats no step; or report that no step was left."""
        if self.state.done > self.first_step and self.checkpoint is not None:
            self.state.save(self.checkpoint, self.signature)
        elif self.first_step == self.steps:
            self()


class Reporter(Protocol):
    """What accompanies the steps of a training.

    Attributes:
        cancelled: whether to end it.
    """

    cancelled: bool

    def __call__(self, point: Point | None = None) -> bool:
        """Report a step, with its point if it has one; return whether to stop."""
        ...


class Training:
    """The steps of one training with its validations.

    Attributes:
        stepper: takes the steps.
        state: what changes.

    Example:
        >>> Training(stepper, score=lambda logits: [0.0]).run(reporter)
    """

    def __init__(self, stepper: Stepper, score: Score) -> None:
        self.stepper, self.score = stepper, score
        self.step_loss, self.state = stepper.step_loss, stepper.state
        self.validated_epochs = validated_epochs(stepper.steps // stepper.steps_per_epoch)
        self.compared_epochs = compared_epochs(self.validated_epochs, stepper.steps)
        self.cosines: list[float | None] = []

    def run(self, reporter: Reporter) -> None:
        """Take the steps that are left, until all members have diverged or the reporter asks to stop."""
        state, stepper = self.state, self.stepper
        if state.done == 0 and state.recorder.active:
            state.recorder.record(0, predict(self.step_loss.students, self.step_loss.rows.val_inputs)["features"])
        while not stepper.over and len(state.diverged) < self.step_loss.students.size and not reporter.cancelled:
            epoch, indices = stepper.epoch, stepper.rest_of_epoch()
            for index, inputs in zip(indices, read_ahead(self.step_loss.rows.inputs, indices), strict=True):
                ends = (state.done + 1) % stepper.steps_per_epoch == 0
                parts = stepper.take(index, inputs, self._compare if ends and epoch in self.compared_epochs else None)
                for name, value in state.sums.items():
                    value += getattr(parts, name).detach()
                point = self._close_epoch(epoch) if ends else None
                if reporter(point):
                    break

    def outcome(self, cancelled: bool) -> Trained:
        """Return what the training came to, every member with its best weights. `cancelled`: whether it was stopped."""
        state = self.state
        for name, population in state.populations.items():
            population.load(state.best[name])
        replay = [state.recorder.stack(group) for group in range(len(self.step_loss.groups))]
        students, teachers = self.step_loss.students, self.step_loss.teachers
        return Trained(students, teachers, state.history, cancelled, state.diverged, replay, state.seconds)

    def _compare(self, parts: LossParts) -> None:
        self.cosines = gradient_cosines(self.step_loss.students, parts)

    def _close_epoch(self, epoch: int) -> Point | None:
        """Mark members that diverged; return the point of this epoch if it is one that is validated."""
        state = self.state
        means = {name: (value / self.stepper.steps_per_epoch).tolist() for name, value in state.sums.items()}
        for value in state.sums.values():
            value.zero_()
        for member in range(self.step_loss.students.size):
            if member not in state.diverged and not all(math.isfinite(values[member]) for values in means.values()):
                state.diverged[member] = epoch
        return self._validate(epoch, means) if epoch in self.validated_epochs else None

    def _validate(self, epoch: int, means: dict[str, list[float]]) -> Point:
        """Score all members on the validation rows, store the best weights and a snapshot, and return the new point."""
        state = self.state
        predicted = predict(self.step_loss.students, self.step_loss.rows.val_inputs)
        state.recorder.record(epoch, predicted["features"])
        scores = self.score(torch.nan_to_num(predicted["logits"]))
        state.store_best(scores)
        losses = (means["prediction"], means["distance"], means["teacher"])
        point = Point(epoch, *losses, scores, gradient_cosine=self.cosines)
        self.cosines = []
        state.history.append(point)
        return point


def validated_epochs(epochs: int) -> set[int]:
    """Return the epochs, from 1, that end in a validation: the first, for a curve to begin at once, and the last."""
    every = max(1, epochs // VALIDATIONS)
    return {1, *range(every, epochs, every), epochs}


@torch.no_grad()
def predict(students: Population, inputs: Tensor | StreamedRows) -> dict[str, Tensor]:
    """Return "features" (m, n, d_s) and "logits" (m, n, k) of all members on the same inputs (n, ...), on the CPU."""
    chunk, done, outputs = min(64, max(1, CHUNK_NUMBERS // math.prod(inputs.shape[1:]))), 0, {}
    for part in inputs.split(chunk):
        for name, values in zip(("features", "logits"), students.on_same(part), strict=False):
            if name not in outputs:  # in one piece: small results between large buffers would leave the heap in holes
                outputs[name] = torch.empty(values.shape[0], len(inputs), values.shape[2], dtype=values.dtype)
            outputs[name][:, done : done + len(part)] = values
        done += len(part)
    return outputs


@torch.no_grad()
def compress(teachers: Population, embeddings: Tensor, chunk: int = 5000, head: int = -1) -> dict[str, Tensor]:
    """Return "compressed" (m, n, d_c) and "logits" (m, n, k) of all teachers, on the CPU.

    Args:
        teachers: m of them.
        embeddings: (n, d_t) for all, or (m, n, d_t) with some for each.
        chunk: rows at a time.
        head: number of the head whose logits these are; the last reads all dimensions.
    """
    parts = [teachers(part.expand(teachers.size, *part.shape[-2:])) for part in embeddings.split(chunk, dim=-2)]
    return {
        "compressed": torch.cat([compressed for compressed, _ in parts], dim=1).cpu(),
        "logits": torch.cat([logits[head] for _, logits in parts], dim=1).cpu(),
    }
