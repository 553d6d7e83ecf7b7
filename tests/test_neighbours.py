"""Neighbours against slow loops, what two spaces share of them, and the messages when there are none."""

import numpy as np
import pytest

from kdlib.analysis.neighbours import (
    compare_neighbours,
    expected_overlap,
    find_neighbours,
    knn_overlap,
    neighbour_changes,
    permuted_overlap,
    shared_neighbours,
)
from tests.random_spaces import DEGENERATE, compute_or_undefined, nearest_by_brute_force, random_rows, rotation


@pytest.mark.parametrize(("n", "d"), [(12, 1), (60, 2), (150, 3), (80, 40), (40, 300)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_neighbours_equal_brute_force(n, d, dtype):
    x = random_rows(n, d).astype(dtype)
    np.testing.assert_array_equal(find_neighbours(x, 10), nearest_by_brute_force(x, 10))


def test_neighbours_are_found_over_many_blocks(monkeypatch):
    x = random_rows(150, 6)
    monkeypatch.setattr("kdlib.analysis.neighbours.BLOCK", 1000)
    np.testing.assert_array_equal(find_neighbours(x, 5), nearest_by_brute_force(x, 5))


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_neighbours_do_not_depend_on_scale_or_offset(scale):
    x = random_rows(100, 4)
    np.testing.assert_array_equal(find_neighbours(x * scale, 5), nearest_by_brute_force(x, 5))
    np.testing.assert_array_equal(find_neighbours(x + 1e4, 5), nearest_by_brute_force(x, 5))


def test_neighbours_inside_clusters_too_tight_for_float32_products_are_right():
    x = np.repeat(random_rows(4, 8), 25, axis=0) + 1e-5 * random_rows(100, 8, seed=1)
    np.testing.assert_array_equal(find_neighbours(x, 10), nearest_by_brute_force(x, 10))


@pytest.mark.parametrize("d", [1, 7, 64])
def test_a_row_among_duplicates_is_never_its_own_neighbour_and_ties_go_to_the_first(d):
    x = np.repeat(random_rows(6, d), 20, axis=0)[np.random.default_rng(1).permutation(120)].astype(np.float32)
    table = find_neighbours(x, 10)
    assert not (table == np.arange(120)[:, None]).any()
    np.testing.assert_array_equal(table, nearest_by_brute_force(x, 10))


def test_neighbours_when_a_third_of_the_rows_is_zero():
    x = np.maximum(random_rows(90, 5), 0)
    x[::3] = 0
    np.testing.assert_array_equal(find_neighbours(x, 7), nearest_by_brute_force(x, 7))


def test_all_other_rows_are_neighbours_at_the_largest_k():
    assert find_neighbours(np.array([[0.0], [1.0], [5.0]]), 2).tolist() == [[1, 2], [0, 2], [1, 0]]


# Two tables of neighbours.


def test_kept_lost_and_gained_of_four_points_on_a_line():
    a, b = np.array([[0.0], [1.0], [2.1], [3.3]]), np.array([[0.0], [1.0], [10.0], [-1.1]])
    changes = neighbour_changes(a, b, k=2)
    assert find_neighbours(a, 2).tolist()[0] == [1, 2]
    assert find_neighbours(b, 2).tolist()[0] == [1, 3]
    assert [part[0].tolist() for part in changes] == [[1], [2], [3]]


def test_kept_lost_and_gained_equal_sets():
    before, after = find_neighbours(random_rows(70, 4), 8), find_neighbours(random_rows(70, 3, seed=1), 8)
    changes = compare_neighbours(before, after)
    for i in range(70):
        old, new = before[i].tolist(), after[i].tolist()
        assert changes.kept[i].tolist() == [j for j in old if j in new]
        assert changes.lost[i].tolist() == [j for j in old if j not in new]
        assert changes.gained[i].tolist() == [j for j in new if j not in old]
        assert shared_neighbours(before, after)[i] == len(set(old) & set(new)) / 8


def test_overlap_is_all_of_a_turned_space_and_chance_of_an_unrelated_one():
    x = random_rows(800, 6)
    assert knn_overlap(x, 3 * x @ rotation(6) + 4, k=5) == 1
    shuffled = x[np.random.default_rng(3).permutation(800)]
    assert knn_overlap(x, shuffled, k=10) == pytest.approx(
        expected_overlap(800, 10), abs=0.005
    )  # 8,000 draws of 1.25 %


def test_expected_overlap_is_that_of_all_permutations():
    assert expected_overlap(11, 10) == 1
    assert expected_overlap(101, 10) == 0.1


def test_the_permuted_overlap_is_what_chance_shares():
    a, b = np.random.default_rng(0).normal(size=(2, 300, 4))
    before, after = find_neighbours(a, 10), find_neighbours(b, 10)
    assert permuted_overlap(before, after) == pytest.approx(expected_overlap(300), abs=0.01)
    assert permuted_overlap(before, before) == pytest.approx(expected_overlap(300), abs=0.01)


def test_neighbours_of_some_rows_are_those_of_the_full_table():
    space = random_rows(60, 5)
    np.testing.assert_array_equal(find_neighbours(space, 4, rows=[7, 3, 50]), find_neighbours(space, 4)[[7, 3, 50]])
    assert shared_neighbours(find_neighbours(space, 4), find_neighbours(space, 4)).min() == 1


@pytest.mark.parametrize("case", DEGENERATE)
def test_degenerate_spaces_have_an_overlap_or_a_reason(case):
    x = DEGENERATE[case]
    other = random_rows(len(x), 2, seed=5)
    for a, b in ((x, other), (other, x), (x, x)):
        value = compute_or_undefined(lambda: knn_overlap(a, b))  # noqa: B023 - called at once
        assert value is None or 0 <= value <= 1


@pytest.mark.parametrize("name", ["two places only", "one row differs", "width one", "mixed scales"])
def test_an_overlap_that_is_defined_is_not_refused(name):
    assert knn_overlap(DEGENERATE[name], DEGENERATE[name]) == 1


@pytest.mark.parametrize(
    ("compute", "message"),
    [
        (lambda: find_neighbours(random_rows(3, 2), 10), "^undefined: 10 neighbours need at least 11 rows, got 3$"),
        (lambda: find_neighbours(random_rows(3, 2), 0), "^the number of neighbours must be at least 1, got 0$"),
        (lambda: expected_overlap(10), "^undefined: 10 neighbours need at least 11 rows, got 10$"),
        (lambda: find_neighbours(np.ones((20, 2)), 3), "^undefined: all rows of the space are equal$"),
    ],
)
def test_the_reason_can_be_read(compute, message):
    with pytest.raises(ValueError, match=message):
        compute()


@pytest.mark.parametrize("function", [knn_overlap, neighbour_changes])
def test_different_numbers_of_rows_are_refused(function):
    with pytest.raises(ValueError, match=r"got .*\b64\b.* and .*\b63\b"):
        function(random_rows(64, 2), random_rows(63, 2))
