"""The process of the local engine seen from outside: whether there is one, start it, end it."""

import json
import os
import secrets
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from kdlib.cache import atomic_path, home
from kdlib.engine.process import engine_folder

MAX_LOG_BYTES = 5e6  # a longer log is put aside when the next engine starts


class EngineError(ValueError):
    """The engine cannot be started or does not answer; the message is for a person."""


@dataclass(frozen=True)
class LocalEngine:
    """What the process of a local engine wrote about itself.

    Attributes:
        address: of its scheduler.
        pid: of the process.
    """

    address: str
    pid: int


def engine_name() -> str:
    """Return 16 hexadecimal digits that name the local engine of this data folder."""
    path = engine_folder() / "name"
    if not path.exists():
        with FileLock(engine_folder() / "name.lock", timeout=10):
            if not path.exists():
                with atomic_path(path) as temporary:
                    temporary.write_text(secrets.token_hex(8), encoding="ascii")
    return path.read_text(encoding="ascii")


def find_engine() -> LocalEngine | None:
    """Return the local engine that is alive, None if there is none."""
    try:
        content = json.loads((engine_folder() / "engine.json").read_text(encoding="utf-8"))
        process = psutil.Process(content["pid"])
        alive = process.create_time() < content["started"] + 1 and process.status() != psutil.STATUS_ZOMBIE
    except (OSError, ValueError, psutil.Error):
        return None
    return LocalEngine(content["address"], content["pid"]) if alive else None


def start_engine(seconds: float) -> LocalEngine:
    """Return the local engine, starting it when there is none.

    Raises:
        EngineError: it does not come up within so many seconds; the message names its log.
    """
    engine, process = find_engine(), None
    deadline = time.monotonic() + seconds
    while engine is None:
        if (process is None or process.poll() == 0) and not is_locked():  # with 0 it leaves where another is alive
            process = spawn_engine()
        if (process and process.poll()) or time.monotonic() > deadline:
            log = engine_folder() / "engine.log"
            raise EngineError(f"the engine did not start; what it said is at the end of {log}")
        time.sleep(0.05)
        engine = find_engine()
    if process is not None and process.pid != engine.pid:
        with suppress(subprocess.TimeoutExpired):
            process.wait(5)  # it leaves, now rather than after the other was stopped, when it would take its place
    return engine


def stop_engine(seconds: float) -> bool:
    """End the local engine, by force when it does not leave within so many seconds; return whether there was one."""
    deadline = time.monotonic() + seconds
    while (engine := find_engine()) is None:  # it may be starting
        if not is_locked() or time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(engine.pid)
        process.terminate()
        try:
            process.wait(seconds)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait(seconds)
    (engine_folder() / "engine.json").unlink(missing_ok=True)
    return True


def has_left(seconds: float = 1.0) -> bool:
    """Return whether the local engine is gone, or goes within so many seconds.

    It stops listening before it takes away its address.
    """
    deadline = time.monotonic() + seconds
    while find_engine():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def is_locked() -> bool:
    """Return whether some process is, or is about to be, the local engine."""
    try:
        with FileLock(engine_folder() / "lock", timeout=0):
            return False
    except Timeout:
        return True


def spawn_engine() -> subprocess.Popen:
    """Return the process of a new local engine, which outlives this one."""
    log = engine_folder() / "engine.log"
    if log.exists() and log.stat().st_size > MAX_LOG_BYTES:
        os.replace(log, log.with_suffix(".old"))
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    with log.open("ab") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "kdlib.engine"],
            cwd=home(),
            env=os.environ | {"PYTHONPATH": path, "KDLIB_HOME": str(home().resolve())},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,  # it outlives the terminal, and Ctrl-C there is not meant for it
        )
    threading.Thread(target=process.wait, daemon=True).start()  # so that it is no zombie when it leaves before us
    return process
