"""Pretraining: makes the built-in teachers, each on a source task, from the pool of `cluttered-digits` or `tones`.

`build` writes weights and a card into `kdlib/models/weights/`. A source task is an `Objective`: what the encoder needs
beside it while it learns, and the loss of a batch. To add a built-in teacher, write an objective and give it a line in
`OBJECTIVES` and in `kdlib.models.providers.built_in.TEACHERS`.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from kdlib.cache import atomic_path
from kdlib.data import datasets
from kdlib.data.datasets import CANVAS, ITEM_NAMES, ORIENTATIONS, Dataset
from kdlib.models.encoder import CHANNELS, SIZES, WEIGHTS, WIDTH, Encoder, encode, to_canvas
from kdlib.models.providers.built_in import VERSION
from kdlib.progress import OnProgress, Progress
from kdlib.registry import lookup
from kdlib.training.optimizer import AdamW

SEED, BATCH, LR = 0, 128, 2e-3
BatchLoss = Callable[[Tensor, Tensor], Tensor]
# As `kdlib.analysis.linear_probe.probe_accuracy`.
Probe = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], float]


@dataclass(frozen=True)
class Objective:
    """A source task.

    Attributes:
        start: `(encoder, rng) -> (what else learns, loss of a batch of pictures and labels)`; None: stays untrained.
        epochs: passes over the pool.
        labels: the source labels of all rows; None for an unsupervised task.
        data: the dataset whose training split is the pool.
    """

    start: Callable[[Encoder, torch.Generator], tuple[nn.Module, BatchLoss]] | None = None
    epochs: int = 0
    labels: Callable[[Dataset], np.ndarray] | None = None
    data: str = "cluttered-digits"


def restore(
    encoder: Encoder, rng: torch.Generator, noise: float = 0.3, hidden: float = 0.5
) -> tuple[nn.Module, BatchLoss]:
    """Denoising autoencoder (Vincent et al. 2008): restore a picture from a noisy copy with half its blocks hidden."""
    side = encoder.size // (CANVAS // 2)  # of a block: 2 pixels of an image
    wider = [
        layer for _ in range(side // 2) for layer in (nn.ConvTranspose2d(64, 64, 4, stride=2, padding=1), nn.ReLU())
    ]
    decoder = nn.Sequential(nn.Conv2d(CHANNELS, 64, 1), *wider, nn.ConvTranspose2d(64, 1, 4, stride=2, padding=1))

    def loss(images: Tensor, labels: Tensor) -> Tensor:  # noqa: ARG001
        blocks = torch.rand(len(images), 1, CANVAS // 2, CANVAS // 2, generator=rng) > hidden
        spoiled = images * blocks.repeat_interleave(side, 2).repeat_interleave(side, 3) + noise * torch.randn(
            images.shape, generator=rng
        )
        return functional.mse_loss(decoder(encoder.trunk(spoiled)), images)

    return decoder, loss


def augment_images(images: Tensor, rng: torch.Generator) -> Tensor:
    """Return each image (b, 1, h, w) turned (up to 15°), scaled, shifted (up to 3 pixels), with contrast and noise."""
    b = len(images)

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(b, generator=rng)

    angle, scale = uniform(-0.26, 0.26), uniform(0.85, 1.15)
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    right, down = uniform(-0.375, 0.375), uniform(-0.375, 0.375)  # in half images
    matrix = torch.stack([torch.stack([cos, -sin, right], 1), torch.stack([sin, cos, down], 1)], 1)
    grid = functional.affine_grid(matrix, list(images.shape), align_corners=False)
    moved = functional.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
    return moved * uniform(0.6, 1.4)[:, None, None, None] + 0.1 * torch.randn(images.shape, generator=rng)


def augment_sounds(pictures: Tensor, rng: torch.Generator) -> Tensor:
    """Return each spectrogram (b, 1, mels, frames) shifted in time and pitch, louder, brighter, with a gap and noise.

    Up to 4 frames, up to 2 mel bands, up to 12 dB louder or softer, and up to 10 dB between the lowest and the highest
    band.
    """
    b, _, mels, frames = pictures.shape

    def uniform(low: float, high: float) -> Tensor:
        return (low + (high - low) * torch.rand(b, generator=rng))[:, None, None, None]

    band = (torch.arange(mels) - torch.randint(-2, 3, (b, 1), generator=rng)).clamp(0, mels - 1)
    frame = (torch.arange(frames) - torch.randint(-4, 5, (b, 1), generator=rng)).clamp(0, frames - 1)
    moved = pictures[torch.arange(b)[:, None, None], 0, band[:, :, None], frame[:, None, :]][:, None]
    tilt = uniform(-0.06, 0.06) * torch.linspace(-1, 1, mels)[:, None]
    gap = (torch.arange(frames) - uniform(0, frames)).abs() > 2
    return (moved + uniform(-0.15, 0.15) + tilt) * gap + 0.05 * torch.randn(pictures.shape, generator=rng)


def match_views(
    encoder: Encoder,
    rng: torch.Generator,
    temperature: float = 0.2,
    alter: Callable[[Tensor, torch.Generator], Tensor] = augment_images,
) -> tuple[nn.Module, BatchLoss]:
    """SimCLR (Chen et al. 2020): of all pictures in the batch, find the one that is another view of the same."""
    projector = nn.Sequential(nn.Linear(WIDTH, CHANNELS), nn.ReLU(), nn.Linear(CHANNELS, 64))

    def loss(images: Tensor, labels: Tensor) -> Tensor:  # noqa: ARG001
        views = torch.cat([alter(images, rng), alter(images, rng)])
        points = functional.normalize(projector(encoder(views)), dim=1)
        similarity = (points @ points.T / temperature).masked_fill(
            torch.eye(len(views), dtype=torch.bool), float("-inf")
        )
        return functional.cross_entropy(similarity, torch.arange(len(views)).roll(len(images)))

    return projector, loss


def classify(encoder: Encoder, rng: torch.Generator, classes: int) -> tuple[nn.Module, BatchLoss]:  # noqa: ARG001
    """Supervised classification of the source labels."""
    head = nn.Linear(WIDTH, classes)
    return head, lambda images, labels: functional.cross_entropy(head(encoder(images)), labels)


OBJECTIVES: dict[str, Objective] = {
    "autoencoder": Objective(restore, epochs=12),
    "simclr": Objective(match_views, epochs=24),
    "parity": Objective(partial(classify, classes=2), epochs=8, labels=lambda data: data.labels % 2),
    "background": Objective(
        partial(classify, classes=ORIENTATIONS), epochs=6, labels=lambda data: data.attributes["background"].values
    ),
    "random": Objective(),
    "tones-autoencoder": Objective(partial(restore, noise=0.1), epochs=12, data="tones"),
    "tones-simclr": Objective(partial(match_views, alter=augment_sounds), epochs=24, data="tones"),
    "tones-pitch": Objective(
        partial(classify, classes=8), epochs=12, labels=lambda data: data.attributes["pitch"].values, data="tones"
    ),
    "tones-random": Objective(data="tones"),
}


def pretrain(name: str, data: Dataset, on_progress: OnProgress | None = None) -> Encoder:
    """Return the encoder called `name`, trained on the training split; the same on every call on one machine.

    Args:
        name: in `OBJECTIVES`.
        data: items with the labels that the objective asks for.
        on_progress: called after every step; returning True ends the training early.
    """
    objective = lookup(OBJECTIVES, name, "built-in teacher")
    rng = torch.Generator().manual_seed(SEED)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        encoder = Encoder(SIZES[data.modality])
        if objective.start is None:
            return encoder
        beside, loss = objective.start(encoder, rng)
    rows = data.splits["train"]
    images = to_canvas(data.inputs[rows], encoder.size)
    labels = torch.from_numpy(objective.labels(data)[rows]) if objective.labels else torch.zeros(len(rows))
    optimizer = AdamW([*encoder.parameters(), *beside.parameters()], lr=LR, weight_decay=1e-4, fused=True)
    per_epoch = len(rows) // BATCH
    steps = objective.epochs * per_epoch
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LR, total_steps=steps)
    done = 0
    for _ in range(objective.epochs):
        for index in torch.randperm(len(rows), generator=rng)[: per_epoch * BATCH].split(BATCH):
            optimizer.zero_grad()
            loss(images[index], labels[index]).backward()
            optimizer.step()
            schedule.step() if done + 1 < steps else None
            done += 1
            if on_progress is not None and on_progress(Progress(done, steps)):
                return encoder
    return encoder


def write_card(name: str, encoder: Encoder, data: Dataset, probe: Probe) -> dict[str, Any]:
    """Return the card of a built-in teacher: how it was made and its linear-probe accuracies of 1,000 labelled rows."""
    objective = OBJECTIVES[name]
    start = objective.start.func if isinstance(objective.start, partial) else objective.start
    embeddings, train, test = encode(encoder, data.inputs), data.labelled(1000), data.splits["test"]
    targets = {"target": data.labels} | {attribute: values.values for attribute, values in data.attributes.items()}
    probes = {
        key: round(probe(embeddings[train], y[train], embeddings[test], y[test]), 3) for key, y in targets.items()
    }
    weights = b"".join(value.numpy().tobytes() for _, value in sorted(encoder.state_dict().items()))
    return {
        "name": name,
        "data": f"{data.name}, training split, {len(data.splits['train'])} {ITEM_NAMES[data.modality]}",
        "source_task": "none" if start is None else start.__name__,
        "labels_used": objective.labels is not None,
        "epochs": objective.epochs,
        "seed": SEED,
        "version": int(VERSION),
        "torch": torch.__version__.partition("+")[0],
        "parameters": sum(p.numel() for p in encoder.parameters()),
        "width": embeddings.shape[1],
        "probe_accuracy": probes,
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
    }


def build(name: str, probe: Probe, folder: Path = WEIGHTS, on_progress: OnProgress | None = None) -> dict[str, Any]:
    """Train the built-in teacher `name`, write `<name>.safetensors` and `<name>.json` into `folder`, return the card.

    Args:
        name: a key of `OBJECTIVES`.
        probe: measures probe accuracies, for the card.
        folder: where to write.
        on_progress: called after every step.
    """
    data = datasets.load(lookup(OBJECTIVES, name, "built-in teacher").data)
    encoder = pretrain(name, data, on_progress)
    if on_progress is not None:
        on_progress(Progress(0, 1, phase="measuring"))
    card = write_card(name, encoder, data, probe)
    with atomic_path(folder / f"{name}.safetensors") as temporary:
        save_file(
            {key: value.contiguous() for key, value in encoder.state_dict().items()},
            temporary,
            {"card": json.dumps(card, sort_keys=True)},
        )
    with atomic_path(folder / f"{name}.json") as temporary:
        temporary.write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n")
    return card
