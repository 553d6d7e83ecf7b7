"""What a teacher knows: how well a linear probe reads the target and each attribute from its embedding, and how rich that embedding is.

Embedding a dataset and fitting probes take seconds, so `read` answers at once from the cache and otherwise hands the work to the engine.
"""

import json
import traceback
from pathlib import Path
from typing import Any

import numpy as np

from kdlib import engine
from kdlib.analysis.evaluation import chance_accuracy, probe_accuracy
from kdlib.analysis.geometry import effective_rank
from kdlib.cache import atomic_path, content_key, home
from kdlib.data import datasets
from kdlib.models import teachers

VERSION = 2  # of the report: raise it when the same teacher would be told otherwise
LABELS, FEW_LABELS = 1000, 200  # labelled rows the probes are fitted on
PROBE_ROWS = 2000  # test rows they are judged on, at most


def _key(teacher: str, dataset: str) -> str:
    settings = {"version": VERSION, "labels": LABELS, "few": FEW_LABELS, "rows": PROBE_ROWS}
    return content_key(
        **settings, teacher=[teacher, teachers.provenance(teacher)], dataset=[dataset, datasets.content(dataset)]
    )


def _path(teacher: str, dataset: str) -> Path:
    return home() / "cache" / "knowledge" / f"{_key(teacher, dataset)}.json"


def cached(teacher: str, dataset: str) -> dict[str, Any]:
    """Return the report if it has been made, `{}` if not, `{"error": why}` when making it failed.

    A report holds "width", "effective_rank", and per question ("target" and every attribute) `{"accuracy", "chance"}` under "questions".
    For the target also "ood", the mean accuracy on the out-of-domain sets (None without any), and "few", the same three for 200 labels.
    """
    path = _path(teacher, dataset)
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError):
        path.unlink(missing_ok=True)  # damaged by something outside: a report can always be made again
        return {}


def request(teacher: str, dataset: str) -> dict[str, Any]:
    """Return what is `known`; if that is nothing yet, let the engine make it. Asking again and again is one piece of work."""
    found = cached(teacher, dataset)
    if not found:
        engine.submit(compute, teacher, dataset, key=f"knowledge-{_key(teacher, dataset)}")
    return found


def discard(teacher: str, dataset: str) -> None:
    """Forget a report that failed, so that the next `read` has it made again."""
    _path(teacher, dataset).unlink(missing_ok=True)


def compute(teacher: str, dataset: str) -> None:
    """Make the report and keep it; what goes wrong is kept as its "error"."""
    try:
        found = report(teacher, dataset)
    except Exception as error:  # whoever waits for the report must learn that none will come
        traceback.print_exc()
        found = {"error": " ".join(str(error).split()) or type(error).__name__}
    with atomic_path(_path(teacher, dataset)) as temporary:
        temporary.write_text(json.dumps(found), encoding="utf-8")


def report(teacher: str, dataset: str) -> dict[str, Any]:
    """Return the report, computed here and now."""
    data, embeddings = datasets.load(dataset), teachers.embed(teacher, dataset)
    train = data.labelled(min(LABELS, data.labelled_rows))
    test = data.splits["test"][:PROBE_ROWS]
    questions = {"target": _target(data, embeddings, train, test)}
    if len(train) > FEW_LABELS >= len(data.classes):
        questions["target"]["few"] = _target(data, embeddings, data.labelled(FEW_LABELS), test)
    for name, y in ((name, each.values) for name, each in data.attributes.items()):
        questions[name] = {
            "accuracy": probe_accuracy(embeddings[train], y[train], embeddings[test], y[test]),
            "chance": chance_accuracy(y[train], y[test]),
        }
    return {"width": embeddings.shape[1], "effective_rank": effective_rank(embeddings[test]), "questions": questions}


def _target(data: datasets.Dataset, embeddings: np.ndarray, train: np.ndarray, test: np.ndarray) -> dict[str, Any]:
    """Return how well the target is read, in-domain as "accuracy", out of it as "ood", and "chance"."""
    y = data.labels
    seen, labels = embeddings[train], y[train]
    outside = [data.splits[name][:PROBE_ROWS] for name in data.out_of_domain]
    found = [probe_accuracy(seen, labels, embeddings[rows], y[rows]) for rows in outside]
    accuracy = probe_accuracy(seen, labels, embeddings[test], y[test])
    return {
        "accuracy": accuracy,
        "chance": chance_accuracy(labels, y[test]),
        "ood": float(np.mean(found)) if found else None,
    }


def target_probe(report: dict[str, Any], labels: int) -> dict[str, Any]:
    """Return what a report says of the target where about that many labels are seen: "accuracy", "ood", "chance"; empty if nothing."""
    target = report.get("questions", {}).get("target", {})
    return target["few"] if "few" in target and labels * labels < FEW_LABELS * LABELS else target
