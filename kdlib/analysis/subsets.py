"""Labelled subsets: what runs that differ in nothing but their labelled rows say together.

One draw of labelled rows may suit a method by luck, and seeds alone do not show it. Every method is trained on the same
draws, so their differences are paired by draw and seed; `intervals.summarize` says how sure the mean over both is.
"""

from collections.abc import Sequence
from dataclasses import replace

from kdlib.analysis.intervals import summarize
from kdlib.results import CURVES, Point, RunResult, SpaceStats, TeacherStats
from kdlib.spec import RunSpec
from kdlib.summary import SPACES, Probe, SplitMetrics, Summary


def with_subsets(specs: Sequence[RunSpec], subsets: int) -> list[RunSpec]:
    """Return every spec with the first so many draws of its labelled rows.

    Raises:
        ValueError: there are no subsets, or a spec has a grid: each draw could choose another cell.

    Example:
        >>> [spec.subset for spec in with_subsets([RunSpec()], 3)]
        [0, 1, 2]
    """
    if subsets < 1:
        raise ValueError(f"subsets must be 1 or more, got {subsets}")
    if subsets > 1 and any(spec.grid for spec in specs):
        raise ValueError("several subsets go with single settings: of a grid, each could choose another cell")
    return [spec.replace(subset=number) for number in range(subsets) for spec in specs]


def pool_subsets(results: Sequence[RunResult]) -> list[RunResult]:
    """Return the results with those that differ in their labelled subset only made one, where the first of them stood.

    Such a result has the spec of its lowest subset, every score of every draw and seed, the seconds of all, and no
    arrays. Those without metrics or with a grid stay as they are.

    Example:
        >>> [pooled] = pool_subsets(kdlib.pipeline.compare(with_subsets([spec], 3)))
        >>> pooled.subsets
        (0, 1, 2)
    """
    found: dict[str, list[RunResult]] = {}
    for number, result in enumerate(results):
        alike = result.spec.replace(subset=0).identity if result.metrics and not result.grid else f"{number}"
        found.setdefault(alike, []).append(result)
    return [_pool(_by_subset(group)) if len(_by_subset(group)) > 1 else group[0] for group in found.values()]


def _by_subset(group: Sequence[RunResult]) -> list[RunResult]:
    """Return one result per subset, the lowest first."""
    return [result for _, result in sorted({each.spec.subset: each for each in reversed(group)}.items())]


def _pool(group: Sequence[RunResult]) -> RunResult:
    first = group[0]
    metrics = {split: _pool_metrics([each.metrics[split] for each in group]) for split in first.metrics}
    spaces = {name: _pool_spaces([each.spaces[name] for each in group]) for name in first.spaces}
    attributes = {name: _pool_probes([each.attributes[name] for each in group]) for name in first.attributes}
    seconds = [each.cost.seconds for each in group if each.cost.seconds is not None]
    return replace(
        first,
        metrics=metrics,
        teacher=_pool_teachers(group),
        spaces=spaces,
        attributes=attributes,
        cost=replace(first.cost, seconds=sum(seconds) if seconds else None),
        history=_pool_histories(group),
        subsets=tuple(each.spec.subset for each in group),
        arrays={},
    )


def _pool_summaries(summaries: Sequence[Summary | None]) -> Summary | None:
    known = [each for each in summaries if each is not None]
    if len(known) < len(summaries):
        return None
    return summarize([value for each in known for value in each.values], len(known))


def _pool_metrics(splits: Sequence[SplitMetrics]) -> SplitMetrics:
    pooled = {name: _pool_summaries([split[name] for split in splits]) for name in splits[0].scores}
    return SplitMetrics({name: summary for name, summary in pooled.items() if summary is not None})


def _pool_spaces(spaces: Sequence[SpaceStats]) -> SpaceStats:
    rank = summarize([value for each in spaces for value in each.effective_rank.values], len(spaces))
    return SpaceStats(spaces[0].width, rank, _pool_summaries([each.probe for each in spaces]))


def _pool_probes(probes: Sequence[Probe]) -> Probe:
    """Return a probe with the scores of all; chance depends on the test rows, which are the same."""
    spaces = {space: _pool_summaries([getattr(each, space) for each in probes]) for space in SPACES}
    return Probe(probes[0].chance, **spaces)


def _pool_teachers(group: Sequence[RunResult]) -> TeacherStats | None:
    teachers = [each.teacher for each in group if each.teacher is not None]
    if len(teachers) < len(group):
        return None
    head = {split: _pool_metrics([each.head[split] for each in teachers]) for split in teachers[0].head}
    return replace(teachers[0], probe=_pool_probes([each.probe for each in teachers]), head=head)


def _pool_histories(group: Sequence[RunResult]) -> list[Point]:
    """Return the points of the epochs that all have validated, with the members of all."""
    pooled = []
    for points in zip(*(each.history for each in group), strict=False):
        curves = {name: [value for point in points for value in getattr(point, name)] for name in CURVES}
        pooled.append(replace(points[0], **curves))
    return pooled
