"""Labelled subsets: what runs that differ in nothing but their labelled rows say together.

One draw of labelled rows may suit a method by luck, and seeds alone do not show it. Every method is trained on the same
draws, so their differences are paired by draw and seed; `intervals.summarize` says how sure the mean over both is. The
setting of a grid, or of a tuned method, is chosen on the first draw and then trained on the others as it is.
"""

from collections.abc import Sequence
from dataclasses import replace
from math import inf

from kdlib.analysis.intervals import summarize
from kdlib.analysis.merging import merge
from kdlib.results import RunResult
from kdlib.spec import RunSpec
from kdlib.summary import Summary


def with_subsets(specs: Sequence[RunSpec], subsets: int) -> list[RunSpec]:
    """Return every spec with so many draws of labelled rows, from its own up; one with a grid, or tuned, with its own.

    What is chosen there is trained on the others once it is known: `rounds.missing_specs`.

    Raises:
        ValueError: there are no subsets.

    Example:
        >>> [spec.subset for spec in with_subsets([RunSpec()], 3)]
        [0, 1, 2]
    """
    if subsets < 1:
        raise ValueError(f"subsets must be 1 or more, got {subsets}")
    return [
        spec.replace(subset=spec.subset + number)
        for number in range(subsets)
        for spec in specs
        if not (number and spec.searched)
    ]


def setting_identity(result: RunResult) -> str:
    """Return what names the setting of a result, on whatever labelled rows: that chosen of a grid or by tuning.

    Example:
        >>> setting_identity(RunResult(RunSpec(subset=1))) == RunSpec().identity
        True
    """
    return result.setting.replace(subset=0).identity


def pool_subsets(results: Sequence[RunResult]) -> list[RunResult]:
    """Return the results with those that differ in their labelled subset only made one, where the first of them stood.

    Such a result has the spec of its lowest subset, every score of every draw and seed, the seconds of all, and no
    arrays. One with a grid, or tuned, is joined by plain ones of its chosen setting. Those without metrics stay as they
    are.

    Example:
        >>> [pooled] = pool_subsets(kdlib.pipeline.compare(with_subsets([spec], 3)))
        >>> pooled.subsets
        (0, 1, 2)
    """
    plain: dict[str, list[RunResult]] = {}
    for each in results:
        if each.metrics and not each.spec.searched:
            plain.setdefault(setting_identity(each), []).append(each)
    # Setting -> the draw on which it was chosen.
    chosen_on = {setting_identity(each): each.spec.subset for each in results if each.metrics and each.spec.searched}
    pooled, done = [], set()
    for result in results:
        setting = setting_identity(result) if result.metrics else ""
        alike = plain.get(setting, [])
        if not result.metrics:
            pooled.append(result)
        elif result.spec.searched:
            pooled.append(_pool([result, *(each for each in alike if each.spec.subset > result.spec.subset)]))
        elif setting not in done:
            done.add(setting)
            if min(each.spec.subset for each in alike) <= chosen_on.get(setting, inf):  # otherwise part of that result
                pooled.append(_pool(alike))
    return pooled


def _pool(group: Sequence[RunResult]) -> RunResult:
    """Return one result of all subsets, the lowest first, each once; a single one as it is."""
    each_once = sorted({each.spec.subset: each for each in reversed(group)}.items())
    alike = [each for _, each in each_once]
    if len(alike) == 1:
        return alike[0]

    def pool(summaries: Sequence[Summary]) -> Summary:
        values = [value for each in summaries for value in each.values]
        return summarize(values, len(summaries), max(each.looks for each in summaries))

    return replace(merge(alike, pool), subsets=tuple(each.spec.subset for each in alike))
