"""What lessons draw of their results: a small batch to look at, a difference over the number of seeds."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from kdlib.analysis.intervals import paired_difference
from kdlib.data import datasets
from kdlib.results import RunResult
from kdlib.spaces import Spaces
from kdlib.spaces.presentation import first_label


def batch_rows(view: Spaces, count: int = 16, classes: int = 4) -> np.ndarray:
    """Return places in a view of a small batch: rows of the first classes, those of one class next to one another.

    Args:
        view: rows in their spaces.
        count: of rows, at most.
        classes: how many classes they are of.

    Returns:
        (count,) whole numbers, fewer where the view has too few rows.

    Example:
        >>> batch_rows(load_spaces(run_id), 8, classes=2)
    """
    labels = first_label(datasets.load(view.spec.dataset).labels[view.rows])
    present = [label for label in np.unique(labels) if label >= 0][:classes]
    return np.concatenate([np.flatnonzero(labels == label)[: count // max(len(present), 1)] for label in present])


def difference_over_seeds(result: RunResult, other: RunResult, split: str = "test") -> pd.DataFrame:
    """Return one row per number of seeds from 2 up: paired difference of two results, with its interval, in points.

    Args:
        result, other: with the same seeds; `result` minus `other` is looked at.
        split: of the scores.

    Returns:
        columns seeds, mean, low, high, clear (the interval excludes 0).

    Example:
        >>> difference_over_seeds(compressed, raw)["clear"].tolist()
    """
    a, b = (_values(each, split) for each in (result, other))
    rows = []
    for count in range(2, min(len(a), len(b)) + 1):
        difference = paired_difference(a[:count], b[:count])
        half = difference.ci95 or 0.0
        low, high = 100 * (difference.mean - half), 100 * (difference.mean + half)
        rows.append((count, 100 * difference.mean, low, high, low > 0 or high < 0))
    return pd.DataFrame(rows, columns=["seeds", "mean", "low", "high", "clear"])


def _values(result: RunResult, split: str) -> Sequence[float]:
    score = result.score(split)
    return score.values if score else []
