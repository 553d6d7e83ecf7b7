"""What trains together: the specs of one population, and the untrained members of each.

`tests/test_pipeline.py` holds that training side by side changes nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import TypeVar

import numpy as np
import torch
from torch import nn

from kdlib.analysis.geometry import sample_rows
from kdlib.analysis.scaling import ScaledEmbeddings
from kdlib.checks import Context
from kdlib.models import students
from kdlib.models.branches import TeacherBranch
from kdlib.models.compressors import Compressor, FixedCompressor
from kdlib.models.separation import normalise_parts
from kdlib.progress import OnProgress, Progress, report_progress
from kdlib.registry import call_reporting
from kdlib.spec import RunSpec
from kdlib.training.step_loss import MethodGroup
from kdlib.training.target_normalisers import TARGET_NORMALISERS

# What an adversary sees: how many rows at most, how many of them in a step at least, how many categories at most.
ATTRIBUTED_ROWS, ATTRIBUTED_BATCH, MOST_CATEGORIES = 20_000, 256, 100
# In these fields the members of a population may differ.
FREE_FIELDS = {
    "method",
    "dim",
    "target_normaliser",
    "distance_weight",
    "soft_label_weight",
    "soft_label_loss",
    "temperature",
    "teacher_mixing",
    "lr",
    "seeds",
    "prefix",
    "first_seed",
    "attribute",
}

Built = TypeVar("Built")


def group_contexts(contexts: Sequence[Context]) -> list[list[Context]]:
    """Return the contexts, grouped by what their members must share to train as one population."""
    groups: dict[tuple, list[Context]] = {}
    for context in contexts:
        spec = context.spec
        shared = tuple(getattr(spec, f.name) for f in fields(spec) if f.name not in FREE_FIELDS)
        groups.setdefault((*shared, context.adapter_width), []).append(context)
    return list(groups.values())


def build_group(
    context: Context,
    embeddings: ScaledEmbeddings,
    on_progress: OnProgress | None,
    settings: Sequence[RunSpec] = (),
    seeds: Sequence[int] = (),
) -> tuple[MethodGroup, list[FixedCompressor]]:
    """Return the untrained members of a spec and its fitted compressors.

    The members of the first setting come first, one per seed, then those of the next.

    Args:
        context: of the spec.
        embeddings: (N, d_t) of all rows of the dataset.
        on_progress: shown how far the fitting is.
        settings: of the members, which differ in `GRID_FIELDS` only; by default the cells of the spec's grid.
        seeds: with which each setting is trained; by default the `seed_numbers` of the spec.

    Returns:
        the group, and fixed compressors: one per seed, one for all where the seed has no effect, none where the
        compressor is trained or there is no teacher.

    Raises:
        CancelledError: `on_progress` asked to stop.
    """
    spec, compressor = context.spec, context.compressor
    cells, each_seed = settings or spec.cells, seeds or spec.seed_numbers
    seeds = [*each_seed] * len(cells)
    members = [_build_seeded(seed, lambda: _build_student(context)) for seed in seeds]
    if compressor is None:
        return MethodGroup(members, seeds), []
    heads, targets, normalised, fitted = [], None, None, []
    normalise = TARGET_NORMALISERS[spec.target_normaliser].function if _normalises(spec) else None
    if compressor.trainable:
        heads = _build_heads(context, seeds, lambda: compressor.build(context.d_t, context.d_c), compressor.branch)
    else:
        fitted, each = _fit_targets(context, embeddings, each_seed, on_progress)
        targets = _for_members(each, len(members))
        if normalise is not None:
            own = [normalise_parts(normalise, rows, context.columns) for rows in each]
            normalised, normalise = _for_members(own, len(members)), None
        if any(cell.soft_label_weight for cell in cells):
            heads = _build_heads(context, seeds, nn.Identity, TeacherBranch)
    weights = {name: _per_member(cells, name, each_seed) for name in ("distance_weight", "soft_label_weight")}
    weigh = (weights["distance_weight"], weights["soft_label_weight"], spec.temperature, spec.soft_label_loss)
    noise = context.d_c if compressor.noise else 0
    beside = context.columns, _attributed(context, embeddings) if compressor.removes else None
    shared = (normalised, normalise, noise, *beside)
    taught = [cell.kept or 0 for cell in cells for _ in each_seed], compressor.prefixes(context.d_c)
    return MethodGroup(members, seeds, heads, targets, *weigh, *shared, *(taught if any(taught[0]) else ())), fitted


def _attributed(context: Context, embeddings: ScaledEmbeddings) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Return training rows (n, d_t) whose attribute is known, labelled or not, what says it (n, k'), and rows a step.

    Each of its most frequent categories is a column, 1 where a row is of it; centred, of variance 1 together.
    """
    values, rows = context.data.attributes[context.spec.attribute].values, context.data.splits["train"]
    rows = rows[values[rows] >= 0]
    rows = rows[sample_rows(len(rows), ATTRIBUTED_ROWS)]
    categories, counts = np.unique(values[rows], return_counts=True)
    categories = categories[np.argsort(-counts, kind="stable")[:MOST_CATEGORIES]]
    coded = (values[rows][:, None] == categories).astype(np.float32)
    coded = (coded - coded.mean(0)) / np.sqrt(coded.var(0).sum())
    per_step = max(ATTRIBUTED_BATCH, 4 * context.d_c)
    return torch.from_numpy(embeddings[rows].astype(np.float32)), torch.from_numpy(coded), per_step


def _fit_targets(
    context: Context, embeddings: ScaledEmbeddings, seeds: Sequence[int], on_progress: OnProgress | None
) -> tuple[list[FixedCompressor], list[torch.Tensor]]:
    """Return the fitted compressors of a spec, and what each makes of every labelled row, (n, d_c)."""
    assert context.compressor is not None
    rows, labels = embeddings[context.labelled], context.data.labels[context.labelled]
    fitted = fit_compressors(context.compressor, context.d_c, seeds, rows, labels, on_progress)
    return fitted, [torch.from_numpy(each.transform(rows).astype(np.float32)) for each in fitted]


def _for_members(targets: Sequence[torch.Tensor], members: int) -> torch.Tensor:
    """Return the targets of each member, (m, n, d_c), from those of each seed or the one of all seeds."""
    stacked = torch.stack(list(targets))
    return stacked.repeat(members // len(targets), 1, 1) if len(targets) > 1 else stacked.expand(members, -1, -1)


def _build_heads(
    context: Context, seeds: Sequence[int], build: Callable[[], nn.Module], branch: Callable[..., TeacherBranch]
) -> list[TeacherBranch]:
    """Return a teacher branch for each seed, around what `build` makes."""
    assert context.compressor is not None
    prefixes, classes = context.compressor.prefixes(context.d_c), len(context.data.classes)
    return [_build_seeded(seed, lambda: branch(build(), prefixes, classes, context.columns)) for seed in seeds]


def _normalises(spec: RunSpec) -> bool:
    return spec.target_normaliser != RunSpec.target_normaliser


def member_rates(contexts: Sequence[Context]) -> list[float]:
    """Return the learning rate of each member of specs that train as one population, in order."""
    specs = [context.spec for context in contexts]
    return [rate for spec in specs for rate in _per_member(spec.cells, "lr", range(spec.seeds))]


def _per_member(settings: Sequence[RunSpec], name: str, seeds: Sequence[int]) -> list[float]:
    """Return the value of a field in `GRID_FIELDS` for each member: each setting with each seed."""
    return [getattr(setting, name) for setting in settings for _ in seeds]


def _build_student(context: Context) -> students.Student:
    spec, data = context.spec, context.data
    return students.build_student(
        spec.student,
        data.inputs.shape[1:],
        spec.width,
        len(data.classes),
        context.adapter_width,
        spec.depth,
        spec.projector,
    )


def fit_compressors(
    compressor: Compressor,
    d_c: int,
    seeds: Sequence[int],
    rows: np.ndarray,
    labels: np.ndarray,
    on_progress: OnProgress | None = None,
) -> list[FixedCompressor]:
    """Return fixed compressors fitted to the rows (n, d_t): one per seed, or one where the seed has no effect.

    Example:
        >>> fit_compressors(COMPRESSORS["pca"], 4, range(5), embeddings, labels)[0].transform(embeddings).shape
    """
    fitted: list[FixedCompressor] = []
    used = seeds if compressor.seeded else seeds[:1]

    def report_all(progress: Progress) -> bool:
        step = len(fitted) * progress.steps + progress.step
        report_progress(on_progress, progress.phase, step, len(used) * progress.steps)
        return False

    report_progress(on_progress, "fitting", 0, len(used))
    for seed in used:
        fit = compressor.build(d_c, seed).fit
        fitted.append(call_reporting(fit, rows, labels, on_progress=on_progress and report_all))
    return fitted


def _build_seeded(seed: int, build: Callable[[], Built]) -> Built:
    """Return what `build` makes with torch's generator seeded, leaving the generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()
