"""Teachers: frozen providers of embeddings, each with a source task of its own.

The built-in ones are small networks trained on the pool of `cluttered-digits` or, for sounds, of `tones` by
`kdlib.models.pretraining`; their weights and cards ship in `weights/`. To add a teacher, write a function `(Dataset)
-> float32 (n, d_t)` that is deterministic and keeps the row order, and give it a line in `TEACHERS` with its source
task and the modality it takes; `tests/test_teachers.py` runs the contract over every entry.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from kdlib.cache import Arrays, Unkeyed, cached_arrays, content_key, delete_arrays
from kdlib.data import datasets, imported
from kdlib.data.datasets import AUDIO, CANVAS, IMAGE, ITEM_NAMES, Dataset, to_float
from kdlib.progress import OnProgress, report_progress
from kdlib.registry import call_reporting, lookup

WEIGHTS = Path(__file__).parent / "weights"
BATCH = 500  # rows that are embedded at once
VERSION = 1  # of `Encoder` and `to_canvas`: raise it when the same weights would give other embeddings
CHANNELS = 128  # of the encoder's last layer
WIDTH = 2 * CHANNELS  # d_t
SIZES = {IMAGE: CANVAS, AUDIO: 2 * CANVAS}  # modality -> pixels, or mel bands and frames, of what an encoder sees


class Encoder(nn.Module):
    """The built-in teachers' network: (b, 1, size, size) -> (b, 256), about 240,000 parameters.

    The embedding is mean and maximum over the 4 x 4 places.

    Args:
        size: 16 or 32.
    """

    def __init__(self, size: int = CANVAS) -> None:
        super().__init__()
        self.size = size

        def block(wide: int, out: int, stride: int) -> list[nn.Module]:
            return [nn.Conv2d(wide, out, 3, stride=stride, padding=1), nn.GroupNorm(4, out), nn.ReLU()]

        self.trunk = nn.Sequential(
            *block(1, 32, size // CANVAS),  # (b, 32, 16, 16)
            *block(32, 64, 2),  # (b, 64, 8, 8)
            *block(64, 128, 2),
            *block(128, CHANNELS, 1),  # (b, 128, 4, 4)
        )

    def forward(self, images: Tensor) -> Tensor:
        places = self.trunk(images)
        return torch.cat([places.mean((2, 3)), places.amax((2, 3))], dim=1)


def to_canvas(inputs: np.ndarray, size: int = CANVAS) -> Tensor:
    """Return pictures (n, c, h, w) of any size as grey (n, 1, size, size): small ones padded, large ones shrunk."""
    images = torch.from_numpy(to_float(inputs)).mean(1, keepdim=True)
    height, width = images.shape[-2:]
    if max(height, width) > size:
        images = nn.functional.interpolate(images, (size, size), mode="bilinear", antialias=True)
        height = width = size
    top, left = (size - height) // 2, (size - width) // 2
    return nn.functional.pad(images, (left, size - width - left, top, size - height - top))


@torch.no_grad()
def encode(encoder: Encoder, inputs: np.ndarray, on_progress: OnProgress | None = None) -> np.ndarray:
    """Return the encoder's embeddings (n, d_t) of pictures (n, c, h, w).

    Raises:
        CancelledError: `on_progress`, which is called after every batch, asked to stop.
    """
    parts = []
    for start in range(0, len(inputs), BATCH):
        report_progress(on_progress, "embedding", start, len(inputs))
        parts.append(encoder(to_canvas(inputs[start : start + BATCH], encoder.size)))
    report_progress(on_progress, "embedding", len(inputs), len(inputs))
    return torch.cat(parts).numpy()


def _embed_built_in(name: str, modality: str, dataset: Dataset, on_progress: OnProgress | None = None) -> np.ndarray:
    encoder = Encoder(SIZES[modality])
    encoder.load_state_dict(load_file(WEIGHTS / f"{name}.safetensors"))
    return encode(encoder, dataset.inputs, on_progress)


@dataclass(frozen=True)
class Teacher:
    """A provider of embeddings and what is known of it.

    Attributes:
        help: what it is, one line in plain words.
        source_task: what it was trained for.
        supervised: whether its source task used labels; None for an untrained one.
        embed: `(Dataset) -> (n, d_t)` float32. With a second parameter `on_progress` it reports its steps and can be
            stopped.
        modality: of the inputs it takes.
        weights: file whose content decides the embeddings, if there is one.
        dataset: the only dataset it knows, for an imported table of embeddings; "" for a teacher that embeds any.
    """

    help: str
    source_task: str
    supervised: bool | None
    embed: Callable[[Dataset], np.ndarray]
    modality: str = IMAGE
    weights: Path | None = None
    dataset: str = ""

    @property
    def card(self) -> dict[str, Any]:
        """Return what was recorded when it was trained: data, seed, version, probe accuracies. Empty if nothing was."""
        path = self.weights and self.weights.with_suffix(".json")
        return json.loads(path.read_text()) if path and path.exists() else {}


def _built_in_teacher(
    name: str, help: str, source_task: str, supervised: bool | None, modality: str = IMAGE
) -> Teacher:
    return Teacher(
        help,
        source_task,
        supervised,
        partial(_embed_built_in, name, modality),
        modality,
        WEIGHTS / f"{name}.safetensors",
    )


TEACHERS: dict[str, Teacher] = {
    "autoencoder": _built_in_teacher(
        "autoencoder", "Restores images of which half is hidden", "restore the image (unlabelled pool)", False
    ),
    "simclr": _built_in_teacher(
        "simclr", "Recognises two altered views of the same image", "match views of an image (unlabelled pool)", False
    ),
    "parity": _built_in_teacher("parity", "Tells odd digits from even ones: a related task", "odd or even", True),
    "background": _built_in_teacher(
        "background", "Tells the direction of the stripes: an irrelevant task", "direction of the stripes", True
    ),
    "random": _built_in_teacher("random", "An untrained network: the control for the others", "none", None),
    "tones-autoencoder": _built_in_teacher(
        "tones-autoencoder",
        "Restores sounds of which half is hidden",
        "restore the sound (unlabelled pool)",
        False,
        AUDIO,
    ),
    "tones-simclr": _built_in_teacher(
        "tones-simclr",
        "Recognises two altered versions of the same sound",
        "match versions of a sound (unlabelled pool)",
        False,
        AUDIO,
    ),
    "tones-pitch": _built_in_teacher(
        "tones-pitch", "Tells how high a note is, whatever plays it: another task", "pitch", True, AUDIO
    ),
    "tones-random": _built_in_teacher(
        "tones-random", "An untrained network: the control for the others", "none", None, AUDIO
    ),
}


def imported_teachers(dataset: str = "") -> dict[str, Teacher]:
    """Return the imported embeddings as teachers "<dataset>/<table>", those of one dataset or of all."""
    entries = {}
    for name, card in imported.cards().items():
        for table, about in card.tables.items() if dataset in ("", name) else ():
            help_text = card.describe_table(table)
            embed = partial(_table, name, about.file)
            entries[f"{name}/{table}"] = Teacher(
                help_text, about.source_task, None, embed, modality=card.modality, dataset=name
            )
    return entries


def _table(name: str, file: str, dataset: Dataset) -> np.ndarray:  # noqa: ARG001
    return imported.load_array(name, file)


def all_teachers() -> dict[str, Teacher]:
    """Return all teachers there are, built-in and imported."""
    return TEACHERS | imported_teachers()


def get_teacher(name: str) -> Teacher:
    """Return the teacher of that name.

    Raises:
        ValueError: there is none (any more).

    Example:
        >>> get_teacher("simclr").source_task
    """
    return TEACHERS[name] if name in TEACHERS else lookup(all_teachers(), name, "teacher")


def compatible_teachers(dataset: str) -> list[str]:
    """Return the names of the teachers for a dataset: the tables imported with it, and those of its modality.

    Example:
        >>> compatible_teachers("digits")
    """
    modality = datasets.load(dataset).modality
    return [*imported_teachers(dataset), *(name for name, teacher in TEACHERS.items() if teacher.modality == modality)]


def check_compatible(name: str, dataset: str) -> None:
    """Return if the teacher takes what the dataset holds.

    Raises:
        ValueError: unknown teacher, or one that takes something else.
    """
    choices = compatible_teachers(dataset)
    teacher, holds = get_teacher(name), ITEM_NAMES[datasets.load(dataset).modality]
    if name not in choices:
        takes = (
            f"knows the items of {teacher.dataset} only" if teacher.dataset else f"takes {ITEM_NAMES[teacher.modality]}"
        )
        way_out = f"choose one of: {', '.join(choices)}" if choices else "there is none yet: import it with embeddings"
        raise ValueError(f"teacher {name} {takes}, but {dataset} holds {holds}, {way_out}")


@lru_cache(maxsize=8)
def _embeddings(name: str, dataset: str, reporting: Unkeyed) -> np.ndarray:
    teacher, data, on_progress = get_teacher(name), datasets.load(dataset), reporting.value

    def build() -> Arrays:
        return {"embeddings": call_reporting(teacher.embed, data, on_progress=on_progress)}

    if teacher.dataset:
        return build()["embeddings"]
    waiting = partial(report_progress, on_progress, "embedding", 0, len(data.inputs))
    return cached_arrays("embeddings", _key(name, data), build, waiting)["embeddings"]


def _key(name: str, data: Dataset) -> str:
    return content_key(teacher=name, **provenance(name), inputs=data.inputs)


def provenance(name: str) -> dict[str, Any]:
    """Return what decides a teacher's embeddings beside its name and the rows: "version" and the hash of its "weights".

    The hash is "" for a teacher without weights. An imported table needs neither: its name holds the hash of its
    content.
    """
    weights = get_teacher(name).weights
    return {"version": VERSION, "weights": _hashed(weights, weights.stat().st_mtime_ns) if weights else ""}


@lru_cache(maxsize=64)
def _hashed(path: Path, modified: int) -> str:  # noqa: ARG001 - another time, another file
    return hashlib.sha256(path.read_bytes()).hexdigest()


def delete_embeddings(name: str, dataset: str) -> None:
    """Remove from the cache what a built-in teacher made of a dataset.

    Example:
        >>> delete_embeddings("random", "digits")
    """
    if not get_teacher(name).dataset:
        delete_arrays("embeddings", _key(name, datasets.load(dataset)))


def embed(name: str, dataset: str, on_progress: OnProgress | None = None) -> np.ndarray:
    """Return the teacher's embeddings of all rows of a dataset, (n, d_t) float32, from the cache where possible.

    Args:
        name: of the teacher.
        dataset: whose rows.
        on_progress: called with the rows embedded so far, and while another process embeds them.

    Raises:
        ValueError: unknown name, a teacher that takes something else, or embeddings that are not finite.
        CancelledError: `on_progress` asked to stop.

    Example:
        >>> embed("random", "digits").shape[1]
        256
    """
    check_compatible(name, dataset)
    embeddings = _embeddings(name, dataset, Unkeyed(on_progress))
    if get_teacher(name).dataset:  # checked row by row when it was imported; it may be too large to do so again
        return embeddings
    if not np.isfinite(embeddings).all():
        row = int(np.flatnonzero(~np.isfinite(embeddings).all(axis=1))[0])
        raise ValueError(f"teacher {name} gives a number that is not finite in row {row} of {dataset}")
    return embeddings


def embedding_width(name: str, dataset: str) -> int:
    """Return d_t of a teacher on a dataset: from its card if it has one, so that asking does not embed anything."""
    return get_teacher(name).card.get("width") or _embeddings(name, dataset, Unkeyed()).shape[1]
