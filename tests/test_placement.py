"""Where a new item falls among known rows, against brute force and against the maps themselves."""

import numpy as np
import pytest

from kdlib.analysis.placement import find_nearest, fit_map, nearest_distances, percentile_of
from kdlib.analysis.projection import project

RNG = np.random.default_rng(0)
SPACE = (RNG.normal(size=(300, 12)) @ RNG.normal(size=(12, 12))).astype(np.float32)


def test_known_rows_are_put_where_the_pca_map_has_them_in_each_of_several_maps_that_are_turned_onto_one():
    other = np.tanh(SPACE @ RNG.normal(size=(12, 5))).astype(np.float32)
    for space, places in zip((SPACE, other), project("pca", [SPACE, other]).places, strict=True):
        assert np.abs(fit_map(space, places).place(space) - places).max() < 1e-3


def test_a_new_row_lies_where_a_map_of_it_too_would_have_put_it_between_two_known_ones():
    fitted = fit_map(SPACE, places := project("pca", [SPACE]).places[0])
    between = (SPACE[3] + SPACE[7]) / 2
    assert fitted.place(between[None])[0] == pytest.approx((places[3] + places[7]) / 2, abs=1e-3)


@pytest.mark.parametrize("space", [SPACE[:, :1], SPACE[:5], np.zeros((4, 3), np.float32)], ids=["line", "few", "point"])
def test_a_space_without_two_directions_has_a_map_too(space):
    places = project("pca", [space]).places[0]
    assert np.abs(fit_map(space, places).place(space) - places).max() < 1e-3


def test_nearest_rows_and_distances_are_those_of_brute_force():
    row = RNG.normal(size=12)
    slow = sorted((float(np.linalg.norm(SPACE[i].astype(np.float64) - row)), i) for i in range(len(SPACE)))
    rows, distances = find_nearest(SPACE, row, 7)
    assert rows.tolist() == [i for _, i in slow[:7]]
    np.testing.assert_allclose(distances, [distance for distance, _ in slow[:7]], rtol=1e-9)
    many = RNG.normal(size=(1200, 12))
    slow = [min(float(np.linalg.norm(known - each)) for known in SPACE.astype(np.float64)) for each in many[::100]]
    np.testing.assert_allclose(nearest_distances(SPACE, many)[::100], slow, rtol=1e-6)


def test_of_equally_near_rows_the_first_comes_first_and_fewer_rows_than_asked_for_are_all_of_them():
    assert find_nearest(np.array([[1.0], [-1.0], [1.0]]), np.zeros(1), 9)[0].tolist() == [0, 1, 2]


def test_a_percentile_is_the_share_below():
    reference = np.arange(200.0)
    assert [percentile_of(value, reference) for value in (-1.0, 0.5, 198.5, 500.0)] == [0.0, 0.5, 99.5, 100.0]
