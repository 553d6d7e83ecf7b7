"""What people imported: arrays and a card per dataset, under `KDLIB_HOME/data/<content hash>/`.

A name is "<what the owner called it>@<first digits of the hash>", so that other content is another name and no run is ever mistaken for
one on other data. `importing` writes here, `datasets` and `teachers` read.
"""

import hashlib
import json
import logging
import mmap
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kdlib.cache import home
from kdlib.progress import OnProgress, report_progress
from kdlib.registry import lookup

CARD = "card.json"
TITLE = re.compile(r"[^\W_][\w .-]{0,39}")
MAPPED_BYTES = 64 << 20  # bytes from which an array stays on disk
ROWS = 1000  # taken at a time
HASH_DIGITS = 8  # digits of the hash in a name
PIECE = 4 << 20  # bytes hashed between two reports
NEEDED = frozenset(
    (
        "name",
        "hash",
        "title",
        "created",
        "rows",
        "classes",
        "splits",
        "attributes",
        "tables",
        "modality",
        "inputs",
        "shape",
        "rate",
    )
)
log = logging.getLogger("kdlib.data.imported")

ITEMS = {"image": "images", "audio": "sounds", "vector": "vectors"}  # modality -> what several items are called

Card = dict[str, Any]


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
            f"a name has 1 to 40 letters, digits, blanks, dots, dashes or underscores and begins with a letter, got {title!r}"
        )
    return title


def suggest_title(file: str) -> str:
    """Return a title made of a file name."""
    return re.sub(r"[^\w .-]|^[\W_]+", "", Path(file).stem)[:40].strip() or "own data"


def cards() -> dict[str, Card]:
    """Return name -> card of everything that was imported, oldest first. What cannot be read is left out: see `damaged`."""
    readable = [card for path in _folders() if (card := _read_card(path)) is not None]
    return {card["name"]: card for card in sorted(readable, key=lambda card: card["created"])}


def damaged() -> list[Path]:
    """Return the folders of datasets whose card cannot be read."""
    return sorted(path for path in _folders() if _read_card(path) is None and path.exists())


def _folders() -> list[Path]:
    """Return one folder per dataset; those that begin with a dot are being built or deleted."""
    return [path for path in data_folder().glob("*") if not path.name.startswith(".") and path.is_dir()]


def _read_card(where: Path) -> Card | None:
    """Return the card of a dataset, None if it is damaged or gone."""
    try:
        card = json.loads((where / CARD).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        log.debug("no card in %s: %s", where, error)
        return None
    whole = (
        isinstance(card, dict)
        and card.keys() >= NEEDED
        and card["hash"] == where.name
        and isinstance(card["created"], int | float)
    )
    return card if whole else None


def describe(card: Card) -> str:
    """Return what a dataset is, in one line."""
    return f"Imported: {card['rows']:,} items, {len(card['classes'])} classes"


def describe_table(card: Card, table: str) -> str:
    """Return what a table of embeddings is, in one line."""
    return f"Imported embeddings, {card['tables'][table]['width']} numbers for each of {card['rows']:,} items"


def resolve_name(name: str) -> str:
    """Return the full name of a dataset, or of a teacher "<dataset>/<table>", that is called by its title; any other name as it is.

    Raises:
        ValueError: several datasets have that title.
    """
    title, slash, table = name.partition("/")
    full = [each for each, card in cards().items() if card["title"] == title]
    if len(full) > 1:
        raise ValueError(f"there are several datasets called {title!r}, say which: {', '.join(full)}")
    return full[0] + slash + table if full else name


def dataset_folder(name: str) -> Path:
    """Return the folder of a dataset."""
    return data_folder() / lookup(cards(), name, "imported dataset")["hash"]


class MappedArray(np.memmap):
    """An array on disk that gives its memory back after rows were taken from it.

    The system maps the neighbours of a row along with it, so that a few thousand scattered rows would keep gigabytes in memory.
    """

    def __getitem__(self, index: Any) -> np.ndarray:
        if not (isinstance(index, np.ndarray) and index.ndim == 1 and index.dtype.kind == "i"):
            return super().__getitem__(index)
        found = np.empty((len(index), *self.shape[1:]), self.dtype)
        for start in range(0, len(index), ROWS):
            found[start : start + ROWS] = super().__getitem__(index[start : start + ROWS])
            self._mmap.madvise(mmap.MADV_DONTNEED)
        return found


def load_array(name: str, file: str) -> np.ndarray:
    """Return an array of a dataset; large ones stay on disk, and only the rows that are asked for are read."""
    where = dataset_folder(name) / file
    if where.stat().st_size <= MAPPED_BYTES:
        return np.load(where, allow_pickle=False)
    return np.load(where, mmap_mode="c", allow_pickle=False).view(MappedArray)


def load_sound(name: str, row: int) -> tuple[int, np.ndarray]:
    """Return the samples a second of a recording and its wave (samples,) float32 in [-1, 1]."""
    where = dataset_folder(name)
    ends = np.load(where / "ends.npy", mmap_mode="r", allow_pickle=False)
    start, end = (int(ends[row - 1]) if row else 0), int(ends[row])
    wave = np.fromfile(where / "waves.raw", dtype="<i2", count=end - start, offset=2 * start)
    return cards()[name]["rate"], wave.astype(np.float32) / 32768


def add_dataset(built: Path, card: Card, files: Sequence[str], on_progress: OnProgress | None = None) -> str:
    """Move a finished folder to its place and return the name of the dataset; the same content under the same title is kept once.

    Args:
        built: a folder inside the data folder with all files; its card is written here.
        card: everything but "name" and "hash".
        files: whose bytes count for the hash.
        on_progress: called after every few MB with rows done of all rows; returning True stops.

    Raises:
        CancelledError: `on_progress` asked to stop; nothing was moved.
    """
    told = hashlib.sha256(json.dumps({key: card[key] for key in sorted(card) if key != "created"}).encode())
    size, done = sum((built / file).stat().st_size for file in files), 0
    for file in files:
        digest = hashlib.sha256()
        with (built / file).open("rb") as stream:
            while piece := stream.read(PIECE):
                digest.update(piece)
                done += len(piece)
                report_progress(on_progress, "importing", card["rows"] * done // size, card["rows"])
        told.update(digest.digest())
    code = told.hexdigest()[:24]
    name = f"{card['title']}@{code[:HASH_DIGITS]}"
    (built / CARD).write_text(json.dumps(card | {"name": name, "hash": code}, ensure_ascii=False), encoding="utf-8")
    data_folder().mkdir(exist_ok=True)
    if not (data_folder() / code).exists():
        os.replace(built, data_folder() / code)
    return name


def delete_files(name: str) -> None:
    """Remove a dataset; it disappears at once, and then its files.

    Raises:
        ValueError: there is none of that name.
    """
    gone = dataset_folder(name)
    hidden = gone.with_name(f".{gone.name}.deleted")
    os.replace(gone, hidden)
    shutil.rmtree(hidden)
