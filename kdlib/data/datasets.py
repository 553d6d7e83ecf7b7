"""Datasets by name: the built-in ones, made from real scans or from numbers, and what people imported.

To add a built-in one, write a function that returns a `Dataset` (its first docstring line is the help text) and put it
into `DATASETS`; `tests/test_datasets.py` runs the contract over every entry.
"""

from collections.abc import Callable
from functools import lru_cache, partial

import numpy as np

from kdlib.cache import Unkeyed, content_key, fingerprint
from kdlib.data import imported
from kdlib.data.dataset import AUDIO, IMAGE, ITEM_NAMES, TEXT, VECTOR, Attribute, Dataset, to_colours, to_float
from kdlib.data.digit_sets import CANVAS, ORIENTATIONS, cluttered_digits, digits
from kdlib.data.intake.originals import PICTURES, TEXTS, load_picture, load_text, load_wave
from kdlib.data.sound_sets import mixtures, tones
from kdlib.progress import OnProgress
from kdlib.registry import call_reporting, lookup

__all__ = [
    "AUDIO",
    "CANVAS",
    "DATASETS",
    "IMAGE",
    "ITEM_NAMES",
    "ORIENTATIONS",
    "TEXT",
    "VECTOR",
    "Attribute",
    "Dataset",
    "cluttered_digits",
    "content",
    "describe_datasets",
    "digits",
    "items",
    "load",
    "mixtures",
    "outline",
    "to_float",
    "tones",
]

OUTLINE_SUMS = 4  # a processor's rounding, 1e-7, moves one of them over a boundary once in ten thousand times
VISIBLE_ROWS = 100  # of imported images, whose range says whether they can be looked at
DATASETS: dict[str, Callable[[], Dataset]] = {
    "cluttered-digits": cluttered_digits,
    "digits": digits,
    "tones": tones,
    "mixtures": mixtures,
}


def describe_datasets() -> dict[str, Callable[[], Dataset] | str]:
    """Return every name: built-in datasets with the function that makes them, imported ones with a description."""
    return DATASETS | {name: card.describe() for name, card in imported.cards().items()}


def load(name: str, on_progress: OnProgress | None = None) -> Dataset:
    """Return the dataset called `name`; the last few stay in memory. Do not write into its arrays.

    Args:
        name: in `DATASETS`, or of an imported one.
        on_progress: receives how many items of a built-in one have been made, the first time that it is.

    Raises:
        ValueError: there is none of that name (any more).
        CancelledError: `on_progress` asked to stop.

    Example:
        data = datasets.load("tones")
        images, labels = data.inputs[data.splits["test"]], data.labels[data.splits["test"]]
    """
    if name not in DATASETS:
        lookup(describe_datasets(), name, "dataset")
    return _load(name, Unkeyed(on_progress))


@lru_cache(maxsize=64)
def content(name: str) -> str:
    """Return a hash of everything in a dataset.

    Of an imported one that it is stored under, of a built-in one that of its arrays.

    Raises:
        ValueError: there is none of that name.
    """
    if name not in DATASETS:
        return imported.dataset_folder(name).name
    data = load(name)
    attributes = {key: [attribute.values, attribute.names] for key, attribute in data.attributes.items()}
    return content_key(
        inputs=data.inputs, labels=data.labels, classes=data.classes, splits=data.splits, attributes=attributes
    )


def outline(name: str) -> str:
    """Return a hash of a built-in dataset that is the same on every machine.

    The inputs count by three decimals of some random weighted sums: how a processor rounds must not matter, any change
    of what makes them must. Everything else counts as it is.

    Raises:
        ValueError: there is none of that name.

    Example:
        >>> outline("digits")
    """
    data, rng = load(name), np.random.default_rng(0)
    inputs = data.inputs.reshape(len(data.inputs), -1).astype(np.float64)
    rows, numbers = (rng.normal(size=(OUTLINE_SUMS, size)) / np.sqrt(size) for size in inputs.shape)
    sums = ((rows @ inputs) * numbers).sum(1)
    attributes = {key: [attribute.values, attribute.names] for key, attribute in data.attributes.items()}
    return content_key(
        inputs=[f"{each:.3f}" for each in sums],
        labels=data.labels,
        classes=data.classes,
        splits=data.splits,
        attributes=attributes,
    )


@lru_cache(maxsize=64)
def items(name: str, originals: bool) -> str:
    """Return a hash of the items of a dataset alone: their labels, splits and attributes do not count.

    Args:
        name: of the dataset.
        originals: whether of the originals, where it keeps them; otherwise of what a student gets.

    Raises:
        ValueError: there is none of that name.

    Example:
        >>> items("digits", originals=True)
    """
    if name in DATASETS:
        return fingerprint(load(name).inputs)
    hashes = lookup(imported.cards(), name, "dataset").items
    seen = "originals" if originals and "originals" in hashes else "inputs"
    return hashes.get(seen) or content(name)  # an earlier version imported it and named its embeddings by all of it


@lru_cache(maxsize=4)
def _load(name: str, reporting: Unkeyed) -> Dataset:
    return call_reporting(DATASETS[name], on_progress=reporting.value) if name in DATASETS else _load_imported(name)


def _is_visible(inputs: np.ndarray) -> bool:
    """Return whether inputs lie in [0, 1], as those of pictures do."""
    values = to_float(inputs)
    return bool(values.min() >= 0 and values.max() <= 1)


def _load_imported(name: str) -> Dataset:
    card, folder = imported.cards()[name], imported.dataset_folder(name)
    codes = imported.load_array(name, "splits.npy")
    # Files come sorted, and the first rows of a split must not all be one speaker's.
    shuffled = np.random.default_rng(0).permutation(len(codes))
    inputs = imported.load_array(name, card.inputs).reshape(-1, *card.shape)
    look = partial(load_picture, folder) if PICTURES in card.originals else None
    if look is None and card.modality == IMAGE and _is_visible(inputs[:VISIBLE_ROWS]):
        look = partial(to_colours, inputs)
    return Dataset(
        name=name,
        inputs=inputs,
        labels=imported.load_array(name, "labels.npy"),
        classes=tuple(card.classes),
        splits={split: shuffled[codes[shuffled] == number] for number, split in enumerate(card.splits)},
        attributes={
            attribute: Attribute(imported.load_array(name, f"attribute-{number}.npy"), tuple(values))
            for number, (attribute, values) in enumerate(card.attributes.items())
        },
        ids=imported.load_array(name, "ids.npy"),
        modality=card.modality,
        listen=partial(load_wave, folder, rate=card.rate) if card.rate else None,
        look=look,
        read=partial(load_text, folder) if TEXTS in card.originals else None,
        rate=card.input_rate or card.rate,
    )
