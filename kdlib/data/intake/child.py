"""The child process in which foreign files are parsed: how it is started, limited, followed and understood.

A module that reads something foreign is run as `python -m MODULE ARGUMENTS...`. It calls `enter` first and
`leave_result` last, which writes one JSON into the folder that it is given.
"""

import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from kdlib.data.intake.limits import IntakeError, Limits, describe_os_error
from kdlib.data.intake.progress import RESULT_FILE, Reporter, StalledError, encode, follow
from kdlib.progress import OnProgress

ROOT = Path(__file__).resolve().parents[3]
STDERR_FILE = "complaints.txt"  # what the child wrote to its standard error
PASSED_VARIABLES = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "SYSTEMROOT", "TMPDIR")
log = logging.getLogger("kdlib.data.intake")


def run_child(
    module: str, arguments: Sequence[str], name: str, folder: Path, limits: Limits, on_progress: OnProgress | None
) -> dict[str, Any]:
    """Run a module in a child process and return the JSON it leaves.

    Args:
        module: dotted name.
        arguments: of its command line.
        name: of what it reads, shown in messages.
        folder: where it works and leaves its result; it exists.
        limits: that it has.
        on_progress: called a few times a second with the items read so far; returning True ends the child.

    Raises:
        IntakeError: it refused what it read, or ended without a result.
        CancelledError: `on_progress` asked to stop.
    """
    command = [sys.executable, "-B", "-P", "-m", module, *arguments]
    with (folder / STDERR_FILE).open("wb") as errors:
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": errors}
        process = subprocess.Popen(command, cwd=folder, env=_environment(), **pipes)
    try:
        follow(process, limits.stall_s, on_progress)
    except StalledError as error:
        raise IntakeError(
            f"{name}: reading it made no progress for {limits.stall_s} s and was ended (KDLIB_MAX_STALL_S)"
        ) from error
    finally:
        process.kill()  # a refusal, Ctrl-C or a page that is left ends the child too
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
    return _load_result(name, process.returncode, folder, limits)


def enter(limits: Limits) -> Reporter:
    """Limit this process, the child, and return what reports to its parent."""
    limits.apply_to_process()
    pipe = os.dup(1)
    os.dup2(2, 1)  # output of a library must not mix with the reports
    reporter = Reporter(lambda step, steps: os.write(pipe, encode(step, steps)))
    reporter.advance()
    return reporter


def leave_result(read: Callable[[], dict[str, Any]], name: str, folder: Path, limits: Limits) -> None:
    """Read something, and write what is understood or {"refused": why} as JSON into the folder of the child."""
    try:
        record = read()
    except IntakeError as error:
        record = {"refused": str(error)}
    except MemoryError:
        needed = f"{name} needs more than {limits.memory_mb:,} MB of memory to be read (KDLIB_MAX_MEMORY_MB)"
        record = {"refused": needed}
    except OSError as error:
        record = {"refused": f"{name} cannot be read: {describe_os_error(error)}"}
    (folder / RESULT_FILE).write_text(json.dumps(record), encoding="utf-8")


def _environment() -> dict[str, str]:
    passed = {key: os.environ[key] for key in PASSED_VARIABLES if key in os.environ}
    single_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ARROW_NUM_THREADS"), "1")
    fixed = {"PYTHONPATH": str(ROOT), "ARROW_DEFAULT_MEMORY_POOL": "system", "PYTHONWARNINGS": "ignore"}
    return passed | single_thread | fixed


def _load_result(name: str, code: int, folder: Path, limits: Limits) -> dict[str, Any]:
    """Return what the child wrote; raise an `IntakeError` if it refused the file, or ended without a result."""
    result, errors = folder / RESULT_FILE, folder / STDERR_FILE
    if code or not result.exists():
        raise IntakeError(explain_exit(name, code, errors.read_text(encoding="utf-8", errors="replace"), limits))
    errors.unlink()
    record = json.loads(result.read_text(encoding="utf-8"))
    if "refused" in record:
        raise IntakeError(record["refused"])
    return record


def explain_exit(name: str, code: int, errors: str, limits: Limits) -> str:
    """Return why a child ended without a result.

    Args:
        name: of the file.
        code: exit code of the child; negative for a signal.
        errors: its standard error.
        limits: that it had.
    """
    if code in (-signal.SIGXCPU, -signal.SIGKILL):
        return f"{name} took more than {limits.cpu_s} s of processor time or too much memory to read (KDLIB_MAX_CPU_S)"
    if "MemoryError" in errors or "bad_alloc" in errors or "malloc" in errors:
        return f"{name} needs more than {limits.memory_mb:,} MB of memory to be read (KDLIB_MAX_MEMORY_MB)"
    log.warning("the process that read %s ended with exit code %d: %s", name, code, errors)
    return f"{name} could not be read: it is damaged, or made in a way that is not known here; the log has the details"
