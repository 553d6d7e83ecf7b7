"""Originals: what pictures, recordings and texts were before a student's inputs were made of them.

All originals of a kind lie in one file, and another says where each ends: pictures as the files they came in, in
`PICTURES`, recordings as samples of 16 bits at their own rates, in `WAVES`, texts as UTF-8, in `TEXTS`.
"""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np

from kdlib.data.intake.limits import MB, IntakeError, Limits

PICTURES, PICTURE_ENDS = "originals.raw", "original-ends.npy"  # bytes; (n,) int64 where each ends
WAVES, WAVE_ENDS, WAVE_RATES = "waves.raw", "ends.npy", "rates.npy"  # int16; (n,) int64 in samples; (n,) int32 Hz
TEXTS, TEXT_ENDS = "texts.raw", "text-ends.npy"  # UTF-8; (n,) int64 where each ends, in bytes
FULL_SCALE = 32_768  # of samples of 16 bits


class Originals:
    """Writes originals one after another, and adds up their size.

    Args:
        path: of the file that receives them; to be closed with `close`.
        limits: what may be written.

    Attributes:
        ends: (so far) bytes up to the end of each.
    """

    def __init__(self, path: Path, limits: Limits) -> None:
        self.stream, self.limits = path.open("wb"), limits
        self.ends: list[int] = []

    def add(self, name: str, content: bytes) -> None:
        """Write one. `name` is shown in messages.

        Raises:
            IntakeError: together they are too large.
        """
        end = (self.ends[-1] if self.ends else 0) + len(content)
        if end > self.limits.originals_mb * MB:
            raise IntakeError(
                f"up to {name!r} the originals take more than {self.limits.originals_mb:,} MB "
                "(KDLIB_MAX_ORIGINALS_MB); on the command line, import --large reads more"
            )
        self.stream.write(content)
        self.ends.append(end)

    def close(self) -> None:
        """Write what is buffered."""
        self.stream.close()


def to_samples(wave: np.ndarray) -> np.ndarray:
    """Return a wave in [-1, 1] as samples of 16 bits; those of a file of 16 bits come out as they were."""
    return np.clip(np.round(wave * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1).astype("<i2")


def load_wave(folder: Path, row: int, rate: int) -> tuple[int, np.ndarray]:
    """Return the sampling rate of a recording in Hz and its wave (samples,) float32 in [-1, 1].

    Args:
        folder: that holds the waves.
        row: of the recording.
        rate: of all recordings where no file says each one's, Hz.
    """
    start, end = _bounds(folder / WAVE_ENDS, row)
    wave = np.fromfile(folder / WAVES, dtype="<i2", count=end - start, offset=2 * start)
    if (folder / WAVE_RATES).exists():
        rate = int(np.load(folder / WAVE_RATES, mmap_mode="r", allow_pickle=False)[row])
    return rate, wave.astype(np.float32) / FULL_SCALE


def load_picture(folder: Path, row: int) -> np.ndarray:
    """Return an original picture, (h, w, 3) uint8, red first.

    Raises:
        IntakeError: it has more pixels than the limits of this process allow, or its file was damaged since.
    """
    from kdlib.data.intake.pictures import decode_colours  # loads the decoder only where it is needed

    start, end = _bounds(folder / PICTURE_ENDS, row)
    content = np.fromfile(folder / PICTURES, dtype=np.uint8, count=end - start, offset=start).tobytes()
    return decode_colours(f"picture {row}", content, Limits.current().pixels)


def load_text(folder: Path, row: int) -> str:
    """Return an original text."""
    ends = _open_ends(folder / TEXT_ENDS)
    row = range(len(ends))[row]
    start = int(ends[row - 1]) if row else 0
    with (folder / TEXTS).open("rb") as stream:
        stream.seek(start)
        return stream.read(int(ends[row]) - start).decode()


@lru_cache(maxsize=8)
def _open_ends(path: Path) -> np.ndarray:
    """Return where each text ends; opening the file takes ten times as long as reading a text."""
    return np.load(path, mmap_mode="r", allow_pickle=False)


def read_texts(texts: Path, ends: Path) -> Iterator[str]:
    """Yield all texts of a file, given where each ends."""
    start = 0
    with texts.open("rb") as stream:
        for end in np.load(ends, mmap_mode="r", allow_pickle=False).tolist():
            yield stream.read(end - start).decode()
            start = end


def _bounds(path: Path, row: int) -> tuple[int, int]:
    """Return where the original of a row begins and ends."""
    ends = np.load(path, mmap_mode="r", allow_pickle=False)
    row = range(len(ends))[row]
    return (int(ends[row - 1]) if row else 0), int(ends[row])
