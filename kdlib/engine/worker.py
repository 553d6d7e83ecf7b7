"""What happens inside a worker: one run from start to end, written to the run's folder and from there to the store.

`execute` is the task that the scheduler hands out. A run has the worker's only task thread and waits for nobody: a
point costs one line in a file; `recorder` does the rest.
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

from kdlib import store
from kdlib.cache import Arrays, atomic_path
from kdlib.engine import background
from kdlib.engine.journal import Job, Outcome, RunFolder
from kdlib.engine.recorder import EXIT_CODE, Recorder, describe_progress
from kdlib.engine.sync import push
from kdlib.progress import Progress
from kdlib.results import RunResult
from kdlib.spec import RunSpec

NEXT = "kdlib.runs.sequences:go_on"  # stands above this package and is loaded by name
ARRAY_FILES = ("student", "features", "predictions", "replay")  # how the arrays of a result are divided


def execute(job: Job) -> str:
    """Return the state in which a run ended. It raises nothing: what goes wrong becomes the run's reason."""
    if job.tracking:
        os.environ["MLFLOW_TRACKING_URI"] = job.tracking
    else:
        os.environ.pop("MLFLOW_TRACKING_URI", None)
    folder = RunFolder(job.run)
    with folder.work_lock():  # a worker that the scheduler takes for dead may still train it, and may finish it
        outcome = folder.outcome(job.resume)  # also set when a worker was killed after the end, before the store had it
        if outcome is None:
            outcome = _begin(folder, job) or _train(folder, job)
        _retry_until_deadline(lambda: push(job), store.StoreUnavailableError)
    if outcome.state == store.DONE:
        _go_on(job.run)
    if outcome.state == store.DONE and job.function == Job.function:
        with suppress(OSError):
            background.note_done(job.run)
    return outcome.state


def _go_on(run_id: str) -> None:
    """Launch what waits for a run that is done; where that fails, a page that shows it does so."""
    try:
        load_function(NEXT)(run_id)
    except Exception:  # the run itself is done, whatever comes after it
        traceback.print_exc()


def _retry_until_deadline(call: Callable[[], Any], temporary: type[Exception]) -> None:
    """Call again while the disk is full or the store away, but not for ever: a resume or a listing makes up for it."""
    deadline = time.monotonic() + float(os.environ.get("KDLIB_SYNC_SECONDS", "120"))
    while True:
        try:
            call()
            return
        except temporary:
            if time.monotonic() > deadline:
                return
            time.sleep(0.5)
        except store.StoreError:  # deleted while it ran
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
            folder.write("alive.json", describe_progress(Progress(0, 0), Progress(0, 0, phase="loading")))
        except OSError as error:
            outcome = Outcome(store.FAILED, describe_failure(error))
    if outcome:
        _retry_until_deadline(lambda: folder.write_end(job.resume, outcome), OSError)
    return outcome


def _train(folder: RunFolder, job: Job) -> Outcome:
    with Recorder(folder, job) as recorder:
        try:
            train = load_function(job.function)
            spec = RunSpec.from_json(job.spec)
            result = train(spec, device=job.device, on_progress=recorder, checkpoint=folder.checkpoint)
            # What was saved before a resume is not replaced by nothing.
            if result.arrays or result.status != store.CANCELLED:
                save_result(folder, result)
            outcome = Outcome(result.status, result.reason)
        except (Exception, SystemExit) as error:  # a run must end in words, whatever the code of a method does
            with suppress(OSError):
                folder.log.write_text(traceback.format_exc(), encoding="utf-8")
            outcome = Outcome(store.FAILED, describe_failure(error))
        _retry_until_deadline(lambda: folder.write_end(job.resume, outcome), OSError)
    return outcome


def load_function(name: str) -> Callable[..., Any]:
    """Return the function called "module:name"."""
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)


def save_result(folder: RunFolder, result: RunResult) -> None:
    """Write a result's files: `result.json`, `spec.json` and its arrays (weights, features, predictions, replay)."""
    from safetensors.numpy import save_file

    folder.result.mkdir(parents=True, exist_ok=True)
    parts: dict[str, Arrays] = {name: {} for name in ARRAY_FILES}
    for name, array in result.arrays.items():
        kind = name.partition("/")[0]
        parts[{"student": "student", "logits": "predictions", "replay": "replay"}.get(kind, "features")][name] = array
    for name, arrays in parts.items():
        if arrays:
            with atomic_path(folder.result / f"{name}.safetensors") as temporary:
                save_file({key: np.ascontiguousarray(array) for key, array in arrays.items()}, temporary)
    texts = {"spec.json": result.spec.to_json(), "result.json": json.dumps(result.to_dict(), default=float)}
    for name, text in texts.items():
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


def dask_setup(_worker: object) -> None:
    """Prepare a new worker before there is a run; dask calls it in the worker."""
    importlib.import_module("kdlib.engine.preload")  # does nothing where it was forked from a process that has it
    threading.Thread(target=_open_store, daemon=True).start()  # only the first message to the store waits for it
    threading.Thread(target=_exit_with_parent, args=(os.getppid(),), daemon=True).start()


def _open_store() -> None:
    with suppress(store.StoreError):
        store.connect()


def _exit_with_parent(parent: int) -> None:
    """End this process with the one it was forked from: the engine then puts another in its place."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(EXIT_CODE)
