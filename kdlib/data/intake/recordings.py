"""Recordings, decoded one by one: log-mel spectrograms like those of the built-in sounds, and whole waves."""

import io
import struct
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import closing

import numpy as np
import soundfile

from kdlib.data.intake.archives import Container, Member
from kdlib.data.intake.arrays import Writer
from kdlib.data.intake.formats import MIN_RATE, MIN_S, InputFormat
from kdlib.data.intake.limits import MB, IntakeError
from kdlib.data.intake.originals import WAVE_ENDS, WAVE_RATES, WAVES, Originals, to_samples
from kdlib.data.spectrograms import hop, resample, spectrogram_of

MAX_RATE = 384_000  # Hz, of a recording that is read
HEAD = 64 * MB  # bytes from which the length of a recording is read


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
        head = stream.read(min(member.size, HEAD))
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


def read_sounds(
    archive: Container, recordings: list[Member], writer: Writer, form: InputFormat
) -> tuple[list[str], int, int]:
    """Write spectrograms as column "spectrogram", and whole waves as `intake.originals` says.

    The spectrograms show one rate, and begin with the recordings.

    Args:
        archive: that holds them.
        recordings: its members.
        writer: receives them.
        form: how long and how fine the spectrograms are.

    Returns:
        files that hold the waves, the most frequent rate of these, the rate that the spectrograms show, both in Hz.

    Raises:
        IntakeError: one is damaged, or they are too large.
    """
    rates: Counter[int] = Counter()
    lengths = []
    for member in recordings:  # so that a bad one is reported before much is written
        writer.reporter.advance()
        member_rate, length = _read_header(archive, member)
        rates[min(member_rate, writer.limits.rate)] += 1
        lengths.append(length)
    kept_rate = rates.most_common(1)[0][0]
    rate = min(form.rate, kept_rate)
    seconds = float(np.clip(np.quantile(lengths, 0.95), MIN_S, form.seconds))
    frames = round(seconds * rate / hop(rate))
    waves, wave_rates = Originals(writer.folder / WAVES, writer.limits), []

    def spectrograms() -> Iterator[np.ndarray]:
        for member in recordings:
            wave, wave_rate = decode_sound(member.name, archive.read(member), writer.limits.sound_s)
            if wave_rate > writer.limits.rate:
                wave, wave_rate = resample(wave, wave_rate, writer.limits.rate), writer.limits.rate
            waves.add(member.name, to_samples(wave).tobytes())
            wave_rates.append(wave_rate)
            yield spectrogram_of(wave, wave_rate, rate, form.mels, frames)

    shape = (len(recordings), 1, form.mels, frames)
    with closing(waves):
        writer.write_numbers("spectrogram", shape, spectrograms(), "<f2", is_media=True)
    np.save(writer.folder / WAVE_ENDS, np.array(waves.ends) // 2, allow_pickle=False)
    np.save(writer.folder / WAVE_RATES, np.array(wave_rates, np.int32), allow_pickle=False)
    return [WAVES, WAVE_ENDS, WAVE_RATES], kept_rate, rate
