"""What is tried next, and what is stopped: within its ranges, by what was seen, the same after the same trials."""

import subprocess
import sys

import numpy as np
import pytest

from kdlib.spec import BASELINE, RAW, TUNED_FIELDS, RunSpec
from kdlib.training.search import RANGES, below_median, propose, search_space
from kdlib.trials import DIVERGED, FINISHED, PRUNED, Trial


def test_each_method_is_searched_over_what_it_uses():
    assert list(search_space(RunSpec(method=BASELINE), 0)) == ["lr"]
    assert set(search_space(RunSpec(method=RAW), 256)) == set(TUNED_FIELDS) - {"dim"}
    assert set(search_space(RunSpec(method="matryoshka"), 256)) == set(TUNED_FIELDS)
    pointwise = RunSpec(loss="mse", tune=5)  # whose students have an adapter of the target's width
    assert "dim" not in search_space(pointwise, 256)
    assert pointwise.replace(dim=8).identity != pointwise.replace(dim=4).identity


@pytest.mark.parametrize(("widest", "widths"), [(256, {4, 8, 16, 32, 64}), (20, {4, 8, 16}), (3, {2}), (1, {1})])
def test_widths_are_powers_of_two_that_the_compressor_can_have(widest, widths):
    space = search_space(RunSpec(method="mlp"), widest)
    assert {settings["dim"] for settings in propose(space, [], 60, seed=0)} == widths


def test_values_lie_in_their_ranges_and_small_rates_are_as_likely_as_large_ones():
    settings = propose(search_space(RunSpec(method=RAW), 64), [], 200, seed=1)
    for name, values in RANGES.items():
        assert all(values.low <= each[name] <= values.high for each in settings)
    rates = np.array([each["lr"] for each in settings])
    assert 0.4 < (rates < 0.01).mean() < 0.6


def test_the_same_trials_and_seed_give_the_same_settings():
    space = search_space(RunSpec(), 64)
    trials = [
        Trial(settings, FINISHED, 0.5 + 0.01 * number, 30, {15: 0.4, 30: 0.5 + 0.01 * number})
        for number, settings in enumerate(propose(space, [], 8, seed=0))
    ]
    assert propose(space, trials, 6, seed=1) == propose(space, trials, 6, seed=1)
    assert propose(space, trials, 6, seed=1) != propose(space, trials, 6, seed=2)


def test_what_did_well_is_tried_nearby_and_what_was_stopped_or_diverged_is_not():
    space = {"lr": RANGES["lr"]}
    trials = []
    for rate in np.geomspace(0.001, 0.1, 12):
        distance = abs(np.log10(rate) + 2)  # from 0.01
        if distance > 0.8:
            trials.append(Trial({"lr": rate}, DIVERGED, None, 15))
        elif distance > 0.4:
            trials.append(Trial({"lr": rate}, PRUNED, 0.5 - distance, 15, {15: 0.5 - distance}))
        else:
            trials.append(Trial({"lr": rate}, FINISHED, 0.9 - distance, 30, {15: 0.6, 30: 0.9 - distance}))
    proposed = [each["lr"] for seed in range(5) for each in propose(space, trials, 6, seed)]
    near = np.mean([abs(np.log10(rate) + 2) < 0.4 for rate in proposed])
    assert near > 0.6, "at random it would be 0.4"


def test_settings_that_are_asked_for_together_keep_apart():
    space = {"lr": RANGES["lr"]}
    trials = [Trial({"lr": rate}, FINISHED, -abs(np.log10(rate) + 2), 30) for rate in np.geomspace(0.001, 0.1, 10)]
    rates = sorted(np.log10(each["lr"]) for each in propose(space, trials, 6, seed=0))
    assert min(np.diff(rates)) > 0.001


def test_below_the_median_leaves_and_equal_ones_stay():
    assert below_median([0.5, 0.7, 0.6, 0.8]) == [True, False, True, False]
    assert below_median([0.5, 0.5, 0.5]) == [False, False, False]
    assert below_median([0.1, 0.2, 0.3]) == [True, False, False]
    assert below_median([0.4]) == [False]


def test_optuna_is_loaded_only_when_something_is_searched():
    code = "import sys, kdlib.pipeline; assert 'optuna' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
