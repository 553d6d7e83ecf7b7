"""What is kept of pictures and recordings: the originals as they came, and of them what a student gets."""

import hashlib
import io
import json

import numpy as np
import psutil
import pytest
from PIL import Image
from safetensors.torch import load_file

from kdlib import pipeline
from kdlib.analysis import items
from kdlib.checks import default_spec
from kdlib.data import datasets, imported, importing, intake
from kdlib.data.importing import InputFormat
from kdlib.data.intake import IntakeError, Limits
from kdlib.data.intake.originals import load_picture
from kdlib.models import embedding, encoder
from tests.file_writers import encoded, picture, zipped
from tests.small_media import noise, stored
from tests.small_tables import imported_table

READ = intake.read


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch, files_read_here):
    monkeypatch.setenv("KDLIB_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def colours(tmp_path, rows=12, form=None, title="own", **options):
    return stored(tmp_path, [(".png", picture(noise(row, **options))) for row in range(rows)], form, title)


# --- pictures


def test_an_original_picture_comes_back_pixel_by_pixel(tmp_path):
    data = colours(tmp_path, form=InputFormat(size=16))
    for row in range(12):
        shown = data.look(row)
        assert shown.dtype == np.uint8
        np.testing.assert_array_equal(shown, noise(row))


def test_a_jpeg_is_kept_as_the_file_it_was(tmp_path, home):
    files = [picture(noise(row, 50, 70), "JPEG") for row in range(12)]
    data = stored(tmp_path, [(".jpg", content) for content in files])
    np.testing.assert_array_equal(data.look(5), np.asarray(Image.open(io.BytesIO(files[5])).convert("RGB")))
    (kept,) = home.glob("data/*/originals.raw")
    assert kept.read_bytes() == b"".join(files)


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("1", 1), ("LA", 1), ("I;16", 1), ("P", 3), ("RGBA", 3)])
def test_pictures_of_any_mode_are_seen_in_colours_of_8_bits(mode, channels, tmp_path):
    def written(row):
        light = noise(row, channels=1)
        if mode == "I;16":
            return Image.fromarray(light.astype(np.uint16) * 257)
        return Image.fromarray(light if channels == 1 else noise(row)).convert(mode)

    pictures = [written(row) for row in range(12)]
    data = stored(tmp_path, [(".png", picture(each)) for each in pictures])
    assert data.inputs.shape == (12, channels, 40, 30)
    expected = np.asarray(
        Image.fromarray(noise(3, channels=1)).convert("RGB") if mode == "I;16" else pictures[3].convert("RGB")
    )
    np.testing.assert_array_equal(data.look(3), expected)
    np.testing.assert_array_equal(data.inputs[3], expected.transpose(2, 0, 1)[:channels])


def test_the_student_gets_bytes_in_the_size_that_was_asked_for(tmp_path):
    for size, shape in ((32, (3, 32, 32)), (16, (3, 16, 16)), (64, (3, 40, 30))):
        data = colours(tmp_path, form=InputFormat(size=size))
        assert data.inputs.dtype == np.uint8
        assert data.inputs.shape == (12, *shape), "what fits is not enlarged"
    large = stored(tmp_path, [(".png", picture(noise(row, 300, 300))) for row in range(6)], InputFormat(size=256))
    assert large.inputs.shape == (6, 3, 256, 256)
    assert large.look(0).shape == (300, 300, 3)


def test_a_shrunk_jpeg_is_close_to_what_a_full_decoding_gives(tmp_path):
    smooth = np.asarray(Image.fromarray(noise(0, 9, 9)).resize((512, 512), Image.Resampling.BICUBIC))
    file = picture(smooth, "JPEG")
    data = stored(tmp_path, [(".jpg", file)] * 6 + [(".jpg", picture(255 - smooth, "JPEG"))] * 6)
    expected = Image.open(io.BytesIO(file)).resize((64, 64), Image.Resampling.BILINEAR)
    difference = np.abs(data.inputs[0].astype(int) - np.asarray(expected, int).transpose(2, 0, 1))
    assert difference.mean() < 2, "of 255; decoding at a quarter of the size rounds once more"


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_pictures_are_turned_as_the_camera_was_held(kind, orientation, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = orientation
    smooth = Image.fromarray(noise(0, 3, 2)).resize((160, 240), Image.Resampling.BICUBIC)
    upright = np.asarray(smooth).astype(int)
    turned = {  # by the standard: where the first row and the first column of what is stored are seen
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: upright.transpose(1, 0, 2)[::-1],
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: upright.transpose(1, 0, 2)[:, ::-1],
    }[orientation].astype(np.uint8)
    ending, best = f".{kind.lower()}", {"lossless": True} if kind == "WEBP" else {"quality": 98}
    files = [(ending, picture(each, kind, exif=exif, **best)) for each in (turned, 255 - turned) for _ in range(6)]
    data = stored(tmp_path, files, InputFormat(size=32))
    assert data.look(0).shape == upright.shape
    assert np.abs(data.look(0) - upright).mean() < 4, "of 255, what a JPEG loses"
    assert data.inputs.shape == (12, 3, 32, 32)
    expected = np.asarray(smooth.resize((32, 32), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
    assert np.abs(data.inputs[0].astype(int) - expected).mean() < 4
    fits = stored(tmp_path, files, InputFormat(size=256), title="fits")
    assert fits.inputs.shape == (12, 3, 240, 160), "upright, the sides are not mixed up"


def test_damaged_notes_of_a_camera_make_no_picture_unreadable(tmp_path):
    files = [
        (".jpg", picture(noise(row, 16, 16), "JPEG", exif=b"Exif\0\0MM\0\x2a\xff\xff" + bytes(row)))
        for row in range(12)
    ]
    assert stored(tmp_path, files).look(0).shape == (16, 16, 3)


def test_other_originals_are_another_dataset_though_the_student_gets_the_same(tmp_path):
    first = [picture(noise(row)) for row in range(12)]
    again = [picture(noise(row), compress_level=1) for row in range(12)]
    one = stored(tmp_path, [(".png", content) for content in first])
    two = stored(tmp_path, [(".png", content) for content in again])
    np.testing.assert_array_equal(one.inputs, two.inputs)
    assert one.name != two.name
    assert datasets.content(one.name) != datasets.content(two.name)
    assert one.name == stored(tmp_path, [(".png", content) for content in first]).name, "the same is kept once"


def test_an_original_is_decoded_under_the_limits_of_the_day(tmp_path, home, monkeypatch):
    data = colours(tmp_path, title="limited")
    monkeypatch.setenv("KDLIB_MAX_PIXELS", "1000")
    with pytest.raises(IntakeError, match="30 x 40 pixels"):
        data.look(0)
    monkeypatch.delenv("KDLIB_MAX_PIXELS")
    (kept,) = home.glob("data/*/originals.raw")
    kept.write_bytes(bytes(kept.stat().st_size))
    with pytest.raises(IntakeError, match="'picture 0' is not a whole picture"):
        data.look(0)
    with pytest.raises(IndexError):
        load_picture(kept.parent, 12)


@pytest.mark.parametrize(("height", "width", "student"), [(64, 64, "resnet"), (64, 63, "cnn"), (40, 30, "cnn")])
def test_pictures_of_64_pixels_are_first_given_to_a_resnet(height, width, student, tmp_path):
    data = stored(tmp_path, [(".png", picture(noise(row, height, width))) for row in range(12)])
    assert data.inputs.shape[2:] == (height, width)
    assert default_spec(data.name).student == student


def test_students_and_teachers_take_bytes(tmp_path):
    data = colours(tmp_path, rows=60, form=InputFormat(size=16))
    network = encoder.Encoder(16)
    network.load_state_dict(load_file(encoder.WEIGHTS / "random.safetensors"))
    expected = encoder.encode(network, data.inputs.astype(np.float32) / 255)
    np.testing.assert_allclose(embedding.embed("random", data.name), expected, atol=1e-6)
    result = pipeline.run(default_spec(data.name).replace(teacher="random", epochs=1, seeds=1, labels=20, dim=2))
    assert result.status == "done"
    tiles, _ = items.gallery_tiles(data, "")
    assert tiles.shape[2:] == (16, 16, 3)
    assert 0 <= np.nanmin(tiles) < np.nanmax(tiles) <= 1


def test_a_sheet_of_large_pictures_is_drawn_small(tmp_path):
    data = stored(tmp_path, [(".png", picture(noise(row, 200, 150))) for row in range(12)], InputFormat(size=200))
    tiles, _ = items.gallery_tiles(data, "")
    assert data.inputs.shape[2:] == (200, 150)
    assert tiles.shape[2:] == (50, 38, 3)


def test_arrays_of_bytes_stay_bytes_and_can_be_looked_at(tmp_path):
    pictures = np.stack([noise(row, 8, 8) for row in range(40)]).transpose(0, 3, 1, 2)
    np.savez(
        tmp_path / "own.npz",
        label=np.array(["a", "b"] * 20),
        pictures=pictures,
        e=np.random.default_rng(0).normal(size=(40, 3)),
    )
    source = importing.stage(tmp_path / "own.npz")
    draft = importing.build_draft(source, importing.guess_plan(source))
    data = datasets.load(importing.store_dataset(source, draft, "own"))
    assert data.inputs.dtype == np.uint8
    np.testing.assert_array_equal(data.look(7), noise(7, 8, 8))


# --- limits


def test_originals_have_a_limit_of_their_own(tmp_path):
    pictures = [(".png", picture(noise(row, 200, 200))) for row in range(12)]  # 1.4 MB of files
    with pytest.raises(IntakeError, match=r"unpack to more than 1 MB \(KDLIB_MAX_ORIGINALS_MB\)"):
        stored(tmp_path, pictures, limits=Limits(originals_mb=1, dataset_mb=1))
    with pytest.raises(IntakeError, match=r"up to 'a/008\.png' the originals take more than 1 MB"):
        stored(tmp_path, pictures, limits=Limits(originals_mb=1))
    with pytest.raises(IntakeError, match=r"'b/001\.flac' the originals take more than 1 MB"):
        stored(tmp_path, [(".flac", encoded("FLAC", 400_000))] * 3, limits=Limits(originals_mb=1))
    assert not list((tmp_path / "home" / "staging").iterdir())


def test_reading_pictures_costs_the_app_no_memory(tmp_path):
    """29 MB of inputs and 29 MB of originals: the process that asks stays as it was."""
    zipped(*((f"{row}.bmp", picture(noise(row, 100, 96), "BMP")) for row in range(1000)))(tmp_path / "own.zip")
    (tmp_path / "out").mkdir()
    before = psutil.Process().memory_info().rss
    contents = READ(tmp_path / "own.zip", tmp_path / "out", form=InputFormat(size=128))
    assert psutil.Process().memory_info().rss - before < 16 << 20
    assert contents.columns[1].shape == (1000, 3, 100, 96)
    assert (tmp_path / "out" / "originals.raw").stat().st_size > 28e6


# --- what was imported before originals were kept


def older(home, title, modality, inputs, **files):
    """Write a dataset as it was stored before, and return it."""
    building = home / "data" / ".older.building"
    building.mkdir(parents=True)
    rows = len(inputs)
    arrays = {"inputs": inputs, "labels": np.arange(rows) % 2, "ids": np.arange(rows).astype(str)}
    arrays["splits"] = np.arange(rows, dtype=np.int16) % 3
    for name, array in arrays.items():
        np.save(building / f"{name}.npy", array)
    for name, content in files.items():
        (building / name.replace("_", ".")).write_bytes(content)
    card = {
        "title": title, "created": 1.0, "rows": rows, "classes": ["a", "b"], "splits": ["train", "val", "test"],
        "attributes": {}, "tables": {}, "inputs": "inputs.npy", "shape": list(inputs.shape[1:]), "modality": modality,
        "rate": 8000 if files else 0, "source": "x.zip", "notes": [], "name": f"{title}@0123", "hash": "0123" * 6,
    }  # fmt: skip
    (building / "card.json").write_text(json.dumps(card))
    building.rename(home / "data" / card["hash"])
    return datasets.load(f"{title}@0123")


def test_pictures_stored_as_float32_are_still_read(home):
    pictures = np.stack([noise(row, 8, 8) for row in range(30)]).transpose(0, 3, 1, 2)
    data = older(home, "pictures", "image", pictures.astype(np.float32) / 255)
    assert datasets.to_float(data.inputs) is data.inputs
    np.testing.assert_array_equal(data.look(7), noise(7, 8, 8))


def test_images_that_were_never_pictures_are_not_looked_at(home):
    inputs = np.random.default_rng(0).normal(size=(30, 1, 8, 8)).astype(np.float32)
    assert older(home, "images", "image", inputs).look is None


def test_sounds_stored_without_rates_are_still_heard(home):
    waves = np.arange(3000, dtype="<i2")
    ends = io.BytesIO()
    np.save(ends, np.arange(100, 3001, 100))
    spectrogram = np.random.default_rng(0).random((30, 1, 32, 10), np.float32)
    data = older(home, "sounds", "audio", spectrogram, waves_raw=waves.tobytes(), ends_npy=ends.getvalue())
    rate, wave = data.listen(2)
    assert (rate, data.rate) == (8000, 8000)
    np.testing.assert_array_equal(wave, np.arange(200, 300, dtype=np.float32) / 32768)


def test_a_table_is_called_as_it_was_before_originals_were_kept(tmp_path):
    """The hash that names a dataset covers no field that a table does not have."""
    name = imported_table(tmp_path)
    folder = imported.dataset_folder(name)
    card = json.loads((folder / "card.json").read_text())
    later = ("created", "name", "hash", "input_rate", "originals", "items")
    known = {key: card[key] for key in sorted(card) if key not in later}
    digest = hashlib.sha256(json.dumps(known).encode())
    for file in ("inputs", "labels", "splits", "ids", "attribute-0", "table-1"):
        digest.update(hashlib.sha256((folder / f"{file}.npy").read_bytes()).digest())
    assert name == f"trees@{digest.hexdigest()[:8]}"


# --- what networks get


def test_networks_get_numbers_from_0_to_1_of_bytes_and_others_as_they_are():
    np.testing.assert_array_equal(datasets.to_float(np.array([[0, 51, 255]], np.uint8)), np.float32([[0, 0.2, 1]]))
    half = np.array([0.5, 2], np.float16)
    for given in (half, half.astype(np.float32), half.astype(np.float64)):
        assert datasets.to_float(given).dtype == np.float32
        np.testing.assert_array_equal(datasets.to_float(given), [0.5, 2])


@pytest.mark.parametrize("name", ["digits", "cluttered-digits"])
def test_built_in_images_can_be_looked_at(name):
    data = datasets.load(name)
    shown = data.look(11)
    assert (shown.shape, shown.dtype) == ((*data.inputs.shape[2:], 3), np.uint8)
    np.testing.assert_array_equal(shown[..., 0], np.round(data.inputs[11, 0].clip(0, 1) * 255))
    assert datasets.load("tones").look is None
    assert datasets.load("tones").rate == datasets.load("tones").listen(0)[0]
