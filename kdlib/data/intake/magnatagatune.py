"""MagnaTagATune as it is published: 25,863 clips of 29 s in folders 0 to f, 188 tags, of which the 50 commonest count.

Source: Law et al. 2009, Evaluation of algorithms using games: the case of music tagging. The split of its folders into
12 for training, 1 for validation and 3 for testing is the usual one.
"""

from collections import Counter
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np

from kdlib.data.intake import listings
from kdlib.data.intake.archives import Archive, Member
from kdlib.data.intake.arrays import Writer
from kdlib.data.intake.contents import Contents
from kdlib.data.intake.formats import InputFormat
from kdlib.data.intake.limits import IntakeError

ANNOTATIONS = "annotations_final.csv"
FOLDERS = dict.fromkeys("0123456789ab", "train") | {"c": "val"} | dict.fromkeys("def", "test")
TOP_TAGS = 50
AUDIO_FOLDERS = (".", "mp3", "audio")  # where people put the folders 0 to f


def read(path: Path, name: str, writer: Writer, form: InputFormat) -> Contents:
    """Read the folder: tags, splits, and spectrograms if audio is there.

    Raises:
        IntakeError: the annotations are missing or damaged, or only a part of the audio is there.
    """
    if not path.is_dir():
        raise IntakeError(f"{name} is a file; MagnaTagATune is the folder with {ANNOTATIONS} in it")
    head, rows = listings.read_rows(listings.find(path, ANNOTATIONS), writer.limits, delimiter="\t")
    if len(head) < 4 or (head[0], head[-1]) != ("clip_id", "mp3_path"):
        raise IntakeError(f"{ANNOTATIONS} must begin with clip_id and end with mp3_path, divided by tabs")
    archive, members, notes = _find_audio(path, [row[-1] for row in rows], writer)
    empty = {place for place, member in enumerate(members) if not member.size}
    if empty:
        notes.append(f"{len(empty):,} clip{'s are' if len(empty) > 1 else ' is'} left out, with an mp3 of 0 bytes")
        rows = [row for place, row in enumerate(rows) if place not in empty]
        members = [member for member in members if member.size]
    tags, matrix = _read_tags(head[1:-1], rows)
    untagged = int((matrix.sum(axis=1) == 0).sum())
    notes.append(f"{len(tags)} commonest of {len(head) - 2} tags; {untagged:,} clips have none of them and stay in")
    writer.reporter.begin(len(rows), (2 if members else 1) * len(rows))
    writer.write_text("file", [row[-1] for row in rows])
    writer.write_text("id", [row[0] for row in rows])
    writer.write_text("split", [_split(row[-1]) for row in rows])
    writer.write_text("classes", tags)
    writer.write_numbers("labels", matrix.shape, iter([matrix]))
    writer.columns[-1].role = "target"
    originals, rate, input_rate = [], 0, 0
    if archive is not None:
        from kdlib.data.intake.recordings import read_sounds  # loads the decoder only where it is needed

        originals, rate, input_rate = read_sounds(archive, members, writer, form)
    return Contents(
        "sounds" if members else "table", len(rows), writer.columns, notes, rate, input_rate, originals=originals
    )


def _read_tags(names: list[str], rows: list[list[str]]) -> tuple[list[str], np.ndarray]:
    """Return the commonest tags, the first ones first, and for each clip 1 or 0, (n, k) float32."""
    counts: Counter[int] = Counter()
    for row in rows:
        cells = row[1:-1]
        if set(cells) - {"0", "1"}:
            wrong = next(place for place, cell in enumerate(cells) if cell not in ("0", "1"))
            raise IntakeError(f"{ANNOTATIONS}: clip {row[0]!r} has {cells[wrong]!r} for {names[wrong]!r}, not 0 or 1")
        counts.update(place for place, cell in enumerate(cells) if cell == "1")
    top = sorted(place for place, _ in sorted(counts.items(), key=lambda each: (-each[1], each[0]))[:TOP_TAGS])
    matrix = np.array([[row[1 + place] == "1" for place in top] for row in rows], np.float32)
    return [names[place] for place in top], matrix.reshape(len(rows), len(top))


def _split(path: str) -> str:
    folder = path.partition("/")[0]
    if folder not in FOLDERS or ".." in PurePosixPath(path).parts:
        raise IntakeError(
            f"{ANNOTATIONS} has the mp3_path {path!r}, expected a file in one of the folders 0 to 9, a to f"
        )
    return FOLDERS[folder]


def _find_audio(path: Path, names: list[str], writer: Writer) -> tuple[Archive | None, list[Member], list[str]]:
    """Return the recordings in the order of the clips, and notes; no archive if there is no audio."""
    root = next((path / place for place in AUDIO_FOLDERS if any((path / place / f).is_dir() for f in FOLDERS)), None)
    if root is None:
        return None, [], [f"there is no audio: no folders 0 to f in {path.name}, or in its folder mp3 or audio"]
    limits = replace(writer.limits, members=max(writer.limits.members, 2 * len(names)))
    archive = Archive(root, limits, root.name)
    members = {member.name: member for member in archive.members}
    missing = [name for name in names if name not in members]
    if missing:
        raise IntakeError(
            f"audio is there for {len(names) - len(missing):,} of {len(names):,} clips: {missing[0]!r} and "
            f"{len(missing) - 1:,} more are missing; add them, or move the folders 0 to f away and give embeddings"
        )
    return archive, [members[name] for name in names], []
