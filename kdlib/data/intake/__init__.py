"""The gate every foreign file passes: limits, types by content, and a child process that does the reading.

`read` starts the child, which limits itself (memory, processor time, size of files) and then writes what it read as
plain .npy arrays and one JSON into a folder inside `KDLIB_HOME`. Nothing foreign is parsed in the calling process,
and no pickle is ever opened. `tests/test_intake.py` checks it with one malicious file of every kind
(`tests/evil_files.py`).

    limits, kinds     how much is read, and what a file is by its first bytes
    archives, media   zips and folders, and what is in them
    arrays, tables    .npy and .npz; CSV and parquet
    recordings, pictures, formats, originals
    openmic, magnatagatune, listings   published datasets as they come, and the text files in them
    soundfont         .sf2: its chunks; font_notes: its notes as recordings
    contents          what comes back
    reading, progress what the child does, and how its parent follows it
"""

import json
import logging
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from kdlib.data.intake.contents import Column, Contents
from kdlib.data.intake.formats import InputFormat
from kdlib.data.intake.kinds import LAYOUTS
from kdlib.data.intake.limits import IntakeError, Limits, describe_os_error
from kdlib.data.intake.progress import RESULT_FILE, StalledError, follow
from kdlib.progress import OnProgress

__all__ = ["LAYOUTS", "Column", "Contents", "InputFormat", "IntakeError", "Limits", "describe_os_error", "read"]

ROOT = Path(__file__).resolve().parents[3]
STDERR_FILE = "complaints.txt"  # what the child wrote to its standard error
log = logging.getLogger("kdlib.data.intake")
PASSED_VARIABLES = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "SYSTEMROOT", "TMPDIR")


def read(
    path: Path,
    folder: Path,
    name: str = "",
    limits: Limits | None = None,
    on_progress: OnProgress | None = None,
    form: InputFormat | None = None,
    layout: str = "",
) -> Contents:
    """Read a file or a folder of files in a child process and return what it holds.

    Args:
        path: the file or folder.
        folder: an empty folder inside the data folder; it receives one .npy per column.
        name: shown in messages; by default the name of the file.
        limits: by default as the environment sets them.
        on_progress: called a few times a second with the items read so far; returning True stops the reading.
        form: in which a student gets pictures and recordings.
        layout: one of `LAYOUTS`, for a published dataset; "" goes by what the file holds.

    Raises:
        IntakeError: it is refused; the message says why and what to do instead.
        CancelledError: `on_progress` asked to stop.

    Example:
        contents = intake.read(Path("birds.csv"), folder)
        columns = {column.name: np.load(folder / column.file) for column in contents.columns}
    """
    path, folder = Path(path), Path(folder).resolve()
    name, limits = name or path.name, limits or Limits.current()
    command = _command(path, name, folder, limits, (form or InputFormat()).check(limits), layout)
    if not path.exists():
        raise IntakeError(f"there is no file {path}")
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


def _command(path: Path, name: str, folder: Path, limits: Limits, form: InputFormat, layout: str) -> list[str]:
    module = [sys.executable, "-B", "-P", "-m", "kdlib.data.intake"]
    settings = [json.dumps(asdict(limits)), json.dumps(asdict(form)), layout]
    return [*module, str(path.resolve()), name, str(folder), *settings]


def _environment() -> dict[str, str]:
    passed = {key: os.environ[key] for key in PASSED_VARIABLES if key in os.environ}
    single_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ARROW_NUM_THREADS"), "1")
    fixed = {"PYTHONPATH": str(ROOT), "ARROW_DEFAULT_MEMORY_POOL": "system", "PYTHONWARNINGS": "ignore"}
    return passed | single_thread | fixed


def _load_result(name: str, code: int, folder: Path, limits: Limits) -> Contents:
    """Return what the child wrote; raise an `IntakeError` if it refused the file, or ended without a result."""
    result, errors = folder / RESULT_FILE, folder / STDERR_FILE
    if code or not result.exists():
        raise IntakeError(_explain_exit(name, code, errors.read_text(encoding="utf-8", errors="replace"), limits))
    errors.unlink()
    record = json.loads(result.read_text(encoding="utf-8"))
    if "refused" in record:
        raise IntakeError(record["refused"])
    return Contents.from_dict(record)


def _explain_exit(name: str, code: int, errors: str, limits: Limits) -> str:
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
