"""The engine seen from outside: start it, hand it work, ask what runs, cancel, stop.

`KDLIB_SCHEDULER` names the scheduler of an existing cluster; without it the engine is the local one, started when it is first needed.
"""

import json
import logging
import os
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from filelock import FileLock, Timeout

from kdlib.cache import atomic_path, home
from kdlib.engine.journal import RunFolder
from kdlib.engine.process import engine_folder, idle_seconds, load_security

if TYPE_CHECKING:
    from distributed import Client

ANSWER_SECONDS = 5.0  # seconds within which a scheduler answers
QUEUED, RUNNING = "queued", "running"
_STATES = {"queued": QUEUED, "no-worker": QUEUED, "waiting": QUEUED, "processing": RUNNING}


class EngineError(ValueError):
    """The engine cannot be started or does not answer; the message is for a person."""


@dataclass(frozen=True)
class EngineStatus:
    """What is known of the engine.

    Attributes:
        running: whether there is one.
        address: of its scheduler.
        local: whether it is the local one, which can be started and stopped.
        pid: process of the local engine, 0 otherwise.
        workers: runs that can train at the same time.
        busy: workers that are at work.
        idle_seconds: after how many seconds without work the local engine leaves.
    """

    running: bool
    address: str = ""
    local: bool = True
    pid: int = 0
    workers: int = 0
    busy: int = 0
    idle_seconds: float = 0.0


_client: "Client | None" = None
_address = ""  # of the scheduler that `_client` talks to
_guard = threading.RLock()


def _external() -> str:
    return os.environ.get("KDLIB_SCHEDULER", "")


def engine_id() -> str:
    """Return what names the engine that work is handed to from here: a cluster's address, or the mark of this data folder."""
    if _external():
        return _external()
    mark = engine_folder() / "name"
    if not mark.exists():
        with FileLock(engine_folder() / "name.lock", timeout=10):
            if not mark.exists():
                with atomic_path(mark) as temporary:
                    temporary.write_text(secrets.token_hex(8), encoding="ascii")
    return mark.read_text(encoding="ascii")


def _local() -> dict[str, Any]:
    """Return what the local engine wrote about itself, {} when it is not alive."""
    try:
        about = json.loads((engine_folder() / "engine.json").read_text(encoding="utf-8"))
        process = psutil.Process(about["pid"])
        alive = process.create_time() < about["started"] + 1 and process.status() != psutil.STATUS_ZOMBIE
    except (OSError, ValueError, psutil.Error):
        return {}
    return about if alive else {}


def start(seconds: float = 60.0) -> str:
    """Return the address of the engine's scheduler, starting the local engine when there is none.

    Raises:
        EngineError: it does not come up in time; the message names its log.
    """
    if _external():
        return _external()
    about, process = _local(), None
    deadline = time.monotonic() + seconds
    while not about:
        if (process is None or process.poll() == 0) and not _is_locked():  # one that finds another alive leaves with 0
            process = _spawn()
        if (process and process.poll()) or time.monotonic() > deadline:
            raise EngineError(
                f"the engine did not start; what it said is at the end of {engine_folder() / 'engine.log'}"
            )
        time.sleep(0.05)
        about = _local()
    if process is not None and process.pid != about["pid"]:
        with suppress(subprocess.TimeoutExpired):
            process.wait(5)  # it leaves, now rather than after the other was stopped, when it would take its place
    return about["address"]


def _is_locked() -> bool:
    """Return whether some process is, or is about to be, the local engine."""
    try:
        with FileLock(engine_folder() / "lock", timeout=0):
            return False
    except Timeout:
        return True


def _spawn() -> subprocess.Popen:
    log = engine_folder() / "engine.log"
    if log.exists() and log.stat().st_size > 5e6:
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
    threading.Thread(target=process.wait, daemon=True).start()  # when it leaves before us, nothing of it remains
    return process


def _connected() -> "Client | None":
    """Return a client of the engine, None when no engine is alive.

    Raises:
        EngineError: it is alive but does not answer.
    """
    global _client, _address
    address = _external() or _local().get("address", "")
    with _guard:
        if _client is not None and (_client.status != "running" or _address != address):
            disconnect()
        if _client is None and address:
            from distributed import Client, Security

            _silence()
            security = Security() if _external() else load_security(engine_folder() / "tls.pem")
            try:
                _client = Client(address, security=security, timeout=ANSWER_SECONDS, set_as_default=False, name="kdlib")
            except (OSError, TimeoutError) as error:
                if not _external() and _goes():
                    return None
                raise EngineError(f"the engine at {address} does not answer: {error}") from error
            _address = address
        return _client


def _goes(seconds: float = 1.0) -> bool:
    """Return whether the local engine has gone, or does so within a moment: it closes its door before it takes away its address."""
    deadline = time.monotonic() + seconds
    while _local():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _silence() -> None:
    """Let dask log no errors in this process: an engine that leaves is no news, and what goes wrong comes back as an error of ours.

    Every logger of it counts: some have a level of their own, which the one above them does not change.
    """
    for name in ["distributed", *(each for each in logging.root.manager.loggerDict if each.startswith("distributed."))]:
        logging.getLogger(name).setLevel(logging.CRITICAL)


def disconnect() -> None:
    """Close this process's connection to the engine. The engine and its work go on."""
    global _client
    with _guard:
        client, _client = _client, None
    if client is not None:
        with suppress(Exception):  # it may be talking to a scheduler that is gone; there is nothing left to save
            client.close(timeout=1)


def _query(question: Callable[["Client"], Any], nobody: Any) -> Any:
    """Return the engine's answer, `nobody` when there is no engine.

    Raises:
        EngineError: it does not answer.
    """
    for attempt in (1, 2):
        client = _connected()
        if client is None:
            return nobody
        try:
            return question(client)
        except (OSError, TimeoutError) as error:  # it went away, perhaps to be replaced by a new one
            disconnect()
            if attempt == 2:
                raise EngineError(f"the engine does not answer: {error}") from error
    return nobody


def submit(function: Callable[..., Any], *arguments: Any, key: str, priority: float = 0.0) -> None:
    """Hand over work that goes on without us, starting the engine if there is none. The same key twice is one piece of work.

    Args:
        function: importable by name in a worker; its result is dropped, so it writes what it finds somewhere.
        key: names the work.
        priority: higher goes first; among equals, first come, first served.

    Raises:
        EngineError: the engine cannot be started or does not answer.
    """

    def hand_over(client: "Client") -> bool:
        from dask._task_spec import Task
        from distributed import fire_and_forget

        def wanted(dask_scheduler: Any) -> bool:
            task = dask_scheduler.tasks.get(key)  # none: it is over already
            return task is None or any(client.client_key == "fire-and-forget" for client in task.who_wants or ())

        # Declared a producer, it waits in the scheduler's queue until a worker is free; dask may give others to a busy one in advance.
        task = Task(key, function, *arguments, _data_producer=True)
        [future] = client.get({key: task}, [key], sync=False, priority=priority)
        _wait_until(lambda: _status(client, [key])[key] is not None)
        fire_and_forget(future)
        _wait_until(
            lambda: client.run_on_scheduler(wanted)
        )  # before, what waits in a queue would leave with this process
        return True

    for _ in range(3):
        start()
        if _query(hand_over, nobody=False):  # otherwise it has left for want of work in this very moment
            return
    raise EngineError(f"the engine stopped while it was handed {key}")


def _wait_until(condition: Callable[[], bool]) -> None:
    """Wait until the scheduler has what was sent to it: what is only in our send buffer dies with us.

    Raises:
        TimeoutError: it does not come to have it.
    """
    deadline = time.monotonic() + ANSWER_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the scheduler did not take the work")
        time.sleep(0.005)


def _status(client: "Client", keys: Iterable[str]) -> dict[str, str | None]:
    return client.sync(client.scheduler.get_task_status, keys=list(keys), callback_timeout=ANSWER_SECONDS)


def states(keys: Iterable[str]) -> dict[str, str]:
    """Return "queued" or "running" for each key the engine has; what is over, or was never handed over, is not in the answer.

    Raises:
        EngineError: there is an engine and it does not answer.
    """
    keys = list(keys)
    if not keys:
        return {}
    answer = _query(lambda client: _status(client, keys), nobody={})
    return {key: _STATES[state] for key, state in answer.items() if state in _STATES}


def cancel(run_id: str, resume: int) -> None:
    """Tell a run to stop. One that waits is taken out of the queue; one that trains is told so, and its worker ended if it does not listen.

    Raises:
        EngineError: there is an engine and it does not answer.
    """
    RunFolder(run_id).request_cancel(resume)

    def tell(client: "Client") -> None:
        if states([run_id]).get(run_id) == QUEUED:
            from distributed import Future

            client.cancel([Future(run_id, client=client)], force=True)
        elif _external():  # its workers may have other disks
            client.run(_note_cancel, run_id, resume, on_error="ignore")

    _query(tell, nobody=None)


def _note_cancel(run_id: str, resume: int) -> None:
    RunFolder(run_id).request_cancel(resume)


def status() -> EngineStatus:
    """Return what is known of the engine; asking does not start it.

    Raises:
        EngineError: there is one and it does not answer.
    """
    local = _local()

    def look(client: "Client") -> EngineStatus:
        workers = client.scheduler_info(n_workers=-1)["workers"]
        busy = sum(bool(keys) for keys in client.processing().values())
        about = {
            "local": not _external(),
            "pid": 0 if _external() else local.get("pid", 0),
            "idle_seconds": idle_seconds(),
        }
        return EngineStatus(True, _address, workers=len(workers), busy=busy, **about)

    return _query(look, nobody=EngineStatus(False, _external(), local=not _external()))


def stop(seconds: float = 10.0) -> bool:
    """Stop the local engine; return whether there was one. Runs that were training are failed from then on and can be resumed.

    Raises:
        EngineError: the engine is a cluster's scheduler, which is not ours to stop.
    """
    if _external():
        raise EngineError(f"KDLIB_SCHEDULER is {_external()}: that cluster is not ours to stop")
    disconnect()
    deadline = time.monotonic() + seconds
    while not (about := _local()):  # it may be starting
        if not _is_locked() or time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(about["pid"])
        process.terminate()
        try:
            process.wait(seconds)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait(seconds)
    (engine_folder() / "engine.json").unlink(missing_ok=True)
    return True
