"""From a file to what a student takes, as it was done when the student's data were imported. Needs numpy alone.

Pictures: PNG; with Pillow installed JPEG, BMP and WebP too. Sounds: WAV. Texts: .txt, or a .csv with a column of texts.
Numbers: .npz, .npy or .csv. `read_items` is the way in; `form` is "input" of config.json.
"""

import csv
import io
import re
import struct
import zlib
from pathlib import Path

import numpy as np

MAX_BYTES = 1 << 28  # of a file, and of a picture once unpacked
ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # colour type of a PNG -> numbers per pixel


def read_items(path: str, form: dict) -> np.ndarray:
    """Return the items of a file, (n, *shape), of the type that the student takes."""
    file, shape = Path(path), tuple(form["shape"])
    raw = file.read_bytes()
    if len(raw) > MAX_BYTES:
        raise ValueError(f"{path} has {len(raw):,} bytes, at most {MAX_BYTES:,} can be read")
    if file.suffix.lower() in (".npz", ".npy"):
        return _from_arrays(raw, path, shape).astype(form["dtype"])
    if form["kind"] == "pixels":
        return read_picture(raw, shape)[None]
    if form["kind"] == "wave":
        samples, rate = decode_wav(raw)
        return fit_wave(samples, rate, form["rate"], shape[0])[None]
    text = raw.decode("utf-8-sig")
    if form["kind"] == "text":
        return hash_texts(_text_column(text) if file.suffix.lower() == ".csv" else [text], shape[0])
    return _number_rows(text, path, shape)


# --- pictures -----------------------------------------------------------------------------------------------------


def read_picture(raw: bytes, shape: tuple) -> np.ndarray:
    """Return a picture at the student's size, (c, height, width) of bytes: grey if it has one channel."""
    mode = "L" if shape[0] == 1 else "RGB"
    try:
        from PIL import Image
    except ImportError:
        return fit_picture(_to_mode(decode_png(raw), mode), shape)
    picture = Image.open(io.BytesIO(raw), formats=["PNG", "JPEG", "BMP", "WEBP"])
    picture.draft(None, (2 * shape[2], 2 * shape[1]))  # pyright: ignore[reportArgumentType]
    if picture.mode.startswith("I"):
        deep = np.asarray(picture.convert("I")) >> 8
        picture = Image.fromarray(deep.clip(0, 255).astype(np.uint8))
    picture = picture.convert(mode)
    if picture.size != (shape[2], shape[1]):
        picture = picture.resize((shape[2], shape[1]), Image.Resampling.BILINEAR)
    values = np.asarray(picture)
    return values[None] if values.ndim == 2 else values.transpose(2, 0, 1)


def _to_mode(pixels: np.ndarray, mode: str) -> np.ndarray:
    """Return pixels (h, w, 1 to 4) without their transparency, as grey or as red, green, blue."""
    colours = pixels[:, :, : 1 if pixels.shape[2] < 3 else 3]
    if mode == "RGB":
        return np.repeat(colours, 3 // colours.shape[2], axis=2)
    if colours.shape[2] == 1:
        return colours
    grey = colours.astype(np.int64) @ np.array([19595, 38470, 7471]) + 0x8000  # as Pillow does
    return (grey >> 16).astype(np.uint8)[:, :, None]


def decode_png(raw: bytes) -> np.ndarray:
    """Return the pixels of a PNG, (h, w, 1 to 4) of bytes; of 16 bits the upper 8."""
    if raw[:8] != b"\x89PNG\r\n\x1a\n":
        raise ValueError("this is no PNG; install Pillow to read other pictures")
    chunks, place = [], 8
    while place + 8 <= len(raw):
        length, name = struct.unpack_from(">I4s", raw, place)
        chunks.append((name, raw[place + 8 : place + 8 + length]))
        place += 12 + length
    named = dict(reversed(chunks))
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", named[b"IHDR"][:13])
    if colour not in CHANNELS or depth not in (1, 2, 4, 8, 16) or not 0 < width * height * 8 <= MAX_BYTES:
        raise ValueError(f"a PNG of {width} x {height} pixels of this kind cannot be read")
    packed = b"".join(data for name, data in chunks if name == b"IDAT")
    unpacked = zlib.decompressobj().decompress(packed, MAX_BYTES)
    pixels = np.zeros((height, width, CHANNELS[colour]), np.uint8)
    place = 0
    for top, left, down, right in ADAM7 if interlaced else ((0, 0, 1, 1),):
        part = pixels[top::down, left::right]
        if part.size:
            place = _unfilter(unpacked, place, part, depth)
    if colour == 3:
        return np.frombuffer(named[b"PLTE"].ljust(768, b"\0"), np.uint8).reshape(256, 3)[pixels[:, :, 0]]
    return pixels * (255 // (2**depth - 1)) if depth < 8 else pixels


def _unfilter(data: bytes, place: int, pixels: np.ndarray, depth: int) -> int:
    """Fill pixels (h, w, c) from the rows of a PNG that begin at a place; return where they end."""
    height, width, channels = pixels.shape
    stride, step = (width * channels * depth + 7) // 8, max(1, channels * depth // 8)
    if place + height * (stride + 1) > len(data):
        raise ValueError("the PNG is cut off")
    above = np.zeros(stride, np.uint8)
    for row in range(height):
        kind, line = data[place], np.frombuffer(data, np.uint8, stride, place + 1).copy()
        place += stride + 1
        if kind == 1:
            for first in range(step):
                line[first::step] = np.cumsum(line[first::step], dtype=np.uint8)
        elif kind == 2:
            line += above
        elif kind in (3, 4):
            line = _unfilter_slowly(kind, line.tolist(), above.tolist(), step)
        if depth == 16:
            values = line[::2]
        elif depth == 8:
            values = line
        else:
            bits = np.unpackbits(line).reshape(-1, depth)
            values = bits @ (1 << np.arange(depth)[::-1])
        pixels[row] = values[: width * channels].reshape(width, channels)
        above = line
    return place


def _unfilter_slowly(kind: int, line: list, above: list, step: int) -> np.ndarray:
    """Undo the filters that look at the pixel before and above: mean (3) and Paeth (4)."""
    for i, up in enumerate(above):
        left, corner = (line[i - step], above[i - step]) if i >= step else (0, 0)
        if kind == 3:
            guess = (left + up) // 2
        else:
            to_left, to_up, to_corner = abs(up - corner), abs(left - corner), abs(left + up - 2 * corner)
            guess = left if to_left <= min(to_up, to_corner) else up if to_up <= to_corner else corner
        line[i] = (line[i] + guess) & 255
    return np.array(line, np.uint8)


def fit_picture(pixels: np.ndarray, shape: tuple) -> np.ndarray:
    """Return pixels (h, w, c) at the student's size, (c, height, width): Pillow's bilinear resize, to a step of 255."""
    if pixels.shape[1] != shape[2]:
        pixels = _resize(pixels.transpose(1, 0, 2), shape[2]).transpose(1, 0, 2)
    if pixels.shape[0] != shape[1]:
        pixels = _resize(pixels, shape[1])
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _resize(pixels: np.ndarray, size: int) -> np.ndarray:
    """Return pixels (h, w, c) with `size` rows: triangles as wide as a row of the result, in whole numbers."""
    scale = len(pixels) / size
    wide, weights = max(scale, 1.0), np.zeros((size, len(pixels)), np.int64)
    for row in range(size):
        centre = (row + 0.5) * scale
        first, last = max(int(centre - wide + 0.5), 0), min(int(centre + wide + 0.5), len(pixels))
        triangle = np.maximum(1 - np.abs((np.arange(first, last) - centre + 0.5) / wide), 0)
        weights[row, first:last] = (triangle / triangle.sum() * (1 << 22) + 0.5).astype(np.int64)
    sums = np.tensordot(weights, pixels.astype(np.int64), axes=1) + (1 << 21)
    return (sums >> 22).clip(0, 255).astype(np.uint8)


# --- sounds -------------------------------------------------------------------------------------------------------


def decode_wav(raw: bytes) -> tuple[np.ndarray, int]:
    """Return the samples (n,) in [-1, 1] of a WAV, the mean over its channels, and its sampling rate in Hz."""
    chunks, place = {}, 12
    while place + 8 <= len(raw):
        name, length = struct.unpack_from("<4sI", raw, place)
        chunks.setdefault(name, raw[place + 8 : place + 8 + length])
        place += 8 + length + length % 2
    if raw[:4] != b"RIFF" or b"fmt " not in chunks or b"data" not in chunks:
        raise ValueError("this is no WAV; convert the sound first, e.g. with ffmpeg")
    kind, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", chunks[b"fmt "])
    if kind == 0xFFFE:  # the kind stands further behind
        kind = struct.unpack_from("<H", chunks[b"fmt "], 24)[0]
    data = chunks[b"data"]
    data = data[: len(data) // (channels * bits // 8) * (channels * bits // 8)]
    if kind == 3 and bits in (32, 64):
        samples = np.frombuffer(data, f"<f{bits // 8}").astype(np.float32)
    elif kind == 1 and bits == 8:
        samples = (np.frombuffer(data, np.uint8).astype(np.float32) - 128) / 128
    elif kind == 1 and bits in (16, 24, 32):
        whole = np.zeros((len(data) // (bits // 8), 4), np.uint8)
        whole[:, 4 - bits // 8 :] = np.frombuffer(data, np.uint8).reshape(len(whole), -1)
        samples = (whole.view("<i4")[:, 0] / 2.0**31).astype(np.float32)
    else:
        raise ValueError(f"a WAV of kind {kind} with {bits} bits cannot be read; 8 to 32 bits PCM or floats can")
    return samples.reshape(-1, channels).mean(axis=1), rate


def fit_wave(samples: np.ndarray, rate: int, wanted: int, count: int) -> np.ndarray:
    """Return the first `count` samples at the rate `wanted` (Hz), with silence behind a shorter sound."""
    start = samples[: round((count / wanted + 0.05) * rate)]
    fitted = resample(start, rate, wanted)[:count].astype(np.float32)
    return np.pad(fitted, (0, count - len(fitted)))


def resample(samples: np.ndarray, before: int, after: int) -> np.ndarray:
    """Return samples of rate `before` at rate `after`, as scipy.signal.resample_poly does: a Kaiser-windowed sinc."""
    if before == after:
        return samples
    divisor = np.gcd(before, after)
    up, down = int(after // divisor), int(before // divisor)
    widest = max(up, down)
    half = 10 * widest
    places = np.arange(-half, half + 1)
    taps = np.sinc(places / widest) * np.kaiser(2 * half + 1, 5.0)
    taps *= up / taps.sum()
    reach = half // up + 1
    taps = np.pad(taps, up * (reach + 1))
    padded, offsets = np.pad(samples, reach), np.arange(-reach, reach + 1)
    parts = []
    for first in range(0, -(-len(samples) * up // down), 4096):
        time = np.arange(first, min(first + 4096, -(-len(samples) * up // down))) * down
        base, phase = time // up, time % up
        index = half + up * (reach + 1) + phase[:, None] - offsets * up
        parts.append((padded[np.minimum(base[:, None] + reach + offsets, len(padded) - 1)] * taps[index]).sum(axis=1))
    return np.concatenate(parts) if parts else samples


# --- texts and numbers --------------------------------------------------------------------------------------------


def hash_texts(texts: list, width: int) -> np.ndarray:
    """Return texts (n, width): words and pairs of words in the first half, runs of three letters in the second."""
    half = width // 2
    result = np.zeros((len(texts), width), np.float32)
    for row, text in enumerate(texts):
        words = re.findall(r"(?u)\b\w\w+\b", text.lower())
        pairs = [" ".join(words[i : i + 2]) for i in range(len(words) - 1)]
        blanked = [f" {word} " for word in text.lower().split()]
        runs = [word[i : i + 3] for word in blanked for i in range(len(word) - 2)]
        for start, grams in ((0, words + pairs), (half, runs)):
            part = result[row, start : start + half]
            for gram in grams:
                code = _murmur(gram.encode())
                part[abs(code) % half] += 1 if code >= 0 else -1
            length = np.sqrt(np.square(part, dtype=np.float64).sum())
            if length:
                part *= np.sqrt(half) / length
    return result.astype(np.float16).astype(np.float32)


def _murmur(key: bytes) -> int:
    """Return the 32 bits of MurmurHash3 with seed 0, signed (Appleby 2011, public domain)."""

    def mix(block: int) -> int:
        block = block * 0xCC9E2D51 & 0xFFFFFFFF
        return (block << 15 | block >> 17) * 0x1B873593 & 0xFFFFFFFF

    code, whole = 0, len(key) // 4 * 4
    for (block,) in struct.iter_unpack("<I", key[:whole]):
        code ^= mix(block)
        code = ((code << 13 | code >> 19) & 0xFFFFFFFF) * 5 + 0xE6546B64 & 0xFFFFFFFF
    if key[whole:]:
        code ^= mix(int.from_bytes(key[whole:], "little"))
    code ^= len(key)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):
        code = (code ^ code >> shift) * factor & 0xFFFFFFFF
    return code - (1 << 32) if code >> 31 else code


def _text_column(text: str) -> list:
    """Return the column "text" of a table with a first line of names, or the one with most letters."""
    rows = [row for row in csv.reader(io.StringIO(text)) if row]
    sizes = [sum(len(row[i]) for row in rows if i < len(row)) for i in range(len(rows[0]))]
    column = rows[0].index("text") if "text" in rows[0] else int(np.argmax(sizes))
    return [row[column] for row in rows[1:]]


def _number_rows(text: str, path: str, shape: tuple) -> np.ndarray:
    """Return the numbers of a table with a first line of names: its numbered columns (x0, x1, ...), or all numbers."""
    rows = [row for row in csv.reader(io.StringIO(text)) if row]
    width, groups = int(np.prod(shape)), {}
    for column, name in enumerate(rows[0]):
        match = re.fullmatch(r"(.*?)[ _.\-\[]?(\d+)\]?", name.strip())
        if match:
            groups.setdefault(match[1], []).append((int(match[2]), column))
    fitting = [[column for _, column in sorted(group)] for group in groups.values() if len(group) == width]
    columns = fitting[0] if fitting else list(range(len(rows[0])))
    if len(columns) != width:
        raise ValueError(f"{path} has {len(columns)} columns, the student takes {width} numbers an item")
    return np.array([[row[column] for column in columns] for row in rows[1:]], np.float32).reshape(-1, *shape)


def _from_arrays(raw: bytes, path: str, shape: tuple) -> np.ndarray:
    """Return the array (n, *shape) of an .npz or .npy; a single item counts as one."""
    loaded = np.load(io.BytesIO(raw), allow_pickle=False)
    for array in [loaded] if isinstance(loaded, np.ndarray) else [loaded[name] for name in loaded.files]:
        if array.shape == shape:
            return array[None]
        if array.shape[1:] == shape:
            return array
    raise ValueError(f"{path} holds no array of shape (n, {', '.join(map(str, shape))})")
