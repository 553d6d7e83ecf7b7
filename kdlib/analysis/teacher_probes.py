"""What is known of a teacher: how well probes read the target and each attribute, as numbers that JSON can hold.

Those of the built-in teachers on the built-in datasets ship in `kdlib/recordings/teacher_reports.json`, which
`python -m kdlib record reports` writes. Reading them needs neither torch nor scikit-learn, so a page can show them at
once. `tests/test_shipped_reports.py` holds that they are what would be found today.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parents[1]
SHIPPED = PACKAGE / "recordings" / "teacher_reports.json"
LABELS, FEW_LABELS = 1000, 200  # labelled rows the probes are fitted on
TARGET = "target"


@dataclass(frozen=True)
class QuestionProbe:
    """How well a linear probe reads one question from a teacher's embedding of test rows, as fractions.

    Attributes:
        accuracy: of the probe; mAP for a target with several labels an item.
        chance: what guessing reaches.
    """

    accuracy: float
    chance: float


@dataclass(frozen=True)
class TargetProbe(QuestionProbe):
    """How well a linear probe reads the target, in-domain and out of it.

    Attributes:
        ood: mean accuracy on the out-of-domain sets; None without any.
        splits: "ood:<name>" -> accuracy on that one.
        few: the same where only `FEW_LABELS` rows are labelled; None where a run has no
            fewer, or too few for the classes.
    """

    ood: float | None = None
    splits: dict[str, float] = field(default_factory=dict)
    few: "TargetProbe | None" = None

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        plain = {"accuracy": self.accuracy, "chance": self.chance, "ood": self.ood}
        plain |= {"splits": self.splits} if self.splits else {}
        return plain | ({"few": self.few.to_dict()} if self.few else {})

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "TargetProbe":
        """Return the probe of a JSON object."""
        few = cls.from_dict(data["few"]) if "few" in data else None
        ood = None if data.get("ood") is None else float(data["ood"])
        splits = {str(name): float(value) for name, value in data.get("splits", {}).items()}
        return cls(float(data["accuracy"]), float(data["chance"]), ood, splits, few)

    def describe(self) -> str:
        """Return how well the target is read, in words."""
        outside = "" if self.ood is None else f"{100 * self.ood:.1f} % out of domain; "
        return (
            f"a linear probe on its embedding reads the target with {100 * self.accuracy:.1f} % "
            f"({outside}guessing reaches {100 * self.chance:.1f} %)"
        )

    def for_labels(self, labels: int) -> "TargetProbe":
        """Return the probe that has seen about that many labels, by their ratio."""
        return self.few if self.few and labels * labels < FEW_LABELS * LABELS else self


@dataclass(frozen=True)
class TeacherReport:
    """What a teacher knows of a dataset.

    Attributes:
        width: numbers per item in its embedding.
        effective_rank: how many directions of it are really used, 1 to width.
        target: how well the target is read from it.
        attributes: name -> how well this attribute is.
    """

    width: int
    effective_rank: float
    target: TargetProbe
    attributes: dict[str, QuestionProbe] = field(default_factory=dict)

    @property
    def questions(self) -> dict[str, QuestionProbe]:
        """The target and every attribute -> how well it is read."""
        return {TARGET: self.target} | self.attributes

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        attributes = {name: asdict(probe) for name, probe in self.attributes.items()}
        return {
            "width": self.width,
            "effective_rank": self.effective_rank,
            "questions": {TARGET: self.target.to_dict()} | attributes,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "TeacherReport":
        """Return the report of a JSON object.

        Raises:
            KeyError, TypeError, ValueError: it is not one.
        """
        questions = dict(data["questions"])
        target = TargetProbe.from_dict(questions.pop(TARGET))
        attributes = {
            name: QuestionProbe(float(probe["accuracy"]), float(probe["chance"])) for name, probe in questions.items()
        }
        return cls(int(data["width"]), float(data["effective_rank"]), target, attributes)


@lru_cache(maxsize=1)
def read_shipped() -> dict[str, dict[str, dict[str, Any]]]:
    """Return dataset -> teacher -> "key", "weights" (hash) and "report" of each report that comes with this version."""
    return json.loads(SHIPPED.read_text(encoding="utf-8"))


@lru_cache(maxsize=64)
def load_shipped(teacher: str, dataset: str) -> TeacherReport | None:
    """Return the report that comes with this version; None without one, or when the teacher's weights are others.

    Example:
        >>> load_shipped("simclr", "digits").width
        256
    """
    entry = read_shipped().get(dataset, {}).get(teacher)
    if entry is None or entry["weights"] != hash_weights(teacher):
        return None
    return TeacherReport.from_dict(entry["report"])


def hash_weights(teacher: str) -> str:
    """Return the SHA-256 of a built-in teacher's weights; "" where there are none.

    Example:
        >>> len(hash_weights("simclr"))
        64
    """
    path = PACKAGE / "models" / "weights" / f"{teacher}.safetensors"
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else ""
