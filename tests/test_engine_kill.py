"""Processes killed at any moment: each run ends in one right state, and nothing is lost or done twice."""

import os
import random
import signal
import subprocess
import sys
import time

import psutil
import pytest

from kdlib import engine, runs, store
from kdlib.engine import Job, Outcome, RunFolder
from tests import fake_runs
from tests.fake_runs import spec
from tests.live_engine import (
    ROOT,
    data_folder,
    has_ended,
    recorded_epochs,
    wait_for_end,
    wait_for_workers,
    wait_until,
    worker_pid,
    worker_processes,
)


@pytest.fixture(scope="module")
def home(tmp_path_factory, empty_database):
    with data_folder(tmp_path_factory.mktemp("engine"), empty_database) as path:
        yield path


@pytest.mark.usefixtures("home")
class TestKill:
    def test_a_killed_worker_is_replaced_and_its_run_goes_on_from_the_checkpoint(self):
        wait_for_workers()
        long_spec = spec(epochs=30, width=60)
        [run_id] = runs.launch([long_spec])
        wait_until(lambda: len(recorded_epochs(run_id)) > 7)
        os.kill(worker_pid(run_id), signal.SIGKILL)
        assert wait_for_end(run_id).state == "done"
        assert RunFolder(run_id).count_starts(0) == 2
        assert [point.prediction for point in runs.history(run_id)] == [
            [fake_runs.value(long_spec, epoch, member) for member in range(2)] for epoch in range(30)
        ]
        assert [point.epoch for point in store.metric_history(run_id)] == list(range(30))
        passed = [event["epoch"] for event in RunFolder(run_id).events() if event["kind"] == "point"]
        assert passed == sorted(set(passed))  # what was passed twice is written once

    @pytest.mark.skipif(sys.platform != "linux", reason="elsewhere workers are not forked")
    def test_workers_leave_with_the_process_they_were_forked_from_and_others_take_their_place(self):
        wait_for_workers()
        [run_id] = runs.launch([spec(epochs=60, width=50)])
        wait_until(lambda: len(recorded_epochs(run_id)) > 7)
        before = worker_processes()
        psutil.Process(worker_pid(run_id)).parent().kill()
        assert wait_for_end(run_id).state == "done"
        assert RunFolder(run_id).count_starts(0) == 2
        assert recorded_epochs(run_id) == list(range(60))
        assert all(has_ended(process.pid) for process in before)
        wait_for_workers()

    def test_the_second_death_fails_the_run_and_says_what_to_do(self):
        wait_for_workers()
        [run_id] = runs.launch([spec(epochs=2000, width=20)])
        for starts in (1, 2):
            wait_until(
                lambda starts=starts: (
                    RunFolder(run_id).count_starts(0) == starts and runs.get(run_id).state == "running"
                )
            )
            os.kill(worker_pid(run_id), signal.SIGKILL)
        run = wait_for_end(run_id)
        assert run.state == "failed"
        assert run.reason == (
            "its worker died 2 times, killed from outside or by the system; a resume goes on from the last checkpoint"
        )
        wait_until(lambda: store.fetch(run_id).state == "failed")

    def test_a_killed_engine_fails_its_runs_and_a_resume_ends_them(self):
        wait_for_workers()
        ids = runs.launch([spec(epochs=60, width=40), spec(epochs=60, width=41), spec(epochs=3)])
        wait_until(lambda: len(recorded_epochs(ids[0])) > 6)
        os.kill(engine.status().pid, signal.SIGKILL)
        ended = [wait_for_end(run_id) for run_id in ids]
        assert [run.state for run in ended] == ["failed"] * 3
        assert ended[0].reason == "the engine stopped while it ran; a resume goes on from the last checkpoint"
        assert ended[2].reason.startswith("it was never begun")
        assert [run.state for run in store.Listing().newest(3)] == ["failed"] * 3
        for run_id in ids:
            runs.resume(run_id)
        assert [wait_for_end(run_id).state for run_id in ids] == ["done"] * 3
        assert [len(recorded_epochs(run_id)) for run_id in ids] == [60, 60, 3]

    def test_launching_processes_killed_at_any_moment_leave_no_run_without_an_end(self):
        wait_for_workers()
        code = "import sys; from kdlib import runs; from tests.fake_runs import spec; print('go', flush=True); "
        code += "runs.launch([spec(epochs=2)] * 3, request_id=sys.argv[1], user='killed')"
        for attempt in range(4):
            process = subprocess.Popen(
                [sys.executable, "-c", code, f"request {attempt}"], cwd=ROOT, stdout=subprocess.PIPE
            )
            process.stdout.readline()
            time.sleep(random.uniform(0.2, 2.5))
            process.kill()
            process.communicate()
        wait_until(lambda: not [run for run in runs.list_runs(user="killed") if run.active])
        ids = runs.launch(
            [spec(epochs=2)] * 3, request_id="request 0", user="killed"
        )  # the same request again: one run each
        assert len(set(ids)) == 3
        for run_id in ids:
            if wait_for_end(run_id).state == "failed":
                runs.resume(run_id)
            assert wait_for_end(run_id).state == "done"
        assert len([run for run in runs.list_runs(user="killed") if run.id in ids]) == 3

    def test_a_run_is_worked_on_by_one_worker_also_when_the_scheduler_thinks_another_one_gone(self):
        wait_for_workers()
        run_id = store.create(spec(), name="", user="mia", engine=engine.engine_id())
        folder = RunFolder(run_id)
        with folder.work_lock():
            engine.submit(engine.execute, Job(run_id, spec().to_json(), "tests.fake_runs:run"), key=run_id)
            wait_until(lambda: engine.states([run_id]).get(run_id) == "running")
            time.sleep(0.5)
            assert folder.count_starts(0) == 0
            folder.write_end(0, Outcome("cancelled"))
        assert wait_for_end(run_id).state == "cancelled"
        assert folder.count_starts(0) == 0

    @pytest.mark.timeout(3600)
    @pytest.mark.parametrize("kills", [20, pytest.param(200, marks=pytest.mark.slow)])
    def test_random_kills_leave_every_run_in_one_right_state(self, kills):
        rng = random.Random(kills)
        ids = []
        for _ in range(kills):
            engine.start()
            if len([run_id for run_id in ids[-6:] if runs.get(run_id).active]) < 3:
                ids += runs.launch([spec(epochs=rng.randint(5, 60), width=rng.randint(5, 40)) for _ in range(2)])
            if rng.random() < 0.5:  # otherwise hardly anyone lives long enough to begin
                wait_until(lambda: (engine.start(), engine.status().workers)[1])
            time.sleep(rng.uniform(0, 1.2))
            targets = worker_processes()
            if rng.random() < 0.15 or not targets:
                targets = [psutil.Process(engine.status().pid)] if engine.status().running else []
            if targets:
                rng.choice(targets).kill()
        ended = [wait_for_end(run_id) for run_id in ids]
        assert {run.state for run in ended} <= {"done", "failed"}
        assert {run.reason for run in ended if "worker died" not in run.reason and "stopped" not in run.reason} <= {""}
        for run in ended:
            points = recorded_epochs(run.id)
            assert points == list(range(len(points)))
            if run.state == "done":
                assert len(points) == run.spec.epochs
                assert runs.result(run.id).metrics["test"]["accuracy"].mean == fake_runs.value(run.spec, 0, 0)
        # An end is known from a run's folder before the store has it; whoever looks brings the store up to date.
        wait_until(
            lambda: runs.list_runs(limit=1000) and not [run for run in store.Listing().newest(1000) if run.active]
        )
        assert len({run.id for run in ended}) == len(ids)
