"""Retrieval: nearest rows, votes and recalls against slow loops."""

import numpy as np
import pytest

from kdlib.analysis.neighbours import find_neighbours
from kdlib.analysis.retrieval import nearest_bits, nearest_codes, neighbour_score, recall_at
from kdlib.models.quantization import PRECISIONS, calibrate

RNG = np.random.default_rng(1)
STORED, QUERIES = RNG.normal(size=(60, 12)).astype(np.float32), RNG.normal(size=(25, 12)).astype(np.float32)
LABELS, ASKED = RNG.integers(0, 3, 60), RNG.integers(-1, 3, 25)
TAGS, ASKED_TAGS = (RNG.choice([0.0, 1.0, np.nan], size=(n, 4)).astype(np.float32) for n in (60, 25))


def slow_nearest(queries, stored, k, distance):
    return [sorted(range(len(stored)), key=lambda row: (distance(query, stored[row]), row))[:k] for query in queries]


@pytest.mark.parametrize("name", list(PRECISIONS))
def test_nearest_rows_are_those_of_a_loop(name):
    quantizer = calibrate(name, STORED)
    stored, queries = quantizer.encode(STORED), quantizer.encode(QUERIES)
    if name == "binary":

        def distance(a, b):
            return sum(bin(int(x) ^ int(y)).count("1") for x, y in zip(a, b, strict=True))

        expected = slow_nearest(queries, stored, 5, distance)
    else:
        decoded = [quantizer.decode(codes).astype(np.float64) for codes in (queries, stored)]
        expected = slow_nearest(*decoded, 5, lambda a, b: ((a - b) ** 2).sum())
    assert nearest_codes(queries, stored, 5, quantizer).tolist() == expected


def test_a_block_at_a_time_is_the_same(monkeypatch):
    stored, queries = (RNG.integers(0, 256, (n, 3), dtype=np.uint8) for n in (50, 31))
    whole = nearest_bits(queries, stored, 7)
    monkeypatch.setattr("kdlib.analysis.retrieval.BLOCK", 120)
    np.testing.assert_array_equal(nearest_bits(queries, stored, 7), whole)


def test_only_the_first_rows_are_neighbours_and_none_is_its_own():
    x = RNG.normal(size=(40, 3))
    table = find_neighbours(x, 4, np.arange(5, 40), among=20)
    for row, found in zip(range(5, 40), table.tolist(), strict=True):
        others = [other for other in range(20) if other != row]
        assert found == sorted(others, key=lambda other: ((x[row] - x[other]) ** 2).sum())[:4]


def test_votes_are_counted_as_by_hand():
    near = nearest_codes(QUERIES, STORED, 5, calibrate("float32", STORED))
    right = []
    for found, asked in zip(near, ASKED, strict=True):
        if asked >= 0:
            votes = [(LABELS[found] == label).sum() for label in range(3)]
            tied = [label for label in range(3) if votes[label] == max(votes)]
            places = {label: np.flatnonzero(LABELS[found] == label).sum() for label in tied}
            right.append(min(tied, key=lambda label: places[label]) == asked)
    assert neighbour_score(near, LABELS, ASKED) == pytest.approx(np.mean(right))


@pytest.mark.parametrize("k", [1, 3, 5])
def test_recall_is_that_of_a_loop(k):
    near = nearest_codes(QUERIES, STORED, 5, calibrate("float32", STORED))
    hits = [
        any(LABELS[row] == asked for row in found[:k]) for found, asked in zip(near, ASKED, strict=True) if asked >= 0
    ]
    assert recall_at(near, LABELS, ASKED, k) == pytest.approx(np.mean(hits))
    shared = []
    for found, asked in zip(near, ASKED_TAGS, strict=True):
        tags = set(np.flatnonzero(asked == 1))
        if tags:
            shared.append(any(tags & set(np.flatnonzero(TAGS[row] == 1)) for row in found[:k]))
    assert recall_at(near, TAGS, ASKED_TAGS, k) == pytest.approx(np.mean(shared))


def test_several_labels_are_scored_by_how_many_neighbours_have_them():
    stored = np.array([[1.0, 0.0], [1.0, np.nan], [0.0, 1.0]])
    near, asked = np.array([[0, 1], [2, 0]]), np.array([[1.0, 0.0], [0.0, 1.0]])
    assert neighbour_score(near, stored, asked) == 1.0
    assert neighbour_score(near[::-1], stored, asked) == pytest.approx(0.5)


def test_what_is_undefined_says_so():
    with pytest.raises(ValueError, match="undefined: 4 neighbours"):
        nearest_bits(np.zeros((1, 1), np.uint8), np.zeros((3, 1), np.uint8), 4)
    with pytest.raises(ValueError, match="undefined: no row has a label"):
        recall_at(np.zeros((2, 1), int), np.array([1]), np.array([-1, -1]), 1)
