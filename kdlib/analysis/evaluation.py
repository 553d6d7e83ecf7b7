"""Evaluation: how good predictions are. What a space knows is read by `linear_probe`.

A number that does not exist is a `ValueError` that says "undefined: reason", never NaN. Everything here is a fraction,
not percent.
"""

import numpy as np
from scipy.special import expit, logit
from sklearn.metrics import f1_score, roc_auc_score


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
    check_rows("logits", logits, "labels", labels)
    if not np.isfinite(logits).all():
        raise ValueError("undefined: some logits are not finite")
    if labels.ndim == 2:
        return _multi_label_scores(logits, labels, threshold)
    known = known_rows(labels)
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
        return float(np.mean([average_precision(logits[known[:, c], c], labels[known[:, c], c]) for c in classes]))
    known = known_rows(labels)
    return float(np.mean(logits[known].argmax(axis=1) == labels[known]))


def primary_metric(labels: np.ndarray) -> str:
    """Return the name of the metric that counts first for such labels: "accuracy", multi-label "map"."""
    return "map" if labels.ndim == 2 else "accuracy"


def average_precision(column: np.ndarray, targets: np.ndarray) -> float:
    """Return the sum over recall steps of step times precision, equal logits as one step.

    The same as scikit-learn's, a hundred times as fast.

    Args:
        column: (n,) logits.
        targets: (n,) 0 and 1, a 1 among them.

    Example:
        >>> average_precision(np.array([2.0, 1.0, 0.0]), np.array([1, 0, 1]))
        0.8333333333333333
    """
    order = np.argsort(-column, kind="stable")
    column, positives = column[order], np.cumsum(targets[order])
    last = np.append(column[1:] != column[:-1], True)  # of every run of equal logits
    hits, ranks = positives[last], np.flatnonzero(last) + 1
    return float((np.diff(hits, prepend=0) * hits / ranks).sum() / positives[-1])


def check_rows(name: str, x: np.ndarray, other: str, y: np.ndarray) -> None:
    """Raise a `ValueError` that says so unless two arrays have the same number of rows.

    Example:
        >>> check_rows("logits", np.zeros((3, 2)), "labels", np.zeros(3))
    """
    if len(x) != len(y):
        raise ValueError(f"{name} and {other} need the same number of rows, got {len(x)} and {len(y)}")


def known_rows(labels: np.ndarray) -> np.ndarray:
    """Return which of the integer labels are known, bool (n,).

    Raises:
        ValueError: "undefined: ..." if none is.

    Example:
        >>> known_rows(np.array([0, -1, 2]))
        array([ True, False,  True])
    """
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
            values["map"].append(average_precision(column, targets))
        if targets.any() and not targets.all():
            values["roc_auc"].append(float(roc_auc_score(targets, column)))
        if targets.any() or predictions.any():
            values["f1"].append(float(f1_score(targets, predictions)))
    for name, class_values in values.items():
        if not class_values:
            raise ValueError(f"undefined: no class has the labels that {name} needs")
    return {name: float(np.mean(class_values)) for name, class_values in values.items()}
