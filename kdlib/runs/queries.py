"""Reading runs: one, many, their curves, their results."""

import json
import re
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from kdlib import engine, store
from kdlib.cache import Arrays
from kdlib.engine import Job, RunFolder
from kdlib.results import Point, RunResult
from kdlib.runs.reconcile import listing, reconcile, with_short_timeout
from kdlib.spec import RunSpec, unused_fields
from kdlib.store import RunInfo, StoreUnavailableError


def list_runs(
    *,
    limit: int = 50,
    offset: int = 0,
    states: Sequence[str] = (),
    text: str = "",
    user: str = "",
    where: Mapping[str, Collection[Any]] = MappingProxyType({}),
) -> list[RunInfo]:
    """Return runs, newest first, as they are now.

    Args:
        limit, offset: which part of the list.
        states: only these; () = all.
        text: only runs whose name or spec contains it, in any case.
        user: only theirs.
        where: field of a spec -> only runs in which it has one of these values; an empty collection excludes nothing.

    Raises:
        StoreUnavailableError: the store does not answer within seconds.

    Example:
        >>> list_runs(states=("done",), where={"teacher": ["simclr"]}, limit=10)
    """
    active = {run.id: run for run in reconcile(with_short_timeout(listing.active))}

    def accept(run: RunInfo) -> bool:
        run = active.get(run.id, run)
        return (
            (not states or run.state in states)
            and (not user or run.user == user)
            and _has_values(run.spec, where)
            and text.lower() in f"{run.name} {run.spec.to_json()}".lower()
        )

    rows = with_short_timeout(lambda: listing.newest(offset + limit, accept))
    return [active.get(run.id, run) for run in rows[offset:]]


def _has_values(spec: RunSpec, where: Mapping[str, Collection[Any]]) -> bool:
    """Return whether every named field has one of its values; a field that the method does not use has none."""
    unused = unused_fields(spec)
    return all(name not in unused and getattr(spec, name) in values for name, values in where.items() if values)


def get(run_id: str) -> RunInfo:
    """Return one run as it is now; while the store does not answer, what this machine knows of it.

    Raises:
        ValueError: there is no such run.

    Example:
        >>> get(run_id).progress_label
        '40 %'
    """
    folder = RunFolder(run_id)
    try:
        run = with_short_timeout(lambda: store.fetch(run_id))
    except StoreUnavailableError:
        content = folder.read("job.json")
        if not content:
            raise
        job = Job(**content["job"])
        run = RunInfo(
            id=run_id,
            name=content["name"],
            user=content["user"],
            spec=RunSpec.from_record(json.loads(job.spec)),
            state=store.QUEUED,
            created=content["created"],
            submitted=content["created"],
            resumes=job.resume,
            engine=engine.engine_id(),
        )
    return reconcile([run])[0] if run.active else run


def find(text: str) -> RunInfo:
    """Return the run with this id, this beginning of an id, or this name.

    Raises:
        ValueError: none, or several of them.

    Example:
        >>> find("first try").id
    """
    if re.fullmatch(r"[0-9a-f]{32}", text):
        return get(text)
    rows = [run for run in list_runs(limit=1000) if run.id.startswith(text) or run.name == text] if text else []
    if len(rows) != 1:
        raise ValueError(f"{len(rows) or 'no'} runs are called {text!r}{', write more of the id' if rows else ''}")
    return rows[0]


def find_all(texts: Sequence[str]) -> list[RunInfo]:
    """Return the runs that texts stand for, each once: as in `find`, or all runs of a name or a sweep, oldest first.

    Raises:
        ValueError: a text stands for no run, or is the beginning of several ids.

    Example:
        >>> [run.id for run in find_all(["first try", "3f2a"])]
    """
    rows: dict[str, RunInfo] = {}
    for text in texts:
        group: list[RunInfo] = []
        if re.fullmatch(r"[0-9a-f]{12}", text):  # the name of a sweep, or the beginning of an id
            group = with_short_timeout(lambda text=text: store.group_members(text))
        elif text and not re.fullmatch(r"[0-9a-f]{32}", text):
            group = [run for run in list_runs(limit=1000) if run.name == text]
        rows |= {run.id: run for run in reversed(group or [find(text)])}
    return [get(run.id) if run.active else run for run in rows.values()]


def history(run_id: str) -> list[Point]:
    """Return all points of a run so far: one number per member; of a run that trains on another machine, their means.

    Of a grid these are all members until it is over, then those of the chosen cell.

    Example:
        >>> [point.val for point in history(run_id)]
    """
    folder = RunFolder(run_id)
    points = folder.points()
    if points and _has_grid(folder):
        with suppress(store.RunNotFoundError):
            return result(run_id).history
    if not points:
        with suppress(store.RunNotFoundError):
            points = result(run_id).history
    return points or with_short_timeout(lambda: store.metric_history(run_id))


def _has_grid(folder: RunFolder) -> bool:
    content = folder.read("job.json")
    return bool(content) and bool(RunSpec.from_record(json.loads(content["job"]["spec"])).grid)


def watch(run_id: str, every: float = 0.5) -> Iterator[tuple[RunInfo, list[Point]]]:
    """Yield the run and its new points, until it is over.

    Args:
        every: seconds between two reads.

    Example:
        >>> for run, points in watch(run_id):
        ...     print(run.progress_label, [point.epoch for point in points])
    """
    seen = 0
    while True:
        run = get(run_id)  # read before the points: when it is over, they are complete
        points = history(run_id)
        yield run, points[seen:]
        seen = len(points)
        if not run.active:
            return
        time.sleep(every)


def result(run_id: str) -> RunResult:
    """Return what came of a run, without its arrays.

    Raises:
        RunNotFoundError: nothing came of it (yet), or the file has been deleted.

    Example:
        >>> result(run_id).metrics["test"]["accuracy"].mean
    """
    local = RunFolder(run_id).result / "result.json"  # until the store has it
    with suppress(FileNotFoundError):
        return RunResult.from_dict(json.loads(local.read_text(encoding="utf-8")))
    path = with_short_timeout(lambda: store.artifact_path(run_id, "result.json"))
    return RunResult.from_dict(json.loads(path.read_text(encoding="utf-8")))


def arrays(run_id: str, kind: str) -> Arrays:
    """Return arrays of a result, named as in `RunResult.arrays`.

    Args:
        kind: "student" (weights), "features" (student features and compressed embeddings), "predictions" (logits) or
            "replay".

    Raises:
        RunNotFoundError: the run has no such file.

    Example:
        >>> arrays(run_id, "predictions")["logits/test"].shape
    """
    from safetensors.numpy import load_file

    return load_file(_file(run_id, kind))


def member_array(run_id: str, kind: str, name: str, member: int) -> np.ndarray:
    """Return the part (n, d) of one member in an array (m, n, d) without reading the others; m is 1 where all share it.

    Raises:
        RunNotFoundError: the run has no such file, or the file no such array.

    Example:
        >>> member_array(run_id, "features", "features/test", member=0).shape
    """
    from safetensors import safe_open

    with safe_open(_file(run_id, kind), framework="np") as file:
        if name not in file.keys():  # noqa: SIM118
            raise store.RunNotFoundError(f"run {run_id[:8]} has no {name}")
        part = file.get_slice(name)
        return part[min(member, part.get_shape()[0] - 1)]


def replay(run_id: str) -> Arrays:
    """Return the snapshots of a run that is over, named as in `ReplayRecorder.of`; {} if there are none.

    Example:
        >>> replay(run_id)["epochs"]
    """
    with suppress(store.RunNotFoundError):
        return {name.removeprefix("replay/"): value for name, value in arrays(run_id, "replay").items()}
    return {}


def snapshots(run_id: str) -> list[Arrays]:
    """Return the snapshots so far of a run that trains on this machine, oldest first.

    Example:
        >>> [int(each["epoch"]) for each in snapshots(run_id)]
    """
    return RunFolder(run_id).read_snapshots()


def _file(run_id: str, kind: str) -> Path:
    """Return where a file of a result is: here until the store has it."""
    local = RunFolder(run_id).result / f"{kind}.safetensors"
    return local if local.exists() else with_short_timeout(lambda: store.artifact_path(run_id, local.name))
