"""Linear probes: against a converged one and closed forms, and what a person reads when there is no number."""

import math

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from kdlib.analysis.evaluation import scores
from kdlib.analysis.linear_probe import chance_accuracy, probe_accuracy

NAN = math.nan


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def blobs(n=400, d=12, k=4, spread=1.0, seed=0):
    """Return overlapping classes: training rows and labels, test rows and labels."""
    rng = np.random.default_rng(seed)
    centres, y = rng.normal(size=(k, d)), rng.integers(0, k, 2 * n)
    x = (centres[y] + spread * rng.normal(size=(2 * n, d))).astype(np.float32)
    return x[:n], y[:n], x[n:], y[n:]


def one_hot(y, k=4):
    return np.eye(k)[y]


@pytest.mark.parametrize(("n", "d", "k", "spread"), [(1000, 64, 10, 3.0), (400, 12, 4, 1.5), (300, 4, 3, 1.0)])
def test_the_quick_probe_agrees_with_a_converged_cross_validated_one(n, d, k, spread):
    converged = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    differences = []
    for seed in range(3):
        train_x, train_y, test_x, test_y = blobs(n, d, k, spread, seed)
        slow = GridSearchCV(converged, {"logisticregression__C": [0.01, 0.1, 1, 10]}, cv=3).fit(train_x, train_y)
        differences.append(probe_accuracy(train_x, train_y, test_x, test_y) - slow.score(test_x, test_y))
    # single ones differ by up to two points, as the regularisation chosen hangs on a few held-out rows
    assert np.mean(differences) == pytest.approx(0, abs=0.01)


def test_a_probe_reads_what_is_linear_and_nothing_from_noise():
    train_x, train_y, test_x, test_y = blobs(spread=0.1)
    assert probe_accuracy(train_x, train_y, test_x, test_y) == 1
    noise = probe_accuracy(draw(400, 12), train_y, draw(400, 12, seed=1), test_y)
    assert noise == pytest.approx(chance_accuracy(train_y, test_y), abs=0.1)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_a_probe_does_not_depend_on_the_scale_of_a_column(scale):
    train_x, train_y, test_x, test_y = blobs()
    columns = np.where(np.arange(12) % 2, scale, 1)
    scaled = probe_accuracy(train_x * columns, train_y, test_x * columns, test_y)
    assert scaled == pytest.approx(probe_accuracy(train_x, train_y, test_x, test_y), abs=0.005)


def test_a_probe_skips_rows_without_a_label():
    train_x, train_y, test_x, test_y = blobs()
    hidden, hidden_test = np.where(np.arange(400) < 100, -1, train_y), np.where(np.arange(400) < 200, -1, test_y)
    wrong = train_x.copy()
    wrong[:100] = train_x[99::-1]  # the same rows in another order: only their labels could tell
    assert probe_accuracy(wrong, hidden, test_x, hidden_test) == probe_accuracy(train_x, hidden, test_x, hidden_test)
    assert probe_accuracy(train_x, hidden, test_x, hidden_test) == pytest.approx(
        probe_accuracy(train_x, train_y, test_x[200:], test_y[200:]), abs=0.04
    )


def test_a_probe_is_the_same_twice():
    assert probe_accuracy(*blobs(spread=2)) == probe_accuracy(*blobs(spread=2))


def test_classes_that_training_never_saw_count_as_wrong():
    train_x, train_y, test_x, test_y = blobs(spread=0.1)
    assert probe_accuracy(train_x, train_y, test_x, np.where(test_y == 0, 9, test_y)) == pytest.approx(
        np.mean(test_y != 0)
    )


def test_a_constant_space_and_a_class_of_one_row_are_probed():
    train_x, train_y, test_x, test_y = blobs()
    constant = np.mean(test_y == np.bincount(train_y).argmax())
    assert probe_accuracy(np.ones((400, 3)), train_y, np.ones((400, 3)), test_y) == constant
    assert constant <= chance_accuracy(train_y, test_y)
    rare = np.where(train_y == 3, 2, train_y)
    rare[0] = 3
    assert probe_accuracy(train_x, rare, test_x, test_y) > 0.4
    assert probe_accuracy(train_x[:2], np.array([0, 1]), test_x, test_y) >= 0  # nothing left to hold out


def test_a_multi_label_probe_is_the_mean_average_precision_over_the_classes_it_can_learn():
    train_x, train_y, test_x, test_y = blobs(spread=0.1)
    train, test = one_hot(train_y), one_hot(test_y)
    assert probe_accuracy(train_x, train, test_x, test) == pytest.approx(1)
    train[::3], test[::4] = NAN, NAN
    train[:, 1], test[:, 2] = 0, 0  # never positive in training; never positive in the test
    assert probe_accuracy(train_x, train, test_x, test) == pytest.approx(1)
    known = test[~np.isnan(test[:, 0])]
    assert chance_accuracy(train, test) == pytest.approx((known[:, 0].mean() + known[:, 3].mean()) / 2)


def test_multi_label_chance_is_what_a_random_order_reaches():
    _, train_y, _, test_y = blobs(n=2000)
    train, test = one_hot(train_y), one_hot(test_y)
    assert scores(draw(2000, 4), test)["map"] == pytest.approx(chance_accuracy(train, test), abs=0.02)


def test_chance_is_the_share_of_the_most_frequent_class_and_never_below_one_in_k():
    assert chance_accuracy(np.array([2, 2, 1, -1, -1, -1]), np.array([2, 1, 1, -1])) == pytest.approx(2 / 3)
    assert chance_accuracy(np.array([5, 5]), np.array([1, 2])) == 0.5
    draws = [np.random.default_rng(seed).integers(0, 10, 500) for seed in range(20)]
    assert all(chance_accuracy(labels, labels) >= 0.1 for labels in draws)


@pytest.mark.parametrize(
    ("train_y", "test_y", "message"),
    [
        (np.zeros(6, int), np.zeros(6, int), "^undefined: a probe needs two classes among the training labels, got 1$"),
        (np.full(6, -1), np.zeros(6, int), "^undefined: no row has a label$"),
        (np.arange(6), np.full(6, -1), "^undefined: no row has a label$"),
        (
            np.ones((6, 2)),
            np.ones((6, 2)),
            "^undefined: no class has positive and negative training rows and a positive test row$",
        ),
        (
            np.arange(5),
            np.arange(6),
            "^training features and training labels need the same number of rows, got 6 and 5$",
        ),
        (np.arange(6), np.arange(5), "^test features and test labels need the same number of rows, got 6 and 5$"),
    ],
)
def test_a_probe_says_why_there_is_no_number(train_y, test_y, message):
    with pytest.raises(ValueError, match=message):
        probe_accuracy(draw(6, 3), train_y, draw(6, 3), test_y)


def test_features_that_are_not_finite_are_refused():
    train_x, train_y, test_x, test_y = blobs()
    for x, z in ((np.where(train_x > 2, NAN, train_x), test_x), (train_x, np.where(test_x > 2, math.inf, test_x))):
        with pytest.raises(ValueError, match=r"^undefined: some features are not finite$"):
            probe_accuracy(x, train_y, z, test_y)
