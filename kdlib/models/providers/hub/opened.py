"""A network out of a hub, ready to embed."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class OpenedNetwork:
    """A network with what it takes.

    Attributes:
        embed_one: picture (h, w, 3) uint8, or wave (samples,) float32 at `rate` -> (d_t,).
        modality: of its items.
        parameters: numbers in its weights.
        rate: of its sound, Hz; 0 for pictures.
    """

    embed_one: Callable[[np.ndarray], np.ndarray]
    modality: str
    parameters: int
    rate: int = 0
