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
from kdlib.names import run_name, teacher_name
from kdlib.runs.queries import get
from kdlib.runs.reconcile import WRITE_SECONDS, listing, push, server_address, with_retry, write_end
from kdlib.spec import BASELINE, RunSpec
from kdlib.store import RunInfo

MAX_NAME = 120


def default_name(spec: RunSpec) -> str:
    """Return a short name for a run: which teacher, and what is made of it."""
    name = run_name(spec) if spec.method == BASELINE else f"{teacher_name(spec.teacher)} → {run_name(spec)}"
    name += f", labelled subset {spec.subset}" if spec.subset else ""
    return f"{name}, seeds from {spec.first_seed}" if spec.first_seed else name


def clean_name(name: str) -> str:
    """Return a name of at most 120 characters, without control characters and marks that change the text direction."""
    visible = (c for c in name if c.isspace() or unicodedata.category(c) not in ("Cc", "Cs"))
    text = "".join(" " if c.isspace() else c for c in visible)
    return " ".join(re.sub("[\u202a-\u202e\u2066-\u2069]", "", text).split())[:MAX_NAME]


def launch(
    specs: Sequence[RunSpec],
    *,
    name: str = "",
    user: str = "",
    request_id: str = "",
    group: str = "",
    plan: str = "",
    device: str = "auto",
    restarts: int = 1,
    check: Callable[[RunSpec], None] | None = None,
) -> list[str]:
    """Start runs in the background and return their ids, in the order of the specs.

    Args:
        name: of the runs; by default each is named after its method.
        user: by default the account's name. The first waiting run of one goes before the second of another.
        request_id: names this request; the same request again, from any process, gives the same runs.
        group: a sweep they belong to.
        plan: of the group, see `kdlib.runs.sequences`.
        device: "auto", "cpu", "cuda" or "mps".
        restarts: how often each is started again, from its last checkpoint, after its worker died.
        check: raises ValueError for a spec that cannot be run; by default `kdlib.checks.check`. All are checked before
            any is started.

    Raises:
        ValueError: a spec cannot be run; the engine or the store does not answer.

    Example:
        >>> ids = launch([RunSpec(method="mlp"), RunSpec(method="raw")], name="first try")
        >>> list_runs(states=("running",))
    """
    user = clean_name(user) or getpass.getuser()
    for spec in specs:
        (check or _check)(spec)
    engine.start()
    digest = hashlib.sha256(request_id.encode()).hexdigest()[:24] if request_id else ""
    ids = []
    with named_lock(f"request-{digest}") if digest else nullcontext():
        queued_before = sum(run.user == user for run in with_retry(listing.active))
        for number, spec in enumerate(specs):
            request = f"{digest}/{number}" if digest else ""
            title = _name_run(name, spec, len(specs))
            run = _find_launched(request) or _create(spec, title, user, group, plan, request)
            # A queued run that the engine does not have is new, or its launch was interrupted.
            if run.state == store.QUEUED and not engine.states([run.id]):
                _hand_over(run, device, restarts, priority=-queued_before - number)
            ids.append(run.id)
    listing.expire()
    return ids


def _check(spec: RunSpec) -> None:
    if _function() == Job.function:
        from kdlib.checks import check

        check(spec)


def _name_run(name: str, spec: RunSpec, count: int) -> str:
    name = clean_name(name)
    return f"{name} · {default_name(spec)}" if name and count > 1 else name or default_name(spec)


def _find_launched(request: str) -> RunInfo | None:
    return next(iter(with_retry(lambda: store.find(request=request))), None) if request else None


def _create(spec: RunSpec, name: str, user: str, group: str, plan: str, request: str) -> RunInfo:
    engine_id = engine.engine_id()
    run_id = with_retry(
        lambda: store.create(spec, name=name, user=user, group=group, plan=plan, request=request, engine=engine_id)
    )
    return RunInfo(run_id, name, user, spec, store.QUEUED, time.time())


def _hand_over(run: RunInfo, device: str = "auto", restarts: int = 1, priority: float = 0.0) -> None:
    job = Job(run.id, run.spec.to_json(), _function(), server_address(), device, run.resumes, restarts)
    content = {"name": run.name, "user": run.user, "created": run.created, "job": asdict(job)}
    folder = RunFolder(run.id)
    with folder.launch_lock():
        folder.write("job.json", content)
        try:
            engine.submit(engine.execute, job, key=run.id, priority=priority)
        except engine.EngineError as error:
            write_end(run, Outcome(store.FAILED, str(error)))
            raise


def _function() -> str:
    return os.environ.get("KDLIB_FUNCTION", Job.function)


def cancel(run_id: str) -> RunInfo:
    """Stop a run and return it; one that is over stays as it is. Without effect within seconds, its worker is ended.

    The last state of a run that trains or is measured is saved, see `measure.measure`; of an earlier phase nothing is.

    Raises:
        ValueError: there is no such run, or it was launched to another engine.

    Example:
        >>> cancel(run_id).cancelling
        True
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

    Example:
        >>> resume(run_id).resumes
        1
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
        _wait_for_worker(run)
        if run.state != store.DONE:
            engine.start()
            resumed = replace(run, resumes=run.resumes + 1, state=store.QUEUED, submitted=time.time())
            with_retry(lambda: store.set_tags(run.id, resumes=resumed.resumes, submitted=resumed.submitted))
            with_retry(lambda: store.set_state(run.id, store.QUEUED))
            _hand_over(resumed, restarts=restarts)
    listing.expire()
    return get(run_id)


def _wait_for_worker(run: RunInfo) -> None:
    """Return when no worker has the run any more: one that has just ended it may still be talking to the store."""
    deadline = time.monotonic() + WRITE_SECONDS
    while engine.states([run.id]):
        if time.monotonic() > deadline:
            raise ValueError(f"a worker is still ending run {run.id}; try again in a moment")
        time.sleep(0.05)


def rename(run_id: str, name: str) -> None:
    """Give a run another name.

    Raises:
        ValueError: there is no such run, or the name is empty.

    Example:
        >>> rename(run_id, "16 numbers")
    """
    if not clean_name(name):
        raise ValueError("a run's name cannot be empty")
    with_retry(lambda: store.rename(run_id, clean_name(name)))
    listing.expire()


def delete(run_id: str) -> None:
    """Take a run out of every listing; `undelete` brings it back.

    Raises:
        ValueError: there is no such run, or it is not over.

    Example:
        >>> delete(run_id)
        >>> undelete(run_id)
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
