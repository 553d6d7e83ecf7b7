"""The gate: every kind of evil file is refused in words, quickly, and nothing it holds is ever run."""

import io
import os
import re
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pytest
import soundfile
from pyarrow import parquet

from kdlib.data import intake, spectrograms
from kdlib.data.intake import IntakeError, Limits, progress, reading
from kdlib.data.intake import child as child_process
from kdlib.progress import CancelledError, Progress
from tests.evil_files import EVIL
from tests.file_writers import GOOD_CSV, csv, npy, png, wav, zipped

ROOT = Path(__file__).resolve().parent.parent


def written(tmp_path, name, write):
    folder = tmp_path / "given"
    folder.mkdir()
    write(folder / name)
    (tmp_path / "out").mkdir()
    return folder / name, tmp_path / "out"


@pytest.mark.parametrize("evil", EVIL)
def test_an_evil_file_is_refused_in_words(evil, tmp_path):
    name, message, limits, write = EVIL[evil]
    path, out = written(tmp_path, name, write)
    with pytest.raises(IntakeError, match=message):
        reading.read(path, name, out, limits or Limits())
    assert not (path.parent / "planted").exists(), "a pickle was opened"


INTERNALS = re.compile(
    r"<_io|0x[0-9a-f]{6}|\[Errno|Traceback|Error\b|straddl|[Pp]yarrow|Arrow|libsndfile|soundfile|PIL"
    r"|Format not recognised|cannot identify|truncated|File is not a zip|magic|CRC|codec|object at|<class|deserializ"
    r"|buffer|chunker|unpack requires|Expected \d"
)


@pytest.mark.parametrize("evil", EVIL)
def test_a_refusal_does_not_show_the_words_of_a_library(evil, tmp_path):
    name, _, limits, write = EVIL[evil]
    path, out = written(tmp_path, name, write)
    with pytest.raises(IntakeError) as refused:
        reading.read(path, name, out, limits or Limits())
    assert not INTERNALS.search(str(refused.value)), str(refused.value)


def test_a_refusal_does_not_show_the_trace_of_a_child_that_crashed():
    complaint = "Traceback (most recent call last):\nValueError: cannot reshape array of size 3 into shape (2,)\n"
    message = child_process.explain_exit("x.npz", 1, complaint, Limits())
    assert message.startswith("x.npz could not be read: it is damaged")
    assert not INTERNALS.search(message)


@pytest.fixture
def child(tmp_path):
    """Return a function that reads a file as the app does: in a child process."""

    def read(path, limits=None, on_progress=None):
        out = tmp_path / f"out-{len(list(tmp_path.iterdir()))}"
        out.mkdir()
        return intake.read(path, out, limits=limits, on_progress=on_progress), out

    return read


def test_a_refusal_costs_no_memory_and_leaves_nothing_elsewhere(tmp_path, monkeypatch, child):
    """A few kB that decode to 115 MB: the process that asks stays as it was, only the given folder is written to."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for variable in ("HOME", "TMPDIR"):
        monkeypatch.setenv(variable, str(elsewhere))
    monkeypatch.chdir(elsewhere)
    path, _ = written(tmp_path, "x.npz", zipped(("a.npy", npy(np.zeros((700, 163_840), np.int8))), compression=8))
    before, compiled = psutil.Process().memory_info().rss, set(ROOT.rglob("*.pyc"))
    with pytest.raises(IntakeError, match="163,840 numbers per row"):
        child(path)
    assert psutil.Process().memory_info().rss - before < 32 << 20
    assert not list(elsewhere.iterdir())
    assert set(ROOT.rglob("*.pyc")) == compiled


def test_a_pickle_is_not_opened_by_the_child_either(tmp_path, child):
    name, message, _, write = EVIL["object array"]
    path, _ = written(tmp_path, name, write)
    with pytest.raises(IntakeError, match=message):
        child(path)
    assert not (path.parent / "planted").exists()


def test_the_child_is_held_to_its_memory(tmp_path, child):
    """A column-ordered array has to be held as a whole: 80 MB of them."""
    array = np.asfortranarray(np.zeros((5000, 16_000), np.int8))
    path, _ = written(tmp_path, "x.npz", lambda path: np.savez_compressed(path, a=array))
    with pytest.raises(IntakeError, match="more than 200 MB of memory"):
        child(path, Limits(memory_mb=200))


def test_a_child_that_hangs_is_ended(tmp_path, child):
    """A pipe that nobody writes to takes no processor time, so that no other limit ends the reading."""
    children = psutil.Process().children()
    os.mkfifo(tmp_path / "x.csv")
    with pytest.raises(IntakeError, match=r"x\.csv: reading it made no progress for 1 s"):
        child(tmp_path / "x.csv", Limits(stall_s=1))
    assert psutil.Process().children() == children


def test_a_reading_that_moves_is_not_ended_however_long_it_takes():
    patience = progress.Patience(60, now=0)
    for now in range(50, 1000, 50):
        assert not patience.is_over(now)
        patience.reported(now)
    assert patience.is_over(950 + 61)


def test_reading_reports_rows_and_can_be_stopped(tmp_path, child):
    """The callback sees the rows grow towards all there are; when it says stop, the child is ended at once."""
    children = psutil.Process().children()
    path, _ = written(tmp_path, "x.npy", _content_of(200_000))
    seen = []
    child(path, on_progress=seen.append)
    assert {each.phase for each in seen} == {"importing"}
    steps = [each.step for each in seen]
    assert steps == sorted(steps)
    with pytest.raises(CancelledError):
        child(path, on_progress=lambda _: True)
    assert psutil.Process().children() == children


@pytest.mark.parametrize(
    ("name", "write", "items"),
    [
        ("x.npy", lambda path: np.save(path, np.zeros((3000, 4))), 3000),
        ("x.npz", lambda path: np.savez(path, a=np.zeros((30, 4)), b=np.arange(30)), 30),
        ("x.csv", csv(GOOD_CSV), 20),
        (
            "x.parquet",
            lambda path: parquet.write_table(pa.table({"a": ["x", "y"], "e0": [1.0, 2.0], "e1": [1.0, 3.0]}), path),
            2,
        ),
        ("x.zip", zipped(("a.png", png()), ("b.png", png()), ("c.csv", b"id,label\na,1\nb,2\n")), 2),
        ("x.zip", zipped(("a.wav", wav()), ("b.wav", wav())), 2),
    ],
)
def test_every_kind_of_file_reports_its_items_up_to_the_last(name, write, items, tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "INTERVAL_S", 0)
    path, out = written(tmp_path, name, write)
    seen = []
    reading.read(path, name, out, Limits(), progress.Reporter(lambda step, steps: seen.append((step, steps))))
    assert seen[-1] == (items, items)
    assert seen == sorted(seen)


def test_reports_of_a_child_that_lies_are_passed_over():
    before = Progress(3, 9, phase="importing")
    for line in (
        b"nonsense",
        b"[4]",
        b"{}",
        b"[9, 3]",
        b'["4", 9]',
        b"[-1, 9]",
        b"[4, 9",
        b"[[[[",
        b"[true, true]",
        b"\xff",
    ):
        assert progress.decode(line + b"\n", before) is before
    assert progress.decode(b"[4, 9]\n[5, 9]\n[6", before).step == 5


def test_what_was_understood_comes_back(tmp_path, child):
    path, _ = written(tmp_path, "x.csv", csv(GOOD_CSV))
    contents, out = child(path)
    assert contents.rows == 20
    assert [(column.name, column.shape) for column in contents.columns] == [
        ("id", (20,)),
        ("label", (20,)),
        ("e", (20, 2)),
    ]
    np.testing.assert_array_equal(np.load(out / contents.columns[2].file), [[n, -n] for n in range(20)])


def _content_of(rows):
    return lambda path: np.save(path, np.zeros((rows, 8), np.float32))


def understood(tmp_path, name, write, limits=None):
    path, out = written(tmp_path, name, write)
    report = reading.read(path, name, out, limits or Limits()).to_dict()
    return report | {"values": {each["name"]: np.load(out / each["file"]) for each in report["columns"]}}, out


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_labels_and_ids_stay_as_they_are_written(tmp_path, separator):
    rows = [["id", "label", "note"], ["007", "NA", ""], ["1e5", "None", "null"], ["٣", "  x", "=cmd()"]]
    report, _ = understood(tmp_path, "x.csv", csv("\n".join(separator.join(row) for row in rows) + "\n"))
    assert [report["values"][name].tolist() for name in rows[0]] == [
        list(column) for column in zip(*rows[1:], strict=True)
    ]


def test_a_quoted_name_of_a_column_may_hold_the_delimiter_a_quote_and_a_line_break(tmp_path):
    report, _ = understood(tmp_path, "x.csv", csv('id,"size, in ""m""","two\nlines"\na,1,x\nb,2,y\n'))
    assert {name: each.tolist() for name, each in report["values"].items()} == {
        "id": ["a", "b"],
        'size, in "m"': ["1", "2"],
        "two\nlines": ["x", "y"],
    }
    assert report["first_line"] == 3


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_may_end_as_on_any_system(tmp_path, end):
    report, _ = understood(tmp_path, "x.csv", csv(f'id,"a,b"{end}x,1{end}y,2{end}'))
    assert {name: each.tolist() for name, each in report["values"].items()} == {"id": ["x", "y"], "a,b": ["1", "2"]}
    assert report["first_line"] == 2


def test_semicolons_are_found_beside_quoted_commas(tmp_path):
    report, _ = understood(tmp_path, "x.csv", csv('"a,b,c,d";e\n"1,2";3\n'))
    assert [each["name"] for each in report["columns"]] == ["a,b,c,d", "e"]


def test_rows_of_several_lines_are_read_and_the_line_of_a_bad_one_is_right(tmp_path):
    report, _ = understood(tmp_path, "x.csv", csv('id,note\na,"one\ntwo"\nb,c\n'))
    assert report["values"]["note"].tolist() == ["one\ntwo", "c"]
    assert report["first_line"] == 0, "rows are counted, since lines are no rows"
    (tmp_path / "other").mkdir()
    with pytest.raises(IntakeError, match="line 4 has 3 fields, the first line has 2: column 3 is too much"):
        understood(tmp_path / "other", "x.csv", csv('id,note\na,"one\ntwo"\nb,c,d\n'))


def test_columns_of_answers_are_no_embedding(tmp_path):
    report, _ = understood(tmp_path, "x.csv", csv("tag0,tag1\n1,0\n,1\n0,\n"))
    assert report["values"]["tag1"].tolist() == ["0", "1", ""]


def test_parquet_keeps_text_numbers_and_lists(tmp_path):
    columns = {"id": ["007", "NA"], "n": [3, None], "x": [0.5, 2.0], "e": [[1.0, 2.0], [3.0, 4.0]]}
    report, _ = understood(tmp_path, "x.parquet", lambda path: parquet.write_table(pa.table(columns), path))
    values = {name: each.tolist() for name, each in report["values"].items()}
    assert values == {"id": ["007", "NA"], "n": ["3", ""], "x": ["0.5", "2"], "e": [[1, 2], [3, 4]]}


def test_what_is_not_finite_zero_or_constant_is_found_while_reading(tmp_path):
    array = np.ones((1000, 3))
    array[[7, 9], 1] = np.nan, 1e300  # the second is finite as float64 only
    array[20] = 0
    report, _ = understood(tmp_path, "x.npz", lambda path: np.savez(path, bad=array, same=np.ones((1000, 2))))
    bad, same = report["columns"]
    assert (bad["bad_row"], bad["bad"], bad["zero_rows"], bad["constant"]) == (7, 2, 1, False)
    assert same["constant"]


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3"])
def test_a_recording_becomes_a_spectrogram_and_stays_audible(tmp_path, kind):
    time = np.arange(16000) / 16000
    out = io.BytesIO()
    soundfile.write(out, 0.5 * np.sin(2 * np.pi * 1000 * time), 16000, format=kind)
    report, folder = understood(
        tmp_path, "x.zip", zipped((f"dogs/a.{kind.lower()}", out.getvalue()), ("cats/b.wav", wav(rate=16000)))
    )
    picture = report["values"]["spectrogram"]
    assert report["rate"] == 16000
    assert report["values"]["folder"].tolist() == ["dogs", "cats"]
    assert 0 <= picture.min() < picture.max() <= 1
    bands = spectrograms.frequencies(16000)
    assert abs(bands[picture[0, 0, :, 10].argmax()] - 1000) < 80, "the loudest band is at the pitch that was played"
    ends = np.load(folder / "ends.npy")
    wave = np.fromfile(folder / "waves.raw", "<i2", count=int(ends[0])) / 32768
    assert np.sqrt(np.mean(wave[4000:12000] ** 2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.05)


def test_pictures_come_to_one_size(tmp_path):
    report, _ = understood(
        tmp_path, "x.zip", zipped(("a.png", png(30, 20)), ("b.png", png(10, 40)), ("notes.txt", b"by hand"))
    )
    assert report["values"]["picture"].shape == (2, 1, 32, 32)
    assert "notes.txt" in report["notes"][0]


def test_a_symlink_in_a_folder_is_refused(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.wav").symlink_to("/etc/passwd")
    with pytest.raises(IntakeError, match=r"'a\.wav' is a symbolic link"):
        reading.read(folder, "folder", tmp_path, Limits())


def test_limits_come_from_the_environment():
    assert Limits.current({"KDLIB_MAX_ROWS": "5"}).rows == 5
    with pytest.raises(ValueError, match="KDLIB_MAX_ROWS must be a whole number"):
        Limits.current({"KDLIB_MAX_ROWS": "many"})
