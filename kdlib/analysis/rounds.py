"""Rounds: a comparison that is trained step by step, on other labelled rows and with later seeds.

The first round trains every method with the first seeds: where the setting is given on every draw of labelled rows,
where it is chosen on validation, from a grid or by tuning, on the first draw alone. Later rounds train what is missing,
of the chosen setting, and no seed twice. `kdlib.sequential` does all of it in this process, `kdlib.runs.sequences` as
runs of the store.

Whoever looks several times and stops when he likes what he sees is wrong more often than an interval says. So the looks
are planned before the first one, and every interval is as much wider (Bonferroni over the looks), whenever it stops.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from kdlib.analysis.comparison import differences_to_references
from kdlib.analysis.intervals import summarize
from kdlib.analysis.merging import merge
from kdlib.analysis.subsets import pool_subsets
from kdlib.results import RunResult
from kdlib.spec import RunSpec
from kdlib.summary import Summary

Place = tuple[str, int]  # a setting, and a draw of labelled rows


@dataclass(frozen=True)
class Repetition:
    """How often a comparison is repeated beside the seeds that its specs have.

    Attributes:
        subsets: draws of labelled rows, each with every seed.
        half_width: seeds are added until no 95 % interval is wider than this to either side, a fraction; 0 adds none.
        most_seeds: the budget of that.

    Example:
        >>> Repetition(half_width=0.01, most_seeds=40).looks(5)
        [5, 10, 20, 40]
    """

    subsets: int = 1
    half_width: float = 0.0
    most_seeds: int = 0

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: there are no draws, or the half-width is negative.
        """
        if self.subsets < 1:
            raise ValueError(f"subsets must be 1 or more, got {self.subsets}")
        if not self.half_width >= 0:
            raise ValueError(f"the half-width to reach must be above 0, got {self.half_width}")

    def looks(self, seeds: int) -> list[int]:
        """Return how many seeds each look has.

        Raises:
            ValueError: as in `planned_looks`.
        """
        return planned_looks(seeds, self.most_seeds) if self.half_width else [seeds]

    def in_rounds(self, specs: Sequence[RunSpec]) -> bool:
        """Return whether something can only be trained once other runs are over."""
        return bool(self.half_width) or (self.subsets > 1 and any(spec.searched for spec in specs))


def planned_looks(seeds: int, most_seeds: int) -> list[int]:
    """Return how many seeds each look has: twice as many from one to the next, up to the budget.

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


def expected_specs(specs: Sequence[RunSpec], repetition: Repetition, seeds: int | None = None) -> list[RunSpec]:
    """Return about what a comparison trains in all, for an estimate of its cost: what is chosen is not known yet.

    Args:
        specs: of the methods.
        repetition: of the comparison.
        seeds: of each method, by default those of its spec.

    Example:
        >>> len(expected_specs([RunSpec(tune=20)], Repetition(subsets=3)))
        3
    """
    expected = []
    for spec in specs:
        count = spec.seeds if seeds is None else max(seeds, spec.seeds)
        setting = spec.replace(tune=0).cells[0]
        expected.append(spec if spec.searched else spec.replace(seeds=count))
        if spec.searched and count > spec.seeds:
            expected.append(setting.replace(first_seed=spec.seeds, seeds=count - spec.seeds))
        expected += [
            setting.replace(subset=spec.subset + number, seeds=count) for number in range(1, repetition.subsets)
        ]
    return expected


def missing_specs(results: Sequence[RunResult], subsets: int, seeds: int | None = None) -> list[RunSpec]:
    """Return what is still to be trained so that every method has so many seeds on so many draws of labelled rows.

    Args:
        results: so far. Every measured one of the first draw and of seeds from 0 up stands for a method.
        subsets: draws, from the first of the results up.
        seeds: of each method; by default those of its first result.

    Example:
        >>> [(spec.subset, spec.first_seed, spec.seeds) for spec in missing_specs([result], 1, 2 * result.spec.seeds)]
        [(0, 5, 5)]
    """
    joined = [each for each in join_rounds(results) if each.metrics]
    trained = {_place(each): each.spec.seeds for each in joined if not each.spec.searched and not each.spec.first_seed}
    first = min((each.spec.subset for each in joined), default=0)
    methods = [each for each in joined if each.spec.subset == first and not each.spec.first_seed]
    missing: dict[str, RunSpec] = {}
    for subset in range(first, first + subsets):
        for method in methods:
            setting, _ = _place(method)
            done = trained.get((setting, subset), 0) if subset > first else method.spec.seeds
            wanted = method.spec.seeds if seeds is None else seeds
            if done < wanted:
                spec = method.setting.replace(subset=subset, first_seed=done, seeds=wanted - done)
                missing.setdefault(spec.identity, spec)
    return list(missing.values())


def _place(result: RunResult) -> Place:
    """Return which setting a result has, whatever its seeds are, and on which draw of labelled rows."""
    return result.setting.replace(subset=0, first_seed=0, seeds=1).identity, result.spec.subset


def join_rounds(results: Sequence[RunResult], most_seeds: int | None = None) -> list[RunResult]:
    """Return the results, those whose seeds follow one another as one, where the first of them stood.

    Args:
        results: of runs; those of later seeds that follow none stay as they are.
        most_seeds: runs with seeds beyond these are left out.

    Example:
        >>> join_rounds([first, more])[0].spec.seeds == first.spec.seeds + more.spec.seeds
    """
    later = {
        (_place(each), each.spec.first_seed): each
        for each in results
        if each.metrics and each.spec.first_seed and not each.spec.searched
    }
    used: set[int] = set()
    joined: dict[int, RunResult] = {}  # number of the first round -> all of them
    for number, result in enumerate(results):
        if not result.metrics or result.spec.first_seed:
            continue
        place = _place(result)
        while more := later.get((place, result.spec.seeds)):
            if most_seeds is not None and more.spec.seed_numbers.stop > most_seeds:
                break
            used.add(id(more))
            result = extend(result, more)
        joined[number] = result
    left_out = {
        id(each) for each in later.values() if most_seeds is not None and each.spec.seed_numbers.stop > most_seeds
    }
    return [joined.get(number, each) for number, each in enumerate(results) if id(each) not in used | left_out]


def pool(results: Sequence[RunResult], most_seeds: int | None = None) -> list[RunResult]:
    """Return the results of runs with what belongs together as one: later seeds first, then other labelled rows.

    Example:
        >>> pool(kdlib.sequential.compare_until(specs, 0.01, 40, subsets=3))
    """
    return pool_subsets(join_rounds(results, most_seeds))


def widest_half_width(results: Sequence[RunResult]) -> float:
    """Return the half-width of the widest interval that counts on the test set; infinite where there is none.

    These are the differences to baseline and raw; without any such difference the scores themselves count.
    """
    measured = [result for result in results if result.metrics]
    found = [splits["test"] for each in measured for splits in differences_to_references(measured, each).values()]
    summaries = found or [each.metrics["test"].primary for each in measured]
    return max((float("inf") if each.ci95 is None else each.ci95 for each in summaries), default=float("inf"))


def extend(result: RunResult, more: RunResult) -> RunResult:
    """Return a result with the members of another one of the same setting, trained with the seeds that follow.

    Example:
        >>> extend(compare([spec])[0], compare([spec.replace(first_seed=spec.seeds)])[0]).spec.seeds
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


def with_looks(result: RunResult, looks: int) -> RunResult:
    """Return a result whose intervals allow for so many looks; one without metrics as it is."""
    if looks == 1 or not result.metrics:
        return result
    widened = merge([result], lambda found: summarize(found[0].values, found[0].subsets, looks))
    return replace(widened, arrays=result.arrays)
