"""Own data from the command line: import with a preview, list, compare by its short name, delete."""

import io
import re
import sys
from contextlib import contextmanager

import numpy as np
import psutil
import pytest
from rich.console import Console

from kdlib.cli import main as cli
from kdlib.cli.main import main
from kdlib.data import imported
from tests.file_writers import picture, wav, zipped
from tests.small_media import noise


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("KDLIB_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def table(tmp_path):
    rng = np.random.default_rng(0)
    label = np.arange(60) % 3
    np.savez(
        tmp_path / "trees.npz",
        label=np.array(["ash", "[b]", "NA"])[label],
        e=rng.normal(size=(60, 5)) + 2 * np.eye(3, 5)[label],
    )
    return tmp_path / "trees.npz"


def test_from_a_file_to_a_comparison_and_away(table, capsys):
    assert main(["import", str(table), "--dry-run"]) == 0
    out = capsys.readouterr().out
    for expected in (
        "60 items, vectors of shape 5",
        "classes: 3, from label",
        "[b]",
        "e (5 wide)",
        "val: 6 items drawn",
    ):
        assert expected in out
    assert not imported.cards()
    assert main(["import", str(table), "--source-task", "nothing"]) == 0
    name = re.search(r"kept as (trees@\w+)", capsys.readouterr().out)[1]
    assert main(["data", "list"]) == 0
    assert capsys.readouterr().out.startswith(name)
    assert main(["list", "teachers"]) == 0
    assert f"{name}/e" in capsys.readouterr().out
    options = [
        "--dataset",
        "trees",
        "--teacher",
        "trees/e",
        "--methods",
        "baseline,raw",
        "--epochs",
        "2",
        "--seeds",
        "2",
        "--dim",
        "3",
    ]
    assert main(["compare", *options]) == 0
    assert f"labels of {name}" in " ".join(capsys.readouterr().out.split())
    assert main(["data", "delete", "trees"]) == 0
    assert not imported.cards()


def test_recordings_with_labels_in_a_table_beside_them(tmp_path, capsys):
    names = [f"{number:03d}.wav" for number in range(24)]
    listed = "file,label,room\n" + "".join(
        f"{name},{'ab'[row % 2]},{'xy'[row % 3 > 0]}\n" for row, name in enumerate(names[::-1])
    )
    zipped(
        *((name, wav(0.3, hertz=200 + 50 * row)) for row, name in enumerate(names)), ("labels.csv", listed.encode())
    )(tmp_path / "a.zip")
    assert main(["import", "a.zip", "--attributes", "room", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "24 items, sounds of shape 1 x 32" in out
    assert "classes: 2, from label" in out
    assert "attributes: room (2)" in out
    assert "originals: kept at 8,000 Hz, 0.1 MB" in out
    options = ["--seconds", "0.25", "--mels", "64", "--rate", "4000"]
    assert main(["import", "a.zip", *options, "--dry-run"]) == 0
    assert "24 items, sounds of shape 1 x 64 x 5" in capsys.readouterr().out


def test_pictures_of_a_chosen_size(tmp_path, capsys):
    zipped(*((f"{'ab'[row % 2]}/{row}.png", picture(noise(row, 200, 300, 1))) for row in range(12)))(tmp_path / "a.zip")
    for options, shape in (((), "1 x 64 x 64"), (("--size", "96"), "1 x 96 x 96")):
        assert main(["import", "a.zip", *options, "--dry-run"]) == 0
        assert f"12 items, images of shape {shape}" in capsys.readouterr().out


def test_a_damaged_dataset_is_named_with_the_way_out(table, tmp_path, capsys):
    assert main(["import", str(table)]) == 0
    name = re.search(r"kept as (trees@\w+)", capsys.readouterr().out)[1]
    broken = tmp_path / "home" / "data" / "0123456789abcdef"
    broken.mkdir()
    (broken / "card.json").write_text("{")
    assert main(["data", "list"]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith(name)
    assert printed.out.count("\n") == 1
    assert (
        printed.err
        == f"{broken} cannot be read: its card.json is damaged; delete that folder and import the file again\n"
    )


@pytest.mark.parametrize("doing", ["Reading", "Importing"])
def test_ctrl_c_leaves_nothing_of_an_import(doing, table, tmp_path, capsys, monkeypatch):
    """The key is pressed in the first moment in which a bar has something to show."""
    children = psutil.Process().children()

    @contextmanager
    def bar(title, quiet, unit):
        def press(_):
            if title == f"{doing} trees.npz":
                raise KeyboardInterrupt

        yield press

    monkeypatch.setattr(cli, "progress_bar", bar)
    assert main(["import", str(table)]) == 130
    assert "stopped" in capsys.readouterr().err
    assert not [*(tmp_path / "home" / "staging").iterdir(), *(tmp_path / "home").glob("data/*")]
    assert psutil.Process().children() == children


def test_a_terminal_shows_how_far_an_import_is(table, monkeypatch):
    shown = io.StringIO()
    monkeypatch.setattr(cli, "errors", Console(file=shown, force_terminal=True, width=100))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert main(["import", str(table)]) == 0
    assert "Reading trees.npz" in shown.getvalue()
    assert re.search(r"60/60\S* items", shown.getvalue())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["import", "nowhere.npz"], "there is no file nowhere.npz"),
        (["import", "trees.npz", "--target", "species"], "no column 'species'"),
        (["import", "trees.npz", "--size", "512"], "must be from 8 to 256 pixels (KDLIB_MAX_SIDE), got 512"),
        (["import", "trees.npz", "--leave-out", "place"], "expected COLUMN=VALUE"),
        (["import", "trees.npz", "--leave-out", "label=oak"], "no item has label 'oak'; there are: NA, [b], ash"),
        (["data", "delete", "digits"], "built in"),
        (["data", "delete", "oaks"], "unknown dataset 'oaks'"),
    ],
)
def test_bad_input_is_one_line(table, arguments, message, capsys):
    assert main(arguments) == 2
    complaint = capsys.readouterr().err
    assert message in complaint
    assert complaint.count("\n") == 1
