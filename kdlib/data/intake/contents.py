"""What a reading returns: columns on disk and what is known of them, JSON from the child process to its parent."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class Column:
    """One column of what was read: text (n,) as it is in the file, or numbers (n, ...).

    Numbers are float32, pictures uint8, spectrograms float16.

    Attributes:
        name: of the column or array.
        shape: (n,) for text, (n, ...) for numbers.
        text: whether it holds text.
        bad_row: first row with NaN or infinity, None if all are finite.
        bad: number of rows with NaN or infinity.
        zero_rows: number of rows that hold only zeros, or only blanks.
        constant: whether all rows are the same.
        file: its .npy file in the folder of the reading; that of long texts holds UTF-8.
        role: "target", "attribute" or "embeddings" where the format of the file says so.
        source_task: what the network was trained for whose embeddings it holds, where the format of the file says so.
        ends: of a column with long texts, the .npy file that says where each ends, in bytes.
    """

    name: str
    shape: tuple[int, ...]
    text: bool = False
    bad_row: int | None = None
    bad: int = 0
    zero_rows: int = 0
    constant: bool = True
    file: str = ""
    role: str = ""
    source_task: str = ""
    ends: str = ""

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> "Column":
        """Return the column that a dict of JSON holds."""
        values = dict(record)
        return cls(shape=tuple(values.pop("shape")), **values)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return asdict(self)


@dataclass
class Contents:
    """What was read from a file, an archive or a folder.

    Attributes:
        kind: "table", "sounds" or "images".
        rows: items.
        columns: in the order of the file.
        notes: what the owner should know about the reading.
        rate: most frequent sampling rate of recordings, Hz; 0 for anything else.
        input_rate: of which their spectrograms are made, Hz.
        originals: files that hold the original pictures or recordings, see `intake.originals`.
        first_line: line of the first row in a text file; 0 where rows are not lines.
        tables: contents of the tables inside an archive or a folder.
        name: of a table inside an archive or a folder.
        folder: name of the subfolder that holds its columns.
    """

    kind: str
    rows: int
    columns: list[Column]
    notes: list[str] = field(default_factory=list)
    rate: int = 0
    input_rate: int = 0
    originals: list[str] = field(default_factory=list)
    first_line: int = 0
    tables: list["Contents"] = field(default_factory=list)
    name: str = ""
    folder: str = ""

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> "Contents":
        """Return the contents that a dict of JSON holds."""
        values = dict(record)
        columns = [Column.from_dict(column) for column in values.pop("columns")]
        tables = [cls.from_dict(table) for table in values.pop("tables")]
        return cls(columns=columns, tables=tables, **values)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return asdict(self)
