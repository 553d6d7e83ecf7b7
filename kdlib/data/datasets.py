"""Datasets: inputs with labels, attributes and splits: built-in ones, made from real scans or from numbers, and what people imported.

To add a built-in one, write a function that returns a `Dataset` (its first docstring line is the help text) and put it into `DATASETS`;
`tests/test_datasets.py` runs the contract over every entry.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache, partial

import numpy as np
from scipy import ndimage
from sklearn.datasets import load_digits
from sklearn.utils import Bunch

from kdlib.cache import Arrays, Unkeyed, cached_arrays, content_key
from kdlib.data import imported, sounds
from kdlib.data.sounds import FAMILIES, ROOMS, USUAL_PITCH
from kdlib.progress import OnProgress, report_progress
from kdlib.registry import call_reporting, lookup

IMAGE, AUDIO, VECTOR = "image", "audio", "vector"
ITEM_NAMES = imported.ITEMS


@dataclass(frozen=True)
class Attribute:
    """A known factor of each item other than its label, in categories.

    Attributes:
        values: (n,) int64, the category of each row; -1 where it is not known.
        names: what each category is called.
    """

    values: np.ndarray
    names: tuple[str, ...]


@dataclass(frozen=True)
class Dataset:
    """Items of one target task.

    Attributes:
        name: its name in `DATASETS`, or the name under which it was imported.
        inputs: (n, ...) float32.
        labels: (n,) int64 class indices, -1 = missing; or, for several labels an item, (n, k) float32 of 0, 1 and NaN = missing.
        classes: the k class names.
        splits: "train", "val", "test" and any number of "ood:<name>" -> row indices. No row is in two splits.
        attributes: name -> `Attribute`.
        ids: (n,) names of the items, unique.
        modality: what an input is: "image", "vector", or "audio", then a log-mel spectrogram (1, mels, frames), low frequencies first.
        listen: row -> (samples a second, wave (samples,) float32) of an item that can be heard.
    """

    name: str
    inputs: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    splits: dict[str, np.ndarray]
    attributes: dict[str, Attribute] = field(default_factory=dict)
    ids: np.ndarray = field(default_factory=lambda: np.array([], dtype=str))
    modality: str = IMAGE
    listen: Callable[[int], tuple[int, np.ndarray]] | None = None

    @property
    def multi_label(self) -> bool:
        """Whether an item can carry several labels."""
        return self.labels.ndim == 2

    @property
    def out_of_domain(self) -> tuple[str, ...]:
        """Names of the out-of-domain test sets."""
        return tuple(name for name in self.splits if name.startswith("ood:"))

    @property
    def labelled_rows(self) -> int:
        """How many training rows have a label."""
        labels = self.labels[self.splits["train"]]
        return int((~np.isnan(labels).all(axis=1) if self.multi_label else labels >= 0).sum())

    def labelled(self, count: int) -> np.ndarray:
        """Return `count` rows of the training split whose labels the student may see, (count,) int64.

        Classes take turns, so every class is there; with several labels an item, every class has a positive and a negative row if the
        training rows have both. The subsets of a smaller count are contained in those of a larger one.

        Raises:
            ValueError: too few to show every class, or more than there are.
        """
        train = self.splits["train"]
        if self.multi_label:
            order = train[~np.isnan(self.labels[train]).all(axis=1)]
        else:
            known = train[self.labels[train] >= 0]
            turn = np.empty(len(known), dtype=np.int64)  # how many rows of the same class come before
            for label in range(len(self.classes)):
                same = self.labels[known] == label
                turn[same] = np.arange(same.sum())
            order = known[np.lexsort((self.labels[known], turn))]
        if count < len(self.classes):
            raise ValueError(
                f"{count} labels cannot cover the {len(self.classes)} classes of {self.name}; use at least {len(self.classes)}"
            )
        if count > len(order):
            raise ValueError(f"{self.name} has {len(order)} labelled training rows, got {count}")
        return order[self._covering(self.labels[order], count)] if self.multi_label else order[:count]

    def _covering(self, labels: np.ndarray, count: int) -> np.ndarray:
        """Return which `count` of the rows of labels (n, k) show every class present and absent: the first ones if these do."""
        shown = np.concatenate([labels == 1, labels == 0], axis=1)
        missing = shown.any(axis=0)
        if (shown[:count].any(axis=0) == missing).all():
            return np.arange(count)
        enough = shown[:, missing].argmax(axis=0).max() + 1  # rows from the first on that show everything
        cover: list[int] = []
        while missing.any():
            cover.append(int((shown[:enough] & missing).sum(axis=1).argmax()))
            missing &= ~shown[cover[-1]]
        if count < len(cover):
            raise ValueError(
                f"{count} labels cannot hold a positive and a negative row of each of the {len(self.classes)} classes of {self.name}; "
                f"use at least {len(cover)}"
            )
        return np.concatenate([cover, np.setdiff1d(np.arange(enough), cover)])[:count]


# --- handwritten digits -----------------------------------------------------------------------------------------------------------------

SCANS_VAL, SCANS_TEST = 300, 600  # of the 1,797 scans; the rest is for training, so no scan is ever on both sides


def _scans() -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Return the scans (1797, 8, 8) in [0, 1], their digits, and which scans belong to train, val and test."""
    bunch = load_digits()
    assert isinstance(bunch, Bunch)
    order = np.random.default_rng(0).permutation(len(bunch.target))
    test, val, train = np.split(order, [SCANS_TEST, SCANS_TEST + SCANS_VAL])
    return (
        bunch.images.astype(np.float32) / 16,
        bunch.target.astype(np.int64),
        {"train": train, "val": val, "test": test},
    )


CANVAS = 16  # pixels
ORIENTATIONS = 6  # of the stripes: multiples of 30 degrees
NOISE = 0.08  # standard deviation of the pixel noise


def _clutter(
    scans: np.ndarray, rng: np.random.Generator, rotation: tuple[float, float], contrast: tuple[float, float]
) -> Arrays:
    """Place each scan on a striped canvas.

    Args:
        scans: (n, 8, 8) in [0, 1].
        rng: source of positions, stripes and noise.
        rotation: range of the absolute angle in degrees; the sign is drawn.
        contrast: range of the stripes' amplitude, in units of full ink.

    Returns:
        inputs (n, 1, 16, 16), background (n,) orientation index, row and column (n,) of the digit's corner, angle (n,) in degrees.
    """
    n, size = len(scans), scans.shape[1]
    angle = rng.uniform(*rotation, n) * rng.choice([-1, 1], n)
    row, column = rng.integers(0, CANVAS - size + 1, (2, n))
    background = rng.integers(0, ORIENTATIONS, n)
    direction = np.pi * background / ORIENTATIONS
    period, phase = rng.uniform(3, 6, n), rng.uniform(0, 2 * np.pi, n)
    y, x = np.mgrid[:CANVAS, :CANVAS]
    along = x * np.cos(direction)[:, None, None] + y * np.sin(direction)[:, None, None]
    stripes = 0.5 + 0.5 * np.sin(2 * np.pi * along / period[:, None, None] + phase[:, None, None])
    canvas = rng.uniform(*contrast, n)[:, None, None] * stripes
    for i in range(n):
        ink = ndimage.rotate(scans[i], angle[i], reshape=False, order=1)
        window = canvas[i, row[i] : row[i] + size, column[i] : column[i] + size]
        np.maximum(window, ink, out=window)
    canvas += rng.normal(0, NOISE, canvas.shape)
    return {
        "inputs": canvas[:, None].astype(np.float32),
        "background": background,
        "row": row,
        "column": column,
        "angle": angle,
    }


def cluttered_digits(on_progress: OnProgress | None = None) -> Dataset:
    """Real handwritten digits at random places on striped backgrounds, with noise."""
    sizes = {"train": 10_000, "val": 500, "test": 2_000, "ood:rotated": 2_000, "ood:contrast": 2_000}
    setup = {
        "version": 1,
        "sizes": sizes,
        "rotation": (0, 10),
        "contrast": (0.05, 0.35),
        "rotated": (15, 30),
        "stronger": (0.25, 0.5),
    }

    def build() -> Arrays:
        scans, digits, members = _scans()
        parts = []
        for number, (split, size) in enumerate(sizes.items()):
            report_progress(on_progress, "loading", sum(len(part["labels"]) for part in parts), sum(sizes.values()))
            rng = np.random.default_rng([1, number])
            chosen = rng.choice(members.get(split, members["test"]), size)
            rotation = setup["rotated"] if split == "ood:rotated" else setup["rotation"]
            contrast = setup["stronger"] if split == "ood:contrast" else setup["contrast"]
            parts.append(_clutter(scans[chosen], rng, rotation, contrast) | {"labels": digits[chosen], "scan": chosen})
        return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}

    key = content_key(dataset="cluttered-digits", scans=_scans()[0], noise=NOISE, **setup)
    arrays = cached_arrays(
        "datasets", key, build, partial(report_progress, on_progress, "loading", 0, sum(sizes.values()))
    )
    third = (arrays["row"] // 3) * 3 + arrays["column"] // 3
    places = tuple(
        f"{vertical} {horizontal}"
        for vertical in ("top", "middle", "bottom")
        for horizontal in ("left", "centre", "right")
    )
    turn = np.digitize(arrays["angle"], [-5, 5])
    return Dataset(
        name="cluttered-digits",
        inputs=arrays["inputs"],
        labels=arrays["labels"],
        classes=tuple("0123456789"),
        splits=_consecutive(sizes),
        attributes={
            "background": Attribute(arrays["background"], tuple(f"{30 * i}°" for i in range(ORIENTATIONS))),
            "position": Attribute(third, places),
            "rotation": Attribute(turn, ("left of -5°", "upright", "right of 5°")),
        },
        ids=_item_ids(sizes, arrays["scan"]),
    )


def digits() -> Dataset:
    """The plain 8 x 8 scans of handwritten digits, as they ship with scikit-learn."""
    sizes = {"train": 897, "val": SCANS_VAL, "test": SCANS_TEST, "ood:rotated": SCANS_TEST, "ood:noise": SCANS_TEST}

    def build() -> Arrays:
        scans, labels, members = _scans()
        rng = np.random.default_rng(2)
        test = scans[members["test"]]
        angles = rng.uniform(15, 30, len(test)) * rng.choice([-1, 1], len(test))
        turned = np.stack(
            [ndimage.rotate(scan, angle, reshape=False, order=1) for scan, angle in zip(test, angles, strict=True)]
        )
        noisy = test + rng.normal(0, 0.3, test.shape)
        order = np.concatenate([members["train"], members["val"], *[members["test"]] * 3])
        inputs = np.concatenate([scans[members["train"]], scans[members["val"]], test, turned, noisy])
        return {"inputs": inputs[:, None].astype(np.float32), "labels": labels[order], "scan": order}

    arrays = cached_arrays("datasets", content_key(dataset="digits", version=1, scans=_scans()[0], sizes=sizes), build)
    ink = _scans()[0].mean((1, 2))
    thirds = np.digitize(ink, np.quantile(ink, [1 / 3, 2 / 3]))
    return Dataset(
        name="digits",
        inputs=arrays["inputs"],
        labels=arrays["labels"],
        classes=tuple("0123456789"),
        splits=_consecutive(sizes),
        attributes={"ink": Attribute(thirds[arrays["scan"]], ("little", "medium", "much"))},
        ids=_item_ids(sizes, arrays["scan"]),
    )


# --- notes ------------------------------------------------------------------------------------------------------------------------------

PITCH_STEP = 3  # semitones to a category of pitch
LABELLED_SHARE = 0.4  # of the labels of a mixture; the others are missing


def _pitches(semitones: np.ndarray) -> Attribute:
    lows = range(*USUAL_PITCH, PITCH_STEP)
    names = [f"{sounds.LOWEST * 2 ** (low / 12):.0f} Hz" for low in lows]
    return Attribute(np.minimum(semitones // PITCH_STEP, len(names)).astype(np.int64), (*names, "440 Hz and up"))


def _loudness(decibels: np.ndarray) -> Attribute:
    return Attribute(np.digitize(decibels, [-16, -8]), ("quiet", "medium", "loud"))


def tones(on_progress: OnProgress | None = None) -> Dataset:
    """Notes of eight instrument families with overlapping timbres, random in pitch, loudness, envelope and room, as log-mel."""
    sizes = {"train": 4000, "val": 500, "test": 1000, "ood:high": 750, "ood:room": 750}

    def one(rng: np.random.Generator, n: int) -> np.ndarray:
        return np.eye(len(FAMILIES), dtype=bool)[rng.permutation(n) % len(FAMILIES)]

    inputs, notes, scenes = sounds.collection(4, sizes, one, on_progress)
    return Dataset(
        name="tones",
        inputs=inputs,
        labels=notes.family,
        classes=tuple(FAMILIES),
        splits=_consecutive(sizes),
        attributes={
            "pitch": _pitches(notes.pitch),
            "loudness": _loudness(notes.level),
            "room": Attribute(scenes.room, tuple(ROOMS)),
        },
        ids=_numbered(sizes),
        modality=AUDIO,
        listen=partial(sounds.render_scene, notes, scenes),
    )


def mixtures(on_progress: OnProgress | None = None) -> Dataset:
    """One to three instrument families at once, several labels an item, of which most are missing, as log-mel."""
    sizes = {"train": 3000, "val": 600, "test": 1000, "ood:high": 750, "ood:room": 750}

    def some(rng: np.random.Generator, n: int) -> np.ndarray:
        order = rng.random((n, len(FAMILIES))).argsort(1)
        return order < rng.integers(1, 4, (n, 1))

    inputs, notes, scenes = sounds.collection(5, sizes, some, on_progress)
    n = len(scenes.room)
    sounding = np.zeros((n, len(FAMILIES)), np.float32)
    sounding[notes.item, notes.family] = 1
    known = np.random.default_rng(3).random(sounding.shape)
    known = (known < LABELLED_SHARE) | (known == known.min(1, keepdims=True))  # of every item at least one label
    starts = np.searchsorted(notes.item, np.arange(n))
    count = sounding.sum(1).astype(np.int64) - 1
    return Dataset(
        name="mixtures",
        inputs=inputs,
        labels=np.where(known, sounding, np.float32(np.nan)),
        classes=tuple(FAMILIES),
        splits=_consecutive(sizes),
        attributes={
            "bass": _pitches(np.minimum.reduceat(notes.pitch, starts)),
            "loudness": _loudness(np.maximum.reduceat(notes.level, starts)),
            "room": Attribute(scenes.room, tuple(ROOMS)),
            "count": Attribute(count, ("one", "two", "three")),
        },
        ids=_numbered(sizes),
        modality=AUDIO,
        listen=partial(sounds.render_scene, notes, scenes),
    )


# --- shared -----------------------------------------------------------------------------------------------------------------------------


def _consecutive(sizes: dict[str, int]) -> dict[str, np.ndarray]:
    """Return row indices of splits that follow one another."""
    ends = np.cumsum(list(sizes.values()))
    return {name: np.arange(end - size, end) for (name, size), end in zip(sizes.items(), ends, strict=True)}


def _numbered(sizes: dict[str, int]) -> np.ndarray:
    """Return "<split>-<number>" for every row."""
    return np.array([f"{split.removeprefix('ood:')}-{i:05d}" for split, size in sizes.items() for i in range(size)])


def _item_ids(sizes: dict[str, int], scan: np.ndarray) -> np.ndarray:
    """Return "<split>-<number>-scan<scan>" for every row."""
    return np.array([f"{name}-scan{number:04d}" for name, number in zip(_numbered(sizes), scan, strict=True)])


DATASETS: dict[str, Callable[[], Dataset]] = {
    "cluttered-digits": cluttered_digits,
    "digits": digits,
    "tones": tones,
    "mixtures": mixtures,
}


def describe_datasets() -> dict[str, Callable[[], Dataset] | str]:
    """Return every name there is: built-in ones with the function that makes them, imported ones with a line that says what they are."""
    return DATASETS | {name: imported.describe(card) for name, card in imported.cards().items()}


def load(name: str, on_progress: OnProgress | None = None) -> Dataset:
    """Return the dataset called `name`; the last few stay in memory. Do not write into its arrays.

    Args:
        name: in `DATASETS`, or of an imported one.
        on_progress: shown how many items of a built-in one have been made, the first time that it is.

    Raises:
        ValueError: there is none of that name (any more).
        CancelledError: `on_progress` asked to stop.
    """
    if name not in DATASETS:
        lookup(describe_datasets(), name, "dataset")
    return _load(name, Unkeyed(on_progress))


@lru_cache(maxsize=64)
def content(name: str) -> str:
    """Return what names everything in a dataset: of an imported one the hash it is kept under, of a built-in one that of its arrays.

    Raises:
        ValueError: there is none of that name.
    """
    if name not in DATASETS:
        return imported.dataset_folder(name).name
    data = load(name)
    attributes = {key: [each.values, each.names] for key, each in data.attributes.items()}
    return content_key(
        inputs=data.inputs, labels=data.labels, classes=data.classes, splits=data.splits, attributes=attributes
    )


@lru_cache(maxsize=4)
def _load(name: str, reporting: Unkeyed) -> Dataset:
    return call_reporting(DATASETS[name], on_progress=reporting.value) if name in DATASETS else _imported(name)


def _imported(name: str) -> Dataset:
    card = imported.cards()[name]
    codes = imported.load_array(name, "splits.npy")
    shuffled = np.random.default_rng(0).permutation(
        len(codes)
    )  # files come sorted, and the first rows must not all be one speaker's
    return Dataset(
        name=name,
        inputs=imported.load_array(name, card["inputs"]).reshape(-1, *card["shape"]),
        labels=imported.load_array(name, "labels.npy"),
        classes=tuple(card["classes"]),
        splits={split: shuffled[codes[shuffled] == number] for number, split in enumerate(card["splits"])},
        attributes={
            attribute: Attribute(imported.load_array(name, f"attribute-{number}.npy"), tuple(values))
            for number, (attribute, values) in enumerate(card["attributes"].items())
        },
        ids=imported.load_array(name, "ids.npy"),
        modality=card["modality"],
        listen=partial(imported.load_sound, name) if card["rate"] else None,
    )
