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
    child             the process that does the reading
    reading, progress what it does, and how its parent follows it
"""

import json
from dataclasses import asdict
from pathlib import Path

from kdlib.data.intake.child import run_child
from kdlib.data.intake.contents import Column, Contents
from kdlib.data.intake.formats import InputFormat
from kdlib.data.intake.kinds import LAYOUTS
from kdlib.data.intake.limits import IntakeError, Limits, describe_os_error
from kdlib.progress import OnProgress

__all__ = ["LAYOUTS", "Column", "Contents", "InputFormat", "IntakeError", "Limits", "describe_os_error", "read"]


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
    settings = [json.dumps(asdict(each)) for each in (limits, (form or InputFormat()).check(limits))]
    if not path.exists():
        raise IntakeError(f"there is no file {path}")
    arguments = [str(path.resolve()), name, str(folder), *settings, layout]
    return Contents.from_dict(run_child("kdlib.data.intake", arguments, name, folder, limits, on_progress))
