"""How much of a foreign file is read, and the error that refuses the rest.

Every limit has an environment variable: `KDLIB_MAX_ROWS`, `KDLIB_MAX_ARRAY_MB` and so on.
"""

import errno
import math
import os
import resource
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

MB = 1 << 20
TEXT = 200  # characters of a label, an id or a file name, at most; a column of longer ones holds texts


class IntakeError(ValueError):
    """A file that is refused; the message says what is wrong, where, and what to do instead."""


OS_ERRORS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk is full",
    errno.EFBIG: "it takes more room on the disk than is allowed (KDLIB_MAX_DATASET_MB, KDLIB_MAX_ORIGINALS_MB)",
    errno.EACCES: "it, or the data folder, may not be opened; check their permissions",
    errno.EPERM: "it, or the data folder, may not be opened; check their permissions",
    errno.EROFS: "the disk of the data folder cannot be written to",
    errno.ENOENT: "a file of it is gone",
    errno.EEXIST: "a file is in the place of the data folder (KDLIB_HOME)",
    errno.ENOTDIR: "a file is in the place of the data folder (KDLIB_HOME)",
}


def describe_os_error(error: OSError) -> str:
    """Return why the system failed to open, read or write a file, in words."""
    return OS_ERRORS.get(error.errno or 0, f"the system reports: {(error.strerror or 'an unknown error').lower()}")


@dataclass(frozen=True)
class Limits:
    """How much of a foreign file is read.

    Attributes:
        array_mb: of one decoded array, MiB.
        dataset_mb: of everything decoded together, MiB.
        originals_mb: of the original pictures, or of the samples of recordings, that are kept beside it, MiB.
        rows: items.
        width: numbers of a row of an array; pictures and spectrograms have limits of their own.
        text: characters of a text that is an item.
        members: files in a zip or a folder.
        pixels: of a picture, before it is shrunk.
        sound_s: length of a recording, s.
        rate: sampling rate at which recordings are kept, Hz; those of a higher one are resampled.
        side: of the pictures that a student gets, pixels.
        input_s: length of the spectrograms that a student gets, s.
        mels: bands of these.
        memory_mb: memory of the child process that reads, MiB.
        cpu_s: its processor time, s.
        stall_s: its time without progress, s.
        model_mb: of a network's files together, MiB.
    """

    array_mb: int = 512
    dataset_mb: int = 1024
    originals_mb: int = 4096
    rows: int = 1_000_000
    width: int = 16_384
    text: int = 20_000
    members: int = 20_000
    pixels: int = 25_000_000
    sound_s: int = 600
    rate: int = 48_000
    side: int = 256
    input_s: int = 30
    mels: int = 128
    memory_mb: int = 3072
    cpu_s: int = 240
    stall_s: int = 60
    model_mb: int = 2048

    @classmethod
    def current(cls, environment: Mapping[str, str] = os.environ) -> "Limits":
        """Return the limits as the environment sets them.

        Raises:
            ValueError: a variable does not hold a whole number from 1 up.
        """
        limits = {}
        for field in fields(cls):
            variable = f"KDLIB_MAX_{field.name.upper()}"
            text = environment.get(variable)
            if text is None:
                continue
            if not text.isdecimal() or int(text) < 1:
                raise ValueError(f"{variable} must be a whole number from 1 up, got {text!r}")
            limits[field.name] = int(text)
        return cls(**limits)

    def enlarged(self) -> "Limits":
        """Return the limits for files that are read from the command line because they are too large for a browser."""
        return replace(
            self,
            array_mb=max(self.array_mb, 16_384),
            dataset_mb=max(self.dataset_mb, 32_768),
            originals_mb=max(self.originals_mb, 32_768),
            cpu_s=3600,
            stall_s=300,
        )

    def check_shape(self, name: str, shape: tuple[int, ...], item_bytes: int = 4, is_media: bool = False) -> None:
        """Return if an array of that shape may be decoded.

        Args:
            name: shown in messages.
            shape: of the array.
            item_bytes: of one number.
            is_media: whether it holds pictures or spectrograms, which may be wider than an embedding.

        Raises:
            IntakeError: it is too long, too wide or too large.
        """
        if shape and shape[0] > self.rows:
            raise IntakeError(f"{name} has {shape[0]:,} rows, at most {self.rows:,} can be read (KDLIB_MAX_ROWS)")
        width, size = math.prod(shape[1:]), item_bytes * math.prod(shape)
        if width > self.width and not is_media:
            raise IntakeError(
                f"{name} has {width:,} numbers per row, at most {self.width:,} can be read (KDLIB_MAX_WIDTH)"
            )
        if size > self.array_mb * MB:
            smaller = "ask for smaller ones, or " if is_media else ""
            raise IntakeError(
                f"{name} would take {size / MB:,.0f} MB once decoded, at most {self.array_mb:,} MB can be read; "
                f"{smaller}on the command line, import --large reads more"
            )

    def apply_to_process(self) -> None:
        """Limit memory, processor time and the size of written files of this process. It cannot be undone."""
        memory = self.memory_mb * MB
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CPU, (self.cpu_s, self.cpu_s + 5))
        largest = (max(self.dataset_mb, self.originals_mb) + 64) * MB
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
