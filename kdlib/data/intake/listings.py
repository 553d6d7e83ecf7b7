"""The small text files of published datasets: lists of ids, tables, and names as JSON."""

import csv
import json
from pathlib import Path

from kdlib.data.intake.limits import MB, IntakeError, Limits

MAX_FIELD = 131_072  # characters of a field, the limit of the csv module


def find(folder: Path, *names: str, why: str = "") -> Path:
    """Return the first file of a folder that is there.

    Raises:
        IntakeError: there is none, or it is a link.
    """
    path = next((folder / name for name in names if (folder / name).exists()), None)
    if path is None:
        raise IntakeError(f"{folder.name} has no {names[0]}{why}")
    if path.is_symlink() or not path.is_file():
        raise IntakeError(f"{path.name!r} is a link or a folder; copy the file itself")
    return path


def read_text(path: Path, limits: Limits) -> str:
    """Return the text of a file.

    Raises:
        IntakeError: it is too large, or not UTF-8.
    """
    if path.stat().st_size > limits.array_mb * MB:
        raise IntakeError(f"{path.name} is larger than {limits.array_mb:,} MB (KDLIB_MAX_ARRAY_MB)")
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise IntakeError(f"{path.name} is not UTF-8: it is damaged") from error


def read_ids(path: Path, limits: Limits) -> list[str]:
    """Return the lines of a file that are not blank."""
    return [line.strip() for line in read_text(path, limits).splitlines() if line.strip()]


def read_rows(path: Path, limits: Limits, delimiter: str = ",") -> tuple[list[str], list[list[str]]]:
    """Return the names of the columns of a table, and its rows.

    Raises:
        IntakeError: a row has another number of fields than the first line; its line is named.
    """
    reader = csv.reader(read_text(path, limits).splitlines(), delimiter=delimiter)
    try:
        head, rows = next(reader, []), []
        for row in reader:
            if row and len(row) != len(head):
                raise IntakeError(
                    f"{path.name}, line {reader.line_num} has {len(row)} fields, the first line has {len(head)}"
                )
            if row:
                rows.append(row)
    except csv.Error as error:
        raise IntakeError(f"{path.name} has a field of more than {MAX_FIELD:,} characters") from error
    if not rows:
        raise IntakeError(f"{path.name} has no rows")
    if len(rows) > limits.rows:
        raise IntakeError(f"{path.name} has {len(rows):,} rows, at most {limits.rows:,} can be read (KDLIB_MAX_ROWS)")
    return head, rows


def read_class_map(path: Path, count: int, limits: Limits) -> list[str]:
    """Return the names of the classes in order, from a JSON object that numbers them.

    Raises:
        IntakeError: it is something else, or does not number them from 0 to `count` - 1.
    """
    try:
        numbers = json.loads(read_text(path, limits))
    except (json.JSONDecodeError, RecursionError) as error:
        raise IntakeError(f"{path.name} is damaged: it is no JSON") from error
    if not isinstance(numbers, dict) or sorted(map(repr, numbers.values())) != sorted(map(repr, range(count))):
        raise IntakeError(f"{path.name} must number {count} classes from 0, one number each")
    return sorted(numbers, key=numbers.__getitem__)
