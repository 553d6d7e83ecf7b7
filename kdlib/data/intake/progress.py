"""Progress of a reading: the child writes lines of JSON, its parent reads them and notices when they stop.

A large file that makes progress may take as long as it needs; one that hangs is ended. `Reporter` belongs to the
child, `follow` to its parent.
"""

import json
import os
import selectors
import subprocess
import time
from collections.abc import Callable

from kdlib.progress import CancelledError, OnProgress, Progress

PHASE = "importing"
RESULT_FILE = "answer.json"  # written by the child in the folder of the reading
INTERVAL_S = 0.2  # between two lines of the child, and between two calls of the callback while the child is silent, s
CHUNK = 65_536  # bytes read from the pipe at a time


class StalledError(Exception):
    """The child has reported nothing for too long."""


class Reporter:
    """Counts finished work and reports it as items a few times a second.

    Args:
        send: called with items read so far and items in all; None reports nothing.
    """

    def __init__(self, send: Callable[[int, int], object] | None = None) -> None:
        self.send, self.items, self.work, self.done, self.last = send, 0, 0, 0, float("-inf")

    def begin(self, items: int, work: int) -> None:
        """Set the size of the job; only the first call counts: a table in an archive is a part of the archive's work.

        Args:
            items: rows, recordings or pictures.
            work: what `advance` will add up to, in any unit.
        """
        if not self.work:
            self.items, self.work = items, work

    def advance(self, work: int = 0) -> None:
        """Add finished work, and report when the last report is `INTERVAL_S` old; 0 says that the reading is alive."""
        self.done = min(self.done + work, self.work)
        now = time.monotonic()
        if self.send and now - self.last >= INTERVAL_S:
            self.last = now
            self.send(self.items * self.done // self.work if self.work else 0, self.items)


def encode(step: int, steps: int) -> bytes:
    """Return a report as a line of JSON."""
    return json.dumps([step, steps]).encode() + b"\n"


def decode(lines: bytes, before: Progress) -> Progress:
    """Return the last valid report of some lines, or `before` if there is none.

    The child has parsed foreign bytes and is not trusted.
    """
    for line in reversed(lines.split(b"\n")):
        try:
            step, steps = json.loads(line)
        except (ValueError, TypeError):
            continue
        if type(step) is int and type(steps) is int and 0 <= step <= steps:
            return Progress(step, steps, phase=PHASE)
    return before


class Patience:
    """Notices when nothing has been reported for too long.

    Args:
        limit_s: seconds without a report that are allowed.
        now: seconds on a clock that never goes back.
    """

    def __init__(self, limit_s: float, now: float) -> None:
        self.limit_s, self.last = limit_s, now

    def reported(self, now: float) -> None:
        """Note a report."""
        self.last = now

    def is_over(self, now: float) -> bool:
        """Return whether the last report is too old."""
        return now - self.last > self.limit_s


def follow(process: subprocess.Popen, stall_s: float, on_progress: OnProgress | None) -> None:
    """Return when the child has ended; call `on_progress` a few times a second until then.

    Args:
        process: the child, with its reports on `stdout`.
        stall_s: seconds without a report that are allowed.
        on_progress: returning True stops the work.

    Raises:
        StalledError: there was no report for `stall_s`.
        CancelledError: the callback asked to stop.
    """
    assert process.stdout is not None
    pipe = process.stdout.fileno()
    progress, patience = Progress(0, 0, phase=PHASE), Patience(stall_s, time.monotonic())
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while True:
            if selector.select(INTERVAL_S):
                lines = os.read(pipe, CHUNK)
                if not lines:
                    break
                patience.reported(time.monotonic())
                progress = decode(lines, progress)
            elif patience.is_over(time.monotonic()):
                raise StalledError
            if on_progress is not None and on_progress(progress):
                raise CancelledError(f"cancelled while {PHASE}")
    try:
        process.wait(stall_s)
    except subprocess.TimeoutExpired as error:
        raise StalledError from error
