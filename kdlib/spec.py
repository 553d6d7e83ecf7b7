"""What to run: `RunSpec`.

A spec says everything that decides the outcome and nothing else: not the device, not the name a person gave it. The
hash of its canonical JSON is its identity, so the same question is asked only once. It travels as JSON, between
processes and over years.
"""

import hashlib
import json
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from itertools import product
from math import prod
from numbers import Integral, Real
from typing import Any, TypeVar

import numpy as np

FORMAT = 1  # part of every identity: raise it when the same spec would mean another computation

BASELINE, RAW = "baseline", "raw"  # the two methods that are no compressor
METHOD_HELPS = {
    BASELINE: "No teacher: the student learns from the labels alone",
    RAW: "The teacher's embedding as it is",
}
# The fields that `checks.default_spec` adapts to the data.
DATASET_DEPENDENT = ("teacher", "dim", "distance_weight", "student", "width", "labels", "epochs", "lr")
# The fields without effect on a baseline.
TEACHER_FIELDS = (
    "teacher",
    "pooling",
    "dim",
    "loss",
    "projector",
    "target_normaliser",
    "distance_weight",
    "soft_label_weight",
    "soft_label_loss",
    "temperature",
    "teacher_mixing",
    "attribute",
    "prefix",
)
CONCATENATE, SEPARATE = "concatenate", "separate"
TEACHER_MIXINGS = {
    CONCATENATE: "Their embeddings side by side, as those of one teacher: one compressor and one distance",
    SEPARATE: "Each teacher with a compressor, a head and a distance of its own; the student minimises their mean",
}
UNCOMPRESSED = (RAW, "none")  # methods whose target is as wide as the embedding, whatever `dim` says
NESTED = ("matryoshka",)  # methods whose leading widths are embeddings too
# Losses that give the student an adapter, even with a weight of 0.
POINTWISE = ("mse", "cosine", "info_nce", "crd", "log_sum", "vicreg", "rid")
DEEP_STUDENTS = ("resnet",)  # students with a depth dial
REMOVING = ("adversarial",)  # methods that remove the attribute that is named
# Fields that specs did not have at first, with their default. At it they are left out of what is written, so that runs
# of before are found by their identity.
LATER_FIELDS: dict[str, Any] = {
    "pooling": "mean",
    "depth": 1,
    "augmentation": "none",
    "subset": 0,
    "tune": 0,
    "projector": "linear",
    "target_normaliser": "none",
    "soft_label_loss": "kl",
    "first_seed": 0,
    "teacher_mixing": CONCATENATE,
    "attribute": "",
    "prefix": 0,
}
EXPECTED: dict[Any, str] = {str: "text", int: "a whole number", float: "a number"}
# The fields that may hold several values: a grid, whose members train as one population.
GRID_FIELDS = ("distance_weight", "lr", "soft_label_weight", "prefix")
# The fields that tuning sets, of those that a method uses.
TUNED_FIELDS = ("lr", "distance_weight", "dim", "soft_label_weight")
Values = float | tuple[float, ...]  # one number, or those of a grid, ascending
Number = TypeVar("Number", int, float)


@dataclass(frozen=True)
class RunSpec:
    """One method of knowledge transfer on one dataset, trained once per seed.

    Attributes:
        dataset: a name in `DATASETS`.
        labels: how many training rows keep their label; the student learns from these.
        teacher: a name in `TEACHERS`; several with "+" between them teach together, see `teacher_parts`.
        pooling: what is made of the frames of an item, where the teacher gives frames; a name in `POOLINGS`.
        method: "baseline" (no teacher), "raw" (teacher, no compressor) or a name in `COMPRESSORS`.
        dim: width d_c of the compressed embedding; of separate teachers, each gets an equal share of it.
        loss: the distance between student features and target; a name in `LOSSES`.
        distance_weight: λ in [0, 1]: total = (1 - λ) · prediction + λ · distance. As `soft_label_weight` and `lr`, one
            number, or several: then every combination is trained with every seed, and the one that is best on
            validation counts.
        soft_label_weight: weight >= 0 of the term that pulls the student to the teacher head's probabilities.
        temperature: of the soft labels, > 0.
        student: a name in `STUDENTS`.
        width: the student's size dial.
        depth: blocks per stage, of the `DEEP_STUDENTS`; the others do without.
        augmentation: how the student's inputs vary from step to step; a name in `AUGMENTATIONS`.
        epochs: passes over the labelled rows.
        batch_size: rows per step.
        lr: peak learning rate of the one-cycle schedule.
        seeds: members trained, with the `seed_numbers`.
        subset: which draw of the labelled rows, see `Dataset.labelled`.
        tune: how many settings of the `TUNED_FIELDS` are tried first, on validation rows and with other seeds; then the
            best one is trained. 0 takes the fields as they are.
        projector: what brings the student's features to the target's width, where the loss compares entry by entry; a
            name in `PROJECTORS`.
        target_normaliser: how the target is rescaled before the distance; a name in `TARGET_NORMALISERS`.
        soft_label_loss: what compares these predictions; a name in `SOFT_LABEL_LOSSES`.
        first_seed: the lowest of the seeds; above 0 for a run that adds seeds to another one, see `analysis.rounds`.
        teacher_mixing: how several teachers teach together; a name in `TEACHER_MIXINGS`.
        attribute: what the `REMOVING` methods remove from the embedding: the name of an attribute of the dataset.
        prefix: of the `NESTED` methods, how many leading numbers of the compressed embedding the student is taught, one
            of the widths that the compressor trains whatever this says, or several as above; 0 for all `dim` numbers.

    Example:
        >>> RunSpec(dataset="digits", method="pca", dim=8).replace(seeds=3).to_json()
    """

    dataset: str = "cluttered-digits"
    labels: int = 1000
    teacher: str = "simclr"
    pooling: str = LATER_FIELDS["pooling"]
    method: str = "mlp"
    dim: int = 16
    loss: str = "distance_correlation"
    distance_weight: Values = 0.85
    soft_label_weight: Values = 0.0
    temperature: float = 4.0
    student: str = "cnn"
    width: int = 8
    depth: int = LATER_FIELDS["depth"]
    augmentation: str = LATER_FIELDS["augmentation"]
    epochs: int = 30
    batch_size: int = 32
    lr: Values = 0.01
    seeds: int = 5
    subset: int = LATER_FIELDS["subset"]
    tune: int = LATER_FIELDS["tune"]
    projector: str = LATER_FIELDS["projector"]
    target_normaliser: str = LATER_FIELDS["target_normaliser"]
    soft_label_loss: str = LATER_FIELDS["soft_label_loss"]
    first_seed: int = LATER_FIELDS["first_seed"]
    teacher_mixing: str = LATER_FIELDS["teacher_mixing"]
    attribute: str = LATER_FIELDS["attribute"]
    prefix: int | tuple[int, ...] = LATER_FIELDS["prefix"]

    def __post_init__(self) -> None:
        """Bring every value to the type of its field, so that equal values are one computation.

        Raises:
            ValueError: a value is of another kind; the message names the field.
        """
        for field in fields(self):
            value = getattr(self, field.name)
            grid = field.name in GRID_FIELDS
            value = _convert_grid(field.name, value) if grid else _convert(field.name, field.type, value)
            object.__setattr__(self, field.name, value)

    def to_dict(self) -> dict[str, Any]:
        """Return its fields, without `LATER_FIELDS` that are at their default."""
        return {name: value for name, value in asdict(self).items() if (name, value) not in LATER_FIELDS.items()}

    def to_json(self) -> str:
        """Return the canonical JSON of `to_dict`: sorted keys, no spaces."""
        return json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "RunSpec":
        """Return the spec of a JSON object. Missing fields take their defaults.

        Raises:
            ValueError: unknown field, a value of another kind than its field, or not a JSON object.
        """
        values = json.loads(text)
        if not isinstance(values, dict):
            raise ValueError(f"a spec is a JSON object, got {type(values).__name__}")
        unknown = set(values) - {f.name for f in fields(cls)}
        if unknown:
            raise ValueError(
                f"unknown field {sorted(unknown)[0]!r} in a spec, known: {', '.join(f.name for f in fields(cls))}"
            )
        return cls(**values)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "RunSpec":
        """Return the spec that a run was recorded with.

        Fields of another version are left out, missing ones take their defaults.

        Raises:
            ValueError: a value is of another kind than its field.
        """
        return cls(**{f.name: record[f.name] for f in fields(cls) if f.name in record})

    @property
    def identity(self) -> str:
        """Return 16 hexadecimal digits that name this computation: `unused_fields` do not count."""
        unused = (*unused_fields(self), *(("prefix",) if self.prefix == self.dim else ()))  # that is all numbers
        canonical = self.replace(**{name: getattr(RunSpec, name) for name in unused})
        return hashlib.sha256(f"{FORMAT}:{canonical.to_json()}".encode()).hexdigest()[:16]

    def replace(self, **changes: Any) -> "RunSpec":
        """Return a copy with some fields changed."""
        return replace(self, **changes)

    @property
    def seed_numbers(self) -> range:
        """Return the seeds of its members: `first_seed` and those that follow.

        Example:
            >>> RunSpec(seeds=3).seed_numbers
            range(0, 3)
        """
        return range(self.first_seed, self.first_seed + self.seeds)

    @property
    def searched(self) -> bool:
        """Return whether its setting is chosen on validation, from a grid or by tuning."""
        return bool(self.tune or self.grid)

    @property
    def grid(self) -> dict[str, tuple[float, ...]]:
        """Return the axes of its grid, field -> values: those that its method uses; {} for a single setting."""
        values = {name: getattr(self, name) for name in GRID_FIELDS}
        unused = unused_fields(self)
        return {name: each for name, each in values.items() if isinstance(each, tuple) and name not in unused}

    @property
    def kept(self) -> int | None:
        """How many leading numbers of the compressed embedding are the target; None: all, or those of a grid."""
        return self.prefix if self.method in NESTED and isinstance(self.prefix, int) and self.prefix else None

    @property
    def cell_count(self) -> int:
        """Return how many settings its grid has; 1 without one."""
        return prod(len(values) for values in self.grid.values())

    @property
    def cells(self) -> list["RunSpec"]:
        """Return a spec with one number per field for every combination of its grid; the last axis varies fastest.

        A list in a field that the method does not use counts for nothing and becomes the field's default.

        Example:
            >>> [cell.lr for cell in RunSpec(lr=[0.01, 0.003]).cells]
            [0.003, 0.01]
        """
        axes, lists = self.grid, [name for name in GRID_FIELDS if isinstance(getattr(self, name), tuple)]
        plain = self.replace(**{name: getattr(RunSpec, name) for name in lists})
        return [plain.replace(**dict(zip(axes, values, strict=True))) for values in product(*axes.values())]


def teacher_parts(teacher: str) -> list[str]:
    """Return the teachers of a name: their embeddings count at the same scale.

    Example:
        >>> teacher_parts("simclr+autoencoder")
        ['simclr', 'autoencoder']
    """
    return teacher.split("+")


def teaches_separately(spec: RunSpec) -> bool:
    """Return whether each of several teachers has a distance of its own.

    Example:
        >>> teaches_separately(RunSpec(teacher="simclr+autoencoder", teacher_mixing="separate"))
        True
    """
    return spec.method != BASELINE and spec.teacher_mixing == SEPARATE and len(teacher_parts(spec.teacher)) > 1


def grid_values(value: Number | tuple[Number, ...]) -> tuple[Number, ...]:
    """Return the numbers of a field that may hold several."""
    return value if isinstance(value, tuple) else (value,)


def setting_text(value: Any) -> str:
    """Return the value of a field as the command line takes it: the values of a grid with commas between.

    Example:
        >>> setting_text((0.25, 0.5))
        '0.25,0.5'
    """
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _convert_grid(name: str, value: Any) -> Any:
    """Return the value of a field in `GRID_FIELDS`: several different numbers ascending, or a single one."""
    kind = type(getattr(RunSpec, name))
    if isinstance(value, str | bytes) or not isinstance(value, Sequence | np.ndarray):
        return _convert(name, kind, value)
    numbers = sorted({_convert(name, kind, each) for each in value})
    if not numbers:
        raise ValueError(f"{name} must be a number, or a list of at least one, got an empty list")
    return tuple(numbers) if len(numbers) > 1 else numbers[0]


def _convert(name: str, kind: Any, value: Any) -> Any:
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
                raise ValueError(
                    f"{name} must be a number of less than 309 digits, got {reprlib.repr(value)}"
                ) from None
        if kind is int and isinstance(value, Integral):
            return int(value)
        if kind is int and float(value).is_integer():
            return round(value)  # exact: it is whole
    raise ValueError(f"{name} must be {EXPECTED[kind]}, got {reprlib.repr(value)}")


def unused_fields(spec: RunSpec) -> tuple[str, ...]:
    """Return the fields that cannot change what a spec computes: another value there is the same computation.

    `tests/test_spec.py` holds this to what training really does.
    """
    depth = () if spec.student in DEEP_STUDENTS else ("depth",)
    if spec.method == BASELINE:
        return (*TEACHER_FIELDS, *(["lr"] if spec.tune else []), *depth)
    single = len(teacher_parts(spec.teacher)) == 1
    without = (("attribute", REMOVING), ("prefix", NESTED))
    others = (*depth, *(name for name, methods in without if spec.method not in methods))
    if spec.tune:  # with a pointwise loss the width is not searched
        kept = ("dim",) if spec.loss in POINTWISE and spec.method not in UNCOMPRESSED else ()
        return (*(name for name in TUNED_FIELDS if name not in kept), *others, *(["teacher_mixing"] if single else []))
    distance, soft_labels = any(grid_values(spec.distance_weight)), any(grid_values(spec.soft_label_weight))
    unused = {
        "dim": spec.method in UNCOMPRESSED,
        "loss": not distance and spec.loss not in POINTWISE,
        "projector": spec.loss not in POINTWISE,
        "target_normaliser": not distance,
        "soft_label_loss": not soft_labels,
        "temperature": not soft_labels,
        "teacher_mixing": single
        or (spec.method in UNCOMPRESSED and not distance and not soft_labels and spec.loss not in POINTWISE),
    }
    return (*(name for name, without_effect in unused.items() if without_effect), *others)
