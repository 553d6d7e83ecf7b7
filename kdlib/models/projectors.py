"""Projectors: what brings a student's features to the width of the target, where a distance needs equal widths.

A projector learns with the student and is left behind when the student is used. A builder maps d_s and d_c to a module
`(b, d_s) -> (b, d_c)` without buffers, so that many train as one under `torch.vmap`; the parameter whose name comes
last has d_c as its first axis, by which stored weights say their width. To add one, write the builder and give it a
line in `PROJECTORS`; `tests/test_projectors.py` runs the contract over every entry.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from kdlib.registry import lookup

HIDDEN = 64  # units of the projectors with a hidden layer
MEMBERS = 3  # of an ensemble
Widths = int | tuple[int, ...]  # of a target, or of those of several separate teachers


def linear(d_s: int, d_c: int) -> nn.Module:
    """One linear layer: whatever a linear map can make of the features counts as learned."""
    return nn.Linear(d_s, d_c)


def mlp(d_s: int, d_c: int) -> nn.Module:
    """Two layers with a non-linearity between them: matches more, and asks less of the features themselves."""
    return nn.Sequential(nn.Linear(d_s, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, d_c))


class Orthogonal(nn.Module):
    """A linear map (b, d_s) -> (b, d_c) that turns but does not stretch: its rows, or its columns, are orthonormal.

    The map is the Q of the QR decomposition of a free matrix, with the signs that make it unique.

    Args:
        d_s: width of the features.
        d_c: of the target.
    """

    def __init__(self, d_s: int, d_c: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(nn.init.orthogonal_(torch.empty(d_c, d_s)))

    def forward(self, features: Tensor) -> Tensor:
        return functional.linear(features, self.map())

    def map(self) -> Tensor:
        """Return the orthonormal matrix, (d_c, d_s)."""
        wide = self.weight.shape[0] < self.weight.shape[1]
        q, r = torch.linalg.qr(self.weight.mT if wide else self.weight)
        q = q * torch.where(r.diagonal() < 0, -1.0, 1.0)
        return q.mT if wide else q


def orthogonal(d_s: int, d_c: int) -> nn.Module:
    """A rotation without stretching: angles and distances of the features themselves have to fit the target's.

    P s with P Pᵀ = I, or Pᵀ P = I where the target is wider. It goes with a target of unit scale: see the target
    normalisers.

    Source: Miles, Elezi & Deng 2024, VkD: Improving Knowledge Distillation using Orthogonal Projections.
    Differs: P comes from a QR decomposition, not from the exponential of a skew-symmetric matrix.
    """
    return Orthogonal(d_s, d_c)


class Ensemble(nn.Module):
    """The mean of several modules' outputs."""

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, features: Tensor) -> Tensor:
        return torch.stack([member(features) for member in self.members]).mean(0)


def ensemble(d_s: int, d_c: int) -> nn.Module:
    """The mean of three two-layer projectors that start differently: none of their quirks decides alone.

    1/3 sum_k g_k(s).

    Source: Chen et al. 2022, Improved Feature Distillation via Projector Ensemble; Chen et al. 2023, Understanding the
    Effects of Projectors in Knowledge Distillation. Differs: each ends in a linear layer, as targets may be negative.
    """
    return Ensemble([mlp(d_s, d_c) for _ in range(MEMBERS)])


class ProjectorParts(nn.Module):
    """A projector for each of several separate teachers, (b, d_s) -> (b, sum of d_c): their outputs side by side."""

    def __init__(self, parts: Sequence[nn.Module]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, features: Tensor) -> Tensor:
        return torch.cat([part(features) for part in self.parts], dim=-1)


def build_adapter(projector: str, d_s: int, widths: Widths) -> nn.Module:
    """Return what brings features (b, d_s) to the width of the target, of several teachers to that of each.

    Raises:
        ValueError: no such projector.

    Example:
        >>> build_adapter("linear", 32, (8, 8))(torch.zeros(4, 32)).shape
        torch.Size([4, 16])
    """
    project = lookup(PROJECTORS, projector, "projector")
    if isinstance(widths, tuple):
        return ProjectorParts([project(d_s, width) for width in widths])
    return project(d_s, widths) if widths else nn.Identity()


PROJECTORS: dict[str, Callable[[int, int], nn.Module]] = {
    "linear": linear,
    "mlp": mlp,
    "orthogonal": orthogonal,
    "ensemble": ensemble,
}


def projected_width(shapes: Mapping[str, Sequence[int]]) -> Widths:
    """Return the width that a student's projector comes out at, 0 without one; of separate teachers, that of each.

    Args:
        shapes: name -> shape of each parameter of one student.

    Example:
        >>> projected_width({"head.weight": (10, 32), "adapter.weight": (16, 32), "adapter.bias": (16,)})
        16
    """
    widths: dict[str, int] = {}
    for name in sorted(name for name in shapes if name.startswith("adapter.")):
        part = name.split(".")[2] if name.startswith("adapter.parts.") else ""
        widths[part] = shapes[name][0]  # that of the last name of each stays
    if "" in widths or not widths:
        return widths.get("", 0)
    return tuple(widths[part] for part in sorted(widths, key=int))
