"""CSV and parquet, batch by batch: text stays as it is written; columns `e0, e1, ...` become one embedding."""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv
from pyarrow import parquet

from kdlib.data.intake.arrays import Writer
from kdlib.data.intake.limits import MB, IntakeError
from kdlib.data.intake.progress import Reporter

NUMBERED = re.compile(r"(.*?)[ _.\-\[]?(\d+)\]?")
BLOCK = 4 * MB  # bytes read at a time
MAX_HEAD = 1 * MB  # bytes of a first line
MAX_COLUMNS = 20_000  # of a file


def group_numbered(names: list[str]) -> dict[str, list[str]]:
    """Return embedding name -> its columns in order: two or more that are numbered from 0 or 1 without a gap."""
    groups: dict[str, dict[int, str]] = {}
    for name in names:
        match = NUMBERED.fullmatch(name)
        if match:
            groups.setdefault(match[1] or "embedding", {})[int(match[2])] = name
    return {
        prefix: [columns[i] for i in sorted(columns)]
        for prefix, columns in groups.items()
        if len(columns) > 1 and sorted(columns) in (list(range(len(columns))), list(range(1, len(columns) + 1)))
    }


def read_csv(path: Path, writer: Writer) -> int:
    """Read a CSV (comma, semicolon, tab) into columns; return the line of its first row, 0 if rows take several.

    Raises:
        IntakeError: a row has another number of fields, it is not UTF-8, a number column holds text; line and column
            are named.
    """
    head, delimiter, head_lines = _first_record(path)
    lines, quotes = _check_lines(path, delimiter, writer.reporter)
    if len(head) > MAX_COLUMNS:
        raise IntakeError(f"the first line has {len(head):,} columns, at most {MAX_COLUMNS:,} can be read")
    if len(set(head)) != len(head) or not all(head):
        duplicate = next((name for name in head if head.count(name) > 1), "")
        raise IntakeError(
            f"the first line must name every column once, got {duplicate!r} {'twice' if duplicate else 'as a name'}"
        )
    if lines <= head_lines:
        raise IntakeError("the table has a first line but no rows")
    options = {
        "read_options": arrow_csv.ReadOptions(
            use_threads=False, block_size=BLOCK, column_names=head, skip_rows=head_lines
        ),
        "parse_options": arrow_csv.ParseOptions(delimiter=delimiter, ignore_empty_lines=False, newlines_in_values=True),
        "convert_options": arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(head, pa.string()), strings_can_be_null=False
        ),
    }
    writer.reporter.begin(lines - head_lines, (lines - head_lines) * (1 + len(head)))
    batches = []
    try:
        for batch in arrow_csv.open_csv(path, **options):
            if batch.num_rows:
                batches.append(batch)
            writer.reporter.advance(batch.num_rows)
    except pa.ArrowInvalid as error:
        raise IntakeError(_explain_csv(path, delimiter, len(head))) from error
    first_line = head_lines + 1 if not quotes or _is_row_per_line(path, delimiter, head_lines) else 0
    _write_columns(batches, head, writer, first_line)
    return first_line


def _first_record(path: Path) -> tuple[list[str], str, int]:
    """Return the names of the columns, the delimiter that makes most of them, and how many lines the names take.

    Bytes that are not UTF-8 are replaced: `_check_lines` says where they are.
    """
    with path.open("rb") as stream:
        text = stream.read(MAX_HEAD).decode("utf-8-sig", errors="replace")
        longer = bool(stream.read(1))
    best, ends = None, False
    for delimiter in (",", ";", "\t"):
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        try:
            record, lines = next(reader, []), reader.line_num
            ended = not longer or next(reader, None) is not None
        except csv.Error:  # a field of more than 131,072 characters
            continue
        if best is None or len(record) > len(best[0]):
            best, ends = (record, delimiter, lines), ended
    if best is None or not ends:
        raise IntakeError(f"the first line does not end within {MAX_HEAD // MB} MB, or a quote in it is never closed")
    names, delimiter, lines = best
    return [name.strip() for name in names] or [""], delimiter, lines


def _check_lines(path: Path, delimiter: str, reporter: Reporter) -> tuple[int, bool]:
    """Return how many lines a file has, and whether one has an odd number of quotes, as rows of several lines do.

    Raises:
        IntakeError: it is not UTF-8; line and column are named.
    """
    number, old_mac, quotes = 0, 0, False
    with path.open("rb") as stream:
        for number, raw in enumerate(stream, 1):
            if number % 1000 == 0:
                reporter.advance()
            try:
                raw.decode()
            except UnicodeDecodeError as error:
                column = _count_fields(raw[: error.start].decode(), delimiter)
                raise IntakeError(f"line {number}, column {column} is not UTF-8; save the file as UTF-8") from error
            quotes = quotes or raw.count(b'"') % 2 == 1
            old_mac += raw.count(b"\r") - raw.count(b"\r\n")  # lines that end as on an old Mac
    return number + old_mac, quotes


def _count_fields(line: str, delimiter: str) -> int:
    """Return how many fields the beginning of a line has, the last one perhaps cut off; at least 1."""
    try:
        return max(1, len(next(csv.reader([line], delimiter=delimiter), [])))
    except csv.Error:
        return line.count(delimiter) + 1


def _is_row_per_line(path: Path, delimiter: str, head_lines: int) -> bool:
    try:
        return all(last == first or first <= head_lines for first, last, _ in _records(path, delimiter))
    except csv.Error:  # a field without end: reported when the rows are read
        return False


def _records(path: Path, delimiter: str) -> Iterator[tuple[int, int, int]]:
    """Yield first line, last line and number of fields of every record; an empty line has 0."""
    with path.open(encoding="utf-8-sig", newline="") as stream:
        reader, before = csv.reader(stream, delimiter=delimiter), 0
        for record in reader:
            yield before + 1, reader.line_num, len(record)
            before = reader.line_num


def _explain_csv(path: Path, delimiter: str, expected: int) -> str:
    """Return why a CSV cannot be read: the first row with another number of fields, or a row without end."""
    line = 0
    try:
        for line, last, got in _records(path, delimiter):
            if got not in (0, expected):
                column = f"column {expected + 1} is too much" if got > expected else f"column {got + 1} is missing"
                also = f"; it ends in line {last}, is a quote missing?" if last > line else ""
                return f"line {line} has {got} fields, the first line has {expected}: {column}{also}"
    except csv.Error:
        limit = csv.field_size_limit()
        return f"a row after line {line} has a field of more than {limit:,} characters; is a quote missing?"
    return f"a row takes more than {BLOCK // MB} MB; is a quote missing?"


def read_parquet(path: Path, writer: Writer) -> None:
    """Read a parquet file into columns: text, numbers, and lists of numbers of one length.

    Raises:
        IntakeError: it is damaged, or rows times width exceed what can be read.
    """
    try:
        file = parquet.ParquetFile(path)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise IntakeError("the file is not a whole parquet table: it is damaged or cut off") from error
    rows, schema, metadata = file.metadata.num_rows, file.schema_arrow, file.metadata
    if not rows:
        raise IntakeError("the table has no rows")
    cells = sum(
        metadata.row_group(i).column(j).num_values
        for i in range(metadata.num_row_groups)
        for j in range(metadata.num_columns)
    )
    writer.limits.check_shape("the table", (rows, max(len(schema), -(-cells // rows))))
    duplicate = next((name for name, count in Counter(schema.names).items() if count > 1), None)
    if duplicate is not None:
        raise IntakeError(f"the table must name every column once, got {duplicate!r} twice")
    for column in schema:
        if not _is_readable(column.type):
            raise IntakeError(f"column {column.name!r} holds {column.type}, expected text, numbers or lists of numbers")
    writer.reporter.begin(rows, rows * (1 + len(schema)))
    try:
        batches, used = [], 0
        for batch in file.iter_batches(batch_size=max(1, BLOCK // (4 * max(1, cells // rows)))):
            used += batch.nbytes
            if used > writer.limits.dataset_mb * MB:
                raise IntakeError(
                    f"the table would take more than {writer.limits.dataset_mb:,} MB once decoded "
                    "(KDLIB_MAX_DATASET_MB)"
                )
            batches.append(batch)
            writer.reporter.advance(batch.num_rows)
    except (pa.ArrowException, OSError) as error:
        raise IntakeError("the parquet table is damaged: what it says of itself and its content differ") from error
    _write_columns(batches, schema.names, writer, first_line=0)


def _is_readable(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_readable(kind.value_type)
    if _is_list(kind):
        numbers = kind.value_type.value_type if _is_list(kind.value_type) else kind.value_type
        return pa.types.is_floating(numbers) or pa.types.is_integer(numbers)
    plain = (
        pa.types.is_string,
        pa.types.is_large_string,
        pa.types.is_floating,
        pa.types.is_integer,
        pa.types.is_boolean,
        pa.types.is_null,
    )
    return any(is_type(kind) for is_type in plain)


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def _write_columns(batches: list[pa.RecordBatch], names: list[str], writer: Writer, first_line: int) -> None:
    """Write the batches as columns.

    Args:
        batches: of rows.
        names: of the columns.
        writer: receives them.
        first_line: line of the first row in a text file, so that a bad cell can be named by its line; or 0.
    """
    rows = sum(batch.num_rows for batch in batches)
    if not rows:
        raise IntakeError("the table has a first line but no rows")
    if rows > writer.limits.rows:
        raise IntakeError(f"the table has {rows:,} rows, at most {writer.limits.rows:,} can be read (KDLIB_MAX_ROWS)")
    vectors = {prefix: columns for prefix, columns in group_numbered(names).items() if not _is_binary(batches, columns)}
    grouped = {name for columns in vectors.values() for name in columns}
    for name in names:
        if name in grouped:
            continue
        kind = batches[0].schema.field(name).type
        if _is_list(kind):
            shape = _list_shape(batches[0].column(name)[0].as_py() or (), _is_list(kind.value_type))
            writer.write_numbers(name, (rows, *shape), _list_chunks(batches, name, shape))
        else:
            writer.write_text(name, [text for batch in batches for text in _to_texts(batch.column(name))])
            writer.reporter.advance(rows)
    for prefix, columns in vectors.items():
        writer.write_numbers(
            prefix, (rows, len(columns)), _column_chunks(batches, columns, first_line, writer.reporter)
        )


def _is_binary(batches: list[pa.RecordBatch], columns: list[str]) -> bool:
    """Return whether numbered columns are labels (0, 1 or blank) and not an embedding."""
    allowed = {"", "0", "1", "0.0", "1.0", "None", "True", "False"}
    return all(
        {str(value or 0) for value in batches[0].column(name).slice(0, 1000).to_pylist()} <= allowed for name in columns
    )


def _to_texts(values: pa.Array) -> list[str]:
    """Return cells as text: whole numbers without a point, missing ones as ""."""
    if pa.types.is_floating(values.type):
        return ["" if v is None or v != v else str(int(v)) if v.is_integer() else repr(v) for v in values.to_pylist()]
    if pa.types.is_boolean(values.type):
        return ["" if v is None else str(int(v)) for v in values.to_pylist()]
    return ["" if v is None else str(v) for v in values.to_pylist()]


def _list_shape(first: Sequence, nested: bool) -> tuple[int, ...]:
    """Return the shape of the first cell: how many numbers, or how many lists and how many numbers in the first."""
    return (len(first), len(first[0] or ()) if first else 0) if nested else (len(first),)


def _list_chunks(batches: list[pa.RecordBatch], name: str, shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    """Yield a column of lists, or of lists of lists, of numbers as (rows, *shape), batch by batch."""
    row = 0
    for batch in batches:
        values, lists = batch.column(name), 1
        for axis, size in enumerate(shape):
            counted = pc.call_function("list_value_length", [values])
            lengths = counted.fill_null(0).to_numpy()
            if (lengths != size).any():
                at = int(np.argmax(lengths != size))
                what = "frames" if axis < len(shape) - 1 else "numbers"
                raise IntakeError(
                    f"column {name!r} has {lengths[at]} {what} in row {row + at // lists}, {size} in row 0"
                )
            values, lists = values.flatten(), lists * max(size, 1)
        yield values.cast(pa.float32(), safe=False).to_numpy(zero_copy_only=False).reshape(-1, *shape)
        row += batch.num_rows


def _column_chunks(
    batches: list[pa.RecordBatch], columns: list[str], first_line: int, reporter: Reporter
) -> Iterator[np.ndarray]:
    """Yield columns of numbers side by side as (rows, columns), batch by batch."""
    row = 0
    for batch in batches:
        parts = []
        for name in columns:
            cells = batch.column(name)
            try:
                parts.append(cells.cast(pa.float32(), safe=False).to_numpy(zero_copy_only=False))
            except pa.ArrowInvalid as error:
                at = next(i for i in range(len(cells)) if not _is_number(cells.slice(i, 1)))
                where = f"line {first_line + row + at}" if first_line else f"row {row + at}"
                raise IntakeError(f"{where}, column {name!r}: {cells[at].as_py()!r} is not a number") from error
        yield np.stack(parts, axis=1)
        row += batch.num_rows
        reporter.advance(batch.num_rows * (len(columns) - 1))  # the writer counts every row once


def _is_number(cell: pa.Array) -> bool:
    try:
        cell.cast(pa.float32(), safe=False)
    except pa.ArrowInvalid:
        return False
    return True
