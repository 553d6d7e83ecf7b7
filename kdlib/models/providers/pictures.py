"""Pictures as teachers of images take them: red, green and blue, whole, the shorter side at a given length."""

import numpy as np
from PIL import Image

from kdlib.data.dataset import Dataset


def look_at(dataset: Dataset, row: int) -> np.ndarray:
    """Return the original of an item, a picture (h, w, 3) uint8.

    Raises:
        ValueError: the dataset holds no pictures.

    Example:
        >>> look_at(kdlib.data.datasets.load("digits"), 0).shape
        (8, 8, 3)
    """
    if dataset.look is None:
        raise ValueError(f"{dataset.name} has no pictures, which this teacher looks at; import the picture files")
    return dataset.look(row)


def square(picture: np.ndarray, side: int) -> np.ndarray:
    """Return the middle (side, side, 3) uint8 of a picture (h, w, 3), resized so that its shorter side fits."""
    scale = side / min(picture.shape[:2])
    resized = resize(picture, max(side, round(picture.shape[0] * scale)), max(side, round(picture.shape[1] * scale)))
    top, left = (resized.shape[0] - side) // 2, (resized.shape[1] - side) // 2
    return resized[top : top + side, left : left + side]


def resize(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return a picture (h, w, 3) uint8 at another size, by bicubic interpolation that averages where it gets smaller.

    Example:
        >>> resize(np.zeros((8, 8, 3), np.uint8), 16, 12).shape
        (16, 12, 3)
    """
    if picture.shape[:2] == (height, width):
        return picture
    return np.asarray(Image.fromarray(np.ascontiguousarray(picture)).resize((width, height), Image.Resampling.BICUBIC))
