"""What a teacher knows: how well a linear probe reads the target and each attribute, and how rich its embedding is.

Making a report takes seconds, so it is stored; `kdlib.spaces.teacher_jobs` has the engine make those that are missing.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kdlib.analysis.evaluation import chance_accuracy, probe_accuracy
from kdlib.analysis.failure import Failure
from kdlib.analysis.geometry import effective_rank
from kdlib.cache import atomic_path, content_key, home
from kdlib.data import datasets
from kdlib.models import embedding, teachers

VERSION = 3  # of the report: raise it when the same teacher would be reported otherwise
LABELS, FEW_LABELS = 1000, 200  # labelled rows the probes are fitted on
PROBE_ROWS = 2000  # test rows they are judged on, at most
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


def report_key(teacher: str, dataset: str) -> str:
    """Return what names a report by everything that decides it.

    Example:
        >>> report_key("simclr", "digits")
    """
    settings = {"version": VERSION, "labels": LABELS, "few": FEW_LABELS, "rows": PROBE_ROWS}
    return content_key(
        **settings, teacher=[teacher, embedding.provenance(teacher)], dataset=[dataset, datasets.content(dataset)]
    )


def _path(teacher: str, dataset: str) -> Path:
    return home() / "cache" / "knowledge" / f"{report_key(teacher, dataset)}.json"


def cached(teacher: str, dataset: str) -> TeacherReport | Failure | None:
    """Return the report if it has been made, None if not, a `Failure` when making it failed."""
    path = _path(teacher, dataset)
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return Failure(str(data["error"])) if "error" in data else TeacherReport.from_dict(data)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError):
        path.unlink(missing_ok=True)  # damaged by something outside: a report can always be made again
        return None


def discard(teacher: str, dataset: str) -> None:
    """Forget a report that failed, so that the next `request` has it made again."""
    _path(teacher, dataset).unlink(missing_ok=True)


def best_teacher(dataset: str, labels: int = LABELS) -> str:
    """Return the teacher from whose embedding a probe reads the target best, of those with a report; "" without any.

    Networks that were never trained do not count. Embeddings imported with the dataset are at hand: the first stands
    for them where none of them has a report.

    Args:
        dataset: whose target.
        labels: how many labels a run will have.

    Example:
        >>> best_teacher("digits")
    """
    tables = list(teachers.imported_teachers(dataset))
    accuracies = {}
    for name in teachers.compatible_teachers(dataset):
        with suppress(ValueError):  # a network of other people that is not at hand any more
            report = None if teachers.get_teacher(name).control else cached(name, dataset)
            if isinstance(report, TeacherReport):
                accuracies[name] = report.target.for_labels(labels).accuracy
    if tables and not accuracies.keys() & set(tables):
        return tables[0]
    return max(accuracies, key=accuracies.__getitem__, default="")


def store(teacher: str, dataset: str, report: TeacherReport | Failure) -> None:
    """Write a report where `cached` finds it.

    Example:
        >>> store("simclr", "digits", make_report("simclr", "digits"))
    """
    with atomic_path(_path(teacher, dataset)) as temporary:
        temporary.write_text(json.dumps(report.to_dict()), encoding="utf-8")


def make_report(teacher: str, dataset: str) -> TeacherReport:
    """Return the report, computed here and now.

    Example:
        report = make_report("simclr", "digits")
        print(report.target.accuracy, {name: probe.accuracy for name, probe in report.attributes.items()})
    """
    data, embeddings = datasets.load(dataset), embedding.embed(teacher, dataset)
    train = data.labelled(min(LABELS, data.labelled_rows))
    test = data.splits["test"][:PROBE_ROWS]
    few = None
    if len(train) > FEW_LABELS >= len(data.classes):
        few = _probe_target(data, embeddings, data.labelled(FEW_LABELS), test)
    target = _probe_target(data, embeddings, train, test, few)
    attributes = {}
    for name, y in ((name, attribute.values) for name, attribute in data.attributes.items()):
        accuracy = probe_accuracy(embeddings[train], y[train], embeddings[test], y[test])
        attributes[name] = QuestionProbe(accuracy, chance_accuracy(y[train], y[test]))
    return TeacherReport(embeddings.shape[1], effective_rank(embeddings[test]), target, attributes)


def _probe_target(
    data: datasets.Dataset, embeddings: np.ndarray, train: np.ndarray, test: np.ndarray, few: TargetProbe | None = None
) -> TargetProbe:
    """Return how well the target is read by a probe fitted on the rows `train`."""
    y = data.labels
    seen, labels = embeddings[train], y[train]
    outside = {name: data.splits[name][:PROBE_ROWS] for name in data.out_of_domain}
    splits = {name: probe_accuracy(seen, labels, embeddings[rows], y[rows]) for name, rows in outside.items()}
    ood = float(np.mean(list(splits.values()))) if splits else None
    accuracy = probe_accuracy(seen, labels, embeddings[test], y[test])
    return TargetProbe(accuracy, chance_accuracy(labels, y[test]), ood, splits, few)
