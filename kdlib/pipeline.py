"""The whole flow, top to bottom: load, embed, tune if asked, compress, train, evaluate. Read this first.

`run` takes one spec, `compare` several; specs whose students are alike train side by side in one population.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from kdlib.analysis.evaluation import score
from kdlib.analysis.geometry import sample_rows
from kdlib.analysis.measure import MeasurementInputs, measure
from kdlib.analysis.scaling import ScaledEmbeddings
from kdlib.checks import Context, check_memory, resolve
from kdlib.data import datasets
from kdlib.groups import build_group, group_contexts, member_rates
from kdlib.models import embedding
from kdlib.models.compressors import FixedCompressor
from kdlib.progress import CancelledError, OnProgress, StopLatch, report_progress
from kdlib.results import Comparison, RunResult
from kdlib.spec import BASELINE, RunSpec
from kdlib.training.devices import pick_device
from kdlib.training.replay import MAX_ROWS, ReplaySample
from kdlib.training.shards import train_in_shards
from kdlib.training.step_loss import StepLoss, TrainingData
from kdlib.training.stepper import Stepper
from kdlib.training.streaming import StreamedRows, fit_in_memory, load_rows
from kdlib.trials import Tuning
from kdlib.tuning import DivergedError, TuningInputs, report_both, tune


def run(
    spec: RunSpec, *, device: str = "auto", on_progress: OnProgress | None = None, checkpoint: Path | None = None
) -> RunResult:
    """Return the result of one method, trained and evaluated once per seed.

    Args:
        spec: what to run.
        device: "auto", "cpu", "cuda" or "mps".
        on_progress: called after every step of every phase (loading, embedding, fitting, training, measuring);
            returning True stops. What it then holds: see `kdlib.analysis.measure.measure`, nothing before training.
        checkpoint: file to write every few seconds and to resume from.

    Raises:
        ValueError: the spec names something that does not exist or cannot be run; the message says what.

    Example:
        >>> result = run(RunSpec(dataset="digits", teacher="random", labels=100, epochs=2))
        >>> result.score("test").mean
    """
    return compare([spec], device=device, on_progress=on_progress, checkpoint=checkpoint)[0]


def compare(
    specs: Sequence[RunSpec],
    *,
    device: str = "auto",
    on_progress: OnProgress | None = None,
    checkpoint: Path | None = None,
) -> Comparison:
    """Return the result of each spec, in their order; those whose students are alike train side by side.

    Arguments and errors as in `run`; all specs are checked before any training. Once `on_progress` asks to stop,
    nothing else is begun: specs that have not been trained by then are "cancelled" and hold nothing.

    Example:
        >>> raw, compressed = compare([RunSpec(method="raw"), RunSpec(method="mlp")])
        >>> compressed.score("test").mean - raw.score("test").mean
    """
    latch = None if on_progress is None else StopLatch(on_progress)
    if on_progress is not None and len(specs) == 1 and specs[0].tune:
        latch = StopLatch(report_both(on_progress, specs[0]))
    try:
        contexts = _load(specs, latch)
    except CancelledError:
        return Comparison(RunResult(spec, "cancelled") for spec in specs)
    for group in group_contexts(contexts):
        check_memory(group)
    torch_device = pick_device(device)
    tunings: dict[RunSpec, Tuning] = {}
    settings: dict[RunSpec, RunSpec] = {}  # spec -> what is trained for it
    results: dict[RunSpec, RunResult] = {}
    for number, context in enumerate(contexts):
        spec = context.spec
        try:
            if spec.tune:
                tunings[spec] = _tune(context, torch_device, latch, _numbered(checkpoint, number, len(contexts)))
            settings[spec] = tunings[spec].setting(spec) if spec.tune else spec
        except CancelledError:
            results[spec] = RunResult(spec, "cancelled")
        except DivergedError as error:
            results[spec] = RunResult(spec, "failed", str(error))
    trained = _train_all(list(dict.fromkeys(settings.values())), torch_device, latch, checkpoint)
    results |= {spec: replace(trained[each], spec=spec, tuning=tunings.get(spec)) for spec, each in settings.items()}
    return Comparison(results[spec] for spec in specs)


def _tune(context: Context, device: torch.device, on_progress: OnProgress | None, checkpoint: Path | None) -> Tuning:
    """Return how the setting of a spec is found.

    Raises:
        CancelledError: `on_progress` asked to stop.
        DivergedError: no setting could be trained.
    """
    embeddings = _embed([context], on_progress)
    rows = _training_data(context, embeddings)
    return tune(TuningInputs(context, embeddings, rows, device, on_progress, checkpoint))


def _train_all(
    specs: Sequence[RunSpec],
    device: torch.device,
    on_progress: OnProgress | None,
    checkpoint: Path | None,
) -> dict[RunSpec, RunResult]:
    """Return the result of each spec, in which nothing is left to tune."""
    groups = group_contexts([resolve(spec) for spec in specs])
    results: dict[RunSpec, RunResult] = {}
    for number, group in enumerate(groups):
        group_specs = [context.spec for context in group]
        try:
            path = _numbered(checkpoint, number, len(groups))
            results |= zip(group_specs, _run_group(group, device, on_progress, path), strict=True)
        except CancelledError:
            results |= {spec: RunResult(spec, "cancelled") for spec in group_specs}
    return results


def _numbered(checkpoint: Path | None, number: int, count: int) -> Path | None:
    """Return the file of one of several pieces of work; of a single one that is the checkpoint itself."""
    if checkpoint is None or count == 1:
        return checkpoint
    return checkpoint.with_suffix(f".{number}{checkpoint.suffix}")


def build_stepper(spec: RunSpec) -> tuple[Stepper, np.ndarray]:
    """Return what takes the training of a spec's first seed one step at a time, and the labelled rows it learns from.

    Of a grid that is its first cell. The steps are those of `run`; nothing is validated or measured.

    Raises:
        ValueError: as in `run`.

    Example:
        >>> stepper, rows = build_stepper(RunSpec(dataset="digits", teacher="random", labels=100, epochs=2))
        >>> stepper.step().total
    """
    context = resolve(spec.cells[0].replace(seeds=1))
    embeddings = _embed([context], None)
    group, _ = build_group(context, embeddings, None)
    step_loss = StepLoss(
        [group], _training_data(context, embeddings), spec.loss, torch.device("cpu"), spec.augmentation
    )
    return Stepper(
        step_loss, epochs=spec.epochs, batch_size=spec.batch_size, lr=member_rates([context])
    ), context.labelled


def _load(specs: Sequence[RunSpec], on_progress: OnProgress | None) -> list[Context]:
    """Return the context of each spec, each once.

    Raises:
        ValueError: one cannot be run.
        CancelledError: `on_progress` asked to stop.
    """
    names = list(dict.fromkeys(spec.dataset for spec in specs))
    for number, name in enumerate(names):
        report_progress(on_progress, "loading", number, len(names))
        datasets.load(name, on_progress)
    contexts = [resolve(spec) for spec in dict.fromkeys(specs)]
    report_progress(on_progress, "loading", len(names), len(names))
    return contexts


def _run_group(
    contexts: list[Context],
    device: torch.device,
    on_progress: OnProgress | None,
    checkpoint: Path | None,
) -> list[RunResult]:
    """Return the results of specs that train as one population: embed, compress, train, evaluate."""
    spec, data = contexts[0].spec, contexts[0].data
    embeddings = _embed(contexts, on_progress)
    built = [build_group(context, embeddings, on_progress) for context in contexts]
    fitted = [compressors for _, compressors in built]
    val_labels = data.labels[data.splits["val"]]
    trained = train_in_shards(
        [group for group, _ in built],
        _training_data(contexts[0], embeddings),
        loss=spec.loss,
        epochs=spec.epochs,
        batch_size=spec.batch_size,
        lr=member_rates(contexts),
        augmentation=spec.augmentation,
        score=lambda logits: [score(member, val_labels) for member in logits.numpy()],
        device=device,
        on_progress=on_progress,
        checkpoint=checkpoint,
        signature="+".join(context.spec.identity for context in contexts),
        replay_sample=_sample_replay(data.splits["val"], embeddings, fitted),
    )
    specs = [context.spec for context in contexts]
    return measure(specs, MeasurementInputs(data, contexts[0].labelled, embeddings, fitted, trained), on_progress)


def _embed(contexts: Sequence[Context], on_progress: OnProgress | None) -> ScaledEmbeddings:
    """Return the teacher's embeddings of all rows, (N, d_t); of width 0 where all specs are baselines."""
    spec, data = contexts[0].spec, contexts[0].data
    report_progress(on_progress, "embedding", 0, len(data.inputs))
    if all(context.spec.method == BASELINE for context in contexts):
        return ScaledEmbeddings(np.empty((len(data.inputs), 0), np.float32), np.empty(0, np.float32), 1.0)
    embeddings = embedding.embed(spec.teacher, spec.dataset, on_progress, spec.pooling)
    blocks = embedding.block_widths(spec.teacher, spec.dataset, spec.pooling)
    return ScaledEmbeddings.to_unit(embeddings, contexts[0].labelled, blocks)


def _training_data(context: Context, embeddings: ScaledEmbeddings) -> TrainingData:
    data, labelled, val = context.data, context.labelled, context.data.splits["val"]
    read = load_rows if fit_in_memory(data.inputs, len(labelled) + len(val)) else StreamedRows
    labels, targets, val_labels = map(torch.from_numpy, (data.labels[labelled], embeddings[labelled], data.labels[val]))
    return TrainingData(read(data.inputs, labelled), labels, targets, read(data.inputs, val), val_labels)


def _sample_replay(
    val: np.ndarray, embeddings: ScaledEmbeddings, fitted: Sequence[Sequence[FixedCompressor]]
) -> ReplaySample:
    places = sample_rows(len(val), MAX_ROWS)
    sampled = embeddings[val[places]]
    fixed = [each[0].transform(sampled).astype(np.float32) if each else None for each in fitted]
    return ReplaySample(val[places], places, sampled, fixed)
