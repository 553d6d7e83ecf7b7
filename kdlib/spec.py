"""What to run: `RunSpec`.

A spec says everything that decides the outcome and nothing else: not the device, not the name a person gave it. The hash of its canonical
JSON is its identity, so the same question is asked only once. It travels as JSON, between processes and over years.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

FORMAT = 1  # part of every identity: raise it when the same spec would mean another computation

BASELINE, RAW = "baseline", "raw"  # the two methods that are no compressor: no teacher at all, the teacher's embedding as it is
FOLLOWING = ("teacher", "dim", "distance_weight", "student", "width", "labels", "epochs", "lr")  # what `checks.usual` fits to the data
UNUSED = {BASELINE: ("teacher", "dim", "loss", "distance_weight", "soft_label_weight", "temperature"), RAW: ("dim",)}


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

    def to_json(self) -> str:
        """Return the canonical JSON: sorted keys, no spaces."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "RunSpec":
        """Return the spec of a JSON object. Missing fields take their defaults.

        Raises:
            ValueError: unknown field, or not a JSON object.
        """
        given = json.loads(text)
        if not isinstance(given, dict):
            raise ValueError(f"a spec is a JSON object, got {type(given).__name__}")
        unknown = set(given) - {f.name for f in fields(cls)}
        if unknown:
            raise ValueError(f"unknown field {sorted(unknown)[0]!r} in a spec, known: {', '.join(f.name for f in fields(cls))}")
        return cls(**given)

    @property
    def identity(self) -> str:
        """Return 16 hexadecimal digits that name this computation: fields that the method does not look at do not count."""
        kept = self.but(**{name: getattr(RunSpec, name) for name in UNUSED.get(self.method, ())})
        return hashlib.sha256(f"{FORMAT}:{kept.to_json()}".encode()).hexdigest()[:16]

    def but(self, **changes: Any) -> "RunSpec":
        """Return a copy with some fields changed."""
        return replace(self, **changes)
