"""Means and intervals: against scipy's tests and against a known mean, and the messages when there is no number."""

import math

import numpy as np
import pytest
from scipy import stats

from kdlib.analysis.intervals import paired_difference, summarize
from kdlib.results import Summary

NAN = math.nan


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def test_summary_is_the_t_interval():
    values = [0.7, 0.72, 0.69, 0.75, 0.71]
    summary = summarize(values)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert summary.values == values
    assert summary.mean == pytest.approx(0.714)
    assert summary.mean - summary.ci95 == pytest.approx(expected.low)
    assert summary.mean + summary.ci95 == pytest.approx(expected.high)


def test_the_interval_covers_the_true_mean_nineteen_times_in_twenty():
    samples = [summarize(row) for row in normal(2000, 5)]
    covered = np.mean([abs(s.mean) <= s.ci95 for s in samples])
    assert covered == pytest.approx(0.95, abs=0.015)  # three standard errors of 2,000 samples


def test_one_value_has_no_interval_and_equal_values_have_a_zero_one():
    assert summarize([0.5]) == Summary(0.5, None, [0.5])
    assert summarize([0.5, 0.5, 0.5]).ci95 == 0


def test_summary_holds_what_json_can_hold():
    summary = summarize(np.array([0.25, 0.75], dtype=np.float32))
    assert [type(summary.mean), type(summary.ci95), *map(type, summary.values)] == [float] * 4


def test_the_paired_difference_is_the_paired_t_interval():
    a, b = normal(6), normal(6, seed=1)
    summary = paired_difference(a, b)
    expected = stats.ttest_rel(a, b).confidence_interval(0.95)
    assert summary.mean - summary.ci95 == pytest.approx(expected.low)
    assert summary.mean + summary.ci95 == pytest.approx(expected.high)
    assert summary.values == pytest.approx(list(a - b))


def test_pairing_removes_what_both_sides_share():
    seed_effect = 10 * normal(8)
    a, b = seed_effect + 1 + 0.1 * normal(8, seed=1), seed_effect + 0.1 * normal(8, seed=2)
    assert paired_difference(a, b).ci95 < 0.3 < summarize(a).ci95


@pytest.mark.parametrize("values", [[], [0.5, NAN], [math.inf]])
def test_summary_of_nothing_or_of_what_is_not_finite_is_undefined(values):
    with pytest.raises(ValueError, match=r"^undefined: a mean needs finite values, got"):
        summarize(values)


def test_only_as_many_values_can_be_paired():
    with pytest.raises(ValueError, match=r"^a paired difference needs as many values on both sides, got 5 and 4$"):
        paired_difference([0.0] * 5, [0.0] * 4)
