"""Scores: against slow counts and closed forms, and what a person reads when there is no number."""

import math

import numpy as np
import pytest

from kdlib.analysis.evaluation import primary_metric, score, scores, thresholds

NAN = math.nan


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


# Scores.


def slow_scores(logits, labels):
    rows = [
        (max(range(len(z)), key=z.__getitem__), y)
        for z, y in zip(logits.tolist(), labels.tolist(), strict=True)
        if y >= 0
    ]
    f1 = []
    for c in {c for row in rows for c in row}:
        hits = sum(p == y == c for p, y in rows)
        f1.append(2 * hits / (sum(p == c for p, _ in rows) + sum(y == c for _, y in rows)))
    return {"accuracy": np.mean([p == y for p, y in rows]), "f1": np.mean(f1)}


@pytest.mark.parametrize("missing", [0, 0.3])
def test_single_label_scores_equal_counting(missing):
    rng = np.random.default_rng(1)
    labels = np.where(rng.random(60) < missing, -1, rng.integers(0, 5, 60))
    logits = draw(60, 5) + 2 * np.eye(5)[labels]
    assert scores(logits, labels) == pytest.approx(slow_scores(logits, labels))


def test_a_class_that_neither_occurs_nor_is_predicted_does_not_count_in_f1():
    logits = np.array([[2.0, 1, 0, 0], [0, 3, 0, 0], [1, 0, 0, 0]])
    assert scores(logits, np.array([0, 1, 1])) == pytest.approx({"accuracy": 2 / 3, "f1": (2 / 3 + 2 / 3) / 2})


def slow_average_precision(targets, score):
    ranked = [y for _, y in sorted(zip(score, targets, strict=True), reverse=True)]
    return np.mean([sum(ranked[: i + 1]) / (i + 1) for i, y in enumerate(ranked) if y])


def slow_roc_auc(targets, score):
    pairs = [
        (a > b) + (a == b) / 2
        for a, y in zip(score, targets, strict=True)
        for b, z in zip(score, targets, strict=True)
        if y > z
    ]
    return np.mean(pairs)


def test_multi_label_scores_equal_slow_references_over_the_known_entries():
    rng = np.random.default_rng(2)
    labels = np.where(rng.random((50, 3)) < 0.2, NAN, (rng.random((50, 3)) < 0.4).astype(float))
    logits = draw(50, 3) + np.nan_to_num(labels)
    expected = {"map": [], "roc_auc": [], "f1": []}
    for c in range(3):
        rows = [i for i in range(50) if not math.isnan(labels[i, c])]
        targets, score = labels[rows, c].tolist(), logits[rows, c].tolist()
        expected["map"].append(slow_average_precision(targets, score))
        expected["roc_auc"].append(slow_roc_auc(targets, score))
        hits = sum(y == 1 and z >= 0 for y, z in zip(targets, score, strict=True))
        expected["f1"].append(2 * hits / (sum(targets) + sum(z >= 0 for z in score)))
    assert scores(logits, labels) == pytest.approx({name: np.mean(values) for name, values in expected.items()})


def test_the_threshold_is_a_probability():
    labels = np.array([[1.0], [0.0], [1.0]])
    logits = np.array([[math.log(0.7 / 0.3)], [math.log(0.6 / 0.4)], [math.log(0.2 / 0.8)]])
    assert scores(logits, labels)["f1"] == pytest.approx(0.5)  # one hit, one false alarm, one miss
    assert scores(logits, labels, threshold=0.65)["f1"] == pytest.approx(2 / 3)
    assert scores(logits, labels, threshold=0.1)["f1"] == pytest.approx(4 / 5)


def test_classes_without_the_labels_a_metric_needs_are_skipped():
    labels = np.array([[1.0, 0.0, NAN, 1.0], [0.0, 0.0, NAN, 1.0], [1.0, 0.0, NAN, 1.0]])
    logits = np.array([[1.0, -1, 0, 1], [-1, -1, 0, 1], [2, -1, 0, 1]])
    assert scores(logits, labels) == {"map": 1.0, "roc_auc": 1.0, "f1": 1.0}


def test_ranking_does_not_saturate_where_probabilities_do():
    logits = np.array([[50.0], [60.0], [70.0]], dtype=np.float32)  # all of probability 1 in float32
    assert scores(logits, np.array([[0.0], [1.0], [1.0]]))["roc_auc"] == 1


def test_thresholds_have_the_best_f1_class_by_class():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, (40, 3)).astype(float)
    logits = np.round(labels + rng.normal(0, 1, labels.shape), 1) * [1, 5, 0.1] + [0, 3, -2]  # rounded: some are equal
    labels[rng.random(labels.shape) < 0.3] = np.nan
    cuts = thresholds(logits, labels)
    assert cuts.shape == (3,)
    for c in range(3):
        column, targets = logits[:, [c]], labels[:, [c]]
        candidates = [scores(column, targets, 1 / (1 + np.exp(-cut)))["f1"] for cut in np.unique(column) - 1e-9]
        assert scores(column, targets, float(cuts[c]))["f1"] == pytest.approx(max(candidates))
    assert scores(logits, labels, cuts)["f1"] >= scores(logits, labels)["f1"]


def test_a_class_that_is_never_known_to_be_there_keeps_one_half():
    assert thresholds(np.array([[1.0], [2.0]]), np.array([[0.0], [np.nan]])).tolist() == [0.5]


def test_a_threshold_outside_zero_to_one_is_refused():
    with pytest.raises(ValueError, match=r"^a threshold is a probability from 0 to 1, got 1.5$"):
        scores(np.zeros((2, 1)), np.array([[0.0], [1.0]]), threshold=1.5)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_scores_at_extreme_logits(scale):
    labels = np.array([0, 1, 2])
    assert scores(scale * np.eye(3), labels) == {"accuracy": 1.0, "f1": 1.0}
    assert scores(scale * (np.eye(3) - 0.5), np.eye(3)) == {"map": 1.0, "roc_auc": 1.0, "f1": 1.0}


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        (np.zeros((3, 2)), np.full(3, -1), "^undefined: no row has a label$"),
        (np.zeros((0, 2)), np.zeros(0, int), "^undefined: no row has a label$"),
        (np.array([[NAN, 1.0]]), np.array([0]), "^undefined: some logits are not finite$"),
        (np.zeros((3, 2)), np.zeros((3, 2)), "^undefined: no class has the labels that map needs$"),
        (np.zeros((3, 2)), np.ones((3, 2)), "^undefined: no class has the labels that roc_auc needs$"),
        (np.zeros((3, 2)), np.full((3, 2), NAN), "^undefined: no class has the labels that map needs$"),
        (np.zeros((3, 2)), np.zeros(4, int), "^logits and labels need the same number of rows, got 3 and 4$"),
        (
            np.zeros((3, 2)),
            np.zeros((3, 3)),
            r"^logits and multi-label labels need the same shape, got \(3, 2\) and \(3, 3\)$",
        ),
    ],
)
def test_scores_say_why_there_are_none(logits, labels, message):
    with pytest.raises(ValueError, match=message):
        scores(logits, labels)


def test_the_deciding_score_is_the_first_of_the_scores():
    rng = np.random.default_rng(0)
    logits, single = rng.normal(size=(40, 3)), rng.integers(-1, 3, 40)
    several = rng.integers(0, 2, (40, 3)).astype(np.float32)
    several[::5, 1] = np.nan
    for labels in (single, several):
        assert score(logits, labels) == scores(logits, labels)[primary_metric(labels)]
