"""Embeddings as files: what is written is read back by other libraries, and by our own import."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import psutil
import pytest
from pyarrow import parquet

from kdlib.cache import open_array
from kdlib.models import embedding_files
from kdlib.models.embedding_files import WRITERS, write_embeddings
from kdlib.models.quantization import PRECISIONS, Quantizer, calibrate
from kdlib.progress import CancelledError
from tests.live_engine import ROOT, wait_until

ROWS = 2500  # more than are written at a time
IDS = np.array([f"item {row}" for row in range(ROWS)])
EMBEDDINGS = np.random.default_rng(0).normal(size=(ROWS, 3)).astype(np.float32)


def read_npy(path):
    return IDS, np.load(path, allow_pickle=False)


def read_npz(path):
    with np.load(path, allow_pickle=False) as arrays:
        return arrays["id"], arrays["embedding"]


def read_parquet(path):
    frame = pd.read_parquet(path)
    return frame["id"].to_numpy(), np.stack(frame["embedding"])


READERS = {".npy": read_npy, ".npz": read_npz, ".parquet": read_parquet}


@pytest.mark.parametrize("ending", list(WRITERS))
@pytest.mark.parametrize("rows", [1, ROWS])
def test_what_is_written_is_read_back(ending, rows, tmp_path, monkeypatch):
    monkeypatch.setattr(embedding_files, "CHUNK_BYTES", 12 * 1000)
    path = tmp_path / f"e{ending}"
    write_embeddings(path, IDS[:rows], EMBEDDINGS[:rows])
    ids, embeddings = READERS[ending](path)
    assert ids[:rows].tolist() == IDS[:rows].tolist()
    np.testing.assert_array_equal(embeddings, EMBEDDINGS[:rows])
    assert embeddings.dtype == np.float32
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_another_ending_is_refused_with_the_choices(tmp_path):
    with pytest.raises(ValueError, match=r"\.parquet, \.npz, \.npy"):
        write_embeddings(tmp_path / "e.csv", IDS, EMBEDDINGS)
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_written_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "e.npz"
    write_embeddings(path, IDS[:2], EMBEDDINGS[:2])

    def full(*_, **__):
        raise OSError("no space left")

    monkeypatch.setattr(embedding_files, "_stream_npy", full)
    with pytest.raises(OSError, match="no space"):
        write_embeddings(path, IDS, EMBEDDINGS)
    assert len(read_npz(path)[0]) == 2
    assert len(list(tmp_path.iterdir())) == 1


def read_quantizer(path):
    """Return what the file says about its codes."""
    if path.suffix == ".parquet":
        return Quantizer.from_dict(json.loads(parquet.read_schema(path).metadata[b"kdlib"]))
    if path.suffix == ".npy":
        return Quantizer.from_dict(json.loads(path.with_name(f"{path.name}.json").read_text()))
    with np.load(path, allow_pickle=False) as arrays:
        return Quantizer.from_dict({name: arrays[name] for name in ("precision", "width", "low", "high")})


@pytest.mark.parametrize("ending", list(WRITERS))
@pytest.mark.parametrize("name", list(PRECISIONS))
def test_codes_are_undone_by_what_the_file_holds(ending, name, tmp_path, monkeypatch):
    monkeypatch.setattr(embedding_files, "CHUNK_BYTES", 12 * 1000)
    path, quantizer = tmp_path / f"e{ending}", calibrate(name, EMBEDDINGS)
    write_embeddings(path, IDS, EMBEDDINGS, quantizer)
    codes = READERS[ending](path)[1]
    assert codes.dtype == np.dtype(PRECISIONS[name].dtype)
    stored = read_quantizer(path) if quantizer.levels else Quantizer(name, 3)
    np.testing.assert_array_equal(stored.decode(codes), quantizer.decode(quantizer.encode(EMBEDDINGS)))


def test_an_export_that_is_stopped_leaves_nothing_and_what_was_there(tmp_path):
    path = tmp_path / "e.npy"
    write_embeddings(path, IDS[:2], EMBEDDINGS[:2])
    with pytest.raises(CancelledError):
        write_embeddings(path, IDS, EMBEDDINGS, calibrate("int8", EMBEDDINGS), lambda _: True)
    assert [each.name for each in tmp_path.iterdir()] == ["e.npy"]
    assert len(np.load(path)) == 2


KILLED = """
import sys, time
from pathlib import Path
import numpy as np
from kdlib.models import embedding_files
class Slow:
    shape = (1000, 3)
    def __getitem__(self, rows):
        time.sleep(0.05)
        return np.ones((len(rows), 3), np.float32)
embedding_files.CHUNK_BYTES = 12
embedding_files.write_embeddings(Path(sys.argv[1]), np.array(["x"] * 1000), Slow())
"""


def test_a_killed_export_leaves_no_half_file_and_the_next_one_clears_up(tmp_path):
    path = tmp_path / "e.npz"
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(path)], cwd=ROOT)
    wait_until(lambda: list(tmp_path.glob(".e.npz.*.part")) or process.poll() is not None)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not path.exists()
    (left,) = tmp_path.iterdir()
    young = tmp_path / ".e.npz.young.part"
    young.write_bytes(b"another process is at it")
    before = time.time() - 2 * embedding_files.ABANDONED_SECONDS
    os.utime(left, (before, before))
    write_embeddings(path, IDS, EMBEDDINGS)
    assert {each.name for each in tmp_path.iterdir()} == {"e.npz", young.name}


@pytest.mark.parametrize(("ending", "name"), [(".npz", "float32"), (".npy", "int8"), (".parquet", "binary")])
def test_many_rows_once_filled_the_memory(ending, name, tmp_path):
    rows, width = 300_000, 64  # 77 MB
    source = tmp_path / "source.npy"
    made = np.lib.format.open_memmap(source, "w+", "<f4", (rows, width))
    for start in range(0, rows, 10_000):
        made[start : start + 10_000] = np.arange(10_000, dtype=np.float32)[:, None] + start
    del made
    large, process, most = open_array(source), psutil.Process(), 0
    ids = np.arange(rows).astype("U7")
    quantizer = calibrate(name, large[np.arange(0, rows, 100)])
    write_embeddings(tmp_path / f"small{ending}", ids[:100], large[np.arange(100)], quantizer)  # loads libraries
    before = process.memory_info().rss

    def note(_):
        nonlocal most
        most = max(most, process.memory_info().rss - before)

    write_embeddings(tmp_path / f"e{ending}", ids, large, quantizer, note)
    assert 0 <= most < 60 << 20, f"{most >> 20} MB"  # a few pieces of 8 MB, whatever the size of the table
    assert len(READERS[ending](tmp_path / f"e{ending}")[1]) == rows
