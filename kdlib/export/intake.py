"""The child process that reads a foreign export: `python -m kdlib.export.intake PATH NAME FOLDER LIMITS`.

Only config.json, labels.json and student.safetensors are read; graphs and programs in it are not opened. What is
understood comes back as one JSON, with the weights written anew beside it.
"""

import hashlib
import json
import math
import sys
import zipfile
from pathlib import Path
from typing import Any

from kdlib.data.intake.limits import MB, TEXT, IntakeError, Limits

READ = {"config.json": 4 * MB, "labels.json": 4 * MB, "student.safetensors": 512 * MB}  # name -> bytes at most
MAX_CLASSES = 1000
WEIGHTS = "weights.safetensors"  # as the child writes them


def read_export(path: Path, name: str, folder: Path) -> dict[str, Any]:
    """Return what an export says of itself, checked as far as it can be without a network; write its weights.

    Args:
        path: a folder or a zip.
        name: shown in messages.
        folder: receives the weights.

    Raises:
        IntakeError: it is refused.
    """
    files = {member: _read_member(path, name, member, limit) for member, limit in READ.items()}
    config, labels = (_parse(files[member], f"{member} of {name}") for member in ("config.json", "labels.json"))
    if config.get("format") != 1:
        raise IntakeError(f"{name} is an export of another version: format {config.get('format')!r:.40}, expected 1")
    student = config.get("student")
    if not isinstance(student, dict) or not isinstance(config.get("result"), dict):
        raise IntakeError(f"config.json of {name} does not say which student it is")
    found = hashlib.sha256(files["student.safetensors"]).hexdigest()
    if found != student.get("weights_sha256"):
        raise IntakeError(
            f"the weights in {name} are not those that config.json names: the folder was changed after the export"
        )
    classes = labels.get("classes")
    if not isinstance(classes, list) or not 1 <= len(classes) <= MAX_CLASSES:
        raise IntakeError(f"labels.json of {name} must hold 1 to {MAX_CLASSES:,} class names")
    if not all(isinstance(each, str) and len(each) <= TEXT for each in classes):
        raise IntakeError(f"class names in labels.json of {name} must be texts of at most {TEXT} letters")
    _write_weights(files["student.safetensors"], name, folder)
    run = config.get("run")
    title = run.get("name", "") if isinstance(run, dict) else ""
    return {
        "student": student,
        "input": config.get("input"),
        "result": config["result"],
        "classes": classes,
        "multi_label": labels.get("multi_label") is True,
        "title": title if isinstance(title, str) else "",
        "hash": found,
    }


def _read_member(path: Path, name: str, member: str, limit: int) -> bytes:
    """Return one file of a folder or a zip.

    Raises:
        IntakeError: it is not there, or too large.
    """
    try:
        if path.is_dir():
            file = path / member
            if file.is_symlink():
                raise IntakeError(f"{member} in {name} is a symbolic link; put the file itself there")
            with file.open("rb") as stream:
                content = stream.read(limit + 1)
        else:
            with zipfile.ZipFile(path) as archive, archive.open(member) as stream:
                content = stream.read(limit + 1)
    except (FileNotFoundError, KeyError) as error:
        raise IntakeError(f"{name} has no {member}; expected a folder or zip that `kdlib export` wrote") from error
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, IsADirectoryError) as error:
        raise IntakeError(f"{name} cannot be read: it is damaged, or neither a folder nor a zip") from error
    if len(content) > limit:
        raise IntakeError(f"{member} in {name} has more than {limit / MB:,.0f} MB")
    return content


def _parse(raw: bytes, name: str) -> dict[str, Any]:
    try:
        record = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise IntakeError(f"{name} is no JSON") from error
    if not isinstance(record, dict):
        raise IntakeError(f"{name} must be a JSON object")
    return record


def _write_weights(raw: bytes, name: str, folder: Path) -> None:
    """Write the tensors anew: finite float32 numbers and nothing else."""
    import numpy as np
    from safetensors import SafetensorError
    from safetensors.numpy import load, save_file

    try:
        tensors = load(raw)
    except (SafetensorError, ValueError, KeyError) as error:
        raise IntakeError(f"student.safetensors in {name} is damaged") from error
    for key, value in tensors.items():
        if value.dtype != np.float32 or not np.isfinite(value).all() or math.prod(value.shape) == 0:
            raise IntakeError(f"the weights {key[:TEXT]!r} in {name} are not finite numbers of 32 bits")
    save_file(tensors, folder / WEIGHTS)


if __name__ == "__main__":
    from kdlib.data.intake.child import enter, leave_result

    path, name, folder = sys.argv[1:4]
    limits = Limits(**json.loads(sys.argv[4]))
    enter(limits)
    leave_result(lambda: read_export(Path(path), name, Path(folder)), name, Path(folder), limits)
