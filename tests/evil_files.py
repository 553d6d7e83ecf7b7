"""Files that must be refused, generated: name -> (file name, what the refusal must say, limits or None, how to write it)."""

import io
import json
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

from kdlib.data.intake import Limits

Write = Callable[[Path], object]
SMALL = Limits(array_mb=1, dataset_mb=2, rows=5000, width=64, members=20, pixels=10_000)


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


def encoded(kind: str) -> bytes:
    out = io.BytesIO()
    noise = np.random.default_rng(0).normal(0, 0.1, 16000)
    soundfile.write(out, noise, 16000, format=kind)
    return out.getvalue()


def png(width: int = 8, height: int = 8) -> bytes:
    out = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (height, width), dtype=np.uint8)
    Image.fromarray(noise).save(out, format="PNG")
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


def _header(shape: str, dtype: str = "<f4") -> bytes:
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (-(10 + len(text) + 1) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def _symlink(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        entry = zipfile.ZipInfo("secret.wav")
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(entry, "/etc/passwd")


def _patched(old: bytes, new: bytes, *entries: tuple[str, bytes]) -> Write:
    """Write a zip and change bytes of it."""

    def write(path: Path) -> None:
        zipped(*entries)(path)
        raw = path.read_bytes()
        assert old in raw
        path.write_bytes(raw.replace(old, new))

    return write


def _flag(bit: int) -> Write:
    def write(path: Path) -> None:
        zipped(("a.wav", wav()))(path)
        raw = bytearray(path.read_bytes())
        raw[6] |= bit
        raw[raw.index(b"PK\x01\x02") + 8] |= bit
        path.write_bytes(raw)

    return write


def _overlapping(path: Path) -> None:
    """Two entries of the central directory that point to the same bytes."""
    zipped(("a.wav", wav()), ("b.wav", wav()))(path)
    raw = bytearray(path.read_bytes())
    second = raw.rindex(b"PK\x01\x02")
    raw[second + 42 : second + 46] = struct.pack("<I", 0)
    path.write_bytes(raw)


def _lying(path: Path) -> None:
    """An entry that unpacks to more than it declares."""
    zipped(("a.wav", b"RIFF" + bytes(4) + b"WAVE" + bytes(5000)), compression=zipfile.ZIP_DEFLATED)(path)
    raw = bytearray(path.read_bytes())
    for place in (22, raw.index(b"PK\x01\x02") + 24):
        raw[place : place + 4] = struct.pack("<I", 100)
    path.write_bytes(raw)


def _columns(path: Path, **columns) -> None:
    parquet.write_table(pa.table(columns), path)


def _parquet_damaged(path: Path) -> None:
    """A table whose end is whole and whose pages are not."""
    _columns(path, a=[f"word {row}" for row in range(1000)])
    raw = bytearray(path.read_bytes())
    raw[4:200] = b"\xff" * 196
    path.write_bytes(raw)


def _column_twice(path: Path) -> None:
    parquet.write_table(pa.Table.from_arrays([pa.array(["x", "y"])] * 2, names=["a", "a"]), path)


def _with_rate(rate: int) -> bytes:
    """A wav whose header says another sampling rate."""
    raw = bytearray(wav())
    raw[24:28] = struct.pack("<I", rate)
    return bytes(raw)


def _with_size(side: int) -> bytes:
    """A png whose header says another size, with the checksum that belongs to it."""
    raw = bytearray(png())
    raw[16:24] = struct.pack(">II", side, side)
    raw[29:33] = struct.pack(">I", zlib.crc32(raw[12:29]))
    return bytes(raw)


def _parquet_bomb(path: Path) -> None:
    """A few kB that decode to megabytes: 4,000 rows of the same 500 zeros."""
    _columns(path, e=pa.array([[0.0] * 500] * 4000, pa.list_(pa.float32())))


def _cut(write: Write, share: float = 0.6) -> Write:
    def cut(path: Path) -> None:
        write(path)
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])

    return cut


def _content(content: bytes) -> Write:
    return lambda path: path.write_bytes(content)


def _pickled(path: Path) -> None:
    path.write_bytes(pickle.dumps(Planted(path.parent / "planted")))


def _objects(path: Path) -> None:
    np.save(path, np.array([Planted(path.parent / "planted")], dtype=object), allow_pickle=True)


def _torch(path: Path) -> None:
    zipped(("archive/data.pkl", pickle.dumps(Planted(path.parent / "planted"))), ("archive/version", b"3"))(path)


def csv(text: str) -> Write:
    return _content(text.encode())


GOOD_CSV = "id,label,e0,e1\n" + "".join(f"i{n},{'ab'[n % 2]},{n},{-n}\n" for n in range(20))
EVIL: dict[str, tuple[str, str, Limits | None, Write]] = {
    "object array": ("x.npy", "holds Python objects, which is a pickle", None, _objects),
    "object array in npz": (
        "x.npz",
        "holds Python objects",
        None,
        zipped(("a.npy", npy(np.array([{}], dtype=object)))),
    ),
    "pickle": ("x.pkl", "is a pickle", None, _pickled),
    "pickle named csv": ("x.csv", "is a pickle", None, _pickled),
    "pickle of protocol 0": ("x.joblib", "is a pickle", None, _content(b"cos\nsystem\n(S'true'\ntR.")),
    "torch": ("x.pt", "is a pickle", None, _torch),
    "torch named zip": ("x.zip", "torch file with a pickle", None, _torch),
    "absolute name": ("x.zip", "'/etc/a.wav' points outside", None, zipped(("/etc/a.wav", wav()))),
    "name that climbs": ("x.zip", r"'../a.wav' points outside", None, zipped(("../a.wav", wav()))),
    "name of Windows": ("x.zip", "points outside", None, zipped(("c:\\a.wav", wav()))),
    "symlink": ("x.zip", "'secret.wav' is a symbolic link", None, _symlink),
    "same after composing accents": (
        "x.zip",
        "'\u00e9.wav' and 'e\u0301.wav' are the same",
        None,
        zipped(("\u00e9.wav", wav()), ("e\u0301.wav", wav())),
    ),
    "encrypted": ("x.zip", "'a.wav' is encrypted", None, _flag(1)),
    "nested": (
        "x.zip",
        "'b.zip' is a zip inside",
        None,
        zipped(("a.wav", wav()), ("b.zip", b"PK\x05\x06" + bytes(18))),
    ),
    "overlapping": ("x.zip", "overlap", None, _overlapping),
    "same after case folding": (
        "x.zip",
        "'A.wav' and 'a.wav' are the same",
        None,
        zipped(("A.wav", wav()), ("a.wav", wav())),
    ),
    "lying size": ("x.zip", "'a.wav'.* declare", None, _lying),
    "too many members": (
        "x.zip",
        "has 30 entries, at most 20",
        SMALL,
        zipped(*((f"{i}.wav", b"x") for i in range(30))),
    ),
    "zip bomb": (
        "x.zip",
        "'b' unpack to more than 2 MB",
        SMALL,
        zipped(("b", bytes(3 << 20)), compression=zipfile.ZIP_DEFLATED),
    ),
    "zip cut off": ("x.zip", "not a whole zip", None, _cut(zipped(("a.wav", wav())))),
    "pickle in a zip": ("x.zip", "m.pkl is a pickle", None, zipped(("a.wav", wav()), ("m.pkl", pickle.dumps(1)))),
    "header says more": ("x.npy", "header that disagrees", None, _content(_header("(100, 4)") + bytes(16))),
    "header says terabytes": (
        "x.npy",
        "header that disagrees",
        None,
        _content(_header("(1000000, 1000000)") + bytes(16)),
    ),
    "header is no header": ("x.npy", "damaged header", None, _content(_header("__import__('os')") + bytes(16))),
    "structured": ("x.npy", "expected numbers or text", None, _content(npy(np.zeros(3, dtype=[("a", "f4")])))),
    "npz bomb": (
        "x.npz",
        "unpack to more than 2 MB",
        SMALL,
        zipped(("a.npy", npy(np.zeros((9000, 60), np.float32))), compression=8),
    ),
    "too wide": ("x.npy", "100 numbers per row, at most 64", SMALL, _content(npy(np.zeros((3, 100), np.float32)))),
    "too long": ("x.npy", "6,000 rows, at most 5,000", SMALL, _content(npy(np.zeros((6000, 2), np.float32)))),
    "parquet bomb": ("x.parquet", "500 numbers per row, at most 64", SMALL, _parquet_bomb),
    "parquet cut off": (
        "x.parquet",
        "not a whole parquet",
        None,
        _cut(lambda path: _columns(path, a=list(range(1000)))),
    ),
    "parquet damaged inside": ("x.parquet", "parquet table is damaged", None, _parquet_damaged),
    "parquet with a column twice": ("x.parquet", "'a' twice", None, _column_twice),
    "parquet with text among numbers": (
        "x.parquet",
        "row 1, column 'e1': '1_0' is not a number",
        None,
        lambda p: _columns(p, e0=["1", "2"], e1=["1", "1_0"]),
    ),
    "parquet of lists that differ": (
        "x.parquet",
        "'e' has 1 numbers in row 1, 2 in row 0",
        None,
        lambda p: _columns(p, e=[[1.0, 2.0], [1.0]]),
    ),
    "wav cut off": ("x.zip", "'a.wav' is cut off", None, zipped(("a.wav", wav()[:3000]))),
    "wav of a header": ("x.zip", "'a.wav' is a header without samples", None, zipped(("a.wav", wav(0)))),
    "wav of an absurd rate": (
        "x.zip",
        "'a.wav' has a sampling rate of 4,294,967,295 Hz",
        None,
        zipped(("a.wav", _with_rate(2**32 - 1))),
    ),
    "wav of no rate": ("x.zip", "'a.wav' has a sampling rate of 0 Hz", None, zipped(("a.wav", _with_rate(0)))),
    "flac of nothing": ("x.zip", "'a.flac' is not a whole recording", None, zipped(("a.flac", b"fLaC" + bytes(600)))),
    "flac cut off": ("x.zip", "'a.flac' is (damaged or )?cut off", None, zipped(("a.flac", encoded("FLAC")[:8000]))),
    "ogg cut off": ("x.zip", "'a.ogg' is cut off", None, zipped(("a.ogg", encoded("OGG")[:6000]))),
    "png cut off": ("x.zip", "'a.png' is damaged or cut off", None, zipped(("a.png", png(64, 64)[:2000]))),
    "too many pixels": ("x.zip", "'a.png' has 200 x 100 pixels", SMALL, zipped(("a.png", png(200, 100)))),
    "pixels without end": (
        "x.zip",
        "'a.png' has more than 179 million pixels, at most 25",
        None,
        zipped(("a.png", _with_size(60_000))),
    ),
    "png of nothing": ("x.zip", "'a.png' is not a whole picture", None, zipped(("a.png", png()[:20] + bytes(600)))),
    "wrong extension": ("x.csv", "named .csv but holds a png", None, _content(png())),
    "wrong extension in a zip": ("x.zip", "a.wav is named .wav but holds a png", None, zipped(("a.wav", png()))),
    "empty": ("x.csv", "empty", None, _content(b"")),
    "empty in a zip": ("x.zip", "a.wav is empty", None, zipped(("a.wav", b""))),
    "zip of nothing": ("x.zip", "without files", None, zipped()),
    "ragged": (
        "x.csv",
        "line 3 has 3 fields, the first line has 2: column 3 is too much",
        None,
        csv("a,b\n1,2\n1,2,3\n"),
    ),
    "ragged, too short": (
        "x.csv",
        "line 3 has 1 fields, the first line has 2: column 2 is missing",
        None,
        csv("a,b\n1,2\n1\n"),
    ),
    "latin-1": ("x.csv", "line 3, column 2 is not UTF-8", None, _content("a,b\n1,2\n1,é\n".encode("latin-1"))),
    "latin-1 behind a semicolon": (
        "x.csv",
        "line 2, column 3 is not UTF-8",
        None,
        _content('a;b;c\n"1;0";2,5;\u00e9\n'.encode("latin-1")),
    ),
    "a row without end": (
        "x.csv",
        "a row after line 2 has a field of more than 131,072 characters; is a quote missing",
        None,
        csv("a,b\n1,2\n" + '"' + "x,\n" * 2_000_000),
    ),
    "a first line without end": (
        "x.csv",
        "the first line does not end within 1 MB",
        None,
        csv('a,"b' + ",c" * 700_000),
    ),
    "a first line of nothing": ("x.csv", "must name every column once, got '' as a name", None, csv("\n1\n")),
    "only a first line": ("x.csv", "a first line but no rows", None, csv("a,b")),
    "bytes of another encoding": (
        "x.npy",
        "x holds a text that is not UTF-8",
        None,
        _content(npy(np.array([b"\xe9"]))),
    ),
    "text of no letters": ("x.npy", "texts of 0 letters", None, _content(_header("(3,)", "<U0"))),
    "half a letter": (
        "x.npy",
        "x holds letters that do not exist",
        None,
        _content(_header("(1,)", "<U1") + struct.pack("<I", 0xD800)),
    ),
    "no letter": (
        "x.npy",
        "x holds letters that do not exist",
        None,
        _content(_header("(1,)", "<U1") + struct.pack("<I", 0x7FFFFFFF)),
    ),
    "text among numbers": (
        "x.csv",
        "line 12, column 'e1': 'oops' is not a number",
        None,
        csv(GOOD_CSV.replace(",10,-10\n", ",10,oops\n")),
    ),
    "a column twice": ("x.csv", "'a' twice", None, csv("a,a\n1,2\n")),
    "columns that differ in length": (
        "x.npz",
        "y 3, x 4",
        None,
        lambda path: np.savez(path, y=np.zeros(3), x=np.zeros((4, 2))),
    ),
    "columns without end": (
        "x.csv",
        "more than 1,000 columns",
        None,
        csv(",".join(f"c{i}x" for i in range(1500)) + "\n" + "," * 1499 + "\n"),
    ),
    "a name without end": ("x.csv", "a name of 3,000 characters", None, csv("x" * 3000 + "\n1\n")),
    "html": (
        "x.html",
        "x.html is text; what can be read",
        None,
        _content(b"<html>\n<script>alert(1)</script>,1\n</html>\n"),
    ),
    "json": (
        "x.json",
        "x.json is text; what can be read",
        None,
        _content(json.dumps({"a": [1, 2]}, indent=1).encode()),
    ),
}
