"""Spectrograms: a sound as a picture, the power in each mel band over time, and out again as a file to be played."""

import io
import wave
from functools import lru_cache

import numpy as np
from scipy import fft

HOP, MELS, WINDOW = 192, 32, 512  # samples per frame, mel bands, samples per spectrum
QUIETEST = -80.0  # dB re full scale: 0 in a spectrogram; full scale is 1


def _mel(hertz: float) -> float:
    return 2595 * np.log10(1 + hertz / 700)


def _edges(rate: int) -> np.ndarray:
    """Return where the mel bands begin, peak and end, in Hz, (MELS + 2,)."""
    return 700 * (10 ** (np.linspace(_mel(50), _mel(rate / 2), MELS + 2) / 2595) - 1)


def frequencies(rate: int) -> np.ndarray:
    """Return the middle of each mel band in Hz, (MELS,), rising."""
    return _edges(rate)[1:-1]


@lru_cache
def _filters(rate: int) -> np.ndarray:
    """Return triangular mel filters (bins, MELS) that sum up powers."""
    edges = _edges(rate)
    bins = np.fft.rfftfreq(WINDOW, 1 / rate)[:, None]
    rising, falling = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2]), (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return np.maximum(0, np.minimum(rising, falling)).astype(np.float32)


def log_mel(waves: np.ndarray, rate: int) -> np.ndarray:
    """Return log-mel spectrograms (n, 1, MELS, frames) of waves (n, samples), low frequencies first.

    0 is -80 dB, 1 full scale. A frame every 192 samples, each with a Hann window of 512 around its middle.

    Args:
        waves: (n, samples) in [-1, 1].
        rate: sampling rate, Hz.

    Example:
        rate, samples = data.listen(0)
        picture = log_mel(samples[None], rate)[0, 0]  # (MELS, frames)
    """
    frames = waves.shape[1] // HOP
    around = (WINDOW - HOP) // 2
    padded = np.pad(waves, ((0, 0), (around, around)))
    framed = np.lib.stride_tricks.sliding_window_view(padded, WINDOW, axis=1)[:, : frames * HOP : HOP]
    window = np.hanning(WINDOW).astype(np.float32)
    power = np.square(np.abs(np.asarray(fft.rfft(framed * window, axis=2)))) / np.square(window.sum() / 2)
    decibels = 10 * np.log10(power @ _filters(rate) + 10 ** (QUIETEST / 10))  # (n, frames, MELS)
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
