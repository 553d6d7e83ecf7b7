"""What an exported student takes: pixels, the samples of a sound, the n-grams of a text, or numbers."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from kdlib.data.dataset import AUDIO, IMAGE, TEXT, Dataset, to_float
from kdlib.data.datasets import DATASETS
from kdlib.data.spectrograms import hop

PIXELS, WAVE, BAG, NUMBERS = "pixels", "wave", "text", "numbers"
KINDS = (PIXELS, WAVE, BAG, NUMBERS)
CHECKED_ROWS = 100  # of images, whose range says whether they are pixels


@dataclass(frozen=True)
class InputSpec:
    """The input of an exported student.

    Attributes:
        kind: "pixels" (bytes), "wave" (samples in [-1, 1]), "text" (a hashed bag of n-grams) or "numbers" (as the
            student got them).
        student_shape: of what the student sees: for a wave (1, mels, frames), otherwise that of the input.
        rate: of a wave, Hz; otherwise 0.
        clipped: of a wave: whether its spectrogram is clipped to [0, 1].

    Example:
        >>> InputSpec("wave", (1, 32, 32), rate=8000).shape
        (6144,)
    """

    kind: str
    student_shape: tuple[int, ...]
    rate: int = 0
    clipped: bool = False

    @classmethod
    def of(cls, data: Dataset) -> "InputSpec":
        """Return the input of students of a dataset.

        Example:
            >>> InputSpec.of(datasets.load("digits")).kind
            'pixels'
        """
        shape = tuple(data.inputs.shape[1:])
        if data.modality == AUDIO and data.rate and len(shape) == 3:
            # Only what was imported is clipped: see `intake.recordings` and `sound_sets`.
            return cls(WAVE, shape, data.rate, clipped=data.name not in DATASETS)
        if data.modality == TEXT:
            return cls(BAG, shape)
        pictures = data.modality == IMAGE and len(shape) == 3 and shape[0] in (1, 3)
        return cls(PIXELS if pictures and _are_pixels(data.inputs) else NUMBERS, shape)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one input."""
        return (self.student_shape[2] * hop(self.rate),) if self.kind == WAVE else self.student_shape

    @property
    def name(self) -> str:
        """The name of the graph's input."""
        return {PIXELS: "pixels", WAVE: "wave"}.get(self.kind, "inputs")

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        record = asdict(self) | {"student_shape": list(self.student_shape), "shape": list(self.shape)}
        return record | {"name": self.name, "dtype": "uint8" if self.kind == PIXELS else "float32"}

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> "InputSpec":
        """Return the input that `to_dict` wrote.

        Raises:
            ValueError: it is none.
        """
        kind, shape, rate = record.get("kind"), record.get("student_shape"), record.get("rate", 0)
        whole = isinstance(shape, list) and 1 <= len(shape) <= 4 and all(type(n) is int and n > 0 for n in shape)
        if kind not in KINDS or not whole or type(rate) is not int or rate < 0 or (kind == WAVE) != bool(rate):
            raise ValueError(f"expected the input of a student: a kind of {', '.join(KINDS)} and a shape, got {record}")
        return cls(str(kind), tuple(shape or ()), rate, record.get("clipped") is True)


def _are_pixels(inputs: np.ndarray) -> bool:
    if inputs.dtype == np.uint8:
        return True
    values = to_float(inputs[:CHECKED_ROWS])
    return bool(values.min() >= 0 and values.max() <= 1)


def graph_inputs(data: Dataset, form: InputSpec, rows: np.ndarray) -> np.ndarray:
    """Return what a graph takes for some rows of a dataset, (n, *form.shape).

    Waves are those of which the spectrograms were made.

    Example:
        >>> graph_inputs(data, InputSpec.of(data), data.splits["test"][:8])
    """
    if form.kind == WAVE:
        return np.stack([_wave(data, form, int(row)) for row in rows])
    inputs = data.inputs[rows]
    if form.kind == PIXELS and inputs.dtype != np.uint8:
        return np.round(255 * to_float(inputs)).astype(np.uint8)
    return inputs if form.kind == PIXELS else to_float(inputs)


def _wave(data: Dataset, form: InputSpec, row: int) -> np.ndarray:
    from kdlib.export.shipped.reading import fit_wave

    if data.listen is None:
        raise ValueError(f"{data.name} has no recordings any more, only spectrograms")
    rate, samples = data.listen(row)
    return fit_wave(samples, rate, form.rate, form.shape[0])
