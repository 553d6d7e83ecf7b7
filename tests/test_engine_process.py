"""The process of the local engine: started once, private, gone when it is idle, and quiet about it."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from kdlib import engine, runs
from kdlib.engine import local
from kdlib.engine.process import engine_folder
from tests.fake_runs import spec
from tests.live_engine import ROOT, data_folder, has_ended, wait_for_end, wait_for_workers, wait_until


@pytest.fixture(scope="module")
def home(tmp_path_factory, empty_database):
    with data_folder(tmp_path_factory.mktemp("engine"), empty_database) as path:
        yield path


def test_two_processes_that_need_an_engine_start_one(tmp_path, empty_database):
    with data_folder(tmp_path / "two", empty_database):
        command = [sys.executable, "-c", "from kdlib import engine; print(engine.start())"]
        with ThreadPoolExecutor() as pool:
            addresses = list(pool.map(lambda _: subprocess.check_output(command, cwd=ROOT, text=True), range(2)))
        assert addresses[0] == addresses[1]


def test_an_engine_is_stopped_while_it_starts(tmp_path, empty_database):
    with data_folder(tmp_path / "hasty", empty_database):
        process = local.spawn_engine()
        wait_until(local.is_locked, every=0.001)
        assert engine.stop()
        wait_until(lambda: process.poll() is not None)


# The process that looks has the lock until the first attempt of the starting engine has failed.
PROBED = """if True:
    from filelock import FileLock
    from kdlib.engine import process

    class SecondAttemptLock(FileLock):
        def _acquire(self):
            super()._acquire()
            probe.release()

    probe = FileLock(process.engine_folder() / "lock")
    probe.acquire()
    process.FileLock = SecondAttemptLock
    process.serve = lambda: None
    process.asyncio.run = lambda _: print("serves")
    process.forkserver.ensure_running = lambda: None
    process.main()
"""


def test_a_starting_engine_once_left_when_another_process_looked_whether_there_is_one(tmp_path, empty_database):
    with data_folder(tmp_path / "probed", empty_database):
        assert subprocess.check_output([sys.executable, "-c", PROBED], cwd=ROOT, text=True) == "serves\n"


@pytest.mark.usefixtures("home")
def test_everything_listens_on_loopback_and_keys_are_private():
    wait_for_workers()
    process = psutil.Process(engine.status().pid)
    family = [process, *process.children(recursive=True)]
    listening = [
        c.laddr.ip for member in family for c in member.net_connections("inet") if c.status == psutil.CONN_LISTEN
    ]
    assert len(listening) >= 5
    assert set(listening) == {"127.0.0.1"}
    for name in ("tls.pem", "engine.json"):
        assert (engine_folder() / name).stat().st_mode & 0o077 == 0


@pytest.mark.usefixtures("home")
def test_who_has_no_key_cannot_talk_to_the_engine():
    wait_for_workers()
    code = (
        "import sys, distributed\n"
        "try:\n    distributed.Client(sys.argv[1], security=distributed.Security.temporary(), timeout=3)\n"
        "except OSError:\n    print('refused')\n"
    )
    command = [sys.executable, "-c", code, engine.status().address]
    assert subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.strip() == "refused"


def test_an_idle_engine_leaves_and_the_next_run_starts_another(tmp_path, empty_database):
    with data_folder(tmp_path / "idle", empty_database, KDLIB_ENGINE_IDLE="3"):
        engine.start()
        pid = engine.status().pid
        wait_until(lambda: has_ended(pid))
        assert not engine.status().running
        [run_id] = runs.launch([spec(epochs=1)])
        assert wait_for_end(run_id).state == "done"


def test_an_engine_that_cannot_start_is_an_error_that_names_its_log(tmp_path, empty_database):
    with (
        data_folder(tmp_path / "broken", empty_database, KDLIB_WORKERS="many"),
        pytest.raises(engine.EngineError, match=r"engine\.log"),
    ):
        engine.start()


CODE = """if True:
    import logging, time
    from kdlib import engine
    from kdlib.engine import scheduler

    logging.basicConfig(level=logging.ERROR)
    while True:  # on a busy machine the first may have left before we ask
        engine.start()
        if engine.status().running and scheduler._client:
            break
    client = scheduler._client
    deadline = time.monotonic() + 90
    # It notices, tries to come back, and gives up.
    while client.dask.status != "closed" and time.monotonic() < deadline:
        time.sleep(0.1)
    print(client.dask.status, engine.status().running)
"""


def test_an_engine_that_leaves_by_itself_is_not_logged_as_an_error(tmp_path, empty_database):
    with data_folder(tmp_path / "quiet", empty_database, KDLIB_ENGINE_IDLE="8"):
        done = subprocess.run(
            [sys.executable, "-c", CODE], cwd=ROOT, env=os.environ, capture_output=True, text=True, check=True
        )
    assert done.stdout.split() == ["closed", "False"]
    assert done.stderr == ""
