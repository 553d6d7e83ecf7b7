"""The command line of teachers: what is printed, what is kept, what is refused."""

import pytest

from kdlib.cli.main import main
from tests.evil_models import EVIL, image_model, wave_model


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("KDLIB_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def file(tmp_path):
    (tmp_path / "Tiny Net.onnx").write_bytes(image_model().SerializeToString())
    return str(tmp_path / "Tiny Net.onnx")


def test_outputs_are_listed_and_nothing_is_kept(file, home, capsys):
    assert main(["teacher", "add", file, "--outputs"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows[1] == ["logits", "n", "×", "5", "float", "MatMul", "yes"]
    assert rows[-1] == ["map", "n", "×", "8", "×", "8", "×", "8", "float", "Conv"]
    assert not list((home / "teachers").iterdir())


def test_a_network_is_added_shown_listed_and_removed(file, home, capsys):
    words = ["--output", "features", "--source-task", "ImageNet", "--supervision", "supervised", "--licence", "MIT"]
    assert main(["teacher", "add", file, *words]) == 0
    out = capsys.readouterr().out
    assert "colour pictures of 32 × 32" in out
    assert "trial on 3 items of digits: 8 wide" in out
    assert out.endswith("kept as onnx:tiny-net\n")
    assert main(["teacher", "show", "onnx:tiny-net"]) == 0
    shown = capsys.readouterr().out
    for fact in ("source task: ImageNet", "supervision: supervised", "parameters: 424", "width: 8", "licence: MIT"):
        assert f"\n{fact}\n" in shown
    assert "comes from: Tiny Net.onnx" in shown
    assert main(["list", "teachers"]) == 0
    assert "onnx:tiny-net" in capsys.readouterr().out
    assert main(["teacher", "remove", "tiny-net"]) == 0
    assert main(["teacher", "list"]) == 0
    assert "onnx:tiny-net" not in capsys.readouterr().out


def test_a_dry_run_tries_and_keeps_nothing(file, home, capsys):
    assert main(["teacher", "add", file, "--dry-run", "--dataset", "cluttered-digits"]) == 0
    assert "3 items of cluttered-digits: 5 wide" in capsys.readouterr().out
    assert not list((home / "teachers").iterdir())


def test_a_network_of_waves_is_tried_on_sounds(tmp_path, capsys):
    (tmp_path / "w.onnx").write_bytes(wave_model(4000).SerializeToString())
    assert main(["teacher", "add", str(tmp_path / "w.onnx"), "--rate", "8000"]) == 0
    out = capsys.readouterr().out
    assert "pieces of 0.50 s at 8,000 Hz" in out
    assert "3 items of tones: 2 wide" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--name", "A/B"], "a teacher's name has 1 to 40"),
        (["--mean", "a,b"], "expected numbers separated by commas, got 'a,b'"),
        (["--dataset", "tones"], "Tiny Net.onnx takes images, but tones holds sounds"),
        (["--output", "nothing"], "no tensor 'nothing'"),
    ],
)
def test_what_does_not_fit_is_one_line_and_leaves_nothing(words, message, file, home, capsys):
    assert main(["teacher", "add", file, *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert not (home / "teachers").exists() or not list((home / "teachers").iterdir())


def test_an_evil_file_is_one_line(tmp_path, capsys):
    EVIL["pickle"][3](tmp_path / "m.onnx")
    assert main(["teacher", "add", str(tmp_path / "m.onnx")]) == 2
    assert "m.onnx is a pickle" in capsys.readouterr().err
    assert not (tmp_path / "planted").exists()


def test_what_is_not_there_is_said(tmp_path, capsys):
    assert main(["teacher", "add", str(tmp_path / "none.onnx")]) == 2
    assert "there is no file" in capsys.readouterr().err
    assert main(["teacher", "remove", "nobody"]) == 2
    assert "unknown added teacher 'nobody'" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["add", "remove"])
def test_a_name_of_a_hub_goes_to_the_hub(command, capsys):
    assert main(["teacher", command, "hf:../secret"]) == 2
    assert "a model of hf: is called like" in capsys.readouterr().err
