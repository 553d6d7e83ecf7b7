"""Bringing the store up to date with a run's folder.

Everything may be sent twice: a point keeps its time and is stored once, files are replaced, a state is written again.
So when a process is killed in between, the next one starts from the last thing known to have arrived.
"""

import json
import shutil
from contextlib import suppress

from filelock import FileLock, Timeout

from kdlib import store
from kdlib.engine.journal import Job, Outcome, RunFolder
from kdlib.progress import Progress
from kdlib.results import RunResult


def push(job: Job, progress: Progress | None = None) -> None:
    """Send what the store does not have yet.

    Raises:
        StoreUnavailableError: the store does not answer, or another process is sending for this run. What has arrived
            is remembered.
        StoreError: the run has been deleted from the store.
    """
    folder = RunFolder(job.run)
    try:
        with FileLock(folder.path / "push.lock", timeout=0):
            _push(folder, job, progress)
    except Timeout:
        raise store.StoreUnavailableError(f"another process is bringing run {job.run} up to date") from None


def unsynced(folder: RunFolder) -> int:
    """Return how many points of the journal the store does not have."""
    return len(folder.points()) - folder.read("synced.json").get("points", 0)


def _push(folder: RunFolder, job: Job, progress: Progress | None) -> None:
    synced = {"points": 0, "end": -1} | folder.read("synced.json")
    outcome = folder.outcome(job.resume)  # read before the points: what was written before the end is sent before it
    points = folder.points()
    if len(points) > synced["points"] or progress:
        store.log_points(job.run, points[synced["points"] :], progress)
        synced["points"] = len(points)
        folder.write("synced.json", synced)
    if outcome and synced["end"] != job.resume:
        _push_end(folder, job, outcome)
        folder.write("synced.json", synced | {"end": job.resume})


def _push_end(folder: RunFolder, job: Job, outcome: Outcome) -> None:
    result = folder.result / "result.json"
    if result.exists():
        content = json.loads(result.read_text(encoding="utf-8"))
        store.log_result(job.run, store.flatten_metrics(RunResult.from_dict(content)))
        others = [path for path in sorted(folder.result.iterdir()) if path != result and not path.name.startswith(".")]
        store.add_artifacts(job.run, [*others, result])  # the result last: where it is, the others are too
    store.set_state(job.run, outcome.state, outcome.reason)
    if outcome.state == store.DONE:
        for path in folder.path.glob("checkpoint.*"):
            path.unlink(missing_ok=True)
        shutil.rmtree(folder.frames, ignore_errors=True)
    with suppress(OSError):
        folder.result.rmdir()
