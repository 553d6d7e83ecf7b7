"""Work that outlives whoever asked for it, on dask.distributed: a local engine that starts by itself, or a cluster.

The same path for a laptop and a cluster: work is handed to a scheduler under a key and goes on without page, browser and app. This package
is the only importer of distributed, and it does so at the first call, not at import.

Set by the environment, when the defaults do not fit:
KDLIB_SCHEDULER      address of a cluster's scheduler to use instead of the local engine; its keys come from dask's own configuration
KDLIB_WORKERS        runs at the same time; KDLIB_WORKER_THREADS cores for each; KDLIB_WORKER_MEMORY bytes for each
KDLIB_ENGINE_IDLE    seconds without work after which the local engine leaves
KDLIB_SYNC_SECONDS   how long a worker waits for an absent store when a run is over, before it leaves the rest to a resume
KDLIB_STALL_SECONDS  how long a run may make no step, in whatever phase, before its worker is taken for hung
KDLIB_FUNCTION       "module:name" of what trains, in place of the pipeline: for tests

control.py   from outside: start, submit, states, cancel, status, stop
process.py   the detached local engine: a scheduler and its workers on loopback
ahead.py     what the process imports that workers are forked from
worker.py    inside a worker: one run from start to end
journal.py   the folder of a run, the truth until the store has it
sync.py      from that folder to the store
"""

from kdlib.engine.control import (
    EngineError,
    EngineStatus,
    cancel,
    disconnect,
    engine_id,
    start,
    states,
    status,
    stop,
    submit,
)
from kdlib.engine.journal import Job, Outcome, RunFolder
from kdlib.engine.sync import push, unsynced
from kdlib.engine.worker import execute

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
    "start",
    "states",
    "status",
    "stop",
    "submit",
    "unsynced",
]
