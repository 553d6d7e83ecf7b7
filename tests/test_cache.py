"""The content-keyed cache: a reader sees a whole entry or none."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from kdlib import cache
from kdlib.cache import atomic_path, cached_arrays, cached_rows, content_key, count_rows, home


@pytest.fixture(autouse=True)
def empty_home(tmp_path, monkeypatch):
    monkeypatch.setenv("KDLIB_HOME", str(tmp_path / "home"))


class Builder:
    """Counts how often it is asked."""

    def __init__(self):
        self.calls = 0

    def __call__(self):
        self.calls += 1
        return {"x": np.arange(6, dtype=np.float32).reshape(2, 3).T}  # not contiguous, as real arrays often are


def test_the_data_folder_is_made_when_it_is_first_asked_for(tmp_path):
    assert home() == tmp_path / "home"
    assert home().is_dir()


def test_arrays_are_built_once_and_then_read():
    build = Builder()
    first, second = (cached_arrays("things", "key", build) for _ in range(2))
    assert build.calls == 1
    np.testing.assert_array_equal(first["x"], [[0, 3], [1, 4], [2, 5]])
    np.testing.assert_array_equal(second["x"], first["x"])


@pytest.mark.parametrize("damage", [b"", b"\xff" * 64, None], ids=["empty", "garbage", "cut short"])
def test_a_damaged_entry_is_built_again(damage):
    build = Builder()
    cached_arrays("things", "key", build)
    path = home() / "cache" / "things" / "key.safetensors"
    path.write_bytes(path.read_bytes()[:-4] if damage is None else damage)
    np.testing.assert_array_equal(cached_arrays("things", "key", build)["x"], [[0, 3], [1, 4], [2, 5]])
    assert build.calls == 2


def test_an_error_while_building_leaves_nothing():
    def fail():
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        cached_arrays("things", "key", fail)
    assert not list((home() / "cache").rglob("*.*"))


def test_an_error_while_writing_keeps_the_old_content(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")

    def write_half_and_fail():
        with atomic_path(path) as temporary:
            temporary.write_text("ne")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_half_and_fail()
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["file"]
    assert path.read_text() == "old"


def test_a_process_killed_while_writing_leaves_nothing_under_the_final_name(tmp_path):
    code = (
        "import os, signal, sys; from pathlib import Path; from kdlib.cache import atomic_path\n"
        "with atomic_path(Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "file")], env=os.environ, check=False)
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / "file").exists()


def test_a_key_covers_content_type_and_shape():
    row = np.zeros(4, np.float32)
    others = [{"b": row}, {"a": row.reshape(2, 2)}, {"a": row.astype(np.int32)}, {"a": row + 1}]
    assert len({content_key(**parts) for parts in [{"a": row}, *others]}) == 5
    assert content_key(a=1, b=b"x") == content_key(b=b"x", a=1)


def test_a_key_of_something_without_content_is_refused():
    with pytest.raises(TypeError, match="a key cannot be made of object"):
        content_key(a=object())


def test_who_asks_at_the_same_time_waits_for_one_build():
    started, going_on = threading.Event(), threading.Event()
    calls = []

    def build():
        calls.append(1)
        started.set()
        assert going_on.wait(10)
        return {"x": np.ones(2)}

    results = []
    threads = [
        threading.Thread(target=lambda: results.append(cached_arrays("things", "slow", build))) for _ in range(2)
    ]
    threads[0].start()
    assert started.wait(10)
    threads[1].start()
    going_on.set()
    for thread in threads:
        thread.join(10)
    assert len(calls) == 1
    assert [each["x"].tolist() for each in results] == [[1, 1], [1, 1]]


def test_rows_are_kept_as_they_come_and_gone_on_with():
    asked = []

    def batches(first, fail_at=None):
        for start in range(first, 10, 3):
            if start == fail_at:
                raise KeyboardInterrupt
            asked.append(start)
            yield np.arange(start, min(start + 3, 10), dtype=np.float32)[:, None] * np.ones(2, np.float32)

    with pytest.raises(KeyboardInterrupt):
        cached_rows("rows", "k", 10, lambda first: batches(first, fail_at=6))
    [part] = (home() / "cache" / "rows").glob("*")
    with part.open("ab") as stream:
        stream.write(b"less than a row"[:7])  # a write that the end of the process cut short
    rows = cached_rows("rows", "k", 10, batches)
    assert asked == [0, 3, 6, 9]
    np.testing.assert_array_equal(rows, np.arange(10)[:, None] * np.ones(2))
    np.testing.assert_array_equal(cached_rows("rows", "k", 10, lambda _: pytest.fail("made again")), rows)


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY", b"no array at all, but longer than a header would be" * 9])
def test_rows_that_were_begun_and_damaged_are_made_anew(damage):
    path = home() / "cache" / "rows" / "k.part"
    path.parent.mkdir(parents=True)
    path.write_bytes(damage)
    rows = cached_rows("rows", "k", 2, lambda first: iter([np.ones((2 - first, 1), np.float32)]))
    np.testing.assert_array_equal(rows, np.ones((2, 1)))


def test_rows_are_counted_while_they_are_made_and_afterwards():
    counted = [count_rows("rows", "k", 4)]

    def batches(first):
        for row in range(first, 4):
            yield np.full((1, 2, 3), row, np.float32)
            counted.append(count_rows("rows", "k", 4))

    cached_rows("rows", "k", 4, batches)
    assert counted == [0, 1, 2, 3, 4]
    assert count_rows("rows", "k", 4) == 4


def test_large_rows_stay_on_disk_and_give_their_memory_back(monkeypatch):
    monkeypatch.setattr(cache, "MAPPED_BYTES", 1000)
    rows = np.random.default_rng(0).normal(size=(5000, 64)).astype(np.float32)
    mapped = cached_rows("rows", "k", 5000, lambda _: iter([rows]))
    assert isinstance(mapped, cache.MappedArray)
    chosen = np.random.default_rng(1).permutation(5000)
    np.testing.assert_array_equal(mapped[chosen], rows[chosen])
    assert resident(mapped) == 0
    np.testing.assert_array_equal(mapped[10:20], rows[10:20])


def resident(mapped) -> int:
    """Return how many kB of the file that an array maps are in the memory of this process."""
    name, inside = str(mapped.filename), False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if "-" in line.split(" ")[0]:
            inside = line.endswith(name)
        elif inside and line.startswith("Rss:"):
            return int(line.split()[1])
    raise AssertionError(f"{name} is not mapped")
