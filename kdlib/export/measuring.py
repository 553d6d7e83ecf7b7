"""What a model card says in numbers: scores of the exported students, calibration, size and time of their graphs."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from kdlib.analysis.calibration import calibration_errors
from kdlib.analysis.evaluation import scores
from kdlib.analysis.intervals import share_interval
from kdlib.cache import atomic_path, home
from kdlib.export.checking import Agreement, latency_ms, open_graph, run_graph
from kdlib.export.inputs import graph_inputs
from kdlib.export.source import ExportSource


@dataclass(frozen=True)
class SplitScores:
    """How good the exported students are on one split.

    Attributes:
        items: with a label.
        scores: metric -> fraction, of one student or of the mean of several.
        interval: of the accuracy over items of that kind, 95 %; None for several labels an item.
    """

    items: int
    scores: dict[str, float]
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class GraphFacts:
    """What a graph costs and how good it is on the test set, run by onnxruntime.

    Attributes:
        bytes: of its file.
        latency_ms: of one item on one thread of this machine.
        scores: metric -> fraction.
    """

    bytes: int
    latency_ms: float
    scores: dict[str, float]


@dataclass(frozen=True)
class Measurements:
    """The numbers of a card.

    Attributes:
        splits: test first, then validation and the out-of-domain sets.
        calibration: as `calibration_errors` gives it, on the test set.
        agreement: of the graph with torch.
        graphs: file -> facts.
    """

    splits: dict[str, SplitScores]
    calibration: list[float | None]
    agreement: Agreement
    graphs: dict[str, GraphFacts] = field(default_factory=dict)


def measure_export(source: ExportSource, agreement: Agreement, models: list[Path], weights_hash: str) -> Measurements:
    """Return the numbers of a card.

    Args:
        source: of the students.
        agreement: of their graph with torch.
        models: files of the graphs.
        weights_hash: names the weights; their latency is measured once, so that every export of them says the same.
    """
    data, cuts = source.data, source.thresholds()
    names = ["test", "val", *data.out_of_domain]
    combined = {name: source.combined_logits(name) for name in names}
    splits = {name: _split_scores(logits, data.labels[data.splits[name]], cuts) for name, logits in combined.items()}
    labels = data.labels[data.splits["test"]]
    inputs = graph_inputs(data, source.form, data.splits["test"])
    graphs = {}
    for path in models:
        session = open_graph(path)
        logits = run_graph(session, inputs, ["logits"])[0]
        time = _remembered(f"{weights_hash[:24]}-{path.stem}", lambda session=session: latency_ms(session, inputs[:1]))
        graphs[path.name] = GraphFacts(path.stat().st_size, time, scores(logits, labels, cuts))
    return Measurements(splits, calibration_errors(combined["test"], labels), agreement, graphs)


def _split_scores(logits: np.ndarray, labels: np.ndarray, cuts: np.ndarray) -> SplitScores:
    values = scores(logits, labels, cuts)
    if labels.ndim == 2:
        return SplitScores(int((~np.isnan(labels)).any(axis=1).sum()), values)
    items = int((labels >= 0).sum())
    return SplitScores(items, values, share_interval(values["accuracy"], items))


def _remembered(name: str, measure: Callable[[], float]) -> float:
    """Return a number that was measured once; so that exporting twice gives the same files."""
    path = home() / "cache" / "export" / f"{name}.json"
    try:
        return float(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        value = float(f"{measure():.2g}")
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(value), encoding="utf-8")
        return value
