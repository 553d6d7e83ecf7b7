"""Significance of paired differences: which of many are clear, how large they are for their spread, what would settle.

All of it is the paired t-test, seed by seed, over several labelled subsets with the standard error of `intervals`; a
table of many differences is one family, corrected as one.
"""

from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from kdlib.analysis.intervals import standard_error
from kdlib.summary import Summary

LEVEL = 0.05  # how often a table without any difference may show one
MOST_SEEDS = 1000  # beyond which nobody trains


def p_value(difference: Summary) -> float:
    """Return the two-sided p-value of the paired t-test: how likely so large a difference is if there is none.

    Args:
        difference: with one value per seed; of fewer than two nothing is known, which is 1.

    Example:
        >>> round(p_value(summarize([0.01, 0.03, 0.02])), 3)
        0.074
    """
    # scipy.stats takes a second to load.
    from scipy.special import stdtr

    if len(difference.values) < 2:
        return 1.0
    error, freedom = standard_error(difference.values, difference.subsets)
    if error == 0:
        return 1.0 if difference.mean == 0 else 0.0
    return min(1.0, float(2 * difference.looks * stdtr(freedom, -abs(difference.mean) / error)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted so that the chance of any false alarm among all of them stays below the level.

    The smallest is multiplied by how many there are, the next by one less, and so on; none is below one before it.

    Source: Holm 1979, A Simple Sequentially Rejective Multiple Test Procedure.

    Example:
        >>> holm([0.01, 0.5, 0.02])
        [0.03, 0.5, 0.04]
    """
    order = np.argsort(p_values, kind="stable")
    steps = (min(1.0, float(p_values[place]) * (len(p_values) - rank)) for rank, place in enumerate(order))
    adjusted = [0.0] * len(p_values)
    for place, value in zip(order, accumulate(steps, max), strict=True):
        adjusted[place] = value
    return adjusted


def are_clear(differences: Sequence[Summary | None]) -> list[bool]:
    """Return which differences of one table are clear: their p-value, adjusted by `holm`, is below 5 %.

    One difference alone is clear exactly if its 95 % interval excludes 0. None stays out of the family.

    Example:
        >>> are_clear([summarize([0.02, 0.03, 0.02]), None, summarize([0.02, -0.02, 0.01])])
        [True, False, False]
    """
    adjusted = iter(holm([p_value(each) for each in differences if each is not None]))
    return [each is not None and next(adjusted) < LEVEL for each in differences]


def effect_size(difference: Summary) -> float | None:
    """Return the difference in units of its standard deviation over the seeds; None where there is no spread.

    Corrected for few seeds: an uncorrected one is too large by a third at n = 3. About 0.2 is small, 0.8 large.

    Source: Hedges 1981, Distribution Theory for Glass's Estimator of Effect Size, for paired differences.

    Example:
        >>> round(effect_size(summarize([0.01, 0.03, 0.02])), 2)
        1.14
    """
    n = len(difference.values)
    spread = float(np.std(difference.values, ddof=1)) if n > 1 else 0.0
    return difference.mean / spread * (1 - 3 / (4 * (n - 1) - 1)) if spread else None


def seeds_to_settle(difference: Summary) -> int | None:
    """Return how many seeds would make a difference of this size and spread clear by itself, at least 2.

    It takes mean and spread of the seeds at hand for the true ones, so it is a guess. Where more seeds are needed than
    there are, they are looked at once more, which the interval must allow for. None where more than `MOST_SEEDS`
    would be needed, or nothing is known of the spread; also of several labelled subsets, where more seeds alone may
    never do.

    Example:
        >>> seeds_to_settle(summarize([0.01, 0.03, 0.02]))
        5
    """
    from scipy.special import stdtrit

    if len(difference.values) < 2 or not difference.mean or difference.subsets > 1:
        return None
    ratio = float(np.std(difference.values, ddof=1)) / abs(difference.mean)
    counts = np.arange(2, MOST_SEEDS + 1)
    for looks, most in ((difference.looks, len(difference.values)), (difference.looks + 1, MOST_SEEDS)):
        enough = stdtrit(counts - 1, 1 - LEVEL / (2 * looks)) * ratio / np.sqrt(counts) < 1
        needed = int(counts[enough.argmax()]) if enough.any() else MOST_SEEDS + 1
        if needed <= most:
            return needed
    return None
