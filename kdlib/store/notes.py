"""What only the database knows of a run, in a file `run.json` beside the run's others, and a database made of such notes.

A note is written whenever the database learns something that is no number of a curve: at launch, with every state, name, group and delete.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kdlib.cache import atomic_path, home
from kdlib.store.connection import EXPERIMENT, local_database, tracking_uri
from kdlib.store.database import opened
from kdlib.store.reading import COLUMNS, StoredRun, local_folder, reader

NOTE = "run.json"
TABLES = ("tags", "params", "metrics", "latest_metrics", "runs")  # what MLflow has of a run
Curve = tuple[str, int, int, float]  # name, step, ms since 1970, value


def write_note(run_id: str) -> None:
    """Write down what the local store knows of a run; the runs of a server are the server's to keep."""
    if local_database(tracking_uri()):
        run = reader().run(run_id)
        with (
            suppress(OSError),
            atomic_path(local_folder(run) / NOTE) as temporary,
        ):  # on a full disk the database has it nevertheless
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


def write_runs(path: Path, runs: Iterable[tuple[StoredRun, Mapping[str, Any], Sequence[Curve]]]) -> None:
    """Write runs into a local store under their own ids, in the place of what it has of them; all of them or none.

    Args:
        path: the database.
        runs: each with its parameters and its curves.
    """
    with opened(path) as connection:
        [(experiment,)] = connection.execute(
            "SELECT experiment_id FROM experiments WHERE name = ?", (EXPERIMENT,)
        ).fetchall()
        for run, params, curves in runs:
            for table in TABLES:
                connection.execute(f"DELETE FROM {table} WHERE run_uuid = ?", (run.id,))
            ended = run.ended or run.started
            fixed = (experiment, "UNKNOWN", "", "", "", ended if run.deleted else None)
            stage = "deleted" if run.deleted else "active"
            about = (run.id, run.name, run.status, run.started, run.ended, stage, run.artifacts, run.user)
            connection.execute(
                f"INSERT INTO runs ({COLUMNS}, experiment_id, source_type, source_name, entry_point_name, source_version, deleted_time)"
                f" VALUES ({', '.join('?' * (len(about) + len(fixed)))})",
                about + fixed,
            )
            points = {(key, step): (run.id, key, step, when, value) for key, step, when, value in curves}
            latest = {key: row for (key, _), row in sorted(points.items())}
            others = {key: (run.id, key, 0, ended, value) for key, value in run.metrics.items() if key not in latest}
            for table, rows in (("metrics", points | others), ("latest_metrics", latest | others)):
                question = (
                    f"INSERT INTO {table} (run_uuid, key, step, timestamp, value, is_nan) VALUES (?, ?, ?, ?, ?, 0)"
                )
                connection.executemany(question, list(rows.values()))
            for table, pairs in (("tags", run.tags), ("params", params)):
                rows = [(run.id, key, str(value)) for key, value in pairs.items()]
                connection.executemany(f"INSERT INTO {table} (run_uuid, key, value) VALUES (?, ?, ?)", rows)
