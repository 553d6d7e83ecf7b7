"""Intervals: one number per seed becomes a mean and how sure we are of it.

Over several draws of labelled rows, seeds and draws are crossed: every seed was trained on every draw, so the numbers
of one draw share its luck and are not that many independent ones. Their interval follows from a two-way analysis of
variance. A bootstrap over both would be too narrow: of three draws it covers the truth in 80 to 93 % of cases instead
of 95, which `tests/test_intervals.py` repeats.
"""

from collections.abc import Sequence

import numpy as np

from kdlib.summary import Summary


def summarize(values: Sequence[float], subsets: int = 1, looks: int = 1) -> Summary:
    """Return the mean of some repetitions and the half-width of its two-sided 95 % t-interval.

    Args:
        values: one per repetition; a single one has no interval.
        subsets: over how many draws of labelled rows; all seeds of the first come first.
        looks: how many intervals may be looked at before it is decided to stop. Each then misses the truth in at most
            5 % / looks of cases, so that whichever is the last does in at most 5 % (Bonferroni).

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
    error, freedom = standard_error(values, subsets)
    half_width = None if freedom == 0 else float(stdtrit(freedom, 1 - 0.025 / looks) * error)
    return Summary(float(np.mean(values)), half_width, values, subsets, looks)


def standard_error(values: Sequence[float], subsets: int = 1) -> tuple[float, float]:
    """Return the standard error of the mean of some repetitions, and its degrees of freedom; 0 of a single value.

    With S subsets of K seeds, MS_S, MS_K and MS_E the mean squares of subsets, seeds and the rest, the variance of the
    mean is (MS_S + MS_K - MS_E) / SK, here never taken for less than the larger of MS_S and MS_K alone, which keeps the
    interval from being too narrow where two effects are small. The degrees of freedom are Satterthwaite's.

    Args:
        values, subsets: as in `summarize`.

    Raises:
        ValueError: the values are not as many for every subset.

    Source: Satterthwaite 1946, An Approximate Distribution of Estimates of Variance Components.

    Example:
        >>> standard_error([1.0, 2.0, 3.0])[1]
        2.0
    """
    if len(values) % subsets:
        raise ValueError(f"{len(values)} values cannot be those of {subsets} subsets with equally many seeds")
    table = np.reshape(values, (subsets, -1))
    seeds = table.shape[1]
    if min(subsets, seeds) == 1:  # one effect alone: the ordinary standard error
        spread = float(np.std(table, ddof=1)) if table.size > 1 else 0.0
        return spread / np.sqrt(table.size), float(table.size - 1)
    of_subsets, of_seeds = table.mean(1), table.mean(0)
    rest = table - of_subsets[:, None] - of_seeds + table.mean()
    square_subsets, square_seeds = seeds * of_subsets.var(ddof=1), subsets * of_seeds.var(ddof=1)
    square_rest = np.square(rest).sum() / ((subsets - 1) * (seeds - 1))
    total = max(square_subsets + square_seeds - square_rest, square_subsets, square_seeds)
    if total == 0:
        return 0.0, float(table.size - 1)
    freedom = total**2 / (square_subsets**2 / (subsets - 1) + square_seeds**2 / (seeds - 1))
    return float(np.sqrt(total / table.size)), float(freedom)


def paired_difference(
    a: Sequence[float] | np.ndarray, b: Sequence[float] | np.ndarray, subsets: int = 1, looks: int = 1
) -> Summary:
    """Return the summary of a - b, paired by position (the same seed in both): the interval of the paired t-test.

    Args:
        a: one value per seed.
        b: as many, of the same seeds.
        subsets, looks: as in `summarize`.

    Raises:
        ValueError: a and b differ in length, or "undefined: ..." as in `summarize`.

    Example:
        >>> paired_difference([0.75, 0.5], [0.5, 0.25]).mean
        0.25
    """
    if len(a) != len(b):
        raise ValueError(f"a paired difference needs as many values on both sides, got {len(a)} and {len(b)}")
    return summarize([x - y for x, y in zip(a, b, strict=True)], subsets, looks)


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
