"""Notes sound as they say: pitch, envelope, loudness, room; spectrograms show them; a player gets what was made."""

import io
import wave

import numpy as np
import pytest

from kdlib.data import sounds, spectrograms
from kdlib.data.sounds import FAMILIES, RATE, ROOMS, SAMPLES, Notes, Scenes

QUIET = -200.0  # dB


def note(
    family: str,
    pitch: float = 12,
    level: float = 0,
    colour: float = 0.5,
    onset: float = 0,
    length: float = 0.5,
    seed: int = 1,
) -> Notes:
    values = {"pitch": pitch, "level": level, "colour": colour, "onset": onset, "attack": 0.01, "length": length}
    arrays = {name: np.array([float(value)]) for name, value in values.items()}
    return Notes(item=np.array([0]), family=np.array([list(FAMILIES).index(family)]), seed=np.array([seed]), **arrays)


def scene(room: str = "dry", noise: float = QUIET) -> Scenes:
    return Scenes(np.array([list(ROOMS).index(room)]), np.array([noise]), np.array([7]))


def energy(samples: np.ndarray) -> float:
    return float(np.square(samples).sum())


@pytest.mark.parametrize("family", list(FAMILIES))
def test_contract(family):
    samples = sounds.render(note(family), scene())[0]
    assert samples.shape == (SAMPLES,)
    assert samples.dtype == np.float32
    assert np.isfinite(samples).all()
    np.testing.assert_array_equal(samples, sounds.render(note(family), scene())[0])
    assert not np.array_equal(samples, sounds.render(note(family, seed=2), scene())[0])
    softer = sounds.play(note(family, level=-20))[0]
    assert energy(softer) == pytest.approx(energy(sounds.play(note(family))[0]) / 100, rel=1e-3)


@pytest.mark.parametrize(
    "family", [name for name in FAMILIES if name not in ("bell", "drum")]
)  # those two have no pitch of a string
@pytest.mark.parametrize("pitch", [3.0, 12.0, 21.0])
def test_a_note_repeats_itself_at_its_pitch(family, pitch):
    samples = sounds.play(note(family, pitch=pitch, colour=0.8))[0]
    period = RATE / (110 * 2 ** (pitch / 12))
    middle = samples[1500:3500].astype(float)
    lags = np.arange(int(0.7 * period), int(1.3 * period) + 1)
    likeness = [np.corrcoef(middle[:-lag], middle[lag:])[0, 1] for lag in lags]
    assert max(likeness) > 0.8
    assert lags[int(np.argmax(likeness))] == pytest.approx(period, abs=1.5)


def test_struck_notes_fade_at_once_and_held_ones_do_not():
    def late(family):
        samples = sounds.play(note(family, length=0.7))[0]
        return energy(samples[3500:4500]) / energy(samples[500:1500])

    assert (
        max(late(name) for name in sounds.STRUCK)
        < 0.5
        < min(late(name) for name in FAMILIES if name not in sounds.STRUCK)
    )


def test_a_room_carries_a_note_on_and_a_hall_for_longer():
    tails = [
        energy(sounds.render(note("pluck", length=0.1), scene(room))[0][3500:]) for room in ("small", "large", "hall")
    ]
    assert tails == sorted(tails)
    assert tails[2] > 10 * tails[0]


def test_scenes_taken_apart_sound_as_they_did_together():
    def both(*values):
        return np.concatenate(values)

    one, two = note("reed"), note("bell", seed=5)
    notes = Notes(
        **{name: both(getattr(one, name), getattr(two, name), getattr(one, name)) for name in vars(one)}
        | {"item": np.array([0, 1, 1])}
    )
    scenes = Scenes(np.array([0, 2]), np.array([-40.0, -50.0]), np.array([3, 4]))
    together = sounds.render(notes, scenes)
    for row in (0, 1):
        single = sounds.render(*sounds.select_scenes(notes, scenes, np.array([row])))[0]
        np.testing.assert_allclose(single, together[row], atol=1e-6)


def test_a_spectrogram_shows_a_sine_in_its_band_at_its_time():
    time = np.arange(SAMPLES) / RATE
    samples = np.where(time > 0.4, np.sin(2 * np.pi * 1000 * time), 0).astype(np.float32)[None]
    picture = spectrograms.log_mel(samples, RATE)[0, 0]
    assert picture.shape == (spectrograms.MELS, 32)
    band = np.abs(spectrograms.frequencies(RATE) - 1000).argmin()
    assert picture[:, 25].argmax() == band
    assert picture[band, 25] == pytest.approx(1, abs=0.1), "full scale is 1"
    assert picture[:, :14].max() < 0.05, "silence is 0"


def test_a_wav_file_holds_the_wave():
    samples = np.array([0, 0.5, -0.5, 2.0], np.float32)
    with wave.open(io.BytesIO(spectrograms.wav(8000, samples))) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (8000, 1, 2)
        samples = np.frombuffer(file.readframes(4), "<i2") / 32767
    np.testing.assert_allclose(samples, [0, 0.5, -0.5, 1], atol=1e-4)
