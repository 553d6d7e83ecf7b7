"""Scores class by class: how good the members are at each, and which class is taken for which."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.special import expit

from kdlib.analysis.evaluation import scores, thresholds
from kdlib.analysis.intervals import summarize


def confusion_matrix(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return how often each class is taken for each other, (k, k); rows are the true class and sum to 1.

    Averaged over members.

    Args:
        logits: (m, n, k).
        labels: (n,) class indices; -1 = not known, left out.
    """
    known = labels >= 0
    k = logits.shape[-1]
    predictions = logits[:, known].argmax(-1)
    counts = np.zeros((k, k))
    np.add.at(counts, (np.broadcast_to(labels[known], predictions.shape), predictions), 1)
    return counts / np.maximum(counts.sum(1, keepdims=True), 1)


def false_alarm_matrix(
    logits: np.ndarray, labels: np.ndarray, val_logits: np.ndarray, val_labels: np.ndarray
) -> np.ndarray:
    """Return how often class j is predicted although it is absent, where class i is present, (k, k).

    Averaged over members. The diagonal holds how often a class is predicted where it is present. This is to several
    labels an item what `confusion_matrix` is to one. NaN where no item counts.

    Args:
        logits: (m, n, k).
        labels: (n, k), 1 = present, 0 = absent, NaN = not known.
        val_logits: (m, v, k) of the validation rows, on which each member's thresholds are chosen, per class.
        val_labels: (v, k), as `labels`.
    """
    result = np.zeros(logits.shape[-1:] * 2)
    present, absent = (labels == 1).T.astype(float), (labels == 0).astype(float)
    for member_logits, member_val_logits in zip(logits, val_logits, strict=True):
        predictions = (expit(member_logits) >= thresholds(member_val_logits, val_labels)).astype(float)
        with np.errstate(invalid="ignore"):
            rates = present @ (predictions * absent) / (present @ absent)
        positives = [predictions[labels[:, i] == 1, i] for i in range(len(result))]
        np.fill_diagonal(rates, [values.mean() if len(values) else np.nan for values in positives])
        result += rates / len(logits)
    return result


def scores_per_class(logits: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> pd.DataFrame:
    """Return one row per class that occurs: how good the members are at it, as mean, interval and values.

    Accuracy on the class; for several labels an item, average precision.

    Args:
        logits: (m, n, k).
        labels: as in `confusion_matrix` or `false_alarm_matrix`.
        classes: k names.

    Example:
        >>> test = data.splits["test"]
        >>> scores_per_class(result.arrays["logits/test"], data.labels[test], data.classes)
    """
    rows = []
    for number, name in enumerate(classes):
        if values := _class_values(logits, labels, number):
            summary = summarize(values)
            rows.append((str(name), summary.mean, summary.ci95, summary.values))
    return pd.DataFrame(rows, columns=["class", "mean", "ci95", "values"])


def _class_values(logits: np.ndarray, labels: np.ndarray, number: int) -> list[float]:
    """Return the score of every member on one class; empty where it is not defined."""
    if labels.ndim == 2:
        column = labels[:, [number]]
        if not {0, 1} <= set(column[:, 0].tolist()):
            return []
        return [scores(member[:, [number]], column)["map"] for member in logits]
    rows = labels == number
    return (logits[:, rows].argmax(-1) == number).mean(1).tolist() if rows.any() else []
