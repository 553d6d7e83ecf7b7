"""The gate every foreign file passes: limits, types by content, and a child process that does the reading.

`read` starts the child, which confines itself (memory, processor time, size of files) and then writes what it understood as plain .npy
arrays and one JSON into a folder inside `KDLIB_HOME`. Nothing foreign is parsed in the process that asks, and no pickle is ever opened.
`tests/test_intake.py` holds one evil file of every kind against it.
"""

import json
import logging
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kdlib.data.intake.limits import IntakeError, Limits, describe_os_error
from kdlib.data.intake.progress import StalledError, follow
from kdlib.progress import OnProgress

__all__ = ["IntakeError", "Limits", "describe_os_error", "read"]

ROOT = Path(__file__).resolve().parents[3]
COMPLAINTS = "complaints.txt"  # what the child wrote to its standard error
log = logging.getLogger("kdlib.data.intake")
KEPT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "SYSTEMROOT", "TMPDIR")


def read(
    path: Path, folder: Path, name: str = "", limits: Limits | None = None, on_progress: OnProgress | None = None
) -> dict[str, Any]:
    """Read a file or a folder of files in a child process and return what was understood.

    Args:
        path: what to read.
        folder: an empty folder inside the data folder; it takes one .npy per column.
        name: what its owner calls it; by default its own name.
        limits: by default as the environment sets them.
        on_progress: called a few times a second with the items read so far; returning True stops the reading.

    Returns:
        "kind" ("table", "sounds" or "images"), "rows", "columns" (see `kdlib.data.intake.arrays.Column`), "notes",
        for recordings "rate" in Hz, for a folder or zip "tables": what each table in it holds.

    Raises:
        IntakeError: it is refused; the message says why and what would do.
        CancelledError: `on_progress` asked to stop.
    """
    path, folder, allowed, name = (
        Path(path),
        Path(folder).resolve(),
        limits or Limits.current(),
        name or Path(path).name,
    )
    if not path.exists():
        raise IntakeError(f"there is no file {path}")
    command = [
        sys.executable,
        "-B",
        "-P",
        "-m",
        "kdlib.data.intake",
        str(path.resolve()),
        name,
        str(folder),
        json.dumps(asdict(allowed)),
    ]
    own = {key: os.environ[key] for key in KEPT if key in os.environ}
    single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ARROW_NUM_THREADS"), "1")
    environment = (
        own | single | {"PYTHONPATH": str(ROOT), "ARROW_DEFAULT_MEMORY_POOL": "system", "PYTHONWARNINGS": "ignore"}
    )
    complaints = folder / COMPLAINTS
    with complaints.open("wb") as errors:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors
        )
    try:
        follow(process, allowed.stall_s, on_progress)
    except StalledError as error:
        raise IntakeError(
            f"{name}: reading it made no progress for {allowed.stall_s} s and was ended (KDLIB_MAX_STALL_S)"
        ) from error
    finally:
        process.kill()  # whatever ends the waiting ends the child: a refusal, Ctrl-C, a page that is left
        process.wait()
        process.stdout.close()
    result = folder / "answer.json"
    if process.returncode or not result.exists():
        raise IntakeError(
            _fate(name, process.returncode, complaints.read_text(encoding="utf-8", errors="replace"), allowed)
        )
    complaints.unlink()
    told = json.loads(result.read_text(encoding="utf-8"))
    if "refused" in told:
        raise IntakeError(told["refused"])
    return told


def _fate(name: str, code: int, complaint: str, limits: Limits) -> str:
    """Return what became of a child that did not answer."""
    if code in (-signal.SIGXCPU, -signal.SIGKILL):
        return f"{name} took more than {limits.cpu_s} s of processor time or too much memory to read (KDLIB_MAX_CPU_S)"
    if "MemoryError" in complaint or "bad_alloc" in complaint or "malloc" in complaint:
        return f"{name} needs more than {limits.memory_mb:,} MB of memory to be read (KDLIB_MAX_MEMORY_MB)"
    log.warning("the process that read %s ended with exit code %d: %s", name, code, complaint)
    return f"{name} could not be read: it is damaged, or made in a way that is not known here; the log has the details"
