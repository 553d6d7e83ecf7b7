"""Every dataset: splits apart, shapes, attributes, labelled subsets; and what the cluttered digits promise."""

import itertools

import numpy as np
import pytest

from kdlib.data import datasets
from kdlib.data.datasets import DATASETS, Attribute, Dataset
from kdlib.data.spectrograms import log_mel


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
        labels = data.labels[data.splits[split]]
        if data.multi_label:
            assert (labels == 0).any(0).all()
            assert (labels == 1).any(0).all()
        else:
            assert set(labels) == set(range(len(data.classes)))
    if data.listen:
        rate, samples = data.listen(int(rows[-1]))
        assert rate > 0
        assert samples.dtype == np.float32
        assert np.isfinite(samples).all()


@pytest.mark.parametrize("data", ["cluttered-digits", "digits"], indirect=True)
def test_test_scans_are_not_training_scans(data):
    scans = {name: {item.rpartition("-scan")[2] for item in data.ids[rows]} for name, rows in data.splits.items()}
    for name in ("test", *data.out_of_domain):
        assert not scans[name] & (scans["train"] | scans["val"])
    assert not scans["train"] & scans["val"]


def test_labelled_rows_are_nested_balanced_training_rows(data):
    few, many = data.labelled(30), data.labelled(200)
    assert set(few) < set(many) <= set(data.splits["train"])
    if data.multi_label:
        assert not np.isnan(data.labels[many]).all(1).any()
        return
    counts = np.bincount(data.labels[many], minlength=len(data.classes))
    assert counts.max() - counts.min() <= 1


def test_few_rows_with_several_labels_show_every_class_present_and_absent():
    data = datasets.load("mixtures")
    chosen = [data.labelled(count) for count in range(len(data.classes), 41)]
    for fewer, more in itertools.pairwise(chosen):
        assert set(fewer) < set(more)
    for rows in chosen:
        assert len(set(rows)) == len(rows)
        assert (data.labels[rows] == 1).any(0).all()
        assert (data.labels[rows] == 0).any(0).all()


def test_rows_that_show_every_class_already_are_the_first_ones():
    data = datasets.load("mixtures")
    for count in (15, 60, 200, 600, 3000):
        np.testing.assert_array_equal(data.labelled(count), data.splits["train"][:count])


def tags(labels: np.ndarray) -> Dataset:
    splits = {"train": np.arange(len(labels)), "val": np.array([], int), "test": np.array([], int)}
    classes = tuple(f"class {number}" for number in range(labels.shape[1]))
    return Dataset("tags", np.zeros((len(labels), 3), np.float32), labels.astype(np.float32), classes, splits)


def test_too_few_rows_to_show_every_class_are_refused_with_how_many_do():
    labels = np.full((12, 3), np.nan)
    for row in range(12):
        labels[row, row % 3] = row // 3 % 2
    with pytest.raises(
        ValueError, match=r"^5 labels cannot hold a positive and a negative row of each of the 3 classes .* at least 6$"
    ):
        tags(labels).labelled(5)
    assert tags(labels).labelled(6).tolist() == [0, 1, 2, 3, 4, 5]


def test_a_class_without_a_positive_row_anywhere_hinders_nobody():
    never = np.array([[1, 0], [1, 0], [0, 0], [1, 0]])
    assert tags(never).labelled(3).tolist() == [0, 1, 2]
    assert tags(never).labelled(2).tolist() == [0, 2]


def test_labelled_rows_that_cannot_be_are_refused(data):
    k = len(data.classes)
    for count, message in ((k - 1, f"at least {k}"), (10**6, "labelled training rows")):
        with pytest.raises(ValueError, match=message):
            data.labelled(count)


@pytest.mark.parametrize("data", ["cluttered-digits", "digits"], indirect=True)
def test_building_again_gives_the_same_bytes(data, monkeypatch, tmp_path):
    monkeypatch.setenv("KDLIB_HOME", str(tmp_path))
    again = DATASETS[data.name]()
    assert again.inputs.tobytes() == data.inputs.tobytes()
    assert again.labels.tobytes() == data.labels.tobytes()


@pytest.mark.parametrize("data", ["tones", "mixtures"], indirect=True)
def test_what_is_heard_is_what_was_learned_from(data):
    for rows in data.splits.values():
        rate, samples = data.listen(int(rows[1]))
        np.testing.assert_allclose(log_mel(samples[None], rate)[0], data.inputs[rows[1]], atol=1e-4)


def test_tones_are_what_they_promise():
    data = datasets.load("tones")
    pitch, room = (data.attributes[name] for name in ("pitch", "room"))
    highest, hall = len(pitch.names) - 1, room.names.index("hall")
    for split, rows in data.splits.items():
        assert (pitch.values[rows] == highest).all() if split == "ood:high" else (pitch.values[rows] < highest).all()
        assert (room.values[rows] == hall).all() if split == "ood:room" else (room.values[rows] != hall).all()
    rate, samples = data.listen(int(data.splits["test"][np.flatnonzero(data.labels[data.splits["test"]] == 0)[0]]))
    assert len(samples) / rate == pytest.approx(0.77, abs=0.01)


def test_mixtures_have_one_to_three_families_of_which_most_labels_are_missing():
    data = datasets.load("mixtures")
    missing = np.isnan(data.labels)
    assert 0.5 < missing.mean() < 0.65
    assert not missing.all(1).any()
    positives = (data.labels == 1).sum(1)
    assert (positives <= data.attributes["count"].values + 1).all()
    assert set(positives) == {0, 1, 2, 3}


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
    data = Dataset(
        "tags",
        np.zeros((4, 3), np.float32),
        labels,
        ("a", "b"),
        splits,
        {"room": Attribute(np.zeros(4, int), ("hall",))},
    )
    assert data.multi_label
    assert data.labelled(3).tolist() == [0, 2, 3]


def test_unknown_dataset_lists_the_choices():
    with pytest.raises(ValueError, match="choose one of: cluttered-digits, digits"):
        datasets.load("mnist")


def test_a_digit_that_is_said_to_be_tilted_left_leans_to_the_left():
    data = datasets.load("cluttered-digits")
    names = data.attributes["rotation"].names
    lean = {}
    ones = data.labels == data.classes.index("1")
    for category, name in enumerate(names):
        pictures = data.inputs[ones & (data.attributes["rotation"].values == category), 0].astype(float)
        bright = pictures > np.quantile(pictures, 0.93, axis=(1, 2), keepdims=True)
        y, x = np.mgrid[: bright.shape[1], : bright.shape[2]]
        slopes = [np.polyfit(y[each], x[each], 1)[0] for each in bright]  # columns to the right, per row downwards
        lean[name] = np.mean(slopes)
    assert lean["tilted left"] > lean["upright"] > lean["tilted right"]
