"""A data folder with an engine of its own for tests, and how they wait for the runs in it."""

import json
import shutil
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from kdlib import engine, runs
from kdlib.engine import RunFolder
from kdlib.engine.process import engine_folder

ROOT = Path(__file__).resolve().parent.parent
STALL = 4  # seconds without a step after which a worker counts as hung
HANG = 120  # seconds after which a test counts as hung; tests/benchmarks/engine.py prints how long things take
ENVIRONMENT = {
    "KDLIB_FUNCTION": "tests.fake_runs:run",
    "KDLIB_WORKERS": "2",
    "KDLIB_WORKER_THREADS": "1",
    "KDLIB_STALL_SECONDS": str(STALL),
    "KDLIB_SYNC_SECONDS": "20",
}


@contextmanager
def data_folder(path, database, **environment):
    """A data folder with an empty store; its engine, if one was started, is gone afterwards."""
    path.mkdir(exist_ok=True)
    shutil.copyfile(database, path / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (ENVIRONMENT | {"KDLIB_HOME": str(path)} | environment).items():
            patch.setenv(name, value)
        for name in ("MLFLOW_TRACKING_URI", "KDLIB_SCHEDULER"):
            if name not in environment:
                patch.delenv(name, raising=False)
        try:
            yield path
        finally:
            engine.stop()


def wait_until(condition, every=0.02):
    """Wait until the condition holds and return its value; fail when it seems never to."""
    deadline = time.monotonic() + HANG
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(every)
    raise AssertionError(f"still not after {HANG} s")


def wait_for_end(run_id):
    return wait_until(lambda: None if (run := runs.get(run_id)).active else run)


def worker_processes():
    """Return the processes that train."""
    with suppress(psutil.NoSuchProcess, FileNotFoundError):
        engine_pid = json.loads((engine_folder() / "engine.json").read_text())["pid"]
        family = psutil.Process(engine_pid).children(recursive=True)
        return [child for child in family if child.ppid() != engine_pid or "spawn_main" in " ".join(child.cmdline())]
    return []


def worker_pid(run_id):
    """Return the process id of the worker that has begun with a run last."""
    return [event["pid"] for event in RunFolder(run_id).events() if event["kind"] == "start"][-1]


def has_ended(pid):
    """Return whether a process is over."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def recorded_epochs(run_id):
    return [point.epoch for point in runs.history(run_id)]


def wait_for_workers():
    """Wait until both workers are there, so that a test measures what it is about."""
    engine.start()
    wait_until(lambda: engine.status().workers == 2)
