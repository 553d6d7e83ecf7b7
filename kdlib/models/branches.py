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
