"""Recordings and pictures: decoded one by one and brought to one shape.

A recording becomes a log-mel spectrogram as those of the built-in sounds, and its samples are kept so that it can be heard. A picture
becomes (1 or 3, height, width) in [0, 1].
"""

import io
import struct
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import PurePosixPath

import numpy as np
import soundfile
from PIL import Image, UnidentifiedImageError
from scipy.signal import resample_poly

from kdlib.intake.archives import Member, Source
from kdlib.intake.arrays import Writer
from kdlib.intake.kinds import HEAD, IMAGES, SOUNDS, identify
from kdlib.intake.limits import MB, IntakeError
from kdlib.spectrograms import HOP, MELS, log_mel

RATE = 16_000  # Hz, at most; a set recorded at less keeps its rate
LONGEST_S, SHORTEST_S = 4.0, 0.25  # of what a student hears of a recording, s
SIDE = 64  # pixels of a picture's side, at most


def members(source: Source) -> tuple[dict[str, list[Member]], list[str]]:
    """Return "sounds", "images" and "tables" -> members, and the names of what is none of these.

    Raises:
        IntakeError: an entry is empty, an archive, a pickle, or not what its name says.
    """
    found: dict[str, list[Member]] = {"sounds": [], "images": [], "tables": []}
    others = []
    for member in source.members:
        with source.open(member) as stream:
            kind = identify(member.name, stream.read(HEAD))
        if kind in ("zip", "npy") or kind.endswith("archive"):
            raise IntakeError(f"the entry {member.name!r} is a {kind} inside; unpack it and import it by itself")
        ending = PurePosixPath(member.name).suffix.lower()
        if kind in SOUNDS or kind in IMAGES:
            found["sounds" if kind in SOUNDS else "images"].append(member)
        elif ending in (".csv", ".tsv", ".parquet"):
            found["tables"].append(member)
        else:
            others.append(member.name)
    if found["sounds"] and found["images"]:
        told = f"{len(found['sounds'])} recordings and {len(found['images'])} pictures"
        raise IntakeError(f"there are {told} ({found['images'][0].name!r}); import one kind at a time")
    return found, others


# --- recordings -------------------------------------------------------------------------------------------------------------------------


def _check_wav(name: str, raw: bytes) -> None:
    """Return if a wav holds the samples that its header promises: libsndfile reads a truncated one as a shorter clip."""
    place = 12
    while place + 8 <= len(raw):
        chunk, size = struct.unpack_from("<4sI", raw, place)
        if chunk == b"data":
            if size == 0 or len(raw) == place + 8:
                raise IntakeError(f"{name!r} is a header without samples")
            if size > len(raw) - place - 8:
                raise IntakeError(f"{name!r} is cut off: {size:,} bytes of samples are promised, {len(raw) - place - 8:,} are there")
            return
        place += 8 + size + size % 2
    raise IntakeError(f"{name!r} is a wav without samples: damaged or cut off")


def _check_ogg(name: str, raw: bytes) -> None:
    last = raw.rfind(b"OggS")
    if last < 0 or len(raw) < last + 6 or not raw[last + 5] & 4:
        raise IntakeError(f"{name!r} is cut off: its last page is missing")


def decode_sound(name: str, raw: bytes, longest_s: float) -> tuple[np.ndarray, int]:
    """Return mono samples (n,) in [-1, 1] and the sampling rate in Hz.

    Raises:
        IntakeError: damaged, cut off, without samples or longer than `longest_s`.
    """
    if raw[:4] == b"RIFF":
        _check_wav(name, raw)
    if raw[:4] == b"OggS":
        _check_ogg(name, raw)
    try:
        with soundfile.SoundFile(io.BytesIO(raw)) as file:
            if file.frames <= 0:
                raise IntakeError(f"{name!r} is a header without samples")
            if file.frames > longest_s * file.samplerate or file.channels > 32:
                seconds = file.frames / file.samplerate
                raise IntakeError(
                    f"{name!r} lasts {seconds:,.0f} s in {file.channels} channels, at most {longest_s:.0f} s in 32 can be read"
                )
            samples, rate, promised = file.read(dtype="float32", always_2d=True), file.samplerate, file.frames
    except (soundfile.SoundFileError, OSError, ValueError) as error:
        if isinstance(error, IntakeError):
            raise
        raise IntakeError(f"{name!r} is damaged or cut off: {error}") from error
    if len(samples) < promised:
        raise IntakeError(f"{name!r} is cut off: {promised:,} samples are promised, {len(samples):,} are there")
    mono = samples.mean(axis=1)
    if not np.isfinite(mono).all():
        raise IntakeError(f"{name!r} holds samples that are not finite")
    return mono, rate


def read_sounds(source: Source, recordings: list[Member], writer: Writer) -> int:
    """Write spectrograms as column "spectrogram", and samples as `waves.npy` with `ends.npy`; return their rate in Hz."""
    rates: Counter[int] = Counter()
    lengths = []
    for member in recordings:  # a first look at every one, so that a bad one is found before much is written
        try:
            with source.open(member) as stream, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                about = soundfile.info(io.BytesIO(stream.read(min(member.size, 1 * MB))))
        except soundfile.SoundFileError as error:
            raise IntakeError(f"{member.name!r} is not a whole recording: {error}") from error
        rates[about.samplerate] += 1
        lengths.append(about.frames / about.samplerate)
    rate = min(RATE, rates.most_common(1)[0][0])
    seconds = float(np.clip(np.quantile(lengths, 0.95), SHORTEST_S, LONGEST_S))
    frames = round(seconds * rate / HOP)
    ends: list[int] = []
    waves = (writer.folder / "waves.raw").open("wb")

    def spectrograms() -> Iterator[np.ndarray]:
        total = 0
        for member in recordings:
            samples, own = decode_sound(member.name, source.read(member), writer.limits.sound_s)
            if own != rate:
                samples = resample_poly(samples, rate, own).astype(np.float32)
            whole = (np.clip(samples, -1, 1) * 32767).astype("<i2")
            total += len(whole)
            if 2 * total > writer.limits.array_mb * MB:
                raise IntakeError(f"up to {member.name!r} the recordings take more than {writer.limits.array_mb} MB (KDLIB_MAX_ARRAY_MB)")
            ends.append(total)
            waves.write(whole.tobytes())
            heard = samples[: frames * HOP]
            yield np.clip(log_mel(np.pad(heard, (0, frames * HOP - len(heard)))[None], rate), 0, 1)

    with waves:
        writer.numbers("spectrogram", (len(recordings), 1, MELS, frames), spectrograms())
    np.save(writer.folder / "ends.npy", np.array(ends), allow_pickle=False)
    return rate


# --- pictures ---------------------------------------------------------------------------------------------------------------------------


def open_picture(name: str, raw: bytes, pixels: int) -> Image.Image:
    """Return a picture whose size is known and not yet decoded.

    Raises:
        IntakeError: damaged, or more than `pixels`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            picture = Image.open(io.BytesIO(raw), formats=["PNG", "JPEG", "BMP", "WEBP"])
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise IntakeError(f"{name!r} is not a whole picture") from error
    if picture.width * picture.height > pixels:
        told = f"{picture.width:,} x {picture.height:,} pixels"
        raise IntakeError(f"{name!r} has {told}, at most {pixels / 1e6:g} million can be read (KDLIB_MAX_PIXELS)")
    return picture


def read_images(source: Source, pictures: list[Member], writer: Writer) -> None:
    """Write pictures, all brought to one size, as column "picture"; grey ones keep one channel."""
    sizes, grey = [], True
    for member in pictures:
        picture = open_picture(member.name, source.read(member), writer.limits.pixels)
        sizes.append((picture.height, picture.width))
        grey = grey and picture.mode in ("1", "L", "I", "I;16", "LA")
    common, count = Counter(sizes).most_common(1)[0]
    if count == len(sizes) and max(common) <= SIDE:
        height, width = common
    else:
        height = width = int(min(SIDE, max(8, np.median([max(size) for size in sizes]) // 8 * 8)))

    def decoded() -> Iterator[np.ndarray]:
        for member in pictures:
            picture = open_picture(member.name, source.read(member), writer.limits.pixels)
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    values = _values(picture, grey, (width, height))
            except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
                raise IntakeError(f"{member.name!r} is damaged or cut off: {error}") from error
            yield values[None]

    writer.numbers("picture", (len(pictures), 1 if grey else 3, height, width), decoded())


def _values(picture: Image.Image, grey: bool, size: tuple[int, int]) -> np.ndarray:
    deep = picture.mode in ("I", "I;16")
    shown = picture.convert("F") if deep else picture.convert("L" if grey else "RGB")
    if shown.size != size:
        shown = shown.resize(size, Image.Resampling.BILINEAR)
    values = np.asarray(shown, dtype=np.float32) / (65535 if deep else 255)
    return values[None] if values.ndim == 2 else values.transpose(2, 0, 1)
