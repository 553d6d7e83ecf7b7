"""Recordings as teachers of sounds take them: one channel, at the sampling rate that a network was trained with."""

from math import gcd

import numpy as np

from kdlib.data.dataset import Dataset


def listen_at(dataset: Dataset, row: int, rate: int) -> np.ndarray:
    """Return the wave of a row at a sampling rate, (samples,) float32 in about [-1, 1].

    Args:
        dataset: sounds that can be played.
        row: of the item.
        rate: sampling rate asked for, Hz.

    Raises:
        ValueError: the dataset holds spectrograms without their recordings.

    Example:
        >>> listen_at(kdlib.data.datasets.load("tones"), 0, 16000).shape
        (12288,)
    """
    if dataset.listen is None:
        raise ValueError(
            f"{dataset.name} has no recordings, which this teacher listens to; import the sound files themselves"
        )
    own_rate, wave = dataset.listen(row)
    return resample(wave, own_rate, rate)


def resample(wave: np.ndarray, rate: int, new_rate: int) -> np.ndarray:
    """Return a wave (samples,) at another sampling rate, float32.

    By scipy's polyphase filter with its Kaiser window. Packages of pretrained networks resample with soxr or a windowed
    sinc; what differs lies near half of the lower rate.

    Example:
        >>> resample(np.zeros(8000, np.float32), 8000, 16000).shape
        (16000,)
    """
    wave = np.asarray(wave, np.float32)
    if rate == new_rate or not len(wave):
        return wave
    from scipy.signal import resample_poly  # a list of teachers does without

    common = gcd(rate, new_rate)
    return np.asarray(resample_poly(wave, new_rate // common, rate // common), np.float32)
