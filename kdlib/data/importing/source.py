"""What was read and waits to become a dataset: columns in a folder of the staging folder `KDLIB_HOME/staging/`."""

import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from kdlib.cache import home
from kdlib.data import imported, intake
from kdlib.data.intake import Column, Contents, InputFormat, IntakeError, Limits, describe_os_error
from kdlib.data.intake.originals import read_texts
from kdlib.progress import OnProgress, report_progress

ID_NAMES = ("id", "ids", "file", "files", "filename", "filenames", "file_name", "path", "name", "names", "key", "item")
GENERIC_NAMES = ("embedding", "embeddings", "arr_0", "x", "data", "e")  # names that say nothing beside another file
STALE_SECONDS = 24 * 3600  # seconds after which what waits is thrown away
COPY_ROWS = 10_000  # rows copied at a time


@dataclass(frozen=True)
class Source:
    """Everything that was read from a file and what was given beside it.

    Attributes:
        token: name of its folder in the staging folder.
        name: of the file.
        kind: "table", "sounds" or "images".
        rows: items.
        columns: name -> column.
        rate: most frequent one of recordings, Hz; 0 for anything else.
        input_rate: of which their spectrograms are made, Hz.
        originals: files that hold the original pictures or recordings, see `intake.originals`.
        first_line: line of the first row in a text file; 0 for other files, whose rows are counted from 0.
        notes: what its owner should know.
    """

    token: str
    name: str
    kind: str
    rows: int
    columns: dict[str, Column]
    rate: int = 0
    input_rate: int = 0
    originals: list[str] = field(default_factory=list)
    first_line: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        """Return where its columns are."""
        return _staging_folder() / self.token

    @property
    def original_bytes(self) -> int:
        """Return how many bytes the originals take on disk."""
        return sum((self.folder / file).stat().st_size for file in self.originals)

    @property
    def text_columns(self) -> list[str]:
        """Return the names of the columns of text that is short enough for a label or an id."""
        return [name for name, each in self.columns.items() if each.text and not each.ends and name != "classes"]

    @property
    def number_columns(self) -> list[str]:
        """Return the names of the columns of numbers."""
        return [name for name, column in self.columns.items() if not column.text]

    @property
    def input_columns(self) -> list[str]:
        """Return the names of the columns that a student can get: numbers, and the texts of a table."""
        texts = [name for name, column in self.columns.items() if column.text and name != "classes"]
        return self.number_columns + (texts if self.kind == "table" else [])

    def values(self, name: str) -> np.ndarray:
        """Return a column, mapped from disk.

        Raises:
            IntakeError: there is none of that name.
        """
        if name not in self.columns:
            raise IntakeError(f"{self.name} has no column {name!r}; it has: {', '.join(self.columns)}")
        return np.load(self.folder / self.columns[name].file, mmap_mode="r", allow_pickle=False)

    def texts(self, name: str) -> Iterator[str]:
        """Yield a column of text of any length.

        Raises:
            IntakeError: there is none of that name.
        """
        column = self.columns.get(name)
        if column is None or not column.ends:
            return iter(self.values(name).tolist())
        return read_texts(self.folder / column.file, self.folder / column.ends)

    def describe_row(self, row: int) -> str:
        """Return how a person finds a row: by its line, or by its number from 0."""
        return f"line {row + self.first_line}" if self.first_line else f"row {row}"


def _staging_folder() -> Path:
    try:
        return home() / "staging"
    except OSError as error:
        raise IntakeError(f"the data folder cannot be used: {describe_os_error(error)}") from error


def stage(
    path: Path,
    name: str = "",
    beside: Sequence[tuple[Path, str]] = (),
    limits: Limits | None = None,
    on_progress: OnProgress | None = None,
    form: InputFormat | None = None,
    layout: str = "",
) -> Source:
    """Read a file or folder, and tables beside it (labels, metadata, embeddings), into the staging folder.

    Args:
        path: the file or folder.
        name: what its owner calls it.
        beside: further tables with their names; their rows are matched by id, or by their order where they have no ids.
        limits: what may be read.
        on_progress: called a few times a second with the items of one file read so far; returning True stops the
            reading.
        form: in which a student gets pictures and recordings.
        layout: of a published dataset: one of `intake.LAYOUTS`; "" goes by what the file holds.

    Raises:
        IntakeError: something is refused; nothing stays in the staging folder.
        CancelledError: `on_progress` asked to stop; nothing stays either.

    Example:
        >>> source = stage(Path("birds.zip"))
        >>> source.text_columns
    """
    token, name = secrets.token_hex(8), name or Path(path).name
    folder = _staging_folder() / token
    try:
        _delete_stale()
        contents = _read(path, name, folder, limits, on_progress, form, layout)
        source = _source(token, contents, name)
        tables = [(table.name, folder / table.folder, table) for table in contents.tables]
        for number, (file, title) in enumerate(beside):
            table = _read(file, title, folder / f"beside-{number}", limits, on_progress)
            tables.append((title or Path(file).name, folder / f"beside-{number}", table))
        for title, subfolder, table in tables:
            _attach(source, title, subfolder, table, on_progress)
        columns = [column.to_dict() for column in source.columns.values()]
        (folder / "source.json").write_text(json.dumps(vars(source) | {"columns": columns}))
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise IntakeError(f"{name} cannot be read: {describe_os_error(error)}") from error
    except BaseException:  # Ctrl-C and a page that is left included
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return source


def stage_uploads(
    uploads: Sequence[tuple[str, bytes | memoryview]],
    on_progress: OnProgress | None = None,
    form: InputFormat | None = None,
) -> Source:
    """Read what came over the network: name and bytes of a file, then of tables beside it. Otherwise as `stage`."""
    folder = _staging_folder() / f"{secrets.token_hex(8)}.upload"
    try:
        folder.mkdir(parents=True)
        written = []
        for number, (name, content) in enumerate(uploads):
            written.append((folder / str(number), name))
            written[-1][0].write_bytes(content)
        return stage(written[0][0], written[0][1], written[1:], on_progress=on_progress, form=form)
    except OSError as error:
        raise IntakeError(f"{uploads[0][0]} cannot be taken in: {describe_os_error(error)}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def reopen(token: str) -> Source:
    """Return what waits under a token.

    Raises:
        IntakeError: it is gone.
    """
    path = _staging_folder() / token / "source.json"
    if not token.isalnum() or not path.exists():
        raise IntakeError("this file is no longer waiting; choose it again")
    with suppress(FileNotFoundError):
        os.utime(path)  # what somebody works with is not thrown away
    record = json.loads(path.read_text(encoding="utf-8"))
    return Source(**record | {"columns": _named([Column.from_dict(column) for column in record["columns"]])})


def discard(token: str) -> None:
    """Throw away what waits under a token."""
    if token.isalnum():
        shutil.rmtree(_staging_folder() / token, ignore_errors=True)


def _delete_stale() -> None:
    """Throw away what nobody has touched for a day: in the staging folder, and datasets half built or half deleted."""
    for path in (*_staging_folder().glob("*"), *imported.data_folder().glob(".*")):
        if time.time() - _last_change(path) > STALE_SECONDS:
            shutil.rmtree(path, ignore_errors=True)


def _last_change(path: Path) -> float:
    """Return when a folder or something in it was written last; infinity if it is being dropped."""
    try:
        return max(each.stat().st_mtime for each in (path, *path.rglob("*")))
    except FileNotFoundError:
        return float("inf")


def _read(
    path: Path,
    name: str,
    folder: Path,
    limits: Limits | None,
    on_progress: OnProgress | None,
    form: InputFormat | None = None,
    layout: str = "",
) -> Contents:
    folder.mkdir(parents=True)
    return intake.read(path, folder, name, limits, on_progress, form, layout)


def _named(columns: Sequence[Column]) -> dict[str, Column]:
    return {column.name: column for column in columns}


def _source(token: str, contents: Contents, name: str) -> Source:
    columns = _named(contents.columns)
    return Source(
        token=token,
        name=name,
        kind=contents.kind,
        rows=contents.rows,
        columns=columns,
        rate=contents.rate,
        input_rate=contents.input_rate,
        originals=contents.originals,
        first_line=contents.first_line,
        notes=list(contents.notes),
    )


def id_columns(columns: dict[str, Column]) -> list[str]:
    """Return the columns of text that are called like an id."""
    return [name for name, column in columns.items() if column.text and name.lower() in ID_NAMES]


def id_column(columns: dict[str, Column]) -> str:
    """Return the column of text that is called like an id, "" if there is none."""
    return next(iter(id_columns(columns)), "")


def _attach(source: Source, title: str, folder: Path, table: Contents, on_progress: OnProgress | None) -> None:
    """Add the columns of a table to a source, row by row in the order of the source."""
    if table.kind != "table":
        raise IntakeError(f"{title} holds {table.kind}; beside {source.name} a table is expected")
    columns = _named(table.columns)
    source_ids, table_id = id_columns(source.columns), id_column(columns)
    if source_ids and table_id:
        ids = np.load(folder / columns[table_id].file, allow_pickle=False).tolist()
        choices = [source.values(name).tolist() for name in source_ids]  # such as a file and a number
        names = next((choice for choice in choices if not set(choice).isdisjoint(ids)), choices[0])
        order = _match_rows(source, names, ids, title)
    elif table.rows == source.rows:
        order = None
        source.notes.append(f"{title} has no ids to match: its rows are taken to be in the same order")
    else:
        raise IntakeError(
            f"{title} has {table.rows:,} rows, {source.name} has {source.rows:,}, and there are no ids to match; "
            "give both a column 'id'"
        )
    for name, column in columns.items():
        if name == table_id and order is not None:
            continue
        if column.ends:
            source.notes.append(f"the long texts {name!r} of {title} are left out: texts are items of a table only")
            continue
        new_name = name
        if name in source.columns or (not column.text and name in GENERIC_NAMES):
            stem = Path(title).stem
            new_name = stem if stem not in source.columns else f"{stem} {name}"
        file = f"attached-{len(source.columns)}.npy"
        _reorder(folder / column.file, source.folder / file, order, on_progress)
        attached = replace(column, name=new_name, file=file, shape=(source.rows, *column.shape[1:]))
        if order is not None and column.bad_row is not None:
            attached.bad_row = int(np.argmax(order == column.bad_row))
        source.columns[new_name] = attached
    shutil.rmtree(folder)


def _match_rows(source: Source, names: list[str], table_names: list[str], title: str) -> np.ndarray:
    """Return for every item the row of the table with its id, (n,)."""
    row_of = {name: row for row, name in enumerate(table_names)}
    if len(row_of) < len(table_names):
        duplicate = next(name for row, name in enumerate(table_names) if row_of[name] != row)
        raise IntakeError(f"the id {duplicate!r} is there twice in {title}")
    if not any(name in row_of for name in names):  # the same files in another folder, or without their ending
        row_of = {Path(name).stem: row for name, row in row_of.items()}
        names = [Path(name).stem for name in names]
    missing = [name for name in names if name not in row_of]
    if missing:
        raise IntakeError(f"{title} has no row for {len(missing):,} of {len(names):,} items, such as {missing[0]!r}")
    if len(table_names) > len(names):
        extra = len(table_names) - len(names)
        source.notes.append(f"{title} has {extra:,} rows for items that are not there; they are left out")
    return np.array([row_of[name] for name in names])


def _reorder(before: Path, after: Path, order: np.ndarray | None, on_progress: OnProgress | None) -> None:
    if order is None:
        before.rename(after)
        return
    values = np.load(before, mmap_mode="r", allow_pickle=False)
    out = np.lib.format.open_memmap(after, mode="w+", dtype=values.dtype, shape=(len(order), *values.shape[1:]))
    for start in range(0, len(order), COPY_ROWS):
        out[start : start + COPY_ROWS] = values[order[start : start + COPY_ROWS]]
        report_progress(on_progress, "importing", min(start + COPY_ROWS, len(order)), len(order))
    out.flush()
