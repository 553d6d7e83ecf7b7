"""The command line as a person uses it: tables, JSON, one-line refusals."""

import functools
import json
import os
import signal
import subprocess
import sys

import pytest

from kdlib.cli.main import main
from kdlib.names import method_name

SMALL = [
    "--dataset",
    "digits",
    "--labels",
    "60",
    "--teacher",
    "random",
    "--dim",
    "4",
    "--epochs",
    "2",
    "--seeds",
    "2",
    "--width",
    "4",
]


def test_compare_prints_tables_and_a_verdict(capsys):
    assert main(["compare", *SMALL, "--methods", "pca,raw,baseline"]) == 0
    out = capsys.readouterr().out
    for word in ("ood:rotated", "test - raw", "effective rank", "ink", "multiply-adds", "bytes per embedding", "n = 2"):
        assert word in out
    names = ["no teacher (baseline)", "teacher as it is (raw)", "principal components (pca)"]
    rows = [line for line in out.splitlines() if line.startswith(tuple(names))]
    assert [name for line in rows[:3] for name in names if line.startswith(name)] == names, "always in this order"
    assert "NaN" not in out
    assert "nan" not in out.split()


def test_compare_writes_json_and_is_quiet_when_asked(tmp_path, capsys):
    path = tmp_path / "found.json"
    assert main(["compare", *SMALL, "--methods", "baseline,raw,mlp", "--quiet", "--json", str(path)]) == 0
    assert capsys.readouterr() == ("", "")
    written = json.loads(path.read_text())
    assert [run["spec"]["method"] for run in written["runs"]] == ["baseline", "raw", "mlp"]
    for run in written["runs"]:
        for split in ("test", "ood:rotated", "ood:noise"):
            assert set(run["metrics"][split]["accuracy"]) == {"mean", "ci95", "values"}
        assert {"teacher", "attributes", "cost", "spaces"} <= set(run)
    assert set(written["runs"][2]["differences"]) == {"baseline", "raw"}
    assert written["teacher"]["name"] == "random"
    assert set(written["attributes"]["ink"]) == {"chance", "raw"}
    assert written["cost"]["seconds"] > 0


def test_compare_on_several_labelled_subsets_counts_all_of_them(tmp_path, capsys):
    path = tmp_path / "subsets.json"
    assert main(["compare", *SMALL, "--subsets", "2", "--methods", "baseline,raw", "--json", str(path)]) == 0
    out = capsys.readouterr().out
    assert "n = 2 labelled subsets x 2 seeds" in out
    assert sum(line.startswith(method_name("raw")) for line in out.split("Paired")[0].splitlines()) == 1
    _, raw = json.loads(path.read_text())["runs"]
    assert raw["subsets"] == [0, 1]
    assert len(raw["metrics"]["test"]["accuracy"]["values"]) == 4
    assert raw["differences"]["baseline"]["test"]["subsets"] == 2
    assert main(["compare", *SMALL, "--subsets", "2", "--lr", "0.01,0.02", "--methods", "baseline"]) == 0
    assert "n = 2 labelled subsets x 2 seeds" in capsys.readouterr().out
    assert main(["compare", *SMALL, "--subsets", "0"]) == 2
    assert "subsets must be 1 or more, got 0" in capsys.readouterr().err
    assert main(["compare", *SMALL, "--until", "0"]) == 2
    assert "--until must be above 0 points, got 0" in capsys.readouterr().err


def test_compare_goes_on_until_it_is_sure_or_the_budget_is_spent(capsys):
    until = ["--until", "0.0001", "--most-seeds", "3", "--epochs", "12", "--lr", "0.03"]
    assert main(["compare", *SMALL, *until, "--methods", "baseline,raw"]) == 0
    captured = capsys.readouterr()
    assert "2 seeds: the widest interval is ±" in captured.err
    assert "3 seeds: the widest interval is ±" in captured.err
    assert "n = 3 seeds, widened for 2 looks" in captured.out
    assert main(["compare", *SMALL, "--until", "1", "--most-seeds", "1"]) == 2
    assert "the most seeds must be at least the 2 to begin with" in capsys.readouterr().err


def test_compare_with_a_grid_shows_what_each_method_chose_and_tests_nothing_else(tmp_path, capsys):
    path, values = tmp_path / "grid.json", ["--distance-weight", "0.2,0.7", "--lr", "0.03,0.003"]
    assert main(["compare", *SMALL, *values, "--methods", "baseline,raw", "--json", str(path)]) == 0
    out = capsys.readouterr().out
    assert "chosen on validation" in out
    assert "no teacher (baseline) has no λ: those values count for nothing there." in out
    baseline, raw = json.loads(path.read_text())["runs"]
    assert raw["spec"]["lr"] == [0.003, 0.03]
    assert [cell["settings"] for cell in baseline["grid"]["cells"]] == [{"lr": 0.003}, {"lr": 0.03}]
    cells, best = raw["grid"]["cells"], raw["grid"]["cells"][raw["grid"]["chosen"]]
    assert len(cells) == 4
    assert best["val"]["mean"] == max(cell["val"]["mean"] for cell in cells)
    assert best["val"]["values"] == raw["metrics"]["val"]["accuracy"]["values"]
    assert all(set(cell) == {"settings", "val", "reason"} and len(cell["val"]["values"]) == 2 for cell in cells)
    assert set(raw["differences"]) == {"baseline"}
    words = next(line for line in out.splitlines() if line.startswith(method_name("raw")))
    assert f"λ {best['settings']['distance_weight']:g}, learning rate {best['settings']['lr']:g}" in words
    assert sum(line.count(" *") for line in out.split("over the grid")[1].split("Paired")[0].splitlines()[1:]) == 2


@pytest.mark.parametrize("what", ["datasets", "teachers", "methods", "compressors", "losses", "students"])
def test_list_prints_a_described_line_per_entry(what, capsys):
    assert main(["list", what]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) >= 2
    assert all(len(line.split()) >= 4 for line in lines)
    if what == "teachers":
        assert any("unsupervised" in line and line.startswith("simclr") for line in lines)


@pytest.mark.parametrize(
    "wrong",
    [
        ["compare", "--teacher", "nobody"],
        ["compare", "--methods", "baseline,zip"],
        ["compare", "--methods", ""],
        ["compare", "--dim", "100000"],
        ["compare", "--labels", "3"],
        ["compare", "--seeds", "0"],
        ["compare", "--distance-weight", "2"],
        ["compare", "--lr", "fast"],
        ["compare", "--lr", ","],
        ["compare", "--lr", "0.01,-1"],
        ["compare", "--distance-weight", "0,0.5,2"],
        ["compare", "--soft-label-weight", "0,nan"],
        ["compare", "--seeds", "9000", "--distance-weight", "0,0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8,0.9"],
        ["paper", "--lr", "0.01,0.03"],
        ["compare", "--device", "tpu"],
        ["compare", "--methods", "lda", "--dataset", "digits", "--labels", "10"],
        ["sweep", "--lr", "0.1,fast"],
        ["list", "everything"],
        ["dance"],
        [],
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(wrong, capsys):
    assert main(wrong) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert err.startswith("error: ")


def test_a_list_of_wrong_values_is_refused_in_words(capsys):
    assert main(["sweep", "--seeds", "3,many"]) == 2
    assert "--seeds: expected a whole number or several, separated by commas, got '3,many'" in capsys.readouterr().err


def test_unknown_names_list_the_choices(capsys):
    main(["compare", "--teacher", "nobody"])
    assert "autoencoder, simclr, parity, background, random" in capsys.readouterr().err


def test_ctrl_c_stops_cleanly(tmp_path):
    """A real process, interrupted while it trains: no traceback, exit code 130, no half-written file."""
    path = tmp_path / "found.json"
    command = [sys.executable, "-m", "kdlib", "compare", *SMALL, "--epochs", "100000", "--json", str(path)]
    listen = functools.partial(
        signal.signal, signal.SIGINT, signal.SIG_DFL
    )  # a shell may have started the tests deaf to Ctrl-C
    process = subprocess.Popen(command, stderr=subprocess.PIPE, env=os.environ | {"TERM": "dumb"}, preexec_fn=listen)
    seen = b""
    while b"Training" not in seen:
        seen += process.stderr.read1(1000)
        assert process.poll() is None, seen.decode()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"Traceback" not in seen + err
    assert not list(tmp_path.iterdir())
