"""What happens inside a worker: one run from start to end, told to the run's folder and from there to the store.

`execute` is the task that the scheduler hands out. A run has the worker's only task thread and waits for nobody: a point costs one
line in a file. Two small threads stand beside it. One writes signs of life, sees the wish to cancel, and ends the process when the run
does not stop or does not move. The other sends to the store, and may wait for it as long as it likes.
"""

import errno
import importlib
import json
import os
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import psutil

from kdlib import store
from kdlib.cache import atomic_path
from kdlib.engine.journal import Job, Outcome, RunFolder
from kdlib.engine.sync import push
from kdlib.progress import Progress
from kdlib.results import RunResult
from kdlib.spec import RunSpec

POLL_SECONDS = 0.2  # seconds between two looks at the wish to cancel
MIN_SEND_SECONDS, MAX_SEND_SECONDS = 1.0, 4.0  # seconds between two messages to the store, at least and at most
SEND_SHARE = 0.02  # of the time may go into them, within these bounds: they take turns with the training
CANCEL_GRACE = 4.0  # seconds within which a run must learn that it is cancelled before its process is ended
SAVE_GRACE = 60.0  # seconds it then has to end in good order: large data take time to be brought into its spaces
ARRAY_FILES = ("student", "features", "predictions", "replay")  # how the arrays of a result are divided


def execute(fields: dict[str, Any]) -> str:
    """Return the state in which a run ended. It raises nothing: what goes wrong becomes the run's reason."""
    job = Job(**fields)
    if job.tracking:
        os.environ["MLFLOW_TRACKING_URI"] = job.tracking
    else:
        os.environ.pop("MLFLOW_TRACKING_URI", None)
    folder = RunFolder(job.run)
    with folder.work_lock():  # a worker that the scheduler has given up may still be at it, and may bring it to its end
        outcome = folder.outcome(job.resume)  # also set when a worker was killed after the end, before the store had it
        if outcome is None:
            outcome = _begin(folder, job) or _train(folder, job)
        _retry_until_deadline(lambda: push(job), store.StoreUnavailableError)
    return outcome.state


def _retry_until_deadline(call: Callable[[], Any], until_not: type[Exception]) -> None:
    """Call again while the disk is full or the store away, but not for ever: a resume or a listing makes up for it."""
    deadline = time.monotonic() + float(os.environ.get("KDLIB_SYNC_SECONDS", "120"))
    while True:
        try:
            call()
            return
        except until_not:
            if time.monotonic() > deadline:
                return
            time.sleep(0.5)
        except store.StoreError:  # deleted while it ran: nothing to keep
            return


def _begin(folder: RunFolder, job: Job) -> Outcome | None:
    """Return the outcome of a run that shall not, or cannot, be started; otherwise note the start and return None."""
    deaths = folder.count_starts(job.resume)
    outcome = None
    if folder.cancel_requested(job.resume):
        outcome = Outcome(store.CANCELLED)
    elif deaths > job.restarts:
        outcome = Outcome(store.FAILED, folder.death_reason(job.resume))
    else:
        try:
            folder.append("start", durable=True, resume=job.resume, pid=os.getpid())
            folder.reserve()
            folder.write("alive.json", _alive(Progress(0, 0), Progress(0, 0, phase="loading")))
        except OSError as error:
            outcome = Outcome(store.FAILED, describe_failure(error))
    if outcome:
        _retry_until_deadline(lambda: folder.write_end(job.resume, outcome), OSError)
    return outcome


def _train(folder: RunFolder, job: Job) -> Outcome:
    with Recorder(folder, job) as recorder:
        try:
            train = load_function(job.function)
            result = train(
                RunSpec.from_json(job.spec), device=job.device, on_progress=recorder, checkpoint=folder.checkpoint
            )
            if (
                result.arrays or result.status != store.CANCELLED
            ):  # what an earlier leg has kept is not replaced by nothing
                save_result(folder, result)
            outcome = Outcome(result.status, result.reason)
        except (Exception, SystemExit) as error:  # a run must end in words, whatever the code of a method does
            with suppress(OSError):
                folder.log.write_text(traceback.format_exc(), encoding="utf-8")
            outcome = Outcome(store.FAILED, describe_failure(error))
        _retry_until_deadline(lambda: folder.write_end(job.resume, outcome), OSError)
    return outcome


def load_function(name: str) -> Callable[..., RunResult]:
    """Return the function called "module:name"."""
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)


def save_result(folder: RunFolder, result: RunResult) -> None:
    """Write a result's files: `result.json`, `spec.json` and its arrays, divided into weights, features, predictions and replay."""
    from safetensors.numpy import save_file

    folder.result.mkdir(parents=True, exist_ok=True)
    parts: dict[str, dict[str, Any]] = {name: {} for name in ARRAY_FILES}
    for name, array in result.arrays.items():
        kind = name.partition("/")[0]
        parts[{"student": "student", "logits": "predictions", "replay": "replay"}.get(kind, "features")][name] = array
    for name, arrays in parts.items():
        if arrays:
            with atomic_path(folder.result / f"{name}.safetensors") as temporary:
                save_file({key: np.ascontiguousarray(array) for key, array in arrays.items()}, temporary)
    for name, text in (
        ("spec.json", result.spec.to_json()),
        ("result.json", json.dumps(result.to_dict(), default=float)),
    ):
        with atomic_path(folder.result / name) as temporary:
            temporary.write_text(text, encoding="utf-8")


def describe_failure(error: BaseException) -> str:
    """Return why a run failed, in words for a person."""
    text = " ".join(str(error).split())
    if getattr(error, "errno", None) == errno.ENOSPC or "No space left" in text or "StorageFull" in text:
        return "disk full: free some space, then resume"
    if isinstance(error, MemoryError) or "OutOfMemory" in type(error).__name__ or "can't allocate memory" in text:
        return "out of memory: fewer seeds, a smaller batch or a smaller student need less"
    if isinstance(error, SystemExit):
        return f"the training left with exit code {error.code}"
    if isinstance(error, ValueError):
        return text
    return f"{type(error).__name__}: {text}"[:500]


def _alive(training: Progress, latest: Progress) -> dict[str, Any]:
    """Return a sign of life: how far the training is, and how far whatever phase the run is in."""
    memory = {"memory": psutil.Process().memory_info().rss, "limit": int(os.environ.get("KDLIB_MEMORY_LIMIT", "0"))}
    phase = {"phase": latest.phase, "share": round(latest.share, 3)}
    return {"t": time.time(), "step": training.step, "steps": training.steps} | phase | memory


class Recorder:
    """The `on_progress` of a run in a worker, and the two threads beside it."""

    def __init__(self, folder: RunFolder, job: Job) -> None:
        self._folder, self._job = folder, job
        self._known = {point.epoch for point in folder.points()}
        self._training, self._latest = Progress(0, 0), Progress(0, 0, phase="loading")
        self._moved = time.monotonic()
        self._stop = self._heard = False
        self._over = threading.Event()
        self._threads = [threading.Thread(target=target, daemon=True) for target in (self._watch, self._send)]

    def __call__(self, progress: Progress) -> bool:
        """Take note of a step; return whether the run shall stop.

        Raises:
            OSError: the disk is full.
        """
        self._latest, self._moved = progress, time.monotonic()
        if progress.phase == "training":
            self._training = progress
        point = progress.point
        if point and point.epoch not in self._known:
            self._known.add(point.epoch)
            self._folder.append("point", **point.to_dict())
        for frame in progress.frames:
            self._folder.write_snapshot(frame)
        self._heard = self._stop
        return self._stop

    def __enter__(self) -> "Recorder":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()  # the sender may hang on the store for some seconds; two senders at once could leave an old state behind

    def _watch(self) -> None:
        stall = float(os.environ.get("KDLIB_STALL_SECONDS", "900"))
        wished = seen = 0.0
        while not self._over.wait(POLL_SECONDS):
            now = time.monotonic()
            if not wished and self._folder.cancel_requested(self._job.resume):
                self._stop, wished = True, now
            if wished and now - wished > (SAVE_GRACE if self._heard else CANCEL_GRACE):
                self._die(lambda: self._folder.write_end(self._job.resume, Outcome(store.CANCELLED)))
            if now - self._moved > stall:
                self._die(lambda: self._folder.append("death", durable=True, reason=f"no progress for {stall:.0f} s"))
            alive = _alive(self._training, self._latest)
            if (
                now - seen > 1 or alive["memory"] > 0.8 * alive["limit"] > 0
            ):  # in the second case these may be its last words
                seen = now
                with suppress(OSError):
                    self._folder.write("alive.json", alive)

    @staticmethod
    def _die(last_words: Callable[[], None]) -> None:
        """End this process; the engine puts a fresh one in its place and hands the run out again, which then reads the last words."""
        with suppress(OSError):
            last_words()
        os._exit(70)

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
            if self._over.wait(min(max(MIN_SEND_SECONDS, (time.thread_time() - began) / SEND_SHARE), MAX_SEND_SECONDS)):
                return


def dask_setup(_worker: object) -> None:
    """Make a new worker ready before there is a run; called by the engine in it."""
    importlib.import_module("kdlib.engine.preload")  # does nothing where it was forked from a process that has it
    threading.Thread(target=_open_store, daemon=True).start()  # nothing but the first message to the store waits for it
    threading.Thread(target=_exit_with_parent, args=(os.getppid(),), daemon=True).start()


def _open_store() -> None:
    with suppress(store.StoreError):
        store.connect()


def _exit_with_parent(parent: int) -> None:
    """End this process with the one it was forked from: the engine takes it for dead then, and puts another in its place."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(70)
