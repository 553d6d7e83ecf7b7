"""The engine with the real training: a direct run's numbers, also when the worker is killed; a cancel in each phase."""

import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

from kdlib import engine, runs, spaces, store
from kdlib.engine import RunFolder
from kdlib.spec import RunSpec
from tests.live_engine import (
    ROOT,
    data_folder,
    has_ended,
    recorded_epochs,
    wait_for_end,
    wait_for_workers,
    wait_until,
    worker_pid,
)

SPEC = RunSpec(dataset="digits", labels=100, method="linear", dim=4, epochs=6, seeds=2, width=4)


@pytest.fixture(scope="module")
def home(tmp_path_factory, empty_database):
    shared = os.environ["KDLIB_HOME"]
    with data_folder(
        tmp_path_factory.mktemp("real"), empty_database, KDLIB_FUNCTION="kdlib.pipeline:run", KDLIB_STALL_SECONDS="300"
    ) as path:
        os.makedirs(f"{shared}/cache", exist_ok=True)
        (path / "cache").symlink_to(f"{shared}/cache")  # datasets and embeddings that other tests have made
        yield path


@pytest.fixture(scope="module")
def direct(home, tmp_path_factory):
    """What a direct run on one thread gives, apart from the clock."""
    path = tmp_path_factory.mktemp("direct")
    code = (
        "import json, sys, torch; torch.set_num_threads(1)\n"
        "from kdlib.engine.worker import save_result; from kdlib.engine import RunFolder\n"
        "from kdlib.pipeline import run; from kdlib.spec import RunSpec\n"
        "folder = RunFolder('0' * 32); save_result(folder, run(RunSpec.from_json(sys.argv[1]), device='cpu'))\n"
    )
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", code, SPEC.to_json()], env=environment, cwd=ROOT, check=True)
    shutil.copytree(RunFolder("0" * 32).result, path / "result")
    return runs.result("0" * 32), runs.arrays("0" * 32, "predictions")


def same(run_id, direct):
    """Assert that a run gave the numbers of the direct one."""
    result, predictions = runs.result(run_id), runs.arrays(run_id, "predictions")
    assert result.metrics == direct[0].metrics
    assert result.attributes == direct[0].attributes
    assert [point.val for point in result.history] == [point.val for point in direct[0].history]
    assert predictions.keys() == direct[1].keys()
    for name, array in predictions.items():
        np.testing.assert_array_equal(array, direct[1][name])


def test_a_background_run_gives_the_numbers_of_a_direct_one_also_when_two_train_at_once(home, direct):
    ids = runs.launch([SPEC, SPEC], device="cpu")
    for run_id in ids:
        run = wait_for_end(run_id)
        assert (run.state, run.reason) == ("done", "")
        same(run_id, direct)
    shown = runs.history(ids[0])
    assert [point.epoch for point in shown] == [point.epoch for point in direct[0].history]


def test_a_run_whose_worker_is_killed_gives_them_too(home, direct):
    [run_id] = runs.launch([SPEC], device="cpu")
    wait_until(lambda: len(recorded_epochs(run_id)) >= 2, every=0.001)
    os.kill(worker_pid(run_id), signal.SIGKILL)
    assert wait_for_end(run_id).state == "done"
    assert RunFolder(run_id).count_starts(0) == 2
    same(run_id, direct)


def test_a_spec_that_cannot_be_run_is_refused_at_launch(home):
    with pytest.raises(ValueError, match="dim 4000 is above the width"):
        runs.launch([SPEC.replace(dim=4000)])


def worker_lives(run_id):
    """Assert that a run had one worker, which is there for the next one."""
    wait_until(lambda: not engine.states([run_id]))
    assert RunFolder(run_id).count_starts(0) == 1
    assert not has_ended(worker_pid(run_id))
    assert engine.status().workers == 2


def last_state(run_id):
    """Assert that a cancelled run has been kept, unmeasured, and that its spaces can be looked at."""
    result = runs.result(run_id)
    assert (result.status, result.metrics, result.attributes) == ("cancelled", {}, {})
    assert [point.epoch for point in result.history] == recorded_epochs(run_id)
    for split in spaces.list_splits("digits", cancelled=True):
        loaded = spaces.load_spaces(run_id, split, member=1)
        assert set(loaded.spaces) == set(spaces.SPACE_NAMES)
        assert len(loaded.logits) == len(loaded.rows) > 0
    assert len(spaces.replay(run_id).epochs) == len(result.history) + 1
    assert spaces.probe_table(result).empty


def test_a_cancelled_run_keeps_its_last_state_and_its_worker(home):
    wait_for_workers()
    [run_id] = runs.launch([SPEC.replace(epochs=2000)], device="cpu")
    wait_until(lambda: recorded_epochs(run_id))
    pid = worker_pid(run_id)
    runs.cancel(run_id)
    assert wait_for_end(run_id).state == "cancelled"
    worker_lives(run_id)
    last_state(run_id)
    assert runs.resume(run_id).active
    assert runs.cancel(run_id).state in ("queued", "running", "cancelled")
    assert wait_for_end(run_id).state == "cancelled"
    assert runs.result(run_id).history, "a cancel before it trained again leaves what there was"
    assert not has_ended(pid)


@pytest.fixture(scope="module")
def paused(tmp_path_factory, empty_database):
    settings = {"KDLIB_FUNCTION": "tests.paused_runs:run", "KDLIB_STALL_SECONDS": "300"}
    with data_folder(tmp_path_factory.mktemp("paused"), empty_database, **settings) as path:
        yield path


class TestCancelInAPhase:
    def launch_and_wait(self, folder, phase, spec):
        """Return a run that waits in the middle of a phase."""
        (folder / "reached").unlink(missing_ok=True)
        (folder / "pause").write_text(phase)
        wait_for_workers()
        [run_id] = runs.launch([spec], device="cpu")
        wait_until((folder / "reached").exists)
        return run_id

    @pytest.mark.parametrize("phase", ["loading", "embedding", "fitting", "training", "measuring"])
    def test_the_run_is_cancelled_and_its_worker_lives(self, paused, phase):
        spec = SPEC.replace(
            method="autoencoder" if phase == "fitting" else "mlp",
            teacher="parity" if phase == "embedding" else "random",
        )
        run_id = self.launch_and_wait(paused, phase, spec)
        wait_until(lambda: runs.get(run_id).phase == phase)
        assert runs.cancel(run_id).state in ("running", "cancelled")
        runs.cancel(run_id)  # twice is once
        assert wait_for_end(run_id).state == "cancelled"
        worker_lives(run_id)
        if phase in ("training", "measuring"):
            last_state(run_id)
        else:
            with pytest.raises(store.RunNotFoundError):
                runs.result(run_id)

    def test_a_cancel_that_comes_while_saving_is_too_late(self, paused):
        run_id = self.launch_and_wait(paused, "saving", SPEC)
        runs.cancel(run_id)
        assert wait_for_end(run_id).state == "done"
        worker_lives(run_id)
        assert runs.cancel(run_id).state == "done"
        assert runs.result(run_id).metrics
