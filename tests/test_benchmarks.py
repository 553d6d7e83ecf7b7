"""Losses x methods: the order of the ranking, what is compared and corrected, and how the command words it."""

import json

import pytest

from kdlib.analysis import benchmarks
from kdlib.analysis.significance import holm, p_value
from kdlib.cli.main import main
from kdlib.results import RunResult, SplitMetrics, Summary
from kdlib.spec import RunSpec

BASE = RunSpec(seeds=3)
BASELINE = [0.50, 0.52, 0.51]
SCORES = {  # (loss, method) -> validation mean, test per seed
    ("mse", "raw"): (0.70, [0.51, 0.53, 0.52]),
    ("mse", "mlp"): (0.60, [0.60, 0.6201, 0.61]),
    ("cka", "raw"): (0.65, [0.40, 0.60, 0.55]),
}


def result(spec, val, test):
    splits = {"val": [val] * 3, "test": test, "ood": test}
    metrics = {
        name: SplitMetrics({"accuracy": Summary(sum(values) / 3, 0.1, values)}) for name, values in splits.items()
    }
    return RunResult(spec, "done", metrics=metrics)


@pytest.fixture
def results():
    specs = benchmarks.benchmark_specs(BASE, ["mse", "cka"], ["raw", "mlp"])
    done = {key: result(specs[key], *scores) for key, scores in SCORES.items()}
    failed = {("cka", "mlp"): RunResult(specs["cka", "mlp"], "failed", "diverged: seed 0 in epoch 2")}
    return {benchmarks.NO_LOSS: result(specs[benchmarks.NO_LOSS], 0.5, BASELINE)} | done | failed


def test_the_baseline_comes_first_and_once_and_every_combination_comes():
    specs = benchmarks.benchmark_specs(BASE, ["mse", "cka"], ["baseline", "raw", "mlp"])
    assert list(specs) == [("", "baseline"), ("mse", "raw"), ("mse", "mlp"), ("cka", "raw"), ("cka", "mlp")]
    assert all((spec.loss, spec.method) == key for key, spec in list(specs.items())[1:])


def test_cells_are_ranked_by_validation_and_corrected_as_one_family(results):
    rows = benchmarks.benchmark_rows(results)
    assert [(row.loss, row.method) for row in rows] == [
        ("mse", "raw"),
        ("cka", "raw"),
        ("mse", "mlp"),
        ("", "baseline"),
    ]
    adjusted = holm([p_value(row.difference) for row in rows[:3]])
    assert [row.clear for row in rows] == [*(p < 0.05 for p in adjusted), False]
    assert rows[2].difference.values == pytest.approx([0.1, 0.1001, 0.1])
    assert [row.clear for row in rows] == [True, False, True, False]
    assert rows[3].difference is None


def test_gains_are_means_over_rows_the_largest_first(results):
    rows = benchmarks.benchmark_rows(results)
    by_loss = benchmarks.mean_gains(rows, "loss")
    assert list(by_loss) == ["mse", "cka"]
    assert by_loss["mse"] == pytest.approx((0.01 + 0.10003333) / 2)
    assert list(benchmarks.mean_gains(rows, "method")) == ["mlp", "raw"]


def test_the_tables_hold_every_number_and_name_what_failed(results):
    text = benchmarks.to_markdown(results)
    assert "| `mse` | +10.0 ± 0.0* |" in text
    assert "| `cka` | – |" in text
    assert "Without a result: cka with mlp." in text
    assert "n = " not in text
    assert BASE.replace(method="baseline").to_json() in text
    record = json.loads(json.dumps(benchmarks.to_record(results)))
    assert record["rows"][0]["test"]["values"] == SCORES["mse", "raw"][1]
    assert record["failed"] == {"cka mlp": "diverged: seed 0 in epoch 2"}


def test_the_command_trains_ranks_and_writes(tmp_path, capsys):
    command = "benchmark --dataset digits --teacher random --labels 60 --epochs 1 --width 2 --dim 4 --seeds 2"
    files = ["--json", str(tmp_path / "b.json"), "--markdown", str(tmp_path / "b.md")]
    assert main([*command.split(), "--losses", "mse,cka", "--methods", "raw,pca", *files]) == 0
    printed = capsys.readouterr()
    assert "accuracy on digits in %, mean ± 95 % interval over 2 seeds; 60 labels" in printed.out
    assert printed.out.count("teacher as it is (raw)") == 2
    assert "mean gain over the baseline by loss:" in printed.out
    assert printed.err.splitlines()[:3] == ["baseline ...", "mse ...", "cka ..."]
    assert len(json.loads((tmp_path / "b.json").read_text())["rows"]) == 5
    assert "| `cka` |" in (tmp_path / "b.md").read_text()


def test_what_does_not_exist_is_refused_before_any_training(capsys):
    assert main(["benchmark", "--losses", "mse,l3", "--methods", "raw"]) == 2
    assert "unknown loss 'l3'" in capsys.readouterr().err
