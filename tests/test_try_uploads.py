"""Uploads that are tried: read in a child process as an import reads them, refused in a sentence."""

import io

import numpy as np
import pytest
from PIL import Image

from kdlib import trying
from kdlib.cache import home
from kdlib.data import datasets, spectrograms
from kdlib.trying import uploads
from tests.file_writers import picture, wav
from tests.small_media import noise, stored


@pytest.fixture(autouse=True)
def fresh(fresh_home):
    return fresh_home


def left_over():
    folder = home() / "staging"
    return [path.name for path in folder.iterdir()] if folder.exists() else []


def test_a_sound_of_the_dataset_comes_back_as_the_student_got_it():
    data = datasets.load("tones")
    rate, wave = data.listen(7)
    read = trying.read_upload("tones", "../../a b.wav", spectrograms.wav(rate, wave))
    item = trying.item_of_wave("tones", read.rate, read.wave)
    assert np.abs(item.inputs - data.inputs[7:8]).max() < 0.05  # in 16 bits silence is a little louder
    assert np.abs(item.inputs - data.inputs[7:8]).mean() < 1e-3
    assert left_over() == []


def test_a_picture_is_brought_to_the_inputs_of_an_imported_set_as_the_import_brought_its_own(tmp_path, files_read_here):
    files = [(".png", picture(noise(row))) for row in range(24)]
    data = stored(tmp_path, files)
    row = 5
    name = str(data.ids[row])
    content = files[int(name.rpartition("/")[2].removesuffix(".png"))][1]
    read = trying.read_upload(data.name, "again.png", content)
    item = trying.item_of_picture(data.name, read.pixels, read.original)
    np.testing.assert_array_equal(item.inputs, data.inputs[row : row + 1])
    np.testing.assert_array_equal(item.look(0), data.look(row))
    larger = picture(Image.open(io.BytesIO(content)).resize((400, 300)), "JPEG")
    assert trying.read_upload(data.name, "large.jpg", larger).pixels.shape == data.inputs.shape[1:]


def test_pixels_become_the_numbers_of_a_built_in_set():
    data = datasets.load("digits")
    content = picture(data.look(3))
    read = trying.read_upload("digits", "3.png", content)
    item = trying.item_of_picture("digits", read.pixels, read.original)
    assert np.abs(item.inputs - data.inputs[3:4]).max() <= 1 / 255
    assert item.inputs.dtype == data.inputs.dtype


@pytest.mark.parametrize(
    ("dataset", "content", "says"),
    [
        ("digits", b"hello", "neither a picture"),
        ("digits", b"", "neither a picture"),
        ("digits", b"\x80\x04pickle", "neither a picture"),
        ("digits", picture(noise(0))[:60], "not a whole picture|damaged or cut off"),
        ("digits", wav(), "is a recording, but digits holds images"),
        ("tones", picture(noise(0)), "is a picture, but tones holds sounds"),
        ("tones", wav()[:60], "cut off"),
    ],
)
def test_what_cannot_be_tried_is_refused_in_a_sentence_and_leaves_nothing(dataset, content, says):
    with pytest.raises(ValueError, match=says):
        trying.read_upload(dataset, "given", content)
    assert left_over() == []


def test_too_large_an_upload_is_not_even_written(monkeypatch):
    monkeypatch.setattr(uploads, "LARGEST_MB", 0)
    with pytest.raises(ValueError, match="at most 0 MB can be tried"):
        trying.read_upload("digits", "large.png", picture(noise(0)))


def test_a_recording_begins_at_its_first_sound_or_where_it_is_said_to():
    silence, tone = np.zeros(8000, np.float32), np.ones(4000, np.float32)
    sound = trying.ReadSound(8000, np.concatenate([silence, tone]))
    assert trying.find_onset(sound) == pytest.approx(0.95)
    assert trying.find_onset(trying.ReadSound(8000, silence)) == 0
    item = trying.item_of_wave("tones", sound.rate, sound.wave, begin=1.0)
    np.testing.assert_array_equal(item.inputs, trying.item_of_wave("tones", 8000, tone).inputs)
    with pytest.raises(ValueError, match="ends before"):
        trying.item_of_wave("tones", 8000, tone, begin=2.0)
