"""Runs while the store is locked or away, or the disk is full: training goes on, and nothing is lost."""

import shutil
import sqlite3
import subprocess
import threading
from contextlib import suppress

import pytest

from kdlib import engine, runs, store
from kdlib.engine import Job, RunFolder, recorder
from kdlib.progress import Progress
from kdlib.results import Point
from kdlib.summary import Summary
from tests import fake_runs
from tests.fake_runs import spec
from tests.live_engine import HANG, data_folder, recorded_epochs, wait_for_end, wait_for_workers, wait_until


@pytest.fixture(scope="module")
def home(tmp_path_factory, empty_database):
    with data_folder(tmp_path_factory.mktemp("engine"), empty_database) as path:
        yield path


def test_no_step_of_a_training_waits_for_the_store(tmp_path, monkeypatch):
    called, release = threading.Event(), threading.Event()
    monkeypatch.setenv("KDLIB_HOME", str(tmp_path))
    monkeypatch.setattr(store, "set_state", lambda *_: (called.set(), release.wait(HANG)))
    monkeypatch.setattr(recorder, "push", lambda *_: release.wait(HANG))
    folder = RunFolder("0" * 32)
    with recorder.Recorder(folder, Job(folder.path.name, spec().to_json())) as record:
        try:
            assert called.wait(HANG)
            assert not any(record(Progress(epoch + 1, 100, Point(epoch))) for epoch in range(100))
            assert len(folder.points()) == 100
        finally:
            release.set()


@pytest.mark.parametrize("steps", [64, pytest.param(480, marks=pytest.mark.slow)])
def test_training_goes_on_while_the_store_is_locked_and_nothing_is_lost(home, steps):
    wait_for_workers()
    long_spec = spec(epochs=steps + 100, width=50)  # it outlasts the lock
    [run_id] = runs.launch([long_spec])
    wait_until(lambda: len(recorded_epochs(run_id)) > 5)
    holder = sqlite3.connect(home / "mlflow.db", isolation_level=None)
    wait_until(lambda: not holder.execute("BEGIN EXCLUSIVE").fetchall() or True)
    before = len(RunFolder(run_id).points())
    wait_until(lambda: len(RunFolder(run_id).points()) >= before + steps)
    assert runs.get(run_id).progress < 1  # what this machine knows, while the store does not answer
    holder.rollback()
    holder.close()
    assert wait_for_end(run_id).unsynced == 0
    assert [point.epoch for point in store.metric_history(run_id)] == list(range(long_spec.epochs))


def test_a_store_that_stays_away_slows_nothing_and_a_resume_makes_up_for_it(tmp_path, empty_database, tracking_server):
    impatient = {"KDLIB_SYNC_SECONDS": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "1", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    with data_folder(tmp_path / "away", empty_database, MLFLOW_TRACKING_URI=tracking_server.uri, **impatient):
        wait_for_workers()
        long_spec = spec(epochs=40, width=50)
        [run_id] = runs.launch([long_spec])
        wait_until(lambda: len(recorded_epochs(run_id)) > 5)
        with tracking_server.away():
            wait_until(lambda: len(recorded_epochs(run_id)) == 40)
            wait_until(lambda: not engine.states([run_id]))
            run = runs.get(run_id)
            assert (run.state, run.progress) == ("done", 1.0)
            assert run.unsynced > 0
            assert run.accuracy() == Summary(fake_runs.value(long_spec, 0, 0), 0.01)
            assert runs.arrays(run_id, "predictions")["logits/test"].shape == (2, 4, 2)
        if runs.get(run_id).unsynced:  # asking for it may have made up for it already
            runs.resume(run_id)
        run = store.fetch(run_id)
        assert (run.state, run.accuracy()) == ("done", Summary(fake_runs.value(long_spec, 0, 0), 0.01))
        assert [point.epoch for point in store.metric_history(run_id)] == list(range(40))
        assert runs.arrays(run_id, "predictions")["logits/test"].shape == (2, 4, 2)


@pytest.fixture
def small_disk(tmp_path, empty_database):
    """A data folder on a disk of 12 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if (
        shutil.which("mount") is None
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(folder)], check=False).returncode
    ):
        pytest.skip("mounting a small disk is not allowed here")
    try:
        with data_folder(folder, empty_database):
            yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_fails_the_run_keeps_earlier_results_and_passes(small_disk):
    [first] = runs.launch([spec(epochs=2)])
    wait_for_end(first)
    [run_id] = runs.launch([spec(epochs=150, width=20)])
    wait_until(lambda: len(recorded_epochs(run_id)) > 2)
    with suppress(OSError), (small_disk / "filler").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    run = wait_for_end(run_id)
    assert (run.state, run.reason) == ("failed", "disk full: free some space, then resume")
    assert runs.result(first).status == "done"
    (small_disk / "filler").unlink()
    assert runs.resume(run_id).resumes == 1
    assert wait_for_end(run_id).state == "done"
    assert recorded_epochs(run_id) == list(range(150))
