"""Runs as they stand in the store: from the local SQLite file, or from a server.

The local file is read with SQL, a server through MLflow. Both give the same `StoredRun`s in the same order; `records`
says what they mean.
"""

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import url2pathname

from kdlib.store.connection import EXPERIMENT, connect, local_database, tracking_uri, translate_errors
from kdlib.store.database import open_database
from kdlib.store.errors import RunNotFoundError

if TYPE_CHECKING:
    from mlflow.entities import Run

ENDED = ("FINISHED", "FAILED", "KILLED")
BATCH_RUNS = 500  # runs whose tags and metrics are read together
COLUMNS = "run_uuid, name, status, start_time, end_time, lifecycle_stage, artifact_uri, user_id"
OURS = "experiment_id IN (SELECT experiment_id FROM experiments WHERE name = ?) AND lifecycle_stage = 'active'"
NEWEST_FIRST = "ORDER BY start_time DESC, run_uuid DESC"


@dataclass(frozen=True)
class StoredRun:
    """A run of MLflow.

    Attributes:
        id: 32 hexadecimal digits.
        name, user: as MLflow has them.
        status: "SCHEDULED", "RUNNING", "FINISHED", "FAILED" or "KILLED".
        started, ended: ms since 1970; `ended` is None while it is not over.
        deleted: whether it was taken out of every list.
        artifacts: address of its files.
        tags: name -> text.
        metrics: name -> latest value.
    """

    id: str
    name: str
    user: str
    status: str
    started: int
    ended: int | None
    deleted: bool
    artifacts: str
    tags: Mapping[str, str]
    metrics: Mapping[str, float]


def local_folder(run: StoredRun) -> Path | None:
    """Return where the files of a run are on this disk, None when a server has them."""
    if run.artifacts.startswith("file:"):
        return Path(url2pathname(urlsplit(run.artifacts).path))
    if "://" in run.artifacts or run.artifacts.startswith("mlflow-artifacts:"):
        return None
    return Path(run.artifacts)


class Reader(ABC):
    """What a store can be asked for."""

    @abstractmethod
    def run(self, run_id: str) -> StoredRun:
        """Return a run, deleted or not.

        Raises:
            RunNotFoundError: there is no such run.
        """

    @abstractmethod
    def active(self) -> list[StoredRun]:
        """Return the runs that are not over, newest first."""

    @abstractmethod
    def ended_since(self, when: int) -> list[StoredRun]:
        """Return the runs that ended after `when`, in ms since 1970, newest first."""

    @abstractmethod
    def tagged(self, key: str, value: str) -> list[StoredRun]:
        """Return the runs with this value of a tag, newest first."""

    @abstractmethod
    def page(self, count: int, token: str) -> tuple[list[StoredRun], str]:
        """Return up to `count` runs, newest first, and the token of the next page, "" when there is none.

        Args:
            token: of the page to read; "" for the first.
        """

    @abstractmethod
    def change_mark(self) -> str:
        """Return text that changes with every rename and delete."""

    @abstractmethod
    def history(self, run_id: str, key: str) -> list[tuple[int, int, float]]:
        """Return step, ms since 1970 and value of a metric."""


def reader() -> Reader:
    """Return the reader of the current store."""
    path = local_database(tracking_uri())
    return LocalReader(path) if path else ServerReader()


class LocalReader(Reader):
    """Reads an SQLite file; one that is not there yet holds nothing. Safe to use from several threads."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def _runs(self, condition: str, values: Sequence[str | int], limit: int = -1) -> list[StoredRun]:
        if not self._path.exists():
            return []
        with open_database(self._path) as connection:
            rows = connection.execute(
                f"SELECT {COLUMNS} FROM runs WHERE {condition} {NEWEST_FIRST} LIMIT ?", (*values, limit)
            ).fetchall()
            tags = _by_run(connection, "SELECT run_uuid, key, value FROM tags", [row[0] for row in rows])
            # SQLite has no number for NaN.
            query = "SELECT run_uuid, key, CASE is_nan WHEN 1 THEN NULL ELSE value END FROM latest_metrics"
            metrics = _by_run(connection, query, [row[0] for row in rows])
        return [
            StoredRun(
                id=run_id,
                name=name or "",
                user=user or "",
                status=status,
                started=started,
                ended=ended,
                deleted=stage == "deleted",
                artifacts=artifacts or "",
                tags=tags.get(run_id, {}),
                metrics={
                    key: float("nan") if value is None else value for key, value in metrics.get(run_id, {}).items()
                },
            )
            for run_id, name, status, started, ended, stage, artifacts, user in rows
        ]

    def run(self, run_id: str) -> StoredRun:
        for run in self._runs("run_uuid = ?", (run_id,)):
            return run
        raise RunNotFoundError(f"the store does not have run {run_id}")

    def active(self) -> list[StoredRun]:
        return self._runs(f"{OURS} AND status NOT IN (?, ?, ?)", (EXPERIMENT, *ENDED))

    def ended_since(self, when: int) -> list[StoredRun]:
        return self._runs(f"{OURS} AND end_time > ?", (EXPERIMENT, when))

    def tagged(self, key: str, value: str) -> list[StoredRun]:
        tagged = "run_uuid IN (SELECT run_uuid FROM tags WHERE key = ? AND value = ?)"
        return self._runs(f"{OURS} AND {tagged}", (EXPERIMENT, key, value))

    def page(self, count: int, token: str) -> tuple[list[StoredRun], str]:
        started, _, run_id = token.partition("/")
        if token:
            condition = f"{OURS} AND (start_time, run_uuid) < (?, ?)"
            rows = self._runs(condition, (EXPERIMENT, int(started), run_id), count)
        else:
            rows = self._runs(OURS, (EXPERIMENT,), count)
        return rows, f"{rows[-1].started}/{rows[-1].id}" if len(rows) == count else ""

    def change_mark(self) -> str:
        query = (
            "SELECT value FROM experiment_tags JOIN experiments USING (experiment_id)"
            " WHERE name = ? AND key = 'kdlib.changed'"
        )
        return next((value for (value,) in self._rows(query, EXPERIMENT)), "")

    def history(self, run_id: str, key: str) -> list[tuple[int, int, float]]:
        query = (
            "SELECT step, timestamp, value FROM metrics WHERE run_uuid = ? AND key = ? AND NOT is_nan"
            " ORDER BY timestamp, step"
        )
        return self._rows(query, run_id, key)

    def _rows(self, query: str, *values: str) -> list[tuple]:
        if not self._path.exists():
            return []
        with open_database(self._path) as connection:
            return connection.execute(query, values).fetchall()


def _by_run(connection: sqlite3.Connection, query: str, ids: Sequence[str]) -> dict[str, dict]:
    """Return run -> key -> value of a query for (run, key, value)."""
    values: dict[str, dict] = {}
    for start in range(0, len(ids), BATCH_RUNS):
        part = ids[start : start + BATCH_RUNS]
        marks = ", ".join("?" * len(part))
        for run_id, key, value in connection.execute(f"{query} WHERE run_uuid IN ({marks})", part):
            values.setdefault(run_id, {})[key] = value
    return values


class ServerReader(Reader):
    """Reads from a server through MLflow."""

    def run(self, run_id: str) -> StoredRun:
        with translate_errors(f"run {run_id}"):
            return _stored_run(connect().client.get_run(run_id))

    def active(self) -> list[StoredRun]:
        return self._search(" and ".join(f"attributes.status != '{status}'" for status in ENDED))

    def ended_since(self, when: int) -> list[StoredRun]:
        return self._search(f"attributes.end_time > {when}")

    def tagged(self, key: str, value: str) -> list[StoredRun]:
        return self._search(f"tags.`{key}` = '{value}'")

    def page(self, count: int, token: str) -> tuple[list[StoredRun], str]:
        connection = connect()
        with translate_errors():
            page = connection.client.search_runs(
                [connection.experiment],
                max_results=count,
                order_by=["attributes.start_time DESC"],
                page_token=token or None,
            )
        return list(map(_stored_run, page)), page.token or ""

    def change_mark(self) -> str:
        connection = connect()
        with translate_errors():
            return connection.client.get_experiment(connection.experiment).tags.get("kdlib.changed", "")

    def history(self, run_id: str, key: str) -> list[tuple[int, int, float]]:
        with translate_errors(f"run {run_id}"):
            metrics = connect().client.get_metric_history(run_id, key)
        return [(metric.step, metric.timestamp, metric.value) for metric in metrics]

    def _search(self, condition: str) -> list[StoredRun]:
        connection, token = connect(), None
        runs: list[StoredRun] = []
        while True:
            with translate_errors():
                page = connection.client.search_runs(
                    [connection.experiment], condition, max_results=BATCH_RUNS, page_token=token
                )
            runs += map(_stored_run, page)
            token = page.token
            if not token:
                return runs


def _stored_run(run: "Run") -> StoredRun:
    info, tags = run.info, run.data.tags
    return StoredRun(
        id=info.run_id,
        name=info.run_name or "",
        user=tags.get("mlflow.user", ""),
        status=info.status,
        started=info.start_time,
        ended=info.end_time or None,
        deleted=info.lifecycle_stage != "active",
        artifacts=info.artifact_uri or "",
        tags=tags,
        metrics=run.data.metrics,
    )
