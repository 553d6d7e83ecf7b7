"""Evaluation: how good predictions are, and how well a linear probe reads a space.

`scores` is for logits, `probe_accuracies` for spaces, by what a linear classifier reads from it (against
`chance_accuracy`). A number that does not exist is a `ValueError` that says "undefined: reason", never NaN. Everything
here is a fraction, not percent.
"""

from collections.abc import Callable

import numpy as np
from scipy.special import expit, logit
from sklearn.metrics import f1_score, roc_auc_score
from sklearn.preprocessing import StandardScaler

from kdlib.analysis.logistic import LogisticProblem, Regression

STRENGTHS = (0.03, 0.3, 3.0)  # inverse regularisation a probe chooses from, strongest regularisation first
PROBED_NUMBERS = 2**25  # of features that are probed at once; more spaces wait for the next turn


def scores(logits: np.ndarray, labels: np.ndarray, threshold: float | np.ndarray = 0.5) -> dict[str, float]:
    """Return metric -> score of the predictions, every number in [0, 1], higher is better.

    Single-label: "accuracy" and "f1" (macro: mean over the classes that occur in labels or predictions).
    Multi-label: "map" (mean average precision), "roc_auc" and "f1" (macro), each a mean over the classes for which it
    is defined.

    Args:
        logits: shape (n, k).
        labels: integers, shape (n,), negative = missing; or floats, shape (n, k), 0 or 1 per class, NaN = missing. The
            missing are skipped.
        threshold: probability from which a class counts as predicted, one for all or (k,), from `thresholds`;
            multi-label only.

    Raises:
        ValueError: shapes do not match, threshold outside [0, 1]; or "undefined: ..." if logits are not finite, nothing
            is labelled or no class is left.

    Example:
        >>> scores(np.array([[2.0, 1.0], [0.0, 3.0]]), np.array([0, 1]))
        {'accuracy': 1.0, 'f1': 1.0}
    """
    logits, labels = np.asarray(logits), np.asarray(labels)
    _check_rows("logits", logits, "labels", labels)
    if not np.isfinite(logits).all():
        raise ValueError("undefined: some logits are not finite")
    if labels.ndim == 2:
        return _multi_label_scores(logits, labels, threshold)
    known = _known(labels)
    targets, predictions = labels[known], logits[known].argmax(axis=1)
    right, size = targets == predictions, max(int(targets.max()) + 1, logits.shape[1])
    occurrences = np.bincount(targets, minlength=size) + np.bincount(predictions, minlength=size)
    f1 = 2 * np.bincount(targets[right], minlength=size)[occurrences > 0] / occurrences[occurrences > 0]
    return {"accuracy": float(right.mean()), "f1": float(f1.mean())}


def thresholds(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return per class the probability (k,) from which it counts as predicted: the one with the best F1 on these rows.

    To be chosen on validation rows and then used on others. Half way between the two logits around the best cut; 0.5
    for a class without a known positive.

    Args:
        logits: shape (n, k).
        labels: floats, shape (n, k), 0 or 1, NaN = missing.
    """
    result = np.full(logits.shape[1], 0.5)
    for c, (column, targets) in enumerate(zip(logits.T.astype(np.float64), labels.T, strict=True)):
        known = ~np.isnan(targets)
        order = np.argsort(-column[known], kind="stable")
        column, targets = column[known][order], targets[known][order]
        if not targets.any():
            continue
        predicted = np.arange(1, len(targets) + 1)  # the first 1, 2, ... rows
        f1 = 2 * np.cumsum(targets) / (predicted + targets.sum())
        f1[:-1][column[:-1] == column[1:]] = -1  # no threshold separates equal logits
        last = int(f1.argmax())
        below = column[last + 1] if last + 1 < len(column) else column[last] - 1
        result[c] = expit((column[last] + below) / 2)
    return result


def score(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the score that decides which weights are best: accuracy, multi-label mean average precision, in [0, 1].

    It is called often, so it computes nothing else.

    Args:
        logits: shape (n, k).
        labels: as in `scores`.

    Raises:
        ValueError: "undefined: ..." if nothing is labelled or no class has a positive.

    Example:
        >>> score(np.array([[2.0, 1.0], [0.0, 3.0]]), np.array([0, 0]))
        0.5
    """
    if labels.ndim == 2:
        known = ~np.isnan(labels)
        classes = np.flatnonzero((labels == 1).any(axis=0))
        if not len(classes):
            raise ValueError("undefined: no class has the labels that map needs")
        return float(np.mean([_average_precision(logits[known[:, c], c], labels[known[:, c], c]) for c in classes]))
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
    """Return how well a linear classifier reads labels from frozen features: accuracy, multi-label mAP, in [0, 1].

    `probe_accuracies` of one space, with features (n, d) and (n', d).

    Example:
        >>> probe_accuracy(embeddings[train], labels[train], embeddings[test], labels[test])
    """
    return probe_accuracies(np.asarray(train_x)[None], train_y, np.asarray(test_x)[None], test_y, on_fit)[0]


def probe_accuracies(
    train_x: np.ndarray,
    train_y: np.ndarray,
    test_x: np.ndarray,
    test_y: np.ndarray,
    on_fit: Callable[[], None] | None = None,
    standardised: bool = False,
) -> list[float]:
    """Return how well a linear classifier reads labels from each of m spaces: accuracy, multi-label mAP, in [0, 1].

    Multinomial logistic regression on standardised columns, its regularisation chosen on a fifth of the training rows.
    The spaces are fitted together (`kdlib.analysis.logistic`): five of 1,000 x 32 in 10 classes take 0.1 s.

    Args:
        train_x: features, shape (m, n, d).
        train_y: integers (n,), negative = missing, or multi-label floats (n, k), NaN = missing. What is missing is
            skipped.
        test_x: features, shape (m, n', d).
        test_y: as `train_y`, for the test rows. A class that training never saw counts as wrong.
        on_fit: called before each step of the fits; what it raises ends the probe.
        standardised: the features come from `standardise`: done once for several lists of labels.

    Raises:
        ValueError: shapes do not match; or "undefined: ..." if nothing is labelled, the training labels do not differ,
            or features are not finite.

    Example:
        >>> probe_accuracies(features[:, train], labels[train], features[:, test], labels[test])
    """
    train_x, train_y, test_x, test_y = (np.asarray(array) for array in (train_x, train_y, test_x, test_y))
    _check_rows("training features", train_x[0], "training labels", train_y)
    _check_rows("test features", test_x[0], "test labels", test_y)
    if not (np.isfinite(train_x).all() and np.isfinite(test_x).all()):
        raise ValueError("undefined: some features are not finite")
    probe = _multi_label_probe if train_y.ndim == 2 else _single_label_probe
    together = max(1, PROBED_NUMBERS // max(1, train_x[0].size))
    accuracies: list[float] = []
    for first in range(0, len(train_x), together):
        trains, tests = train_x[first:][:together], test_x[first:][:together]
        if not standardised:
            trains, tests = standardise(trains, tests)
        accuracies += probe(trains, tests, train_y, test_y, on_fit)
    return accuracies


def chance_accuracy(train_y: np.ndarray, test_y: np.ndarray) -> float:
    """Return what `probe_accuracy` can be without the features, in [0, 1].

    Single-label: the share of the most frequent class among the test rows, the best that one answer for all of them can
    reach. It is never below 1/k; a probe that knows nothing lands near it, or below.
    Multi-label: the mean share of positives over the classes that `probe_accuracy` scores, which is the average
    precision of a random order.

    Args:
        train_y: labels as in `probe_accuracy`; those of several labels an item say which classes are scored.
        test_y: labels as in `probe_accuracy`.

    Raises:
        ValueError: "undefined: ..." if nothing is labelled.

    Example:
        >>> chance_accuracy(np.array([0, 0, 1]), np.array([0, 1, 1, 1]))
        0.75
    """
    train_y, test_y = np.asarray(train_y), np.asarray(test_y)
    if train_y.ndim == 2:
        return float(np.mean([np.nanmean(test_y[:, c]) for c in _probed_classes(train_y, test_y)]))
    _, counts = np.unique(test_y[_known(test_y)], return_counts=True)
    return float(counts.max() / counts.sum())


def _check_rows(name: str, x: np.ndarray, other: str, y: np.ndarray) -> None:
    if len(x) != len(y):
        raise ValueError(f"{name} and {other} need the same number of rows, got {len(x)} and {len(y)}")


def _known(labels: np.ndarray) -> np.ndarray:
    """Return which of the integer labels are known, bool (n,)."""
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
    # Thresholds become logits, as probabilities near 0 and 1 round to ties.
    for column, targets, cut in zip(logits.T, labels.T, logit(cuts), strict=True):
        known = ~np.isnan(targets)
        targets, column = targets[known].astype(int), column[known]
        predictions = (column >= cut).astype(int)
        if targets.any():
            values["map"].append(_average_precision(column, targets))
        if targets.any() and not targets.all():
            values["roc_auc"].append(float(roc_auc_score(targets, column)))
        if targets.any() or predictions.any():
            values["f1"].append(float(f1_score(targets, predictions)))
    for name, class_values in values.items():
        if not class_values:
            raise ValueError(f"undefined: no class has the labels that {name} needs")
    return {name: float(np.mean(class_values)) for name, class_values in values.items()}


def _average_precision(column: np.ndarray, targets: np.ndarray) -> float:
    """Return the sum over recall steps of step times precision, equal logits as one step.

    The same as scikit-learn's, a hundred times as fast.
    """
    order = np.argsort(-column, kind="stable")
    column, positives = column[order], np.cumsum(targets[order])
    last = np.append(column[1:] != column[:-1], True)  # of every run of equal logits
    hits, ranks = positives[last], np.flatnonzero(last) + 1
    return float((np.diff(hits, prepend=0) * hits / ranks).sum() / positives[-1])


def standardise(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows (m, n, d) and (m, n', d) of m spaces in units of the training rows' spread, float32.

    Example:
        >>> standardise(features[:, train], features[:, test])
    """
    spaces = [_standardise_space(*pair) for pair in zip(train, test, strict=True)]
    train, test = (np.stack(side) for side in zip(*spaces, strict=True))
    return train, test


def _standardise_space(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    scaler = StandardScaler().fit(train.astype(np.float64))  # float64: squares of 1e30 must not overflow
    train, test = (np.asarray(scaler.transform(each.astype(np.float64)), np.float32) for each in (train, test))
    return train, test


def _single_label_probe(
    train_x: np.ndarray, test_x: np.ndarray, train_y: np.ndarray, test_y: np.ndarray, on_fit: Callable[[], None] | None
) -> list[float]:
    train, test = _known(train_y), _known(test_y)
    classes, y = np.unique(train_y[train], return_inverse=True)
    if len(classes) < 2:
        raise ValueError("undefined: a probe needs two classes among the training labels, got 1")
    fitted = _fit_best(train_x[:, train], y[:, None], np.ones((len(y), 1), bool), on_fit)
    predicted = classes[_decide(fitted.logits(test_x[:, test]))[..., 0]]
    return (predicted == test_y[test]).mean(1).tolist()


def _multi_label_probe(
    train_x: np.ndarray, test_x: np.ndarray, train_y: np.ndarray, test_y: np.ndarray, on_fit: Callable[[], None] | None
) -> list[float]:
    columns = _probed_classes(train_y, test_y)
    known, y = ~np.isnan(train_y[:, columns]), (train_y[:, columns] == 1).astype(int)
    fitted = _fit_best(train_x, y, known, on_fit)
    values = np.zeros((len(train_x), len(columns)))
    for place, logits in enumerate(fitted.logits(test_x)[..., 0].transpose(2, 0, 1)):
        targets = test_y[:, columns[place]]
        rows = ~np.isnan(targets)
        values[:, place] = [_average_precision(member, targets[rows]) for member in logits[:, rows]]
    return values.mean(1).tolist()


def _probed_classes(train_y: np.ndarray, test_y: np.ndarray) -> list[int]:
    """Return the columns with negative and positive training labels and a positive test label."""
    defined = (train_y == 0).any(axis=0) & (train_y == 1).any(axis=0) & (test_y == 1).any(axis=0)
    classes = np.flatnonzero(defined).tolist()
    if not classes:
        raise ValueError("undefined: no class has positive and negative training rows and a positive test row")
    return classes


def _fit_best(x: np.ndarray, y: np.ndarray, known: np.ndarray, on_fit: Callable[[], None] | None) -> Regression:
    """Return regressions fitted to all known rows, each at the strength that is best on a fifth of them.

    Args:
        x: (m, n, d) standardised.
        y: (n, q) class numbers from 0, of q lists of labels.
        known: (n, q) which rows have a label.
        on_fit: called before each step.
    """
    problem = LogisticProblem(x, on_fit)
    held_out = np.zeros_like(known)
    for column, rows in enumerate(known.T):
        held_out[rows, column] = _hold_out_fifth(y[rows, column])
    kept = known & ~held_out
    varied = [len(np.unique(labels[rows])) > 1 for labels, rows in zip(y.T, kept.T, strict=True)]
    decided = np.array(varied) & held_out.any(0)
    kept[:, ~decided] = known[:, ~decided]
    tries = len(STRENGTHS)
    targets, strengths = _targets(y), np.array(STRENGTHS, np.float32)
    tried = problem.fit(
        targets.repeat(tries, 0),
        kept.T.astype(np.float32).repeat(tries, 0),
        np.tile(strengths, (len(x), y.shape[1])),  # (m, q · tries)
    )
    right = (_decide(tried.logits(x)) == y.repeat(tries, 1)) & held_out.repeat(tries, 1)
    best = np.where(decided, right.sum(1).reshape(len(x), -1, tries).argmax(2), 0)  # (m, q)
    start = tried.choose(best + tries * np.arange(y.shape[1]))
    return problem.fit(targets, known.T.astype(np.float32), strengths[best], start)


def _targets(y: np.ndarray) -> np.ndarray:
    """Return class numbers (n, q) as 0 and 1, (q, k, n), k = 1 for two classes."""
    classes = int(y.max()) + 1
    return (y.T[:, None] == (1 if classes == 2 else np.arange(classes)[:, None])).astype(np.float32)


def _decide(logits: np.ndarray) -> np.ndarray:
    """Return the class numbers (m, n, q) that logits (m, n, q, k) say."""
    return logits.argmax(-1) if logits.shape[-1] > 1 else (logits[..., 0] > 0).astype(int)


def _hold_out_fifth(y: np.ndarray) -> np.ndarray:
    """Return which rows to hold out, bool (n,): a fifth of every class, chosen by a fixed seed."""
    order = np.lexsort((np.random.default_rng(0).random(len(y)), y))
    held_out = np.zeros(len(y), dtype=bool)
    held_out[order[2::5]] = True
    return held_out
