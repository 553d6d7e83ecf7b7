"""Scaling: embeddings at one spread, as compressors get them; those of several teachers each at its own."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ScaledEmbeddings:
    """Embeddings (n, d) less a mean, divided by a scale; computed for the requested rows, as all may exceed memory.

    Attributes:
        embeddings: (n, d), perhaps mapped from disk.
        mean: (d,).
        scale: one number; (d,) where several teachers stand side by side, one number for each of them.
    """

    embeddings: np.ndarray
    mean: np.ndarray
    scale: float | np.ndarray

    @classmethod
    def to_unit(cls, embeddings: np.ndarray, rows: np.ndarray, blocks: Sequence[int] = ()) -> "ScaledEmbeddings":
        """Return embeddings centred and divided by their root mean square over `rows`: the space keeps its shape.

        Args:
            embeddings: (n, d).
            rows: that say what is subtracted and divided by.
            blocks: widths of the embeddings of several teachers side by side; each is divided by its own scale.
        """
        mean = embeddings[rows].mean(0)
        squares = np.square(embeddings[rows] - mean)
        if len(blocks) > 1:
            ends = np.cumsum(blocks)[:-1]
            scales = [np.sqrt(block.mean()) for block in np.split(squares, ends, axis=1)]
            scales = [scale if scale > 0 else 1.0 for scale in scales]
            return cls(embeddings, mean, np.repeat(scales, blocks).astype(np.float32))
        scale = np.sqrt(squares.mean())
        return cls(embeddings, mean, scale if scale > 0 else 1.0)

    @property
    def shape(self) -> tuple[int, ...]:
        """Return (n, d)."""
        return self.embeddings.shape

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        return (self.embeddings[rows] - self.mean) / self.scale
