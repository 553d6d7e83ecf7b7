"""What every worker needs, imported once, in the process that workers are forked from: so they begin at once.

Nothing here may open a connection, start a thread or compute: a fork would copy half of it.
"""

import gc
import importlib
import os
import traceback

from kdlib import store
from kdlib.engine.journal import Job
from kdlib.engine.worker import load_function

gc.disable()  # it would go through thousands of modules again and again
try:
    importlib.import_module("distributed")
    store.load_library()
    load_function(os.environ.get("KDLIB_FUNCTION", Job.function))
except Exception:  # a run meets the same error and reports it; a worker that cannot start cannot
    traceback.print_exc()
gc.enable()
gc.freeze()  # a collection in a worker writes to the objects it visits, and so copies the memory that all share
