"""Pictures as networks of other people take them."""

import dataclasses

import numpy as np
import pytest

from kdlib.data import datasets
from kdlib.models.providers.pictures import look_at, resize, square


def test_a_dataset_gives_its_originals_or_says_that_it_has_none():
    digits = datasets.load("digits")
    np.testing.assert_array_equal(look_at(digits, 5), digits.look(5))
    assert look_at(digits, 5).dtype == np.uint8
    with pytest.raises(ValueError, match=r"digits has no pictures.*import the picture files"):
        look_at(dataclasses.replace(digits, look=None), 0)


@pytest.mark.parametrize("size", [(40, 80), (80, 40), (60, 60), (5, 7)])
def test_a_square_is_the_middle_of_a_picture(size):
    picture = np.zeros((*size, 3), np.uint8)
    picture[size[0] // 2, size[1] // 2] = 255
    got = square(picture, 32)
    assert got.shape == (32, 32, 3)
    assert np.abs(np.array(np.unravel_index(got[..., 0].argmax(), (32, 32))) - 16).max() <= 4


def test_a_picture_that_gets_smaller_is_averaged():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[::2] = 200
    got = resize(stripes, 16, 16)
    assert np.abs(got[2:-2].astype(int) - 100).max() <= 4
    assert resize(stripes, 64, 64) is stripes
