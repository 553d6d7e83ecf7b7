"""A batch as a component draws it: no more than fits, in the order that was given, of every kind of label."""

import json
from dataclasses import replace

import numpy as np

from kdlib.data import datasets
from pages.batch import MAX_SHOWN, Square, batch_data


def test_items_and_squares_are_cut_alike_and_keep_their_order():
    data, rows = datasets.load("digits"), np.arange(60)[::-1]
    values = np.arange(3600, dtype=np.float32).reshape(60, 60)
    batch = json.loads(json.dumps(batch_data(data, rows, [Square("a", "#000", values)], "how far")))
    assert [item["row"] for item in batch["items"]] == list(range(59, 59 - MAX_SHOWN, -1))
    [square] = batch["matrices"]
    assert square["values"] == values[:MAX_SHOWN, :MAX_SHOWN].ravel().tolist()
    assert batch["count"] == 60
    assert batch["steps"] == 0, "nothing is trained until somebody says so"


def test_an_item_is_called_by_all_its_labels_or_by_none():
    data = datasets.load("digits")
    labels = np.zeros((len(data.labels), len(data.classes)), np.float32)
    labels[0, [2, 5]] = 1
    labels[1, 3] = np.nan
    several = replace(data, labels=labels)
    names = [item["label"] for item in batch_data(several, np.array([0, 1]), [], "")["items"]]
    assert names == [f"{data.classes[2]}, {data.classes[5]}", "none"]
    unknown = replace(data, labels=np.full(len(data.labels), -1))
    assert batch_data(unknown, np.array([0]), [], "")["items"][0]["label"] == "no label"
