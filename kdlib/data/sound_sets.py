"""The built-in audio datasets: random notes of one or of several instrument families, as log-mel spectrograms."""

from collections.abc import Callable
from functools import partial

import numpy as np

from kdlib.cache import Arrays, cached_arrays, content_key
from kdlib.data import sounds
from kdlib.data.dataset import AUDIO, Attribute, Dataset, consecutive_splits, numbered_ids
from kdlib.data.sounds import FAMILIES, RATE, ROOMS, Notes, Scenes, render, select_scenes
from kdlib.data.spectrograms import log_mel
from kdlib.progress import OnProgress, report_progress

LOW_PITCH, HIGH_PITCH = (0, 24), (24, 36)  # semitones above 110 Hz
PITCH_STEP = 3  # semitones to a category of pitch
LABELLED_SHARE = 0.4  # of the labels of a mixture; the others are missing
CHUNK = 200  # clips rendered at a time

SampleFamilies = Callable[[np.random.Generator, int], np.ndarray]  # (rng, n) -> bool (n, k): families that sound


def tones(on_progress: OnProgress | None = None) -> Dataset:
    """Notes of eight instrument families of like timbres, random in pitch, loudness, envelope and room, as log-mel."""
    sizes = {"train": 4000, "val": 500, "test": 1000, "ood:high": 750, "ood:room": 750}

    def sample_one(rng: np.random.Generator, n: int) -> np.ndarray:
        return np.eye(len(FAMILIES), dtype=bool)[rng.permutation(n) % len(FAMILIES)]

    inputs, notes, scenes = load_clips(4, sizes, sample_one, on_progress)
    return Dataset(
        name="tones",
        inputs=inputs,
        labels=notes.family,
        classes=tuple(FAMILIES),
        splits=consecutive_splits(sizes),
        attributes={
            "pitch": _pitch_attribute(notes.pitch),
            "loudness": _loudness_attribute(notes.level),
            "room": Attribute(scenes.room, tuple(ROOMS)),
        },
        ids=numbered_ids(sizes),
        modality=AUDIO,
        listen=partial(sounds.render_scene, notes, scenes),
        rate=RATE,
    )


def mixtures(on_progress: OnProgress | None = None) -> Dataset:
    """One to three instrument families at once, several labels an item, of which most are missing, as log-mel."""
    sizes = {"train": 3000, "val": 600, "test": 1000, "ood:high": 750, "ood:room": 750}

    def sample_some(rng: np.random.Generator, n: int) -> np.ndarray:
        order = rng.random((n, len(FAMILIES))).argsort(1)
        return order < rng.integers(1, 4, (n, 1))

    inputs, notes, scenes = load_clips(5, sizes, sample_some, on_progress)
    n = len(scenes.room)
    sounding = np.zeros((n, len(FAMILIES)), np.float32)
    sounding[notes.item, notes.family] = 1
    known = np.random.default_rng(3).random(sounding.shape)
    known = (known < LABELLED_SHARE) | (known == known.min(1, keepdims=True))  # every item has at least one label
    starts = np.searchsorted(notes.item, np.arange(n))
    count = sounding.sum(1).astype(np.int64) - 1
    return Dataset(
        name="mixtures",
        inputs=inputs,
        labels=np.where(known, sounding, np.float32(np.nan)),
        classes=tuple(FAMILIES),
        splits=consecutive_splits(sizes),
        attributes={
            "bass": _pitch_attribute(np.minimum.reduceat(notes.pitch, starts)),
            "loudness": _loudness_attribute(np.maximum.reduceat(notes.level, starts)),
            "room": Attribute(scenes.room, tuple(ROOMS)),
            "count": Attribute(count, ("one", "two", "three")),
        },
        ids=numbered_ids(sizes),
        modality=AUDIO,
        listen=partial(sounds.render_scene, notes, scenes),
        rate=RATE,
    )


def _pitch_attribute(semitones: np.ndarray) -> Attribute:
    lows = range(*LOW_PITCH, PITCH_STEP)
    names = [f"{sounds.LOWEST * 2 ** (low / 12):.0f} Hz" for low in lows]
    return Attribute(np.minimum(semitones // PITCH_STEP, len(names)).astype(np.int64), (*names, "440 Hz and up"))


def _loudness_attribute(decibels: np.ndarray) -> Attribute:
    return Attribute(np.digitize(decibels, [-16, -8]), ("quiet", "medium", "loud"))


def load_clips(
    seed: int, sizes: dict[str, int], sample_families: SampleFamilies, on_progress: OnProgress | None = None
) -> tuple[np.ndarray, Notes, Scenes]:
    """Return log-mel spectrograms (n, 1, mels, frames) of random clips, their notes and scenes; made once, then cached.

    Args:
        seed: of all random numbers.
        sizes: split -> clips; "ood:high" plays above the pitch of the others, "ood:room" in a room that no other split
            plays in.
        sample_families: returns which families sound in each of n clips, bool (n, k).
        on_progress: receives how many have been made.

    Raises:
        CancelledError: `on_progress` asked to stop.
    """
    arrays = cached_arrays(
        "datasets",
        content_key(sounds=sounds.VERSION, seed=seed, sizes=sizes),
        partial(_build_clips, seed, sizes, sample_families, on_progress),
        partial(report_progress, on_progress, "loading", 0, sum(sizes.values())),
    )
    notes, scenes = (
        {key.partition("/")[2]: values for key, values in arrays.items() if key.startswith(kind)}
        for kind in ("notes/", "scenes/")
    )
    return arrays["inputs"], Notes(**notes), Scenes(**scenes)


def _build_clips(
    seed: int, sizes: dict[str, int], sample_families: SampleFamilies, on_progress: OnProgress | None
) -> Arrays:
    """Return "inputs", and every field of the notes and scenes as "notes/<field>" and "scenes/<field>"."""
    known_rooms, unseen_rooms = tuple(range(len(ROOMS) - 1)), (len(ROOMS) - 1,)
    parts: list[Arrays] = []
    done, total = 0, sum(sizes.values())
    for number, (split, size) in enumerate(sizes.items()):
        rng = np.random.default_rng([seed, number])
        pitch = HIGH_PITCH if split == "ood:high" else LOW_PITCH
        rooms = unseen_rooms if split == "ood:room" else known_rooms
        notes, scenes = _sample_clips(rng, sample_families(rng, size), pitch, rooms)
        spectrograms = []
        for rows in np.split(np.arange(size), range(CHUNK, size, CHUNK)):
            report_progress(on_progress, "loading", done + int(rows[0]), total)
            spectrograms.append(log_mel(render(*select_scenes(notes, scenes, rows)), RATE))
        parts.append(
            {"inputs": np.concatenate(spectrograms)}
            | {f"notes/{key}": values for key, values in vars(notes).items()}
            | {"notes/item": notes.item + done}
            | {f"scenes/{key}": values for key, values in vars(scenes).items()}
        )
        done += size
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def _sample_clips(
    rng: np.random.Generator, families: np.ndarray, pitch: tuple[int, int], rooms: tuple[int, ...]
) -> tuple[Notes, Scenes]:
    """Return random notes and scenes.

    Args:
        rng: source of all random numbers.
        families: bool (n, k), which families sound in each of n clips, a note each.
        pitch: range in semitones above 110 Hz.
        rooms: indices into `ROOMS` to choose from.
    """
    item, family = np.nonzero(families)
    n, count = len(families), len(item)
    notes = Notes(
        item=item,
        family=family,
        pitch=rng.uniform(*pitch, count),
        level=rng.uniform(-24, 0, count),
        colour=rng.uniform(0, 1, count),
        onset=rng.uniform(0, 0.15, count),
        attack=np.exp(rng.uniform(np.log(0.005), np.log(0.1), count)),
        length=rng.uniform(0.15, 0.7, count),
        seed=rng.integers(0, 2**31, count),
    )
    return notes, Scenes(rng.choice(rooms, n), rng.uniform(-60, -40, n), rng.integers(0, 2**31, n))
