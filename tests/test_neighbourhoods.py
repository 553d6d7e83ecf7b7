"""The neighbourhoods of an item: those of brute force in the real spaces, and what they have in common with it."""

from dataclasses import replace

import numpy as np
import pytest

from kdlib import spaces
from kdlib.data.datasets import Attribute, Dataset
from tests import stored_runs
from tests.random_spaces import nearest_by_brute_force


@pytest.fixture
def data():
    """Return 60 items of three classes with an attribute, and some whose class or attribute is not known."""
    rng = np.random.default_rng(1)
    labels, mood = rng.integers(0, 3, 60), rng.integers(0, 2, 60)
    labels[11], mood[12] = -1, -1
    return Dataset(
        "moody", np.zeros((60, 1, 2, 2), np.float32), labels, ("a", "b", "c"), {"test": np.arange(60)},
        {"mood": Attribute(mood, ("glad", "sad"))},
    )  # fmt: skip


@pytest.fixture
def view():
    """Return 40 of the items, in another order, in three spaces."""
    rng = np.random.default_rng(0)
    each = {name: rng.normal(size=(40, d)).astype(np.float32) for name, d in (("raw", 6), ("compressed", 2))}
    rows = rng.permutation(60)[:40]
    rows[:3] = [11, 12, 13]
    return spaces.Spaces(stored_runs.SPEC, rows, 40, each, np.zeros((40, 3), np.float32), "key")


def test_neighbours_and_what_they_share_are_what_brute_force_finds(data, view):
    for position in (2, 17, 39):
        found = spaces.find_neighbourhoods(view, data, position, k=5)
        assert [each.space for each in found] == ["raw", "compressed"]
        item = view.rows[position]
        for each in found:
            near = view.rows[nearest_by_brute_force(view.spaces[each.space].astype(float), 5)[position]]
            assert each.rows.tolist() == near.tolist()
            mood = data.attributes["mood"].values
            assert each.shared["class"].tolist() == [data.labels[row] == data.labels[item] for row in near]
            assert each.shared["mood"].tolist() == [mood[row] == mood[item] for row in near]
            assert each.count("class") == sum(data.labels[row] == data.labels[item] for row in near)


def test_the_sentence_says_the_numbers(data, view):
    found = spaces.find_neighbourhoods(view, data, 5, k=8)
    raw, compressed = (each.count("class") for each in found)
    assert spaces.describe_neighbourhoods(found) == (
        f"In the raw space {raw} of 8 neighbours have the same class, in the compressed space {compressed} of 8."
    )


def test_what_is_not_known_of_an_item_is_not_counted(data, view):
    classless, moodless = (spaces.find_neighbourhoods(view, data, position) for position in (0, 1))
    assert [list(each.shared) for each in classless] == [["mood"], ["mood"]]
    assert spaces.describe_neighbourhoods(classless) == ""
    assert [list(each.shared) for each in moodless] == [["class"], ["class"]]


def test_of_several_labels_one_in_common_is_enough(view):
    labels = np.full((60, 3), np.nan, np.float32)
    labels[:, 0] = np.arange(60) % 2
    labels[20:, 2] = 1
    data = Dataset("many", np.zeros((60, 1), np.float32), labels, ("a", "b", "c"), {"test": np.arange(60)})
    known = [{i for i in range(3) if labels[row, i] == 1} for row in range(60)]
    for position in range(40):
        item = view.rows[position]
        for each in spaces.find_neighbourhoods(view, data, position):
            if not known[item]:
                assert "class" not in each.shared
            else:
                assert each.shared["class"].tolist() == [bool(known[row] & known[item]) for row in each.rows]


def test_without_a_teacher_the_neighbours_are_those_of_the_student(data, view):
    alone = replace(view, spaces={"student": view.spaces["raw"]})
    [found] = spaces.find_neighbourhoods(alone, data, 5)
    assert found.space == "student"
    assert "In the student space" in spaces.describe_neighbourhoods([found])


def test_too_few_rows_are_words(data, view):
    few = replace(view, rows=view.rows[:5], spaces={name: each[:5] for name, each in view.spaces.items()})
    with pytest.raises(ValueError, match="undefined: 8 neighbours need at least 9 rows"):
        spaces.find_neighbourhoods(few, data, 0)
