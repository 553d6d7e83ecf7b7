"""Precisions: every one encodes, decodes within its bound, and survives JSON; codes are those worked out by hand."""

import json

import numpy as np
import pytest

from kdlib.models.quantization import PRECISIONS, Quantizer, calibrate

RNG = np.random.default_rng(0)
ROWS = (RNG.normal(size=(500, 11)) * np.arange(1, 12) + 3).astype(np.float32)


@pytest.mark.parametrize("name", list(PRECISIONS))
def test_every_precision_has_the_type_and_the_size_that_it_names(name):
    quantizer = calibrate(name, ROWS)
    codes = quantizer.encode(ROWS)
    assert codes.dtype == np.dtype(PRECISIONS[name].dtype)
    assert codes.shape == (500, quantizer.code_width)
    assert codes.nbytes == 500 * PRECISIONS[name].item_bytes(11)
    assert quantizer.decode(codes).shape == ROWS.shape
    assert quantizer.decode(codes).dtype == np.float32
    again = Quantizer.from_dict(json.loads(json.dumps(quantizer.to_dict())))
    np.testing.assert_array_equal(again.encode(ROWS), codes)
    np.testing.assert_array_equal(again.decode(codes), quantizer.decode(codes))


def test_errors_stay_within_the_bound_of_each_precision():
    def error(name):
        quantizer = calibrate(name, ROWS)
        return np.abs(quantizer.decode(quantizer.encode(ROWS)) - ROWS)

    assert error("float32").max() == 0
    assert (error("float16") <= np.abs(ROWS) * 2.0**-11 + 1e-7).all()  # half of the last of 11 bits
    steps = (ROWS.max(0) - ROWS.min(0)) / 255
    assert (error("int8") <= steps / 2 * (1 + 1e-4)).all()
    assert (error("int8") > steps / 4).any()  # the bound is not idle
    spread = np.square(ROWS - ROWS.mean(0)).mean(0)
    assert (np.square(error("binary")).mean(0) < 0.5 * spread).all()  # 1 - 2/pi = 0.36 for a normal distribution


def test_codes_of_a_byte_are_those_of_the_formula_and_stay_inside_the_range():
    quantizer = calibrate("int8", np.array([[0.0, -1.0], [255.0, 1.0]]))
    codes = quantizer.encode(np.array([[0.0, -1.0], [127.4, 0.0], [255.0, 1.0], [-50.0, 7.0]]))
    assert codes[:, 0].tolist() == [-128, -1, 127, -128]  # wrapped around, -50 would be 78
    assert codes[:, 1].tolist() == [-128, codes[1, 1], 127, 127]
    assert codes[1, 1] in (-1, 0)


def test_bits_are_packed_row_by_row_whatever_the_width():
    rows = np.array([[1.0] * 9, [-1.0] * 9, [1.0, -1.0] * 4 + [1.0]])
    quantizer = calibrate("binary", rows[:2])
    assert quantizer.encode(rows).tolist() == [[255, 128], [0, 0], [0b10101010, 128]]
    np.testing.assert_array_equal(quantizer.decode(quantizer.encode(rows)), rows)


def test_features_that_are_never_negative_have_bits_that_differ():
    rows = np.abs(ROWS)
    bits = np.unpackbits(calibrate("binary", rows).encode(rows), axis=1, count=11)
    assert (np.abs(bits.mean(0) - 0.5) < 0.2).all()  # by their sign alone, all would be 1


@pytest.mark.parametrize("name", list(PRECISIONS))
def test_a_dimension_that_never_varies_comes_back(name):
    rows = np.full((4, 2), 2.5, np.float32)
    quantizer = calibrate(name, rows)
    np.testing.assert_array_equal(quantizer.decode(quantizer.encode(rows)), rows)


def test_what_cannot_be_encoded_is_a_sentence():
    with pytest.raises(ValueError, match="65,504"):
        calibrate("float16", ROWS).encode(np.array([[1e6]]))
    with pytest.raises(ValueError, match="training rows, got none"):
        calibrate("int8", np.empty((0, 3)))
    with pytest.raises(ValueError, match="float16, int8, binary"):
        calibrate("int4", ROWS)
