"""Pictures: decoded one by one and brought to one size, (1 or 3, height, width) of bytes; the files are kept."""

import io
import struct
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import closing

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from kdlib.data.intake.archives import Archive, Member
from kdlib.data.intake.arrays import Writer
from kdlib.data.intake.formats import MIN_SIDE, InputFormat
from kdlib.data.intake.limits import IntakeError
from kdlib.data.intake.originals import PICTURE_ENDS, PICTURES, Originals

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
DEEP = ("I", "I;16", "I;16B", "I;16L", "I;16N")  # modes of more than 8 bits
GREY = ("1", "L", "LA", *DEEP)
TURNS = {  # what the orientation that a camera wrote down asks for
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SIDEWAYS = (5, 6, 7, 8)


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


def read_images(archive: Archive, pictures: list[Member], writer: Writer, form: InputFormat) -> list[str]:
    """Write pictures, all brought to one size, as column "picture"; return the files that hold the original ones.

    Grey ones keep one channel.

    Args:
        archive: that holds them.
        pictures: its members.
        writer: receives them.
        form: how large they may be; larger ones, and those of several sizes, become squares.

    Raises:
        IntakeError: one is damaged, or they are too large.
    """
    sizes, grey = [], True
    for member in pictures:  # so that a bad one is reported before much is written
        writer.reporter.advance()
        picture = open_picture(member.name, archive.read(member), writer.limits.pixels)
        sizes.append((picture.width, picture.height) if _orientation(picture) in SIDEWAYS else picture.size[::-1])
        grey = grey and picture.mode in GREY
    common, count = Counter(sizes).most_common(1)[0]
    if count == len(sizes) and max(common) <= form.size:
        height, width = common
    else:
        height = width = int(min(form.size, max(MIN_SIDE, np.median([max(size) for size in sizes]) // 8 * 8)))
    originals = Originals(writer.folder / PICTURES, writer.limits)

    def decode() -> Iterator[np.ndarray]:
        for member in pictures:
            raw = archive.read(member)
            picture = open_picture(member.name, raw, writer.limits.pixels)
            values = _decode(member.name, picture, "L" if grey else "RGB", (width, height))
            originals.add(member.name, raw)
            yield values[None]

    shape = (len(pictures), 1 if grey else 3, height, width)
    with closing(originals):
        writer.write_numbers("picture", shape, decode(), "|u1", is_media=True)
    np.save(writer.folder / PICTURE_ENDS, np.array(originals.ends), allow_pickle=False)
    return [PICTURES, PICTURE_ENDS]


def decode_colours(name: str, raw: bytes, pixels: int) -> np.ndarray:
    """Return a picture as (h, w, 3) uint8, red first and upright. Arguments and errors as in `open_picture`."""
    return _decode(name, open_picture(name, raw, pixels), "RGB").transpose(1, 2, 0)


def _decode(name: str, picture: Image.Image, mode: str, size: tuple[int, int] | None = None) -> np.ndarray:
    """Return a picture as (1 or 3, height, width) uint8, turned as the camera that took it was held.

    Args:
        name: shown in messages.
        picture: not yet decoded.
        mode: "L" or "RGB".
        size: (width, height) to which it is resized once it is upright; as it is without one.

    Raises:
        IntakeError: it is damaged or cut off.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            orientation = _orientation(picture)
            if size is not None:
                # A JPEG can be decoded at a half, a quarter or an eighth of its size, several times as fast.
                width, height = size[::-1] if orientation in SIDEWAYS else size
                picture.draft(None, (2 * width, 2 * height))
            if picture.mode in DEEP:
                picture = Image.fromarray((np.asarray(picture.convert("I")) >> 8).clip(0, 255).astype(np.uint8))
            picture = picture.convert(mode)
            if orientation in TURNS:
                picture = picture.transpose(TURNS[orientation])
            if size is not None and picture.size != size:
                picture = picture.resize(size, Image.Resampling.BILINEAR)
    except UNREADABLE as error:
        raise IntakeError(f"{name!r} is damaged or cut off") from error
    values = np.asarray(picture)
    return values[None] if values.ndim == 2 else values.transpose(2, 0, 1)


def _orientation(picture: Image.Image) -> int:
    """Return the number in the EXIF data that says how a picture is to be turned, 1 where nothing says it."""
    if picture.format == "PNG" and "exif" not in picture.info:
        return 1  # finding out whether it comes after the pixels would decode them
    try:
        return picture.getexif().get(ExifTags.Base.Orientation, 1)
    except UNREADABLE:  # damaged notes of a camera make no picture unreadable
        return 1
