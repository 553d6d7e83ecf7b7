"""The whole flow, top to bottom: load, embed, compress, train, evaluate. Read this first.

`run` answers one spec, `compare` several; specs whose students are alike train side by side in one population.
"""

from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import nn

from kdlib.analysis.evaluation import score
from kdlib.analysis.geometry import sample_rows
from kdlib.analysis.measure import MeasurementInputs, ScaledEmbeddings, measure
from kdlib.checks import check
from kdlib.data import datasets
from kdlib.data.datasets import Dataset
from kdlib.models import compressors, students, teachers
from kdlib.models.compressors import COMPRESSORS, TeacherBranch
from kdlib.progress import CancelledError, OnProgress, Progress, report_progress
from kdlib.registry import call_reporting
from kdlib.results import RunResult
from kdlib.spec import BASELINE, RAW, RunSpec
from kdlib.training.devices import pick_device
from kdlib.training.loop import MethodGroup, TrainingData, train
from kdlib.training.losses import LOSSES
from kdlib.training.replay import ROWS, ReplaySample

Built = TypeVar("Built")


def run(
    spec: RunSpec, *, device: str = "auto", on_progress: OnProgress | None = None, checkpoint: Path | None = None
) -> RunResult:
    """Train and evaluate one method, once per seed.

    Args:
        spec: what to run.
        device: "auto", "cpu", "cuda" or "mps".
        on_progress: called after every step of every phase (loading, embedding, fitting, training, measuring); returning True stops. A
            run that is stopped while it trains or is measured keeps what `measuring.measure` says, an earlier one nothing.
        checkpoint: file to write every few seconds and to resume from.

    Raises:
        ValueError: the spec asks for something that is not there or cannot be; the message names it.
    """
    return compare([spec], device=device, on_progress=on_progress, checkpoint=checkpoint)[0]


def compare(
    specs: Sequence[RunSpec],
    *,
    device: str = "auto",
    on_progress: OnProgress | None = None,
    checkpoint: Path | None = None,
) -> list[RunResult]:
    """Train and evaluate several methods; those whose students are alike train side by side. Results come in the order of `specs`.

    Arguments and errors as in `run`; everything is checked before any training. Once `on_progress` asks to stop nothing else is begun: what
    has not been trained by then is "cancelled" and holds nothing.
    """
    listener = None if on_progress is None else _Listener(on_progress)
    try:
        _check(specs, listener)
    except CancelledError:
        return [RunResult(spec, "cancelled") for spec in specs]
    on = pick_device(device)
    groups = list(group_specs(specs).values())
    results: dict[RunSpec, RunResult] = {}
    for number, group in enumerate(groups):
        path = (
            checkpoint
            if checkpoint is None or len(groups) == 1
            else checkpoint.with_suffix(f".{number}{checkpoint.suffix}")
        )
        try:
            results |= zip(group, _train_group(group, on, listener, path), strict=True)
        except CancelledError:
            results |= {spec: RunResult(spec, "cancelled") for spec in group}
    return [results[spec] for spec in specs]


class _Listener:
    """A callback that goes on asking to stop once it has done so."""

    def __init__(self, on_progress: OnProgress) -> None:
        self.on_progress, self.stopped = on_progress, False

    def __call__(self, progress: Progress) -> bool:
        self.stopped = bool(self.on_progress(progress)) or self.stopped
        return self.stopped


def _check(specs: Sequence[RunSpec], on_progress: OnProgress | None) -> None:
    """Load the data of the specs and return if they can be run.

    Raises:
        ValueError: one cannot.
        CancelledError: the callback asked to stop.
    """
    names = list(dict.fromkeys(spec.dataset for spec in specs))
    for number, name in enumerate(names):
        report_progress(on_progress, "loading", number, len(names))
        datasets.load(name, on_progress)
    for spec in specs:
        check(spec)
    report_progress(on_progress, "loading", len(names), len(names))


def group_specs(specs: Sequence[RunSpec]) -> dict[tuple, list[RunSpec]]:
    """Return the specs, each once, grouped by what their members must share to train as one population."""
    own = {
        "method",
        "dim",
        "distance_weight",
        "soft_label_weight",
        "temperature",
        "seeds",
    }  # members may differ in these
    groups: dict[tuple, list[RunSpec]] = {}
    for spec in dict.fromkeys(specs):
        alike = tuple(getattr(spec, f.name) for f in fields(spec) if f.name not in own)
        groups.setdefault((*alike, adapter_width(spec)), []).append(spec)
    return groups


def adapter_width(spec: RunSpec) -> int:
    """Return d_c where the loss compares entry by entry and the student needs an adapter to that width, otherwise 0."""
    if spec.method == BASELINE or not LOSSES[spec.loss].pointwise:
        return 0
    d_t = teachers.embedding_width(spec.teacher, spec.dataset)
    return COMPRESSORS[compressor_name(spec)].width(d_t, spec.dim, len(datasets.load(spec.dataset).classes))


def compressor_name(spec: RunSpec) -> str:
    """Return the name in `COMPRESSORS` of what the method does to the embedding."""
    return "none" if spec.method == RAW else spec.method


def _train_group(
    specs: list[RunSpec], device: torch.device, on_progress: OnProgress | None, checkpoint: Path | None
) -> list[RunResult]:
    first, data = specs[0], datasets.load(specs[0].dataset)
    labelled = data.labelled(first.labels)
    report_progress(on_progress, "embedding", 0, len(data.inputs))
    with_teacher = any(spec.method != BASELINE for spec in specs)
    embeddings = (
        ScaledEmbeddings.to_unit(teachers.embed(first.teacher, first.dataset, on_progress), labelled)
        if with_teacher
        else np.empty((len(data.inputs), 0), np.float32)
    )
    branches, fitted = zip(
        *(_build_group(spec, data, labelled, embeddings, on_progress) for spec in specs), strict=True
    )

    def rows(values: np.ndarray | ScaledEmbeddings, which: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(values[which])

    val = data.splits["val"]
    places = sample_rows(len(val), ROWS)
    seen = embeddings[val[places]]
    fixed = [each[0].transform(seen).astype(np.float32) if each else None for each in fitted]
    trained = train(
        branches,
        TrainingData(
            *(rows(a, labelled) for a in (data.inputs, data.labels, embeddings)),
            rows(data.inputs, val),
            rows(data.labels, val),
        ),
        loss=first.loss,
        epochs=first.epochs,
        batch_size=first.batch_size,
        lr=first.lr,
        score=lambda logits: [score(member, data.labels[val]) for member in logits.numpy()],
        device=device,
        on_progress=on_progress,
        checkpoint=checkpoint,
        signature="+".join(spec.identity for spec in specs),
        watched=ReplaySample(val[places], places, seen, fixed),
    )
    return measure(specs, MeasurementInputs(data, labelled, embeddings, list(fitted), trained), on_progress)


def _build_group(
    spec: RunSpec, data: Dataset, labelled: np.ndarray, embeddings: ScaledEmbeddings, on_progress: OnProgress | None
) -> tuple[MethodGroup, list[compressors.FixedCompressor]]:
    """Return the untrained members of a spec and its fitted compressors: one per seed, or one for all if the seed does not matter."""
    classes, seeds = len(data.classes), range(spec.seeds)
    shape, adapter = data.inputs.shape[1:], adapter_width(spec)
    members = [
        _build_seeded(seed, lambda: students.build_student(spec.student, shape, spec.width, classes, adapter))
        for seed in seeds
    ]
    if spec.method == BASELINE:
        return MethodGroup(members, seeds), []
    weights = {
        "distance_weight": spec.distance_weight,
        "soft_label_weight": spec.soft_label_weight,
        "temperature": spec.temperature,
    }
    entry, d_t = COMPRESSORS[compressor_name(spec)], embeddings.shape[1]
    d_c = entry.width(d_t, spec.dim, classes)

    def teacher_branch(compressor: nn.Module) -> TeacherBranch:
        return TeacherBranch(compressor, entry.prefixes(d_c), classes)

    if entry.trainable:
        return MethodGroup(
            members,
            seeds,
            [_build_seeded(seed, lambda: teacher_branch(entry.build(d_t, d_c))) for seed in seeds],
            **weights,
        ), []
    fitted = _fitted(
        entry, d_c, seeds if entry.seeded else (0,), embeddings[labelled], data.labels[labelled], on_progress
    )
    targets = np.stack([each.transform(embeddings[labelled]) for each in fitted]).astype(np.float32)
    shared = torch.from_numpy(targets).expand(spec.seeds, -1, -1)
    heads = (
        [_build_seeded(seed, lambda: teacher_branch(nn.Identity())) for seed in seeds] if spec.soft_label_weight else ()
    )
    return MethodGroup(members, seeds, heads, shared, **weights), fitted


def _fitted(
    entry: compressors.Compressor,
    d_c: int,
    seeds: Sequence[int],
    rows: np.ndarray,
    labels: np.ndarray,
    on_progress: OnProgress | None,
) -> list[compressors.FixedCompressor]:
    """Return one fixed compressor per seed, fitted to the rows (n, d_t)."""
    fitted: list[compressors.FixedCompressor] = []

    def whole(part: Progress) -> bool:
        report_progress(on_progress, part.phase, len(fitted) * part.steps + part.step, len(seeds) * part.steps)
        return False

    report_progress(on_progress, "fitting", 0, len(seeds))
    for seed in seeds:
        fitted.append(call_reporting(entry.build(d_c, seed).fit, rows, labels, on_progress=on_progress and whole))
    return fitted


def _build_seeded(seed: int, build: Callable[[], Built]) -> Built:
    """Return what `build` makes with torch's generator seeded, leaving the generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()
