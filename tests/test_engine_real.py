"""The engine with the real training: the same numbers as a direct run, also when the worker is killed on the way."""

import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

from kdlib import runs
from kdlib.engine import RunFolder
from kdlib.spec import RunSpec
from tests.test_engine import ROOT, data_folder, epochs, over, until, worker_of

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
        "from kdlib.engine.worker import save; from kdlib.engine import RunFolder\n"
        "from kdlib.pipeline import run; from kdlib.spec import RunSpec\n"
        "folder = RunFolder('0' * 32); save(folder, run(RunSpec.from_json(sys.argv[1]), device='cpu'))\n"
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
        run = over(run_id, 120)
        assert (run.state, run.reason) == ("done", "")
        same(run_id, direct)
    shown = runs.history(ids[0])
    assert [point.epoch for point in shown] == [point.epoch for point in direct[0].history]


def test_a_run_whose_worker_is_killed_gives_them_too(home, direct):
    [run_id] = runs.launch([SPEC], device="cpu")
    until(lambda: len(epochs(run_id)) >= 2, 60, every=0.001)
    os.kill(worker_of(run_id), signal.SIGKILL)
    assert over(run_id, 120).state == "done"
    assert RunFolder(run_id).starts(0) == 2
    same(run_id, direct)


def test_a_spec_that_cannot_be_run_is_refused_at_launch(home):
    with pytest.raises(ValueError, match="dim 4000 is above the width"):
        runs.launch([SPEC.but(dim=4000)])
