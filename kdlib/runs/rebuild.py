"""A damaged store made anew from what lies beside it: the files of each run, and the folders of their workers."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from kdlib import store
from kdlib.cache import home
from kdlib.engine import Job, RunFolder
from kdlib.results import Point, RunResult
from kdlib.runs.commands import default_name, named_lock
from kdlib.spec import RunSpec
from kdlib.store import database, notes
from kdlib.store.connection import describe_location, local_database, tracking_uri
from kdlib.store.notes import CurveValue, RecoveredRun
from kdlib.store.reading import StoredRun, reader

UNKNOWN_END = "the store was damaged before it was over; a resume goes on from the last checkpoint"


@dataclass(frozen=True)
class Rebuilt:
    """What was done to a store.

    Attributes:
        added: runs that it did not have.
        updated: runs of which it knew less than their files.
        aside: where the damaged database is now, None if there was none.
        copy: the copy that took its place, None if it was made anew.
    """

    added: int
    updated: int
    aside: Path | None = None
    copy: Path | None = None


def rebuild_store(*, from_copy: bool = False) -> Rebuilt:
    """Move a damaged local store aside and make it anew from the files of the runs; a whole one gets what it lacks.

    Args:
        from_copy: begin with the newest daily copy.

    Raises:
        StoreError: the store is a server's, or there is no copy.

    Example:
        >>> rebuild_store().added
        12
    """
    path = local_database(tracking_uri())
    if path is None:
        raise store.StoreError(f"the run store at {describe_location()} is a server: its owner keeps its copies")
    aside = copy = None
    with named_lock("rebuild"):
        if path.exists() and _is_damaged(path):
            if from_copy:
                database.newest_copy(path)
            aside = database.move_aside(path)
        if from_copy and not path.exists():
            copy = database.restore_copy(path)
        store.connect()
        return replace(_complete(path, newer=copy is not None), aside=aside, copy=copy)


def _is_damaged(path: Path) -> bool:
    try:
        database.check(path, thoroughly=True)
    except store.StoreDamagedError:
        return True
    return False


def _complete(path: Path, *, newer: bool) -> Rebuilt:
    """Write what runs left behind into a database that does not have it.

    Args:
        newer: the files are newer than the database, so what they say of runs that it has counts too.
    """
    missing, added = [], 0
    for run in _recover_runs():
        try:
            stored = reader().run(run.id)
        except store.RunNotFoundError:
            added += 1
        else:
            if not newer or replace(run, artifacts=stored.artifacts, metrics=stored.metrics) == stored:
                continue
        missing.append(run)
    notes.write_runs(path, (RecoveredRun(run, asdict(_read_spec(run)), _recover_curves(run)) for run in missing))
    store.mark_change()
    for run in missing:
        notes.write_note(run.id)
    return Rebuilt(added, len(missing) - added)


def _read_spec(run: StoredRun) -> RunSpec:
    return RunSpec.from_json(run.tags["kdlib.spec"])


def _recover_runs() -> Iterator[StoredRun]:
    """Yield every run of ours of which there is a file."""
    folders = notes.artifact_folders()
    launched = {path.parent.name for path in (home() / "runs").glob("*/job.json")}
    for run_id in sorted(folders.keys() | launched):
        folder = folders.get(run_id, home().resolve() / "artifacts" / run_id / "artifacts")
        try:
            run = notes.read_note(folder) or _recover_run(run_id, folder)
            if run is None:
                continue
            _read_spec(run)
        except (ValueError, KeyError):  # not a folder of ours, or none that says what was run
            continue
        yield replace(run, id=run_id)


def _recover_run(run_id: str, folder: Path) -> StoredRun | None:
    """Return a run that has no note, from its result, its job and its journal; None if not even its spec is there."""
    journal, result = RunFolder(run_id), _read_json(folder / "result.json")
    launched = journal.read("job.json")
    job = Job(**launched["job"]) if launched else Job(run_id, "{}")
    fields = result.get("spec") or _read_json(folder / "spec.json") or json.loads(job.spec)
    if not fields:
        return None
    spec = RunSpec.from_json(json.dumps(fields))
    outcome, events = journal.outcome(job.resume), journal.events()
    state = outcome.state if outcome else result.get("status", store.FAILED)
    reason = outcome.reason if outcome else result.get("reason", UNKNOWN_END)
    times = [event["t"] for event in events] or [path.stat().st_mtime for path in folder.glob("*.json")] or [0.0]
    created = launched.get("created", min(times))
    tags = {
        "kdlib.spec": spec.to_json(),
        "kdlib.identity": spec.identity,
        "kdlib.submitted": repr(created),
        "kdlib.resumes": str(job.resume),
        "mlflow.user": launched.get("user", ""),
    } | ({"kdlib.reason": reason} if reason else {})
    return StoredRun(
        id=run_id,
        name=launched.get("name") or default_name(spec),
        user=launched.get("user", ""),
        status=store.STATUS[state],
        started=int(1000 * created),
        ended=int(1000 * max(times)),
        deleted=False,
        artifacts=folder.as_uri(),
        tags=tags,
        metrics=store.flatten_metrics(RunResult.from_dict(result)) if result else {},
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _recover_curves(run: StoredRun) -> list[CurveValue]:
    """Return the curves of a run from its journal, or from its result when the journal is gone."""
    points = RunFolder(run.id).points()
    if not points:
        ended = (run.ended or run.started) / 1000
        folder = notes.artifact_folders().get(run.id)
        history = _read_json(folder / "result.json").get("history", []) if folder else []
        points = [Point.from_dict({"t": ended} | point) for point in history]
    return store.curve_values(points)
