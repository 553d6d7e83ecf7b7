"""What only the database knows of a run, in a file `run.json` beside the others; a database made from such files.

A note is written whenever the database learns something that is no number of a curve: at launch, with every state,
name, group and delete.
"""

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kdlib.cache import atomic_path, home
from kdlib.store.connection import EXPERIMENT, local_database, tracking_uri
from kdlib.store.database import open_database
from kdlib.store.reading import COLUMNS, StoredRun, local_folder, reader

NOTE = "run.json"
TABLES = ("tags", "params", "metrics", "latest_metrics", "runs")  # what MLflow has of a run
CurveValue = tuple[str, int, int, float]  # curve, step, ms since 1970, value


@dataclass(frozen=True)
class RecoveredRun:
    """A run as its files tell it.

    Attributes:
        run: what the store shows of it.
        params: name -> parameter.
        curves: the values of its curves.
    """

    run: StoredRun
    params: Mapping[str, Any]
    curves: Sequence[CurveValue]


def write_note(run_id: str) -> None:
    """Write down what the local store knows of a run; a server takes care of its own."""
    if not local_database(tracking_uri()):
        return
    run = reader().run(run_id)
    folder = local_folder(run)
    if folder is None:
        return
    with suppress(OSError), atomic_path(folder / NOTE) as temporary:  # on a full disk the database has it nevertheless
        temporary.write_text(json.dumps(asdict(run), ensure_ascii=False), encoding="utf-8")


def artifact_folders() -> dict[str, Path]:
    """Return run -> folder of its files, for every run that left files in the data folder."""
    return {path.parent.name: path for path in (home().resolve() / "artifacts").glob("*/artifacts")}


def read_note(folder: Path) -> StoredRun | None:
    """Return what the note in a run's folder says, None if there is none that can be read."""
    try:
        return StoredRun(**json.loads((folder / NOTE).read_text(encoding="utf-8")) | {"artifacts": folder.as_uri()})
    except (OSError, ValueError, TypeError):
        return None


def write_runs(path: Path, runs: Iterable[RecoveredRun]) -> None:
    """Write runs into a local store under their own ids, in the place of what it has of them; all of them or none.

    Args:
        path: the database.
        runs: what to write.
    """
    with open_database(path) as connection:
        query = "SELECT experiment_id FROM experiments WHERE name = ?"
        [(experiment,)] = connection.execute(query, (EXPERIMENT,)).fetchall()
        for recovered in runs:
            for table in TABLES:
                connection.execute(f"DELETE FROM {table} WHERE run_uuid = ?", (recovered.run.id,))
            _insert_run(connection, recovered.run, experiment)
            _insert_metrics(connection, recovered.run, recovered.curves)
            for table, pairs in (("tags", recovered.run.tags), ("params", recovered.params)):
                rows = [(recovered.run.id, key, str(value)) for key, value in pairs.items()]
                connection.executemany(f"INSERT INTO {table} (run_uuid, key, value) VALUES (?, ?, ?)", rows)


def _insert_run(connection: sqlite3.Connection, run: StoredRun, experiment: int) -> None:
    stage = "deleted" if run.deleted else "active"
    values = (run.id, run.name, run.status, run.started, run.ended, stage, run.artifacts, run.user)
    deleted_at = (run.ended or run.started) if run.deleted else None
    constants = (experiment, "UNKNOWN", "", "", "", deleted_at)
    columns = f"{COLUMNS}, experiment_id, source_type, source_name, entry_point_name, source_version, deleted_time"
    marks = ", ".join("?" * (len(values) + len(constants)))
    connection.execute(f"INSERT INTO runs ({columns}) VALUES ({marks})", values + constants)


def _insert_metrics(connection: sqlite3.Connection, run: StoredRun, curves: Sequence[CurveValue]) -> None:
    ended = run.ended or run.started
    points = {(key, step): (run.id, key, step, time, value) for key, step, time, value in curves}
    latest = {key: row for (key, _), row in sorted(points.items())}
    others = {key: (run.id, key, 0, ended, value) for key, value in run.metrics.items() if key not in latest}
    for table, rows in (("metrics", points | others), ("latest_metrics", latest | others)):
        query = f"INSERT INTO {table} (run_uuid, key, step, timestamp, value, is_nan) VALUES (?, ?, ?, ?, ?, 0)"
        connection.executemany(query, list(rows.values()))
