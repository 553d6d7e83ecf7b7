"""Cancelling and resuming runs in the background, with real processes."""

import pytest

from kdlib import engine, runs, store
from kdlib.engine import RunFolder
from tests.fake_runs import spec
from tests.live_engine import (
    data_folder,
    has_ended,
    recorded_epochs,
    wait_for_end,
    wait_for_workers,
    wait_until,
    worker_pid,
)


@pytest.fixture(scope="module")
def home(tmp_path_factory, empty_database):
    with data_folder(tmp_path_factory.mktemp("engine"), empty_database) as path:
        yield path


@pytest.mark.usefixtures("home")
class TestCancel:
    def test_a_running_run_stops_before_its_last_step_and_its_worker_lives_on(self):
        [run_id] = runs.launch([spec(epochs=2000, width=20)])
        wait_until(lambda: recorded_epochs(run_id))
        pid = worker_pid(run_id)
        assert runs.cancel(run_id).cancelling or not runs.get(run_id).active
        assert wait_for_end(run_id).state == "cancelled"
        wait_until(lambda: not engine.states([run_id]))
        assert len(recorded_epochs(run_id)) < 2000
        assert (RunFolder(run_id).count_starts(0), has_ended(pid)) == (1, False)
        assert runs.cancel(run_id).state == "cancelled"  # twice is once

    def test_a_queued_run_never_starts(self):
        busy = runs.launch([spec(epochs=100, width=20)] * 2)
        [run_id] = runs.launch([spec()])
        assert runs.cancel(run_id).state == "cancelled"
        for other in busy:
            runs.cancel(other)
        assert [wait_for_end(other).state for other in busy] == ["cancelled"] * 2
        assert recorded_epochs(run_id) == []
        assert RunFolder(run_id).count_starts(0) == 0

    def test_a_run_is_cancelled_in_the_moment_it_starts(self):
        for _ in range(5):
            [run_id] = runs.launch([spec(epochs=200)])
            runs.cancel(run_id)
            assert wait_for_end(run_id).state == "cancelled"

    def test_a_run_that_does_not_listen_loses_its_worker(self):
        wait_for_workers()
        [run_id] = runs.launch([spec(epochs=1, student="slow to save")])
        wait_until(lambda: recorded_epochs(run_id))
        pid = worker_pid(run_id)
        assert runs.cancel(run_id).cancelling
        assert wait_for_end(run_id).state == "cancelled"
        wait_until(lambda: has_ended(pid))  # by itself it would stay for an hour
        wait_until(lambda: store.fetch(run_id).state == "cancelled")
        wait_for_workers()

    def test_a_finished_run_stays_done(self):
        [run_id] = runs.launch([spec(epochs=1)])
        wait_for_end(run_id)
        assert runs.cancel(run_id).state == "done"

    def test_a_cancelled_run_goes_on_where_it_was(self):
        [run_id] = runs.launch([spec(epochs=40, width=50)])
        wait_until(lambda: len(recorded_epochs(run_id)) > 6)
        runs.cancel(run_id)
        stopped = len(wait_for_end(run_id) and recorded_epochs(run_id))
        runs.resume(run_id)
        with pytest.raises(ValueError, match="cancel it first"):
            runs.delete(run_id)
        run = wait_for_end(run_id)
        assert (run.state, run.resumes) == ("done", 1)
        assert stopped < 40
        assert recorded_epochs(run_id) == list(range(40))
        with pytest.raises(ValueError, match="done: there is nothing to resume"):
            runs.resume(run_id)
