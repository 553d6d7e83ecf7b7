"""Recordings: decoded one by one, as log-mel spectrograms like those of the built-in sounds, and as samples that can be heard."""

import io
import struct
import warnings
from collections import Counter
from collections.abc import Iterator

import numpy as np
import soundfile

from kdlib.data.intake.archives import Member, Source
from kdlib.data.intake.arrays import Writer
from kdlib.data.intake.limits import MB, IntakeError
from kdlib.data.spectrograms import HOP, MELS, log_mel

RATE = 16_000  # Hz, at most; a set recorded at less keeps its rate
SLOWEST, FASTEST = 1_000, 384_000  # Hz, of a recording that is read
LONGEST_S, SHORTEST_S = 4.0, 0.25  # of what a student hears of a recording, s


def _check_rate(name: str, rate: int) -> None:
    if not SLOWEST <= rate <= FASTEST:
        raise IntakeError(f"{name!r} has a sampling rate of {rate:,} Hz, {SLOWEST:,} to {FASTEST:,} Hz can be read")


def _check_wav_rate(name: str, head: bytes) -> None:
    """Return if the header of a wav promises a rate that can be, or none: the library calls an absurd one damage."""
    place = 12
    while place + 16 <= len(head):
        chunk, size = struct.unpack_from("<4sI", head, place)
        if chunk == b"fmt ":
            _check_rate(name, struct.unpack_from("<I", head, place + 12)[0])
            return
        place += 8 + size + size % 2


def _check_wav(name: str, raw: bytes) -> None:
    """Return if a wav holds the samples that its header promises: libsndfile reads a truncated one as a shorter clip."""
    place = 12
    while place + 8 <= len(raw):
        chunk, size = struct.unpack_from("<4sI", raw, place)
        if chunk == b"data":
            if size == 0 or len(raw) == place + 8:
                raise IntakeError(f"{name!r} is a header without samples")
            if size > len(raw) - place - 8:
                raise IntakeError(
                    f"{name!r} is cut off: {size:,} bytes of samples are promised, {len(raw) - place - 8:,} are there"
                )
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
        raise IntakeError(f"{name!r} is damaged or cut off") from error
    if len(samples) < promised:
        raise IntakeError(f"{name!r} is cut off: {promised:,} samples are promised, {len(samples):,} are there")
    mono = samples.mean(axis=1)
    if not np.isfinite(mono).all():
        raise IntakeError(f"{name!r} holds samples that are not finite")
    return mono, rate


def _header(source: Source, member: Member) -> tuple[int, float]:
    """Return rate (Hz) and length (s) as the header of a recording says them; nothing is decoded."""
    with source.open(member) as stream:
        head = stream.read(min(member.size, 1 * MB))
    if head[:4] == b"RIFF":
        _check_wav_rate(member.name, head)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            about = soundfile.info(io.BytesIO(head))
    except soundfile.SoundFileError as error:
        raise IntakeError(
            f"{member.name!r} is not a whole recording: it is damaged, cut off, or of a kind that is not known"
        ) from error
    _check_rate(member.name, about.samplerate)
    return about.samplerate, about.frames / about.samplerate


def read_sounds(source: Source, recordings: list[Member], writer: Writer) -> int:
    """Write spectrograms as column "spectrogram", and samples as `waves.npy` with `ends.npy`; return their rate in Hz."""
    rates: Counter[int] = Counter()
    lengths = []
    for member in recordings:  # a first look at every one, so that a bad one is found before much is written
        writer.reporter.advance()
        own, length = _header(source, member)
        rates[own] += 1
        lengths.append(length)
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
                from scipy.signal import resample_poly  # loads for longer than most refusals take

                samples = resample_poly(samples, rate, own).astype(np.float32)
            whole = (np.clip(samples, -1, 1) * 32767).astype("<i2")
            total += len(whole)
            if 2 * total > writer.limits.array_mb * MB:
                raise IntakeError(
                    f"up to {member.name!r} the recordings take more than {writer.limits.array_mb} MB (KDLIB_MAX_ARRAY_MB)"
                )
            ends.append(total)
            waves.write(whole.tobytes())
            heard = samples[: frames * HOP]
            yield np.clip(log_mel(np.pad(heard, (0, frames * HOP - len(heard)))[None], rate), 0, 1)

    with waves:
        writer.write_numbers("spectrogram", (len(recordings), 1, MELS, frames), spectrograms())
    np.save(writer.folder / "ends.npy", np.array(ends), allow_pickle=False)
    return rate
