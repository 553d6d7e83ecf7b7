"""Writers of files for tests: good ones, and ones that are damaged or lie about what they hold."""

import io
import pickle
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import soundfile
from PIL import Image
from pyarrow import parquet

Write = Callable[[Path], object]


class Planted:
    """Whoever unpickles it creates the file it names."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def wav(seconds: float = 0.5, rate: int = 8000, hertz: float = 440) -> bytes:
    out = io.BytesIO()
    time = np.arange(int(seconds * rate)) / rate
    soundfile.write(out, 0.5 * np.sin(2 * np.pi * hertz * time), rate, format="WAV")
    return out.getvalue()


def encoded(kind: str, samples: int = 16000) -> bytes:
    out = io.BytesIO()
    noise = np.random.default_rng(0).normal(0, 0.1, samples)
    soundfile.write(out, noise, 16000, format=kind)
    return out.getvalue()


def png(width: int = 8, height: int = 8) -> bytes:
    out = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (height, width), dtype=np.uint8)
    Image.fromarray(noise).save(out, format="PNG")
    return out.getvalue()


def picture(content: np.ndarray | Image.Image, kind: str = "PNG", **options) -> bytes:
    """Return an image, or values (h, w) or (h, w, 3) of bytes, as a file."""
    out = io.BytesIO()
    shown = Image.fromarray(content) if isinstance(content, np.ndarray) else content
    shown.save(out, format=kind, **options)
    return out.getvalue()


def npy(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, array, allow_pickle=array.dtype.hasobject)
    return out.getvalue()


def zipped(*entries: tuple[str, bytes], compression: int = zipfile.ZIP_STORED) -> Write:
    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w", compression) as archive:
            for name, content in entries:
                archive.writestr(zipfile.ZipInfo(name) if name.startswith(("/", "..")) else name, content)

    return write


def npy_header(shape: str, dtype: str = "<f4") -> bytes:
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (-(10 + len(text) + 1) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def symlink_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        entry = zipfile.ZipInfo("secret.wav")
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(entry, "/etc/passwd")


def flagged(bit: int) -> Write:
    def write(path: Path) -> None:
        zipped(("a.wav", wav()))(path)
        raw = bytearray(path.read_bytes())
        raw[6] |= bit
        raw[raw.index(b"PK\x01\x02") + 8] |= bit
        path.write_bytes(raw)

    return write


def overlapping_zip(path: Path) -> None:
    """Two entries of the central directory that point to the same bytes."""
    zipped(("a.wav", wav()), ("b.wav", wav()))(path)
    raw = bytearray(path.read_bytes())
    second = raw.rindex(b"PK\x01\x02")
    raw[second + 42 : second + 46] = struct.pack("<I", 0)
    path.write_bytes(raw)


def lying_zip(path: Path) -> None:
    """An entry that unpacks to more than it declares."""
    zipped(("a.wav", b"RIFF" + bytes(4) + b"WAVE" + bytes(5000)), compression=zipfile.ZIP_DEFLATED)(path)
    raw = bytearray(path.read_bytes())
    for place in (22, raw.index(b"PK\x01\x02") + 24):
        raw[place : place + 4] = struct.pack("<I", 100)
    path.write_bytes(raw)


def parquet_table(path: Path, **columns) -> None:
    parquet.write_table(pa.table(columns), path)


def damaged_parquet(path: Path) -> None:
    """A table whose end is whole and whose pages are not."""
    parquet_table(path, a=[f"word {row}" for row in range(1000)])
    raw = bytearray(path.read_bytes())
    raw[4:200] = b"\xff" * 196
    path.write_bytes(raw)


def parquet_with_a_column_twice(path: Path) -> None:
    parquet.write_table(pa.Table.from_arrays([pa.array(["x", "y"])] * 2, names=["a", "a"]), path)


def wav_of_rate(rate: int) -> bytes:
    """A wav whose header says another sampling rate."""
    raw = bytearray(wav())
    raw[24:28] = struct.pack("<I", rate)
    return bytes(raw)


def png_of_size(side: int) -> bytes:
    """A png whose header says another size, with the checksum that belongs to it."""
    raw = bytearray(png())
    raw[16:24] = struct.pack(">II", side, side)
    raw[29:33] = struct.pack(">I", zlib.crc32(raw[12:29]))
    return bytes(raw)


def parquet_bomb(path: Path) -> None:
    """A few kB that decode to megabytes: 4,000 rows of the same 500 zeros."""
    parquet_table(path, e=pa.array([[0.0] * 500] * 4000, pa.list_(pa.float32())))


def cut_off(write: Write, share: float = 0.6) -> Write:
    def cut(path: Path) -> None:
        write(path)
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])

    return cut


def of_bytes(content: bytes) -> Write:
    return lambda path: path.write_bytes(content)


def pickle_file(path: Path) -> None:
    path.write_bytes(pickle.dumps(Planted(path.parent / "planted")))


def object_array(path: Path) -> None:
    np.save(path, np.array([Planted(path.parent / "planted")], dtype=object), allow_pickle=True)


def torch_file(path: Path) -> None:
    zipped(("archive/data.pkl", pickle.dumps(Planted(path.parent / "planted"))), ("archive/version", b"3"))(path)


def csv(text: str) -> Write:
    return of_bytes(text.encode())


GOOD_CSV = "id,label,e0,e1\n" + "".join(f"i{n},{'ab'[n % 2]},{n},{-n}\n" for n in range(20))
