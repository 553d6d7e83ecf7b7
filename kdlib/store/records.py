"""One run in the store: create, update, read, rename, delete, and its files.

What MLflow has a place for is kept there (status, name, user, parameters, metrics); the rest are tags that begin with `kdlib.`.
"""

import json
import os
import shutil
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from kdlib.cache import atomic_path, home
from kdlib.progress import Progress
from kdlib.results import CURVES, Point, RunResult, Summary
from kdlib.spec import RunSpec
from kdlib.store.connection import connect, translate_errors
from kdlib.store.errors import RunNotFoundError
from kdlib.store.notes import write_note
from kdlib.store.reading import StoredRun, local_folder, reader

QUEUED, RUNNING, DONE, FAILED, CANCELLED = "queued", "running", "done", "failed", "cancelled"
ACTIVE = (QUEUED, RUNNING)
STATUS = {QUEUED: "SCHEDULED", RUNNING: "RUNNING", DONE: "FINISHED", FAILED: "FAILED", CANCELLED: "KILLED"}
STATES = {status: state for state, status in STATUS.items()}

BATCH = 1000  # numbers sent at once, the most MLflow takes


@dataclass(frozen=True)
class RunInfo:
    """What the store knows of a run without opening its files.

    Attributes:
        id: 32 hexadecimal digits.
        name, user: as given at launch.
        spec: what is computed.
        state: "queued", "running", "done", "failed" or "cancelled".
        reason: why it failed, otherwise "".
        progress: share of the training steps done, 0 to 1.
        metrics: the latest value of every metric: `{"test/accuracy": 0.74, "test/accuracy_ci95": 0.02, ...}`; fractions.
        created, ended: seconds since 1970; `ended` is None while it is not over.
        submitted: when it was last handed to the engine (at launch or by a resume).
        resumes: how often a person resumed it.
        engine: names the engine it was handed to; only who talks to that engine can say whether its worker is alive.
        unsynced: points that are on the worker's disk and not yet in the store.
        cancelling: a cancel was asked for and the worker has not stopped yet.
        phase: what a running run is at, one of `PHASES`; "" where that is not known, as of a run on another machine.
        phase_share: share of the phase that is done, 0 to 1.
    """

    id: str
    name: str
    user: str
    spec: RunSpec
    state: str
    created: float
    reason: str = ""
    progress: float = 0.0
    metrics: Mapping[str, float] | None = None
    ended: float | None = None
    submitted: float = 0.0
    resumes: int = 0
    engine: str = ""
    unsynced: int = 0
    cancelling: bool = False
    phase: str = ""
    phase_share: float = 0.0

    @property
    def active(self) -> bool:
        """Whether it is queued or running."""
        return self.state in ACTIVE

    @property
    def progress_label(self) -> str:
        """How far it is, in words: "40 %" of the training steps, or of another phase "measuring 40 %"."""
        if self.phase in ("", "training"):
            return f"{self.progress:.0%}".replace("%", " %")
        return f"{self.phase} {self.phase_share:.0%}".replace("%", " %")

    @property
    def metric(self) -> str:
        """The metric that counts first: "accuracy", or "map" for several labels an item."""
        return "map" if "test/map" in (self.metrics or {}) else "accuracy"

    def accuracy(self, split: str = "test") -> Summary | None:
        """Return `metric` over the seeds, whose own values the store does not have; None when there is no result."""
        metrics = self.metrics or {}
        if f"{split}/{self.metric}" not in metrics:
            return None
        return Summary(metrics[f"{split}/{self.metric}"], metrics.get(f"{split}/{self.metric}_ci95"), [])


def to_run_info(run: StoredRun) -> RunInfo | None:
    """Return our view of a run of MLflow, None when it is none of ours, or of a version whose spec cannot be read here."""
    tags = run.tags
    try:
        spec = RunSpec.from_record(json.loads(tags["kdlib.spec"]))
    except (KeyError, TypeError, ValueError):
        return None
    state = STATES.get(run.status, FAILED)
    created = run.started / 1000
    return RunInfo(
        id=run.id,
        name=run.name,
        user=tags.get("mlflow.user", ""),
        spec=spec,
        state=state,
        created=created,
        reason=tags.get("kdlib.reason", "") if state == FAILED else "",
        progress=1.0 if state == DONE else run.metrics.get("progress", 0.0),
        metrics=run.metrics,
        ended=run.ended / 1000 if run.ended and state not in ACTIVE else None,
        submitted=float(tags.get("kdlib.submitted", created)),
        resumes=int(tags.get("kdlib.resumes", 0)),
        engine=tags.get("kdlib.engine", ""),
    )


def create(spec: RunSpec, *, name: str, user: str, engine: str = "", group: str = "", request: str = "") -> str:
    """Return the id of a new queued run.

    Args:
        engine: as in `RunInfo`.
        group: what it belongs to; `members(group)` finds it again.
        request: names the wish behind it; `find(request=...)` finds it again, so a wish repeated is not a second run.
    """
    from mlflow.entities import Param

    client, experiment = connect().client, connect().experiment
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
    with translate_errors():
        run_id = client.create_run(experiment, start_time=int(now * 1000), tags=tags, run_name=name).info.run_id
        client.update_run(run_id, status=STATUS[QUEUED])
        client.log_batch(run_id, params=[Param(key, str(value)) for key, value in asdict(spec).items()])
    write_note(run_id)
    return run_id


def fetch(run_id: str) -> RunInfo:
    """Return one run.

    Raises:
        RunNotFoundError: there is no such run.
    """
    run = reader().run(run_id)
    found = None if run.deleted else to_run_info(run)
    if found is None:
        raise RunNotFoundError(f"the store does not have run {run_id}")
    return found


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
    """Write a run's state; a terminal one with the time."""
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


def add_to_group(run_id: str, group: str) -> None:
    """Make a run part of one more group."""
    set_tags(run_id, **{f"in.{group}": 1})


def log_points(run_id: str, points: Iterable[Point], progress: Progress | None = None) -> None:
    """Write the curves, one value per epoch: the mean over the members that are finite. Writing a point twice leaves one.

    Args:
        points: each with its time.
        progress: how far the run is.
    """
    from mlflow.entities import Metric

    values = (
        [] if progress is None else [Metric("progress", progress.step / max(progress.steps, 1), _now(), progress.step)]
    )
    values += [Metric(curve, value, when, epoch) for curve, epoch, when, value in curve_values(points)]
    for start in range(0, len(values), BATCH):
        with translate_errors(f"run {run_id}"):
            connect().client.log_batch(run_id, metrics=values[start : start + BATCH])


def curve_values(points: Iterable[Point]) -> list[tuple[str, int, int, float]]:
    """Return what the store keeps of points: curve, epoch, ms since 1970, and the mean over the members that are finite."""
    found = []
    for point in points:
        for curve in CURVES:
            finite = point.finite(curve)
            if finite:
                found.append((curve, point.epoch, int(1000 * (point.t or 0)), sum(finite) / len(finite)))
    return found


def _now() -> int:
    return int(time.time() * 1000)


def flatten_metrics(result: RunResult) -> dict[str, float]:
    """Return a result's numbers as `RunInfo.metrics` names them; what is undefined is left out."""
    found = {f"cost/{key}": value for key, value in vars(result.cost).items()}
    for split, metrics in result.metrics.items():
        for name, value in metrics.scores.items():
            found |= {f"{split}/{name}": value.mean, f"{split}/{name}_ci95": value.ci95}
    return {key: float(value) for key, value in found.items() if isinstance(value, int | float) and isfinite(value)}


def log_result(run_id: str, values: Mapping[str, float]) -> None:
    """Write the numbers of a result, and in a sentence how accurate it is."""
    from mlflow.entities import Metric, RunTag

    told = [
        f"{key.replace('/', ': ')} {value:.1%}" for key, value in values.items() if key.endswith(("/accuracy", "/map"))
    ]
    with translate_errors(f"run {run_id}"):
        connect().client.log_batch(
            run_id,
            metrics=[Metric(key, value, _now(), 0) for key, value in values.items()],
            tags=[RunTag("mlflow.note.content", "\n\n".join(told))],
        )


def metric_history(run_id: str) -> list[Point]:
    """Return the points as the store has them: means over the members, as lists of one."""
    points: dict[int, dict[str, Any]] = {}
    for curve in CURVES:
        for step, when, value in reader().history(run_id, curve):
            points.setdefault(step, {"epoch": step, "t": when / 1000})[curve] = [value]
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
    """
    folder = local_folder(reader().run(run_id))
    if folder is not None:
        if not (folder / name).exists():
            raise RunNotFoundError(f"run {run_id} has no {name}; it was not written or has been deleted")
        return folder / name
    kept = home() / "cache" / "artifacts" / run_id / name
    if not kept.exists():
        with translate_errors(f"{name} of run {run_id}"), atomic_path(kept) as temporary:
            shutil.copyfile(connect().client.download_artifacts(run_id, name), temporary)
    return kept


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
    """Tell every process that keeps terminal runs in memory to read them again."""
    connection = connect()
    with translate_errors():
        connection.client.set_experiment_tag(connection.experiment, "kdlib.changed", json.dumps(time.time()))
