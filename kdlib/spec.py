"""What to run (`RunSpec`), how it is going (`Progress`) and what came of it (`RunResult`).

A spec says everything that decides the outcome and nothing else: not the device, not the name a person gave it. The hash of its canonical
JSON is its identity, so the same question is asked only once. Both travel as JSON, between processes and over years.
"""

import hashlib
import json
import reprlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from numbers import Integral, Real
from typing import Any

import numpy as np

FORMAT = 1  # part of every identity: raise it when the same spec would mean another computation

BASELINE, RAW = "baseline", "raw"  # the two methods that are no compressor: no teacher at all, the teacher's embedding as it is
METHOD_HELPS = {BASELINE: "No teacher: the student learns from the labels alone", RAW: "The teacher's embedding as it is"}
FOLLOWING = ("teacher", "dim", "distance_weight", "student", "width", "labels", "epochs", "lr")  # what `checks.usual` fits to the data
TEACHER_FIELDS = ("teacher", "dim", "loss", "distance_weight", "soft_label_weight", "temperature")  # what a baseline does without
UNCOMPRESSED = (RAW, "none")  # methods whose target is as wide as the embedding, whatever `dim` says
POINTWISE = ("mse", "cosine", "info_nce")  # losses that give the student an adapter, even with a weight of 0
EXPECTED = {str: "text", int: "a whole number", float: "a number"}


@dataclass(frozen=True)
class RunSpec:
    """One method of knowledge transfer on one dataset, trained once per seed.

    Attributes:
        dataset: a name in `DATASETS`.
        labels: how many training rows keep their label; the student learns from these.
        teacher: a name in `TEACHERS`.
        method: "baseline" (no teacher), "raw" (teacher, no compressor) or a name in `COMPRESSORS`.
        dim: width d_c of the compressed embedding.
        loss: the distance between student features and target; a name in `LOSSES`.
        distance_weight: λ in [0, 1]: total = (1 - λ) · prediction + λ · distance.
        soft_label_weight: weight >= 0 of the term that pulls the student to the teacher head's probabilities.
        temperature: of the soft labels, > 0.
        student: a name in `STUDENTS`.
        width: the student's size dial.
        epochs: passes over the labelled rows.
        batch_size: rows per step.
        lr: peak learning rate of the one-cycle schedule.
        seeds: members trained: seeds 0 ... seeds - 1.
    """

    dataset: str = "cluttered-digits"
    labels: int = 1000
    teacher: str = "simclr"
    method: str = "mlp"
    dim: int = 16
    loss: str = "distance_correlation"
    distance_weight: float = 0.85
    soft_label_weight: float = 0.0
    temperature: float = 4.0
    student: str = "cnn"
    width: int = 8
    epochs: int = 30
    batch_size: int = 32
    lr: float = 0.01
    seeds: int = 5

    def __post_init__(self) -> None:
        """Bring every value to the type of its field, so that equal values are one computation.

        Raises:
            ValueError: a value is of another kind; the message names the field.
        """
        for each in fields(self):
            object.__setattr__(self, each.name, _typed(each.name, each.type, getattr(self, each.name)))

    def to_json(self) -> str:
        """Return the canonical JSON: sorted keys, no spaces."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "RunSpec":
        """Return the spec of a JSON object. Missing fields take their defaults.

        Raises:
            ValueError: unknown field, a value of another kind than its field, or not a JSON object.
        """
        given = json.loads(text)
        if not isinstance(given, dict):
            raise ValueError(f"a spec is a JSON object, got {type(given).__name__}")
        unknown = set(given) - {f.name for f in fields(cls)}
        if unknown:
            raise ValueError(f"unknown field {sorted(unknown)[0]!r} in a spec, known: {', '.join(f.name for f in fields(cls))}")
        return cls(**given)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "RunSpec":
        """Return the spec that a run was recorded with. Fields of another version are left out, missing ones take their defaults.

        Raises:
            ValueError: a value is of another kind than its field.
        """
        return cls(**{f.name: record[f.name] for f in fields(cls) if f.name in record})

    @property
    def identity(self) -> str:
        """Return 16 hexadecimal digits that name this computation: `unused_fields` do not count."""
        kept = self.but(**{name: getattr(RunSpec, name) for name in unused_fields(self)})
        return hashlib.sha256(f"{FORMAT}:{kept.to_json()}".encode()).hexdigest()[:16]

    def but(self, **changes: Any) -> "RunSpec":
        """Return a copy with some fields changed."""
        return replace(self, **changes)


def _typed(name: str, kind: type, value: Any) -> Any:
    """Return a value as `kind`: numbers of any library, whole or not, become Python's own if nothing is lost."""
    if type(value) is kind:
        return value
    if isinstance(value, str) and kind is str:
        return str(value)
    if isinstance(value, Real) and not isinstance(value, bool | np.bool_):
        if kind is float:
            try:
                return float(value)
            except OverflowError:
                raise ValueError(f"{name} must be a number of less than 309 digits, got {reprlib.repr(value)}") from None
        if kind is int and (isinstance(value, Integral) or float(value).is_integer()):
            return int(value)
    raise ValueError(f"{name} must be {EXPECTED[kind]}, got {reprlib.repr(value)}")


def unused_fields(spec: RunSpec) -> tuple[str, ...]:
    """Return the fields that cannot change what a spec computes: another value there is the same computation.

    `tests/test_spec.py` holds this to what training really does.
    """
    if spec.method == BASELINE:
        return TEACHER_FIELDS
    unused = {
        "dim": spec.method in UNCOMPRESSED,
        "loss": spec.distance_weight == 0 and spec.loss not in POINTWISE,
        "temperature": spec.soft_label_weight == 0,
    }
    return tuple(name for name, without_effect in unused.items() if without_effect)


PHASES = ("loading", "importing", "embedding", "fitting", "training", "measuring")  # in the order in which work passes through them


class CancelledError(Exception):
    """The callback that was shown the progress asked to stop."""


@dataclass(frozen=True)
class Progress:
    """How far a piece of work is.

    Attributes:
        step: steps of the phase done so far: optimiser steps in "training", rows or items elsewhere.
        steps: steps the phase will have; 0 while that is not known.
        point: set after an epoch that was validated, None otherwise: `{"epoch": int, "prediction": [...], "distance": [...],
            "teacher": [...], "val": [...]}` with one number per member: mean losses of the epoch and the validation score.
        frames: new snapshots of the first member, as in `Frames.since`.
        phase: one of `PHASES`.
    """

    step: int
    steps: int
    point: dict[str, Any] | None = None
    frames: Sequence[dict[str, Any]] = ()
    phase: str = "training"

    @property
    def share(self) -> float:
        """Return how much of the phase is done, 0 to 1."""
        return min(self.step / self.steps, 1.0) if self.steps else 0.0


OnProgress = Callable[[Progress], bool | None]  # called after every step; returning True stops the work


def report_progress(on_progress: OnProgress | None, phase: str, step: int, steps: int) -> None:
    """Report a step of a phase, for work that has nothing to keep when it is stopped.

    Raises:
        CancelledError: the callback asked to stop.
    """
    if on_progress is not None and on_progress(Progress(step, steps, phase=phase)):
        raise CancelledError(f"cancelled while {phase}")


@dataclass(frozen=True)
class RunResult:
    """What came of a run. Everything but `arrays` is JSON.

    Attributes:
        spec: what was run.
        status: "done", "cancelled" or "failed".
        reason: why it failed ("diverged: ..."), otherwise "".
        metrics: split -> metric -> `{"mean", "ci95", "values"}`; splits "val", "test", "ood:..." and "ood", the mean of these; `ci95` is
            the half-width of the 95 % t-interval over seeds, None when fewer than two values are there; fractions, not percent.
        teacher: name, source task, whether supervised, probe accuracy of the raw and of the compressed embedding, accuracy of its head.
        spaces: "raw", "compressed", "student" -> `{"width", "effective_rank"}`, for the student also its "probe" on the target.
        attributes: attribute -> `{"chance", "raw", "compressed", "student"}`: probe accuracies as in `metrics`.
        cost: parameters, multiply-adds and latency of the student, bytes per embedding, seconds of training.
        history: the points of `Progress`, in order.
        arrays: "student/<parameter>" (m, ...) weights of all members; "teacher/<parameter>" of trainable compressors with their heads;
            "features/<split>" (m, n, d_s); "logits/<split>" (m, n, k);
            "compressed/<split>" (m, n, d_c);
            "replay/...": where some validation rows lay in the spaces of the first member while these formed, named as in `Frames.of`.
    """

    spec: RunSpec
    status: str = "done"
    reason: str = ""
    metrics: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    teacher: dict[str, Any] = field(default_factory=dict)
    spaces: dict[str, dict[str, Any]] = field(default_factory=dict)
    attributes: dict[str, dict[str, Any]] = field(default_factory=dict)
    cost: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    arrays: dict[str, np.ndarray] = field(default_factory=dict, repr=False, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the arrays as what JSON can hold."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("spec", "arrays")} | {"spec": asdict(self.spec)}

    @classmethod
    def from_dict(cls, data: dict[str, Any], arrays: dict[str, np.ndarray] | None = None) -> "RunResult":
        """Return the result that `to_dict` wrote, in this or another version: fields unknown here are left out."""
        known = {f.name: data[f.name] for f in fields(cls) if f.name in data and f.name not in ("spec", "arrays")}
        return cls(RunSpec.from_record(data["spec"]), **known, arrays=arrays or {})
