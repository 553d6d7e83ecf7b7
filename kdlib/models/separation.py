"""Several teachers kept separate: each with a compressor, a head and a distance of its own.

`separate` makes of any compressor one for the embeddings of several teachers side by side. What it gives is still one
embedding (n, d_c), of which `Compressor.columns` says which numbers are whose: those of a fixed compressor stand block
by block, those of a trained one in turn, so that of any leading width each teacher has the same share.
`tests/test_separation.py` runs every compressor through it.

Source: Ranzinger et al. 2024, AM-RADIO: Agglomerative Vision Foundation Model (a head on the student and a distance for
every teacher); Heinrich et al. 2025, RADIOv2.5 (teachers have to be balanced). Differs: each embedding is scaled to the
same spread first and the distances are averaged with equal weights; the teachers are compressed.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from kdlib.models import embedding
from kdlib.models.branches import Bottleneck
from kdlib.models.compressors import COMPRESSORS, Compressor, FixedCompressor
from kdlib.progress import OnProgress, Progress, report_progress
from kdlib.registry import call_reporting
from kdlib.spec import RAW, UNCOMPRESSED, RunSpec, teacher_parts, teaches_separately


def spec_compressor(spec: RunSpec) -> Compressor:
    """Return what the method of a spec, which has a teacher, makes of its embedding.

    Raises:
        ValueError: one of several separate teachers is not there (any more).

    Example:
        >>> spec_compressor(RunSpec(method="lda")).width(256, 16, 10)
        9
    """
    entry = COMPRESSORS["none" if spec.method == RAW else spec.method]
    if not teaches_separately(spec):
        return entry
    return separate(entry, embedding.block_widths(spec.teacher, spec.dataset, spec.pooling))


def separate(entry: Compressor, blocks: Sequence[int]) -> Compressor:
    """Return a compressor of several embeddings side by side, which compresses each by itself.

    Args:
        entry: what compresses one of them, to its share of d_c.
        blocks: their widths.

    Example:
        >>> separate(COMPRESSORS["pca"], [256, 256]).columns(16)
        (slice(0, 8, None), slice(8, 16, None))
    """
    count = len(blocks)
    whole = entry.width(2, 1, 2) > 1  # as wide as the embedding, whatever d_c

    def width(_: int, dim: int, classes: int) -> int:
        return sum(entry.width(block, dim // count, classes) for block in blocks)

    def build_fixed(dim: int, seed: int) -> FixedParts:
        return FixedParts([entry.build(dim // count, seed) for _ in blocks], blocks)

    def build_trainable(_: int, dim: int) -> nn.Module:
        parts = [entry.build(block, dim // count) for block in blocks]
        return BottleneckParts(parts, blocks) if isinstance(parts[0], Bottleneck) else CompressorParts(parts, blocks)

    def prefixes(dim: int) -> tuple[int, ...]:
        return tuple(count * each for each in entry.prefixes(dim // count))

    def columns(dim: int) -> tuple[slice, ...]:
        if entry.trainable:
            return tuple(slice(number, None, count) for number in range(count))
        ends = np.cumsum(blocks if whole else [dim // count] * count).tolist()
        return tuple(slice(start, end) for start, end in zip([0, *ends], ends, strict=False))

    return replace(
        entry,
        build=build_trainable if entry.trainable else build_fixed,
        width=width,
        prefixes=prefixes if entry.trainable else entry.prefixes,
        columns=columns,
    )


class FixedParts:
    """A fixed compressor for each of several embeddings side by side; what they give stands side by side too.

    Args:
        parts: the compressors.
        blocks: widths of the embeddings.
    """

    def __init__(self, parts: Sequence[FixedCompressor], blocks: Sequence[int]) -> None:
        self.parts, self.blocks = parts, blocks

    def fit(self, rows: np.ndarray, labels: np.ndarray, on_progress: OnProgress | None = None) -> "FixedParts":
        """Fit each to its part of the rows (n, d_t)."""
        for number, (part, own) in enumerate(zip(self.parts, self._split(rows), strict=True)):
            report = None if on_progress is None else self._report_part(number, on_progress)
            call_reporting(part.fit, own, labels, on_progress=report)
        return self

    def transform(self, rows: np.ndarray) -> np.ndarray:
        """Return what they make of rows (n, d_t), (n, d_c)."""
        return np.concatenate([part.transform(own) for part, own in zip(self.parts, self._split(rows), strict=True)], 1)

    def _report_part(self, number: int, on_progress: OnProgress) -> OnProgress:
        def report(progress: Progress) -> bool:
            steps = len(self.parts) * progress.steps
            report_progress(on_progress, progress.phase, number * progress.steps + progress.step, steps)
            return False

        return report

    def _split(self, rows: np.ndarray) -> list[np.ndarray]:
        return [np.ascontiguousarray(part) for part in np.split(rows, np.cumsum(self.blocks)[:-1], axis=1)]


class CompressorParts(nn.Module):
    """A module for each of several embeddings side by side, (b, d_t) -> (b, d_c).

    Args:
        parts: the modules.
        blocks: widths of the embeddings.
        in_turn: whether the numbers that they give stand in turn, otherwise side by side.
    """

    def __init__(self, parts: Sequence[nn.Module], blocks: Sequence[int], in_turn: bool = True) -> None:
        super().__init__()
        self.parts, self.blocks, self.in_turn = nn.ModuleList(parts), list(blocks), in_turn

    def forward(self, embedding: Tensor) -> Tensor:
        given = [part(own) for part, own in zip(self.parts, embedding.split(self.blocks, -1), strict=True)]
        return _in_turn(given) if self.in_turn else torch.cat(given, -1)


class BottleneckParts(CompressorParts):
    """A `Bottleneck` for each of several embeddings side by side."""

    def distribution(self, embedding: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and logarithm of the variance, (b, d_c) each."""
        means, log_variances = [], []
        for part, own in zip(self.parts, embedding.split(self.blocks, -1), strict=True):
            assert isinstance(part, Bottleneck)
            mean, log_variance = part.distribution(own)
            means.append(mean)
            log_variances.append(log_variance)
        return _in_turn(means), _in_turn(log_variances)


def _in_turn(parts: Sequence[Tensor]) -> Tensor:
    """Return tensors (..., d) of one width with their numbers in turn, (..., parts * d)."""
    return torch.stack(tuple(parts), -1).flatten(-2)


def normalise_parts(normalise: Callable[[Tensor], Tensor], targets: Tensor, columns: Sequence[slice]) -> Tensor:
    """Return targets (n, d_c) whose parts, side by side, are normalised each by itself."""
    return torch.cat([normalise(targets[:, own]) for own in columns], dim=1)


def widest_dim(spec: RunSpec) -> int:
    """Return the largest `dim` that the compressor of a spec, which has a teacher, can have.

    Example:
        >>> widest_dim(RunSpec(teacher="simclr"))
        256
    """
    blocks = embedding.block_widths(spec.teacher, spec.dataset, spec.pooling)
    return len(blocks) * min(blocks) if teaches_separately(spec) else sum(blocks)


def check_dim(spec: RunSpec) -> None:
    """Return if the width of the compressed embedding suits the teacher, or several separate ones.

    Raises:
        ValueError: it does not, or widths that tuning tries do not.
    """
    if spec.method in UNCOMPRESSED:
        return
    count = len(teacher_parts(spec.teacher)) if teaches_separately(spec) else 1
    if spec.dim % count:
        raise ValueError(
            f"dim {spec.dim} cannot be shared evenly by {count} separate teachers; choose a multiple of {count}"
        )
    if spec.tune and count not in (1, 2, 4):
        raise ValueError(
            f"tuning tries widths that {count} separate teachers cannot share evenly; choose 2 or 4, or tune = 0"
        )
    widest = widest_dim(spec)
    if spec.dim > widest:
        raise ValueError(
            f"dim {spec.dim} is above the width {widest} of teacher {spec.teacher}; compression needs at most {widest}"
        )
