"""Poolings: each by hand on two small items, and what all of them promise."""

import numpy as np
import pytest

from kdlib.models.pooling import POOLINGS

FRAMES = np.array([[[0.0, 1.0], [2.0, 1.0], [4.0, -2.0]], [[5.0, 5.0], [5.0, 5.0], [5.0, 5.0]]], np.float32)
BY_HAND = {
    "mean": [[2, 0], [5, 5]],
    "max": [[4, 1], [5, 5]],
    "mean+std": [[2, 0, (8 / 3) ** 0.5, 2**0.5], [5, 5, 0, 0]],
}


@pytest.mark.parametrize("name", list(POOLINGS))
def test_two_items_by_hand(name):
    np.testing.assert_allclose(POOLINGS[name].function(FRAMES), BY_HAND[name], atol=1e-6)


@pytest.mark.parametrize("name", list(POOLINGS))
def test_the_contract(name):
    frames = np.random.default_rng(0).normal(size=(4, 7, 3)).astype(np.float32)
    pooled = POOLINGS[name].function(frames)
    assert pooled.shape == (4, 3 * POOLINGS[name].factor)
    assert pooled.dtype == np.float32
    np.testing.assert_allclose(POOLINGS[name].function(frames[2:3]), pooled[2:3], rtol=1e-6)
    np.testing.assert_allclose(POOLINGS[name].function(frames[:, ::-1]), pooled, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(POOLINGS[name].function(frames[:, :1])[:, :3], frames[:, 0], rtol=1e-6)
