"""Times told: ranges in which the truth lies, also where a machine is slower than assumed or becomes so."""

import dataclasses
import time
from math import inf

import pytest

from kdlib import durations
from kdlib.durations import Countdown, TimeRange, estimate_launch, estimate_remaining
from kdlib.results import Point
from kdlib.spec import RunSpec
from kdlib.store import QUEUED, RunInfo
from pages.text import describe_range

SPEC = RunSpec(dataset="digits", labels=1000, epochs=30, seeds=5)
SPECS = [SPEC.replace(method=method) for method in ("baseline", "raw", "mlp")]
START = 1000.0


def run(spec: RunSpec = SPEC, **changes) -> RunInfo:
    return dataclasses.replace(RunInfo(spec.method, "", "", spec, "running", START, submitted=START), **changes)


def timed(*pairs: tuple[int, float]) -> list[Point]:
    return [Point(epoch, val=[0.1], t=t) for epoch, t in pairs]


def progress(paces: list[float], first: float = START + 3) -> list[Point]:
    """Return the points of a training whose epochs take these seconds each."""
    return timed(*((epoch + 1, first + sum(paces[: epoch + 1])) for epoch in range(len(paces))))


def told(points: list[Point], share: float) -> tuple[TimeRange, float]:
    """Return the range told after a share of the epochs, and the moment."""
    seen = points[: round(share * len(points))]
    found = estimate_remaining([run()], [seen], seen[-1].t)
    assert found
    return found, seen[-1].t


ASSUMED = durations.SECONDS_PER_ITEM * SPEC.labels * SPEC.seeds  # seconds an epoch
MACHINES = {
    "as assumed": [ASSUMED] * 30,
    "twice as slow": [2 * ASSUMED] * 30,
    "ten times as slow": [10 * ASSUMED] * 30,
    "other work sets in halfway": [ASSUMED] * 15 + [2 * ASSUMED] * 15,
    "other work ends halfway": [2 * ASSUMED] * 15 + [ASSUMED] * 15,
    "slow first epoch": [5 * ASSUMED] + [ASSUMED] * 29,
    "uneven": [ASSUMED * (1 + 0.6 * (epoch % 2)) for epoch in range(30)],
}


@pytest.mark.parametrize("name", MACHINES)
@pytest.mark.parametrize("measuring", [0.02, 0.15])
def test_the_true_end_is_within_what_is_told_after_a_tenth_and_narrows(name, measuring):
    paces = MACHINES[name]
    points = progress(paces)
    end = points[-1].t + max(measuring * sum(paces), 1.0)
    (early, then), (later, now) = told(points, 0.1), told(points, 0.25)
    assert then + early.fewest <= end <= then + early.most
    if "halfway" not in name:
        assert now + later.fewest <= end <= now + later.most
    assert later.most - later.fewest < early.most - early.fewest


@pytest.mark.parametrize("paces", MACHINES.values(), ids=MACHINES)
def test_what_is_told_never_grows(paces):
    """93 s to go of 40 were told."""
    points, countdown, before = progress(paces), Countdown(), None
    moment = points[0].t
    while moment < points[-1].t:
        seen = [point for point in points if point.t <= moment]
        found = estimate_remaining([run()], [seen], moment)
        if found:
            now = countdown.tell(found)
            assert now.fewest <= now.most
            assert before is None or now.most <= before.most
            before = now
        moment += 0.05
    assert before


def test_a_machine_that_is_slower_all_along_is_told_so_by_its_first_epochs():
    quick, slow = (told(progress(MACHINES[name]), 0.1)[0] for name in ("as assumed", "ten times as slow"))
    assert slow.most > 5 * quick.most


def test_the_time_to_go_follows_from_the_first_epochs_not_from_the_launch():
    """15 s were told, 50 s true: the seconds before the first step had been taken for training."""
    points = timed((1, START + 100), (3, START + 104))
    low, high = estimate_remaining([run()], [points], now=START + 104)
    assert low < 27 * 2 < high
    assert high < 5 * low


def test_seconds_since_the_last_epoch_are_not_told_again():
    points = timed((1, 200.0), (3, 204.0))
    early, late = (estimate_remaining([run()], [points], now=now) for now in (204.0, 208.0))
    assert early.fewest - late.fewest == pytest.approx(4)
    assert early.most - late.most == pytest.approx(4)


def test_runs_that_are_queued_come_after_those_that_train():
    late = timed((1, 200.0), (29, 256.0))
    alone = estimate_remaining([run()], [late], now=256.0)
    other = estimate_remaining([run()], [timed((1, 254.0), (2, 256.0))], now=256.0)  # as quick, at its beginning
    queued = estimate_remaining([run(), run(state=QUEUED)], [late, []], now=256.0)
    assert queued.fewest > alone.fewest + other.fewest
    assert alone.most < queued.most < 200
    two_lanes = estimate_remaining([run(), run(), run(state=QUEUED)], [late, late, []], now=256.0)
    assert two_lanes == queued


def test_until_each_is_over_its_first_tenth_there_is_no_most():
    """40 s were told by two epochs of a machine on which others then began."""
    late = timed((1, 200.0), (29, 256.0))
    for history in ([], timed((1, 250.0)), timed((1, 250.0), (2, 252.0))):
        found = estimate_remaining([run(), run()], [late, history], now=256.0)
        assert 20 <= found.fewest < 60
        assert found.most == inf
    found = estimate_remaining([run(), run()], [late, timed((1, 250.0), (3, 254.0))], now=256.0)
    assert found.most < 150
    assert describe_range(*TimeRange(33.0, inf)) == "at least 30 s"
    assert describe_range(*TimeRange(0.5, inf)) == "at least 1 s"


def test_measuring_counts_down_by_its_share():
    points = progress([2.0] * 30)
    whole, half = (
        estimate_remaining([run(phase="measuring", phase_share=share)], [points], points[-1].t) for share in (0.0, 0.5)
    )
    assert half.most == pytest.approx(whole.most / 2)


def test_before_the_first_steps_nothing_is_told():
    assert estimate_remaining([run()], [[]], time.time()) is None
    assert estimate_remaining([run()], [timed((1, 5.0))], 6.0) is None


class TestLaunch:
    """What is told before a launch."""

    @pytest.fixture(autouse=True)
    def machine(self, monkeypatch):
        self.patch = monkeypatch
        self.set(cores=2, load=0.0)

    def set(self, cores: int, load: float):
        self.patch.setattr(durations.os, "cpu_count", lambda: cores)
        self.patch.setattr(durations.os, "getloadavg", lambda: (load, load, load), raising=False)

    def launch(self, specs=SPECS, past=(), workers=2):
        return estimate_launch(specs, past, workers, lambda spec: 1000 * spec.width, 1000 * RunSpec.width)

    def past(self, *seconds: float, spec: RunSpec = SPEC) -> list[RunInfo]:
        return [run(spec, state="done", metrics={"cost/seconds": each}) for each in seconds]

    def test_without_runs_it_is_a_guess_that_holds_on_a_machine_twice_as_slow(self):
        told, measured = self.launch()
        assert not measured
        for slower in (1, 2):  # two runs after one another on each worker
            assert told.fewest < 2 * (slower * ASSUMED * 30 + 2) < told.most
        assert told.most < 5 * told.fewest

    def test_past_runs_of_this_machine_say_how_fast_it_is(self):
        told, measured = self.launch([SPEC], self.past(30, 31, 29))
        assert measured
        assert told.fewest < 30 + 6 < told.most
        assert told.most < 3 * told.fewest

    def test_twice_the_work_takes_twice_as_long(self):
        one, _ = self.launch([SPEC], self.past(40))
        two, _ = self.launch([SPEC.replace(epochs=60)], self.past(40))
        assert two.most - durations.START_SECONDS[1] == pytest.approx(2 * (one.most - durations.START_SECONDS[1]))

    def test_a_method_is_known_by_its_own_runs(self):
        slow = self.past(100, spec=SPEC.replace(method="mlp"))
        quick = self.past(10, spec=SPEC.replace(method="baseline"))
        baseline, compressed = (
            self.launch([SPEC.replace(method=name)], slow + quick)[0] for name in ("baseline", "mlp")
        )
        assert compressed.fewest > 5 * baseline.fewest
        raw, _ = self.launch([SPEC.replace(method="raw")], slow + quick)
        assert baseline.fewest <= raw.fewest <= compressed.fewest

    def test_each_student_is_known_by_its_own_runs(self):
        other = SPEC.replace(student="mlp" if SPEC.student != "mlp" else "cnn")
        past = self.past(10) + self.past(100, spec=other)
        told, measured = self.launch([SPEC, other], past, workers=1)
        apart = [self.launch([spec], past, workers=1)[0] for spec in (SPEC, other)]
        assert measured
        assert told.fewest == pytest.approx(sum(each.fewest for each in apart))
        assert not self.launch([SPEC, other.replace(dataset="tones")], past)[1]

    def test_a_machine_that_is_busy_now_may_take_longer(self):
        for past in ((), self.past(30, 30, 30)):
            self.set(cores=2, load=0.0)
            idle, _ = self.launch(past=past)
            self.set(cores=2, load=6.0)
            busy, _ = self.launch(past=past)
            assert busy.fewest == idle.fewest
            assert busy.most > 1.3 * idle.most

    def test_one_outlier_among_many_does_not_widen_the_range(self):
        told, _ = self.launch([SPEC], self.past(30, 31, 29, 300, 30, 32, 28, 5))
        assert told.most < 70
        assert told.fewest > 20

    def test_runs_beyond_the_workers_come_after_the_others(self):
        past = self.past(30)
        times = {workers: self.launch(past=past, workers=workers)[0].fewest for workers in (1, 2, 3, 8)}
        assert times[1] == pytest.approx(3 * times[3])
        assert times[2] == pytest.approx(2 * times[3])
        assert times[8] == times[3]


def test_a_tuned_launch_takes_as_much_longer_as_its_trials_train():
    tuned = [spec.replace(tune=20) for spec in SPECS]
    plain, _ = estimate_launch(SPECS, [], 3, lambda spec: 1, 1)
    longer, _ = estimate_launch(tuned, [], 3, lambda spec: 1, 1)
    # 40 students of trials for each 5 of a run, of which 60 to 85 % are trained.
    assert 4 < longer.fewest / plain.fewest < 8
    assert 5 < longer.most / plain.most < 8


def test_of_a_run_that_is_tuned_the_share_of_tuning_and_training_counts():
    tuned = run(SPEC.replace(tune=20), phase="tuning", progress=0.5)
    assert estimate_remaining([dataclasses.replace(tuned, progress=0.05)], [[]], START + 10) is None
    found = estimate_remaining([tuned], [[]], START + 100)
    assert found
    assert found.fewest < 100 < found.most
    points = timed((1, START + 180), (2, START + 181))  # of the training after it: their pace says nothing of the whole
    assert estimate_remaining([dataclasses.replace(tuned, progress=0.9)], [points], START + 181).most < 40
