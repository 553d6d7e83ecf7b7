"""Processes of one thread each, for work that has several parts: beside threads that share every small step of it.

Two threads that share every layer of a small network wait for each other most of the time: on two cores they are hardly
faster than one. Two processes with half of the parts each never wait.

Processes are forked, so what they work on need not be sent. That needs Linux and work on the CPU; elsewhere, and where
it does not pay, everything stays in this process. `tests/test_processes.py` and `tests/test_shards.py` hold it.
"""

import ctypes
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import Any, NoReturn, TypeVar

import torch

OWN_MEMORY = "KDLIB_MEMORY_LIMIT"  # in a worker of the engine, its share of the machine's memory in bytes
DIES_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl.h
WAIT_SECONDS = 0.2  # between two looks at whether to stop
ENDED = "a process ended before its work was over; where memory ran out, take fewer seeds or a smaller batch"

Item = TypeVar("Item")
Result = TypeVar("Result")
Work = Callable[[Connection], None]


def count_processes(parts: int) -> int:
    """Return by how many processes work of so many parts is done; 1 where processes cannot be forked or watched.

    A worker of the engine has a limit of memory that is watched for its own process only.

    Example:
        >>> count_processes(1)
        1
    """
    if sys.platform != "linux" or OWN_MEMORY in os.environ:
        return 1
    return max(1, min(torch.get_num_threads(), parts))


@contextmanager
def forked(works: Sequence[Work]) -> Iterator[list[Connection]]:
    """Run each work in a process of its own; the connections to them. On the way out, all of them are ended.

    A work gets its end of the connection. What it raises arrives as the text of its traceback, see `receive`. All
    threads of this process are shared out among them.
    """
    connections: list[Connection] = []
    processes: list[int] = []
    try:
        for work in works:
            processes.append(_fork(work, max(1, torch.get_num_threads() // len(works)), connections))
        yield connections
    finally:
        for connection in connections:
            connection.close()
        for process in processes:
            with suppress(ProcessLookupError, ChildProcessError):  # somebody here may wait for all that end
                os.kill(process, signal.SIGKILL)
                os.waitpid(process, 0)


def receive(connection: Connection) -> Any:
    """Return the next message of a process.

    Raises:
        RuntimeError: the process failed or ended.
    """
    try:
        message = connection.recv()
    except (EOFError, ConnectionError):
        raise RuntimeError(ENDED) from None
    if isinstance(message, str):
        raise RuntimeError(message)
    return message


def results_of(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    processes: int,
    on_wait: Callable[[], None] | None = None,
) -> Iterator[tuple[int, Result]]:
    """Yield the number of each item and what a function makes of it, as they come.

    Args:
        function: what it returns can be pickled, is no text and holds no tensors.
        items: what to call it with.
        processes: how many share them, see `count_processes`; with 1 it is this process.
        on_wait: called before each item, or some times a second where other processes work; what it raises ends them.

    Raises:
        RuntimeError: the function failed, in a process of its own.

    Example:
        >>> dict(results_of(len, [[1], [1, 2]], processes=1))
        {0: 1, 1: 2}
    """
    if processes == 1:
        for number, item in enumerate(items):
            if on_wait is not None:
                on_wait()
            yield number, function(item)
        return

    def work(connection: Connection) -> None:
        with suppress(EOFError):  # the other side closes when nothing is left
            while True:
                number = connection.recv()
                connection.send((number, function(items[number])))

    with forked([work] * processes) as connections:
        numbers, pending = iter(range(len(items))), len(items)
        for connection in connections:
            _send_next(connection, numbers)
        while pending:
            ready = wait(connections, WAIT_SECONDS)
            if on_wait is not None:
                on_wait()
            for connection in connections:
                if connection in ready:
                    result = receive(connection)
                    _send_next(connection, numbers)
                    pending -= 1
                    yield result


def _send_next(connection: Connection, numbers: Iterator[int]) -> None:
    number = next(numbers, None)
    if number is not None:
        connection.send(number)


def _fork(work: Work, threads: int, connections: list[Connection]) -> int:
    """Begin a process, append the connection to it, and return its number."""
    here, there = Pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of other threads: none of them computes with torch
        process = os.fork()
    if process == 0:
        for each in [*connections, here]:
            each.close()
        _run(work, there, threads)
    there.close()
    connections.append(here)
    return process


def _run(work: Work, connection: Connection, threads: int) -> NoReturn:
    """Do the work, in a process of its own that neither outlives the one that began it nor returns to its code."""
    status = 1
    try:
        ctypes.CDLL(None).prctl(DIES_WITH_PARENT, signal.SIGKILL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the first process, which ends this one
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        torch.set_num_threads(threads)
        work(connection)
        status = 0
    except Exception:
        with suppress(OSError):
            connection.send(traceback.format_exc())
    finally:
        os._exit(status)
