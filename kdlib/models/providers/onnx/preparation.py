"""From the items of a dataset to what a network takes: pictures resized and scaled, waves resampled and cut."""

from math import gcd

import numpy as np

from kdlib.data.dataset import AUDIO, Dataset
from kdlib.models.providers.onnx.plan import Plan

VERSION = 1  # raise it when the same item would become something else
TYPES = {"float": np.float32, "float16": np.float16, "double": np.float64, "uint8": np.uint8}


def prepare(data: Dataset, row: int, plan: Plan) -> np.ndarray:
    """Return an item as a network takes it, (1, ...), or (pieces, ...) for a recording that is cut into pieces.

    Raises:
        ValueError: the dataset has no such items to look at or to listen to.
    """
    if plan.modality == AUDIO:
        return prepare_wave(*wave(data, row), plan)
    return prepare_picture(picture(data, row), plan)


def picture(data: Dataset, row: int) -> np.ndarray:
    """Return an item as a picture (h, w, 3) uint8: its original where there is one, else what students get.

    Raises:
        ValueError: the items are no pictures.
    """
    look = getattr(data, "look", None)
    if look is not None:
        return look(row)
    inputs = data.inputs[row]
    if inputs.ndim != 3 or len(inputs) not in (1, 3):
        raise ValueError(f"{data.name} has no pictures to look at, its items have the shape {inputs.shape}")
    shown = inputs if inputs.dtype == np.uint8 else np.round(255 * np.clip(inputs, 0, 1)).astype(np.uint8)
    return np.repeat(shown, 3 // len(shown), axis=0).transpose(1, 2, 0)


def wave(data: Dataset, row: int) -> tuple[int, np.ndarray]:
    """Return an item's sampling rate in Hz and its wave (samples,) float32.

    Raises:
        ValueError: the items cannot be heard.
    """
    if data.listen is None:
        raise ValueError(
            f"{data.name} has spectrograms without recordings, and this teacher hears waves; import the recordings"
        )
    return data.listen(row)


def prepare_picture(pixels: np.ndarray, plan: Plan) -> np.ndarray:
    """Return a picture (h, w, 3) uint8 as a network takes it: shorter side, centre, scale, layout."""
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(pixels))
    if plan.channels == 1:
        image = image.convert("L")
    scale = plan.margin * max(plan.height / image.height, plan.width / image.width)
    size = (max(plan.width, round(image.width * scale)), max(plan.height, round(image.height * scale)))
    if size != image.size:
        image = image.resize(size, Image.Resampling.BICUBIC if plan.bicubic else Image.Resampling.BILINEAR)
    left, top = (size[0] - plan.width) // 2, (size[1] - plan.height) // 2
    values = np.asarray(image.crop((left, top, left + plan.width, top + plan.height)))
    values = values.reshape(plan.height, plan.width, plan.channels)
    if plan.type != "uint8":
        std = np.array(plan.std, np.float32)
        values = values * (1 / (255 * std)) - np.array(plan.mean, np.float32) / std
    values = values.transpose(2, 0, 1) if plan.layout == "nchw" else values
    return np.ascontiguousarray(values[None], TYPES[plan.type])


def prepare_wave(rate: int, samples: np.ndarray, plan: Plan) -> np.ndarray:
    """Return a wave as a network takes it.

    Where that wants so many samples, it is cut into as many pieces; the last is filled up with silence, or left out
    where less than half of it would be sound.
    """
    if rate != plan.rate:
        from scipy.signal import resample_poly

        common = gcd(rate, plan.rate)
        samples = resample_poly(samples, plan.rate // common, rate // common)
    samples = np.asarray(samples, TYPES[plan.type])
    count = plan.samples or max(1, len(samples))
    pieces = max(1, int(len(samples) / count + 0.5))
    values = np.zeros((pieces, count), TYPES[plan.type])
    used = samples[: pieces * count]
    values.reshape(-1)[: len(used)] = used
    return {"ns": values, "n1s": values[:, None], "ns1": values[..., None]}[plan.layout]
