"""The connection of this process to the scheduler of the engine.

`KDLIB_SCHEDULER` names the scheduler of an existing cluster; without it the engine is the local one.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from kdlib.engine.local import EngineError, find_engine, has_left
from kdlib.engine.process import engine_folder, load_security

ANSWER_SECONDS = 20.0  # seconds within which a scheduler answers, on a machine whose cores are all busy
FORGOTTEN = "fire-and-forget"  # dask's name for who wants a task that goes on without its client

Result = TypeVar("Result")


class SchedulerClient:
    """What we do with a scheduler, on top of dask's client. Methods raise OSError or TimeoutError when it is gone.

    Attributes:
        address: of the scheduler.
        dask: dask's own client. Its methods return a result or, within an event loop, a coroutine; here always results.
    """

    def __init__(self, address: str, security: Any) -> None:
        """Connect.

        Args:
            security: keys and certificates, a `distributed.Security`.
        """
        from distributed import Client

        _silence()
        self.address = address
        self.dask: Any = Client(address, security=security, timeout=ANSWER_SECONDS, set_as_default=False, name="kdlib")

    @property
    def connected(self) -> bool:
        """Whether it can be used."""
        return self.dask.status == "running"

    def task_states(self, keys: Iterable[str]) -> dict[str, str | None]:
        """Return key -> dask's state of the task, None where the scheduler has none under the key."""
        return self.dask.sync(self.dask.scheduler.get_task_status, keys=list(keys), callback_timeout=ANSWER_SECONDS)

    def submit(self, function: Callable[..., Any], arguments: Sequence[Any], key: str, priority: float) -> None:
        """Hand over a task that goes on without this process, and return when the scheduler has it."""
        from dask._task_spec import Task
        from distributed import fire_and_forget

        def is_held(dask_scheduler: Any) -> bool:
            task = dask_scheduler.tasks.get(key)  # none: it is over already
            return task is None or any(client.client_key == FORGOTTEN for client in task.who_wants or ())

        # Declared a producer, it waits in the scheduler's queue until a worker is free; dask may give others to a busy
        # one in advance.
        task = Task(key, function, *arguments, _data_producer=True)
        [future] = self.dask.get({key: task}, [key], sync=False, priority=priority)
        _wait_until(lambda: self.task_states([key])[key] is not None)
        fire_and_forget(future)
        # Until then, a task that waits in a queue leaves with this process.
        _wait_until(lambda: self.dask.run_on_scheduler(is_held))

    def cancel(self, key: str) -> None:
        """Take a task out of the queue."""
        from distributed import Future

        self.dask.cancel([Future(key, client=self.dask)], force=True)

    def run_on_workers(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Call a function in every worker; what it raises is ignored."""
        self.dask.run(function, *arguments, on_error="ignore")

    def count_workers(self) -> tuple[int, int]:
        """Return how many workers there are, and how many of them are busy."""
        workers = self.dask.scheduler_info(n_workers=-1)["workers"]
        return len(workers), sum(bool(keys) for keys in self.dask.processing().values())

    def close(self) -> None:
        """Close the connection. The scheduler and its tasks go on."""
        with suppress(Exception):  # it may be talking to a scheduler that is gone; there is nothing left to save
            self.dask.close(timeout=1)


_client: SchedulerClient | None = None
_guard = threading.RLock()


def cluster_address() -> str:
    """Return the address of the cluster's scheduler to use, "" for the local engine."""
    return os.environ.get("KDLIB_SCHEDULER", "")


def connect() -> SchedulerClient | None:
    """Return the client of this process, None when no engine is alive.

    Raises:
        EngineError: it is alive but does not answer.
    """
    global _client
    local = None if cluster_address() else find_engine()
    address = local.address if local else cluster_address()
    with _guard:
        if _client is not None and (not _client.connected or _client.address != address):
            disconnect()
        if _client is None and address:
            from distributed import Security

            security = load_security(engine_folder() / "tls.pem") if local else Security()
            try:
                _client = SchedulerClient(address, security)
            except (OSError, TimeoutError) as error:
                if local and has_left():
                    return None
                raise EngineError(f"the engine at {address} does not answer: {error}") from error
        return _client


def disconnect() -> None:
    """Close this process's connection to the engine. The engine and its work go on."""
    global _client
    with _guard:
        client, _client = _client, None
    if client is not None:
        client.close()


def query(call: Callable[[SchedulerClient], Result], default: Result) -> Result:
    """Return the result of a call with the client, `default` when there is no engine.

    Raises:
        EngineError: it does not answer.
    """
    for attempt in (1, 2):
        client = connect()
        if client is None:
            return default
        try:
            return call(client)
        except (OSError, TimeoutError) as error:  # it went away, perhaps to be replaced by a new one
            disconnect()
            if attempt == 2:
                raise EngineError(f"the engine does not answer: {error}") from error
    return default


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


def _silence() -> None:
    """Let dask log no errors in this process: an engine that leaves is no news, and errors are raised as ours.

    Every logger of it counts: some have a level of their own, which the one above them does not change.
    """
    loggers = [name for name in logging.root.manager.loggerDict if name.startswith("distributed.")]
    for name in ["distributed", *loggers]:
        logging.getLogger(name).setLevel(logging.CRITICAL)
