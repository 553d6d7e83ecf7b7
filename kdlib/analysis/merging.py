"""Several results of one method as one: every number of each, brought together in the way that is asked for."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from kdlib.results import CURVES, Point, RunResult, SpaceStats, TeacherStats
from kdlib.summary import SPACES, Probe, SplitMetrics, Summary

Merge = Callable[[Sequence[Summary]], Summary]


def merge(results: Sequence[RunResult], summaries: Merge) -> RunResult:
    """Return the first result with the numbers of all: scores, probes, curves and seconds; it has no arrays.

    Args:
        results: measured ones of the same dataset, teacher and method.
        summaries: makes one summary of those that the results have in one place.

    Example:
        >>> merge(results, lambda found: summarize([value for each in found for value in each.values]))
    """
    first = results[0]
    seconds = [each.cost.seconds for each in results if each.cost.seconds is not None]
    teachers = [each.teacher for each in results if each.teacher is not None]
    return replace(
        first,
        metrics={split: _metrics([each.metrics[split] for each in results], summaries) for split in first.metrics},
        teacher=_teachers(teachers, summaries) if len(teachers) == len(results) else None,
        spaces={name: _spaces([each.spaces[name] for each in results], summaries) for name in first.spaces},
        attributes={name: _probes([each.attributes[name] for each in results], summaries) for name in first.attributes},
        cost=replace(first.cost, seconds=sum(seconds) if seconds else None),
        history=merge_histories([each.history for each in results]),
        arrays={},
    )


def _optional(found: Sequence[Summary | None], summaries: Merge) -> Summary | None:
    known = [each for each in found if each is not None]
    return summaries(known) if known and len(known) == len(found) else None


def _metrics(splits: Sequence[SplitMetrics], summaries: Merge) -> SplitMetrics:
    return SplitMetrics({name: summaries([split[name] for split in splits]) for name in splits[0].scores})


def _spaces(spaces: Sequence[SpaceStats], summaries: Merge) -> SpaceStats:
    probe = _optional([each.probe for each in spaces], summaries)
    return SpaceStats(spaces[0].width, summaries([each.effective_rank for each in spaces]), probe)


def _probes(probes: Sequence[Probe], summaries: Merge) -> Probe:
    """Return a probe with the scores of all; chance depends on the test rows, which are the same."""
    found = {space: _optional([getattr(each, space) for each in probes], summaries) for space in SPACES}
    return Probe(probes[0].chance, **found)


def _teachers(teachers: Sequence[TeacherStats], summaries: Merge) -> TeacherStats:
    head = {split: _metrics([each.head[split] for each in teachers], summaries) for split in teachers[0].head}
    return replace(teachers[0], probe=_probes([each.probe for each in teachers], summaries), head=head)


def merge_histories(histories: Sequence[Sequence[Point]]) -> list[Point]:
    """Return the points of the epochs that all of several trainings have validated, with the members of all.

    Example:
        >>> merge_histories([[Point(1, val=[0.5])], [Point(1, val=[0.7]), Point(2, val=[0.8])]])[0].val
        [0.5, 0.7]
    """
    merged = []
    for points in zip(*histories, strict=False):
        curves = {name: [value for point in points for value in getattr(point, name)] for name in CURVES}
        merged.append(replace(points[0], **curves))
    return merged
