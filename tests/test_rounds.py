"""Rounds: looks that are planned, what each round has to train, and several runs of one method as one result."""

import numpy as np
import pytest

from kdlib import pipeline
from kdlib.analysis.comparison import why_unpaired
from kdlib.analysis.intervals import summarize
from kdlib.analysis.rounds import (
    Repetition,
    expected_specs,
    extend,
    join_rounds,
    missing_specs,
    planned_looks,
    pool,
    widest_half_width,
    with_looks,
)
from kdlib.results import Grid, GridCell, RunResult
from kdlib.spec import RunSpec
from kdlib.summary import SplitMetrics
from kdlib.trials import Trial, Tuning

SPEC = RunSpec(dataset="digits", teacher="random", method="pca", dim=4, labels=60, epochs=2, seeds=2, width=2)


def made_up(values, **fields):
    """Return a result of SPEC with these fields, and one test score per seed."""
    spec = SPEC.replace(seeds=len(values), **fields)
    return RunResult(spec, metrics={"test": SplitMetrics({"accuracy": summarize(values)})})


def tuned(values, **chosen):
    settings = {"lr": 0.02, "distance_weight": 0.5, "soft_label_weight": 0.0, "dim": 2} | chosen
    result = made_up(values, tune=1)
    return RunResult(result.spec, metrics=result.metrics, tuning=Tuning([Trial(settings, "finished", 0.7)], 0))


def test_looks_double_up_to_the_budget():
    assert planned_looks(5, 40) == [5, 10, 20, 40]
    assert planned_looks(5, 12) == [5, 10, 12]
    assert planned_looks(3, 3) == [3]
    assert Repetition(3).looks(1) == [1]
    with pytest.raises(ValueError, match="at least 2 seeds, got 1"):
        planned_looks(1, 10)
    with pytest.raises(ValueError, match="at least the 5 to begin with, got 4"):
        planned_looks(5, 4)


def test_numbers_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="1 or more, got 0"):
        Repetition(0)
    with pytest.raises(ValueError, match="above 0, got -1"):
        Repetition(half_width=-1)
    with pytest.raises(ValueError, match="above 0, got nan"):
        Repetition(half_width=float("nan"))


def test_only_what_waits_for_other_runs_takes_rounds():
    assert not Repetition(3).in_rounds([SPEC])
    assert not Repetition(1).in_rounds([SPEC.replace(tune=5)])
    assert Repetition(3).in_rounds([SPEC, SPEC.replace(tune=5)])
    assert Repetition(1, 0.01, 10).in_rounds([SPEC])


def test_later_seeds_are_joined_in_their_order_and_nothing_else_is():
    first, second, third = made_up([0.1, 0.2]), made_up([0.3], first_seed=2), made_up([0.4], first_seed=3)
    other, gap = made_up([0.5], first_seed=2, dim=2), made_up([0.9], first_seed=7)
    joined = join_rounds([third, first, other, second, gap])
    assert [each.spec.seed_numbers for each in joined] == [range(4), range(2, 3), range(7, 8)]
    assert joined[0].score("test").values == [0.1, 0.2, 0.3, 0.4]
    fourth = made_up([0.9], first_seed=4)
    [short] = join_rounds([first, second, third, fourth], most_seeds=3)  # nothing of the looks that came after
    assert short.score("test").values == [0.1, 0.2, 0.3]
    assert why_unpaired(joined[0], gap) == "other seeds, from 0 and not from 7"


def test_a_run_without_scores_stays_as_it_is():
    failed = RunResult(SPEC.replace(first_seed=2), "failed", "diverged")
    assert join_rounds([failed, made_up([0.1, 0.2])]) == [failed, made_up([0.1, 0.2])]


def test_a_round_trains_what_is_missing_and_no_seed_twice():
    results = [made_up([0.1, 0.2], subset=subset, method=method) for subset in (0, 1) for method in ("raw", "pca")]
    assert missing_specs(results, 2) == []
    missing = missing_specs(results, 2, 4)
    assert [(each.subset, each.method, each.seed_numbers) for each in missing] == [
        (0, "raw", range(2, 4)),
        (0, "pca", range(2, 4)),
        (1, "raw", range(2, 4)),
        (1, "pca", range(2, 4)),
    ]
    results.append(made_up([0.3, 0.4], first_seed=2, method="raw"))
    assert len(missing_specs(results, 2, 4)) == 3
    assert [(each.subset, each.first_seed, each.seeds) for each in missing_specs(results[:2], 2)] == [
        (1, 0, 2),
        (1, 0, 2),
    ]


def test_draws_are_counted_from_the_first_that_was_trained():
    [spec] = missing_specs([made_up([0.1, 0.2], subset=2)], 1, 3)
    assert (spec.subset, spec.seed_numbers) == (2, range(2, 3))


def test_what_was_tuned_is_trained_as_it_was_chosen():
    head = tuned([0.5, 0.6])
    missing = missing_specs([head], 3, 4)
    assert [(each.tune, each.lr, each.dim, each.subset, each.seed_numbers) for each in missing] == [
        (0, 0.02, 2, 0, range(2, 4)),
        (0, 0.02, 2, 1, range(4)),
        (0, 0.02, 2, 2, range(4)),
    ]
    later = [made_up([0.1 * each.subset] * each.seeds, **setting_of(each)) for each in missing]
    [result] = pool([*later, head])
    assert result.subsets == (0, 1, 2)
    assert result.spec == head.spec.replace(seeds=4)
    assert result.score("test").values == pytest.approx([0.5, 0.6, 0, 0, *[0.1] * 4, *[0.2] * 4])
    assert missing_specs([head, *later], 3, 4) == []


def setting_of(spec):
    names = ("lr", "distance_weight", "soft_label_weight", "dim", "subset", "first_seed")
    return {name: getattr(spec, name) for name in names}


def test_a_grid_is_continued_at_its_chosen_cell():
    grid = Grid([GridCell({"lr": 0.01}, summarize([0.5])), GridCell({"lr": 0.03}, summarize([0.6]))], 1)
    made = made_up([0.5, 0.6], lr=[0.01, 0.03])
    head = RunResult(made.spec, metrics=made.metrics, grid=grid)
    [spec] = missing_specs([head], 1, 3)
    assert (spec.lr, spec.seed_numbers) == (0.03, range(2, 3))
    [result] = pool([head, made_up([0.7], lr=0.03, first_seed=2)])
    assert (result.grid, result.score("test").values) == (grid, [0.5, 0.6, 0.7])


def test_the_setting_that_was_also_set_by_hand_stays_a_result_of_its_own():
    head = tuned([0.5, 0.6])
    given = made_up([0.1, 0.2], lr=0.02, distance_weight=0.5, dim=2)
    other = made_up([0.3, 0.4], lr=0.02, distance_weight=0.5, dim=2, subset=1)
    first, second = pool([head, given, other])
    assert (first.spec.tune, first.subsets, second.subsets) == (1, (0, 1), (0, 1))
    assert second.score("test").values == [0.1, 0.2, 0.3, 0.4]


def test_the_cost_counts_draws_and_later_seeds():
    expected = expected_specs([SPEC, SPEC.replace(tune=3)], Repetition(2), 8)
    assert [(each.tune, each.subset, each.seed_numbers) for each in expected] == [
        (0, 0, range(8)),
        (0, 1, range(8)),
        (3, 0, range(2)),
        (0, 0, range(2, 8)),
        (0, 1, range(8)),
    ]


def test_an_interval_that_allows_for_looks_is_wider_and_stays_so_with_later_seeds():
    first = with_looks(made_up([0.1, 0.2]), 4)
    assert first.score("test") == summarize([0.1, 0.2], looks=4)
    [joined] = join_rounds([first, made_up([0.4], first_seed=2)])
    assert joined.score("test") == summarize([0.1, 0.2, 0.4], looks=4)
    failed = RunResult(SPEC, "failed")
    assert with_looks(failed, 4) is failed


def test_without_a_reference_the_scores_themselves_count():
    assert widest_half_width([made_up([0.5, 0.6])]) == summarize([0.5, 0.6]).ci95
    assert widest_half_width([RunResult(SPEC, "failed")]) == float("inf")


def test_an_extended_training_is_that_of_all_seeds_at_once():
    [first, more] = pipeline.compare([SPEC, SPEC.replace(first_seed=2)], device="cpu")
    extended, [whole] = extend(first, more), pipeline.compare([SPEC.replace(seeds=4)], device="cpu")
    assert extended.spec == whole.spec
    assert extended.arrays.keys() == whole.arrays.keys()
    for name, values in whole.arrays.items():
        np.testing.assert_allclose(extended.arrays[name], values, atol=2e-4, err_msg=name)
    assert extended.score("test").values == pytest.approx(whole.score("test").values, abs=0.02)
    assert extended.teacher.probe.raw == whole.teacher.probe.raw
    assert extended.teacher.probe.compressed == whole.teacher.probe.compressed
    assert len(extended.history[-1].val) == 4
