"""Labelled subsets: other rows are drawn, runs on several of them become one, differences stay paired."""

import numpy as np
import pytest

from kdlib import pipeline
from kdlib.analysis.comparison import paired_differences, to_json, why_unpaired
from kdlib.analysis.intervals import summarize
from kdlib.analysis.subsets import pool_subsets, with_subsets
from kdlib.checks import check
from kdlib.data import datasets
from kdlib.results import RunResult
from kdlib.spec import RunSpec
from kdlib.summary import SplitMetrics

SPEC = RunSpec(dataset="digits", teacher="random", method="raw", labels=150, epochs=12, seeds=2, lr=0.03)


def made_up(values, **fields):
    return RunResult(SPEC.replace(**fields), metrics={"test": SplitMetrics({"accuracy": summarize(values)})})


@pytest.fixture(scope="module")
def trained():
    methods = [SPEC.replace(method=method) for method in ("baseline", "raw")]
    return pipeline.compare(with_subsets(methods, 2), device="cpu")


def test_another_subset_has_other_rows_with_the_classes_in_turn():
    data = datasets.load("digits")
    first, second = data.labelled(100), data.labelled(100, 1)
    assert 0 < len(set(first) & set(second)) < 60
    assert (np.bincount(data.labels[second]) == 10).all()
    assert set(second) <= set(data.splits["train"])
    np.testing.assert_array_equal(second[:40], data.labelled(40, 1))
    np.testing.assert_array_equal(second, data.labelled(100, 1))


def test_a_subset_changes_the_identity_and_the_first_does_not():
    assert SPEC.replace(subset=1).identity != SPEC.identity
    assert "subset" not in SPEC.to_json()


def test_a_subset_of_all_rows_is_refused():
    everything = datasets.load("digits").labelled_rows
    check(SPEC.replace(labels=everything))
    with pytest.raises(ValueError, match="is the same as subset 0"):
        check(SPEC.replace(labels=everything, subset=1))
    with pytest.raises(ValueError, match="0 or more, got -1"):
        check(SPEC.replace(subset=-1))


def test_every_method_has_the_same_draws_but_what_is_chosen_is_chosen_on_the_first():
    assert [spec.subset for spec in with_subsets([SPEC, SPEC.replace(method="pca")], 2)] == [0, 0, 1, 1]
    assert [spec.subset for spec in with_subsets([SPEC.replace(subset=3)], 2)] == [3, 4]
    searched = [SPEC.replace(lr=[0.01, 0.02]), SPEC.replace(tune=4)]
    assert with_subsets([*searched, SPEC], 2) == [*searched, SPEC, SPEC.replace(subset=1)]
    with pytest.raises(ValueError, match="1 or more"):
        with_subsets([SPEC], 0)


def test_trained_subsets_become_one_result_with_everything_of_both(trained):
    baseline, raw = pool_subsets(trained)
    assert (baseline.spec, raw.subsets) == (trained[0].spec, (0, 1))
    singles = [each for each in trained if each.spec.method == "raw"]
    for split, metrics in raw.metrics.items():
        expected = [value for each in singles for value in each.metrics[split].primary.values]
        assert metrics.primary.values == expected
        assert metrics.primary.subsets == 2
    assert singles[0].score("test").values != singles[1].score("test").values
    assert raw.teacher.probe.raw.values == [each.teacher.probe.raw.mean for each in singles]
    assert len(raw.spaces["student"].effective_rank.values) == 4
    assert set(raw.attributes) == set(singles[0].attributes)
    assert len(raw.history[0].val) == 4
    assert raw.cost.seconds == pytest.approx(sum(each.cost.seconds for each in singles))
    assert baseline.teacher is None


def test_a_pooled_result_survives_json(trained):
    pooled = pool_subsets(trained)
    again = [RunResult.from_dict(each.to_dict()) for each in pooled]
    assert again == pooled
    assert to_json(pooled)["runs"][1]["metrics"]["test"]["accuracy"]["subsets"] == 2
    assert "subsets" not in to_json(trained)["runs"][1]["metrics"]["test"]["accuracy"]


def test_differences_are_paired_by_subset_and_seed():
    rows = [made_up([0.5, 0.6], method="baseline"), made_up([0.6, 0.8], method="raw")]
    rows += [made_up([0.1, 0.2], method="baseline", subset=1), made_up([0.1, 0.5], method="raw", subset=1)]
    baseline, raw = pool_subsets(rows)
    difference = paired_differences(raw, baseline)["test"]
    assert difference.values == pytest.approx([0.1, 0.2, 0.0, 0.3])
    assert difference.subsets == 2
    assert difference.sample == "2 labelled subsets x 2 seeds"


def test_the_differences_of_runs_with_fewer_seeds_are_those_of_shared_seeds():
    few = pool_subsets([made_up([0.5], seeds=1), made_up([0.1], seeds=1, subset=1)])[0]
    many = pool_subsets([made_up([0.6, 9.0]), made_up([0.3, 9.0], subset=1)])[0]
    assert paired_differences(many, few)["test"].values == pytest.approx([0.1, 0.2])


def test_results_of_other_subsets_are_not_paired():
    first, second = made_up([0.5, 0.6]), made_up([0.5, 0.6], method="pca", subset=1)
    assert why_unpaired(first, second) == "other labelled rows, subset 0 and not 1"
    pooled = pool_subsets([first, made_up([0.5, 0.6], subset=1)])[0]
    assert why_unpaired(pooled, second) == "other labelled rows, subset 0, 1 and not 1"


def test_what_cannot_be_pooled_stays_as_it_is():
    alone, failed = made_up([0.5, 0.6]), RunResult(SPEC.replace(subset=1), "failed", "diverged")
    assert pool_subsets([failed, alone]) == [failed, alone]
    assert pool_subsets([]) == []


def test_the_same_subset_twice_counts_once():
    twice = [made_up([0.5, 0.6]), made_up([0.5, 0.6]), made_up([0.1, 0.2], subset=3)]
    [pooled] = pool_subsets(twice)
    assert (pooled.subsets, pooled.score("test").values) == ((0, 3), [0.5, 0.6, 0.1, 0.2])
