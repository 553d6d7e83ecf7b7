"""Recordings at the rate that a network asks for."""

import dataclasses

import numpy as np
import pytest

from kdlib.data import datasets
from kdlib.models.providers.waves import listen_at, resample


def sine(rate, hertz=440.0, seconds=0.5):
    return np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate).astype(np.float32)


@pytest.mark.parametrize(("rate", "new_rate"), [(8000, 16000), (44100, 16000), (48000, 22050), (11025, 16000)])
def test_a_tone_is_the_same_tone_at_another_rate(rate, new_rate):
    got = resample(sine(rate), rate, new_rate)
    assert got.dtype == np.float32
    assert abs(len(got) - new_rate * 0.5) <= 1
    inner = slice(len(got) // 10, -len(got) // 10)  # the filter meets silence at both ends
    np.testing.assert_allclose(got[inner], sine(new_rate)[: len(got)][inner], atol=5e-3)


def test_what_a_lower_rate_cannot_hold_is_filtered_out():
    got = resample(sine(48000, hertz=12000), 48000, 16000)
    assert np.abs(got[500:-500]).max() < 0.01, "12 kHz would come back as 4 kHz"


def test_nothing_stays_nothing_and_the_same_rate_the_same_wave():
    assert resample(np.zeros(0), 8000, 16000).shape == (0,)
    wave = sine(16000)
    np.testing.assert_array_equal(resample(wave, 16000, 16000), wave)


def test_a_dataset_gives_its_recordings_at_the_rate_or_says_that_it_has_none():
    tones = datasets.load("tones")
    rate, wave = tones.listen(3)
    assert len(listen_at(tones, 3, 2 * rate)) == 2 * len(wave)
    with pytest.raises(ValueError, match=r"tones has no recordings.*import the sound files"):
        listen_at(dataclasses.replace(tones, listen=None), 3, 16000)
