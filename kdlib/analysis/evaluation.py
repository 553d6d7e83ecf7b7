"""Evaluation: how good predictions are, and what a space still tells.

`scores` judges logits, `probe` judges a space by what a linear classifier reads from it (against `chance`). A number that does not exist is
a `ValueError` that says "undefined: reason", never NaN. Everything here is a fraction, not percent.
"""

import warnings
from collections.abc import Callable

import numpy as np
from scipy.special import expit, logit
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score
from sklearn.preprocessing import StandardScaler

STRENGTHS = (0.03, 0.3, 3.0)  # inverse regularisation a probe chooses from, strongest regularisation first


def scores(logits: np.ndarray, labels: np.ndarray, threshold: float | np.ndarray = 0.5) -> dict[str, float]:
    """Return what the predictions are worth, every number in [0, 1], higher is better.

    Single-label: "accuracy" and "f1" (macro: mean over the classes that occur in labels or predictions).
    Multi-label: "map" (mean average precision), "roc_auc" and "f1" (macro), each a mean over the classes for which it is defined.

    Args:
        logits: shape (n, k).
        labels: integers, shape (n,), negative = missing; or floats, shape (n, k), 0 or 1 per class, NaN = missing. The missing are skipped.
        threshold: probability from which a class counts as predicted, one for all or (k,), from `thresholds`; multi-label only.

    Raises:
        ValueError: shapes do not match, threshold outside [0, 1]; or "undefined: ..." if logits are not finite, nothing is labelled or no
            class is left.
    """
    logits, labels = np.asarray(logits), np.asarray(labels)
    _check_rows("logits", logits, "labels", labels)
    if not np.isfinite(logits).all():
        raise ValueError("undefined: some logits are not finite")
    if labels.ndim == 2:
        return _multi_label_scores(logits, labels, threshold)
    known = _known(labels)
    truth, predicted = labels[known], logits[known].argmax(axis=1)
    return {
        "accuracy": float(accuracy_score(truth, predicted)),
        "f1": float(f1_score(truth, predicted, average="macro")),
    }


def thresholds(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return for each class the probability (k,) from which it counts as predicted: the one with the best F1 on these rows.

    To be chosen on validation rows and then used on others. Half way between the two logits around the best cut; 0.5 for a class that is
    never known to be there.

    Args:
        logits: shape (n, k).
        labels: floats, shape (n, k), 0 or 1, NaN = missing.
    """
    found = np.full(logits.shape[1], 0.5)
    for c, (column, truth) in enumerate(zip(logits.T.astype(np.float64), labels.T, strict=True)):
        known = ~np.isnan(truth)
        order = np.argsort(-column[known], kind="stable")
        column, truth = column[known][order], truth[known][order]
        if not truth.any():
            continue
        f1 = (
            2 * np.cumsum(truth) / (np.arange(1, len(truth) + 1) + truth.sum())
        )  # if the first 1, 2, ... rows are predicted
        f1[:-1][column[:-1] == column[1:]] = -1  # no threshold parts equal logits
        last = int(f1.argmax())
        below = column[last + 1] if last + 1 < len(column) else column[last] - 1
        found[c] = expit((column[last] + below) / 2)
    return found


def score(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the one number that decides which weights are best: accuracy, multi-label mean average precision, in [0, 1].

    Args and errors as in `scores`; this one is called often, so it computes nothing else.
    """
    if labels.ndim == 2:
        known = ~np.isnan(labels)
        there = np.flatnonzero((labels == 1).any(axis=0))
        if not len(there):
            raise ValueError("undefined: no class has the labels that map needs")
        return float(np.mean([_average_precision(logits[known[:, c], c], labels[known[:, c], c]) for c in there]))
    known = _known(labels)
    return float(np.mean(logits[known].argmax(axis=1) == labels[known]))


def primary_metric(labels: np.ndarray) -> str:
    """Return the name of the metric that counts first for such labels: "accuracy", multi-label "map"."""
    return "map" if labels.ndim == 2 else "accuracy"


def probe_accuracy(
    train_x: np.ndarray,
    train_y: np.ndarray,
    test_x: np.ndarray,
    test_y: np.ndarray,
    on_fit: Callable[[], None] | None = None,
) -> float:
    """Return how well a linear classifier reads the labels from frozen features: accuracy, multi-label mean average precision, in [0, 1].

    Multinomial logistic regression on standardised columns, its regularisation chosen on a fifth of the training rows. 1,000 rows of width
    128 in 10 classes take about 15 ms, and the result is on average half a point from a converged, cross-validated one.

    Args:
        train_x: features, shape (n, d).
        train_y: integers (n,), negative = missing, or multi-label floats (n, k), NaN = missing. What is missing is skipped.
        test_x: features, shape (n', d).
        test_y: as `train_y`, for the test rows. A class that training never saw counts as wrong.
        on_fit: called before each of the fits that a probe takes; what it raises ends the probe.

    Raises:
        ValueError: shapes do not match; or "undefined: ..." if nothing is labelled, the training labels do not differ, or features
            are not finite.
    """
    train_x, train_y, test_x, test_y = (np.asarray(part) for part in (train_x, train_y, test_x, test_y))
    _check_rows("training features", train_x, "training labels", train_y)
    _check_rows("test features", test_x, "test labels", test_y)
    if not (np.isfinite(train_x).all() and np.isfinite(test_x).all()):
        raise ValueError("undefined: some features are not finite")
    scaler = StandardScaler().fit(train_x.astype(np.float64))  # float64: squares of 1e30 must not overflow
    train_x, test_x = (
        np.asarray(scaler.transform(part.astype(np.float64)), dtype=np.float32) for part in (train_x, test_x)
    )
    if train_y.ndim == 2:
        return _multi_label_probe(train_x, train_y, test_x, test_y, on_fit)
    train, test = _known(train_y), _known(test_y)
    if len(np.unique(train_y[train])) < 2:
        raise ValueError("undefined: a probe needs two classes among the training labels, got 1")
    return float(_fit_linear(train_x[train], train_y[train], on_fit).score(test_x[test], test_y[test]))


def chance_accuracy(train_y: np.ndarray, test_y: np.ndarray) -> float:
    """Return what `probe` would reach without looking at the features, in [0, 1].

    Single-label: the accuracy of always answering the most frequent training class (the lower one of two). Multi-label: the mean share of
    positives over the classes that `probe` scores, which is the average precision of a random order.

    Args:
        train_y: labels as in `probe`.
        test_y: labels as in `probe`.

    Raises:
        ValueError: "undefined: ..." if nothing is labelled.
    """
    train_y, test_y = np.asarray(train_y), np.asarray(test_y)
    if train_y.ndim == 2:
        return float(np.mean([np.nanmean(test_y[:, c]) for c in _probed_classes(train_y, test_y)]))
    classes, counts = np.unique(train_y[_known(train_y)], return_counts=True)
    return float(np.mean(test_y[_known(test_y)] == classes[counts.argmax()]))


def _check_rows(name: str, x: np.ndarray, other: str, y: np.ndarray) -> None:
    if len(x) != len(y):
        raise ValueError(f"{name} and {other} need the same number of rows, got {len(x)} and {len(y)}")


def _known(labels: np.ndarray) -> np.ndarray:
    """Return which of the integer labels are there, bool (n,)."""
    known = labels >= 0
    if not known.any():
        raise ValueError("undefined: no row has a label")
    return known


def _multi_label_scores(logits: np.ndarray, labels: np.ndarray, threshold: float | np.ndarray) -> dict[str, float]:
    if logits.shape != labels.shape:
        raise ValueError(f"logits and multi-label labels need the same shape, got {logits.shape} and {labels.shape}")
    cuts = np.broadcast_to(np.asarray(threshold, dtype=np.float64), logits.shape[1:])
    if not ((cuts >= 0) & (cuts <= 1)).all():
        raise ValueError(f"a threshold is a probability from 0 to 1, got {threshold}")
    values: dict[str, list[float]] = {"map": [], "roc_auc": [], "f1": []}
    for column, truth, cut in zip(
        logits.T, labels.T, logit(cuts), strict=True
    ):  # logits, for probabilities near 0 and 1 round to ties
        known = ~np.isnan(truth)
        truth, column = truth[known].astype(int), column[known]
        predicted = (column >= cut).astype(int)
        if truth.any():
            values["map"].append(_average_precision(column, truth))
        if truth.any() and not truth.all():
            values["roc_auc"].append(roc_auc_score(truth, column))
        if truth.any() or predicted.any():
            values["f1"].append(f1_score(truth, predicted))
    for name, found in values.items():
        if not found:
            raise ValueError(f"undefined: no class has the labels that {name} needs")
    return {name: float(np.mean(found)) for name, found in values.items()}


def _average_precision(column: np.ndarray, truth: np.ndarray) -> float:
    """Return the sum over recall steps of step times precision, equal logits taken at once: scikit-learn's, a hundred times as fast."""
    order = np.argsort(-column, kind="stable")
    column, found = column[order], np.cumsum(truth[order])
    last = np.append(column[1:] != column[:-1], True)  # of every run of equal logits
    hits, ranks = found[last], np.flatnonzero(last) + 1
    return float((np.diff(hits, prepend=0) * hits / ranks).sum() / found[-1])


def _multi_label_probe(
    train_x: np.ndarray, train_y: np.ndarray, test_x: np.ndarray, test_y: np.ndarray, on_fit: Callable[[], None] | None
) -> float:
    precisions = []
    for c in _probed_classes(train_y, test_y):
        train, test = ~np.isnan(train_y[:, c]), ~np.isnan(test_y[:, c])
        model = _fit_linear(train_x[train], train_y[train, c].astype(int), on_fit)
        precisions.append(_average_precision(model.decision_function(test_x[test]), test_y[test, c]))
    return float(np.mean(precisions))


def _probed_classes(train_y: np.ndarray, test_y: np.ndarray) -> list[int]:
    """Return the columns with both answers among the known training labels and a positive among the known test labels."""
    told = (train_y == 0).any(axis=0) & (train_y == 1).any(axis=0) & (test_y == 1).any(axis=0)
    classes = np.flatnonzero(told).tolist()
    if not classes:
        raise ValueError("undefined: no class has positive and negative training rows and a positive test row")
    return classes


def _fit_linear(x: np.ndarray, y: np.ndarray, on_fit: Callable[[], None] | None = None) -> LogisticRegression:
    """Return a logistic regression fitted to all rows, at the strength that does best on a fifth of them when fitted to the rest.

    The loose tolerance costs nothing in accuracy, as measured against converged fits, and saves most of the time.
    """
    held_out = _every_fifth(y)
    model = LogisticRegression(tol=1e-2, max_iter=200, warm_start=True)
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", ConvergenceWarning
        )  # a probe that stops early is a fair, slightly more regularised probe
        if held_out.any() and len(np.unique(y[~held_out])) > 1:
            for strength in STRENGTHS:
                if on_fit is not None:
                    on_fit()
                model.set_params(C=strength).fit(x[~held_out], y[~held_out])
                found.append(model.score(x[held_out], y[held_out]))
        if on_fit is not None:
            on_fit()
        best = STRENGTHS[int(np.argmax(found))] if found else STRENGTHS[0]
        return model.set_params(C=best, warm_start=False).fit(x, y)


def _every_fifth(y: np.ndarray) -> np.ndarray:
    """Return which rows to hold out, bool (n,): a fifth of every class, chosen by a fixed seed."""
    order = np.lexsort((np.random.default_rng(0).random(len(y)), y))
    held_out = np.zeros(len(y), dtype=bool)
    held_out[order[2::5]] = True
    return held_out
