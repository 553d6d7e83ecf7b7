"""Work that outlives who submits it, on dask.distributed: a local engine that starts by itself, or a cluster.

The same path for a laptop and a cluster: work is handed to a scheduler under a key and goes on without page, browser
and app. This package is the only importer of distributed, and it does so at the first call, not at import.

Set by the environment, when the defaults do not fit:
KDLIB_SCHEDULER        address of a cluster's scheduler to use instead of the local engine; its keys are set up in dask
KDLIB_WORKERS          runs at the same time
KDLIB_WORKER_THREADS   cores for each
KDLIB_WORKER_MEMORY    bytes for each
KDLIB_ENGINE_IDLE      seconds without work after which the local engine leaves
KDLIB_SYNC_SECONDS     how long a worker waits at the end of a run for a store that is away; a resume sends the rest
KDLIB_STALL_SECONDS    how long a run may make no step, in whatever phase, before its worker counts as hung
KDLIB_FUNCTION         "module:name" of the function that trains, in place of the pipeline: for tests

control.py     from outside: start, submit, states, cancel, status, stop
scheduler.py   the connection to the engine's scheduler
local.py       the process of the local engine from outside: find, start, end
process.py     the detached local engine: a scheduler and its workers on loopback
preload.py     what the process imports that workers are forked from
worker.py      inside a worker: one run from start to end
recorder.py    inside a worker: what a run reports, and how it is cancelled
background.py  beside the workers: work for spare time, after runs
journal.py     the folder of a run, which counts until the store has everything
sync.py        from that folder to the store
"""

from kdlib.engine.control import (
    EngineStatus,
    cancel,
    engine_id,
    start,
    states,
    status,
    stop,
    submit,
)
from kdlib.engine.journal import Job, Outcome, RunFolder
from kdlib.engine.local import EngineError
from kdlib.engine.scheduler import disconnect
from kdlib.engine.sync import push, unsynced
from kdlib.engine.worker import execute, save_result

__all__ = [
    "EngineError",
    "EngineStatus",
    "Job",
    "Outcome",
    "RunFolder",
    "cancel",
    "disconnect",
    "engine_id",
    "execute",
    "push",
    "save_result",
    "start",
    "states",
    "status",
    "stop",
    "submit",
    "unsynced",
]
