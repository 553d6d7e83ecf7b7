"""Recordings, decoded one by one: log-mel spectrograms like those of the built-in sounds, and samples to be heard."""

import io
import struct
import warnings
from collections import Counter
from collections.abc import Iterator

import numpy as np
import soundfile

from kdlib.data.intake.archives import Container, Member
from kdlib.data.intake.arrays import Writer
from kdlib.data.intake.limits import MB, IntakeError
from kdlib.data.spectrograms import HOP, MELS, log_mel

RATE = 16_000  # Hz, at most; recordings of a lower rate are not resampled
MIN_RATE, MAX_RATE = 1_000, 384_000  # Hz, of a recording that is read
MIN_S, MAX_S = 0.25, 4.0  # length of the spectrogram of a recording, s


def _check_rate(name: str, rate: int) -> None:
    if not MIN_RATE <= rate <= MAX_RATE:
        raise IntakeError(f"{name!r} has a sampling rate of {rate:,} Hz, {MIN_RATE:,} to {MAX_RATE:,} Hz can be read")


def _check_wav_rate(name: str, head: bytes) -> None:
    """Return if the header of a wav has a possible sampling rate or none: the library calls an absurd one damage."""
    place = 12
    while place + 16 <= len(head):
        chunk, size = struct.unpack_from("<4sI", head, place)
        if chunk == b"fmt ":
            _check_rate(name, struct.unpack_from("<I", head, place + 12)[0])
            return
        place += 8 + size + size % 2


def _check_wav_samples(name: str, raw: bytes) -> None:
    """Return if a wav holds the samples its header promises: libsndfile reads a truncated one as a shorter clip."""
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


def decode_sound(name: str, raw: bytes, max_seconds: float) -> tuple[np.ndarray, int]:
    """Return mono samples (n,) in [-1, 1] and the sampling rate in Hz.

    Raises:
        IntakeError: damaged, cut off, without samples or longer than `max_seconds`.
    """
    if raw[:4] == b"RIFF":
        _check_wav_samples(name, raw)
    if raw[:4] == b"OggS":
        _check_ogg(name, raw)
    try:
        with soundfile.SoundFile(io.BytesIO(raw)) as file:
            if file.frames <= 0:
                raise IntakeError(f"{name!r} is a header without samples")
            if file.frames > max_seconds * file.samplerate or file.channels > 32:
                seconds = file.frames / file.samplerate
                raise IntakeError(
                    f"{name!r} lasts {seconds:,.0f} s in {file.channels} channels, "
                    f"at most {max_seconds:.0f} s in 32 can be read"
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


def _read_header(archive: Container, member: Member) -> tuple[int, float]:
    """Return rate (Hz) and length (s) by the header of a recording; nothing is decoded."""
    with archive.open(member) as stream:
        head = stream.read(min(member.size, 1 * MB))
    if head[:4] == b"RIFF":
        _check_wav_rate(member.name, head)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            header = soundfile.info(io.BytesIO(head))
    except soundfile.SoundFileError as error:
        raise IntakeError(
            f"{member.name!r} is not a whole recording: it is damaged, cut off, or of a kind that is not known"
        ) from error
    _check_rate(member.name, header.samplerate)
    return header.samplerate, header.frames / header.samplerate


def read_sounds(archive: Container, recordings: list[Member], writer: Writer) -> int:
    """Write spectrograms as column "spectrogram", samples as `waves.raw` with `ends.npy`; return their rate in Hz."""
    rates: Counter[int] = Counter()
    lengths = []
    for member in recordings:  # so that a bad one is reported before much is written
        writer.reporter.advance()
        member_rate, length = _read_header(archive, member)
        rates[member_rate] += 1
        lengths.append(length)
    rate = min(RATE, rates.most_common(1)[0][0])
    seconds = float(np.clip(np.quantile(lengths, 0.95), MIN_S, MAX_S))
    frames = round(seconds * rate / HOP)
    ends: list[int] = []
    waves = (writer.folder / "waves.raw").open("wb")

    def spectrograms() -> Iterator[np.ndarray]:
        total = 0
        for member in recordings:
            samples, member_rate = decode_sound(member.name, archive.read(member), writer.limits.sound_s)
            if member_rate != rate:
                from scipy.signal import resample_poly  # loading it takes longer than most refusals

                samples = resample_poly(samples, rate, member_rate).astype(np.float32)
            pcm = (np.clip(samples, -1, 1) * 32767).astype("<i2")
            total += len(pcm)
            if 2 * total > writer.limits.array_mb * MB:
                raise IntakeError(
                    f"up to {member.name!r} the recordings take more than {writer.limits.array_mb} MB "
                    "(KDLIB_MAX_ARRAY_MB)"
                )
            ends.append(total)
            waves.write(pcm.tobytes())
            start = samples[: frames * HOP]
            yield np.clip(log_mel(np.pad(start, (0, frames * HOP - len(start)))[None], rate), 0, 1)

    with waves:
        writer.write_numbers("spectrogram", (len(recordings), 1, MELS, frames), spectrograms())
    np.save(writer.folder / "ends.npy", np.array(ends), allow_pickle=False)
    return rate
