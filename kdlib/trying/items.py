"""One item that a person gives, as a student and a teacher get it: prepared by the code that made the dataset."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from kdlib.data import datasets
from kdlib.data.dataset import AUDIO, IMAGE, Dataset, to_colours
from kdlib.data.digit_sets import place_drawing, scan_drawing
from kdlib.data.spectrograms import spectrogram_of
from kdlib.data.texts import hash_texts

MAX_TEXT = 20_000  # characters
STRIPES = 0.2  # contrast of the stripes behind a drawing, the middle of what is trained on


@dataclass(frozen=True)
class Item:
    """One item for the students of a dataset.

    Attributes:
        dataset: whose students it is for.
        inputs: (1, ...) what a student gets, as the dataset stores it.
        row: of the dataset, -1 for an item that is not in it.
        look, listen, read: the original, as in `Dataset`, whatever row is asked for.
        note: what was done to it, in a sentence; "" for nothing worth saying.
    """

    dataset: str
    inputs: np.ndarray
    row: int = -1
    look: Callable[[int], np.ndarray] | None = None
    listen: Callable[[int], tuple[int, np.ndarray]] | None = None
    read: Callable[[int], str] | None = None
    note: str = ""

    def to_dataset(self) -> Dataset:
        """Return it as a dataset of one row without a label, for teachers, which embed rows of datasets."""
        data = datasets.load(self.dataset)
        unknown = np.full((1, len(data.classes)), np.nan, np.float32) if data.multi_label else np.array([-1])
        return replace(
            data,
            name=f"an item for {data.name}",
            inputs=self.inputs,
            labels=unknown,
            splits={"test": np.arange(1)},
            attributes={},
            ids=np.array(["item"]),
            look=self.look,
            listen=self.listen,
            read=self.read,
        )


def item_of_row(dataset: str, row: int) -> Item:
    """Return an item of the dataset itself.

    Raises:
        ValueError: it has no such row.

    Example:
        >>> item_of_row("digits", 0).inputs.shape
        (1, 1, 8, 8)
    """
    data = datasets.load(dataset)
    if not 0 <= row < len(data.inputs):
        raise ValueError(f"{dataset} has the rows 0 to {len(data.inputs) - 1:,}, got {row}; choose a sample")

    def ask(source: Callable[[int], object] | None) -> Callable | None:
        return source and (lambda _: source(row))

    return Item(dataset, data.inputs[row : row + 1], row, ask(data.look), ask(data.listen), ask(data.read))


def item_of_text(dataset: str, text: str) -> Item:
    """Return a text as the students of a dataset of texts get it.

    Raises:
        ValueError: it is blank or too long.

    Example:
        >>> item_of_text("reviews@1f2e3d4c", "a fine film").inputs.shape
    """
    if not text.strip():
        raise ValueError("the text is blank; write some words")
    if len(text) > MAX_TEXT:
        raise ValueError(f"the text has {len(text):,} characters, at most {MAX_TEXT:,} can be read; shorten it")
    data = datasets.load(dataset)
    inputs = hash_texts([text], *data.inputs.shape[1:])
    return Item(dataset, inputs, read=lambda _: text)


def item_of_numbers(dataset: str, text: str) -> Item:
    """Return a row of numbers, separated by commas, blanks or line ends, as an item of a dataset of vectors.

    Raises:
        ValueError: it holds something else, or another count of numbers.

    Example:
        >>> item_of_numbers("trees@1f2e3d4c", "0.1, 2, -3, 0, 0, 1").inputs.shape
    """
    shape = datasets.load(dataset).inputs.shape[1:]
    expected = int(np.prod(shape))
    words = text.replace(",", " ").replace(";", " ").split()
    try:
        values = np.array([float(word) for word in words], np.float32)
    except ValueError:
        raise ValueError(f"numbers are expected, such as 0.5 or -3, got {_first_odd(words)!r}") from None
    if len(values) != expected:
        raise ValueError(f"an item of {dataset} has {expected:,} numbers, got {len(values):,}; give as many")
    if not np.isfinite(values).all():
        raise ValueError("all numbers must be finite, got one that is not; correct it")
    return Item(dataset, values.reshape(1, *shape))


def can_be_drawn(data: Dataset) -> bool:
    """Return whether an item of a dataset can be a drawing: grey pictures that can be looked at."""
    return data.modality == IMAGE and data.look is not None and data.inputs.shape[1] == 1


def item_of_drawing(dataset: str, ink: np.ndarray, striped: bool = False) -> Item:
    """Return a drawing as the students of a dataset of grey pictures get it.

    For the built-in digits as their scans were made; for others bright on dark or dark on bright, as most of theirs.

    Args:
        dataset: of grey pictures.
        ink: (h, w) uint8, 0 where the paper is empty.
        striped: whether stripes are behind it, for `cluttered-digits` alone.

    Raises:
        ValueError: nothing is drawn, or the dataset holds something else.

    Example:
        >>> item_of_drawing("digits", np.eye(64, dtype=np.uint8) * 255).inputs.shape
        (1, 1, 8, 8)
    """
    data = datasets.load(dataset)
    if not can_be_drawn(data):
        raise ValueError(f"{dataset} holds no grey pictures, so nothing can be drawn for it; choose a sample")
    if dataset == "cluttered-digits":
        inputs = place_drawing(ink, STRIPES if striped else 0.0)
    elif dataset == "digits":
        inputs = scan_drawing(ink)[None, None]
    else:
        if not ink.any():
            raise ValueError("nothing is drawn; draw something")
        height, width = data.inputs.shape[2:]
        drawn = np.asarray(Image.fromarray(ink).resize((width, height), Image.Resampling.BILINEAR))
        inputs = to_stored(data, (drawn if is_dark(data) else 255 - drawn)[None, None])
    return Item(dataset, inputs, look=lambda _: to_colours(inputs, 0))


def is_dark(data: Dataset) -> bool:
    """Return whether most pixels of most pictures are dark."""
    values = datasets.to_float(data.inputs[data.splits["val"][:100]])
    return bool(np.median(values) < 0.5)


def to_stored(data: Dataset, pixels: np.ndarray) -> np.ndarray:
    """Return pixels (n, c, h, w) uint8 as a dataset stores its pictures."""
    return pixels if data.inputs.dtype == np.uint8 else (pixels / np.float32(255)).astype(data.inputs.dtype)


def item_of_picture(dataset: str, pixels: np.ndarray, original: np.ndarray) -> Item:
    """Return a picture as the students of a dataset get it.

    Args:
        dataset: of pictures.
        pixels: (c, h, w) uint8, as it was read for an input of the dataset.
        original: (h, w, 3) uint8, what teachers look at.

    Raises:
        ValueError: the dataset holds something else.

    Example:
        >>> item_of_picture("digits", np.zeros((1, 8, 8), np.uint8), np.zeros((8, 8, 3), np.uint8)).inputs.shape
        (1, 1, 8, 8)
    """
    data = datasets.load(dataset)
    if data.modality != IMAGE or data.look is None:
        raise ValueError(f"{dataset} holds no pictures in ordinary brightness, so none can join it; choose a sample")
    return Item(dataset, to_stored(data, pixels[None]), look=lambda _: original)


def item_of_wave(dataset: str, rate: int, wave: np.ndarray, begin: float = 0.0) -> Item:
    """Return a recording as the students of a dataset of sounds get it: as much of it as they hear, from `begin` on.

    Args:
        dataset: of sounds.
        rate: of the wave, Hz.
        wave: (samples,) in [-1, 1].
        begin: seconds that are left out.

    Raises:
        ValueError: the dataset holds something else, or the recording ends before `begin`.

    Example:
        >>> item_of_wave("tones", 16_000, np.zeros(16_000, np.float32)).inputs.shape
        (1, 1, 32, 32)
    """
    data = datasets.load(dataset)
    if data.modality != AUDIO or not data.rate:
        raise ValueError(f"{dataset} holds no sounds, so none can join it; choose a sample")
    wave = wave[round(begin * rate) :]
    if not len(wave):
        raise ValueError(f"the recording ends before {begin:g} s; let it begin earlier")
    _, mels, frames = data.inputs.shape[1:]
    inputs = spectrogram_of(wave, rate, data.rate, mels, frames).astype(data.inputs.dtype)
    return Item(dataset, inputs, listen=lambda _: (rate, wave))


def _first_odd(words: list[str]) -> str:
    for word in words:
        try:
            float(word)
        except ValueError:
            return word[:40]
    return ""
