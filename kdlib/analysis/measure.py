"""Measuring: what trained members are worth, what each space still tells, and what it costs."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from statistics import median

import numpy as np
import torch
from torch import Tensor, nn

from kdlib.analysis.evaluation import chance_accuracy, probe_accuracy, scores, thresholds
from kdlib.analysis.geometry import effective_rank
from kdlib.analysis.intervals import summarize
from kdlib.data.datasets import Dataset
from kdlib.models import teachers
from kdlib.models.compressors import FixedCompressor
from kdlib.progress import CancelledError, OnProgress, Progress, report_progress
from kdlib.results import (
    CANCELLED_SPLITS,
    CURVES,
    Cost,
    Point,
    Probe,
    RunResult,
    SpaceStats,
    SplitMetrics,
    Summary,
    TeacherStats,
)
from kdlib.spec import BASELINE, RAW, RunSpec
from kdlib.training.loop import Trained, compress, predict

PROBE_ROWS = 2000  # test rows a probe is judged on, at most


@dataclass(frozen=True)
class ScaledEmbeddings:
    """Embeddings (n, d) less a mean, divided by a scale, for the rows that are asked for alone: all may be more than memory holds.

    Attributes:
        embeddings: (n, d), perhaps mapped from disk.
        mean: (d,).
        scale: one number.
    """

    embeddings: np.ndarray
    mean: np.ndarray
    scale: float

    @classmethod
    def to_unit(cls, embeddings: np.ndarray, rows: np.ndarray) -> "ScaledEmbeddings":
        """Return embeddings centred and divided by their root mean square over `rows`: the space keeps its shape."""
        mean = embeddings[rows].mean(0)
        scale = np.sqrt(np.square(embeddings[rows] - mean).mean())
        return cls(embeddings, mean, scale if scale > 0 else 1.0)

    @property
    def shape(self) -> tuple[int, ...]:
        """Return (n, d)."""
        return self.embeddings.shape

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        return (self.embeddings[rows] - self.mean) / self.scale


@dataclass(frozen=True)
class MeasurementInputs:
    """What there is to measure: the data and everything that was fitted or trained on it.

    Attributes:
        data: the dataset.
        labelled: (n,) training rows whose labels were seen.
        embeddings: (N, d_t) of all rows, as the compressors got them; made row by row, as they are asked for.
        fitted: per spec, its fixed compressors.
        trained: all members of all specs.
    """

    data: Dataset
    labelled: np.ndarray
    embeddings: ScaledEmbeddings
    fitted: list[list[FixedCompressor]]
    trained: Trained


@dataclass(frozen=True)
class _Unmeasured:
    """What a training leaves of one spec: a result that holds arrays and history, and what its teacher heads predict.

    Attributes:
        result: "failed" where a member diverged, otherwise "cancelled" until it is measured.
        teacher_logits: split -> (m, n, k); empty without a teacher head.
    """

    result: RunResult
    teacher_logits: dict[str, np.ndarray]


def measure(
    specs: Sequence[RunSpec], material: MeasurementInputs, on_progress: OnProgress | None = None
) -> list[RunResult]:
    """Return the result of each spec, whose members follow one another in `material.trained`.

    A result that is "cancelled" holds the history, the replay, the weights with the best validation score of each member so far (before
    the first validation those it started with) and rows in the spaces of these weights, and has no metrics, probes or attributes. All
    results are so after a cancelled training, with the rows of `CANCELLED_SPLITS`; when `on_progress` asks to stop, those that are not
    measured by then, with the rows of every split.

    Args:
        specs: of `material.trained`, in order.
        material: what to measure.
        on_progress: called before every probe; returning True stops.
    """
    data, trained = material.data, material.trained
    if on_progress is not None and not trained.cancelled:
        on_progress(Progress(0, 0, phase="measuring"))
    splits = {name: rows for name, rows in data.splits.items() if name != "train"} | {"train": material.labelled}
    if trained.cancelled:
        splits = {name: splits[name] for name in CANCELLED_SPLITS}
    outputs = {name: predict(trained.students, _tensor(data.inputs, rows, trained)) for name, rows in splits.items()}
    unmeasured, start = [], 0
    for number, spec in enumerate(specs):
        members = slice(start, start := start + spec.seeds)
        own = {
            name: {kind: values[members].numpy() for kind, values in found.items()} for name, found in outputs.items()
        }
        unmeasured.append(_unmeasured(spec, number, members, own, splits, material))
    results = [each.result for each in unmeasured]
    if trained.cancelled:
        return results
    probes = _Probes(data, material.labelled, data.splits["test"][:PROBE_ROWS], on_progress)
    probes.plan(results)
    with suppress(CancelledError):
        for number, each in enumerate(unmeasured):
            if each.result.status != "failed":
                results[number] = _measured(each, splits, material, probes)
    return results


class _Probes:
    """Probe accuracies for the target and every attribute, raw ones computed once; every probe is a step of the measuring."""

    def __init__(self, data: Dataset, train: np.ndarray, test: np.ndarray, on_progress: OnProgress | None) -> None:
        self.train, self.test = train, test
        self.attributes = [name for name, each in data.attributes.items() if _is_defined(each.values, train, test)]
        self.targets = {"target": data.labels} | {name: data.attributes[name].values for name in self.attributes}
        self.raw: dict[str, Summary] = {}
        self.on_progress, self.done, self.steps = on_progress, 0, 0

    def plan(self, results: Sequence[RunResult]) -> None:
        """Count the probes that the measuring of these results takes."""
        measured = [each for each in results if each.status != "failed"]
        spaces = sum(each.spec.seeds for each in measured)
        spaces += sum(len(each.arrays["compressed/test"]) for each in measured if _compresses(each.spec))
        taught = any(each.spec.method != BASELINE for each in measured)
        self.steps = len(self.targets) * (spaces + taught)

    def report(self) -> None:
        """Report the probes done so far; called between them, and between the fits of one, for it may take seconds.

        Raises:
            CancelledError: the callback asked to stop.
        """
        report_progress(self.on_progress, "measuring", self.done, self.steps)

    def chance(self, name: str) -> float:
        return chance_accuracy(self.targets[name][self.train], self.targets[name][self.test])

    def read(self, train: np.ndarray, test: np.ndarray) -> dict[str, Summary]:
        """Return name -> accuracy over members, whose spaces are given as the rows (m, n, d) for training and for testing."""
        return {
            name: summarize([self._one(y, *space) for space in zip(train, test, strict=True)])
            for name, y in self.targets.items()
        }

    def _one(self, y: np.ndarray, train: np.ndarray, test: np.ndarray) -> float:
        found = probe_accuracy(train, y[self.train], test[: len(self.test)], y[self.test], self.report)
        self.done += 1
        return found

    def read_raw(self, embeddings: ScaledEmbeddings) -> dict[str, Summary]:
        self.raw = self.raw or self.read(embeddings[self.train][None], embeddings[self.test][None])
        return self.raw


def _compresses(spec: RunSpec) -> bool:
    """Return whether the method has a space of its own between the teacher's embedding and the student's features."""
    return spec.method not in (BASELINE, RAW, "none")


def _is_defined(values: np.ndarray, train: np.ndarray, test: np.ndarray) -> bool:
    """Return whether a probe for an attribute is defined: few labels may all fall into one category."""
    return len(np.unique(values[train][values[train] >= 0])) > 1 and bool((values[test] >= 0).any())


def _unmeasured(
    spec: RunSpec,
    number: int,
    members: slice,
    outputs: dict[str, dict[str, np.ndarray]],
    splits: dict[str, np.ndarray],
    material: MeasurementInputs,
) -> _Unmeasured:
    trained = material.trained
    arrays = {f"{kind}/{name}": values for name, found in outputs.items() for kind, values in found.items()}
    arrays |= {
        f"student/{name}": value[members].detach().cpu().numpy() for name, value in trained.students.parameters.items()
    }
    arrays |= {f"replay/{name}": value for name, value in trained.replay[number].items()}
    history = [_point_of(members, point) for point in trained.history]
    lost = {
        member - members.start: epoch
        for member, epoch in trained.diverged.items()
        if members.start <= member < members.stop
    }
    if lost:
        seeds = ", ".join(f"seed {seed} in epoch {epoch}" for seed, epoch in lost.items())
        reason = f"diverged: {seeds}; try a lower learning rate"
        return _Unmeasured(RunResult(spec, "failed", reason, history=history, arrays=arrays), {})
    compressed, logits = _compressed(number, splits, material) if spec.method != BASELINE else ({}, {})
    arrays |= {f"compressed/{name}": rows for name, rows in compressed.items()}
    if logits:
        arrays |= {
            f"teacher/{name}": value.detach().cpu().numpy()
            for name, value in trained.teachers[number].parameters.items()
        }
    cost = Cost(seconds=trained.seconds / trained.students.size * spec.seeds)
    return _Unmeasured(RunResult(spec, "cancelled", cost=cost, history=history, arrays=arrays), logits)


def _measured(
    unmeasured: _Unmeasured, splits: dict[str, np.ndarray], material: MeasurementInputs, probes: _Probes
) -> RunResult:
    """Return the result with everything that is measured.

    Raises:
        CancelledError: the callback asked to stop.
    """
    result, data = unmeasured.result, material.data
    spec, arrays = result.spec, result.arrays
    student = probes.read(arrays["features/train"], arrays["features/test"])
    spaces = {"student": replace(_space(arrays["features/test"]), probe=student["target"])}
    attributes = {name: Probe(probes.chance(name), student=student[name]) for name in probes.attributes}
    teacher: TeacherStats | None = None
    if spec.method != BASELINE:
        raw = probes.read_raw(material.embeddings)
        compressed = probes.read(arrays["compressed/train"], arrays["compressed/test"]) if _compresses(spec) else raw
        spaces |= {
            "raw": _space(material.embeddings[splits["test"]][None]),
            "compressed": _space(arrays["compressed/test"]),
        }
        for name in probes.attributes:
            attributes[name] = replace(attributes[name], raw=raw[name], compressed=compressed[name])
        entry = teachers.get_teacher(spec.teacher)
        target = Probe(probes.chance("target"), raw["target"], compressed["target"])
        head = _metrics(unmeasured.teacher_logits, splits, data, probes.report) if unmeasured.teacher_logits else {}
        teacher = TeacherStats(spec.teacher, entry.source_task, entry.supervised, target, head)
    metrics = _metrics({name: arrays[f"logits/{name}"] for name in splits}, splits, data, probes.report)
    probes.report()
    embedding = 4 * spaces["compressed"].width if teacher else None
    cost = replace(student_cost(material.trained, data), bytes_per_embedding=embedding, seconds=result.cost.seconds)
    return replace(
        result, status="done", metrics=metrics, teacher=teacher, spaces=spaces, attributes=attributes, cost=cost
    )


def _point_of(members: slice, point: Point) -> Point:
    return replace(point, **{curve: getattr(point, curve)[members] for curve in CURVES})


def _tensor(values: np.ndarray, rows: np.ndarray, trained: Trained) -> torch.Tensor:
    return torch.from_numpy(values[rows]).to(trained.students.device)


def _compressed(
    number: int, splits: dict[str, np.ndarray], material: MeasurementInputs
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return the compressed rows and, where there is a teacher head, its logits: split -> (m, n, ...); m is 1 where members share one."""
    branch, fitted = material.trained.teachers[number], material.fitted[number]
    spaces = {name: material.embeddings[rows] for name, rows in splits.items()}
    if fitted:
        spaces = {
            name: np.stack([each.transform(rows) for each in fitted]).astype(np.float32)
            for name, rows in spaces.items()
        }
    if branch is None:
        return spaces, {}
    found = {name: compress(branch, torch.from_numpy(rows).to(branch.device)) for name, rows in spaces.items()}
    logits = {name: each["logits"].numpy() for name, each in found.items()}
    return spaces if fitted else {name: each["compressed"].numpy() for name, each in found.items()}, logits


def _metrics(
    logits: dict[str, np.ndarray], splits: dict[str, np.ndarray], data: Dataset, report: Callable[[], None]
) -> dict[str, SplitMetrics]:
    """Return split -> scores over members, and under "ood" the mean of the out-of-domain sets.

    With several labels an item, the thresholds of F1 are each member's own, chosen per class on the validation rows.
    `report` is called before each member is scored.
    """

    def scored(member: np.ndarray, labels: np.ndarray, cut: np.ndarray | float) -> dict[str, float]:
        report()
        return scores(member, labels, cut)

    truth = data.labels[splits["val"]]
    cuts = [thresholds(member, truth) if data.multi_label else 0.5 for member in logits["val"]]
    values = {
        name: [scored(member, data.labels[splits[name]], cut) for member, cut in zip(found, cuts, strict=True)]
        for name, found in logits.items()
        if name != "train"
    }
    metrics = {
        name: SplitMetrics({metric: summarize([m[metric] for m in members]) for metric in members[0]})
        for name, members in values.items()
    }
    outside = [metrics[name] for name in data.out_of_domain]
    if outside:
        means = {
            metric: np.mean([each[metric].values for each in outside], axis=0).tolist() for metric in outside[0].scores
        }
        metrics["ood"] = SplitMetrics({metric: summarize(values) for metric, values in means.items()})
    return metrics


def _space(members: np.ndarray) -> SpaceStats:
    return SpaceStats(members.shape[-1], summarize([effective_rank(each) for each in members]))


@torch.no_grad()
def student_cost(trained: Trained, data: Dataset) -> Cost:
    """Return what a student costs at inference, without its adapter.

    The latency is the median of 20 calls on this machine's processor, in milliseconds.
    """
    student = trained.students.member(0)
    network = nn.Sequential(student.body, student.head)
    item = torch.zeros(1, *data.inputs.shape[1:])
    parameters, operations = sum(p.numel() for p in network.parameters()), multiply_adds(network, item)
    taken = []
    for _ in range(20):
        started = time.perf_counter()
        network(item)
        taken.append(time.perf_counter() - started)
    return Cost(parameters, operations, round(1000 * median(taken), 3))


def multiply_adds(network: nn.Module, item: Tensor) -> int:
    """Return the multiplications in the linear and convolutional layers of a network, for one item (1, ...).

    Every entry of such a layer's output takes as many as there are weights behind one. torch's own `FlopCounterMode` counts the same, as
    `tests/test_measuring.py` shows for every student, but loads torch's compiler for it: three seconds of every first run.
    """
    counts = []
    layers = [
        layer for layer in network.modules() if getattr(layer, "weight", None) is not None and layer.weight.ndim > 1
    ]
    hooks = [
        layer.register_forward_hook(lambda at, _, out: counts.append(out.numel() * at.weight[0].numel()))
        for layer in layers
    ]
    network(item)
    for hook in hooks:
        hook.remove()
    return sum(counts)
