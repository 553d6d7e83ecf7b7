"""Teacher branches: a trainable compressor with its heads, and what else it learns from beside the target task.

A branch maps an embedding (b, d_t) to the compressed one and the logits of its heads. In training it may get random
numbers beside the embedding; it then returns a third thing, a loss of its own that is added to the teacher loss. All of
it runs under `torch.vmap`; `tests/test_branches.py` holds it to a plain loop.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

HIDDEN = 64  # units of a bottleneck
RATE = 1e-3  # β: what a nat of the bottleneck costs
REMOVAL = 3.0  # what the whole of an attribute costs, in nats
FLOOR = 1e-4  # of the mean variance, below which a direction counts as empty
SMALLEST = 1e-6  # probability of the tail of a normal distribution from which noise is cut

WHOLE = (slice(None),)  # the columns of a single teacher
Outputs = tuple[Tensor, tuple[Tensor, ...]] | tuple[Tensor, tuple[Tensor, ...], Tensor]


class TeacherBranch(nn.Module):
    """A trainable compressor with its head: the only part that learns from the teacher loss.

    Args:
        compressor: (b, d_t) -> (b, d_c).
        prefixes: leading widths with a head each; the last is d_c.
        classes: k.
        columns: of each of several separate teachers in the compressed embedding; each has its own heads.
    """

    def __init__(
        self, compressor: nn.Module, prefixes: tuple[int, ...], classes: int, columns: Sequence[slice] = WHOLE
    ) -> None:
        super().__init__()
        self.compressor, self.teachers = compressor, len(columns)
        self.seen = [(width, own) for width in prefixes for own in columns]  # what each head looks at
        self.heads = nn.ModuleList(nn.Linear(len(range(width)[own]), classes) for width, own in self.seen)

    def forward(self, embedding: Tensor) -> Outputs:
        """Return compressed (b, d_c) and the logits (b, k) as `predict` does."""
        compressed = self.compressor(embedding)
        return compressed, self.predict(compressed)

    def predict(self, compressed: Tensor) -> tuple[Tensor, ...]:
        """Return the logits (b, k) of each prefix of compressed embeddings (b, d_c), the last of all dimensions.

        Of several teachers: those of every teacher's heads, then the mean over the teachers at full width.
        """
        seen = [compressed[..., :width][..., own] for width, own in self.seen]
        logits = [head(part) for head, part in zip(self.heads, seen, strict=True)]
        return (*logits, torch.stack(logits[-self.teachers :]).mean(0)) if self.teachers > 1 else tuple(logits)


class Bottleneck(nn.Module):
    """A normal distribution for each embedding, whose mean (b, d_c) is what the compressor gives.

    Args:
        d_t: width of the embedding.
        dim: d_c.
    """

    def __init__(self, d_t: int, dim: int) -> None:
        super().__init__()
        self.hidden = nn.Sequential(nn.Linear(d_t, HIDDEN), nn.ReLU())
        self.mean, self.log_variance = nn.Linear(HIDDEN, dim), nn.Linear(HIDDEN, dim)

    def forward(self, embedding: Tensor) -> Tensor:
        return self.mean(self.hidden(embedding))

    def distribution(self, embedding: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and logarithm of the variance, (b, d_c) each."""
        hidden = self.hidden(embedding)
        return self.mean(hidden), self.log_variance(hidden)


class BottleneckBranch(TeacherBranch):
    """The branch of a `Bottleneck`: its heads see samples, and every nat that it lets through costs `RATE`."""

    compressor: Bottleneck

    def forward(self, embedding: Tensor, noise: Tensor | None = None) -> Outputs:
        """Return means and logits, and with noise the cost of the rate too.

        Args:
            embedding: (b, d_t).
            noise: (b, d_c), uniform in [0, 1); None where nothing is sampled.
        """
        if noise is None:
            return super().forward(embedding)
        mean, log_variance = self.compressor.distribution(embedding)
        normal = torch.special.ndtri(noise.clamp(SMALLEST, 1 - SMALLEST))
        sample = mean + (log_variance / 2).exp() * normal
        rate = (mean.square() + log_variance.exp() - log_variance - 1).sum(-1).mean() / 2
        return mean, self.predict(sample), RATE * rate / self.teachers


class AdversaryBranch(TeacherBranch):
    """The branch of a compressor from which an adversary tries to read an attribute, which the compressor prevents.

    The adversary is linear and at its best in every step: of the attribute's categories, as numbers, it explains what
    least squares can. That share, 0 to 1, costs the compressor `REMOVAL` times as much as a nat of its head's loss.
    """

    def forward(self, embedding: Tensor, others: Tensor | None = None, coded: Tensor | None = None) -> Outputs:
        """Return compressed and logits, and with rows whose attribute is known what the adversary costs too.

        Args:
            embedding: (b, d_t).
            others: (r, d_t), more rows than d_c.
            coded: (r, k'), numbers that say their attribute, of total variance 1.
        """
        compressed = self.compressor(embedding)
        logits = self.predict(compressed)
        if others is None or coded is None:
            return compressed, logits
        share = (whitened(self.compressor(others)).mT @ coded / len(coded)).square().sum()
        return compressed, logits, REMOVAL * share


def whitened(rows: Tensor) -> Tensor:
    """Return rows (r, d) at mean 0, uncorrelated and of variance 1: what is linear in them has its gradient bounded.

    A direction of less than a hundredth of the usual spread stays smaller, and is not blown up.
    """
    centred = rows - rows.mean(0)
    covariance = centred.mT @ centred / len(rows)
    floor = FLOOR * covariance.diagonal(dim1=-2, dim2=-1).mean() + FLOOR**3
    factor = torch.linalg.cholesky_ex(covariance + floor * torch.eye(rows.shape[-1], device=rows.device)).L
    return torch.linalg.solve_triangular(factor, centred.mT, upper=False).mT
