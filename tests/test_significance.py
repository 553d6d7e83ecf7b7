"""Significance: p-values against scipy, Holm by hand, and false stars counted where the truth is known."""

import numpy as np
import pytest
from scipy import stats

from kdlib.analysis.intervals import summarize
from kdlib.analysis.significance import are_clear, effect_size, holm, p_value, seeds_to_settle
from kdlib.summary import Summary


@pytest.mark.parametrize("n", [2, 5, 12])
def test_the_p_value_is_that_of_the_paired_t_test(n):
    a, b = np.random.default_rng(n).normal(size=(2, n))
    assert p_value(summarize(list(a - b))) == pytest.approx(stats.ttest_rel(a, b).pvalue)


def test_nothing_is_known_of_a_single_seed_and_everything_of_seeds_that_agree():
    assert p_value(summarize([0.3])) == 1
    assert p_value(Summary(0.3, None)) == 1
    assert p_value(summarize([0.0, 0.0])) == 1
    assert p_value(summarize([0.25, 0.25])) == 0


def test_holm_by_hand():
    # sorted 0.01 0.02 0.03 0.5: times 4 3 2 1 = 0.04 0.06 0.06 0.5, never falling
    assert holm([0.03, 0.01, 0.5, 0.02]) == pytest.approx([0.06, 0.04, 0.5, 0.06])
    assert holm([0.9, 0.8]) == [1, 1]
    assert holm([]) == []


def test_one_difference_alone_is_clear_where_its_interval_excludes_zero():
    rng = np.random.default_rng(0)
    for _ in range(200):
        difference = summarize(list(rng.normal(0.5, 1, 5)))
        assert are_clear([difference, None]) == [abs(difference.mean) > difference.ci95, False]


def simulate(rng, gain, spread=0.02, methods=6, seeds=5):
    """Return differences to raw of methods whose true gain is known, all on the same seeds as in a comparison."""
    raw = rng.normal(0.6, spread, seeds)
    return [summarize(list(rng.normal(0.6 + gain, spread, seeds) - raw)) for _ in range(methods)]


def test_methods_that_are_equal_in_truth_get_a_star_in_at_most_seven_of_a_hundred_comparisons():
    rng = np.random.default_rng(0)
    comparisons = [simulate(rng, gain=0.0) for _ in range(200)]
    corrected = sum(any(are_clear(each)) for each in comparisons)
    uncorrected = sum(any(p_value(one) < 0.05 for one in each) for each in comparisons)
    assert corrected <= 0.07 * 200
    assert uncorrected > 0.1 * 200  # what the correction is there for
    assert sum(any(are_clear(simulate(rng, gain=0.1))) for _ in range(200)) > 0.9 * 200  # and it is not blind


def test_the_effect_size_by_hand():
    # mean 0.02, standard deviation 0.01, n = 3: 2 · (1 - 3 / 7)
    assert effect_size(summarize([0.01, 0.02, 0.03])) == pytest.approx(8 / 7)
    assert effect_size(summarize([0.1])) is None
    assert effect_size(summarize([0.1, 0.1])) is None


def test_the_seeds_that_would_settle_it_do():
    difference = summarize([0.03, -0.01, 0.02, 0.0])
    n = seeds_to_settle(difference)
    spread = np.std(difference.values, ddof=1)
    second_look = 1 - 0.05 / 2 / 2
    assert stats.t.ppf(second_look, n - 1) * spread / np.sqrt(n) < difference.mean
    assert stats.t.ppf(second_look, n - 2) * spread / np.sqrt(n - 1) >= difference.mean
    clear = summarize([0.03, 0.02, 0.02, 0.03, 0.03])
    assert seeds_to_settle(clear) <= 5
    assert seeds_to_settle(clear) == seeds_to_settle(summarize(clear.values[:5]))
    assert seeds_to_settle(summarize([0.0101, -0.01])) is None  # more than anybody trains
    assert seeds_to_settle(summarize([0.0, 0.0])) is None
    assert seeds_to_settle(summarize([0.2])) is None
