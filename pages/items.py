"""Items as one can look at them: as pictures, inside a page or fetched by the browser when a pointer rests on one."""

import base64
import io
from collections.abc import Sequence
from urllib.parse import quote

import numpy as np
from PIL import Image

from kdlib.data import datasets, spectrograms

LARGEST = 128  # pixels


def picture(data: datasets.Dataset, row: int, *, original: bool = True) -> np.ndarray:
    """Return what shows an item, (h, w) or (h, w, 3) in [0, 1], at most `LARGEST` high and wide.

    The one place that knows how an item becomes visible: images as they are, the originals where they are larger than
    what students see; sounds as spectrograms, vectors folded into a square. `original` is False for what students see.
    """
    thumbnail = _thumbnail(data, row) if original else None
    if thumbnail is not None:
        return thumbnail
    values = np.nan_to_num(datasets.to_float(data.inputs[row]))
    if values.ndim < 3:
        flat = values.ravel()
        side = int(np.ceil(np.sqrt(flat.size)))
        values = np.pad(flat, (0, side * side - flat.size)).reshape(1, side, side)
    if values.shape[0] != 3:
        values = values.mean(0, keepdims=True)
    if data.modality == datasets.AUDIO:
        values = values[:, ::-1]  # high frequencies on top
    step = -(-max(values.shape[1:]) // LARGEST)
    values = values[:, ::step, ::step]
    low, high = float(values.min()), float(values.max())
    shown = np.moveaxis((values - low) / max(high - low, 1e-9), 0, -1)
    return shown if shown.shape[-1] == 3 else shown[..., 0]


def _thumbnail(data: datasets.Dataset, row: int) -> np.ndarray | None:
    """Return the original of an image, small, if it is larger than what students see; None otherwise."""
    if data.modality != datasets.IMAGE or data.look is None:
        return None
    original = Image.fromarray(data.look(row))
    if max(original.size) <= max(data.inputs.shape[-2:]):
        return None
    original.thumbnail((LARGEST, LARGEST))
    return np.asarray(original) / np.float32(255)


def enlarged(shown: np.ndarray, side: int = 64) -> np.ndarray:
    """Return a small picture with every pixel repeated, so that a browser does not blur it."""
    times = max(1, side // max(shown.shape[:2]))
    return shown.repeat(times, 0).repeat(times, 1)


def source(data: datasets.Dataset) -> str:
    """Return where a browser finds the picture of an item, but for its row number at the end."""
    return f"item?dataset={quote(data.name, safe='')}&row="


def sound_source(data: datasets.Dataset) -> str:
    """Return where a browser finds the sound of an item, but for its row number at the end."""
    return f"sound?dataset={quote(data.name, safe='')}&row="


def png(shown: np.ndarray) -> bytes:
    """Return a picture in [0, 1] as PNG."""
    written = io.BytesIO()
    Image.fromarray((255 * np.clip(shown, 0, 1)).astype(np.uint8)).save(written, "PNG")
    return written.getvalue()


def address(shown: np.ndarray) -> str:
    """Return a picture in [0, 1] as a data address."""
    return f"data:image/png;base64,{base64.b64encode(png(shown)).decode()}"


def addresses(data: datasets.Dataset, rows: Sequence[int]) -> list[str]:
    """Return the pictures of some rows as data addresses."""
    return [address(enlarged(picture(data, row))) for row in rows]


def sound(dataset: str, row: str) -> bytes | None:
    """Return an item as a WAV file, None where a dataset has no such item or it cannot be heard."""
    try:
        data = datasets.load(dataset)
    except ValueError:  # no such dataset
        return None
    if data.listen is None or not (row.isdecimal() and len(row) < 10 and int(row) < len(data.inputs)):
        return None
    return spectrograms.wav(*data.listen(int(row)))


def answer(dataset: str, row: str) -> bytes | None:
    """Return an item's picture as PNG, None where a dataset has no such item."""
    data = _holding(dataset, row)
    return None if data is None else png(picture(data, int(row)))


def answer_sound(dataset: str, row: str) -> bytes | None:
    """Return an item's sound as WAV, None where a dataset has no such item, or it cannot be heard."""
    data = _holding(dataset, row)
    return None if data is None or data.listen is None else spectrograms.wav(*data.listen(int(row)))


def _holding(dataset: str, row: str) -> datasets.Dataset | None:
    """Return the dataset if it has such a row."""
    try:
        data = datasets.load(dataset)
    except ValueError:  # no such dataset
        return None
    return data if row.isdecimal() and len(row) < 10 and int(row) < len(data.inputs) else None
