"""Pictures: decoded one by one and brought to one size, (1 or 3, height, width) in [0, 1]."""

import io
import struct
import warnings
from collections import Counter
from collections.abc import Iterator

import numpy as np
from PIL import Image, UnidentifiedImageError

from kdlib.data.intake.archives import Archive, Member
from kdlib.data.intake.arrays import Writer
from kdlib.data.intake.limits import IntakeError

UNREADABLE = (
    UnidentifiedImageError,
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    OverflowError,
    IndexError,
    KeyError,
    struct.error,
)
MAX_SIDE = 64  # pixels of a picture's side, at most


def open_picture(name: str, raw: bytes, pixels: int) -> Image.Image:
    """Return a picture that is not yet decoded.

    Args:
        name: shown in messages.
        raw: the whole file.
        pixels: at most.

    Raises:
        IntakeError: damaged, or more than `pixels`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            picture = Image.open(io.BytesIO(raw), formats=["PNG", "JPEG", "BMP", "WEBP"])
    except Image.DecompressionBombError as error:  # so large that the library stops at the header
        library_limit = 2 * (Image.MAX_IMAGE_PIXELS or 0) / 1e6
        raise IntakeError(
            f"{name!r} has more than {library_limit:.0f} million pixels, "
            f"at most {pixels / 1e6:g} million can be read (KDLIB_MAX_PIXELS)"
        ) from error
    except UNREADABLE as error:
        raise IntakeError(f"{name!r} is not a whole picture") from error
    if picture.width * picture.height > pixels:
        raise IntakeError(
            f"{name!r} has {picture.width:,} x {picture.height:,} pixels, "
            f"at most {pixels / 1e6:g} million can be read (KDLIB_MAX_PIXELS)"
        )
    return picture


def read_images(archive: Archive, pictures: list[Member], writer: Writer) -> None:
    """Write pictures, all brought to one size, as column "picture"; grey ones keep one channel."""
    sizes, grey = [], True
    for member in pictures:
        writer.reporter.advance()
        picture = open_picture(member.name, archive.read(member), writer.limits.pixels)
        sizes.append((picture.height, picture.width))
        grey = grey and picture.mode in ("1", "L", "I", "I;16", "LA")
    common, count = Counter(sizes).most_common(1)[0]
    if count == len(sizes) and max(common) <= MAX_SIDE:
        height, width = common
    else:
        height = width = int(min(MAX_SIDE, max(8, np.median([max(size) for size in sizes]) // 8 * 8)))

    def decode() -> Iterator[np.ndarray]:
        for member in pictures:
            picture = open_picture(member.name, archive.read(member), writer.limits.pixels)
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    values = _decode(picture, grey, (width, height))
            except UNREADABLE as error:
                raise IntakeError(f"{member.name!r} is damaged or cut off") from error
            yield values[None]

    writer.write_numbers("picture", (len(pictures), 1 if grey else 3, height, width), decode())


def _decode(picture: Image.Image, grey: bool, size: tuple[int, int]) -> np.ndarray:
    """Return a picture in [0, 1], (1 or 3, height, width), resized to (width, height)."""
    deep = picture.mode in ("I", "I;16")
    converted = picture.convert("F") if deep else picture.convert("L" if grey else "RGB")
    if converted.size != size:
        converted = converted.resize(size, Image.Resampling.BILINEAR)
    values = np.asarray(converted, dtype=np.float32) / (65535 if deep else 255)
    return values[None] if values.ndim == 2 else values.transpose(2, 0, 1)
