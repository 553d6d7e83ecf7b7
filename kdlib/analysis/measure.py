"""Measuring: what trained members are worth, what each space still holds, and what it costs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from kdlib.analysis.costs import student_cost
from kdlib.analysis.geometry import effective_rank
from kdlib.analysis.grid import select_members
from kdlib.analysis.intervals import summarize
from kdlib.analysis.probes import Probes, Scores, Space
from kdlib.analysis.scaling import ScaledEmbeddings
from kdlib.analysis.split_scores import score_splits
from kdlib.data.datasets import Dataset
from kdlib.models import teachers
from kdlib.models.compressors import FixedCompressor
from kdlib.models.nesting import head_number
from kdlib.processes import count_processes, results_of
from kdlib.progress import CancelledError, OnProgress, report_progress
from kdlib.results import CANCELLED_SPLITS, CURVES, Cost, Grid, Point, RunResult, SpaceStats, TeacherStats
from kdlib.spec import BASELINE, RAW, RunSpec
from kdlib.summary import Probe
from kdlib.training.loop import Trained, compress, predict
from kdlib.training.streaming import StreamedRows

PROBE_ROWS = 2000  # test rows a probe is scored on, at most


@dataclass(frozen=True)
class MeasurementInputs:
    """What there is to measure: the data and everything that was fitted or trained on it.

    Attributes:
        data: the dataset.
        labelled: (n,) training rows whose labels were seen.
        embeddings: (N, d_t) of all rows, as the compressors got them.
        fitted: per spec, its fixed compressors.
        trained: all members of all specs.
    """

    data: Dataset
    labelled: np.ndarray
    embeddings: ScaledEmbeddings
    fitted: list[list[FixedCompressor]]
    trained: Trained

    @property
    def splits(self) -> dict[str, np.ndarray]:
        """Return split -> rows; "train" holds the labelled ones. After a cancelled training: `CANCELLED_SPLITS`."""
        splits = self.data.splits | {"train": self.labelled}
        if self.trained.cancelled:
            return {name: splits[name] for name in CANCELLED_SPLITS}
        return {name: rows for name, rows in splits.items() if name != "train"} | {"train": self.labelled}


@dataclass(frozen=True)
class _Group:
    """The members of one spec.

    Attributes:
        spec: of the run.
        number: of the spec among those that were trained together.
        members: where its members are among all.
        inputs: of all specs.
        seconds: of the training, its share.
        grid: what all cells of its grid came to; None without one.
    """

    spec: RunSpec
    number: int
    members: slice
    inputs: MeasurementInputs
    seconds: float
    grid: Grid | None


@dataclass(frozen=True)
class _Collected:
    """What a training leaves of one spec, before anything is measured.

    Attributes:
        group: the members.
        result: holds arrays and history; "failed" where a member diverged, otherwise "cancelled".
        teacher_logits: split -> (m, n, k) of the teacher heads; empty without one.
    """

    group: _Group
    result: RunResult
    teacher_logits: dict[str, np.ndarray]


@dataclass(frozen=True)
class _Common:
    """What the results of a comparison share.

    Attributes:
        cost: of a student, without its training.
        probes: that score spaces.
        raw: width and rank of the raw space; None where nobody learned from it.
        raw_scores: of its probes; empty without one.
    """

    cost: Cost
    probes: Probes
    raw: SpaceStats | None = None
    raw_scores: Scores = field(default_factory=dict)


@threadpool_limits.wrap(limits=1, user_api="blas")  # threads of numpy wait for one another by spinning
def measure(
    specs: Sequence[RunSpec], inputs: MeasurementInputs, on_progress: OnProgress | None = None
) -> list[RunResult]:
    """Return the result of each spec, whose members follow one another in `inputs.trained`.

    Of a grid, the cell that is best on validation is measured, nothing of the others.

    A result that is "cancelled" holds the history, the replay, the weights with the best validation score of each
    member so far (before the first validation those it started with) and rows in the spaces of these weights, and has
    no metrics, probes or attributes. All results are so after a cancelled training, or when `on_progress` asks to stop
    before every split is predicted, with the rows of `CANCELLED_SPLITS`; when it asks later, those that are not
    measured by then, with the rows of every split.

    Args:
        specs: of `inputs.trained`, in order.
        inputs: what to measure.
        on_progress: called before every split and every probe; returning True stops.
    """
    trained = inputs.trained
    seconds = [trained.seconds / trained.students.size * spec.seeds * spec.cell_count for spec in specs]
    trained, grids = select_members(specs, trained)
    inputs = replace(inputs, trained=trained)
    outputs = _predict(inputs, on_progress)
    if len(outputs) < len(inputs.splits):  # from here on it is as if the training had been cancelled
        inputs = replace(inputs, trained=replace(inputs.trained, cancelled=True))
    collected, start = [], 0
    for number, spec in enumerate(specs):
        members = slice(start, start := start + spec.seeds)
        arrays = {
            f"{kind}/{split}": values[members] for split, kinds in outputs.items() for kind, values in kinds.items()
        }
        group = _Group(spec, number, members, inputs, seconds[number], grids[number])
        collected.append(_collect(group, arrays))
    results = [entry.result for entry in collected]
    if inputs.trained.cancelled:
        return results
    data = inputs.data
    probes = Probes(data, inputs.labelled, data.splits["test"][:PROBE_ROWS], _count_spaces(results), on_progress)
    with suppress(CancelledError):
        _complete_all(collected, results, probes)
    return results


def _predict(inputs: MeasurementInputs, on_progress: OnProgress | None) -> dict[str, dict[str, np.ndarray]]:
    """Return split -> outputs of all members; `CANCELLED_SPLITS` alone if `on_progress` asks to stop meanwhile."""
    splits, students = inputs.splits, inputs.trained.students
    report = None if inputs.trained.cancelled else on_progress

    def predict_split(name: str) -> dict[str, np.ndarray]:
        outputs = predict(students, StreamedRows(inputs.data.inputs, splits[name], students.device))
        return {kind: values.numpy() for kind, values in outputs.items()}

    names = sorted(splits, key=lambda name: name not in CANCELLED_SPLITS)
    processes = count_processes(len(names)) if students.device.type == "cpu" else 1
    outputs: dict[str, dict[str, np.ndarray]] = {}
    try:
        stops = partial(report_progress, report, "measuring", 0, 0)
        for number, values in results_of(predict_split, names, processes, stops):
            outputs[names[number]] = values
    except CancelledError:
        names = list(CANCELLED_SPLITS)
    return {name: outputs.get(name) or predict_split(name) for name in splits if name in names}


def _count_spaces(results: Sequence[RunResult]) -> int:
    """Return how many spaces the measuring of these results probes."""
    pending = [result for result in results if result.status != "failed"]
    own = sum(_count_own_spaces(result) for result in pending)
    return own + any(result.spec.method != BASELINE for result in pending)


def _count_own_spaces(result: RunResult) -> int:
    """Return how many spaces of one result are probed, those of its students and compressors."""
    return result.spec.seeds + (len(result.arrays["compressed/test"]) if _compresses(result.spec) else 0)


def _compresses(spec: RunSpec) -> bool:
    """Return whether the method has a space of its own between the teacher's embedding and the student's features."""
    return spec.method not in (BASELINE, RAW, "none")


def _collect(group: _Group, outputs: dict[str, np.ndarray]) -> _Collected:
    """Return the arrays and the history of one spec. `outputs` holds "features/<split>" and "logits/<split>"."""
    spec, trained, members = group.spec, group.inputs.trained, group.members
    arrays = dict(outputs)
    for name, values in trained.students.parameters.items():
        arrays[f"student/{name}"] = values[members].detach().cpu().numpy()
    arrays |= {f"replay/{name}": values for name, values in trained.replay[group.number][0].items()}
    history = [_select_members(point, members) for point in trained.history]
    if reason := _why_diverged(group):
        failed = RunResult(spec, "failed", reason, history=history, grid=group.grid, arrays=arrays)
        return _Collected(group, failed, {})
    compressed, logits = _compress_rows(group) if spec.method != BASELINE else ({}, {})
    arrays |= {f"compressed/{split}": rows for split, rows in compressed.items()}
    teacher = trained.teachers[group.number]
    if teacher is not None:
        for name, values in teacher.parameters.items():
            arrays[f"teacher/{name}"] = values.detach().cpu().numpy()
    cost = Cost(seconds=group.seconds)
    result = RunResult(spec, "cancelled", cost=cost, history=history, grid=group.grid, arrays=arrays)
    return _Collected(group, result, logits)


def _why_diverged(group: _Group) -> str:
    """Return which seeds diverged and when, "" without any."""
    start, stop = group.members.start, group.members.stop
    diverged, first = group.inputs.trained.diverged.items(), group.spec.first_seed
    seeds = [f"seed {member - start + first} in epoch {epoch}" for member, epoch in diverged if start <= member < stop]
    return f"diverged: {', '.join(seeds)}; try a lower learning rate" if seeds else ""


def _complete_all(collected: Sequence[_Collected], results: list[RunResult], probes: Probes) -> None:
    """Put what is measured in the place of each result that did not fail.

    Raises:
        CancelledError: the callback asked to stop.
    """
    numbers = [number for number, entry in enumerate(collected) if entry.result.status != "failed"]
    if not numbers:
        return
    inputs = collected[0].group.inputs
    common = _Common(student_cost(inputs.trained, inputs.data), probes)
    processes = count_processes(len(numbers))
    # One process takes one result after the other: those that are whole before a cancel are kept.
    for batch in [numbers] if processes > 1 else [[number] for number in numbers]:
        spaces = {(number, kind): space for number in batch for kind, space in _spaces(collected[number].result)}
        if not common.raw_scores and any(results[number].spec.method != BASELINE for number in batch):
            rows = (inputs.embeddings[each][None] for each in (probes.train, probes.test))
            spaces[-1, RAW] = Space(*rows, cached=True)
            common = replace(common, raw=_space_stats(inputs.embeddings[inputs.splits["test"]][None]))
        scores = probes.score_all(spaces, processes)
        common = replace(common, raw_scores=scores.pop((-1, RAW), common.raw_scores))
        for number in batch:
            own = {kind: found for (owner, kind), found in scores.items() if owner == number}
            results[number] = _complete(collected[number], own, common)


def _spaces(result: RunResult) -> Iterator[tuple[str, Space]]:
    """Yield the name of each space of its own, as in the result's `spaces`, and its rows."""
    kinds = {"student": "features"} | ({"compressed": "compressed"} if _compresses(result.spec) else {})
    for kind, name in kinds.items():
        yield kind, Space(result.arrays[f"{name}/train"], result.arrays[f"{name}/test"])


def _complete(collected: _Collected, scores: Mapping[str, Scores], common: _Common) -> RunResult:
    """Return the result with everything that is measured.

    Args:
        collected: what its training left.
        scores: space of its own -> scores of its probes.
        common: what all results share.

    Raises:
        CancelledError: the callback asked to stop.
    """
    result, inputs, probes = collected.result, collected.group.inputs, common.probes
    arrays, splits = result.arrays, inputs.splits
    student = scores["student"]
    spaces = {"student": replace(_space_stats(arrays["features/test"]), probe=student["target"])}
    attributes = {name: Probe(probes.chance(name), student=student[name]) for name in probes.attributes}
    teacher: TeacherStats | None = None
    if common.raw is not None and result.spec.method != BASELINE:
        raw, compressed = common.raw_scores, scores.get("compressed", common.raw_scores)
        spaces[RAW] = common.raw
        spaces["compressed"] = _space_stats(arrays["compressed/test"])
        for name in probes.attributes:
            attributes[name] = replace(attributes[name], raw=raw[name], compressed=compressed[name])
        target = Probe(probes.chance("target"), raw["target"], compressed["target"])
        teacher = _teacher_stats(collected, target, probes.report)
    metrics = score_splits({name: arrays[f"logits/{name}"] for name in splits}, inputs.data, splits, probes.report)
    probes.report()
    embedding = 4 * spaces["compressed"].width if teacher else None
    cost = replace(common.cost, bytes_per_embedding=embedding, seconds=result.cost.seconds)
    return replace(
        result, status="done", metrics=metrics, teacher=teacher, spaces=spaces, attributes=attributes, cost=cost
    )


def _teacher_stats(collected: _Collected, target: Probe, report: Callable[[], None]) -> TeacherStats:
    """Return the teacher of a spec and the scores of its head. `target` is its probe on the target."""
    spec, logits = collected.group.spec, collected.teacher_logits
    entry = teachers.get_teacher(spec.teacher)
    inputs = collected.group.inputs
    head = score_splits(logits, inputs.data, inputs.splits, report) if logits else {}
    return TeacherStats(spec.teacher, entry.source_task, entry.supervised, target, head)


def _select_members(point: Point, members: slice) -> Point:
    return replace(point, **{curve: getattr(point, curve)[members] for curve in CURVES})


def _compress_rows(group: _Group) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return the compressed rows and, where there is a teacher head, its logits, both split -> (m, n, ...).

    m is 1 where the members share a compressor. Of members that are taught a prefix it is the prefix, and its head.
    """
    inputs = group.inputs
    teacher, compressors = inputs.trained.teachers[group.number], inputs.fitted[group.number]
    spaces = {name: inputs.embeddings[rows] for name, rows in inputs.splits.items()}
    if compressors:
        for name, rows in spaces.items():
            transformed = [compressor.transform(rows) for compressor in compressors]
            spaces[name] = np.stack(transformed).astype(np.float32)
    if teacher is None:
        return spaces, {}
    setting = group.spec if group.grid is None else group.spec.cells[group.grid.chosen]
    kept, head = setting.kept, head_number(setting)
    outputs = {
        name: compress(teacher, torch.from_numpy(rows).to(teacher.device), head=head) for name, rows in spaces.items()
    }
    logits = {name: output["logits"].numpy() for name, output in outputs.items()}
    if compressors:
        return spaces, logits
    return {name: output["compressed"][..., :kept].numpy() for name, output in outputs.items()}, logits


def _space_stats(members: np.ndarray) -> SpaceStats:
    """Return width and effective rank of a space (m, n, d) over its members."""
    return SpaceStats(members.shape[-1], summarize([effective_rank(member) for member in members]))
