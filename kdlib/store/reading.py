"""Runs as they stand in the store: from the local SQLite file, or from a server.

The local file is read with SQL, the server asked through MLflow. Both give the same `StoredRun`s in the same order; what they mean is
said in `records`.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit
from urllib.request import url2pathname

from kdlib.store.connection import EXPERIMENT, connect, local_database, tracking_uri, translate_errors
from kdlib.store.database import opened
from kdlib.store.errors import RunNotFoundError

if TYPE_CHECKING:
    from mlflow.entities import Run

ENDED = ("FINISHED", "FAILED", "KILLED")
AT_ONCE = 500  # runs whose tags and metrics are read together
COLUMNS = "run_uuid, name, status, start_time, end_time, lifecycle_stage, artifact_uri, user_id"
OURS = "experiment_id IN (SELECT experiment_id FROM experiments WHERE name = ?) AND lifecycle_stage = 'active'"
NEWEST_FIRST = "ORDER BY start_time DESC, run_uuid DESC"


@dataclass(frozen=True)
class StoredRun:
    """A run of MLflow.

    Attributes:
        id: 32 hexadecimal digits.
        name, user: as MLflow keeps them.
        status: "SCHEDULED", "RUNNING", "FINISHED", "FAILED" or "KILLED".
        started, ended: ms since 1970; `ended` is None while it is not over.
        deleted: whether it was taken out of every list.
        artifacts: address of its files.
        tags: text by name.
        metrics: the latest value by name.
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
    return (
        Path(run.artifacts)
        if "://" not in run.artifacts and not run.artifacts.startswith("mlflow-artifacts:")
        else None
    )


class Reader(Protocol):
    """What can be asked of a store."""

    def run(self, run_id: str) -> StoredRun:
        """Return a run, deleted or not. Raises RunNotFoundError."""

    def active(self) -> list[StoredRun]:
        """Return the runs that are not over, newest first."""

    def ended_since(self, when: int) -> list[StoredRun]:
        """Return the runs that ended after `when`, in ms since 1970, newest first."""

    def tagged(self, key: str, value: str) -> list[StoredRun]:
        """Return the runs with this value of a tag, newest first."""

    def page(self, count: int, token: str) -> tuple[list[StoredRun], str]:
        """Return some runs, newest first, from where the token says ("": the first), and the token of the next ones ("": none)."""

    def change_mark(self) -> str:
        """Return what changes with every rename and delete."""

    def history(self, run_id: str, key: str) -> list[tuple[int, int, float]]:
        """Return step, ms since 1970 and value of a metric."""


def reader() -> Reader:
    """Return the reader of the current store."""
    path = local_database(tracking_uri())
    return LocalReader(path) if path else ServerReader()


class LocalReader:
    """Reads an SQLite file; one that is not there yet holds nothing. Safe to use from several threads."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def _runs(self, condition: str, values: Sequence[str | int], limit: int = -1) -> list[StoredRun]:
        if not self._path.exists():
            return []
        with opened(self._path) as connection:
            rows = connection.execute(
                f"SELECT {COLUMNS} FROM runs WHERE {condition} {NEWEST_FIRST} LIMIT ?", (*values, limit)
            ).fetchall()
            tags = _by_run(connection, "SELECT run_uuid, key, value FROM tags", [row[0] for row in rows])
            # SQLite has no number for NaN.
            question = "SELECT run_uuid, key, CASE is_nan WHEN 1 THEN NULL ELSE value END FROM latest_metrics"
            metrics = _by_run(connection, question, [row[0] for row in rows])
        return [
            StoredRun(
                run_id, name or "", user or "", status, started, ended, stage == "deleted", artifacts or "", tags.get(run_id, {}),
                {key: float("nan") if value is None else value for key, value in metrics.get(run_id, {}).items()},
            )
            for run_id, name, status, started, ended, stage, artifacts, user in rows
        ]  # fmt: skip

    def run(self, run_id: str) -> StoredRun:
        for run in self._runs("run_uuid = ?", (run_id,)):
            return run
        raise RunNotFoundError(f"the store does not have run {run_id}")

    def active(self) -> list[StoredRun]:
        return self._runs(f"{OURS} AND status NOT IN (?, ?, ?)", (EXPERIMENT, *ENDED))

    def ended_since(self, when: int) -> list[StoredRun]:
        return self._runs(f"{OURS} AND end_time > ?", (EXPERIMENT, when))

    def tagged(self, key: str, value: str) -> list[StoredRun]:
        return self._runs(
            f"{OURS} AND run_uuid IN (SELECT run_uuid FROM tags WHERE key = ? AND value = ?)", (EXPERIMENT, key, value)
        )

    def page(self, count: int, token: str) -> tuple[list[StoredRun], str]:
        started, _, run_id = token.partition("/")
        after = ("AND (start_time, run_uuid) < (?, ?)", (int(started), run_id)) if token else ("", ())
        rows = self._runs(f"{OURS} {after[0]}", (EXPERIMENT, *after[1]), count)
        return rows, f"{rows[-1].started}/{rows[-1].id}" if len(rows) == count else ""

    def change_mark(self) -> str:
        question = "SELECT value FROM experiment_tags JOIN experiments USING (experiment_id) WHERE name = ? AND key = 'kdlib.changed'"
        return next((value for (value,) in self._rows(question, EXPERIMENT)), "")

    def history(self, run_id: str, key: str) -> list[tuple[int, int, float]]:
        question = "SELECT step, timestamp, value FROM metrics WHERE run_uuid = ? AND key = ? AND NOT is_nan ORDER BY timestamp, step"
        return self._rows(question, run_id, key)

    def _rows(self, question: str, *values: str) -> list[tuple]:
        if not self._path.exists():
            return []
        with opened(self._path) as connection:
            return connection.execute(question, values).fetchall()


def _by_run(connection: sqlite3.Connection, question: str, ids: Sequence[str]) -> dict[str, dict]:
    """Return run -> key -> value of a question for (run, key, value)."""
    found: dict[str, dict] = {}
    for start in range(0, len(ids), AT_ONCE):
        part = ids[start : start + AT_ONCE]
        for run_id, key, value in connection.execute(
            f"{question} WHERE run_uuid IN ({', '.join('?' * len(part))})", part
        ):
            found.setdefault(run_id, {})[key] = value
    return found


class ServerReader:
    """Asks a server through MLflow."""

    def run(self, run_id: str) -> StoredRun:
        with translate_errors(f"run {run_id}"):
            return _stored(connect().client.get_run(run_id))

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
        return list(map(_stored, page)), page.token or ""

    def change_mark(self) -> str:
        connection = connect()
        with translate_errors():
            return connection.client.get_experiment(connection.experiment).tags.get("kdlib.changed", "")

    def history(self, run_id: str, key: str) -> list[tuple[int, int, float]]:
        with translate_errors(f"run {run_id}"):
            return [
                (each.step, each.timestamp, each.value) for each in connect().client.get_metric_history(run_id, key)
            ]

    def _search(self, condition: str) -> list[StoredRun]:
        connection, found, token = connect(), [], None
        while True:
            with translate_errors():
                page = connection.client.search_runs(
                    [connection.experiment], condition, max_results=AT_ONCE, page_token=token
                )
            found += map(_stored, page)
            token = page.token
            if not token:
                return found


def _stored(run: "Run") -> StoredRun:
    about, tags = run.info, run.data.tags
    return StoredRun(
        id=about.run_id,
        name=about.run_name or "",
        user=tags.get("mlflow.user", ""),
        status=about.status,
        started=about.start_time,
        ended=about.end_time or None,
        deleted=about.lifecycle_stage != "active",
        artifacts=about.artifact_uri,
        tags=tags,
        metrics=run.data.metrics,
    )
