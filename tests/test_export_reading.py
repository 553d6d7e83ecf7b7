"""The program that goes with every export reads files as the import does: against Pillow, scipy, scikit-learn."""

import io
import struct
import zlib

import numpy as np
import pytest
import soundfile
from PIL import Image
from scipy.signal import resample_poly

from kdlib.data.intake import pictures
from kdlib.data.texts import hash_texts
from kdlib.export.shipped import reading
from tests.file_writers import picture, wav

PIXELS = np.random.default_rng(0).integers(0, 256, (37, 53, 4), dtype=np.uint8)


def form(kind, *shape, rate=0, dtype="float32"):
    return {"kind": kind, "shape": list(shape), "rate": rate, "dtype": dtype}


def images():
    smooth = np.asarray(Image.fromarray(PIXELS[:, :, :3]).resize((90, 70), Image.Resampling.BICUBIC))
    yield "grey", Image.fromarray(PIXELS[:, :, 0])
    yield "colours", Image.fromarray(smooth)  # its rows are filtered in every way
    yield "transparent", Image.fromarray(PIXELS)
    yield "grey and transparent", Image.fromarray(PIXELS[:, :, 0]).convert("LA")
    yield "palette", Image.fromarray(PIXELS[:, :, :3]).quantize(17)
    yield "two colours", Image.fromarray(PIXELS[:, :, 0] > 99)
    yield "deep", Image.fromarray((np.arange(30 * 40).reshape(30, 40) * 54).astype(np.uint16))


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize(("name", "image"), list(images()), ids=[name for name, _ in images()])
def test_a_png_is_decoded_as_pillow_does(name, image, mode):
    ours = reading._to_mode(reading.decode_png(picture(image)), mode)
    deep = name == "deep"
    theirs = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)) if deep else image
    np.testing.assert_array_equal(ours.squeeze(), np.asarray(theirs.convert(mode)))


def png_file(width, height, data, *, depth=8, colour=2, is_interlaced=0):
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, is_interlaced)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(data)), (b"IEND", b"")]
    parts = [
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize("kind", range(5))
def test_every_filter_of_a_png_is_undone_as_pillow_does(kind):
    noise = np.random.default_rng(kind).integers(0, 256, (9, 3 * 7), dtype=np.uint8)
    raw = png_file(7, 9, b"".join(bytes([kind]) + row.tobytes() for row in noise))
    np.testing.assert_array_equal(reading.decode_png(raw), np.asarray(Image.open(io.BytesIO(raw))))


def interlaced():
    """Return an interlaced PNG of grey pixels, written by hand, and its pixels."""
    pixels = PIXELS[:11, :13, 0]
    parts = [pixels[top::down, left::right] for top, left, down, right in reading.ADAM7]
    data = b"".join(b"\0" + row.tobytes() for part in parts if part.size for row in part)
    return png_file(13, 11, data, colour=0, is_interlaced=1), pixels


def test_an_interlaced_png_is_decoded():
    raw, pixels = interlaced()
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(raw))), pixels)  # it is a whole PNG
    np.testing.assert_array_equal(reading.decode_png(raw)[:, :, 0], pixels)


@pytest.mark.parametrize("size", [(8, 8), (64, 20), (53, 16), (16, 37), (200, 3)])
def test_a_picture_is_resized_as_pillow_does(size):
    image = Image.fromarray(PIXELS[:, :, :3])
    ours = reading.fit_picture(np.asarray(image), (3, size[1], size[0]))
    theirs = np.asarray(image.resize(size, Image.Resampling.BILINEAR)).transpose(2, 0, 1)
    # Pillow sometimes goes down before it goes across, which rounds the other way.
    assert np.abs(ours.astype(int) - theirs).max() <= (0 if size in ((8, 8), (53, 16), (16, 37)) else 1)


def test_with_pillow_a_picture_is_what_the_import_makes_of_it():
    raw, shape = picture(PIXELS[:, :, :3], "JPEG"), (1, 8, 12)
    ours = reading.read_picture(raw, shape)
    theirs = pictures._decode("a", pictures.open_picture("a", raw, 10**6), "L", (12, 8))
    np.testing.assert_array_equal(ours, theirs)


def test_a_png_that_is_cut_off_or_promises_too_much_is_refused():
    raw = picture(PIXELS[:, :, :3])
    with pytest.raises(ValueError, match="cut off"):
        reading.decode_png(raw[: len(raw) // 2])
    with pytest.raises(ValueError, match="no PNG; install Pillow"):
        reading.decode_png(b"GIF89a")
    bomb = raw[:16] + (60_000).to_bytes(4, "big") * 2 + raw[24:]
    with pytest.raises(ValueError, match="60000 x 60000"):
        reading.decode_png(bomb)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize("kind", ["WAV", "WAVEX"])
def test_a_wav_is_decoded_as_libsndfile_does(subtype, kind):
    samples = np.random.default_rng(0).uniform(-0.9, 0.9, (500, 2))
    out = io.BytesIO()
    soundfile.write(out, samples, 16_000, subtype, format=kind)
    ours, rate = reading.decode_wav(out.getvalue())
    theirs, _ = soundfile.read(io.BytesIO(out.getvalue()), dtype="float32")
    assert rate == 16_000
    np.testing.assert_allclose(ours, theirs.mean(axis=1), atol=1e-7)


@pytest.mark.parametrize(("before", "after"), [(44_100, 16_000), (8000, 16_000), (22_050, 8000), (48_000, 16_000)])
def test_a_sound_is_resampled_as_scipy_does(before, after):
    wave = np.random.default_rng(0).normal(size=9001).astype(np.float32)
    np.testing.assert_allclose(reading.resample(wave, before, after), resample_poly(wave, after, before), atol=5e-6)


def test_a_short_sound_is_filled_with_silence_and_a_long_one_cut():
    wave = np.ones(100, np.float32)
    assert reading.fit_wave(wave, 8000, 8000, 120).tolist() == [1.0] * 100 + [0.0] * 20
    assert len(reading.fit_wave(wave, 8000, 8000, 60)) == 60


TEXTS = ["The cat sat on the mat.", "Ü b é – naïve café, 北京 тест", "", "a I", "x" * 400, "tab\tand\n\nline  end"]


@pytest.mark.parametrize("width", [16, 64, 1024])
def test_a_text_is_hashed_as_scikit_learn_does(width):
    np.testing.assert_array_equal(reading.hash_texts(TEXTS, width), hash_texts(TEXTS, width).astype(np.float32))


def test_a_table_gives_its_numbered_columns(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("name,x1,x0,label\nash,2,1,0\nbirch,4,3,1\n")
    assert reading.read_items(str(path), form("numbers", 2)).tolist() == [[1, 2], [3, 4]]
    path.write_text("width,height\n1,2\n")
    assert reading.read_items(str(path), form("numbers", 2)).tolist() == [[1, 2]]
    with pytest.raises(ValueError, match="has 2 columns, the student takes 3 numbers"):
        reading.read_items(str(path), form("numbers", 3))


def test_texts_of_a_table_are_its_column_of_texts(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('topic,review\nfood,"the soup, hot"\nrain,clouds over it\n')
    expected = hash_texts(["the soup, hot", "clouds over it"], 64).astype(np.float32)
    np.testing.assert_array_equal(reading.read_items(str(path), form("text", 64)), expected)


def test_arrays_are_found_by_their_shape_and_pickles_are_not_opened(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, names=np.zeros(4), x=np.ones((4, 1, 8, 8)))
    assert reading.read_items(str(path), form("pixels", 1, 8, 8, dtype="uint8")).shape == (4, 1, 8, 8)
    with pytest.raises(ValueError, match=r"no array of shape \(n, 3\)"):
        reading.read_items(str(path), form("numbers", 3))
    np.savez(path, x=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle"):
        reading.read_items(str(path), form("numbers", 3))


def test_what_is_no_wav_is_refused_in_words():
    with pytest.raises(ValueError, match="no WAV"):
        reading.decode_wav(b"OggS" + bytes(60))
    raw = bytearray(wav())
    raw[20] = 7  # mu-law
    with pytest.raises(ValueError, match="kind 7"):
        reading.decode_wav(bytes(raw))
