"""Changing runs: launch, cancel, resume, rename, delete."""

import getpass
import hashlib
import os
import re
import time
import unicodedata
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace

from filelock import FileLock

from kdlib import engine, store
from kdlib.cache import home
from kdlib.engine import Job, Outcome, RunFolder
from kdlib.runs.queries import get
from kdlib.runs.reconcile import PATIENCE_SECONDS, listing, push, server_address, with_retry, write_end
from kdlib.spec import BASELINE, RAW, RunSpec
from kdlib.store import RunInfo

MAX_NAME = 120


def default_name(spec: RunSpec) -> str:
    """Return a short name for a run: what its method does with which teacher."""
    if spec.method == BASELINE:
        return "baseline"
    return f"{spec.teacher} raw" if spec.method == RAW else f"{spec.teacher} → {spec.method} {spec.dim}"


def clean_name(name: str) -> str:
    """Return a name without control characters and without marks that turn the direction of writing; at most 120 characters."""
    kept = "".join(
        " " if c.isspace() else c for c in name if c.isspace() or unicodedata.category(c) not in ("Cc", "Cs")
    )
    return " ".join(re.sub("[\u202a-\u202e\u2066-\u2069]", "", kept).split())[:MAX_NAME]


def launch(
    specs: Sequence[RunSpec],
    *,
    name: str = "",
    user: str = "",
    request_id: str = "",
    group: str = "",
    device: str = "auto",
    restarts: int = 1,
    check: Callable[[RunSpec], None] | None = None,
) -> list[str]:
    """Start runs in the background and return their ids, in the order of the specs.

    Args:
        name: what a person calls them; by default each is named after its method.
        user: whose turn it is when many wait: the first run of one user goes before the second of another. By default the account's name.
        request_id: names this wish; the same wish a second time, from wherever, gives the same runs.
        group: a sweep they belong to.
        device: "auto", "cpu", "cuda" or "mps".
        restarts: how often each goes on by itself, from its last checkpoint, after its worker died.
        check: raises ValueError for a spec that cannot be run; by default `kdlib.checks.check`. All are checked before any is started.

    Raises:
        ValueError: a spec cannot be run; the engine or the store does not answer.
    """
    user = clean_name(user) or getpass.getuser()
    for spec in specs:
        (check or _check)(spec)
    engine.start()
    wish = hashlib.sha256(request_id.encode()).hexdigest()[:24] if request_id else ""
    with named_lock(f"request-{wish}") if wish else nullcontext():
        before = sum(run.user == user for run in with_retry(listing.active))
        ids = [
            _launch_one(
                spec,
                _title(name, spec, len(specs)),
                user,
                group,
                f"{wish}/{place}" if wish else "",
                device,
                restarts,
                -before - place,
            )
            for place, spec in enumerate(specs)
        ]
    listing.expire()
    return ids


def _check(spec: RunSpec) -> None:
    if _function() == Job.function:
        from kdlib.checks import check

        check(spec)


def _title(name: str, spec: RunSpec, count: int) -> str:
    name = clean_name(name)
    return f"{name} · {default_name(spec)}" if name and count > 1 else name or default_name(spec)


def _launch_one(
    spec: RunSpec, name: str, user: str, group: str, wish: str, device: str, restarts: int, priority: float
) -> str:
    run = next(iter(with_retry(lambda: store.find(request=wish))), None) if wish else None
    if run is None:
        about = {"name": name, "user": user, "group": group, "request": wish, "engine": engine.engine_id()}
        run = RunInfo(with_retry(lambda: store.create(spec, **about)), name, user, spec, store.QUEUED, time.time())
    elif run.state != store.QUEUED or engine.states([run.id]):
        return run.id  # otherwise whoever wished it first did not come to hand it over
    _hand_over(run, device, restarts, priority)
    return run.id


def _hand_over(run: RunInfo, device: str = "auto", restarts: int = 1, priority: float = 0.0) -> None:
    job = Job(run.id, run.spec.to_json(), _function(), server_address(), device, run.resumes, restarts)
    about = {"name": run.name, "user": run.user, "created": run.created}
    folder = RunFolder(run.id)
    with folder.launch_lock():
        folder.write("job.json", about | {"job": asdict(job)})
        try:
            engine.submit(engine.execute, job, key=run.id, priority=priority)
        except engine.EngineError as error:
            write_end(run, Outcome(store.FAILED, str(error)))
            raise


def _function() -> str:
    return os.environ.get("KDLIB_FUNCTION", Job.function)


def cancel(run_id: str) -> RunInfo:
    """Stop a run and return it; one that is over stays as it is. It ends within a second or two, or its worker is ended within some.

    What it had when it was trained or measured is kept, see `measuring.measure`; what it loaded, embedded or fitted is not.

    Raises:
        ValueError: there is no such run, or it was launched to another engine.
    """
    run = get(run_id)
    if not run.active:
        return run
    _check_engine(run)
    engine.cancel(run.id, run.resumes)
    if not engine.states([run.id]):
        write_end(run, Outcome(store.CANCELLED))
    listing.expire()
    return get(run_id)


def resume(run_id: str, restarts: int = 1) -> RunInfo:
    """Let a failed or cancelled run go on from its last checkpoint, and bring the store up to date; return the run.

    Args:
        restarts: as in `launch`.

    Raises:
        ValueError: it is queued, running or done, or was launched to another engine.
    """
    with named_lock(f"resume-{run_id}"):
        run = get(run_id)
        if run.active:
            raise ValueError(f"run {run.id} is {run.state}: there is nothing to resume")
        _check_engine(run)
        if run.state == store.DONE and not run.unsynced:
            raise ValueError(f"run {run.id} is done: there is nothing to resume")
        if run.unsynced:
            with_retry(lambda: push(run))
        _wait_for_its_worker(run)
        if run.state != store.DONE:
            engine.start()
            again = replace(run, resumes=run.resumes + 1, state=store.QUEUED, submitted=time.time())
            with_retry(lambda: store.set_tags(run.id, resumes=again.resumes, submitted=again.submitted))
            with_retry(lambda: store.set_state(run.id, store.QUEUED))
            _hand_over(again, restarts=restarts)
    listing.expire()
    return get(run_id)


def _wait_for_its_worker(run: RunInfo) -> None:
    """Return when no worker holds the run any more: one that has just ended it may still be talking to the store."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while engine.states([run.id]):
        if time.monotonic() > deadline:
            raise ValueError(f"a worker is still ending run {run.id}; try again in a moment")
        time.sleep(0.05)


def rename(run_id: str, name: str) -> None:
    """Give a run another name.

    Raises:
        ValueError: there is no such run, or the name is empty.
    """
    if not clean_name(name):
        raise ValueError("a run's name cannot be empty")
    with_retry(lambda: store.rename(run_id, clean_name(name)))
    listing.expire()


def delete(run_id: str) -> None:
    """Take a run out of every listing; `undelete` brings it back.

    Raises:
        ValueError: there is no such run, or it is not over.
    """
    run = get(run_id)
    if run.active:
        raise ValueError(f"run {run.id} is {run.state}: cancel it first")
    with_retry(lambda: store.delete(run_id))
    listing.expire()


def undelete(run_id: str) -> None:
    """Bring a deleted run back."""
    with_retry(lambda: store.restore(run_id))
    listing.expire()


def _check_engine(run: RunInfo) -> None:
    if run.engine and run.engine != engine.engine_id():
        raise ValueError(f"run {run.id} was launched to another engine; go there, or point KDLIB_SCHEDULER to it")


def named_lock(name: str) -> FileLock:
    """Return a lock that one process of this data folder holds at a time."""
    folder = home() / "locks"
    folder.mkdir(exist_ok=True)
    return FileLock(folder / name, timeout=60)
