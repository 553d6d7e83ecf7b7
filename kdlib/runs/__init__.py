"""Background runs, as the app and the command line use them: launch, list, watch, cancel, resume, rename, delete.

The store knows what was, the engine what is alive, the run's folder what has not reached the store yet. Every listing
brings the three together: a run whose worker is gone does not stay "running".

commands.py   launch, cancel, resume, rename, delete
queries.py    list, get, find, watch, history, result
reconcile.py  store, engine and folder brought together
sweeps.py     grids of runs
sequences.py  comparisons in rounds, which go on by themselves
rebuild.py    a damaged store made anew
"""

from kdlib.runs.commands import cancel, clean_name, default_name, delete, launch, rename, resume, undelete
from kdlib.runs.queries import (
    arrays,
    find,
    find_all,
    get,
    history,
    list_runs,
    member_array,
    replay,
    result,
    snapshots,
    watch,
)

__all__ = [
    "arrays",
    "cancel",
    "clean_name",
    "default_name",
    "delete",
    "find",
    "find_all",
    "get",
    "history",
    "launch",
    "list_runs",
    "member_array",
    "rename",
    "replay",
    "result",
    "resume",
    "snapshots",
    "undelete",
    "watch",
]
