"""Items of a dataset: in words, and as tiles of a gallery."""

import numpy as np

from kdlib.analysis import items
from kdlib.data import datasets


def test_an_item_is_described_in_words():
    data = datasets.load("mixtures")
    row = int(items.rows_of_class(data, 0)[0])
    description = items.describe_item(data, row)
    assert "organ" in description["there"]
    names = [
        name for state in ("there", "not there", "not known") for name in description.get(state, "").split(", ") if name
    ]
    assert sorted(names) == sorted(data.classes)
    assert description["item"] == data.ids[row]


def test_the_gallery_shows_an_item_of_each_class_and_category():
    data = datasets.load("digits")
    tiles, names = items.gallery_tiles(data, "ink")
    assert tiles.shape == (10, 3, 8, 8)
    assert names == ["little", "medium", "much"]
    assert np.nanmin(tiles) == 0
    assert np.nanmax(tiles) == 1
    plain, numbers = items.gallery_tiles(data, "no such attribute")
    assert plain.shape == (10, 8, 8, 8)
    assert numbers[0] == "1"
