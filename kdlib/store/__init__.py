"""Every run that ever was, in MLflow: by default an SQLite file and a folder under `KDLIB_HOME`, or on a server.

One run of ours is one run of MLflow: parameters are the fields of its spec, metrics are means over the seeds (one value
per epoch while it trains, one per split when it is done), artifacts hold what is not a number. Nothing here knows who
trains: `kdlib.engine` writes, `kdlib.runs` reads. This package is the only importer of mlflow, and it does so at the
first write, not at import: the local store is read without it.

errors.py       what can be wrong
database.py     the SQLite file of the local store: opened, checked, copied once a day
connection.py   where the store is (`MLFLOW_TRACKING_URI`); the client that writes
reading.py      runs as they stand in the store
notes.py        what only the database knows of a run, in a file beside its others; a database made from such files
info.py         what the store knows of a run: `RunInfo`
records.py      one run: create, update, read, rename, delete, its files
listing.py      many runs, fast: what is terminal is read once
"""

from kdlib.store.connection import Retry, connect, load_library, tracking_uri, with_timeout
from kdlib.store.errors import RunNotFoundError, StoreDamagedError, StoreError, StoreUnavailableError
from kdlib.store.info import ACTIVE, CANCELLED, DONE, FAILED, QUEUED, RUNNING, STATUS, RunInfo
from kdlib.store.listing import Listing
from kdlib.store.records import (
    add_artifacts,
    add_to_group,
    artifact_path,
    create,
    curve_values,
    delete,
    fetch,
    find,
    flatten_metrics,
    group_members,
    log_points,
    log_result,
    mark_change,
    metric_history,
    rename,
    restore,
    set_state,
    set_tags,
)

__all__ = [
    "ACTIVE",
    "CANCELLED",
    "DONE",
    "FAILED",
    "QUEUED",
    "RUNNING",
    "STATUS",
    "Listing",
    "Retry",
    "RunInfo",
    "RunNotFoundError",
    "StoreDamagedError",
    "StoreError",
    "StoreUnavailableError",
    "add_artifacts",
    "add_to_group",
    "artifact_path",
    "connect",
    "create",
    "curve_values",
    "delete",
    "fetch",
    "find",
    "flatten_metrics",
    "group_members",
    "load_library",
    "log_points",
    "log_result",
    "mark_change",
    "metric_history",
    "rename",
    "restore",
    "set_state",
    "set_tags",
    "tracking_uri",
    "with_timeout",
]
