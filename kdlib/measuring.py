"""Measuring: what trained members are worth, what each space still tells, and what it costs."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

import numpy as np
import torch
from torch import Tensor, nn

from kdlib import teachers
from kdlib.compressors import Fixed
from kdlib.datasets import Dataset
from kdlib.evaluation import chance, probe, scores, thresholds
from kdlib.geometry import effective_rank
from kdlib.intervals import summarize
from kdlib.results import CURVES, Cost, Point, Probe, RunResult, SpaceStats, SplitMetrics, Summary, TeacherStats
from kdlib.spec import BASELINE, RunSpec
from kdlib.training import Trained, compress, predict

PROBE_ROWS = 2000  # test rows a probe is judged on, at most


@dataclass(frozen=True)
class Rescaled:
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
    def to_unit(cls, embeddings: np.ndarray, rows: np.ndarray) -> "Rescaled":
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
class Material:
    """What there is to measure: the data and everything that was fitted or trained on it.

    Attributes:
        data: the dataset.
        labelled: (n,) training rows whose labels were seen.
        embeddings: (N, d_t) of all rows, as the compressors got them; made row by row, as they are asked for.
        fitted: per spec, its fixed compressors.
        trained: all members of all specs.
        seconds: training time per member.
    """

    data: Dataset
    labelled: np.ndarray
    embeddings: Rescaled
    fitted: list[list[Fixed]]
    trained: Trained
    seconds: float


def measure(specs: Sequence[RunSpec], material: Material) -> list[RunResult]:
    """Return the result of each spec, whose members follow one another in `material.trained`."""
    data, trained = material.data, material.trained
    splits = {name: rows for name, rows in data.splits.items() if name != "train"} | {"train": material.labelled}
    outputs = {name: predict(trained.students, _tensor(data.inputs, rows, trained)) for name, rows in splits.items()}
    probes = _Probes(data, material.labelled, data.splits["test"][:PROBE_ROWS])
    results, start = [], 0
    for number, spec in enumerate(specs):
        members = slice(start, start := start + spec.seeds)
        own = {name: {kind: values[members].numpy() for kind, values in found.items()} for name, found in outputs.items()}
        results.append(_measure_one(spec, number, members, own, splits, probes, material))
    return results


class _Probes:
    """Probe accuracies for the target and every attribute, raw ones computed once."""

    def __init__(self, data: Dataset, train: np.ndarray, test: np.ndarray) -> None:
        self.train, self.test = train, test
        self.attributes = [name for name, each in data.attributes.items() if _can_be_asked(each.values, train, test)]
        self.targets = {"target": data.labels} | {name: data.attributes[name].values for name in self.attributes}
        self.raw: dict[str, Summary] = {}

    def chance(self, name: str) -> float:
        return chance(self.targets[name][self.train], self.targets[name][self.test])

    def read(self, spaces: Sequence[tuple[np.ndarray, np.ndarray]]) -> dict[str, Summary]:
        """Return name -> accuracy over spaces, each given as its rows for training and for testing."""
        return {
            name: summarize([probe(train, y[self.train], test, y[self.test]) for train, test in spaces]) for name, y in self.targets.items()
        }

    def read_raw(self, embeddings: Rescaled) -> dict[str, Summary]:
        self.raw = self.raw or self.read([(embeddings[self.train], embeddings[self.test])])
        return self.raw


def _can_be_asked(values: np.ndarray, train: np.ndarray, test: np.ndarray) -> bool:
    """Return whether a probe for an attribute is defined: few labels may all fall into one category."""
    return len(np.unique(values[train][values[train] >= 0])) > 1 and bool((values[test] >= 0).any())


def _measure_one(
    spec: RunSpec,
    number: int,
    members: slice,
    outputs: dict[str, dict[str, np.ndarray]],
    splits: dict[str, np.ndarray],
    probes: _Probes,
    material: Material,
) -> RunResult:
    data, trained = material.data, material.trained
    arrays = {f"{kind}/{name}": values for name, found in outputs.items() for kind, values in found.items()}
    arrays |= {f"student/{name}": value[members].detach().cpu().numpy() for name, value in trained.students.parameters.items()}
    arrays |= {f"replay/{name}": value for name, value in trained.replay[number].items()}
    history = [_point_of(members, point) for point in trained.history]
    lost = {member - members.start: epoch for member, epoch in trained.diverged.items() if members.start <= member < members.stop}
    if lost:
        told = ", ".join(f"seed {seed} in epoch {epoch}" for seed, epoch in lost.items())
        return RunResult(spec, "failed", f"diverged: {told}; try a lower learning rate", history=history, arrays=arrays)

    def student_space(split: str) -> np.ndarray:
        return outputs[split]["features"]

    student_probes = probes.read(list(zip(student_space("train"), student_space("test")[:, : len(probes.test)], strict=True)))
    spaces = {"student": replace(_space(student_space("test")), probe=student_probes["target"])}
    teacher: TeacherStats | None = None
    attributes = {name: Probe(probes.chance(name), student=student_probes[name]) for name in probes.attributes}
    bytes_per_embedding = None
    if spec.method != BASELINE:
        raw = probes.read_raw(material.embeddings)
        compressed = _compressed(number, splits, material)
        arrays |= {f"compressed/{name}": found for name, found in compressed["compressed"].items()}
        pairs = list(zip(compressed["compressed"]["train"], compressed["compressed"]["test"][:, : len(probes.test)], strict=True))
        read = raw if spec.method in ("raw", "none") else probes.read(pairs)
        spaces |= {"raw": _space(material.embeddings[splits["test"]][None]), "compressed": _space(compressed["compressed"]["test"])}
        for name in probes.attributes:
            attributes[name] = replace(attributes[name], raw=raw[name], compressed=read[name])
        entry = teachers.find(spec.teacher)
        target = Probe(probes.chance("target"), raw["target"], read["target"])
        head = _metrics(compressed["logits"], splits, data) if compressed["logits"] else {}
        teacher = TeacherStats(spec.teacher, entry.source_task, entry.supervised, target, head)
        if compressed["logits"]:
            arrays |= {f"teacher/{name}": value.detach().cpu().numpy() for name, value in trained.teachers[number].parameters.items()}
        bytes_per_embedding = 4 * spaces["compressed"].width
    cost = replace(student_cost(trained, data), bytes_per_embedding=bytes_per_embedding, seconds=material.seconds * spec.seeds)
    return RunResult(
        spec,
        "cancelled" if trained.cancelled else "done",
        metrics=_metrics({name: found["logits"] for name, found in outputs.items() if name != "train"}, splits, data),
        teacher=teacher,
        spaces=spaces,
        attributes=attributes,
        cost=cost,
        history=history,
        arrays=arrays,
    )


def _point_of(members: slice, point: Point) -> Point:
    return replace(point, **{curve: getattr(point, curve)[members] for curve in CURVES})


def _tensor(values: np.ndarray, rows: np.ndarray, trained: Trained) -> torch.Tensor:
    return torch.from_numpy(values[rows]).to(trained.students.device)


def _compressed(number: int, splits: dict[str, np.ndarray], material: Material) -> dict[str, dict[str, np.ndarray]]:
    """Return "compressed" and, where there is a teacher head, "logits": split -> (m, n, ...); m is 1 where all members share one."""
    branch, fitted = material.trained.teachers[number], material.fitted[number]
    spaces = {name: material.embeddings[rows] for name, rows in splits.items()}
    if fitted:
        spaces = {name: np.stack([each.transform(rows) for each in fitted]).astype(np.float32) for name, rows in spaces.items()}
    if branch is None:
        return {"compressed": spaces, "logits": {}}
    found = {name: compress(branch, torch.from_numpy(rows).to(branch.device)) for name, rows in spaces.items()}
    logits = {name: each["logits"].numpy() for name, each in found.items()}
    return {"compressed": spaces if fitted else {name: each["compressed"].numpy() for name, each in found.items()}, "logits": logits}


def _metrics(logits: dict[str, np.ndarray], splits: dict[str, np.ndarray], data: Dataset) -> dict[str, SplitMetrics]:
    """Return split -> scores over members, and under "ood" the mean of the out-of-domain sets.

    With several labels an item, the thresholds of F1 are each member's own, chosen per class on the validation rows.
    """
    truth = data.labels[splits["val"]]
    cuts = [thresholds(member, truth) if data.multi_label else 0.5 for member in logits["val"]]
    values = {
        name: [scores(member, data.labels[splits[name]], cut) for member, cut in zip(found, cuts, strict=True)]
        for name, found in logits.items()
        if name != "train"
    }
    metrics = {
        name: SplitMetrics({metric: summarize([m[metric] for m in members]) for metric in members[0]}) for name, members in values.items()
    }
    outside = [metrics[name] for name in data.out_of_domain]
    if outside:
        means = {metric: np.mean([each[metric].values for each in outside], axis=0).tolist() for metric in outside[0].scores}
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
    layers = [layer for layer in network.modules() if getattr(layer, "weight", None) is not None and layer.weight.ndim > 1]
    hooks = [layer.register_forward_hook(lambda at, _, out: counts.append(out.numel() * at.weight[0].numel())) for layer in layers]
    network(item)
    for hook in hooks:
        hook.remove()
    return sum(counts)
