"""What changes while members train, and its checkpoint: a resumed training equals one that never stopped."""

import json
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from kdlib.cache import atomic_path
from kdlib.results import Point
from kdlib.training.optimizer import MemberAdamW
from kdlib.training.population import Population
from kdlib.training.replay import ReplayRecorder, ReplaySample, followed_members


class TrainingState:
    """All that changes while training.

    Args:
        students: all members of all groups, in order.
        teachers: per group, the teachers of its members, or None.
        seeds: per group, those of its members.
        lr: peak learning rate of each member.
        steps: optimizer steps of the whole training.
        replay_sample: rows that the snapshots follow; None for no snapshots.

    Attributes:
        done: optimizer steps done so far.
        history: the points so far.
        diverged: member -> epoch at which its loss stopped being finite.
        best: population -> its parameters with the best validation score of each member so far; before the first
            validation, those it started with.
        sums: name of a loss -> (m,) its sum over the steps of this epoch.
        recorder: the snapshots.
        device: of the parameters.
    """

    def __init__(
        self,
        students: Population,
        teachers: Sequence[Population | None],
        seeds: Sequence[Sequence[int]],
        *,
        lr: Sequence[float],
        steps: int,
        replay_sample: ReplaySample | None,
    ) -> None:
        self.populations = {"students": students} | {
            f"teachers{i}": each for i, each in enumerate(teachers) if each is not None
        }
        self.parameters = [
            value for population in self.populations.values() for value in population.parameters.values()
        ]
        self.device = self.parameters[0].device
        self.members = _members([len(each) for each in seeds])
        rates = [
            [lr[member] for member in self.members[name]]
            for name, population in self.populations.items()
            for _ in population.parameters
        ]
        self.optimizer = MemberAdamW(self.parameters, rates, fused=self.device.type in ("cpu", "cuda"))
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(self.optimizer, self.optimizer.highest, total_steps=steps)
        self.best = {name: population.state() for name, population in self.populations.items()}
        self.best_score = [-math.inf] * students.size
        names = ("prediction", "distance", "teacher")
        self.sums = {name: torch.zeros(students.size, device=self.device) for name in names}
        self.done = 0
        self.history: list[Point] = []
        self.diverged: dict[int, int] = {}
        followed = followed_members(seeds, replay_sample.seeds if replay_sample else None)
        self.recorder = ReplayRecorder(replay_sample, followed, teachers)
        self._seconds_before, self._started = 0.0, time.perf_counter()

    @property
    def seconds(self) -> float:
        """Seconds of training: up to the checkpoint it was resumed from, and since."""
        return self._seconds_before + time.perf_counter() - self._started

    def store_best(self, scores: list[float]) -> None:
        """Store the present weights of every finite member whose score is at least its best so far."""
        better = [i for i, value in enumerate(scores) if i not in self.diverged and value >= self.best_score[i]]
        for i in better:
            self.best_score[i] = scores[i]
        for name, population in self.populations.items():
            rows = [row for row, member in enumerate(self.members[name]) if member in better]
            for key, value in population.parameters.items():
                self.best[name][key][rows] = value.detach()[rows]

    def save(self, path: Path, signature: str) -> None:
        """Write the checkpoint; `signature` names the computation it belongs to."""
        tensors = {f"sums/{name}": value for name, value in self.sums.items()} | self.recorder.tensors()
        for name, population in self.populations.items():
            tensors |= {f"now/{name}/{key}": value for key, value in population.state().items()}
            tensors |= {f"best/{name}/{key}": value for key, value in self.best[name].items()}
        optimizer = self.optimizer.state_dict()
        for index, state in optimizer["state"].items():
            tensors |= {f"optimiser/{index}/{key}": value for key, value in state.items()}
        history = [point.to_dict() for point in self.history]
        notes = {"signature": signature, "done": self.done, "history": history, "groups": optimizer["param_groups"]}
        notes |= {
            "best_score": self.best_score,
            "diverged": list(self.diverged.items()),
            "frames": self.recorder.epochs,
        }
        notes["seconds"] = self.seconds
        with atomic_path(path) as temporary:
            save_file(
                {key: value.contiguous().cpu() for key, value in tensors.items()},
                temporary,
                {"notes": json.dumps(notes)},
            )

    def load(self, path: Path, signature: str) -> bool:
        """Resume from the checkpoint at `path`; return False, unchanged, if it belongs to another training."""
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
                _, index, name = key.split("/")
                state.setdefault(int(index), {})[name] = value
        self.optimizer.load_state_dict({"state": state, "param_groups": notes["groups"]})
        self.schedule.last_epoch = self.done = notes["done"]
        self.history = [Point.from_dict(point) for point in notes["history"]]
        self.best_score, self.diverged = notes["best_score"], dict(notes["diverged"])
        self.recorder.load(notes.get("frames", []), tensors)
        self._seconds_before = notes.get("seconds", 0.0)
        return True

    @torch.no_grad()
    def take_over(self, other: "TrainingState", members: Sequence[int]) -> None:
        """Go on where another training is at the end of an epoch, whose `members` these are, in order.

        Snapshots are not taken over.
        """
        scale = self.optimizer.highest / other.optimizer.highest  # the schedule is proportional to its peak
        for name, population in self.populations.items():
            source, rows = other._rows([members[member] for member in self.members[name]], name == "students")
            population.load({key: value[rows] for key, value in other.populations[source].parameters.items()})
            self.best[name] = {key: value[rows] for key, value in other.best[source].items()}
            pairs = zip(population.parameters.values(), other.populations[source].parameters.values(), strict=True)
            for parameter, old in pairs:
                self.optimizer.state[parameter] = {
                    key: value[rows] if value.ndim else value.clone()
                    for key, value in other.optimizer.state[old].items()
                }
        rates = ("lr", "initial_lr", "max_lr", "min_lr")
        for group, old in zip(self.optimizer.param_groups, other.optimizer.param_groups, strict=True):
            group |= {key: scale * value if key in rates else value for key, value in old.items() if key != "params"}
        self.schedule.last_epoch = self.done = other.done
        self.best_score = [other.best_score[member] for member in members]
        self.diverged = {place: other.diverged[m] for place, m in enumerate(members) if m in other.diverged}
        self._seconds_before = other.seconds

    def _rows(self, members: Sequence[int], students: bool) -> tuple[str, list[int]]:
        """Return the population that holds some members, the students or the teachers of one group, and where there."""
        named = {name: numbers for name, numbers in self.members.items() if (name == "students") == students}
        name, numbers = next((name, numbers) for name, numbers in named.items() if members[0] in numbers)
        return name, [member - numbers.start for member in members]


def _members(sizes: Sequence[int]) -> Mapping[str, range]:
    """Return which members each population holds, by their number among all students."""
    members, start = {"students": range(sum(sizes))}, 0
    for i, size in enumerate(sizes):
        members[f"teachers{i}"] = range(start, start := start + size)
    return members
