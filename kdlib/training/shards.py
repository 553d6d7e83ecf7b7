"""Shards: the members of one training shared out among processes of one thread each, see `kdlib.processes`.

Members do not know of one another, so each ends up as in one process; `tests/test_shards.py` compares.
"""

import math
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, TypedDict, Unpack

import torch
from torch import Tensor

from kdlib.cache import Arrays
from kdlib.processes import count_processes, forked, receive
from kdlib.progress import OnProgress, Progress
from kdlib.results import Point
from kdlib.training.loop import Score, Trained, train
from kdlib.training.member_chains import is_chain, load_library
from kdlib.training.population import Population
from kdlib.training.replay import ReplaySample
from kdlib.training.step_loss import MethodGroup, TrainingData

MIN_MEMBERS = 2  # of a shard: fewer share too little of what a step costs besides its computing
WORTH = 3000  # steps of members from which processes repay their start, some seconds of training
REPORT_SECONDS = 0.1  # between two reports of a process


class Settings(TypedDict):
    """What `train` also takes, see there."""

    loss: str
    epochs: int
    batch_size: int
    lr: float | Sequence[float]
    score: Score
    augmentation: str


@dataclass(frozen=True)
class Shard:
    """Some members of a training.

    Attributes:
        parts: number of a group -> which of its members.
        members: their numbers among all members.
    """

    parts: dict[int, list[int]]
    members: list[int]


@dataclass
class _Outcome:
    """What the training of a shard came to; parameters as arrays, by name."""

    students: Arrays
    teachers: list[Arrays | None]
    history: list[Point]
    cancelled: bool
    diverged: dict[int, int]
    replay: list[list[Arrays]]
    seconds: float


def train_in_shards(
    groups: Sequence[MethodGroup],
    rows: TrainingData,
    *,
    device: torch.device,
    on_progress: OnProgress | None = None,
    checkpoint: Path | None = None,
    signature: str = "",
    replay_sample: ReplaySample | None = None,
    **settings: Unpack[Settings],
) -> Trained:
    """Return what `train` returns, with the same arguments, by as many processes as there are threads where that pays.

    `on_progress` is called some ten times a second and after every validation, when all processes have reached it. Each
    process has a checkpoint of its own beside `checkpoint`; with another number of processes none of them is used.

    Raises:
        RuntimeError: a process ended before it was over.

    Example:
        >>> trained = train_in_shards(groups, rows, loss="mse", epochs=30, batch_size=32, lr=0.01, score=score,
        ...     augmentation="none", device=torch.device("cpu"))
    """
    steps = settings["epochs"] * max(1, len(rows.inputs) // settings["batch_size"])
    count = 1 if checkpoint is not None and checkpoint.exists() else count_shards(groups, device, steps)
    shared: dict[str, Any] = {"device": device, "signature": signature, **settings}
    if count == 1:
        return train(
            groups, rows, on_progress=on_progress, checkpoint=checkpoint, replay_sample=replay_sample, **shared
        )
    if any(map(is_chain, groups[0].students[0].modules())):
        load_library()  # compiled here once, not by every process
    shards = split_members(groups, count)
    works = []
    for number, shard in enumerate(shards):
        own = _arguments(groups, shard, settings["lr"], replay_sample)
        path = None if checkpoint is None else checkpoint.with_suffix(f".shard{number}of{count}{checkpoint.suffix}")
        works.append(shared | own | {"rows": rows, "checkpoint": path})
    return _join(groups, shards, _run_processes(works, shards, steps, on_progress), device)


def count_shards(groups: Sequence[MethodGroup], device: torch.device, steps: int) -> int:
    """Return by how many processes a training is done: 1 where more would not pay."""
    members = sum(len(group.seeds) for group in groups)
    return count_processes(members // MIN_MEMBERS) if device.type == "cpu" and members * steps >= WORTH else 1


def split_members(groups: Sequence[MethodGroup], count: int) -> list[Shard]:
    """Return all members in `count` shards that differ by one member at most.

    Example:
        >>> [shard.parts for shard in split_members([group_of_three, group_of_two], 2)]
        [{0: [0, 1, 2]}, {1: [0, 1]}]
    """
    places = [(number, member) for number, group in enumerate(groups) for member in range(len(group.seeds))]
    ends = [-(-len(places) * (shard + 1) // count) for shard in range(count)]
    shards = []
    for start, end in zip([0, *ends], ends, strict=False):
        parts: dict[int, list[int]] = {}
        for number, member in places[start:end]:
            parts.setdefault(number, []).append(member)
        shards.append(Shard(parts, list(range(start, end))))
    return shards


def _arguments(
    groups: Sequence[MethodGroup], shard: Shard, lr: float | Sequence[float], sample: ReplaySample | None
) -> dict[str, Any]:
    """Return the arguments of `train` that differ from shard to shard."""
    rates = [lr[member] for member in shard.members] if isinstance(lr, Sequence) else lr
    if sample is not None:
        seeds = [groups[number].seeds[0] if sample.seeds is None else sample.seeds[number] for number in shard.parts]
        sample = replace(sample, fixed=[sample.fixed[number] for number in shard.parts], seeds=seeds)
    own = [groups[number].subset(members) for number, members in shard.parts.items()]
    return {"groups": own, "lr": rates, "replay_sample": sample}


def _run_processes(
    works: Sequence[dict[str, Any]], shards: Sequence[Shard], steps: int, on_progress: OnProgress | None
) -> list[_Outcome]:
    """Return what each work came to."""
    progress = _JointProgress(shards, steps)
    outcomes: dict[int, _Outcome] = {}
    stopped = False
    with forked([partial(_work, work) for work in works]) as connections:
        while len(outcomes) < len(works):
            pending = [each for number, each in enumerate(connections) if number not in outcomes]
            ready = wait(pending)
            for number, connection in enumerate(connections):
                if connection not in ready:
                    continue
                message = receive(connection)
                if isinstance(message, _Outcome):
                    outcomes[number] = message
                for each in progress.add(number, message):
                    stop = on_progress is not None and bool(on_progress(each))
                    if stop and not stopped:
                        _ask_to_stop(connections)
                    stopped = stopped or stop
    return [outcomes[number] for number in range(len(works))]


def _ask_to_stop(connections: Sequence[Connection]) -> None:
    for connection in connections:
        with suppress(OSError):  # it is over by itself
            connection.send(True)


def _work(work: dict[str, Any], connection: Connection) -> None:
    """Train, and send what came of it."""
    trained = train(**work, on_progress=_Reporter(connection))
    teachers = [None if each is None else _arrays(each.parameters) for each in trained.teachers]
    kept = (trained.history, trained.cancelled, trained.diverged, trained.replay, trained.seconds)
    connection.send(_Outcome(_arrays(trained.students.parameters), teachers, *kept))


class _Reporter:
    """Sends progress a few times a second, and hears whether to stop."""

    def __init__(self, connection: Connection) -> None:
        self._connection, self._sent_at, self._stopped = connection, 0.0, False

    def __call__(self, progress: Progress) -> bool:
        now = time.monotonic()
        if progress.point is not None or progress.step == progress.steps or now - self._sent_at > REPORT_SECONDS:
            self._connection.send(progress)
            self._sent_at = now
        if not self._stopped and self._connection.poll():
            self._stopped = self._connection.recv()  # EOFError where nobody is left to train for
        return self._stopped


@dataclass
class _JointProgress:
    """The progress of all shards as that of one training: it is as far as the last of them."""

    shards: Sequence[Shard]
    steps: int
    done: list[int] = field(init=False)
    points: list[list[Point]] = field(init=False)
    over: set[int] = field(default_factory=set)
    reported: int = 0
    frames: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.done = [-1] * len(self.shards)  # nothing heard yet
        self.points = [[] for _ in self.shards]

    def add(self, number: int, message: Progress | _Outcome) -> list[Progress]:
        """Return what there is to report after a message of a shard."""
        if isinstance(message, _Outcome):
            self.over.add(number)
            self.done[number] = self.steps
        else:
            self.done[number] = message.step
            self.points[number] += [] if message.point is None else [message.point]
            self.frames += message.frames if number == 0 else ()  # of the first member of all
        done, reports = min(self.done), []
        if done < 0:
            return []
        for point in join_points(self.points, self.over, self.shards)[self.reported :]:
            ready = [each for each in self.frames if each["epoch"] <= point.epoch]
            self.frames = [each for each in self.frames if each["epoch"] > point.epoch]
            reports.append(Progress(done, self.steps, point, ready))
        self.reported += len(reports)
        return reports or [Progress(done, self.steps)]


def join_points(points: Sequence[list[Point]], over: set[int], shards: Sequence[Shard]) -> list[Point]:
    """Return the points that all shards have reached, each with all members.

    A shard that is over before the others, as all its members diverged, goes on with what its members had last, their
    losses not finite.

    Args:
        points: per shard, in order.
        over: shards that will have no more points.
        shards: in order.
    """
    waiting = [len(each) for number, each in enumerate(points) if number not in over]
    reached = min(waiting) if waiting else max(map(len, points))
    epochs = max(points, key=len)[:reached]
    joined = []
    for place, longest in enumerate(epochs):
        parts = [
            each[place] if place < len(each) else _ended(len(shard.members), each)
            for each, shard in zip(points, shards, strict=True)
        ]
        prediction, distance, teacher, val = (
            [value for part in parts for value in getattr(part, name)]
            for name in ("prediction", "distance", "teacher", "val")
        )
        cosines: list[float | None] = []
        if any(part.gradient_cosine for part in parts):
            for part, shard in zip(parts, shards, strict=True):
                cosines += part.gradient_cosine or [None] * len(shard.members)
        joined.append(Point(longest.epoch, prediction, distance, teacher, val, gradient_cosine=cosines))
    return joined


def _ended(members: int, points: Sequence[Point]) -> Point:
    """Return a point of members that are trained no longer."""
    lost = [math.nan] * members
    return Point(0, lost, lost, lost, points[-1].val if points else [0.0] * members)


def _join(
    groups: Sequence[MethodGroup], shards: Sequence[Shard], outcomes: Sequence[_Outcome], device: torch.device
) -> Trained:
    """Return the outcomes of all shards as that of one training."""
    cancelled = any(each.cancelled for each in outcomes)
    students = Population([student for group in groups for student in group.students], device)
    students.load(_concatenated([each.students for each in outcomes]))
    teachers: list[Population | None] = []
    replay: list[list[Arrays]] = []
    for number, group in enumerate(groups):
        own = [
            (outcome, list(shard.parts).index(number))
            for shard, outcome in zip(shards, outcomes, strict=True)
            if number in shard.parts
        ]
        replay.append([arrays for outcome, place in own for arrays in outcome.replay[place]])
        teachers.append(Population(group.teachers, device) if group.teachers else None)
        parts = [part for outcome, place in own if (part := outcome.teachers[place]) is not None]
        if (joint := teachers[-1]) is not None:
            joint.load(_concatenated(parts))
    over = set() if cancelled else set(range(len(shards)))
    history = join_points([each.history for each in outcomes], over, shards)
    diverged = {
        shard.members[member]: epoch
        for shard, outcome in zip(shards, outcomes, strict=True)
        for member, epoch in outcome.diverged.items()
    }
    seconds = max(each.seconds for each in outcomes)
    return Trained(students, teachers, history, cancelled, diverged, replay, seconds)


def _arrays(parameters: dict[str, Tensor]) -> Arrays:
    return {name: value.detach().numpy() for name, value in parameters.items()}


def _concatenated(parts: Sequence[Arrays]) -> dict[str, Tensor]:
    return {name: torch.cat([torch.from_numpy(part[name]) for part in parts]) for name in parts[0]}
