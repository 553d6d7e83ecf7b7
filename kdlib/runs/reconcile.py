"""What is true of a run: store, engine and the run's own folder, brought together.

The store says what was, the engine says what is alive, the folder knows what has not reached the store yet.
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

Answer = TypeVar("Answer")

ANSWER_SECONDS = 4.0  # seconds that a question may wait for the store
PATIENCE_SECONDS = 20.0  # seconds that a change may wait for it
GRACE_SECONDS = 3.0  # seconds between a run's launch and the moment the engine must know of it

listing = store.Listing(fresh=0.3)


def with_retry(call: Callable[[], Answer]) -> Answer:
    """Return what a change of the store returns, trying again while it is busy."""
    return store.Retry(PATIENCE_SECONDS)(call)


def with_short_timeout(call: Callable[[], Answer]) -> Answer:
    """Return what a question to the store returns; raises `StoreUnavailableError` when that takes longer than a person waits."""
    return store.with_timeout(ANSWER_SECONDS, call)


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
    """Return active runs of the store as they really are, and write down the end of those that nobody works on."""
    mine = [run.id for run in runs if run.engine == engine.engine_id()]
    try:
        alive = engine.states(mine)
    except engine.EngineError:  # it may come back: nobody is declared dead by a silence
        return [merge_folder_state(run) for run in runs]
    return [_reconcile_one(run, alive) if run.id in mine else run for run in runs]


def merge_folder_state(run: RunInfo) -> RunInfo:
    """Return a run with what its folder knows and the store may not."""
    folder = RunFolder(run.id)
    alive, outcome = folder.read("alive.json"), folder.outcome(run.resumes)
    progress = max(run.progress, alive.get("step", 0) / max(alive.get("steps", 0), 1))
    run = replace(
        run, progress=progress, unsynced=engine.unsynced(folder), cancelling=folder.cancel_requested(run.resumes)
    )
    if outcome is None:
        phase = (
            {"phase": alive.get("phase", ""), "phase_share": alive.get("share", 0.0)}
            if run.state == store.RUNNING
            else {}
        )
        return replace(run, **phase)
    run = replace(
        run, state=outcome.state, reason=outcome.reason, cancelling=False, ended=folder.journal.stat().st_mtime
    )
    if outcome.state != store.DONE:
        return run
    result = folder.read("result/result.json")
    return replace(
        run, progress=1.0, metrics=store.flatten_metrics(RunResult.from_dict(result)) if result else run.metrics
    )


def _reconcile_one(run: RunInfo, alive: dict[str, str]) -> RunInfo:
    now, folder = merge_folder_state(replace(run, state=alive.get(run.id, run.state))), RunFolder(run.id)
    if not now.active:
        if run.id not in alive:  # nobody else brings the store up to date
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
    """Return how a waiting run ends, if it waits for a worker only to be told so."""
    if folder.cancel_requested(run.resumes):
        return Outcome(store.CANCELLED)
    if folder.count_starts(run.resumes) > folder.read("job.json").get("job", {}).get("restarts", 1):
        return Outcome(store.FAILED, folder.death_reason(run.resumes))
    return None


def _resolve_orphan(run: RunInfo) -> RunInfo:
    """Return a run that neither the engine nor its own journal accounts for, failed unless a second look says otherwise."""
    with suppress(store.StoreUnavailableError):
        again = with_short_timeout(lambda: store.fetch(run.id))
        if not again.active or again.resumes != run.resumes:
            return again
    folder = RunFolder(run.id)
    if folder.is_being_launched():  # the machine is busy; asked before the engine is, which then knows of it
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
