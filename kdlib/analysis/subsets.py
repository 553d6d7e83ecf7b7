"""Labelled subsets: what runs that differ in nothing but their labelled rows say together.

One draw of labelled rows may suit a method by luck, and seeds alone do not show it. Every method is trained on the same
draws, so their differences are paired by draw and seed; `intervals.summarize` says how sure the mean over both is.
"""

from collections.abc import Sequence
from dataclasses import replace

from kdlib.analysis.intervals import summarize
from kdlib.analysis.merging import merge
from kdlib.results import RunResult
from kdlib.spec import RunSpec
from kdlib.summary import Summary


def with_subsets(specs: Sequence[RunSpec], subsets: int) -> list[RunSpec]:
    """Return every spec with the first so many draws of its labelled rows.

    Raises:
        ValueError: there are no subsets, or a spec has a grid or is tuned: each draw could choose another setting.

    Example:
        >>> [spec.subset for spec in with_subsets([RunSpec()], 3)]
        [0, 1, 2]
    """
    if subsets < 1:
        raise ValueError(f"subsets must be 1 or more, got {subsets}")
    if subsets > 1 and any(spec.grid or spec.tune for spec in specs):
        raise ValueError("several subsets go with single settings: of a grid, or tuned, each could choose another one")
    return [spec.replace(subset=number) for number in range(subsets) for spec in specs]


def pool_subsets(results: Sequence[RunResult]) -> list[RunResult]:
    """Return the results with those that differ in their labelled subset only made one, where the first of them stood.

    Such a result has the spec of its lowest subset, every score of every draw and seed, the seconds of all, and no
    arrays. Those without metrics, with a grid or tuned stay as they are.

    Example:
        >>> [pooled] = pool_subsets(kdlib.pipeline.compare(with_subsets([spec], 3)))
        >>> pooled.subsets
        (0, 1, 2)
    """
    found: dict[str, list[RunResult]] = {}
    for number, result in enumerate(results):
        given = result.metrics and not result.grid and not result.tuning
        alike = result.spec.replace(subset=0).identity if given else f"{number}"
        found.setdefault(alike, []).append(result)
    return [_pool(_by_subset(group)) if len(_by_subset(group)) > 1 else group[0] for group in found.values()]


def _by_subset(group: Sequence[RunResult]) -> list[RunResult]:
    """Return one result per subset, the lowest first."""
    return [result for _, result in sorted({each.spec.subset: each for each in reversed(group)}.items())]


def _pool(group: Sequence[RunResult]) -> RunResult:
    def pool(summaries: Sequence[Summary]) -> Summary:
        values = [value for each in summaries for value in each.values]
        return summarize(values, len(summaries), max(each.looks for each in summaries))

    return replace(merge(group, pool), subsets=tuple(each.spec.subset for each in group))
