"""Imported datasets on disk: arrays and a card per dataset, under `KDLIB_HOME/data/<content hash>/`.

A name is "<title>@<first digits of the hash>", so that other content is another name and a run is never mistaken for
one on other data. `importing` writes here, `datasets` and `teachers` read. `tests/test_imported.py` checks what is
stored, listed and
deleted.
"""

import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from kdlib.cache import content_key, home, open_array
from kdlib.progress import OnProgress, report_progress
from kdlib.registry import lookup

CARD = "card.json"
TITLE = re.compile(r"[^\W_][\w .-]{0,39}")
HASH_DIGITS = 8  # digits of the hash in a name
CHUNK_BYTES = 4 << 20  # bytes hashed between two reports
LATER_FIELDS = {"input_rate": 0, "originals": []}  # left out of the hash at these values, which older datasets have
log = logging.getLogger("kdlib.data.imported")


@dataclass(frozen=True)
class TableCard:
    """A table of embeddings that is a teacher of a dataset.

    Attributes:
        file: that holds it.
        width: numbers of one embedding.
        source_task: what the network was trained for.
        frames: embeddings an item has, one after the other in time; 0 where it has one for all of it.
    """

    file: str
    width: int
    source_task: str
    frames: int = 0


@dataclass(frozen=True)
class DatasetCard:
    """What is known of an imported dataset without reading its arrays; stored as `card.json`.

    Attributes:
        title: chosen by its owner.
        created: seconds since 1970.
        rows: items.
        classes: class names.
        splits: names of the splits, in the order of their codes in `splits.npy`.
        attributes: name -> names of its categories; the n-th is stored in `attribute-<n>.npy`.
        tables: name -> `TableCard`.
        inputs: file of the inputs.
        shape: of one input.
        modality: "image", "audio", "text" or "vector".
        rate: most frequent sampling rate of recordings, Hz; 0 for anything else.
        input_rate: of which their spectrograms are made, Hz; 0 where that is `rate`.
        originals: files that hold the original pictures, recordings or texts, see `intake.originals`.
        items: hashes of what the items are, whatever their labels: "inputs", and "originals" where there are any; empty
            in datasets of earlier versions.
        source: name of the file it was read from.
        notes: notes and warnings of the import.
        name: "<title>@<first digits of the hash>".
        hash: of the content, 24 hexadecimal digits; also the name of its folder.
    """

    title: str
    created: float
    rows: int
    classes: list[str]
    splits: list[str]
    attributes: dict[str, list[str]]
    tables: dict[str, TableCard]
    inputs: str
    shape: list[int]
    modality: str
    rate: int
    source: str = ""
    notes: list[str] = field(default_factory=list)
    name: str = ""
    hash: str = ""
    input_rate: int = 0
    originals: list[str] = field(default_factory=list)
    items: dict[str, str] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, record: Any) -> "DatasetCard":
        """Return the card that a dict of JSON holds; fields of later versions are left out.

        Raises:
            ValueError: it is not a dict, a field is missing, or the time of creation is not a number.
        """
        try:
            known = {each.name: record[each.name] for each in fields(cls) if each.name in record}
            known["tables"] = {
                name: TableCard(**{each.name: table[each.name] for each in fields(TableCard) if each.name in table})
                for name, table in record["tables"].items()
            }
            card = cls(**known)
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"expected the fields of a dataset card, got {type(record).__name__}: {error}") from error
        if not isinstance(card.created, int | float) or not card.name:
            raise ValueError(f"expected a name and a time of creation, got {card.name!r} and {card.created!r}")
        return card

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it; tables without frames as before there were any, so that their hash stays."""
        record = asdict(self)
        for table in record["tables"].values():
            if not table["frames"]:
                del table["frames"]
        return record

    def describe(self) -> str:
        """Return what the dataset is, in one line."""
        return f"Imported: {self.rows:,} items, {len(self.classes)} classes"

    def describe_table(self, table: str) -> str:
        """Return what a table of embeddings is, in one line."""
        about = self.tables[table]
        each = f"{about.frames} frames of {about.width}" if about.frames else f"{about.width}"
        return f"Imported embeddings, {each} numbers for each of {self.rows:,} items"


def data_folder() -> Path:
    """Return the folder that holds one folder per dataset."""
    return home() / "data"


def check_title(title: str) -> str:
    """Return the title without blanks around it.

    Raises:
        ValueError: it cannot be part of a name.
    """
    title = title.strip()
    if not TITLE.fullmatch(title):
        raise ValueError(
            "a name has 1 to 40 letters, digits, blanks, dots, dashes or underscores and begins with a letter, "
            f"got {title!r}"
        )
    return title


def suggest_title(file: str) -> str:
    """Return a title made of a file name."""
    return re.sub(r"[^\w .-]|^[\W_]+", "", Path(file).stem)[:40].strip() or "own data"


def cards() -> dict[str, DatasetCard]:
    """Return name -> card of every imported dataset, oldest first. Unreadable ones are left out: see `damaged`.

    Example:
        for name, card in imported.cards().items():
            print(name, card.rows, card.classes)
    """
    readable = [card for path in _folders() if (card := _read_card(path)) is not None]
    return {card.name: card for card in sorted(readable, key=lambda card: card.created)}


def damaged() -> list[Path]:
    """Return the folders of datasets whose card cannot be read."""
    return sorted(path for path in _folders() if _read_card(path) is None and path.exists())


def _folders() -> list[Path]:
    """Return one folder per dataset; those that begin with a dot are being built or deleted."""
    return [path for path in data_folder().glob("*") if not path.name.startswith(".") and path.is_dir()]


def _read_card(folder: Path) -> DatasetCard | None:
    """Return the card of a dataset, None if it is damaged or gone."""
    try:
        card = DatasetCard.from_dict(json.loads((folder / CARD).read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        log.debug("no card in %s: %s", folder, error)
        return None
    return card if card.hash == folder.name else None


def resolve_name(name: str) -> str:
    """Return the full name of a dataset or of a teacher "<dataset>/<table>", given by title; other names unchanged.

    Raises:
        ValueError: several datasets have that title.
    """
    title, slash, table = name.partition("/")
    matches = [full for full, card in cards().items() if card.title == title]
    if len(matches) > 1:
        raise ValueError(f"there are several datasets called {title!r}, say which: {', '.join(matches)}")
    return matches[0] + slash + table if matches else name


def dataset_folder(name: str) -> Path:
    """Return the folder of a dataset.

    Raises:
        ValueError: there is none of that name.
    """
    return data_folder() / lookup(cards(), name, "imported dataset").hash


def load_array(name: str, file: str) -> np.ndarray:
    """Return an array of a dataset; large ones stay on disk, and only the rows that are indexed are read."""
    return open_array(dataset_folder(name) / file)


def add_dataset(built: Path, card: DatasetCard, files: Sequence[str], on_progress: OnProgress | None = None) -> str:
    """Move a finished folder to its place and return the name of the dataset.

    The same content under the same title is stored once.

    Args:
        built: a folder inside the data folder with all files; its card is written here.
        card: without name and hash.
        files: whose bytes count for the hash.
        on_progress: called after every few MB with rows done of all rows; returning True stops.

    Raises:
        CancelledError: `on_progress` asked to stop; nothing was moved.
    """
    hashes = _hash_files(built, card.rows, files, on_progress)
    code = _content_hash(card, list(hashes.values()))
    card = replace(card, name=f"{card.title}@{code[:HASH_DIGITS]}", hash=code, items=_hash_items(card, hashes))
    (built / CARD).write_text(json.dumps(card.to_dict(), ensure_ascii=False), encoding="utf-8")
    data_folder().mkdir(exist_ok=True)
    if not (data_folder() / code).exists():
        os.replace(built, data_folder() / code)
    return card.name


def _content_hash(card: DatasetCard, hashes: Sequence[bytes]) -> str:
    """Return 24 hexadecimal digits that name the card, without its time of creation, and the bytes of the files."""
    record = {
        key: value
        for key, value in sorted(card.to_dict().items())
        if key not in ("name", "hash", "created", "items") and (key, value) not in LATER_FIELDS.items()
    }
    digest = hashlib.sha256(json.dumps(record).encode())
    for each in hashes:
        digest.update(each)
    return digest.hexdigest()[:24]


def _hash_items(card: DatasetCard, hashes: dict[str, bytes]) -> dict[str, str]:
    """Return what names the items by their content: what a student gets of them, and the originals."""
    items = {"inputs": content_key(inputs=hashes[card.inputs], shape=card.shape)}
    if card.originals:
        items["originals"] = content_key(originals=[hashes[file].hex() for file in card.originals], rate=card.rate)
    return items


def _hash_files(folder: Path, rows: int, files: Sequence[str], on_progress: OnProgress | None) -> dict[str, bytes]:
    """Return the SHA-256 of each file.

    Raises:
        CancelledError: `on_progress` asked to stop.
    """
    size, done, hashes = sum((folder / file).stat().st_size for file in files), 0, {}
    for file in files:
        of_file = hashlib.sha256()
        with (folder / file).open("rb") as stream:
            while chunk := stream.read(CHUNK_BYTES):
                of_file.update(chunk)
                done += len(chunk)
                report_progress(on_progress, "importing", rows * done // size, rows)
        hashes[file] = of_file.digest()
    return hashes


def delete_files(name: str) -> None:
    """Remove a dataset; it disappears from every list at once, then its files are deleted.

    Raises:
        ValueError: there is none of that name.
    """
    folder = dataset_folder(name)
    hidden = folder.with_name(f".{folder.name}.deleted")
    os.replace(folder, hidden)
    shutil.rmtree(hidden)
