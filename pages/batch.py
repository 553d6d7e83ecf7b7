"""A batch to look at: its items, and squares that say something of every pair of them; in step mode and in lessons."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from kdlib.analysis.items import short_text
from kdlib.data.dataset import Dataset
from pages import items
from pages.chain import load_component

MAX_SHOWN = 48  # items of a batch, in pictures and squares


class Square(NamedTuple):
    """A square of pairs.

    Attributes:
        name: above it.
        colour: of its role.
        values: (b, b).
        difference: whether it is the difference of the others, with a scale of its own.
    """

    name: str
    colour: str
    values: np.ndarray
    difference: bool = False


def batch_data(data: Dataset, rows: np.ndarray, squares: Sequence[Square], entry: str) -> dict[str, Any]:
    """Return what the component draws of a batch; step mode adds its place in the training and its losses.

    Args:
        data: whose items they are.
        rows: their numbers, (b,).
        squares: of the same items in the same order.
        entry: what a value of the squares says, in words.
    """
    return {
        "item": "" if data.read else items.source(data),
        "sounds": data.listen is not None,
        "items": [_item(data, int(row)) for row in rows[:MAX_SHOWN]],
        "count": len(rows),
        "matrices": [
            {
                "name": square.name,
                "colour": square.colour,
                "difference": square.difference,
                "values": np.round(square.values[:MAX_SHOWN, :MAX_SHOWN], 3).ravel().tolist(),
            }
            for square in squares
        ],
        "entry": entry,
        "rule": "",
        "loss": "",
        "title": "",
        "place": "",
        "fingerprint": "",
        "step": 0,
        "steps": 0,
        "terms": [],
        "total": 0.0,
        "history": {},
    }


def show_batch(batch: dict[str, Any], key: str) -> None:
    """Show what `batch_data` returned."""
    load_component("step")(key=key, data=batch)


def _item(data: Dataset, row: int) -> dict[str, Any]:
    labels = data.labels[row]
    if data.labels.ndim == 1:
        name = str(data.classes[labels]) if labels >= 0 else "no label"
    else:
        name = ", ".join(str(data.classes[place]) for place in np.flatnonzero(np.nan_to_num(labels))) or "none"
    return {"row": row, "label": name, "text": short_text(data, row)}
