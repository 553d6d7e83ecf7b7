"""Pretraining: makes the built-in teachers, each on its own source task, on the pool of `cluttered-digits`.

`build` writes weights and a card into `assets/teachers/`. A source task is an `Objective`: what the encoder needs beside it while it
learns, and the loss of a batch. To add a built-in teacher, write an objective and give it a line in `OBJECTIVES` and in
`kdlib.teachers.TEACHERS`.
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

from kdlib import datasets
from kdlib.cache import atomic_path
from kdlib.datasets import CANVAS, ORIENTATIONS, Dataset
from kdlib.evaluation import probe
from kdlib.registry import choose
from kdlib.spec import OnProgress, Progress
from kdlib.teachers import ASSETS, CHANNELS, VERSION, WIDTH, Encoder, encode, on_canvas

SEED, BATCH, LR = 0, 128, 2e-3
BatchLoss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Objective:
    """A source task.

    Attributes:
        start: `(encoder, rng) -> (what else learns, loss of a batch of images and labels)`.
        epochs: passes over the pool.
        labels: the source labels of all rows; None for an unsupervised task.
    """

    start: Callable[[Encoder, torch.Generator], tuple[nn.Module, BatchLoss]]
    epochs: int
    labels: Callable[[Dataset], np.ndarray] | None = None


def restore(encoder: Encoder, rng: torch.Generator, noise: float = 0.3, hidden: float = 0.5) -> tuple[nn.Module, BatchLoss]:
    """Denoising autoencoder (Vincent et al. 2008): restore an image from a noisy copy of which half the 2 x 2 pixel blocks are hidden."""
    decoder = nn.Sequential(
        nn.Conv2d(CHANNELS, 64, 1),
        nn.ConvTranspose2d(64, 64, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(64, 1, 4, stride=2, padding=1),
    )

    def loss(images: Tensor, labels: Tensor) -> Tensor:  # noqa: ARG001
        blocks = torch.rand(len(images), 1, CANVAS // 2, CANVAS // 2, generator=rng) > hidden
        spoiled = images * blocks.repeat_interleave(2, 2).repeat_interleave(2, 3) + noise * torch.randn(images.shape, generator=rng)
        return functional.mse_loss(decoder(encoder.trunk(spoiled)), images)

    return decoder, loss


def alter(images: Tensor, rng: torch.Generator) -> Tensor:
    """Return each image (b, 1, h, w) turned (up to 15°), scaled, shifted (up to 3 pixels), with another contrast and more noise."""
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


def match_views(encoder: Encoder, rng: torch.Generator, temperature: float = 0.2) -> tuple[nn.Module, BatchLoss]:
    """SimCLR (Chen et al. 2020): of all images in the batch, find the one that is another view of the same."""
    projector = nn.Sequential(nn.Linear(WIDTH, CHANNELS), nn.ReLU(), nn.Linear(CHANNELS, 64))

    def loss(images: Tensor, labels: Tensor) -> Tensor:  # noqa: ARG001
        views = torch.cat([alter(images, rng), alter(images, rng)])
        points = functional.normalize(projector(encoder(views)), dim=1)
        similarity = (points @ points.T / temperature).masked_fill(torch.eye(len(views), dtype=torch.bool), float("-inf"))
        return functional.cross_entropy(similarity, torch.arange(len(views)).roll(len(images)))

    return projector, loss


def classify(encoder: Encoder, rng: torch.Generator, classes: int) -> tuple[nn.Module, BatchLoss]:  # noqa: ARG001
    """Supervised classification of the source labels."""
    head = nn.Linear(WIDTH, classes)
    return head, lambda images, labels: functional.cross_entropy(head(encoder(images)), labels)


OBJECTIVES: dict[str, Objective | None] = {  # None: stays untrained
    "autoencoder": Objective(restore, epochs=12),
    "simclr": Objective(match_views, epochs=24),
    "parity": Objective(partial(classify, classes=2), epochs=8, labels=lambda data: data.labels % 2),
    "background": Objective(partial(classify, classes=ORIENTATIONS), epochs=6, labels=lambda data: data.attributes["background"].values),
    "random": None,
}


def pretrain(name: str, data: Dataset, on_progress: OnProgress | None = None) -> Encoder:
    """Return the encoder called `name`, trained on the training split; the same on every call on one machine.

    Args:
        name: in `OBJECTIVES`.
        data: images with the labels that the objective asks for.
        on_progress: called after every step; returning True ends the training early.
    """
    objective = choose(OBJECTIVES, name, "built-in teacher")
    rng = torch.Generator().manual_seed(SEED)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        encoder = Encoder()
        if objective is None:
            return encoder
        beside, loss = objective.start(encoder, rng)
    rows = data.splits["train"]
    images = on_canvas(data.inputs[rows])
    labels = torch.from_numpy(objective.labels(data)[rows]) if objective.labels else torch.zeros(len(rows))
    optimiser = torch.optim.AdamW([*encoder.parameters(), *beside.parameters()], lr=LR, weight_decay=1e-4, fused=True)
    per_epoch = len(rows) // BATCH
    steps = objective.epochs * per_epoch
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LR, total_steps=steps)
    done = 0
    for _ in range(objective.epochs):
        for index in torch.randperm(len(rows), generator=rng)[: per_epoch * BATCH].split(BATCH):
            optimiser.zero_grad()
            loss(images[index], labels[index]).backward()
            optimiser.step()
            schedule.step() if done + 1 < steps else None
            done += 1
            if on_progress is not None and on_progress(Progress(done, steps)):
                return encoder
    return encoder


def card(name: str, encoder: Encoder, data: Dataset) -> dict[str, Any]:
    """Return what to know of a built-in teacher: how it was made, and what 1,000 labelled rows read from it, by linear probe."""
    objective = OBJECTIVES[name]
    embeddings, train, test = encode(encoder, data.inputs), data.labelled(1000), data.splits["test"]
    targets = {"target": data.labels} | {attribute: values.values for attribute, values in data.attributes.items()}
    probes = {key: round(probe(embeddings[train], y[train], embeddings[test], y[test]), 3) for key, y in targets.items()}
    weights = b"".join(value.numpy().tobytes() for _, value in sorted(encoder.state_dict().items()))
    return {
        "name": name,
        "data": f"{data.name}, training split, {len(data.splits['train'])} images",
        "source_task": (objective.start.func if isinstance(objective.start, partial) else objective.start).__name__
        if objective
        else "none",
        "labels_used": bool(objective and objective.labels),
        "epochs": objective.epochs if objective else 0,
        "seed": SEED,
        "version": VERSION,
        "torch": torch.__version__.partition("+")[0],
        "parameters": sum(p.numel() for p in encoder.parameters()),
        "width": embeddings.shape[1],
        "probe_accuracy": probes,
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
    }


def build(name: str, folder: Path = ASSETS, on_progress: OnProgress | None = None) -> dict[str, Any]:
    """Train the built-in teacher `name` and write `<name>.safetensors` and `<name>.json` into `folder`; return the card."""
    data = datasets.load("cluttered-digits")
    encoder = pretrain(name, data, on_progress)
    told = card(name, encoder, data)
    with atomic_path(folder / f"{name}.safetensors") as temporary:
        save_file(
            {key: value.contiguous() for key, value in encoder.state_dict().items()}, temporary, {"card": json.dumps(told, sort_keys=True)}
        )
    with atomic_path(folder / f"{name}.json") as temporary:
        temporary.write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n")
    return told
