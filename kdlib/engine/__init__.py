"""Work that outlives whoever asked for it, on dask.distributed: a local engine that starts by itself, or a cluster.

The same path for a laptop and a cluster: work is handed to a scheduler under a key and goes on without page, browser and app. This package
is the only importer of distributed, and it does so at the first call, not at import.

control.py   from outside: start, submit, states, cancel, status, stop
process.py   the detached local engine: a scheduler and its workers on loopback
worker.py    inside a worker: one run from start to end
journal.py   the folder of a run, the truth until the store has it
sync.py      from that folder to the store
"""

from kdlib.engine.control import EngineError, EngineStatus, cancel, disconnect, identity, start, states, status, stop, submit
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
    "execute",
    "identity",
    "push",
    "start",
    "states",
    "status",
    "stop",
    "submit",
    "unsynced",
]
