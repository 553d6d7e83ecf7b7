"""The compressor of a run as a graph: the teacher's embedding (n, d_t) -> compressed (n, d_c)."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kdlib import runs
from kdlib.analysis.scaling import ScaledEmbeddings
from kdlib.export.graph import to_onnx
from kdlib.export.source import BEST, ExportSource, choose_seeds
from kdlib.models import embedding
from kdlib.models.compressors import Autoencoder, FixedCompressor
from kdlib.models.separation import CompressorParts, FixedParts, spec_compressor
from kdlib.models.teachers import is_built_in
from kdlib.spec import BASELINE, UNCOMPRESSED
from kdlib.store import RunNotFoundError

CHECKED = 200  # rows on which the graph is compared with the run
TOLERANCE = 1e-3  # of the largest number, beyond which a graph is refused


class ScaledCompressor(nn.Module):
    """A compressor behind the scaling that the run gave its teacher's embeddings: (n, d_t) -> (n, d_c)."""

    mean: Tensor
    scale: Tensor

    def __init__(self, compressor: nn.Module, scaling: ScaledEmbeddings) -> None:
        super().__init__()
        self.compressor = compressor
        for name in ("mean", "scale"):
            self.register_buffer(name, torch.from_numpy(np.asarray(getattr(scaling, name), np.float32)))

    def forward(self, embeddings: Tensor) -> Tensor:
        return self.compressor((embeddings - self.mean) / self.scale)


def export_compressor(source: ExportSource) -> tuple[Any | None, str]:
    """Return the compressor as an `onnx.ModelProto`, or None and in a sentence why there is none.

    Of several seeds it is the one of the best member.
    """
    spec = source.result.spec
    if spec.method == BASELINE or spec.method in UNCOMPRESSED:
        return None, f"the method {spec.method} compresses nothing"
    try:
        done, rows = embedding.count_embedded(spec.teacher, spec.dataset)
        if done < rows and not is_built_in(spec.teacher):
            raise ValueError("its embeddings are not in the cache any more; `kdlib embed` brings them back")
        embeddings = embedding.embed(spec.teacher, spec.dataset, pooling=spec.pooling)
    except ValueError as error:
        return None, f"the teacher {spec.teacher} cannot be asked: {error}"
    labelled = source.data.labelled(spec.labels, spec.subset)
    blocks = embedding.block_widths(spec.teacher, spec.dataset, spec.pooling)
    scaling = ScaledEmbeddings.to_unit(embeddings, labelled, blocks)
    member = source.seeds[0] if len(source.seeds) == 1 else choose_seeds(source.result, BEST)[0]
    try:
        return _checked_graph(source, scaling, embeddings, member)
    except RunNotFoundError:
        return None, "the run was imported without its compressor"


def _checked_graph(
    source: ExportSource, scaling: ScaledEmbeddings, embeddings: np.ndarray, member: int
) -> tuple[Any | None, str]:
    """Return the graph of one member's compressor, once it gives what the run has."""
    spec, labelled = source.result.spec, source.data.labelled(source.result.spec.labels, source.result.spec.subset)
    if spec_compressor(spec).trainable:
        compressor = _trained(source, embeddings.shape[1], member)
    else:
        compressor = _fitted(source, scaling[labelled], source.data.labels[labelled], member)
    network = ScaledCompressor(compressor, scaling).eval()
    if _distance_to_run(source, network, embeddings, member) > TOLERANCE:
        return None, f"the teacher {spec.teacher} gives other embeddings than it did in the run"
    return to_onnx(network, torch.zeros(2, embeddings.shape[1]), "embedding", ["compressed"]), ""


def _trained(source: ExportSource, d_t: int, member: int) -> nn.Module:
    """Return a trainable compressor with its weights."""
    spec = source.result.setting
    built = spec_compressor(spec).build(d_t, spec.dim)
    names = [f"teacher/compressor.{name}" for name in built.state_dict()]
    stored = [runs.member_array(source.run.id, "features", name, member) for name in names]
    built.load_state_dict(
        {name: torch.from_numpy(value) for name, value in zip(built.state_dict(), stored, strict=True)}
    )
    return built


def _fitted(source: ExportSource, rows: np.ndarray, labels: np.ndarray, member: int) -> nn.Module:
    """Return a fixed compressor, fitted as in the run."""
    spec, entry = source.result.setting, spec_compressor(source.result.setting)
    d_c = entry.width(rows.shape[1], spec.dim, len(source.data.classes))
    fitted = entry.build(d_c, spec.seed_numbers[member] if entry.seeded else 0).fit(rows, labels)
    return _to_module(fitted, rows.shape[1])


def _to_module(fitted: FixedCompressor, width: int) -> nn.Module:
    """Return a fitted compressor of embeddings (n, width) as a module."""
    if isinstance(fitted, FixedParts):
        parts = [_to_module(part, block) for part, block in zip(fitted.parts, fitted.blocks, strict=True)]
        return CompressorParts(parts, fitted.blocks, in_turn=False)
    return fitted.encoder if isinstance(fitted, Autoencoder) else affine_layer(fitted, width)


def affine_layer(fitted: FixedCompressor, width: int) -> nn.Linear:
    """Return a fixed compressor that multiplies with a matrix and adds numbers, as a layer that does the same.

    Example:
        >>> affine_layer(PCA(n_components=2).fit(rows), rows.shape[1]).weight.shape
        torch.Size([2, 8])
    """
    corners = np.concatenate([np.zeros((1, width)), np.eye(width)])
    images = np.asarray(fitted.transform(corners), np.float64)
    layer = nn.Linear(width, images.shape[1])
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy((images[1:] - images[0]).T))
        layer.bias.copy_(torch.from_numpy(images[0]))
    return layer


@torch.no_grad()
def _distance_to_run(source: ExportSource, network: nn.Module, embeddings: np.ndarray, member: int) -> float:
    """Return how far the compressor is from what the run computed, in shares of the largest number there."""
    test = source.data.splits["test"][:CHECKED]
    expected = runs.member_array(source.run.id, "features", "compressed/test", member)[:CHECKED]
    computed = network(torch.from_numpy(np.ascontiguousarray(embeddings[test], np.float32))).numpy()
    return float(np.abs(computed - expected).max() / max(np.abs(expected).max(), 1e-9))
