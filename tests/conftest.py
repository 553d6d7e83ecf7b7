"""What every test shares: a data folder of its own (never the user's), and the `--slow` switch."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import pytest

_HOME = pytest.StashKey[tuple[str, str | None]]()


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="also run the tests marked slow")


def pytest_configure(config):
    """One folder for each process of the session; all share their caches: a dataset or an embedding is built once."""
    home, before = tempfile.mkdtemp(prefix="kdlib-tests-"), os.environ.get("KDLIB_HOME")
    for name in ("cache", "locks"):
        if hasattr(config, "workerinput"):  # one of several processes; the first of all has set the variable
            os.symlink(os.path.join(before, name), os.path.join(home, name))
        else:
            os.mkdir(os.path.join(home, name))
    config.stash[_HOME] = (home, before)
    os.environ["KDLIB_HOME"] = home


def pytest_unconfigure(config):
    folder, before = config.stash[_HOME]
    shutil.rmtree(folder, ignore_errors=True)
    if before is None:
        os.environ.pop("KDLIB_HOME", None)
    else:
        os.environ["KDLIB_HOME"] = before


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory):
    """An MLflow database without a run: it takes seconds to make and milliseconds to copy."""
    from kdlib.store import connection

    path = tmp_path_factory.mktemp("database") / "mlflow.db"
    connection.load_library()
    connection.create_database(path)
    return path


@pytest.fixture
def fresh_home(tmp_path, monkeypatch, empty_database):
    """A data folder of its own for one test, with an empty store in it."""
    home = tmp_path / "home"
    home.mkdir()
    shutil.copyfile(empty_database, home / "mlflow.db")
    monkeypatch.setenv("KDLIB_HOME", str(home))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("KDLIB_SCHEDULER", raising=False)
    return home


@pytest.fixture
def files_read_here(monkeypatch):
    """Foreign files are read in this process, which the tests of the gate show to be the same."""
    from kdlib.data import importing, intake
    from kdlib.data.intake import reading

    def read(path, folder, name="", limits=None, on_progress=None, form=None, layout=""):
        limits = limits or intake.Limits()
        return reading.read(Path(path), name or Path(path).name, folder, limits, form=form, layout=layout)

    monkeypatch.setattr(importing.source.intake, "read", read)


@pytest.fixture
def app_home(tmp_path, monkeypatch):
    """A data folder for pages that are opened without a browser; none of them starts an engine.

    `app.py` says what pages there are, as `pages/server.py` does: AppTest forgets it and runs a page's file alone.
    """
    from streamlit.runtime.pages_manager import PagesManager

    from kdlib import engine

    original = PagesManager.__init__

    def init(self, *args, **kwargs):
        PagesManager.uses_pages_directory = False
        original(self, *args, **kwargs)

    monkeypatch.setattr(PagesManager, "__init__", init)
    monkeypatch.setenv("KDLIB_HOME", str(tmp_path))
    monkeypatch.setattr(engine, "submit", lambda *_, **__: None)
    return tmp_path


class TrackingServer:
    """A real tracking server of MLflow on loopback, with a database and artifacts of its own."""

    def __init__(self, folder, database):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.uri = f"http://127.0.0.1:{port}"
        shutil.copyfile(database, folder / "server.db")
        command = [
            sys.executable,
            "-m",
            "mlflow",
            "server",
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            "--workers",
            "1",
        ]
        command += [
            "--backend-store-uri",
            f"sqlite:///{folder / 'server.db'}",
            "--artifacts-destination",
            str(folder / "artifacts"),
        ]
        with (folder / "server.log").open("wb") as log:
            quiet = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
            self.process = subprocess.Popen(command, env=quiet, stdout=log, stderr=log, start_new_session=True)
        for _ in range(600):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{self.uri}/health", timeout=1).close()
                return
            time.sleep(0.1)
        raise AssertionError((folder / "server.log").read_text())

    def signal(self, number):
        os.killpg(self.process.pid, number)

    @contextlib.contextmanager
    def away(self):
        self.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.signal(signal.SIGCONT)


@pytest.fixture(scope="session")
def tracking_server(tmp_path_factory, empty_database):
    server = TrackingServer(tmp_path_factory.mktemp("server"), empty_database)
    yield server
    server.signal(signal.SIGKILL)
    server.process.wait()


def pytest_collection_modifyitems(config, items):
    if config.getoption("--slow"):
        return
    slow = [item for item in items if item.get_closest_marker("slow")]
    if slow:
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]
