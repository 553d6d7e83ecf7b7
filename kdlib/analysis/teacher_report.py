"""What a teacher knows: how well a linear probe reads the target and each attribute, and how rich its embedding is.

Making a report takes seconds, so it is stored; `kdlib.spaces.teacher_jobs` has the engine make those that are missing.
Those of built-in teachers on built-in datasets come with this version, see `teacher_probes`.
"""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from kdlib.analysis.failure import Failure
from kdlib.analysis.geometry import effective_rank
from kdlib.analysis.linear_probe import chance_accuracy, probe_accuracy
from kdlib.analysis.teacher_probes import (
    FEW_LABELS,
    LABELS,
    TARGET,
    QuestionProbe,
    TargetProbe,
    TeacherReport,
    hash_weights,
    load_shipped,
)
from kdlib.cache import atomic_path, content_key, home
from kdlib.data import datasets
from kdlib.models import embedding, teachers
from kdlib.models.providers.built_in import TEACHERS

__all__ = [
    "FEW_LABELS",
    "LABELS",
    "TARGET",
    "QuestionProbe",
    "TargetProbe",
    "TeacherReport",
    "best_teacher",
    "cached",
    "discard",
    "list_shipped",
    "load_shipped",
    "make_report",
    "report_key",
    "shipped_key",
    "store",
]

VERSION = 5  # of the report: raise it when the same teacher would be reported otherwise
PROBE_ROWS = 2000  # test rows they are judged on, at most


def report_key(teacher: str, dataset: str) -> str:
    """Return what names a report by everything that decides it.

    Example:
        >>> report_key("simclr", "digits")
    """
    return _key(teacher, dataset, datasets.content(dataset))


def shipped_key(teacher: str, dataset: str) -> str:
    """Return the same for a report that ships, equal on all machines: sounds differ between them in their last bit.

    Example:
        >>> shipped_key("simclr", "digits") == teacher_probes.read_shipped()["digits"]["simclr"]["key"]
        True
    """
    return _key(teacher, dataset, datasets.outline(dataset))


def _key(teacher: str, dataset: str, data: str) -> str:
    settings = {"version": VERSION, "labels": LABELS, "few": FEW_LABELS, "rows": PROBE_ROWS}
    return content_key(**settings, teacher=[teacher, embedding.provenance(teacher)], dataset=[dataset, data])


def _path(teacher: str, dataset: str) -> Path:
    return home() / "cache" / "knowledge" / f"{report_key(teacher, dataset)}.json"


def cached(teacher: str, dataset: str) -> TeacherReport | Failure | None:
    """Return the report that was made or comes with this version, None without one, a `Failure` if making it failed."""
    report = _stored(teacher, dataset)
    return load_shipped(teacher, dataset) if report is None else report


def _stored(teacher: str, dataset: str) -> TeacherReport | Failure | None:
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


def list_shipped() -> dict[str, dict[str, dict[str, Any]]]:
    """Return what `teacher_probes.read_shipped` shall read, computed here and now: minutes of work.

    Example:
        >>> text = json.dumps(list_shipped())
    """
    shipped: dict[str, dict[str, dict[str, Any]]] = {}
    for dataset in datasets.DATASETS:
        for teacher in (name for name in teachers.compatible_teachers(dataset) if name in TEACHERS):
            key, weights = shipped_key(teacher, dataset), hash_weights(teacher)
            report = make_report(teacher, dataset).to_dict()
            shipped.setdefault(dataset, {})[teacher] = {"key": key, "weights": weights, "report": report}
    return shipped


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
