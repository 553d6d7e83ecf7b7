"""Items of a dataset as a person sees them: which rows hold a class, pictures, one item in words, the splits."""

from math import nan

import numpy as np
import pandas as pd

from kdlib.data.datasets import AUDIO, Dataset, to_float

MAX_TILES = 24  # rows and columns of a gallery
SHORT, LISTED = 160, 400  # characters of a text beside a pointer, and in a list
UNSORTED_TILES = 8  # items of a class in a gallery without an attribute
COLOURS = 3
LARGEST_TILE = 64  # pixels of a side: a sheet of larger ones takes a browser seconds to draw


def rows_of_class(data: Dataset, number: int, split: str = "test") -> np.ndarray:
    """Return the rows of a split that are known to hold a class."""
    rows = data.splits[split]
    labels = data.labels[rows]
    return rows[labels[:, number] == 1 if data.multi_label else labels == number]


def gallery_tiles(data: Dataset, attribute: str, turn: int = 0) -> tuple[np.ndarray, list[str]]:
    """Return test items as tiles in [0, 1], (classes, categories, h, w, 3), and the names of the categories.

    A tile is NaN where there is no such item.

    Args:
        data: images, or sounds, which are shown with low frequencies at the bottom.
        attribute: a name in `data.attributes`, of which the categories that occur are shown; with an unknown one each
            row shows eight items of its class.
        turn: another number, other items.

    Example:
        >>> tiles, categories = gallery_tiles(datasets.load("digits"), "ink")
    """
    values = data.attributes.get(attribute)
    categories = range(UNSORTED_TILES) if values is None else np.unique(values.values[data.splits["test"]]).tolist()
    categories = [category for category in categories if category >= 0][:MAX_TILES]
    classes, shape = min(len(data.classes), MAX_TILES), _picture(data, 0).shape
    tiles = np.full((classes, len(categories), *shape), nan, np.float32)
    for i in range(classes):
        rows = rows_of_class(data, i)
        for j, category in enumerate(categories):
            matches = rows if values is None else rows[values.values[rows] == category]
            if len(matches):
                tiles[i, j] = _picture(data, matches[(turn + (j if values is None else 0)) % len(matches)])
    return tiles, [str(category + 1) if values is None else values.names[category] for category in categories]


def _picture(data: Dataset, row: int) -> np.ndarray:
    """Return an item in colours (h, w, 3), stretched to [0, 1], of large ones every few pixels."""
    picture = to_float(data.inputs[row])
    if len(picture) != COLOURS:
        picture = np.repeat(picture.mean(0, keepdims=True), COLOURS, axis=0)
    step = -(-max(picture.shape[1:]) // LARGEST_TILE)
    picture = picture[:, ::step, ::step].transpose(1, 2, 0)
    picture = picture[::-1] if data.modality == AUDIO else picture
    return (picture - picture.min()) / max(float(picture.max() - picture.min()), 1e-9)


def describe_item(data: Dataset, row: int) -> dict[str, str]:
    """Return what is known of an item, in words: its classes, its attributes, its name.

    Example:
        >>> describe_item(datasets.load("digits"), row=0)
    """
    label, names = data.labels[row], np.array(data.classes, dtype=object)
    if data.multi_label:
        states = {"there": label == 1, "not there": label == 0, "not known": np.isnan(label)}
        result = {state: ", ".join(map(str, names[members])) for state, members in states.items() if members.any()}
    else:
        result = {"class": str(names[label]) if label >= 0 else "not known"}
    for name, attribute in data.attributes.items():
        if attribute.values[row] >= 0:
            result[name] = attribute.names[attribute.values[row]]
    return result | {"item": str(data.ids[row])}


def short_text(data: Dataset, row: int, length: int = SHORT) -> str:
    """Return the beginning of a text of a dataset in one line, "" where it holds none.

    Args:
        data: of which `read` is asked.
        row: of the item.
        length: characters at most.
    """
    text = " ".join(data.read(row).split()) if data.read else ""
    return text if len(text) <= length else text[: length - 1] + "…"


def text_table(data: Dataset, turn: int = 0) -> pd.DataFrame:
    """Return test items that can be read, one line each, classes in turn: their class and the beginning of the text.

    Args:
        data: texts.
        turn: another number, other items.

    Example:
        >>> text_table(datasets.load("reviews"))
    """
    classes = data.classes[:MAX_TILES]
    each = max(1, MAX_TILES // len(classes))
    lines = []
    for number, name in enumerate(classes):
        rows = rows_of_class(data, number)
        chosen = [rows[(turn * each + i) % len(rows)] for i in range(min(each, len(rows)))]
        lines += [(str(name), short_text(data, int(row), LISTED)) for row in chosen]
    return pd.DataFrame(lines, columns=["class", "text"])


def split_table(data: Dataset) -> pd.DataFrame:
    """Return one row per split: how many items, and what it is for.

    Example:
        >>> split_table(datasets.load("digits"))
    """
    purpose = {"train": "training (the labelled part) and teachers", "val": "choosing", "test": "judging, in-domain"}
    rows = [
        (name.removeprefix("ood:"), len(rows), purpose.get(name, "judging, out-of-domain"))
        for name, rows in data.splits.items()
    ]
    return pd.DataFrame(rows, columns=["split", "items", "for"])
