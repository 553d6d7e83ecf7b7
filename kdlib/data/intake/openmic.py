"""OpenMIC-2018 as it is published: 20,000 clips of 10 s, 20 instruments, most labels missing, VGGish embeddings.

Source: Humphrey, Durand, McFee 2018, OpenMIC-2018: an open dataset for multiple instrument recognition; its folder as
its own scripts write it.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from kdlib.data.intake import listings
from kdlib.data.intake.archives import Archive, Member
from kdlib.data.intake.arrays import PickledError, Writer, open_array, to_texts
from kdlib.data.intake.contents import Contents
from kdlib.data.intake.formats import InputFormat
from kdlib.data.intake.limits import IntakeError

ARRAYS, CLASSES = "openmic-2018.npz", "class-map.json"
LABELS = "openmic-2018-aggregated-labels.csv"
PARTITIONS = {"train": ("split01_train.csv", "train01.txt"), "test": ("split01_test.csv", "test01.txt")}
PRESENT = 0.5  # relevance from which an instrument counts as there
VAL_SHARE, SEED = 0.15, 0  # of the training clips
VGGISH = "video tags of AudioSet (VGGish)"


def read(path: Path, name: str, writer: Writer, form: InputFormat) -> Contents:
    """Read the folder: labels with NaN for missing, splits, VGGish embeddings, and spectrograms if audio is there.

    Raises:
        IntakeError: a file of it is missing, or files contradict one another.
    """
    if not path.is_dir():
        raise IntakeError(f"{name} is a file; OpenMIC-2018 is the folder that its archive unpacks to")
    archive = Archive(listings.find(path, ARRAYS), writer.limits, ARRAYS)
    truth, mask = _read_matrix(archive, "Y_true"), _read_matrix(archive, "Y_mask") != 0
    if truth.shape != mask.shape:
        raise IntakeError(f"{ARRAYS} contradicts itself: Y_true is {truth.shape}, Y_mask {mask.shape}")
    count = len(truth)
    classes = listings.read_class_map(listings.find(path, CLASSES), truth.shape[1], writer.limits)
    keys, notes = _read_keys(archive, path, truth, mask, classes, writer)
    split, split_notes = _read_splits(path, keys, writer)
    audio = _find_audio(path, keys, writer)
    writer.reporter.begin(count, 3 * count)
    writer.write_text("id", keys)
    writer.write_text("split", split)
    writer.write_text("classes", classes)
    labels = np.where(mask, truth >= PRESENT, np.nan)
    writer.write_numbers("labels", labels.shape, iter([labels]))
    writer.columns[-1].role = "target"
    _write_frames(archive, count, writer)
    if not audio:
        _write_means(archive, count, writer)
    originals, rate, input_rate = [], 0, 0
    if audio:
        from kdlib.data.intake.recordings import read_sounds  # loads the decoder only where it is needed

        originals, rate, input_rate = read_sounds(audio[0], audio[1], writer, form)
    return Contents(
        "sounds" if audio else "table",
        count,
        writer.columns,
        notes + split_notes,
        rate,
        input_rate,
        originals=originals,
    )


def _member(archive: Archive, array: str) -> Member:
    member = next((member for member in archive.members if member.name == f"{array}.npy"), None)
    if member is None:
        raise IntakeError(f"{archive.name} has no array {array!r}")
    return member


def _read_matrix(archive: Archive, array: str) -> np.ndarray:
    """Return a matrix of numbers (n, k), float32."""
    member = _member(archive, array)
    with archive.open(member) as stream:
        shape, dtype, chunks = open_array(stream, member.size, array)
        if len(shape) != 2 or dtype.kind not in "fiub":
            raise IntakeError(
                f"{array} in {archive.name} is {dtype} of shape {shape}, expected a row of numbers a clip"
            )
        archive.limits.check_shape(array, shape)
        return np.concatenate([chunk.astype(np.float32) for chunk in chunks()])


def _read_keys(
    archive: Archive, path: Path, truth: np.ndarray, mask: np.ndarray, classes: list[str], writer: Writer
) -> tuple[list[str], list[str]]:
    """Return the names of the clips in the order of the arrays, and what should be known of them."""
    member, notes = _member(archive, "sample_key"), []
    try:
        with archive.open(member) as stream:
            shape, dtype, chunks = open_array(stream, member.size, "sample_key")
            if len(shape) != 1:
                raise IntakeError(f"sample_key in {archive.name} has the shape {shape}, expected one name a clip")
            writer.limits.check_shape("sample_key", shape, dtype.itemsize)
            keys = to_texts(np.concatenate(list(chunks())), "sample_key")
    except PickledError as error:
        keys = _keys_of_labels(path, truth, mask, classes, writer, error)
        notes = [
            f"sample_key in {ARRAYS} is a pickle and was not opened; the names are those in {LABELS}, "
            f"whose {int(mask.sum()):,} labels agree with the arrays"
        ]
    if len(set(keys)) != len(truth) or len(keys) != len(truth):
        raise IntakeError(f"{archive.name} has {len(truth):,} rows of labels and {len(set(keys)):,} different names")
    if wrong := next((key for key in keys if not key or set(key) & set("/\\.:") or not key.isprintable()), None):
        raise IntakeError(f"the sample_key {wrong!r} is no name of a clip, such as '000046_3840'")
    return keys, notes


def _keys_of_labels(
    path: Path, truth: np.ndarray, mask: np.ndarray, classes: list[str], writer: Writer, error: PickledError
) -> list[str]:
    """Return the names from the table of labels: the arrays were made from it, sorted by name.

    Raises:
        IntakeError: the table is not there, or a label in it is not that of the arrays.
    """
    head, rows = listings.read_rows(listings.find(path, LABELS, why=f"; without it, {error}"), writer.limits)
    if head[:3] != ["sample_key", "instrument", "relevance"]:
        raise IntakeError(f"{LABELS} begins with {', '.join(head[:3])}, not sample_key, instrument, relevance")
    keys = sorted({row[0] for row in rows})
    place, number = {key: row for row, key in enumerate(keys)}, {label: column for column, label in enumerate(classes)}
    agrees = len(keys) == len(truth) and len({(row[0], row[1]) for row in rows}) == mask.sum()
    for key, instrument, text, *_ in rows if agrees else []:
        at = place[key], number.get(instrument, -1)
        agrees = agrees and at[1] >= 0 and bool(mask[at]) and math.isclose(_number(text), truth[at], abs_tol=1e-4)
    if not agrees:
        raise IntakeError(
            f"{error}; and {LABELS} does not hold the labels of {ARRAYS}, so that it cannot name the clips"
        )
    return keys


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _read_splits(path: Path, keys: list[str], writer: Writer) -> tuple[list[str], list[str]]:
    """Return the split of each clip, "" for one in none, and what was done; a seeded share of train is val."""
    split_of: dict[str, str] = {}
    for split, names in PARTITIONS.items():
        file = listings.find(path, *(f"partitions/{name}" for name in names))
        for key in listings.read_ids(file, writer.limits):
            if split_of.setdefault(key, split) != split:
                raise IntakeError(f"the clip {key!r} is in both partitions")
    unknown = len(split_of.keys() - set(keys))
    notes = [f"{unknown:,} names in the partitions are no clips of {ARRAYS}"] if unknown else []
    train = sorted(key for key in keys if split_of.get(key) == "train")
    for place in np.random.default_rng(SEED).permutation(len(train))[: round(VAL_SHARE * len(train))]:
        split_of[train[place]] = "val"
    count = sum(split_of.get(key) == "val" for key in keys)
    notes.append(f"val: {count:,} of {len(train):,} training clips, drawn with seed {SEED}")
    outside = sum(key not in split_of for key in keys)
    return [split_of.get(key, "") for key in keys], notes + (
        [f"{outside:,} clips are in no partition and are not used"] if outside else []
    )


def _find_audio(path: Path, keys: list[str], writer: Writer) -> tuple[Archive, list[Member]] | None:
    """Return the recordings in the order of the clips; None if there is no audio."""
    if not (path / "audio").is_dir():
        return None
    limits = replace(writer.limits, members=max(writer.limits.members, 2 * len(keys)))
    archive = Archive(path / "audio", limits, "audio")
    members = {member.name: member for member in archive.members}
    names = [f"{key[:3]}/{key}.ogg" for key in keys]
    missing = [name for name in names if name not in members]
    if len(missing) == len(names):
        return None
    if missing:
        raise IntakeError(
            f"audio is there for {len(names) - len(missing):,} of {len(names):,} clips: {missing[0]!r} and "
            f"{len(missing) - 1:,} more are missing; add them, or move the folder audio away to use VGGish alone"
        )
    return archive, [members[name] for name in names]


def _write_frames(archive: Archive, count: int, writer: Writer) -> None:
    """Write the VGGish frames of each clip as column "vggish", (n, 10, 128)."""
    with _open_frames(archive, count) as (shape, chunks):
        writer.write_numbers("vggish", shape, chunks())
    writer.columns[-1].role, writer.columns[-1].source_task = "embeddings", VGGISH


def _write_means(archive: Archive, count: int, writer: Writer) -> None:
    """Write the mean of the frames as column "inputs", for a student without audio."""
    with _open_frames(archive, count) as (shape, chunks):
        means = (chunk.astype(np.float32).mean(axis=1) for chunk in chunks())
        writer.write_numbers("inputs", (count, shape[2]), means)


@contextmanager
def _open_frames(archive: Archive, count: int) -> Iterator[tuple[tuple[int, ...], Callable[[], Iterator[np.ndarray]]]]:
    """Yield the shape of X, and a function that yields its rows in chunks."""
    member = _member(archive, "X")
    with archive.open(member) as stream:
        shape, dtype, chunks = open_array(stream, member.size, "X")
        if len(shape) != 3 or shape[0] != count or dtype.kind not in "fiu" or 0 in shape:
            raise IntakeError(f"X in {archive.name} is {dtype} of shape {shape}, expected {count:,} x frames x numbers")
        yield shape, chunks
