"""More seeds until it is sure enough: a comparison that goes on until its intervals are narrow, or a budget is spent.

Seeds double from one look to the next. Whoever looks several times and stops when he likes what he sees is wrong more
often than an interval says; so the number of looks that the budget allows is fixed before the first one, and every
interval is as much wider (Bonferroni over the looks), whenever it stops. `tests/test_sequential.py` simulates that.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from kdlib.analysis.comparison import differences_to_references
from kdlib.analysis.intervals import summarize
from kdlib.analysis.merging import merge
from kdlib.analysis.subsets import pool_subsets
from kdlib.pipeline import compare
from kdlib.progress import OnProgress
from kdlib.results import Comparison, RunResult
from kdlib.spec import RunSpec
from kdlib.summary import Summary

OnLook = Callable[[int, float], None]  # called after each look with the seeds and the widest half-width


def planned_looks(seeds: int, most_seeds: int) -> list[int]:
    """Return how many seeds each look has.

    Raises:
        ValueError: one seed to begin with, of which nothing is known, or a budget below the first look.

    Example:
        >>> planned_looks(5, 30)
        [5, 10, 20, 30]
    """
    if seeds < 2:
        raise ValueError(f"a comparison that goes on until it is sure begins with at least 2 seeds, got {seeds}")
    if most_seeds < seeds:
        raise ValueError(f"the most seeds must be at least the {seeds} to begin with, got {most_seeds}")
    looks = [seeds]
    while looks[-1] < most_seeds:
        looks.append(min(2 * looks[-1], most_seeds))
    return looks


def compare_until(
    specs: Sequence[RunSpec],
    half_width: float,
    most_seeds: int,
    *,
    device: str = "auto",
    on_progress: OnProgress | None = None,
    on_look: OnLook | None = None,
) -> Comparison:
    """Return the result of each spec after as many seeds as it took, the same for all; seeds are never trained twice.

    It stops as soon as no difference to baseline or raw on the test set has a wider interval than asked for; without
    any such difference the scores themselves count. Of specs that differ in their labelled subset the differences are
    those over all subsets. A grid, and what is tuned, is decided with the first seeds and stays.

    Args:
        specs: with the seeds to begin with, the same number for all.
        half_width: of the 95 % intervals, a fraction; above 0.
        most_seeds: the budget.
        device, on_progress: as in `kdlib.pipeline.run`. A comparison that is stopped has the seeds of its last look.
        on_look: called with the seeds and the widest half-width at each look.

    Raises:
        ValueError: as in `kdlib.pipeline.compare`, or one of these numbers makes no sense.

    Example:
        >>> compare_until([RunSpec(method="raw"), RunSpec()], 0.01, 40)[0].spec.seeds
    """
    if not half_width > 0:
        raise ValueError(f"the half-width to reach must be above 0, got {half_width}")
    if len({spec.seeds for spec in specs}) > 1:
        raise ValueError("all methods begin with the same number of seeds, got several numbers")
    looks = planned_looks(specs[0].seeds, most_seeds)
    results = compare(specs, device=device, on_progress=on_progress)
    for seeds, more in zip(looks, [*looks[1:], None], strict=True):
        results = Comparison(_with_looks(each, len(looks)) for each in results)
        if any(not each.metrics for each in results):
            break
        widest = widest_half_width(pool_subsets(results))
        if on_look is not None:
            on_look(seeds, widest)
        if more is None or widest <= half_width:
            break
        settings = [each.setting.replace(seeds=more - seeds) for each in results]
        added = compare(settings, device=device, on_progress=on_progress, first_seed=seeds)
        if any(not each.metrics for each in added):
            break
        results = Comparison(map(extend, results, added))
    return results


def widest_half_width(results: Sequence[RunResult]) -> float:
    """Return the half-width of the widest interval that counts on the test set; infinite where there is none."""
    measured = [result for result in results if result.metrics]
    found = [splits["test"] for each in measured for splits in differences_to_references(measured, each).values()]
    summaries = found or [each.metrics["test"].primary for each in measured]
    return max((float("inf") if each.ci95 is None else each.ci95 for each in summaries), default=float("inf"))


def extend(result: RunResult, more: RunResult) -> RunResult:
    """Return a result with the members of another one of the same setting, trained with the seeds that follow.

    Example:
        >>> extend(compare([spec])[0], compare([spec], first_seed=spec.seeds)[0]).spec.seeds
    """
    count = result.spec.seeds + more.spec.seeds

    def join(summaries: Sequence[Summary]) -> Summary:
        if len(summaries[0].values) != result.spec.seeds:
            return summaries[0]  # of a space that all seeds share
        return summarize([value for each in summaries for value in each.values], looks=summaries[0].looks)

    def join_arrays(name: str) -> np.ndarray:
        own, added = result.arrays[name], more.arrays[name]
        shared = name.startswith("replay/") or len(own) != result.spec.seeds
        return own if shared else np.concatenate([own, added])

    arrays = {name: join_arrays(name) for name in result.arrays}
    return replace(merge([result, more], join), spec=result.spec.replace(seeds=count), arrays=arrays)


def _with_looks(result: RunResult, looks: int) -> RunResult:
    """Return a result whose intervals allow for so many looks."""
    widened = merge([result], lambda found: summarize(found[0].values, looks=looks))
    return replace(widened, arrays=result.arrays)
