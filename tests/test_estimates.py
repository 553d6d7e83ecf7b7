"""Estimates while something trains: epochs that can be compared, what a space knows; and what things are called."""

import numpy as np
import pytest

from kdlib.analysis.estimates import common_epoch, estimate_knowledge, scores_at
from kdlib.models.compressors import COMPRESSORS
from kdlib.models.providers.built_in import TEACHERS
from kdlib.names import METHODS, in_order, method_name, run_name, teacher_name
from kdlib.names import TEACHERS as TEACHER_NAMES
from kdlib.results import Point
from kdlib.spec import METHOD_HELPS, RunSpec


def points(*epochs: int, score: float = 0.5) -> list[Point]:
    return [Point(epoch, val=[score * epoch / 10]) for epoch in epochs]


def test_bars_of_unequal_epochs_once_showed_a_wrong_leader():
    histories = [points(1, 2, 3, 4, 5, 6, 7), points(1, 2, 3, 4, 5, score=0.9), points(1, 2, 3, 4, 5, 6)]
    assert common_epoch(histories) == 5
    assert scores_at(histories, 5) == pytest.approx([0.25, 0.45, 0.25])


def test_while_one_training_has_no_point_there_is_nothing_to_compare():
    assert common_epoch([points(1, 2), [], points(1)]) == 0
    assert common_epoch([]) == 0
    assert scores_at([points(1), []], 0) == [None, None]


def test_only_epochs_that_all_have_validated_count():
    assert common_epoch([points(1, 3, 6), points(1, 2, 3, 4, 5)]) == 3


def test_a_score_is_the_mean_of_the_finite_seeds():
    assert scores_at([[Point(1, val=[0.2, 0.4, float("nan")])]], 1) == pytest.approx([0.3])


def test_knowledge_that_is_there_is_found_and_none_where_there_is_none():
    rng = np.random.default_rng(0)
    known, unknown = rng.integers(0, 4, 500), rng.integers(0, 4, 500)
    space = np.eye(4)[known] + 0.1 * rng.normal(size=(500, 4))
    found = estimate_knowledge(space, {"known": known, "unknown": unknown})
    assert found["known"] > 0.98
    assert found["unknown"] == pytest.approx(0.25, abs=0.08)


def test_an_estimate_is_that_of_ridge_regression_fold_by_fold():
    from sklearn.linear_model import RidgeClassifier

    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, 200)
    space = rng.normal(size=(200, 6)) + labels[:, None] * rng.normal(size=6)
    rows = (space - space.mean(0)) / space.std(0)
    right = []
    for fold in range(5):
        test = np.arange(200) % 5 == fold
        model = RidgeClassifier(alpha=0.05 * 160).fit(rows[~test], labels[~test])
        right += (model.predict(rows[test]) == labels[test]).tolist()
    # The reference does not shrink its intercept, which moves a row in a hundred at most.
    assert estimate_knowledge(space, {"y": labels})["y"] == pytest.approx(np.mean(right), abs=0.01)


def test_rows_whose_value_is_not_known_do_not_count():
    labels = np.array([0, 1] * 50 + [-1] * 20)
    space = np.where(labels == 1, 1.0, -1.0)[:, None]
    assert estimate_knowledge(space, {"y": labels, "nobody": np.full(120, -1)}) == {"y": 1.0, "nobody": 0.0}


def test_a_column_that_does_not_vary_is_no_division_by_zero():
    assert np.isfinite(estimate_knowledge(np.ones((20, 2)), {"y": np.arange(20) % 2})["y"])


def test_targets_of_other_rows_are_refused():
    with pytest.raises(ValueError, match="one value per row"):
        estimate_knowledge(np.ones((20, 2)), {"y": np.zeros(19, int)})


def test_everything_built_in_has_a_plain_name():
    assert set(METHODS) == {*METHOD_HELPS, *COMPRESSORS}
    assert set(TEACHER_NAMES) == set(TEACHERS)


def test_the_plain_name_comes_first_and_what_has_none_goes_by_its_own():
    assert run_name(RunSpec(method="mlp", dim=16)) == "trained, two layers (mlp), 16"
    assert run_name(RunSpec(method="raw", dim=16)) == "teacher as it is (raw)"
    assert teacher_name("simclr") == "view matching (simclr)"
    assert (method_name("my-own"), teacher_name("me/mine")) == ("my-own", "me/mine")


def test_the_order_is_baseline_raw_compressed():
    specs = [RunSpec(method=method) for method in ("pca", "raw", "mlp", "baseline")]
    assert [spec.method for spec in in_order(specs, lambda spec: spec)] == ["baseline", "raw", "pca", "mlp"]
