"""Augmentation: how a student's inputs vary from step to step. The teacher's embedding stays that of the clean item.

An augmentation maps inputs (b, ...) and random numbers (b, r), uniform in [0, 1), to inputs of the same shape. It draws
nothing itself and runs under `torch.vmap`: no boolean masks, no `.item()`. To add one, write the function and give it a
line in `AUGMENTATIONS`; `tests/test_augmentation.py` runs the contract over every entry.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from kdlib.data.dataset import AUDIO, IMAGE

STREAM = 2**31  # added to every seed: batches are shuffled by generators of their own
CROP = 8  # a picture is shifted by up to an eighth of each side
MASK = 4  # up to a quarter of the bands, and of the frames, is masked


def none(inputs: Tensor, _noise: Tensor) -> Tensor:
    """The inputs as they are."""
    return inputs


def flip_crop(inputs: Tensor, noise: Tensor) -> Tensor:
    """Pictures mirrored half of the time and shifted by up to an eighth, the border reflected.

    Source: He et al. 2016, section 4.2. Differs: padding by reflection and in proportion to the picture.

    Args:
        inputs: (b, channels, height, width).
        noise: (b, 3).
    """
    rows, columns = _shifted(inputs.shape[2], noise[:, 1]), _shifted(inputs.shape[3], noise[:, 2])
    columns = torch.where(noise[:, :1] < 0.5, inputs.shape[3] - 1 - columns, columns)
    shifted = inputs.gather(2, rows[:, None, :, None].expand_as(inputs))
    return shifted.gather(3, columns[:, None, None, :].expand_as(inputs))


def specaugment(inputs: Tensor, noise: Tensor) -> Tensor:
    """Spectrograms with one band of frequencies and one stretch of time replaced by the item's mean.

    Each mask covers up to a quarter of its axis.

    Source: Park et al. 2019, SpecAugment, section 2. Differs: no time warping.

    Args:
        inputs: (b, channels, mels, frames).
        noise: (b, 4).
    """
    bands = _masked(inputs.shape[2], noise[:, 0], noise[:, 1])[:, None, :, None]
    frames = _masked(inputs.shape[3], noise[:, 2], noise[:, 3])[:, None, None, :]
    return torch.where(bands | frames, inputs.mean((1, 2, 3), keepdim=True), inputs)


def mixup(inputs: Tensor, noise: Tensor) -> Tensor:
    """Every item mixed with another one of its batch, and so are its labels and what the teacher gives.

    λ · x_i + (1 - λ) · x_j with λ uniform in [0, 1) per row, and λ · L(y_i) + (1 - λ) · L(y_j) for its labels: the same
    as the loss of mixed labels. The teacher saw clean items only, so its compressed embeddings are mixed with the same
    λ for the distance, and its soft labels weighted by it, as Schmid et al. do with stored predictions. The teacher's
    own head learns from clean items.

    Source: Zhang et al. 2018, mixup, with α = 1; Schmid, Koutini & Widmer 2023, Efficient Large-Scale Audio Tagging via
    Transformer-to-CNN Knowledge Distillation.

    Args:
        inputs: (b, ...), in random order: a row's partner is the one before it.
        noise: (b, 1), λ.
    """
    return mix(inputs, noise[:, 0])


def mix(values: Tensor, shares: Tensor) -> Tensor:
    """Return each row's share of itself plus the rest of `partner`.

    Args:
        values: (b, ...).
        shares: (b,) in [0, 1].
    """
    shares = shares.reshape(-1, *[1] * (values.ndim - 1))
    return shares * values + (1 - shares) * partner(values)


def partner(values: Tensor) -> Tensor:
    """Return for each row of a batch (b, ...) the row it is mixed with."""
    return values.roll(1, 0)


def _shifted(size: int, noise: Tensor) -> Tensor:
    """Return the places that a shift by up to an eighth puts at 0 ... size - 1, (b,) -> (b, size)."""
    reach = size // CROP
    places = torch.arange(size, device=noise.device) + _whole(noise, 2 * reach)[:, None] - reach
    return size - 1 - (size - 1 - places.abs()).abs()


def _masked(size: int, length: Tensor, start: Tensor) -> Tensor:
    """Return which places of 0 ... size - 1 one mask covers, from two numbers a row, (b,) -> (b, size)."""
    lengths = _whole(length, size // MASK)[:, None]
    starts = _whole(start[:, None], size - lengths)
    places = torch.arange(size, device=length.device)
    return (places >= starts) & (places < starts + lengths)


def _whole(noise: Tensor, largest: int | Tensor) -> Tensor:
    """Return whole numbers from 0 to `largest`, equally likely."""
    return torch.minimum((noise * (largest + 1)).long(), torch.as_tensor(largest, device=noise.device))


class Augmentation(NamedTuple):
    """A way to vary inputs.

    Attributes:
        function: `(inputs (b, ...), noise (b, r)) -> (b, ...)`.
        numbers: r, random numbers a row.
        modality: the items it is for; "" for any.
        mixes: rows are mixed with their `partner`, the first of the numbers being their own share.
    """

    function: Callable[[Tensor, Tensor], Tensor]
    numbers: int = 0
    modality: str = ""
    mixes: bool = False


def draw_noise(seeds: Sequence[int], step: int, rows: int, numbers: int, stream: int = STREAM) -> Tensor:
    """Return the random numbers of one step, (members, rows, numbers), uniform in [0, 1).

    They depend on seed, step and stream only: the same for members of one seed, and for a training that was resumed.

    Example:
        >>> draw_noise([0, 1], step=7, rows=32, numbers=3).shape
        torch.Size([2, 32, 3])
    """
    drawn = {}
    for seed in dict.fromkeys(seeds):
        rng = torch.Generator().manual_seed(stream + seed * 1_000_003 + step)
        drawn[seed] = torch.rand(rows, numbers, generator=rng)
    return torch.stack([drawn[seed] for seed in seeds])


AUGMENTATIONS: dict[str, Augmentation] = {
    "none": Augmentation(none),
    "flip-crop": Augmentation(flip_crop, 3, IMAGE),
    "specaugment": Augmentation(specaugment, 4, AUDIO),
    "mixup": Augmentation(mixup, 1, mixes=True),
}


def compatible_augmentations(modality: str) -> list[str]:
    """Return the names of the augmentations that fit items of a modality.

    Example:
        >>> compatible_augmentations("audio")
        ['none', 'specaugment', 'mixup']
    """
    return [name for name, entry in AUGMENTATIONS.items() if entry.modality in ("", modality)]
