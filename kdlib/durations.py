"""How long it takes: ranges of seconds before a launch, and of those to go while runs train.

No machine is always as fast as it was a minute ago, so nothing here is one number.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from statistics import median
from typing import NamedTuple

from kdlib.results import Point
from kdlib.spec import RunSpec
from kdlib.store import QUEUED, RunInfo
from kdlib.trials import member_trainings

# Per member and item of the default student on one core, until runs of this machine are known: the race that ships
# took 1.2e-4 on two cores of a server. Three quarters of it do
# not depend on what is multiplied: a smaller student takes as long, one that multiplies 28 times as much (64 x 64
# colour pictures) 8 times as long.
SECONDS_PER_ITEM, GROWING_SHARE = 1e-4, 0.25
GUESS_FASTER, GUESS_SLOWER = 0.6, 2.0  # what a guess is multiplied by: this machine may be another
START_SECONDS = (1.0, 4.0)  # fewest and most, until a run makes its first step
MEASURING_SHARES = (0.01, 0.15)  # seconds of measuring for each second of training
MEASURING_SECONDS = (0.5, 4.0)  # and at least these
TUNING_SHARES = (0.6, 0.85)  # of all epochs of all trials that are trained until the worse ones are stopped
KNOWN_SHARE = 0.1  # of a training, before which its pace says no more than the fewest seconds
FASTER, SLOWER = 0.8, 1.4  # what past runs took is multiplied by: other work on the machine comes and goes
CROWDED = 2.0  # what the quicker ones took is multiplied by at most, on a machine that is busy now
# What the pace of a run so far is multiplied by. Runs beside it may end, other work too, and twice the speed is left.
# Other work may set in: the less is done, the more of the time it lasts.
LATER_FASTER, EARLY_SLOWER = 0.5, 1.7
RECENT_RUNS = 9  # alike, that say how fast this machine is


class TimeRange(NamedTuple):
    """Within which seconds something will be over."""

    fewest: float
    most: float


@dataclass
class Countdown:
    """What has been told of the time to go, so that its end never moves away.

    `told` is the latest range, None before the first. Its beginning may rise: the range narrows from both sides.

    Example:
        >>> countdown = Countdown()
        >>> countdown.tell(TimeRange(20, 40)), countdown.tell(TimeRange(30, 93))
        (TimeRange(fewest=20, most=40), TimeRange(fewest=30, most=40))
    """

    told: TimeRange | None = None

    def tell(self, found: TimeRange) -> TimeRange:
        """Return a range for people that ends no later than the one told before."""
        most = min(self.told.most, found.most) if self.told else found.most
        self.told = TimeRange(min(found.fewest, most), most)
        return self.told


def estimate_launch(
    specs: Sequence[RunSpec],
    past: Sequence[RunInfo],
    workers: int,
    operations: Callable[[RunSpec], int],
    default_operations: int,
) -> tuple[TimeRange, bool]:
    """Return within which seconds specs that are launched together are all done, and whether past runs say so.

    Args:
        specs: in the order in which they are started.
        past: finished runs, newest first; those of the same student and data count, of the same method if there are.
        workers: how many runs train at the same time.
        operations: multiply-adds of a spec's student for one item.
        default_operations: those of the default student.
    """
    known = [run for run in past if (run.metrics or {}).get("cost/seconds")]
    lanes = max(min(workers, len(specs)), 1)
    ranges, measured = [], True
    for spec in specs:
        size = operations(spec)
        alike = [run for run in known if (run.spec.student, run.spec.dataset) == (spec.student, spec.dataset)]
        same = [run for run in alike if run.spec.method == spec.method] or alike
        measured = measured and bool(alike)
        if same:
            paces = [
                (run.metrics or {})["cost/seconds"] / _count_items(run.spec) / operations(run.spec) * size
                for run in same[:RECENT_RUNS]
            ]
            pace = _past_pace(paces, lanes)
        else:
            pace = _guessed_pace(size / default_operations, lanes)
        ranges.append([_whole_run(each * _all_items(spec, end), end) for end, each in enumerate(pace)])
    fewest, most = (_makespan(each, [0.0] * lanes) for each in zip(*ranges, strict=True))
    return TimeRange(fewest, most), measured


def _whole_run(training: float, end: int) -> float:
    """Return the seconds from the start to the end of a run; `end` 0 for the fewest, 1 for the most."""
    return START_SECONDS[end] + training + _measuring(training, end)


def _measuring(training: float, end: int) -> float:
    return max(MEASURING_SHARES[end] * training, MEASURING_SECONDS[end])


def _past_pace(paces: Sequence[float], lanes: int) -> TimeRange:
    """Return fewest and most seconds an item by what past runs took, the outer quarters of them left out."""
    paces, quarter = sorted(paces), len(paces) // 4
    quick, slow = paces[quarter], paces[-1 - quarter]
    crowd = min(_load(lanes) / max(1.0, _share(lanes)), CROWDED)
    return TimeRange(FASTER * quick, max(SLOWER * slow, crowd * quick))


def _guessed_pace(growth: float, lanes: int) -> TimeRange:
    """Return fewest and most seconds an item where no run of this machine is known.

    Args:
        growth: how many times as much as the default student a student multiplies.
        lanes: how many runs train at the same time.
    """
    guess = SECONDS_PER_ITEM * (1 + GROWING_SHARE * max(growth - 1, 0))
    shared = max(1.0, _share(lanes))
    return TimeRange(GUESS_FASTER * guess * shared, guess * max(GUESS_SLOWER * shared, _load(lanes)))


def _share(lanes: float) -> float:
    """Return how many of some processes come to each core."""
    return lanes / (os.cpu_count() or 1)


def _load(lanes: int) -> float:
    """Return how many processes want each core now, with some more."""
    return _share(lanes + (os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0))  # Windows has none


def _makespan(durations: Sequence[float], lanes: Sequence[float]) -> float:
    """Return when the last of some pieces of work is over, each taken by the lane that is free first.

    Args:
        durations: of the work that waits.
        lanes: when each of them is free.
    """
    ends = list(lanes)
    for duration in durations:
        ends[ends.index(min(ends))] += duration
    return max(ends)


def _all_items(spec: RunSpec, end: int) -> float:
    """Return how many items students learn from in a run; `end` 0 for the fewest, 1 for the most."""
    before, after = member_trainings(spec)
    return _count_items(spec) * (1 + TUNING_SHARES[end] * before / after)


def _count_items(spec: RunSpec) -> int:
    """Return how many items students learn from once nothing is left to tune."""
    return spec.labels * spec.epochs * spec.seeds * spec.cell_count


def estimate_remaining(infos: Sequence[RunInfo], histories: Sequence[Sequence[Point]], now: float) -> TimeRange | None:
    """Return within which seconds active runs will be over; None before their first steps.

    Until each of those that train is over its first tenth, `most` is infinite: a moment says little of a machine.
    What counts is how long an epoch took, over all and of late, not the time since the launch: loading and waiting are
    no training. Runs that wait for a worker come after those that train.

    Args:
        infos: of runs that are active.
        histories: their points so far.
        now: seconds since 1970.

    Example:
        >>> estimate_remaining(infos, [runs.history(run.id) for run in infos], time.time())
    """
    paces = [_seconds_per_epoch(history) for history in histories]
    known = [pace for pace in paces if pace]
    typical = TimeRange(*map(median, zip(*known, strict=True))) if known else None
    training: list[TimeRange] = []
    waiting: list[TimeRange] = []
    for run, history, own in zip(infos, histories, paces, strict=True):
        # Points are of the training after a tuning, which is the smaller part: the share of both counts.
        pace, waits = None if run.spec.tune else own or typical, run.state == QUEUED and not history
        if pace:
            left = _time_left(run, history, pace, now)
            if not waits and (not history or history[-1].epoch < KNOWN_SHARE * run.spec.epochs):
                left = TimeRange(left.fewest, inf)
        elif run.progress >= KNOWN_SHARE:  # tuned, or of a store that knows no times
            rest = (now - run.submitted) * (1 - run.progress) / run.progress
            left = TimeRange(*(rest * change for change in _changes(run.progress)))
        else:
            continue
        (waiting if waits else training).append(left)
    if not training and not waiting:
        return None
    lanes = training or [TimeRange(0.0, 0.0)]
    return TimeRange(*(_makespan([each[end] for each in waiting], [each[end] for each in lanes]) for end in (0, 1)))


def _time_left(run: RunInfo, history: Sequence[Point], pace: TimeRange, now: float) -> TimeRange:
    """Return within which seconds a run is over whose epochs take that long."""
    epochs, done = run.spec.epochs, history[-1].epoch if history else 0
    since = now - (history[-1].t or now) if history else 0.0
    to_measure = 1 - run.phase_share if run.phase == "measuring" else 1.0
    left = []
    for end, (per_epoch, change) in enumerate(zip(pace, _changes(done / epochs), strict=True)):
        training = max((epochs - done) * per_epoch * change - since, 0.0)
        left.append(training + _measuring(epochs * per_epoch * change, end) * to_measure)
    return TimeRange(*left)


def _changes(done: float) -> TimeRange:
    """Return what the pace so far is multiplied by for the rest of a training of which a share is done."""
    return TimeRange(LATER_FASTER, EARLY_SLOWER * (1 - done) + done)


def _seconds_per_epoch(history: Sequence[Point]) -> TimeRange | None:
    """Return how long an epoch took, over all and in the later half of some points; None where that is not known."""
    timed = [(point.epoch, point.t) for point in history if point.t is not None]
    if len(timed) < 2 or timed[-1][0] <= timed[0][0]:
        return None
    (last, end) = timed[-1]
    paces = [(end - began) / (last - first) for first, began in (timed[0], timed[(len(timed) - 1) // 2])]
    return TimeRange(max(min(paces), 0.0), max(*paces, 0.0))
