"""Items of a dataset: in words, and as tiles of a gallery."""

import base64
import io
from dataclasses import replace

import numpy as np
from PIL import Image

from kdlib.analysis import items
from kdlib.analysis.figures.pictures import plot_gallery
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
    assert tiles.shape == (10, 3, 8, 8, 3)
    assert names == ["little", "medium", "much"]
    assert np.nanmin(tiles) == 0
    assert np.nanmax(tiles) == 1
    plain, numbers = items.gallery_tiles(data, "no such attribute")
    assert plain.shape == (10, 8, 8, 8, 3)
    assert numbers[0] == "1"


def test_colour_stays_colour_in_the_gallery():
    data = datasets.load("digits")
    inputs = np.zeros((len(data.inputs), 3, 8, 8), np.uint8)
    inputs[:, 0, 2] = 255  # a red line, whatever the digit
    tiles, _ = items.gallery_tiles(replace(data, inputs=inputs), "")
    np.testing.assert_array_equal(tiles[0, 0, 2], [[1, 0, 0]] * 8)
    assert tiles[0, 0, 3].max() == 0


def test_the_sheet_holds_the_tiles_as_they_are_and_nothing_where_there_is_none():
    tiles = np.zeros((1, 2, 2, 2, 3))
    tiles[0, 0, 0, 1] = (1, 0.2, 0)
    tiles[0, 1] = np.nan
    source = plot_gallery(tiles, ["a"], ["x", "y"], "by").data[0].source
    sheet = np.array(Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))))
    assert sheet.shape == (4, 8, 4)
    assert sheet[1, 2].tolist() == [255, 51, 0, 255]
    assert sheet[2, 2].tolist() == [0, 0, 0, 255]
    assert sheet[:, 4:].max() == 0
