"""Intervals: one number per seed becomes a mean and how sure we are of it."""

from collections.abc import Sequence

import numpy as np

from kdlib.results import Summary


def summarize(values: Sequence[float]) -> Summary:
    """Return the mean of some repetitions and the half-width of its two-sided 95 % t-interval.

    Args:
        values: one per repetition; a single one has no interval.

    Raises:
        ValueError: "undefined: ..." if there are no values or one is not finite.

    Example:
        >>> summarize([0.75, 0.5, 0.25]).mean
        0.5
    """
    # Quantiles of the t-distribution: this module loads in a quarter of a second, scipy.stats in a whole one.
    from scipy.special import stdtrit

    values = [float(value) for value in values]
    if not values or not np.isfinite(values).all():
        raise ValueError(f"undefined: a mean needs finite values, got {values}")
    n = len(values)
    half_width = float(stdtrit(n - 1, 0.975) * np.std(values, ddof=1) / np.sqrt(n)) if n > 1 else None
    return Summary(float(np.mean(values)), half_width, values)


def paired_difference(a: Sequence[float], b: Sequence[float]) -> Summary:
    """Return the summary of a - b, paired by position (the same seed in both): the interval of the paired t-test.

    Args:
        a: one value per seed.
        b: as many, of the same seeds.

    Raises:
        ValueError: a and b differ in length, or "undefined: ..." as in `summarize`.

    Example:
        >>> paired_difference([0.75, 0.5], [0.5, 0.25]).mean
        0.25
    """
    if len(a) != len(b):
        raise ValueError(f"a paired difference needs as many values on both sides, got {len(a)} and {len(b)}")
    return summarize([x - y for x, y in zip(a, b, strict=True)])


def share_interval(share: float, count: int) -> tuple[float, float]:
    """Return the 95 % Wilson interval of a share of `count` items: what another test set of that size would show.

    Args:
        share: in [0, 1].
        count: items, 1 or more.

    Source: Wilson 1927, Probable inference, the law of succession, and statistical inference.

    Example:
        >>> [round(bound, 3) for bound in share_interval(0.5, 100)]
        [0.404, 0.596]
    """
    z = 1.959964
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z * np.sqrt(share * (1 - share) / count + z * z / (4 * count * count)) / (1 + z * z / count)
    return float(max(0.0, centre - half)), float(min(1.0, centre + half))
