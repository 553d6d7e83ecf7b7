"""What a teacher knows: how well a linear probe reads the target and each attribute from its embedding, and how rich that embedding is.

Embedding a dataset and fitting probes take seconds, so `read` answers at once from the cache and otherwise hands the work to the engine.
"""

import json
import traceback
from pathlib import Path
from typing import Any

import numpy as np

from kdlib import datasets, engine, teachers
from kdlib.cache import atomic_path, content_key, home
from kdlib.evaluation import chance, probe
from kdlib.geometry import effective_rank

VERSION = 1  # of the report: raise it when the same teacher would be told otherwise
LABELS = 1000  # labelled rows the probes are fitted on
PROBE_ROWS = 2000  # test rows they are judged on, at most


def _key(teacher: str, dataset: str) -> str:
    entry = teachers.find(teacher)
    return content_key(version=VERSION, labels=LABELS, rows=PROBE_ROWS, teacher=teacher, dataset=dataset, card=entry.card)


def _path(teacher: str, dataset: str) -> Path:
    return home() / "cache" / "knowledge" / f"{_key(teacher, dataset)}.json"


def known(teacher: str, dataset: str) -> dict[str, Any]:
    """Return the report if it has been made, `{}` if not, `{"error": why}` when making it failed.

    A report holds "width", "effective_rank", and per question ("target" and every attribute) `{"accuracy", "chance"}` under "questions".
    """
    try:
        return json.loads(_path(teacher, dataset).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}


def read(teacher: str, dataset: str) -> dict[str, Any]:
    """Return what is `known`; if that is nothing yet, let the engine make it. Asking again and again is one piece of work."""
    found = known(teacher, dataset)
    if not found:
        engine.submit(write, teacher, dataset, key=f"knowledge-{_key(teacher, dataset)}")
    return found


def retry(teacher: str, dataset: str) -> None:
    """Forget a report that failed, so that the next `read` has it made again."""
    _path(teacher, dataset).unlink(missing_ok=True)


def write(teacher: str, dataset: str) -> None:
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
    targets: dict[str, np.ndarray] = {"target": data.labels} | {name: each.values for name, each in data.attributes.items()}
    questions = {
        name: {"accuracy": probe(embeddings[train], y[train], embeddings[test], y[test]), "chance": chance(y[train], y[test])}
        for name, y in targets.items()
    }
    return {"width": embeddings.shape[1], "effective_rank": effective_rank(embeddings[test]), "questions": questions}
