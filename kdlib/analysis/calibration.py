"""Calibration: whether what is said with a probability of 80 % is right in 80 of 100 cases."""

import numpy as np
from scipy.special import expit, softmax

BINS = 15  # of equal width between 0 and 1


def expected_calibration_error(probabilities: np.ndarray, outcomes: np.ndarray, bins: int = BINS) -> float:
    """Return the mean distance between probability and frequency over bins of equal width, a fraction in [0, 1].

    Bins count by how many cases are in them.

    Args:
        probabilities: (n,) of what was said, in [0, 1].
        outcomes: (n,) whether it was so, 0 or 1.
        bins: how many.

    Raises:
        ValueError: "undefined: ..." without cases, or the lengths differ.

    Source: Guo, Pleiss, Sun, Weinberger 2017, On Calibration of Modern Neural Networks, equation 3.

    Example:
        >>> expected_calibration_error(np.array([0.9, 0.9]), np.array([1, 0]))
        0.4
    """
    probabilities, outcomes = np.asarray(probabilities, np.float64), np.asarray(outcomes, np.float64)
    if probabilities.shape != outcomes.shape or probabilities.ndim != 1:
        raise ValueError(f"expected two lists of one length, got the shapes {probabilities.shape}, {outcomes.shape}")
    if not len(probabilities):
        raise ValueError("undefined: a calibration error needs cases, got none")
    places = np.minimum((probabilities * bins).astype(int), bins - 1)
    said, happened = (np.bincount(places, values, bins) for values in (probabilities, outcomes))
    return float(np.abs(said - happened).sum() / len(probabilities))


def calibration_errors(logits: np.ndarray, labels: np.ndarray) -> list[float | None]:
    """Return the expected calibration error of the predicted class, alone; of several labels, one for each class.

    None for a class without known labels.

    Args:
        logits: (n, k).
        labels: (n,) class indices, -1 = missing; or (n, k) of 0, 1 and NaN = missing.

    Example:
        >>> calibration_errors(np.array([[9.0, -9.0]]), np.array([0]))[0] < 1e-6
        True
    """
    if labels.ndim == 1:
        known = labels >= 0
        probabilities = softmax(logits[known].astype(np.float64), axis=1)
        correct = probabilities.argmax(1) == labels[known]
        return [expected_calibration_error(probabilities.max(1), correct)]
    errors: list[float | None] = []
    for column, targets in zip(expit(logits.astype(np.float64)).T, labels.T, strict=True):
        known = ~np.isnan(targets)
        errors.append(expected_calibration_error(column[known], targets[known]) if known.any() else None)
    return errors
