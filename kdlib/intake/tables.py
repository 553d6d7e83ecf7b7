"""CSV and parquet, batch by batch: text stays text, letter by letter; columns `e0, e1, ...` become one embedding."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv, parquet

from kdlib.intake.arrays import Writer
from kdlib.intake.limits import MB, IntakeError

NUMBERED = re.compile(r"(.*?)[ _.\-\[]?(\d+)\]?")
BLOCK = 4 * MB
COLUMNS = 20_000  # of a file, at most


def groups(names: list[str]) -> dict[str, list[str]]:
    """Return embedding name -> its columns in order: two or more that are numbered from 0 or 1 without a gap."""
    found: dict[str, dict[int, str]] = {}
    for name in names:
        matched = NUMBERED.fullmatch(name)
        if matched:
            found.setdefault(matched[1] or "embedding", {})[int(matched[2])] = name
    return {
        prefix: [there[i] for i in sorted(there)]
        for prefix, there in found.items()
        if len(there) > 1 and sorted(there) in (list(range(len(there))), list(range(1, len(there) + 1)))
    }


def read_csv(path: Path, writer: Writer) -> None:
    """Read a CSV (comma, semicolon or tab) into columns.

    Raises:
        IntakeError: a row has another number of fields, it is not UTF-8, a number column holds text; line and column are named.
    """
    head, delimiter = _first_line(path)
    if len(head) > COLUMNS:
        raise IntakeError(f"the first line has {len(head):,} columns, at most {COLUMNS:,} can be read")
    if len(set(head)) != len(head) or not all(head):
        twice = next((name for name in head if head.count(name) > 1), "")
        raise IntakeError(f"the first line must name every column once, got {twice!r} {'twice' if twice else 'as a name'}")
    _check_utf8(path)
    options = {
        "read_options": csv.ReadOptions(use_threads=False, block_size=BLOCK, column_names=head, skip_rows=1),
        "parse_options": csv.ParseOptions(delimiter=delimiter, ignore_empty_lines=False),
        "convert_options": csv.ConvertOptions(column_types=dict.fromkeys(head, pa.string()), strings_can_be_null=False),
    }
    try:
        batches = list(csv.open_csv(path, **options))
    except pa.ArrowInvalid as error:
        raise IntakeError(_ragged(str(error), len(head))) from error
    _keep([batch for batch in batches if batch.num_rows], head, writer, first_line=2)


def _first_line(path: Path) -> tuple[list[str], str]:
    with path.open("rb") as stream:
        raw = stream.readline(1_000_000)
    try:
        line = raw.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise IntakeError(f"line 1 is not UTF-8 (byte {error.start + 1}); save the file as UTF-8") from error
    delimiter = max((",", ";", "\t"), key=line.count)
    return [name.strip().strip('"') for name in line.split(delimiter)], delimiter


def _check_utf8(path: Path) -> None:
    with path.open("rb") as stream:
        for number, raw in enumerate(stream, 1):
            try:
                raw.decode()
            except UnicodeDecodeError as error:
                column = raw[: error.start].count(b",") + 1
                raise IntakeError(f"line {number}, column {column} is not UTF-8; save the file as UTF-8") from error


def _ragged(message: str, expected: int) -> str:
    matched = re.search(r"(?:Row #(\d+): )?Expected (\d+) columns, got (\d+)", message)
    if not matched:
        return f"the table cannot be read: {message.splitlines()[0][:200]}"
    line = f"line {matched[1]}" if matched[1] else "a line"
    got = int(matched[3])
    column = f"column {expected + 1} is too much" if got > expected else f"column {got + 1} is missing"
    return f"{line} has {got} fields, the first line has {expected}: {column}"


def read_parquet(path: Path, writer: Writer) -> None:
    """Read a parquet file into columns: text, numbers, and lists of numbers of one length.

    Raises:
        IntakeError: it is damaged, or rows times width exceed what can be read.
    """
    try:
        file = parquet.ParquetFile(path)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise IntakeError(f"the file is not a whole parquet table: {str(error).splitlines()[0][:150]}") from error
    rows, schema, metadata = file.metadata.num_rows, file.schema_arrow, file.metadata
    if not rows:
        raise IntakeError("the table has no rows")
    cells = sum(metadata.row_group(i).column(j).num_values for i in range(metadata.num_row_groups) for j in range(metadata.num_columns))
    writer.limits.shape("the table", (rows, max(len(schema), -(-cells // rows))))
    for column in schema:
        if not _readable(column.type):
            raise IntakeError(f"column {column.name!r} holds {column.type}, expected text, numbers or lists of numbers")
    try:
        batches, used = [], 0
        for batch in file.iter_batches(batch_size=max(1, BLOCK // (4 * max(1, cells // rows)))):
            used += batch.nbytes
            if used > writer.limits.dataset_mb * MB:
                raise IntakeError(f"the table would take more than {writer.limits.dataset_mb:,} MB once decoded (KDLIB_MAX_DATASET_MB)")
            batches.append(batch)
    except (pa.ArrowException, OSError) as error:
        raise IntakeError(f"the parquet table is damaged: {str(error).splitlines()[0][:150]}") from error
    _keep(batches, schema.names, writer, first_line=None)


def _readable(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _readable(kind.value_type)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type)
    plain = (pa.types.is_string, pa.types.is_large_string, pa.types.is_floating, pa.types.is_integer, pa.types.is_boolean, pa.types.is_null)
    return any(told(kind) for told in plain)


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def _keep(batches: list[pa.RecordBatch], names: list[str], writer: Writer, first_line: int | None) -> None:
    """Write the batches as columns. `first_line` of the data in a text file, so that a bad cell can be named by its line."""
    rows = sum(batch.num_rows for batch in batches)
    if not rows:
        raise IntakeError("the table has a first line but no rows")
    if rows > writer.limits.rows:
        raise IntakeError(f"the table has {rows:,} rows, at most {writer.limits.rows:,} can be read (KDLIB_MAX_ROWS)")
    vectors = {prefix: columns for prefix, columns in groups(names).items() if not _labels(batches, columns)}
    grouped = {name for columns in vectors.values() for name in columns}
    for name in names:
        if name in grouped:
            continue
        kind = batches[0].schema.field(name).type
        if _is_list(kind):
            width = len(batches[0].column(name)[0].as_py() or ())
            writer.numbers(name, (rows, width), _lists(batches, name, width))
        else:
            writer.text(name, [text for batch in batches for text in _texts(batch.column(name))])
    for prefix, columns in vectors.items():
        writer.numbers(prefix, (rows, len(columns)), _matrix(batches, columns, first_line))


def _labels(batches: list[pa.RecordBatch], columns: list[str]) -> bool:
    """Return whether numbered columns are answers (0, 1 or blank) and not an embedding."""
    allowed = {"", "0", "1", "0.0", "1.0", "None", "True", "False"}
    return all({str(value or 0) for value in batches[0].column(name).slice(0, 1000).to_pylist()} <= allowed for name in columns)


def _texts(values: pa.Array) -> list[str]:
    """Return cells as text: whole numbers without a point, missing ones as ""."""
    if pa.types.is_floating(values.type):
        return ["" if v is None or v != v else str(int(v)) if v.is_integer() else repr(v) for v in values.to_pylist()]
    if pa.types.is_boolean(values.type):
        return ["" if v is None else str(int(v)) for v in values.to_pylist()]
    return ["" if v is None else str(v) for v in values.to_pylist()]


def _lists(batches: list[pa.RecordBatch], name: str, width: int) -> Iterator[np.ndarray]:
    row = 0
    for batch in batches:
        lengths = pc.fill_null(pc.list_value_length(batch.column(name)), 0).to_numpy()
        if (lengths != width).any():
            at = int(np.argmax(lengths != width))
            raise IntakeError(f"column {name!r} has {lengths[at]} numbers in row {row + at}, {width} in row 0")
        yield batch.column(name).flatten().cast(pa.float32(), safe=False).to_numpy(zero_copy_only=False).reshape(-1, width)
        row += batch.num_rows


def _matrix(batches: list[pa.RecordBatch], columns: list[str], first_line: int | None) -> Iterator[np.ndarray]:
    row = 0
    for batch in batches:
        parts = []
        for name in columns:
            try:
                cells = batch.column(name)
                parts.append(cells.cast(pa.float32(), safe=False).to_numpy(zero_copy_only=False))
            except pa.ArrowInvalid as error:
                at, text = next((i, v) for i, v in enumerate(cells.to_pylist()) if not _number(v))
                where = f"row {row + at}" if first_line is None else f"line {first_line + row + at}"
                raise IntakeError(f"{where}, column {name!r}: {text!r} is not a number") from error
        yield np.stack(parts, axis=1)
        row += batch.num_rows


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
