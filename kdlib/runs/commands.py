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
from kdlib.runs.reconcile import PATIENCE, end, listing, patiently, push, server
from kdlib.spec import BASELINE, RAW, RunSpec
from kdlib.store import RunInfo

LONGEST_NAME = 120


def describe(spec: RunSpec) -> str:
    """Return a short name for a run: what its method does with which teacher."""
    if spec.method == BASELINE:
        return "baseline"
    return f"{spec.teacher} raw" if spec.method == RAW else f"{spec.teacher} → {spec.method} {spec.dim}"


def clean(name: str) -> str:
    """Return a name without control characters and without marks that turn the direction of writing; at most 120 characters."""
    kept = "".join(
        " " if c.isspace() else c for c in name if c.isspace() or unicodedata.category(c) not in ("Cc", "Cs")
    )
    return " ".join(re.sub("[\u202a-\u202e\u2066-\u2069]", "", kept).split())[:LONGEST_NAME]


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
    user = clean(user) or getpass.getuser()
    for spec in specs:
        (check or _check)(spec)
    engine.start()
    wish = hashlib.sha256(request_id.encode()).hexdigest()[:24] if request_id else ""
    with locked(f"request-{wish}") if wish else nullcontext():
        before = sum(run.user == user for run in patiently(listing.active))
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
    listing.hurry()
    return ids


def _check(spec: RunSpec) -> None:
    if _function() == Job.function:
        from kdlib.checks import check

        check(spec)


def _title(name: str, spec: RunSpec, count: int) -> str:
    name = clean(name)
    return f"{name} · {describe(spec)}" if name and count > 1 else name or describe(spec)


def _launch_one(
    spec: RunSpec, name: str, user: str, group: str, wish: str, device: str, restarts: int, priority: float
) -> str:
    run = next(iter(patiently(lambda: store.find(request=wish))), None) if wish else None
    if run is None:
        about = {"name": name, "user": user, "group": group, "request": wish, "engine": engine.identity()}
        run = RunInfo(patiently(lambda: store.create(spec, **about)), name, user, spec, store.QUEUED, time.time())
    elif run.state != store.QUEUED or engine.states([run.id]):
        return run.id  # otherwise whoever wished it first did not come to hand it over
    _hand_over(run, device, restarts, priority)
    return run.id


def _hand_over(run: RunInfo, device: str = "auto", restarts: int = 1, priority: float = 0.0) -> None:
    job = Job(run.id, run.spec.to_json(), _function(), server(), device, run.resumes, restarts)
    about = {"name": run.name, "user": run.user, "created": run.created}
    folder = RunFolder(run.id)
    with folder.launching():
        folder.write("job.json", about | {"job": asdict(job)})
        try:
            engine.submit(engine.execute, asdict(job), key=run.id, priority=priority)
        except engine.EngineError as error:
            end(run, Outcome(store.FAILED, str(error)))
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
    _ours(run)
    engine.cancel(run.id, run.resumes)
    if not engine.states([run.id]):
        end(run, Outcome(store.CANCELLED))
    listing.hurry()
    return get(run_id)


def resume(run_id: str, restarts: int = 1) -> RunInfo:
    """Let a failed or cancelled run go on from its last checkpoint, and bring the store up to date; return the run.

    Args:
        restarts: as in `launch`.

    Raises:
        ValueError: it is queued, running or done, or was launched to another engine.
    """
    with locked(f"resume-{run_id}"):
        run = get(run_id)
        if run.active:
            raise ValueError(f"run {run.id} is {run.state}: there is nothing to resume")
        _ours(run)
        if run.state == store.DONE and not run.unsynced:
            raise ValueError(f"run {run.id} is done: there is nothing to resume")
        if run.unsynced:
            patiently(lambda: push(run))
        _wait_for_its_worker(run)
        if run.state != store.DONE:
            engine.start()
            again = replace(run, resumes=run.resumes + 1, state=store.QUEUED, submitted=time.time())
            patiently(lambda: store.tag(run.id, resumes=again.resumes, submitted=again.submitted))
            patiently(lambda: store.set_state(run.id, store.QUEUED))
            _hand_over(again, restarts=restarts)
    listing.hurry()
    return get(run_id)


def _wait_for_its_worker(run: RunInfo) -> None:
    """Return when no worker holds the run any more: one that has just ended it may still be talking to the store."""
    deadline = time.monotonic() + PATIENCE
    while engine.states([run.id]):
        if time.monotonic() > deadline:
            raise ValueError(f"a worker is still ending run {run.id}; try again in a moment")
        time.sleep(0.05)


def rename(run_id: str, name: str) -> None:
    """Give a run another name.

    Raises:
        ValueError: there is no such run, or the name is empty.
    """
    if not clean(name):
        raise ValueError("a run's name cannot be empty")
    patiently(lambda: store.rename(run_id, clean(name)))
    listing.hurry()


def delete(run_id: str) -> None:
    """Take a run out of every listing; `undelete` brings it back.

    Raises:
        ValueError: there is no such run, or it is not over.
    """
    run = get(run_id)
    if run.active:
        raise ValueError(f"run {run.id} is {run.state}: cancel it first")
    patiently(lambda: store.delete(run_id))
    listing.hurry()


def undelete(run_id: str) -> None:
    """Bring a deleted run back."""
    patiently(lambda: store.restore(run_id))
    listing.hurry()


def _ours(run: RunInfo) -> None:
    if run.engine and run.engine != engine.identity():
        raise ValueError(f"run {run.id} was launched to another engine; go there, or point KDLIB_SCHEDULER to it")


def locked(name: str) -> FileLock:
    """Return a lock that one process of this data folder holds at a time."""
    folder = home() / "locks"
    folder.mkdir(exist_ok=True)
    return FileLock(folder / name, timeout=60)
