"""Launching: the same request is one run, a launched run outlives its process, and users take turns."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from kdlib import engine, runs, store
from kdlib.engine import RunFolder
from tests.fake_runs import spec
from tests.live_engine import ROOT, data_folder, wait_for_end, wait_for_workers, wait_until


@pytest.fixture(scope="module")
def home(tmp_path_factory, empty_database):
    with data_folder(tmp_path_factory.mktemp("engine"), empty_database) as path:
        yield path


@pytest.mark.usefixtures("home")
class TestLaunch:
    def test_the_same_request_from_several_processes_at_once_is_one_run(self):
        wait_for_workers()
        code = "from kdlib import runs; from tests.fake_runs import spec; "
        code += "print(*runs.launch([spec(), spec(dim=2)], request_id='double click'))"
        command = [sys.executable, "-c", code]
        with ThreadPoolExecutor() as pool:
            outputs = list(
                pool.map(
                    lambda _: subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout,
                    range(2),
                )
            )
        assert outputs[0].split() == outputs[1].split()
        ids = outputs[0].split()
        assert [wait_for_end(run_id).state for run_id in ids] == ["done"] * 2
        assert [RunFolder(run_id).count_starts(0) for run_id in ids] == [1, 1]

    def test_a_launch_that_a_busy_machine_holds_up_is_not_taken_for_dead(self):
        wait_for_workers()
        run_id = store.create(spec(), name="held up", user="me", engine=engine.engine_id())
        store.set_tags(run_id, submitted=time.time() - 60)
        with RunFolder(run_id).launch_lock():
            assert runs.get(run_id).state == "queued"
        run = runs.get(run_id)  # the process that launched it is gone, and no engine has it
        assert (run.state, run.reason.split(":")[0]) == ("failed", "it was never begun")

    def test_runs_outlive_a_process_that_ends_in_the_moment_they_are_launched(self):
        wait_for_workers()
        busy = runs.launch([spec(epochs=1000, width=20)] * 2)
        code = """if True:  # on a busy machine what is sent goes in pieces, and late
            import os, time, distributed
            from kdlib import runs
            from kdlib.engine import scheduler
            from tests.fake_runs import spec
            scheduler.connect().dask.scheduler_comm.interval = 2
            forget = distributed.fire_and_forget
            distributed.fire_and_forget = lambda future: (time.sleep(0.3), forget(future))
            time.sleep(2)
            print(*runs.launch([spec(epochs=2)]), flush=True)
            os._exit(0)
        """
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
        [waiting] = done.stdout.split()
        time.sleep(0.5)
        assert runs.get(waiting).state == "queued"
        for run_id in busy:
            runs.cancel(run_id)
        assert wait_for_end(waiting).state == "done"

    def test_many_runs_of_one_user_do_not_hold_up_the_first_of_another(self):
        wait_for_workers()
        many = runs.launch([spec(epochs=2000, width=20)] * 10, user="many")
        wait_until(lambda: sum(RunFolder(run_id).count_starts(0) for run_id in many) == 2)
        [one] = runs.launch([spec()], user="one")
        runs.cancel(many[0])
        assert wait_for_end(one).state == "done"
        runs.cancel(many[1])
        wait_until(lambda: sum(RunFolder(run_id).count_starts(0) for run_id in many) == 4)
        begun = {
            run_id: [e["t"] for e in RunFolder(run_id).events() if e["kind"] == "start"] for run_id in (one, *many)
        }
        assert all(begun[one] < begun[run_id] for run_id in many[2:] if begun[run_id])
        for run_id in many:
            runs.cancel(run_id)
