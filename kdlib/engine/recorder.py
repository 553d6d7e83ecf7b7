"""The `on_progress` of a run in a worker: what it writes to the run's folder, and the threads beside the training."""

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psutil

from kdlib import store
from kdlib.engine.journal import Job, Outcome, RunFolder
from kdlib.engine.sync import push
from kdlib.progress import Progress

POLL_SECONDS = 0.2  # seconds between two checks for a cancel
MIN_SEND_SECONDS, MAX_SEND_SECONDS = 1.0, 4.0  # seconds between two messages to the store, at least and at most
SEND_SHARE = 0.02  # of the time may go into them, within these bounds: they take turns with the training
CANCEL_GRACE = 8.0  # seconds within which a cancelled run must come to its next step before its process is ended
SAVE_GRACE = 60.0  # seconds it then has to end in good order: large data take time to be brought into its spaces
EXIT_CODE = 70  # of a worker that ends itself


def describe_progress(training: Progress, latest: Progress) -> dict[str, Any]:
    """Return the content of `alive.json`: how far training and present phase are, and the memory in use (bytes)."""
    memory = {"memory": psutil.Process().memory_info().rss, "limit": int(os.environ.get("KDLIB_MEMORY_LIMIT", "0"))}
    phase = {"phase": latest.phase, "share": round(latest.share, 3)}
    return {"t": time.time(), "step": training.step, "steps": training.steps} | phase | memory


class Recorder:
    """The `on_progress` of a run. Within `with`, two threads stand beside the run, which waits for neither.

    One writes signs of life, checks for a cancel, and ends the process when the run does not stop or makes no step. The
    other sends to the store, and may wait for it.
    """

    def __init__(self, folder: RunFolder, job: Job) -> None:
        self._folder, self._job = folder, job
        self._written = {point.epoch for point in folder.points()}
        self._training, self._latest = Progress(0, 0), Progress(0, 0, phase="loading")
        self._last_step = time.monotonic()
        self._stop = self._stop_reported = False
        self._over = threading.Event()
        self._threads = [threading.Thread(target=target, daemon=True) for target in (self._watch, self._send)]

    def __call__(self, progress: Progress) -> bool:
        """Record a step; return whether the run shall stop.

        Raises:
            OSError: the disk is full.
        """
        self._latest, self._last_step = progress, time.monotonic()
        if progress.phase in ("tuning", "training"):  # whose steps are on one scale
            self._training = progress
        point = progress.point
        if point and point.epoch not in self._written:
            self._written.add(point.epoch)
            self._folder.append("point", **point.to_dict())
        for frame in progress.frames:
            self._folder.write_snapshot(frame)
        self._stop_reported = self._stop
        return self._stop

    def __enter__(self) -> "Recorder":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()  # two senders at once could leave an old state behind, however long the store takes

    def _watch(self) -> None:
        stall = float(os.environ.get("KDLIB_STALL_SECONDS", "900"))
        hung = f"no progress for {stall:.0f} s"
        cancelled_at: float | None = None
        written_at = 0.0
        while not self._over.wait(POLL_SECONDS):
            now = time.monotonic()
            if cancelled_at is None and self._folder.cancel_requested(self._job.resume):
                self._stop, cancelled_at = True, now
            if cancelled_at is not None and now - cancelled_at > (SAVE_GRACE if self._stop_reported else CANCEL_GRACE):
                self._end_process(lambda: self._folder.write_end(self._job.resume, Outcome(store.CANCELLED)))
            if now - self._last_step > stall:
                self._end_process(lambda: self._folder.append("death", durable=True, reason=hung))
            alive = describe_progress(self._training, self._latest)
            # Written at once where it may be the last sign of life.
            if now - written_at > 1 or alive["memory"] > 0.8 * alive["limit"] > 0:
                written_at = now
                with suppress(OSError):
                    self._folder.write("alive.json", alive)

    @staticmethod
    def _end_process(write_reason: Callable[[], None]) -> None:
        """End this process. The engine replaces it and hands the run out again; the next worker reads the reason."""
        with suppress(OSError):
            write_reason()
        os._exit(EXIT_CODE)

    def _send(self) -> None:
        sent, started = None, False
        while True:
            began = time.thread_time()
            try:
                if not started:
                    store.set_state(self._job.run, store.RUNNING)
                    started = True
                if self._training is not sent:
                    sent = self._training
                    push(self._job, sent)
            except store.StoreUnavailableError:
                sent = None  # nothing is lost: the journal has it
            except store.StoreError:
                self._stop = True  # deleted
                return
            pause = (time.thread_time() - began) / SEND_SHARE
            if self._over.wait(min(max(MIN_SEND_SECONDS, pause), MAX_SEND_SECONDS)):
                return
