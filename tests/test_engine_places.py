"""The engine in other places: on a cluster whose workers have other disks, and in little memory."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from kdlib import engine, runs, store
from kdlib.engine import RunFolder
from tests.fake_runs import spec
from tests.live_engine import ENVIRONMENT, ROOT, data_folder, recorded_epochs, wait_for_end, wait_until


@pytest.fixture
def cluster(tmp_path, empty_database, tracking_server):
    """A scheduler and a worker as someone else would start them; they share nothing with us but the tracking server."""
    theirs = {"KDLIB_HOME": str(tmp_path / "theirs"), "PYTHONPATH": str(ROOT)}
    environment = (
        os.environ | ENVIRONMENT | theirs | {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
    )  # work brings the right one along
    command = [sys.executable, "-m", "dask"]
    loopback = ["--host", "127.0.0.1", "--no-dashboard", "--scheduler-file", str(tmp_path / "scheduler.json")]
    scheduler = [*command, "scheduler", "--port", "0", "--dashboard-address", "127.0.0.1:0", *loopback]
    worker = [*command, "worker", "--nthreads", "1", "--preload", "kdlib.engine.worker", *loopback]
    with (tmp_path / "log").open("wb") as log:
        processes = [
            subprocess.Popen(arguments, env=environment, cwd=tmp_path, stdout=log, stderr=log, start_new_session=True)
            for arguments in (scheduler, worker)
        ]
    try:
        wait_until(lambda: (tmp_path / "scheduler.json").exists())
        address = json.loads(wait_until((tmp_path / "scheduler.json").read_text))["address"]
        with data_folder(
            tmp_path / "ours", empty_database, KDLIB_SCHEDULER=address, MLFLOW_TRACKING_URI=tracking_server.uri
        ) as path:
            wait_until(lambda: engine.status().workers == 1)
            yield path
            engine.disconnect()
            os.environ.pop("KDLIB_SCHEDULER")
    finally:
        for process in processes:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.mark.usefixtures("cluster")
def test_runs_on_a_cluster_with_other_disks_and_a_server_for_a_store():
    assert not engine.status().local
    done, long = runs.launch([spec(epochs=4), spec(epochs=2000, width=20)], user="mia")
    assert wait_for_end(done).state == "done"
    assert not RunFolder(done).points()  # they are on the worker's disk
    assert recorded_epochs(done) == [0, 1, 2, 3]
    assert runs.arrays(done, "student")["student/w"].shape == (2, 3)
    wait_until(lambda: len(recorded_epochs(long)) > 1)
    assert runs.get(long).state == "running"
    assert runs.get(long).progress > 0
    runs.cancel(long)
    assert wait_for_end(long).state == "cancelled"
    assert len(recorded_epochs(long)) < 2000
    with pytest.raises(engine.EngineError, match="not ours to stop"):
        engine.stop()


def test_a_run_that_needs_more_memory_than_its_worker_has_is_failed_for_that(tmp_path, empty_database):
    with data_folder(tmp_path / "small", empty_database, KDLIB_WORKERS="1", KDLIB_WORKER_MEMORY=str(10**9)):
        [run_id] = runs.launch([spec(epochs=100, width=150, student="eats memory")])
        run = wait_for_end(run_id)
        assert run.state == "failed"
        assert run.reason.startswith("its worker died 2 times: out of memory (")
        [run_id] = runs.launch([spec()])
        assert wait_for_end(run_id).state == "done"
        assert store.fetch(run_id).state == "done"


def test_another_machines_runs_are_not_declared_dead(tmp_path, empty_database):
    with data_folder(tmp_path / "shared", empty_database):
        run_id = store.create(spec(), name="theirs", user="mia", engine="another one")
        store.set_state(run_id, store.RUNNING)
        store.set_tags(run_id, submitted=time.time() - 100)
        assert runs.get(run_id).state == "running"
        with pytest.raises(ValueError, match="launched to another engine"):
            runs.cancel(run_id)
