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


def wav(rate: int, samples: np.ndarray) -> bytes:
    """Return a sound (samples,) in [-1, 1] as a WAV file of 16 bits; samples beyond that are clipped."""
    written = io.BytesIO()
    with wave.open(written, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((32767 * np.clip(samples, -1, 1)).astype("<i2").tobytes())
    return written.getvalue()
