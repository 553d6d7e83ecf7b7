"""Every dataset: splits apart, shapes, attributes, labelled subsets; and what the cluttered digits promise."""

import numpy as np
import pytest

from kdlib import datasets
from kdlib.datasets import DATASETS, Attribute, Dataset


@pytest.fixture(params=list(DATASETS))
def data(request):
    return datasets.load(request.param)


def test_contract(data):
    n = len(data.inputs)
    assert data.inputs.dtype == np.float32
    assert np.isfinite(data.inputs).all()
    assert len(data.labels) == len(data.ids) == len(set(data.ids)) == n
    rows = np.concatenate(list(data.splits.values()))
    assert len(rows) == len(set(rows)) <= n, "no row is in two splits"
    assert {"train", "val", "test"} <= set(data.splits)
    assert data.out_of_domain
    for attribute in data.attributes.values():
        assert attribute.values.shape == (n,)
        assert attribute.values.min() >= -1
        assert attribute.values.max() < len(attribute.names)
    for split in ("train", "val", "test", *data.out_of_domain):
        assert set(data.labels[data.splits[split]]) == set(range(len(data.classes)))


def test_test_scans_are_not_training_scans(data):
    scans = {name: {item.rpartition("-scan")[2] for item in data.ids[rows]} for name, rows in data.splits.items()}
    for name in ("test", *data.out_of_domain):
        assert not scans[name] & (scans["train"] | scans["val"])
    assert not scans["train"] & scans["val"]


def test_labelled_rows_are_nested_balanced_training_rows(data):
    few, many = data.labelled(30), data.labelled(200)
    assert set(few) < set(many) <= set(data.splits["train"])
    counts = np.bincount(data.labels[many], minlength=len(data.classes))
    assert counts.max() - counts.min() <= 1


@pytest.mark.parametrize(("count", "told"), [(9, "at least 10"), (10**6, "labelled training rows")])
def test_labelled_rows_that_cannot_be_are_refused(data, count, told):
    with pytest.raises(ValueError, match=told):
        data.labelled(count)


def test_building_again_gives_the_same_bytes(data, monkeypatch, tmp_path):
    monkeypatch.setenv("KDLIB_HOME", str(tmp_path))
    again = DATASETS[data.name]()
    assert again.inputs.tobytes() == data.inputs.tobytes()
    assert again.labels.tobytes() == data.labels.tobytes()


def test_cluttered_digits_are_what_they_promise():
    data = datasets.load("cluttered-digits")
    assert data.inputs.shape[1:] == (1, 16, 16)
    assert len(data.splits["train"]) == 10_000
    assert len(data.attributes["background"].names) == 6
    strength = {name: data.inputs[rows].std(axis=(1, 2, 3)).mean() for name, rows in data.splits.items()}
    assert strength["ood:contrast"] != pytest.approx(strength["test"], rel=0.01)
    upright = data.attributes["rotation"].values[data.splits["ood:rotated"]]
    assert 1 not in upright, "rotated ones are all turned by more than 5 degrees"


def test_a_dataset_with_several_and_missing_labels_can_be_held():
    labels = np.array([[1, 0], [np.nan, np.nan], [0, 1], [1, np.nan]], dtype=np.float32)
    splits = {"train": np.arange(4), "val": np.array([], int), "test": np.array([], int)}
    data = Dataset("tags", np.zeros((4, 3), np.float32), labels, ("a", "b"), splits, {"room": Attribute(np.zeros(4, int), ("hall",))})
    assert data.multi_label
    assert data.labelled(3).tolist() == [0, 2, 3]


def test_unknown_dataset_lists_the_choices():
    with pytest.raises(ValueError, match="choose one of: cluttered-digits, digits"):
        datasets.load("mnist")
