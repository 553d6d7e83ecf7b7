"""The state of a run: store, engine and the run's own folder, brought together.

The store knows what was, the engine what is alive, the folder what has not reached the store yet.
"""

import os
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

from kdlib import engine, store
from kdlib.cache import home
from kdlib.engine import Job, Outcome, RunFolder
from kdlib.results import RunResult
from kdlib.store import RunInfo

Result = TypeVar("Result")

READ_SECONDS = 4.0  # seconds that a read may wait for the store
WRITE_SECONDS = 20.0  # seconds that a change may wait for it
GRACE_SECONDS = 3.0  # seconds between a run's launch and the moment the engine must know of it

listing = store.Listing(fresh=0.3)


def with_retry(call: Callable[[], Result]) -> Result:
    """Return what a call that changes the store returns, trying again while it is busy."""
    return store.Retry(WRITE_SECONDS)(call)


def with_short_timeout(call: Callable[[], Result]) -> Result:
    """Return what a call that reads the store returns.

    Raises:
        StoreUnavailableError: it takes longer than a person waits.
    """
    return store.with_timeout(READ_SECONDS, call)


def server_address() -> str:
    """Return the address of the store's server, "" for the store in the data folder."""
    return store.tracking_uri() if os.environ.get("MLFLOW_TRACKING_URI") else ""


def write_end(run: RunInfo, outcome: Outcome) -> None:
    """Write an outcome that no worker will write, as well as the disk and the store allow."""
    with suppress(OSError):
        RunFolder(run.id).write_end(run.resumes, outcome)
    with suppress(store.StoreError):
        push(run)


def push(run: RunInfo) -> None:
    """Bring the store up to date with a run's folder."""
    job = Job(run.id, run.spec.to_json(), tracking=server_address(), resume=run.resumes)
    with_short_timeout(lambda: engine.push(job))


def reconcile(runs: Sequence[RunInfo]) -> list[RunInfo]:
    """Return the active runs of the store as they are now, and write down the end of those that no worker has."""
    ours = {run.id for run in runs if run.engine == engine.engine_id()}
    try:
        alive = engine.states(ours)
    except engine.EngineError:  # it may come back: a silence fails no run
        return [merge_folder_state(run) for run in runs]
    return [_reconcile_one(run, alive) if run.id in ours else run for run in runs]


def merge_folder_state(run: RunInfo) -> RunInfo:
    """Return a run with what its folder knows and the store may not."""
    folder = RunFolder(run.id)
    alive, outcome = folder.read("alive.json"), folder.outcome(run.resumes)
    progress = max(run.progress, alive.get("step", 0) / max(alive.get("steps", 0), 1))
    cancelling = folder.cancel_requested(run.resumes)
    run = replace(run, progress=progress, unsynced=engine.unsynced(folder), cancelling=cancelling)
    if outcome is None:
        if run.state != store.RUNNING:  # the folder shows the phase before the resume
            return run
        return replace(run, phase=alive.get("phase", ""), phase_share=alive.get("share", 0.0))
    ended = folder.journal.stat().st_mtime
    run = replace(run, state=outcome.state, reason=outcome.reason, cancelling=False, ended=ended)
    if outcome.state != store.DONE:
        return run
    result = folder.read("result/result.json")
    metrics = store.flatten_metrics(RunResult.from_dict(result)) if result else run.metrics
    return replace(run, progress=1.0, metrics=metrics)


def _reconcile_one(run: RunInfo, alive: dict[str, str]) -> RunInfo:
    folder = RunFolder(run.id)
    now = merge_folder_state(replace(run, state=alive.get(run.id, run.state)))
    if not now.active:
        if run.id not in alive:  # no worker brings the store up to date
            with suppress(store.StoreError):
                push(run)
                now = replace(now, unsynced=0)
        elif now.state == store.DONE:  # its worker is still bringing the store up to date
            now = replace(now, state=store.RUNNING, ended=None)
        return now
    if run.id in alive:
        if alive[run.id] == store.QUEUED and (outcome := _queued_outcome(run, folder)):
            with suppress(OSError):
                folder.write_end(run.resumes, outcome)
            return merge_folder_state(run)
        return now
    if time.time() - run.submitted < GRACE_SECONDS and not now.cancelling:
        return now
    return _resolve_orphan(run)


def _queued_outcome(run: RunInfo, folder: RunFolder) -> Outcome | None:
    """Return how a waiting run ends, if it waits for a worker only to end."""
    if folder.cancel_requested(run.resumes):
        return Outcome(store.CANCELLED)
    if folder.count_starts(run.resumes) > folder.read("job.json").get("job", {}).get("restarts", 1):
        return Outcome(store.FAILED, folder.death_reason(run.resumes))
    return None


def _resolve_orphan(run: RunInfo) -> RunInfo:
    """Return a run that is neither in the engine nor ended in its journal: failed, unless it is so by now."""
    with suppress(store.StoreUnavailableError):
        stored = with_short_timeout(lambda: store.fetch(run.id))
        if not stored.active or stored.resumes != run.resumes:
            return stored
    folder = RunFolder(run.id)
    if folder.is_being_launched():  # on a busy machine; checked before the engine is, which then knows of it
        return run
    with suppress(engine.EngineError):
        if engine.states([run.id]) or not merge_folder_state(run).active:
            return merge_folder_state(run)
    if shutil.disk_usage(home()).free < 1e6:
        reason = "disk full: free some space, then resume"
    elif folder.count_starts(run.resumes):
        reason = "the engine stopped while it ran; a resume goes on from the last checkpoint"
    else:
        reason = "it was never begun: the engine or the launching process stopped; a resume starts it"
    outcome = Outcome(store.CANCELLED) if folder.cancel_requested(run.resumes) else Outcome(store.FAILED, reason)
    write_end(run, outcome)
    return replace(merge_folder_state(run), state=outcome.state, reason=outcome.reason)
