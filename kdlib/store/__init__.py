"""Every run that ever was, in MLflow: by default an SQLite file and a folder under `KDLIB_HOME`, with `MLFLOW_TRACKING_URI` a server.

One run of ours is one run of MLflow: parameters are the fields of its spec, metrics are means over the seeds (one value per epoch while it
trains, one per split when it is done), artifacts hold what is not a number. Nothing here knows who trains: `kdlib.engine` writes,
`kdlib.runs` asks. This package is the only importer of mlflow, and it does so at the first call, not at import.

connection.py   where the store is, and the words for "it does not answer"
records.py      one run: create, update, read, rename, delete, its files
listing.py      many runs, fast: what is terminal is read once and kept
"""

from kdlib.store.connection import Patience, RunNotFoundError, StoreError, StoreUnavailableError, prepare, tracking_uri, within
from kdlib.store.listing import Listing
from kdlib.store.records import (
    ACTIVE,
    CANCELLED,
    DONE,
    FAILED,
    QUEUED,
    RUNNING,
    STATUS,
    RunInfo,
    create,
    delete,
    fetch,
    file,
    find,
    finish,
    join,
    log_points,
    members,
    metric_history,
    numbers,
    put_files,
    rename,
    restore,
    set_state,
    tag,
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
    "Patience",
    "RunInfo",
    "RunNotFoundError",
    "StoreError",
    "StoreUnavailableError",
    "create",
    "delete",
    "fetch",
    "file",
    "find",
    "finish",
    "join",
    "log_points",
    "members",
    "metric_history",
    "numbers",
    "prepare",
    "put_files",
    "rename",
    "restore",
    "set_state",
    "tag",
    "tracking_uri",
    "within",
]
