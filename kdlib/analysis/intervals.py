"""Intervals: one number per seed becomes a mean and how sure we are of it."""

from collections.abc import Sequence

import numpy as np

from kdlib.results import Summary


def summarize(values: Sequence[float]) -> Summary:
    """Return the mean of some repetitions and how far the true mean may be from it, by the two-sided 95 % t-interval.

    Raises:
        ValueError: "undefined: ..." if there are no values or one is not finite.
    """
    from scipy.special import (
        stdtrit,
    )  # quantiles of the t-distribution; it loads for a quarter of a second, all of scipy.stats for one

    values = [float(value) for value in values]
    if not values or not np.isfinite(values).all():
        raise ValueError(f"undefined: a mean needs finite values, got {values}")
    n = len(values)
    half_width = float(stdtrit(n - 1, 0.975) * np.std(values, ddof=1) / np.sqrt(n)) if n > 1 else None
    return Summary(float(np.mean(values)), half_width, values)


def paired_difference(a: Sequence[float], b: Sequence[float]) -> Summary:
    """Return the summary of a - b, paired by position (the same seed in both): the interval of the paired t-test.

    Raises:
        ValueError: a and b differ in length, or "undefined: ..." as in `summarize`.
    """
    if len(a) != len(b):
        raise ValueError(f"a paired difference needs as many values on both sides, got {len(a)} and {len(b)}")
    return summarize([x - y for x, y in zip(a, b, strict=True)])
