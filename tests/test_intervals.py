"""Means and intervals: against scipy's tests and against a known mean, and the messages when there is no number."""

import math

import numpy as np
import pytest
from scipy import stats

from kdlib.analysis.intervals import paired_difference, standard_error, summarize
from kdlib.summary import Summary

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


def crossed(subset, seed, rest, *, shape=(3, 5), count=1500):
    """Return tables of numbers with mean 0 whose effects have these standard deviations."""
    rng = np.random.default_rng(0)
    parts = (
        (subset, (count, shape[0], 1)),
        (seed, (count, 1, shape[1])),
        (rest, (count, *shape)),
    )
    return sum(scale * rng.normal(size=size) for scale, size in parts)


@pytest.mark.parametrize("effects", [(0, 0, 1), (1, 0, 1), (0, 1, 1), (1, 1, 1), (2, 0.3, 1), (1, 0.3, 0.3)])
def test_the_interval_over_subsets_and_seeds_covers_the_true_mean(effects):
    found = [summarize(table.ravel(), 3) for table in crossed(*effects)]
    assert np.mean([abs(each.mean) <= each.ci95 for each in found]) >= 0.93


def test_seeds_alone_and_a_bootstrap_would_be_too_sure_where_subsets_differ():
    tables = crossed(1, 0.3, 0.3, count=300)
    assert np.mean([abs(table.mean()) <= summarize(table.ravel()).ci95 for table in tables]) < 0.7
    rng, inside = np.random.default_rng(1), []
    for table in tables:
        rows, columns = rng.integers(0, 3, (400, 3)), rng.integers(0, 5, (400, 5))
        low, high = np.quantile(table[rows[:, :, None], columns[:, None, :]].mean((1, 2)), [0.025, 0.975])
        inside.append(low <= 0 <= high)
    assert np.mean(inside) < 0.9


def test_the_standard_error_over_subsets_by_hand():
    # Means of subsets 2 and 6, of seeds 3 and 5, no interaction: MS_S = 2 * 8, MS_K = 2 * 2, MS_E = 0, over 4 values.
    error, freedom = standard_error([1.0, 3.0, 5.0, 7.0], 2)
    assert error == pytest.approx(math.sqrt(20 / 4))
    assert freedom == pytest.approx(400 / (256 + 16))


@pytest.mark.parametrize(("values", "subsets"), [([1.0, 2.0, 4.0], 3), ([1.0, 2.0, 4.0], 1)])
def test_one_seed_or_one_subset_is_the_ordinary_standard_error(values, subsets):
    assert standard_error(values, subsets) == pytest.approx((stats.sem(values), 2))


def test_values_that_do_not_divide_among_the_subsets_are_refused():
    with pytest.raises(ValueError, match="5 values cannot be those of 2 subsets"):
        summarize([1, 2, 3, 4, 5], 2)
