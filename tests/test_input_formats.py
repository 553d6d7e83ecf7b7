"""What a student gets of pictures and recordings: size, seconds, bands and rate as asked for; the wave that is kept."""

import io

import numpy as np
import pytest
import soundfile
from scipy.signal import resample_poly

from kdlib import pipeline
from kdlib.checks import default_spec
from kdlib.data import intake, spectrograms
from kdlib.data.importing import InputFormat
from kdlib.data.intake import IntakeError
from tests.file_writers import wav
from tests.small_media import stored

READ = intake.read


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch, files_read_here):
    monkeypatch.setenv("KDLIB_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def sound(row, rate, seconds=1.0, subtype="PCM_16"):
    wave = 0.3 * np.random.default_rng(row).standard_normal(round(seconds * rate)).clip(-3, 3)
    out = io.BytesIO()
    soundfile.write(out, wave, rate, format="WAV", subtype=subtype)
    return out.getvalue()


def recordings(tmp_path, rate, form=None, rows=12, seconds=1.0):
    return stored(tmp_path, [(".wav", sound(row, rate, seconds)) for row in range(rows)], form)


@pytest.mark.parametrize("rate", [8000, 44_100, 48_000])
def test_a_recording_comes_back_sample_by_sample_at_its_own_rate(rate, tmp_path):
    data = recordings(tmp_path, rate)
    kept_rate, wave = data.listen(4)
    expected, _ = soundfile.read(io.BytesIO(sound(4, rate)), dtype="float32")
    assert (kept_rate, data.rate, wave.dtype) == (rate, min(rate, 16_000), np.float32)
    np.testing.assert_array_equal(wave, expected)


def test_each_recording_keeps_its_rate_and_a_higher_one_comes_down_to_the_limit(tmp_path):
    rates = [32_000] * 8 + [22_050, 8000, 96_000, 32_000]
    data = stored(tmp_path, [(".wav", sound(row, rate)) for row, rate in enumerate(rates)])
    listened = [data.listen(row) for row in range(12)]
    assert [rate for rate, _ in listened] == [min(rate, 48_000) for rate in rates]
    assert [len(wave) for _, wave in listened] == [min(rate, 48_000) for rate in rates]


def test_a_long_recording_is_kept_whole_though_the_student_gets_its_beginning(tmp_path):
    data = recordings(tmp_path, 8000, seconds=31.0, rows=6)
    assert len(data.listen(2)[1]) == 31 * 8000
    assert data.inputs.shape[3] == round(4 * 8000 / spectrograms.HOP)


@pytest.mark.parametrize(
    ("form", "shape", "rate"),
    [
        (InputFormat(), (32, 83), 16_000),
        (InputFormat(mels=64), (64, 83), 16_000),
        (InputFormat(seconds=0.5), (32, 42), 16_000),
        (InputFormat(seconds=10, mels=128, rate=32_000), (128, 100), 32_000),
        (InputFormat(rate=48_000), (32, 100), 44_100),
    ],
)
def test_the_student_gets_seconds_bands_and_rate_that_were_asked_for(form, shape, rate, tmp_path):
    data = recordings(tmp_path, 44_100, form)
    assert (data.inputs.dtype, data.inputs.shape, data.rate) == (np.float16, (12, 1, *shape), rate)
    _, wave = data.listen(3)
    if rate != 44_100:
        wave = resample_poly(wave, rate, 44_100).astype(np.float32)
    length = shape[1] * spectrograms.hop(rate)
    expected = spectrograms.log_mel(np.pad(wave, (0, length))[None, :length], rate, form.mels).clip(0, 1)
    # Half of a step of float16 below 1, and where the beginning alone was resampled, a little more at its end.
    np.testing.assert_allclose(data.inputs[3], expected[0], atol=2e-3)


def test_the_bands_of_a_fine_spectrogram_are_where_they_say(tmp_path):
    for rate, mels in ((16_000, 32), (16_000, 128), (32_000, 128), (48_000, 64)):
        time = np.arange(2 * rate) / rate
        for hertz in (100, 1000, 5000):
            shown = spectrograms.log_mel(np.sin(2 * np.pi * hertz * time)[None], rate, mels)[0, 0, :, 20]
            bands = spectrograms.frequencies(rate, mels)
            nearest = np.abs(bands - hertz).argmin()
            assert abs(int(shown.argmax()) - int(nearest)) <= 1, (rate, mels, hertz)
            assert 0.95 < shown.max() < 1.05, "a full-scale tone is 0 dB, however fine the bands"


def test_students_take_half_precision(tmp_path):
    data = recordings(tmp_path, 8000, rows=60, seconds=0.3)
    result = pipeline.run(default_spec(data.name).replace(teacher="tones-random", epochs=1, seeds=1, labels=20, dim=2))
    assert result.status == "done"


@pytest.mark.parametrize(
    ("form", "message"),
    [
        (InputFormat(size=512), r"side of a picture must be from 8 to 256 pixels \(KDLIB_MAX_SIDE\), got 512"),
        (InputFormat(seconds=0.1), "length of a spectrogram must be from 0.25 to 30 s"),
        (InputFormat(seconds=float("nan")), "length of a spectrogram"),
        (InputFormat(mels=500), "bands of a spectrogram must be from 8 to 128"),
        (InputFormat(rate=96_000), "rate of a spectrogram must be from 1000 to 48,000 Hz"),
    ],
)
def test_a_form_beyond_the_limits_is_refused_before_anything_is_read(form, message, tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(IntakeError, match=message):
        READ(tmp_path, tmp_path / "out", form=form)
    assert not list((tmp_path / "out").iterdir())


def test_the_form_of_a_student_with_no_wish_is_that_of_the_built_in_sounds():
    assert InputFormat().mels == spectrograms.MELS


def test_a_recording_that_is_damaged_leaves_nothing(tmp_path, home):
    with pytest.raises(IntakeError, match="cut off"):
        stored(tmp_path, [(".wav", wav())] * 5 + [(".wav", wav()[:3000])])
    assert not list((home / "staging").iterdir())
