"""Training: one plain loop for many members at once.

    total = (1 - λ) · prediction + λ · distance + w · soft labels + teacher loss

The teacher loss moves only the trainable compressor and its head; the distance sees the compressed embedding detached, so it moves only the
student (Ding & Lerch 2024). Branches (one per method) train side by side, all their members in the same vmapped step, each member as if it
were alone: `tests/test_training.py` holds them to that.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.func import vmap

from kdlib.cache import Arrays
from kdlib.progress import OnProgress, Progress
from kdlib.results import Point
from kdlib.training import losses
from kdlib.training.devices import reuse_memory
from kdlib.training.population import Population
from kdlib.training.replay import ReplaySample
from kdlib.training.state import TrainingState

VALIDATIONS = 20  # how often a training looks at the validation rows, about
CHECKPOINT_SECONDS = 3.0


@dataclass(frozen=True)
class TrainingData:
    """What the members learn from, and are chosen on.

    Attributes:
        inputs: (n, ...) float32.
        labels: (n,) int64 or (n, k) float32 with NaN.
        embeddings: (n, d_t) float32; width 0 where no branch has a teacher.
        val_inputs: (v, ...) float32.
        val_labels: as `labels`.
    """

    inputs: Tensor
    labels: Tensor
    embeddings: Tensor
    val_inputs: Tensor
    val_labels: Tensor

    def to(self, device: torch.device) -> "TrainingData":
        """Return the same rows on a device."""
        return TrainingData(*(value.to(device) for value in vars(self).values()))


@dataclass(frozen=True)
class MethodGroup:
    """The members of one method.

    Attributes:
        students: one per seed.
        seeds: order of the batches, one per member.
        teachers: for a trainable compressor (or soft labels), one `TeacherBranch` per seed.
        targets: for a fixed compressor, what the students are pulled to: (m, n, d_c). A baseline has neither.
        distance_weight: λ in [0, 1].
        soft_label_weight: >= 0.
        temperature: of the soft labels.
    """

    students: Sequence[nn.Module]
    seeds: Sequence[int]
    teachers: Sequence[nn.Module] = ()
    targets: Tensor | None = None
    distance_weight: float = 0.0
    soft_label_weight: float = 0.0
    temperature: float = 1.0


@dataclass
class Trained:
    """What a training leaves behind.

    Attributes:
        students: all members of all branches, in order, with their best weights by validation score.
        teachers: per branch, its trained `TeacherBranch`es, or None.
        history: one point per validation.
        cancelled: whether `on_progress` asked to stop.
        diverged: member -> epoch at which its loss stopped being finite.
        replay: per branch, the snapshots of its first member, as in `ReplayRecorder.of`.
        seconds: how long it took, without what came between an interruption and the checkpoint before it.
    """

    students: Population
    teachers: list[Population | None]
    history: list[Point] = field(default_factory=list)
    cancelled: bool = False
    diverged: dict[int, int] = field(default_factory=dict)
    replay: list[Arrays] = field(default_factory=list)
    seconds: float = 0.0


class _StepLoss:
    """The loss of all members on one batch each."""

    def __init__(self, branches: Sequence[MethodGroup], rows: TrainingData, loss: str, device: torch.device) -> None:
        self.branches, self.rows = branches, rows.to(device)
        self.students = Population([student for branch in branches for student in branch.students], device)
        self.teachers = [Population(branch.teachers, device) if branch.teachers else None for branch in branches]
        self.targets = [None if branch.targets is None else branch.targets.to(device) for branch in branches]
        self.multi_label = rows.labels.ndim == 2
        self.distance = vmap(losses.LOSSES[loss].function)
        self.prediction = vmap(losses.prediction)
        self.weights = torch.tensor(
            [branch.distance_weight for branch in branches for _ in branch.seeds], device=device
        )

    def __call__(self, index: Tensor) -> dict[str, Tensor]:
        """Return per-member losses (m,), "total" to be minimised and its parts, for the row numbers `index` (m, b)."""
        rows = self.rows
        labels = rows.labels[index]
        _, logits, matched = self.students(rows.inputs[index])
        prediction = self.prediction(logits, labels)
        teaching, softened, pulled = (
            [],
            [],
            {},
        )  # the last: width of the target -> members and their targets, compared in one go
        start = 0
        for branch, teachers, targets in zip(self.branches, self.teachers, self.targets, strict=True):
            members = slice(start, start := start + len(branch.seeds))
            zero = prediction.new_zeros(len(branch.seeds))
            target, teacher, soft = None, zero, zero
            if targets is not None:
                target = targets[torch.arange(len(branch.seeds), device=index.device)[:, None], index[members]]
            if teachers is not None:
                embedding = rows.embeddings[index[members]] if targets is None else target
                compressed, prefix_logits = teachers(embedding)
                target = compressed.detach() if targets is None else target
                teacher = torch.stack([self.prediction(each, labels[members]) for each in prefix_logits]).mean(0)
                if branch.soft_label_weight:
                    soft_labels = vmap(
                        lambda s, t, at=branch.temperature: losses.soft_labels(s, t, at, multi_label=self.multi_label)
                    )
                    soft = branch.soft_label_weight * soft_labels(logits[members], prefix_logits[-1].detach())
            if target is not None and branch.distance_weight:
                pulled.setdefault(target.shape[-1], []).append((members, target))
            teaching.append(teacher)
            softened.append(soft)
        distance, teacher, soft = self.distances(matched, pulled), torch.cat(teaching), torch.cat(softened)
        total = (1 - self.weights) * prediction + self.weights * distance + soft + teacher
        return {"total": total, "prediction": prediction, "distance": distance, "teacher": teacher}

    def distances(self, matched: Tensor, pulled: dict[int, list[tuple[slice, Tensor]]]) -> Tensor:
        """Return the distance loss of every member (m,): those with targets of one width in one call, 0 for those without a target."""
        found = matched.new_zeros(len(matched))
        for each in pulled.values():
            numbers = torch.tensor(
                [i for members, _ in each for i in range(members.start, members.stop)], device=matched.device
            )
            found = found.index_copy(
                0, numbers, self.distance(matched[numbers], torch.cat([target for _, target in each]))
            )
        return found


def batches(seeds: Sequence[int], epoch: int, rows: int, size: int) -> Tensor:
    """Return the row numbers of one epoch, (steps, members, size): every member shuffles by its own seed, rows left over sit out."""
    orders = {}
    for seed in dict.fromkeys(seeds):
        rng = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
        orders[seed] = torch.randperm(rows, generator=rng)[: rows // size * size].view(-1, size)
    return torch.stack([orders[seed] for seed in seeds], dim=1)


def train(
    branches: Sequence[MethodGroup],
    rows: TrainingData,
    *,
    loss: str,
    epochs: int,
    batch_size: int,
    lr: float,
    score: Callable[[Tensor], list[float]],
    device: torch.device | str = "cpu",
    on_progress: OnProgress | None = None,
    checkpoint: Path | None = None,
    signature: str = "",
    watched: ReplaySample | None = None,
) -> Trained:
    """Train all members of all branches together: AdamW, one-cycle learning rate, best weights by validation score kept per member.

    Args:
        branches: whose students have one architecture.
        rows: what to learn from.
        loss: a name in `LOSSES`.
        epochs: passes over `rows`.
        batch_size: rows per step and member; all of them if there are fewer.
        lr: peak learning rate.
        score: validation logits (m, v, k) on the CPU -> one number per member, higher is better.
        device: where to compute.
        on_progress: called after every step; returning True stops. A training that a checkpoint has at its end already calls it once.
        checkpoint: file written every few seconds and at the end, and resumed from if it is there; an interrupted and resumed training
            equals an uninterrupted one bit by bit on one CPU thread.
        signature: names the computation; a checkpoint with another one is not used.
        watched: rows of which a snapshot is kept before the first step and at every validation.
    """
    reuse_memory()
    device = torch.device(device)
    step = _StepLoss(branches, rows, loss, device)
    seeds, size = [seed for branch in branches for seed in branch.seeds], min(batch_size, len(rows.inputs))
    per_epoch = len(rows.inputs) // size
    steps = epochs * per_epoch
    state = TrainingState(
        step.students, step.teachers, [len(b.seeds) for b in branches], lr=lr, steps=steps, watched=watched
    )
    if checkpoint is not None and checkpoint.exists():
        state.load(checkpoint, signature)
    reporter = _Reporter(state, steps, on_progress, checkpoint, signature)
    if watched is not None and state.done == 0:
        state.frames.take(0, predict(step.students, step.rows.val_inputs)["features"])
    due = _validated_epochs(epochs)
    while state.done < steps and len(state.diverged) < step.students.size and not reporter.cancelled:
        epoch = state.done // per_epoch + 1
        for index in batches(seeds, epoch - 1, len(rows.inputs), size)[state.done % per_epoch :]:
            _take_step(step, state, index.to(device), last=state.done + 1 == steps)
            point = (
                _close_epoch(state, step, score, epoch, per_epoch, epoch in due)
                if state.done % per_epoch == 0
                else None
            )
            if reporter(point):
                break
    reporter.close()
    for name, population in state.populations.items():
        population.load(state.best[name])
    replay = [state.frames.of(branch) for branch in range(len(branches))]
    return Trained(
        step.students, step.teachers, state.history, reporter.cancelled, state.diverged, replay, state.seconds
    )


class _Reporter:
    """What accompanies the steps: a checkpoint every few seconds, and progress for the callback."""

    def __init__(
        self, state: TrainingState, steps: int, on_progress: OnProgress | None, checkpoint: Path | None, signature: str
    ) -> None:
        self.state, self.steps, self.on_progress = state, steps, on_progress
        self.checkpoint, self.signature = checkpoint, signature
        self.first, self.saved, self.frames = state.done, time.monotonic(), len(state.frames.epochs)
        self.cancelled = False

    def __call__(self, point: Point | None = None) -> bool:
        """Report a step, with its point if it has one; return whether the training shall stop."""
        if self.checkpoint is not None and time.monotonic() - self.saved > CHECKPOINT_SECONDS:
            self.state.save(self.checkpoint, self.signature)
            self.saved = time.monotonic()
        frames = self.state.frames.since(self.frames)
        self.frames += len(frames)
        stop = self.on_progress is not None and bool(
            self.on_progress(Progress(self.state.done, self.steps, point, frames))
        )
        self.cancelled = stop and self.state.done < self.steps
        return stop

    def close(self) -> None:
        """Write the last checkpoint, so that whoever goes on from it repeats no step; or report that there was none to take."""
        if self.state.done > self.first and self.checkpoint is not None:
            self.state.save(self.checkpoint, self.signature)
        elif self.first == self.steps:
            self()


def _validated_epochs(epochs: int) -> set[int]:
    """Return after which epochs, counted from 1, there is a validation: the first too, so that a curve begins at once, and the last."""
    every = max(1, epochs // VALIDATIONS)
    return {1, *range(every, epochs, every), epochs}


def _take_step(step: _StepLoss, state: TrainingState, index: Tensor, last: bool) -> None:
    """Let every member learn from one batch, the row numbers `index` (m, b)."""
    parts = step(index)
    state.optimiser.zero_grad()
    parts["total"].sum().backward()
    state.optimiser.step()
    if not last:
        state.schedule.step()
    state.done += 1
    for name, value in state.sums.items():
        value += parts[name].detach()


def _close_epoch(
    state: TrainingState, step: _StepLoss, score: Callable[[Tensor], list[float]], epoch: int, per_epoch: int, due: bool
) -> Point | None:
    """Notice members that diverged, validate where it is time to, and return the point of this epoch if there is one."""
    means = {name: (value / per_epoch).tolist() for name, value in state.sums.items()}
    for value in state.sums.values():
        value.zero_()
    for member in range(step.students.size):
        if member not in state.diverged and not all(math.isfinite(values[member]) for values in means.values()):
            state.diverged[member] = epoch
    if not due:
        return None
    predicted = predict(step.students, step.rows.val_inputs)
    state.frames.take(epoch, predicted["features"])
    found = score(torch.nan_to_num(predicted["logits"]))
    state.keep_best(found)
    point = Point(epoch, **means, val=found)
    state.history.append(point)
    return point


@torch.no_grad()
def predict(students: Population, inputs: Tensor, chunk: int = 50) -> dict[str, Tensor]:
    """Return "features" (m, n, d_s) and "logits" (m, n, k) of all members on the same inputs (n, ...), on the CPU."""
    parts = [students.on_same(part)[:2] for part in inputs.split(chunk)]
    features, logits = (torch.cat(kind, dim=1).cpu() for kind in zip(*parts, strict=True))
    return {"features": features, "logits": logits}


@torch.no_grad()
def compress(teachers: Population, embeddings: Tensor, chunk: int = 5000) -> dict[str, Tensor]:
    """Return "compressed" (m, n, d_c) and "logits" (m, n, k) of all teacher branches, on the CPU.

    Args:
        teachers: m of them.
        embeddings: (n, d_t) for all, or (m, n, d_t) with some for each.
        chunk: rows at a time.
    """
    parts = [teachers(part.expand(teachers.size, *part.shape[-2:])) for part in embeddings.split(chunk, dim=-2)]
    return {
        "compressed": torch.cat([compressed for compressed, _ in parts], dim=1).cpu(),
        "logits": torch.cat([logits[-1] for _, logits in parts], dim=1).cpu(),
    }
