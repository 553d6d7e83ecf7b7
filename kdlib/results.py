"""The result of a run, typed: `RunResult` and its parts.

All of it but the arrays travels as JSON. `to_dict` writes the layout of every version, `from_dict` reads it and leaves
out fields that are not known here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from math import isfinite
from typing import Any, ClassVar

import numpy as np

from kdlib.spec import RunSpec
from kdlib.summary import Probe, SplitMetrics, Summary
from kdlib.trials import Tuning

MAY_BE_NULL = ("ci95", "supervised", "bytes_per_embedding")  # fields in which null has a meaning in JSON
CANCELLED_SPLITS = ("val", "test")  # what a run whose training was cancelled still computes: all splits take too long
CURVES = ("prediction", "distance", "teacher", "val", "gradient_cosine")  # of a point, one number per member


@dataclass(frozen=True)
class SpaceStats:
    """Properties of one space.

    Attributes:
        width: numbers per item.
        effective_rank: over the seeds, 1 to width.
        probe: accuracy on the target, for the student's space only.
    """

    width: int
    effective_rank: Summary
    probe: Summary | None = None

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "SpaceStats":
        """Return the space of a JSON object."""
        probe = Summary.from_dict(data["probe"]) if data.get("probe") else None
        return cls(data["width"], Summary.from_dict(data["effective_rank"]), probe)


@dataclass(frozen=True)
class TeacherStats:
    """The teacher of a run and how well the target can be predicted from it.

    Attributes:
        name: in `TEACHERS`, or of an imported table.
        source_task: what it was trained for, in words.
        supervised: whether with labels; None for an untrained or unknown one.
        probe: on the target, from the raw and the compressed embedding.
        head: split -> scores of the teacher head; empty where there is none.
    """

    name: str
    source_task: str
    supervised: bool | None
    probe: Probe
    head: dict[str, SplitMetrics] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "TeacherStats":
        """Return the teacher of a JSON object."""
        head = {split: SplitMetrics.from_dict(scores) for split, scores in data.get("head", {}).items()}
        return cls(data["name"], data["source_task"], data["supervised"], Probe.from_dict(data["probe"]), head)


@dataclass(frozen=True)
class Cost:
    """What a student costs, and what its training took.

    Attributes:
        parameters: of the student at inference, without its adapter.
        multiply_adds: for one item.
        latency_ms: for one item on this machine's processor, milliseconds.
        bytes_per_embedding: of the compressed embedding as float32; None for a baseline.
        seconds: of training, all seeds together.
    """

    parameters: int | None = None
    multiply_adds: int | None = None
    latency_ms: float | None = None
    bytes_per_embedding: int | None = None
    seconds: float | None = None

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Cost":
        """Return the cost of a JSON object; fields of a later version are left out."""
        return cls(**{name: data.get(name) for name in cls.__dataclass_fields__})


@dataclass(frozen=True)
class Point:
    """The curves of a training after an epoch that was validated; one number per member in each list.

    Attributes:
        epoch: from 1 up.
        prediction, distance, teacher: mean losses of the epoch; not finite for a member that diverged.
        val: validation score, a fraction.
        t: when it was recorded, seconds since 1970; None where it was not.
        gradient_cosine: between the gradients of prediction and distance on the last batch, in [-1, 1]; None for
            members without a distance; empty at points where it was not computed.
    """

    epoch: int
    prediction: list[float] = field(default_factory=list)
    distance: list[float] = field(default_factory=list)
    teacher: list[float] = field(default_factory=list)
    val: list[float] = field(default_factory=list)
    t: float | None = None
    gradient_cosine: list[float | None] = field(default_factory=list)

    def finite(self, curve: str) -> list[float]:
        """Return the finite numbers of a curve, a name in `CURVES`."""
        return [value for value in getattr(self, curve) if value is not None and isfinite(value)]

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold; an unknown time and cosines that were not computed are left out."""
        return {name: value for name, value in vars(self).items() if name not in ("t", "gradient_cosine") or value}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Point":
        """Return the point of a JSON object; anything else it holds is left out."""
        return cls(**{name: data[name] for name in cls.__dataclass_fields__ if data.get(name) is not None})


@dataclass(frozen=True)
class GridCell:
    """One setting of a grid, trained with every seed.

    Attributes:
        settings: field -> value, for the axes of the grid.
        val: validation score over the seeds, each with its best weights; None where a seed diverged or none was scored.
        reason: why there is no score, otherwise "".
    """

    settings: dict[str, float]
    val: Summary | None = None
    reason: str = ""

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "GridCell":
        """Return the cell of a JSON object."""
        val = Summary.from_dict(data["val"]) if data.get("val") else None
        return cls(dict(data["settings"]), val, data.get("reason", ""))


@dataclass(frozen=True)
class Grid:
    """A grid of settings that trained as one population.

    No cell but the chosen one was tested, so that the choice cannot look at the test set.

    Attributes:
        cells: every combination of the values, the last axis varying fastest.
        chosen: number of the cell that is best on validation; everything else in the result is of its members.
    """

    cells: list[GridCell]
    chosen: int

    @property
    def best(self) -> GridCell:
        """The chosen cell."""
        return self.cells[self.chosen]

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Grid":
        """Return the grid of a JSON object."""
        return cls([GridCell.from_dict(cell) for cell in data["cells"]], data["chosen"])


@dataclass(frozen=True)
class RunResult:
    """The result of a run. Everything except `arrays` is JSON.

    Attributes:
        spec: what was run.
        status: "done", "cancelled" or "failed".
        reason: why it failed ("diverged: ..."), otherwise "".
        metrics: split -> scores; splits "val", "test", "ood:..." and "ood", the mean of these; empty unless it is done.
        teacher: None for a baseline, and unless it is done.
        spaces: "raw", "compressed", "student" -> what it is like.
        attributes: attribute -> probe accuracies in each space.
        cost: of student and training.
        history: the points of `Progress`, in order.
        grid: of a spec with a grid, all its cells; everything else here is of the members of the chosen one.
        tuning: of a spec that is tuned, all its trials; everything else here is of the chosen setting, trained anew.
        figures: its charts; `kdlib.notebook` adds them, so that results need no library of figures.
        subsets: of a result that holds runs of several draws of labelled rows, see `pool_subsets`, their numbers.
        arrays: "student/<parameter>" (m, ...) weights of all members; "teacher/<parameter>" of trainable compressors
            with their heads; "features/<split>" (m, n, d_s); "logits/<split>" (m, n, k);
            "compressed/<split>" (m, n, d_c);
            "replay/...": where some validation rows lay in the spaces of the first member while these formed, named as
            in `ReplayRecorder.stack`.
    """

    spec: RunSpec
    status: str = "done"
    reason: str = ""
    metrics: dict[str, SplitMetrics] = field(default_factory=dict)
    teacher: TeacherStats | None = None
    spaces: dict[str, SpaceStats] = field(default_factory=dict)
    attributes: dict[str, Probe] = field(default_factory=dict)
    cost: Cost = field(default_factory=Cost)
    history: list[Point] = field(default_factory=list)
    grid: Grid | None = None
    tuning: Tuning | None = None
    subsets: tuple[int, ...] = ()
    arrays: dict[str, np.ndarray] = field(default_factory=dict, repr=False, compare=False)
    figures: ClassVar[Any]

    def score(self, split: str) -> Summary | None:
        """Return the score that counts first on a split, None where there is none."""
        return self.metrics[split].primary if split in self.metrics else None

    @property
    def setting(self) -> RunSpec:
        """What the members were trained with: the chosen cell of a grid, what tuning chose, otherwise the spec."""
        if self.tuning is not None:
            return self.tuning.setting(self.spec)
        return self.spec if self.grid is None else self.spec.cells[self.grid.chosen]

    @property
    def primary_name(self) -> str:
        """The metric that counts first: "accuracy", or "map" for several labels an item."""
        return next((metrics.primary_name for metrics in self.metrics.values()), "accuracy")

    def to_dict(self) -> dict[str, Any]:
        """Return everything except the arrays as what JSON can hold."""
        values = {field.name: _to_json(getattr(self, field.name)) for field in fields(self) if field.name != "arrays"}
        for name in ("grid", "tuning", "subsets"):
            if not getattr(self, name):
                del values[name]
        return values | {"teacher": values["teacher"] or {}, "spec": self.spec.to_dict()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], arrays: dict[str, np.ndarray] | None = None) -> "RunResult":
        """Return the result that `to_dict` wrote, in this or another version."""
        return cls(
            RunSpec.from_record(data["spec"]),
            data.get("status", "done"),
            data.get("reason", ""),
            {split: SplitMetrics.from_dict(scores) for split, scores in data.get("metrics", {}).items()},
            TeacherStats.from_dict(data["teacher"]) if data.get("teacher") else None,
            {name: SpaceStats.from_dict(space) for name, space in data.get("spaces", {}).items()},
            {name: Probe.from_dict(probe) for name, probe in data.get("attributes", {}).items()},
            Cost.from_dict(data.get("cost", {})),
            [Point.from_dict(point) for point in data.get("history", [])],
            Grid.from_dict(data["grid"]) if data.get("grid") else None,
            Tuning.from_dict(data["tuning"]) if data.get("tuning") else None,
            tuple(data.get("subsets", ())),
            arrays or {},
        )


class Comparison(list[RunResult]):
    """Results side by side: a list of them, with figures.

    Attributes:
        figures: their charts; `kdlib.notebook` adds them.
    """

    figures: ClassVar[Any]


def _to_json(value: Any) -> Any:
    """Return a typed value as what JSON can hold; None is left out, except in `MAY_BE_NULL`."""
    if isinstance(value, SplitMetrics):
        return _to_json(value.scores)
    if isinstance(value, dict):
        return {name: _to_json(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_to_json(item) for item in value]
    if isinstance(value, Summary):
        return value.to_dict()
    if isinstance(value, Cost) and value == Cost():
        return {}
    if isinstance(value, Tuning | Point):
        return value.to_dict()
    if isinstance(value, Probe | SpaceStats | TeacherStats | Cost | Grid | GridCell):
        return {
            name: _to_json(item) for name, item in vars(value).items() if item not in (None, {}) or name in MAY_BE_NULL
        }
    return value
