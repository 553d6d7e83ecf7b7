"""Two matrices of pairs and their difference: it says what the loss is."""

import numpy as np
import pytest
import torch

from kdlib.training.losses import LOSSES
from kdlib.training.pairs import PAIRS, compare_pairs


@pytest.fixture
def spaces():
    rng = np.random.default_rng(0)
    return rng.normal(size=(12, 5)).astype(np.float32), rng.normal(size=(12, 3)).astype(np.float32)


@pytest.mark.parametrize("loss", PAIRS)
def test_the_mean_of_the_difference_is_the_loss(loss, spaces):
    student, target = spaces
    _, _, _, difference = compare_pairs(loss, student, target)
    value = LOSSES[loss].function(torch.from_numpy(student), torch.from_numpy(target))
    assert difference is not None
    assert difference.mean() == pytest.approx(float(value), abs=1e-5)


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_has_something_to_look_at(loss, spaces):
    pairs, a, b, difference = compare_pairs(loss, *spaces)
    assert a.shape == b.shape == difference.shape == (12, 12)
    assert np.isfinite([a, b, difference]).all()
    assert np.allclose(a, a.T, atol=1e-5)
    assert pairs.entry


def test_distances_of_three_points_on_a_line():
    points = np.array([[0.0], [1.0], [3.0]], np.float32)
    _, a, b, difference = compare_pairs("rkd_distance", points, 5 * points)
    assert a[0] == pytest.approx([0, 0.5, 1.5], abs=1e-5)  # in units of their mean, 2
    assert np.allclose(a, b, atol=1e-5)
    assert np.allclose(difference, 0, atol=1e-6)


def test_without_a_target_there_is_one_matrix():
    _, a, b, difference = compare_pairs("distance_correlation", np.zeros((4, 2), np.float32), None)
    assert a.shape == (4, 4)
    assert not a.any(), "rows that do not vary have no pattern"
    assert b is difference is None
