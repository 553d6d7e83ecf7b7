"""From the items of a dataset to what a network takes: pictures resized and scaled, waves resampled and cut."""

import numpy as np

from kdlib.data.dataset import AUDIO, Dataset
from kdlib.models.providers.onnx.plan import Plan
from kdlib.models.providers.pictures import look_at

VERSION = 1  # raise it when the same item would become something else
TYPES = {"float": np.float32, "float16": np.float16, "double": np.float64, "uint8": np.uint8}


def prepare(data: Dataset, row: int, plan: Plan) -> np.ndarray:
    """Return an item as a network takes it, (1, ...), or (pieces, ...) for a recording that is cut into pieces.

    Raises:
        ValueError: the dataset has no such items to look at or to listen to.
    """
    if plan.modality == AUDIO:
        from kdlib.models.providers.waves import listen_at  # loads scipy, which a list of teachers does not need

        return cut_wave(listen_at(data, row, plan.rate), plan)
    return prepare_picture(look_at(data, row), plan)


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


def cut_wave(samples: np.ndarray, plan: Plan) -> np.ndarray:
    """Return a wave (samples,) as a network takes it.

    Where that wants so many samples, it is cut into as many pieces; the last is filled up with silence, or left out
    where less than half of it would be sound.
    """
    samples = np.asarray(samples, TYPES[plan.type])
    count = plan.samples or max(1, len(samples))
    pieces = max(1, int(len(samples) / count + 0.5))
    values = np.zeros((pieces, count), TYPES[plan.type])
    used = samples[: pieces * count]
    values.reshape(-1)[: len(used)] = used
    return {"ns": values, "n1s": values[:, None], "ns1": values[..., None]}[plan.layout]
