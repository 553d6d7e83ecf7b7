"""Spectrograms: a sound as a picture, the power in each mel band over time, and out again as a file to be played."""

import io
import wave
from functools import lru_cache

import numpy as np
from scipy import fft

MELS = 32  # mel bands, by default
HOP, WINDOW = 192, 512  # samples per frame and per spectrum, up to 16 kHz
FINE_RATE = 16_000  # Hz; above it frames come every 10 ms, and a spectrum takes 32 ms
LOWEST = 50  # Hz, where the first band begins
MARGIN_S = 0.05  # s that are resampled beyond what is used, so that the end of a part sounds as in the whole
QUIETEST = -80.0  # dB re full scale: 0 in a spectrogram; full scale is 1


def hop(rate: int) -> int:
    """Return the samples from one frame to the next.

    Example:
        seconds = frames * spectrograms.hop(rate) / rate
    """
    return HOP if rate <= FINE_RATE else rate // 100


def window_samples(rate: int) -> int:
    """Return the samples of a spectrum."""
    return max(WINDOW, round(0.032 * rate))


def _mel(hertz: float) -> float:
    return 2595 * np.log10(1 + hertz / 700)


def _edges(rate: int, mels: int) -> np.ndarray:
    """Return where the mel bands begin, peak and end, in Hz, (mels + 2,)."""
    return 700 * (10 ** (np.linspace(_mel(LOWEST), _mel(rate / 2), mels + 2) / 2595) - 1)


def frequencies(rate: int, mels: int = MELS) -> np.ndarray:
    """Return the middle of each mel band in Hz, (mels,), rising."""
    return _edges(rate, mels)[1:-1]


@lru_cache
def mel_filters(rate: int, mels: int) -> np.ndarray:
    """Return triangular mel filters (bins, mels) that sum up powers.

    Bins lie no further apart than the lowest band rises, so that no band is empty; where they would, a spectrum is
    taken of its samples and zeros behind them, which adds bins between its own.
    """
    edges = _edges(rate, mels)
    samples = 1 << (window_samples(rate) - 1).bit_length()
    while rate / samples > edges[1] - edges[0]:
        samples *= 2
    bins = np.fft.rfftfreq(samples, 1 / rate)[:, None]
    rising, falling = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2]), (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    share = window_samples(rate) / samples  # added bins hold power that its own hold already
    return (np.maximum(0, np.minimum(rising, falling)) * share).astype(np.float32)


def log_mel(waves: np.ndarray, rate: int, mels: int = MELS) -> np.ndarray:
    """Return log-mel spectrograms (n, 1, mels, frames) of waves (n, samples), low frequencies first.

    0 is -80 dB, 1 full scale. Up to 16 kHz a frame every 192 samples, each with a Hann window of 512 around its middle;
    above, a frame every 10 ms with a window of 32 ms.

    Args:
        waves: (n, samples) in [-1, 1].
        rate: sampling rate, Hz.
        mels: bands between 50 Hz and half the sampling rate.

    Example:
        rate, samples = data.listen(0)
        picture = log_mel(samples[None], rate)[0, 0]  # (MELS, frames)
    """
    step, wide, filters = hop(rate), window_samples(rate), mel_filters(rate, mels)
    frames = waves.shape[1] // step
    around = (wide - step) // 2
    padded = np.pad(waves, ((0, 0), (around, wide - step - around)))
    framed = np.lib.stride_tricks.sliding_window_view(padded, wide, axis=1)[:, : frames * step : step]
    window = np.hanning(wide).astype(np.float32)
    spectra = np.asarray(fft.rfft(framed * window, n=2 * (len(filters) - 1), axis=2))
    power = np.square(np.abs(spectra)) / np.square(window.sum() / 2)
    decibels = 10 * np.log10(power @ filters + 10 ** (QUIETEST / 10))  # (n, frames, mels)
    return ((decibels - QUIETEST) / -QUIETEST).transpose(0, 2, 1)[:, None].astype(np.float32)


def spectrogram_of(wave: np.ndarray, wave_rate: int, rate: int, mels: int, frames: int) -> np.ndarray:
    """Return the spectrogram (1, 1, mels, frames) of the beginning of a recording, in [0, 1]; what it lacks is silence.

    Args:
        wave: (samples,) in [-1, 1].
        wave_rate: of the wave, Hz.
        rate: of the sound that the spectrogram shows, Hz.
        mels: bands.
        frames: of the spectrogram.

    Example:
        >>> spectrogram_of(np.zeros(44100, np.float32), 44_100, 16_000, mels=32, frames=64).shape
        (1, 1, 32, 64)
    """
    length = frames * hop(rate)
    start = wave[: round((length / rate + MARGIN_S) * wave_rate)]
    start = resample(start, wave_rate, rate)[:length]
    return np.clip(log_mel(np.pad(start, (0, length - len(start)))[None], rate, mels), 0, 1)


def resample(wave: np.ndarray, before: int, after: int) -> np.ndarray:
    """Return a wave of rate `before` (Hz) at rate `after`.

    Example:
        >>> resample(np.zeros(8000, np.float32), 8000, 16000).shape
        (16000,)
    """
    if before == after:
        return wave
    from scipy.signal import resample_poly  # loading it takes longer than most refusals

    return resample_poly(wave, after, before).astype(np.float32)


def wav(rate: int, samples: np.ndarray) -> bytes:
    """Return a sound (samples,) in [-1, 1] as a WAV file of 16 bits; samples beyond that are clipped."""
    written = io.BytesIO()
    with wave.open(written, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((32767 * np.clip(samples, -1, 1)).astype("<i2").tobytes())
    return written.getvalue()
