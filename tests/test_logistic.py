"""Many logistic regressions at once: each is scikit-learn's, to a row or two in a thousand, whatever the space is like.

scikit-learn is run to the bottom (tolerance 1e-8, double precision): it is the reference, not its early stop.
"""

import warnings

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from kdlib.analysis.linear_probe import STRENGTHS, probe_accuracies, probe_accuracy
from kdlib.analysis.logistic import LogisticProblem

MEMBERS, TEST = 3, 2000


def draw(n, d, k, spread, seed=0):
    """Return m spaces of training and test rows (m, n, d), standardised by the training rows, and their labels."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, k, n + TEST)
    rows = rng.normal(size=(k, d))[y] + spread * rng.normal(size=(n + TEST, d))
    spaces = np.stack([rows @ rng.normal(size=(d, d)) for _ in range(MEMBERS)])  # columns depend on one another
    spaces -= spaces[:, :n].mean(1, keepdims=True)
    spaces = (spaces / spaces[:, :n].std(1, keepdims=True)).astype(np.float32)
    return spaces[:, :n], y[:n], spaces[:, n:], y[n:]


def reference(x, y, strength):
    model = LogisticRegression(C=strength, tol=1e-8, max_iter=20_000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # at this tolerance it may stop a hair above the bottom
        return model.fit(x.astype(np.float64), y)


def fit(x, y, k, counts=None):
    """Return the regressions (m, strengths) of all spaces at all strengths."""
    targets = (y == (1 if k == 2 else np.arange(k)[:, None])).astype(np.float32).reshape(1, -1, len(y))
    counts = np.ones(len(y), np.float32) if counts is None else counts
    tries = len(STRENGTHS)
    return LogisticProblem(x).fit(
        targets.repeat(tries, 0), np.tile(counts, (tries, 1)), np.tile(np.array(STRENGTHS, np.float32), (len(x), 1))
    )


SHAPES = {
    "ten classes": (600, 24, 10, 2.0),
    "two classes": (500, 16, 2, 3.0),
    "fewer rows than columns": (120, 200, 4, 4.0),
    "easy": (400, 12, 5, 0.2),
    "noise": (400, 12, 4, 50.0),
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=list(SHAPES))
def test_every_member_at_every_strength_is_as_accurate_as_scikit_learn(shape):
    x, y, test_x, test_y = draw(*shape)
    logits = fit(x, y, shape[2]).logits(test_x)  # (m, n', strengths, k)
    predicted = logits.argmax(-1) if shape[2] > 2 else logits[..., 0] > 0
    differences = [
        np.mean(predicted[member, :, number] == test_y)
        - reference(x[member], y, strength).score(test_x[member], test_y)
        for member in range(MEMBERS)
        for number, strength in enumerate(STRENGTHS)
    ]
    assert np.abs(differences).mean() <= 1e-3
    assert np.abs(differences).max() <= 2.5e-3  # five rows of 2,000 that lie on the border


def test_the_weights_are_those_of_scikit_learn():
    x, y, *_ = draw(300, 6, 3, 1.5)
    fitted = fit(x, y, 3)
    for member in range(MEMBERS):
        slow = reference(x[member], y, STRENGTHS[1])
        weights = (fitted.weights[member, 1, :, :-1] @ fitted.axes[member].T).numpy()
        intercept = fitted.weights[member, 1, :, -1].numpy()
        np.testing.assert_allclose(weights, slow.coef_, atol=0.02)
        np.testing.assert_allclose(intercept - intercept.mean(), slow.intercept_ - slow.intercept_.mean(), atol=0.02)


def test_walks_that_end_early_leave_the_others_as_they_are_alone():
    """An easy space ends in a few steps, a noisy one takes dozens; strong regularisation ends before weak."""
    y = np.random.default_rng(0).integers(0, 4, 300)
    noise = np.random.default_rng(1).normal(size=(3, 300, 12))
    x = np.stack([np.eye(12)[y] + spread * each for spread, each in zip((0.05, 1.0, 5.0), noise, strict=True)])
    x = ((x - x.mean(1, keepdims=True)) / x.std(1, keepdims=True)).astype(np.float32)
    together = fit(x, y, 4)
    for member in range(3):
        alone = fit(x[member : member + 1], y, 4)
        np.testing.assert_allclose(together.weights[member], alone.weights[0], atol=1e-3)
        for number, strength in enumerate(STRENGTHS):
            slow = reference(x[member], y, strength)
            weights = (together.weights[member, number, :, :-1] @ together.axes[member].T).numpy()
            np.testing.assert_allclose(weights, slow.coef_, atol=0.02 * max(1, np.abs(slow.coef_).max()))


def test_rows_that_do_not_count_are_as_if_they_were_not_there():
    x, y, test_x, _ = draw(300, 8, 4, 1.5)
    counts = (np.arange(300) % 3 > 0).astype(np.float32)
    wrong = np.where(counts > 0, y, (y + 1) % 4)
    logits = fit(x, wrong, 4, counts).logits(test_x)[:, :, 1]
    for member in range(MEMBERS):
        slow = reference(x[member][counts > 0], y[counts > 0], STRENGTHS[1]).decision_function(test_x[member])
        assert np.mean(logits[member].argmax(1) == slow.argmax(1)) > 0.998


def test_columns_that_hardly_vary_or_are_constant_do_no_harm():
    x, y, test_x, test_y = draw(400, 10, 4, 2.0)
    x, test_x = x.copy(), test_x.copy()
    x[..., 3] = test_x[..., 3] = 7.0
    x[..., 4], test_x[..., 4] = 1 + 1e-6 * x[..., 4], 1 + 1e-6 * test_x[..., 4]
    together = probe_accuracies(x, y, test_x, test_y)
    usual = probe_accuracies(np.delete(x, 3, 2), y, np.delete(test_x, 3, 2), test_y)
    np.testing.assert_allclose(together, usual, atol=5e-3)


def test_members_together_are_as_each_alone_and_more_rows_than_fit_at_once_make_no_difference(monkeypatch):
    x, y, test_x, test_y = draw(300, 8, 5, 1.5)
    together = probe_accuracies(x, y, test_x, test_y)
    assert together == pytest.approx([probe_accuracy(*each, test_y) for each in zip(x, [y] * 3, test_x, strict=True)])
    monkeypatch.setattr("kdlib.analysis.logistic.CHUNK_NUMBERS", 1000)
    monkeypatch.setattr("kdlib.analysis.linear_probe.PROBED_NUMBERS", 1)
    assert probe_accuracies(x, y, test_x, test_y) == pytest.approx(together, abs=1e-3)


def slow_probe(x, y, test_x, test_y):
    """Return the probe as one would write it with scikit-learn: the strength that is best on a fifth, then all rows."""
    from kdlib.analysis.linear_probe import _hold_out_fifth

    held = _hold_out_fifth(y)
    scores = [reference(x[~held], y[~held], strength).score(x[held], y[held]) for strength in STRENGTHS]
    model = reference(x, y, STRENGTHS[int(np.argmax(scores))])
    return model, model.score(test_x, test_y)


def test_a_probe_is_that_of_scikit_learn():
    x, y, test_x, test_y = draw(500, 16, 6, 1.5)
    probed = probe_accuracies(x, y, test_x, test_y)
    slow = [slow_probe(x[member], y, test_x[member], test_y)[1] for member in range(MEMBERS)]
    np.testing.assert_allclose(probed, slow, atol=1.5e-3)


def test_a_multi_label_probe_is_that_of_scikit_learn_class_by_class():
    x, y, test_x, test_y = draw(400, 10, 5, 1.5)
    labels, test_labels = (np.stack([each % 2, each > 2, each == 4], 1).astype(float) for each in (y, test_y))
    labels[::7, 0], labels[::5, 1], test_labels[::4, 2] = np.nan, np.nan, np.nan
    probed = probe_accuracies(x, labels, test_x, test_labels)
    from sklearn.metrics import average_precision_score

    for member in range(MEMBERS):
        precisions = []
        for c in range(3):
            rows, test_rows = ~np.isnan(labels[:, c]), ~np.isnan(test_labels[:, c])
            model, _ = slow_probe(x[member][rows], labels[rows, c].astype(int), test_x[member], test_y)
            scores = model.decision_function(test_x[member][test_rows])
            precisions.append(average_precision_score(test_labels[test_rows, c], scores))
        assert probed[member] == pytest.approx(np.mean(precisions), abs=1.5e-3)
