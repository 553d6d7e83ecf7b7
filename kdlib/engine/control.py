"""The engine seen from outside: start it, hand it work, see what runs, cancel, stop."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from kdlib.engine.journal import RunFolder
from kdlib.engine.local import EngineError, engine_name, find_engine, start_engine, stop_engine
from kdlib.engine.process import idle_seconds
from kdlib.engine.scheduler import SchedulerClient, cluster_address, disconnect, query

QUEUED, RUNNING = "queued", "running"
TASK_STATES = {"queued": QUEUED, "no-worker": QUEUED, "waiting": QUEUED, "processing": RUNNING}  # of dask -> of ours
MAX_ATTEMPTS = 3  # to hand over work, while engines leave for want of work in that very moment


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


def engine_id() -> str:
    """Return what names the engine that is used here: a cluster's address, or the name of this data folder's engine."""
    return cluster_address() or engine_name()


def start(seconds: float = 60.0) -> str:
    """Return the address of the engine's scheduler, starting the local engine when there is none.

    Args:
        seconds: how long to wait for it.

    Raises:
        EngineError: it does not come up in time; the message names its log.

    Example:
        >>> start()
        'tls://127.0.0.1:40123'
    """
    return cluster_address() or start_engine(seconds).address


def submit(function: Callable[..., Any], *arguments: Any, key: str, priority: float = 0.0) -> None:
    """Hand over work that goes on without us, starting the engine if there is none. A key twice is one piece of work.

    Args:
        function: importable by name in a worker; its result is dropped, so it writes what it computes somewhere.
        key: names the work.
        priority: higher goes first; among equals, first come, first served.

    Raises:
        EngineError: the engine cannot be started or does not answer.

    Example:
        >>> submit(execute, Job(run_id, spec.to_json()), key=run_id)
    """

    def hand_over(client: SchedulerClient) -> bool:
        client.submit(function, arguments, key, priority)
        return True

    for _ in range(MAX_ATTEMPTS):
        start()
        if query(hand_over, default=False):
            return
    raise EngineError(f"the engine stopped while it was handed {key}")


def states(keys: Iterable[str]) -> dict[str, str]:
    """Return "queued" or "running" for each key the engine has; work that is over, or unknown to it, is left out.

    Raises:
        EngineError: there is an engine and it does not answer.
    """
    keys = list(keys)
    if not keys:
        return {}
    tasks = query(lambda client: client.task_states(keys), default={})
    return {key: TASK_STATES[state] for key, state in tasks.items() if state in TASK_STATES}


def cancel(run_id: str, resume: int) -> None:
    """Stop a run: one that waits leaves the queue, one that trains stops, or its worker is ended if it does not.

    Args:
        run_id: names the run.
        resume: how often it was resumed so far.

    Raises:
        EngineError: there is an engine and it does not answer.
    """
    RunFolder(run_id).request_cancel(resume)

    def send(client: SchedulerClient) -> None:
        if states([run_id]).get(run_id) == QUEUED:
            client.cancel(run_id)
        elif cluster_address():  # its workers may have other disks
            client.run_on_workers(_request_cancel, run_id, resume)

    query(send, default=None)


def _request_cancel(run_id: str, resume: int) -> None:
    RunFolder(run_id).request_cancel(resume)


def status() -> EngineStatus:
    """Return what is known of the engine, without starting it.

    Raises:
        EngineError: there is one and it does not answer.

    Example:
        >>> status().running
    """
    local = not cluster_address()
    engine = find_engine() if local else None

    def read(client: SchedulerClient) -> EngineStatus:
        workers, busy = client.count_workers()
        pid = engine.pid if engine else 0
        return EngineStatus(True, client.address, local, pid, workers, busy, idle_seconds())

    return query(read, default=EngineStatus(False, cluster_address(), local))


def stop(seconds: float = 10.0) -> bool:
    """Stop the local engine; return whether there was one. Runs that were training then fail and can be resumed.

    Args:
        seconds: after which it is ended by force.

    Raises:
        EngineError: the engine is a cluster's scheduler, which is not ours to stop.

    Example:
        >>> stop()
    """
    if cluster_address():
        raise EngineError(f"KDLIB_SCHEDULER is {cluster_address()}: that cluster is not ours to stop")
    disconnect()
    return stop_engine(seconds)
