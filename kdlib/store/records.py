"""One run in the store: create, update, read, rename, delete, and its files.

What MLflow has a field for is stored there (status, name, user, parameters, metrics); the rest are tags that begin with
`kdlib.`.
"""

import json
import os
import shutil
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import Any

from kdlib.cache import atomic_path, home
from kdlib.progress import Progress
from kdlib.results import CURVES, Point, RunResult
from kdlib.spec import RunSpec, setting_text
from kdlib.store.connection import connect, translate_errors
from kdlib.store.errors import RunNotFoundError
from kdlib.store.info import ACTIVE, PLAN, QUEUED, STATUS, RunInfo, to_run_info
from kdlib.store.notes import write_note
from kdlib.store.reading import local_folder, reader

MAX_BATCH = 1000  # numbers that MLflow accepts in one call


def create(
    spec: RunSpec, *, name: str, user: str, engine: str = "", group: str = "", plan: str = "", request: str = ""
) -> str:
    """Return the id of a new queued run.

    Args:
        engine: as in `RunInfo`.
        group: what it belongs to; `group_members(group)` lists it.
        plan: of the group, as in `RunInfo.plans`.
        request: names the launch; `find(request=...)` returns the run, so that a launch repeated is not a second run.

    Example:
        >>> run_id = create(RunSpec(method="mlp"), name="mlp", user="mia")
        >>> fetch(run_id).state
        'queued'
    """
    from mlflow.entities import Param

    connection = connect()
    client = connection.client
    now = time.time()
    tags = {
        "kdlib.spec": spec.to_json(),
        "kdlib.identity": spec.identity,
        "kdlib.submitted": repr(now),
        "kdlib.engine": engine,
        "mlflow.user": user,
        "mlflow.source.name": "kdlib",
    }
    if request:
        tags["kdlib.request"] = request
    if group:
        tags[f"kdlib.in.{group}"] = "1"
    if plan:
        tags[f"{PLAN}{group}"] = plan
    with translate_errors():
        run_id = client.create_run(
            connection.experiment, start_time=int(now * 1000), tags=tags, run_name=name
        ).info.run_id
        client.update_run(run_id, status=STATUS[QUEUED])
        client.log_batch(run_id, params=[Param(key, setting_text(value)) for key, value in asdict(spec).items()])
    write_note(run_id)
    return run_id


def fetch(run_id: str) -> RunInfo:
    """Return one run.

    Raises:
        RunNotFoundError: there is no such run.

    Example:
        >>> fetch(run_id).state
    """
    run = reader().run(run_id)
    info = None if run.deleted else to_run_info(run)
    if info is None:
        raise RunNotFoundError(f"the store does not have run {run_id}")
    return info


def find(*, request: str = "", identity: str = "") -> list[RunInfo]:
    """Return the runs of a request, or of a spec's identity, newest first."""
    return _tagged("kdlib.request", request) if request else _tagged("kdlib.identity", identity)


def group_members(group: str) -> list[RunInfo]:
    """Return the runs tagged as part of a group, newest first."""
    return _tagged(f"kdlib.in.{group}", "1")


def _tagged(key: str, value: str) -> list[RunInfo]:
    if "'" in value or "`" in key:
        raise ValueError(f"{value or key!r} holds a quote, which cannot be looked up")
    return list(filter(None, map(to_run_info, reader().tagged(key, value))))


def set_state(run_id: str, state: str, reason: str = "") -> None:
    """Write a run's state; a terminal one with the time.

    Example:
        >>> set_state(run_id, "failed", "the disk is full")
    """
    client = connect().client
    with translate_errors(f"run {run_id}"):
        if reason:
            client.set_tag(run_id, "kdlib.reason", reason)
        if state in ACTIVE:
            client.update_run(run_id, status=STATUS[state])
        else:
            client.set_terminated(run_id, status=STATUS[state])
    write_note(run_id)


def set_tags(run_id: str, **tags: str | int | float) -> None:
    """Write tags of ours; the prefix `kdlib.` is added to their names."""
    from mlflow.entities import RunTag

    with translate_errors(f"run {run_id}"):
        connect().client.log_batch(run_id, tags=[RunTag(f"kdlib.{key}", str(value)) for key, value in tags.items()])
    write_note(run_id)


def add_to_group(run_id: str, group: str, plan: str = "") -> None:
    """Make a run part of one more group, which may have a plan."""
    set_tags(run_id, **{f"in.{group}": 1} | ({f"{PLAN.removeprefix('kdlib.')}{group}": plan} if plan else {}))


def log_points(run_id: str, points: Iterable[Point], progress: Progress | None = None) -> None:
    """Write the curves, one value per epoch: the mean over the finite members. Writing a point twice leaves one.

    Args:
        points: each with its time.
        progress: how far the run is.

    Example:
        >>> log_points(run_id, [Point(1, val=[0.5, 0.7])])
    """
    from mlflow.entities import Metric

    values = []
    if progress is not None:
        values.append(Metric("progress", progress.step / max(progress.steps, 1), _now(), progress.step))
    values += [Metric(curve, value, time_ms, epoch) for curve, epoch, time_ms, value in curve_values(points)]
    for start in range(0, len(values), MAX_BATCH):
        with translate_errors(f"run {run_id}"):
            connect().client.log_batch(run_id, metrics=values[start : start + MAX_BATCH])


def curve_values(points: Iterable[Point]) -> list[tuple[str, int, int, float]]:
    """Return what the store has of points: curve, epoch, ms since 1970, and the mean over the finite members."""
    values = []
    for point in points:
        for curve in CURVES:
            finite = point.finite(curve)
            if finite:
                values.append((curve, point.epoch, int(1000 * (point.t or 0)), sum(finite) / len(finite)))
    return values


def _now() -> int:
    return int(time.time() * 1000)


def flatten_metrics(result: RunResult) -> dict[str, float]:
    """Return a result's numbers as `RunInfo.metrics` names them; what is undefined is left out."""
    numbers = {f"cost/{key}": value for key, value in vars(result.cost).items()}
    if result.grid is not None:
        numbers |= {f"chosen/{name}": value for name, value in result.grid.best.settings.items()}
        for cell in result.grid.cells:
            name = " ".join(f"{field} {value:g}" for field, value in cell.settings.items())
            numbers[f"grid/{name}"] = cell.val and cell.val.mean
    if result.tuning is not None:
        numbers |= {f"chosen/{name}": value for name, value in result.tuning.best.settings.items()}
        numbers |= {f"trial/{number + 1}": trial.val for number, trial in enumerate(result.tuning.trials)}
        numbers |= {"tuning/epochs": result.tuning.epochs, "tuning/seconds": result.tuning.seconds}
    for split, metrics in result.metrics.items():
        for name, value in metrics.scores.items():
            numbers |= {f"{split}/{name}": value.mean, f"{split}/{name}_ci95": value.ci95}
    return {key: float(value) for key, value in numbers.items() if isinstance(value, int | float) and isfinite(value)}


def log_result(run_id: str, values: Mapping[str, float]) -> None:
    """Write the numbers of a result, and in a sentence how accurate it is."""
    from mlflow.entities import Metric, RunTag

    primary = {key: value for key, value in values.items() if key.endswith(("/accuracy", "/map"))}
    note = [f"{key.replace('/', ': ')} {value:.1%}" for key, value in primary.items()]
    with translate_errors(f"run {run_id}"):
        connect().client.log_batch(
            run_id,
            metrics=[Metric(key, value, _now(), 0) for key, value in values.items()],
            tags=[RunTag("mlflow.note.content", "\n\n".join(note))],
        )


def metric_history(run_id: str) -> list[Point]:
    """Return the points as the store has them: means over the members, as lists of one."""
    points: dict[int, dict[str, Any]] = {}
    for curve in CURVES:
        for step, time_ms, value in reader().history(run_id, curve):
            points.setdefault(step, {"epoch": step, "t": time_ms / 1000})[curve] = [value]
    return [Point(**points[epoch]) for epoch in sorted(points)]


def add_artifacts(run_id: str, paths: Iterable[Path]) -> None:
    """Move files into a run's artifacts. In a local store each appears whole, under its name, or not at all."""
    folder = local_folder(reader().run(run_id))
    with translate_errors(f"run {run_id}"):
        for path in paths:
            if folder is None:
                connect().client.log_artifact(run_id, str(path))
                continue
            folder.mkdir(parents=True, exist_ok=True)
            try:
                os.replace(path, folder / path.name)
            except OSError:  # another disk
                with atomic_path(folder / path.name) as temporary:
                    shutil.copyfile(path, temporary)


def artifact_path(run_id: str, name: str) -> Path:
    """Return a file of a run's artifacts on this disk; from a server it is downloaded once.

    Raises:
        RunNotFoundError: the run has no such file, or not any more.

    Example:
        >>> artifact_path(run_id, "result.json").read_text()
    """
    folder = local_folder(reader().run(run_id))
    if folder is not None:
        if not (folder / name).exists():
            raise RunNotFoundError(f"run {run_id} has no {name}; it was not written or has been deleted")
        return folder / name
    path = home() / "cache" / "artifacts" / run_id / name
    if not path.exists():
        with translate_errors(f"{name} of run {run_id}"), atomic_path(path) as temporary:
            shutil.copyfile(connect().client.download_artifacts(run_id, name), temporary)
    return path


def rename(run_id: str, name: str) -> None:
    """Give a run another name."""
    with translate_errors(f"run {run_id}"):
        connect().client.update_run(run_id, name=name)
    write_note(run_id)
    mark_change()


def delete(run_id: str) -> None:
    """Take a run out of every listing. `restore` brings it back; `mlflow gc` frees its disk space for good."""
    with translate_errors(f"run {run_id}"):
        connect().client.delete_run(run_id)
    write_note(run_id)
    mark_change()


def restore(run_id: str) -> None:
    """Bring a deleted run back."""
    with translate_errors(f"run {run_id}"):
        connect().client.restore_run(run_id)
    write_note(run_id)
    mark_change()


def mark_change() -> None:
    """Let every process that has terminal runs in memory read them again."""
    connection = connect()
    with translate_errors():
        connection.client.set_experiment_tag(connection.experiment, "kdlib.changed", json.dumps(time.time()))
