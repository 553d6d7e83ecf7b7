"""Pictures and recordings that a person uploads, pastes or records: read in a child process, as at an import."""

import re
import secrets
import shutil
from dataclasses import dataclass

import numpy as np

from kdlib.cache import home
from kdlib.data import datasets, intake
from kdlib.data.dataset import AUDIO, IMAGE, ITEM_NAMES
from kdlib.data.intake import InputFormat, IntakeError, describe_os_error
from kdlib.data.intake.kinds import HEAD_BYTES, IMAGES, SOUNDS, sniff
from kdlib.data.intake.limits import MB
from kdlib.data.intake.originals import load_wave

LARGEST_MB = 30  # of an upload
UNSAFE = re.compile(r"[^\w.-]+")


@dataclass(frozen=True)
class ReadPicture:
    """A picture that was read.

    Attributes:
        pixels: (c, h, w) uint8 for an input of the dataset.
        original: (h, w, 3) uint8.
    """

    pixels: np.ndarray
    original: np.ndarray


@dataclass(frozen=True)
class ReadSound:
    """A recording that was read.

    Attributes:
        rate: Hz.
        wave: (samples,) float32 in [-1, 1].
    """

    rate: int
    wave: np.ndarray


def read_upload(dataset: str, name: str, content: bytes) -> ReadPicture | ReadSound:
    """Return what one foreign file holds, read in a child process with the limits of an import.

    Args:
        dataset: which the item is for.
        name: of the file, shown in messages.
        content: of the file.

    Raises:
        ValueError: it is too large, no picture or recording, damaged, or not what the dataset holds.

    Example:
        >>> read_upload("digits", "seven.png", content).pixels.shape
        (1, 8, 8)
    """
    data, kind = datasets.load(dataset), sniff(content[:HEAD_BYTES])
    if len(content) > LARGEST_MB * MB:
        size = f"{len(content) / MB:.0f} MB"
        raise ValueError(f"{name} has {size}, at most {LARGEST_MB} MB can be tried; make it smaller")
    if kind not in SOUNDS | IMAGES:
        raise ValueError(
            f"{name} is neither a picture (png, jpeg, bmp, webp) nor a recording (wav, flac, ogg, mp3); save it as one"
        )
    if data.modality != (AUDIO if kind in SOUNDS else IMAGE):
        what = "recording" if kind in SOUNDS else "picture"
        raise ValueError(f"{name} is a {what}, but {dataset} holds {ITEM_NAMES[data.modality]}; choose another file")
    folder = home() / "staging" / f"{secrets.token_hex(8)}.try"
    try:
        (folder / "given").mkdir(parents=True)
        (folder / "read").mkdir()
        (folder / "given" / _member_name(name)).write_bytes(content)
        if kind in SOUNDS:
            contents = intake.read(folder / "given", folder / "read", name)
            return ReadSound(*load_wave(folder / "read", 0, contents.rate))
        contents = intake.read(folder / "given", folder / "read", name, form=InputFormat(exact=data.inputs.shape[1:]))
        files = {column.name: folder / "read" / column.file for column in contents.columns}
        pixels, original = (np.load(files[key], allow_pickle=False)[0] for key in ("picture", "original"))
        return ReadPicture(pixels, original)
    except OSError as error:
        raise IntakeError(f"{name} cannot be taken in: {describe_os_error(error)}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _member_name(name: str) -> str:
    """Return a harmless name with the same ending."""
    return UNSAFE.sub("_", name)[-60:].lstrip(".") or "item"


def find_onset(sound: ReadSound) -> float:
    """Return after how many seconds a recording is first as loud as a tenth of its loudest, 0.05 s earlier.

    Example:
        >>> find_onset(ReadSound(1000, np.repeat([0.0, 1.0], 500).astype(np.float32)))
        0.45
    """
    window = max(1, sound.rate // 50)
    count = len(sound.wave) // window
    if not count:
        return 0.0
    loudness = np.sqrt(np.square(sound.wave[: count * window].reshape(count, window)).mean(1))
    first = int(np.argmax(loudness >= 0.1 * loudness.max())) if loudness.max() > 0 else 0
    return max(0.0, round(first * window / sound.rate - 0.05, 2))
