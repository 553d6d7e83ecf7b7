"""Work for spare time: one process beside the workers, of lowest priority, that computes what a page may show next.

A worker notes each run that is done; the engine starts the process while there are notes. It takes no worker's place,
and the system gives it the processor when nobody else wants it, so no training waits for it. What a visitor waits for
is computed by a worker, which ends the process first: it may hold what both need and be slow to finish.
"""

import asyncio
import importlib
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil

from kdlib.engine.local import find_engine
from kdlib.engine.process import engine_folder

CODE = "from kdlib.engine.background import main; raise SystemExit(main())"
MODULE = "kdlib.spaces.preparation"  # its `main` computes; it stands above this package and is loaded by name
CHECK_SECONDS = 1.0  # between two looks whether there is something to do
REST_SECONDS = 15.0  # until the process is started again after it was interrupted


def note_done(run_id: str) -> None:
    """Note that a run is done; without effect where this data folder has no engine of its own, as on a cluster."""
    if find_engine():
        (_notes() / run_id).touch()


def noted() -> list[str]:
    """Return the runs that are noted, newest first."""
    notes = {}
    for path in _notes().iterdir():
        with suppress(OSError):
            notes[path.name] = path.stat().st_mtime
    return sorted(notes, key=lambda name: -notes[name])


def forget(run_id: str) -> None:
    """Remove the note of a run."""
    (_notes() / run_id).unlink(missing_ok=True)


def interrupt() -> None:
    """End the process if there is one; the engine starts it again a while later.

    An engine that was killed leaves the number of a process behind that may be another program's by now: only a child
    of this engine is ended.
    """
    engine = find_engine()
    with suppress(OSError, ValueError, psutil.Error):
        process = psutil.Process(int(_pid_file().read_text(encoding="ascii")))
        if engine and process.ppid() == engine.pid:
            process.send_signal(signal.SIGTERM)


async def supervise() -> None:
    """Have the process run whenever there are notes; cancelling this ends it."""
    while True:
        await asyncio.sleep(CHECK_SECONDS)
        if not noted():
            continue
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", CODE)
        _pid_file().write_text(str(process.pid), encoding="ascii")
        try:
            code = await process.wait()
        finally:
            _pid_file().unlink(missing_ok=True)
            if process.returncode is None:  # this engine ends
                process.kill()
                await process.wait()
        if code == -signal.SIGTERM:
            await asyncio.sleep(REST_SECONDS)
        elif code:  # something is wrong with it, or with what is noted: pages have it computed when they need it
            for run_id in noted():
                forget(run_id)


def main() -> int:
    """Do what is noted, as the least important process of this machine."""
    with suppress(OSError):
        os.nice(19)
    threading.Thread(target=_exit_with_parent, args=(os.getppid(),), daemon=True).start()
    return importlib.import_module(MODULE).main()


def _exit_with_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _notes() -> Path:
    path = engine_folder() / "done"
    path.mkdir(exist_ok=True)
    return path


def _pid_file() -> Path:
    return engine_folder() / "background.pid"
