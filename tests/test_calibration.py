"""Calibration against cases worked out by hand."""

import numpy as np
import pytest

from kdlib.analysis.calibration import calibration_errors, expected_calibration_error
from kdlib.analysis.intervals import share_interval


def test_two_bins_by_hand():
    # Bin of 0.9: said 1.8, happened 1, off by 0.8; bin of 0.1: said 0.1, happened 1, off by 0.9; of three cases.
    error = expected_calibration_error(np.array([0.9, 0.9, 0.1]), np.array([1, 0, 1]))
    assert error == pytest.approx((0.8 + 0.9) / 3)


def test_what_is_always_right_when_sure_is_calibrated():
    assert expected_calibration_error(np.ones(4), np.ones(4)) == 0


def test_several_labels_have_an_error_each_and_missing_ones_do_not_count():
    logits = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    labels = np.array([[1, 1, np.nan], [0, 1, np.nan]])
    assert calibration_errors(logits, labels) == [pytest.approx(0), pytest.approx(0.5), None]


def test_one_label_counts_the_predicted_class():
    logits = np.log(np.array([[0.8, 0.2], [0.3, 0.7], [0.5, 0.5]]))
    # 0.8 is right: off by 0.2; 0.7 is wrong: off by 0.7; the third is not known.
    assert calibration_errors(logits, np.array([0, 0, -1])) == [pytest.approx((0.2 + 0.7) / 2)]


def test_it_is_not_defined_without_cases():
    with pytest.raises(ValueError, match="undefined"):
        expected_calibration_error(np.empty(0), np.empty(0))
    with pytest.raises(ValueError, match="one length"):
        expected_calibration_error(np.ones(2), np.ones(3))


def test_the_interval_of_a_share_is_wilsons():
    from scipy.stats import binomtest

    for right, count in ((0, 10), (7, 10), (950, 1000)):
        theirs = binomtest(right, count).proportion_ci(method="wilson")
        assert share_interval(right / count, count) == pytest.approx((theirs.low, theirs.high), abs=1e-6)
