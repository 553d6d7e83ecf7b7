"""Training: one plain loop for many members at once.

    total = (1 - λ) · prediction + λ · distance + w · soft labels + teacher loss

The teacher loss moves only the trainable compressor and its head; the distance sees the compressed embedding detached, so it moves only the
student (Ding & Lerch 2024). Branches (one per method) train side by side, all their members in the same vmapped step, each member as if it
were alone: `tests/test_training.py` holds them to that.
"""

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.func import vmap

from kdlib import losses
from kdlib.cache import Arrays, atomic_path
from kdlib.devices import keep_memory
from kdlib.optimiser import AdamW
from kdlib.population import Population
from kdlib.progress import OnProgress, Progress
from kdlib.results import Point
from kdlib.snapshots import Frames, Watched

VALIDATIONS = 20  # how often a training looks at the validation rows, about
CHECKPOINT_SECONDS = 3.0


@dataclass(frozen=True)
class Rows:
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

    def to(self, device: torch.device) -> "Rows":
        """Return the same rows on a device."""
        return Rows(*(value.to(device) for value in vars(self).values()))


@dataclass(frozen=True)
class Branch:
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
        replay: per branch, the snapshots of its first member, as in `Frames.of`.
    """

    students: Population
    teachers: list[Population | None]
    history: list[Point] = field(default_factory=list)
    cancelled: bool = False
    diverged: dict[int, int] = field(default_factory=dict)
    replay: list[Arrays] = field(default_factory=list)


class _Step:
    """The loss of all members on one batch each."""

    def __init__(self, branches: Sequence[Branch], rows: Rows, loss: str, device: torch.device) -> None:
        self.branches, self.rows = branches, rows.to(device)
        self.students = Population([student for branch in branches for student in branch.students], device)
        self.teachers = [Population(branch.teachers, device) if branch.teachers else None for branch in branches]
        self.targets = [None if branch.targets is None else branch.targets.to(device) for branch in branches]
        self.multi_label = rows.labels.ndim == 2
        self.distance = vmap(losses.LOSSES[loss].function)
        self.prediction = vmap(losses.prediction)
        self.weights = torch.tensor([branch.distance_weight for branch in branches for _ in branch.seeds], device=device)

    def __call__(self, index: Tensor) -> dict[str, Tensor]:
        """Return per-member losses (m,), "total" to be minimised and its parts, for the row numbers `index` (m, b)."""
        rows = self.rows
        labels = rows.labels[index]
        _, logits, matched = self.students(rows.inputs[index])
        prediction = self.prediction(logits, labels)
        teaching, softened, pulled = [], [], {}  # the last: width of the target -> members and their targets, compared in one go
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
                    soft_labels = vmap(lambda s, t, at=branch.temperature: losses.soft_labels(s, t, at, multi_label=self.multi_label))
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
            numbers = torch.tensor([i for members, _ in each for i in range(members.start, members.stop)], device=matched.device)
            found = found.index_copy(0, numbers, self.distance(matched[numbers], torch.cat([target for _, target in each])))
        return found

    def populations(self) -> dict[str, Population]:
        named = {f"teachers{i}": population for i, population in enumerate(self.teachers) if population is not None}
        return {"students": self.students} | named


class _Run:
    """All that changes while training: what a checkpoint has to hold."""

    def __init__(self, step: _Step, lr: float, steps: int, watched: Watched | None) -> None:
        self.populations = step.populations()
        self.parameters = [value for population in self.populations.values() for value in population.parameters.values()]
        fused = self.parameters[0].device.type in ("cpu", "cuda")
        self.optimiser = AdamW(self.parameters, lr=lr, fused=fused)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(self.optimiser, lr, total_steps=steps)
        self.best = {name: population.state() for name, population in self.populations.items()}
        self.best_score = [-math.inf] * step.students.size
        self.members = _members(step)
        self.sums = {
            name: torch.zeros(step.students.size, device=self.parameters[0].device) for name in ("prediction", "distance", "teacher")
        }
        self.done = 0
        self.history: list[Point] = []
        self.diverged: dict[int, int] = {}
        self.frames = Frames(watched, [self.members[f"teachers{i}"].start for i in range(len(step.branches))], step.teachers)

    def keep_best(self, found: list[float]) -> None:
        """Keep the present weights of every member that does at least as well as ever and is still finite."""
        better = [i for i, value in enumerate(found) if i not in self.diverged and value >= self.best_score[i]]
        for i in better:
            self.best_score[i] = found[i]
        for name, population in self.populations.items():
            rows = [row for row, member in enumerate(self.members[name]) if member in better]
            for key, value in population.parameters.items():
                self.best[name][key][rows] = value.detach()[rows]

    def save(self, path: Path, signature: str) -> None:
        tensors = {f"sums/{name}": value for name, value in self.sums.items()} | self.frames.tensors()
        for name, population in self.populations.items():
            tensors |= {f"now/{name}/{key}": value for key, value in population.state().items()}
            tensors |= {f"best/{name}/{key}": value for key, value in self.best[name].items()}
        optimiser = self.optimiser.state_dict()
        for index, state in optimiser["state"].items():
            tensors |= {f"optimiser/{index}/{key}": value for key, value in state.items()}
        history = [point.to_dict() for point in self.history]
        notes = {"signature": signature, "done": self.done, "history": history, "groups": optimiser["param_groups"]}
        notes |= {"best_score": self.best_score, "diverged": list(self.diverged.items()), "frames": self.frames.epochs}
        with atomic_path(path) as temporary:
            save_file({key: value.contiguous().cpu() for key, value in tensors.items()}, temporary, {"notes": json.dumps(notes)})

    def load(self, path: Path, signature: str) -> bool:
        """Go on from the checkpoint at `path`; return False, with nothing changed, if it belongs to another training."""
        with safe_open(path, framework="pt") as file:
            notes = json.loads(file.metadata()["notes"])
            if notes["signature"] != signature:
                return False
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        for name, population in self.populations.items():
            population.load({key: tensors[f"now/{name}/{key}"] for key in population.parameters})
            for key, value in self.best[name].items():
                value.copy_(tensors[f"best/{name}/{key}"])
        for name, value in self.sums.items():
            value.copy_(tensors[f"sums/{name}"])
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            if key.startswith("optimiser/"):
                _, index, what = key.split("/")
                state.setdefault(int(index), {})[what] = value
        self.optimiser.load_state_dict({"state": state, "param_groups": notes["groups"]})
        self.schedule.last_epoch = self.done = notes["done"]
        self.history = [Point.from_dict(point) for point in notes["history"]]
        self.best_score, self.diverged = notes["best_score"], dict(notes["diverged"])
        self.frames.load(notes.get("frames", []), tensors)
        return True


def _members(step: _Step) -> dict[str, range]:
    """Return which members each population holds, by their number among all students."""
    found, start = {"students": range(step.students.size)}, 0
    for i, branch in enumerate(step.branches):
        found[f"teachers{i}"] = range(start, start := start + len(branch.seeds))
    return found


def batches(seeds: Sequence[int], epoch: int, rows: int, size: int) -> Tensor:
    """Return the row numbers of one epoch, (steps, members, size): every member shuffles by its own seed, rows left over sit out."""
    orders = {}
    for seed in dict.fromkeys(seeds):
        rng = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
        orders[seed] = torch.randperm(rows, generator=rng)[: rows // size * size].view(-1, size)
    return torch.stack([orders[seed] for seed in seeds], dim=1)


def train(
    branches: Sequence[Branch],
    rows: Rows,
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
    watched: Watched | None = None,
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
        on_progress: called after every step; returning True stops.
        checkpoint: file written every few seconds and resumed from if it is there; an interrupted and resumed training equals an
            uninterrupted one bit by bit on one CPU thread.
        signature: names the computation; a checkpoint with another one is not used.
        watched: rows of which a snapshot is kept before the first step and at every validation.
    """
    keep_memory()
    device = torch.device(device)
    step = _Step(branches, rows, loss, device)
    count = len(rows.inputs)
    size = min(batch_size, count)
    per_epoch = count // size
    run = _Run(step, lr, epochs * per_epoch, watched)
    if checkpoint is not None and checkpoint.exists():
        run.load(checkpoint, signature)
    told = len(run.frames.epochs)
    if watched is not None and run.done == 0:
        run.frames.take(0, predict(step.students, step.rows.val_inputs)["features"])
    seeds = [seed for branch in branches for seed in branch.seeds]
    every = max(1, epochs // VALIDATIONS)
    due = {1, *range(every, epochs, every), epochs}  # the first too, so that whoever watches sees a curve begin at once
    saved, cancelled = time.monotonic(), False
    while run.done < epochs * per_epoch and len(run.diverged) < step.students.size and not cancelled:
        epoch = run.done // per_epoch
        for index in batches(seeds, epoch, count, size)[run.done % per_epoch :]:
            parts = step(index.to(device))
            run.optimiser.zero_grad()
            parts["total"].sum().backward()
            run.optimiser.step()
            run.schedule.step() if run.done + 1 < epochs * per_epoch else None
            run.done += 1
            for name, value in run.sums.items():
                value += parts[name].detach()
            point = _close_epoch(run, step, score, epoch + 1, per_epoch, epoch + 1 in due) if run.done % per_epoch == 0 else None
            if checkpoint is not None and time.monotonic() - saved > CHECKPOINT_SECONDS:
                run.save(checkpoint, signature)
                saved = time.monotonic()
            new = run.frames.since(told)
            told += len(new)
            if on_progress is not None and on_progress(Progress(run.done, epochs * per_epoch, point, new)):
                cancelled = run.done < epochs * per_epoch
                break
    if checkpoint is not None and cancelled:
        run.save(checkpoint, signature)
    for name, population in run.populations.items():
        population.load(run.best[name])
    replay = [run.frames.of(branch) for branch in range(len(branches))]
    return Trained(step.students, step.teachers, run.history, cancelled, run.diverged, replay)


def _close_epoch(run: _Run, step: _Step, score: Callable[[Tensor], list[float]], epoch: int, per_epoch: int, due: bool) -> Point | None:
    """Notice members that diverged, validate where it is time to, and return the point of this epoch if there is one."""
    means = {name: (value / per_epoch).tolist() for name, value in run.sums.items()}
    for value in run.sums.values():
        value.zero_()
    for member in range(step.students.size):
        if member not in run.diverged and not all(math.isfinite(values[member]) for values in means.values()):
            run.diverged[member] = epoch
    if not due:
        return None
    predicted = predict(step.students, step.rows.val_inputs)
    run.frames.take(epoch, predicted["features"])
    found = score(torch.nan_to_num(predicted["logits"]))
    run.keep_best(found)
    point = Point(epoch, **means, val=found)
    run.history.append(point)
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
