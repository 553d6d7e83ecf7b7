"""The papers' comparison: what is trained for it, what it is compared with, and how the command words it."""

import pytest

from kdlib.analysis import papers
from kdlib.checks import default_spec
from kdlib.cli.main import main
from kdlib.results import RunResult
from kdlib.spec import RunSpec
from kdlib.summary import SplitMetrics, Summary

BASE = RunSpec(dataset="tones", teacher="tones-simclr", method="linear", distance_weight=0.75, seeds=2)


def result(spec: RunSpec, values: list[float]) -> RunResult:
    one = SplitMetrics({"map": Summary(sum(values) / 2, 0.1, values)})
    return RunResult(spec, metrics={"test": one, "val": one, "ood": one})


def test_treatments_differ_in_what_they_are_named_after():
    treatments = papers.treatments(BASE.replace(soft_label_weight=0.5))
    weights = {name: (spec.method, spec.distance_weight, spec.soft_label_weight) for name, spec in treatments.items()}
    assert weights == {
        "baseline": ("baseline", 0.75, 0),
        "raw": ("raw", 0.75, 0),
        "compressed": ("linear", 0.75, 0),
        "soft labels": ("linear", 0, 0.5),
        "both": ("linear", 0.75, 0.5),
    }
    with pytest.raises(ValueError, match="needs a compressor"):
        papers.treatments(BASE.replace(method="raw"))


def test_the_baseline_comes_once_and_every_own_teacher_that_fits_comes():
    specs = papers.paper_specs(BASE)
    assert [key for key in specs if key[1] == "baseline"] == [("", "baseline")]
    names = {"tones-autoencoder", "tones-simclr", "tones-pitch", "tones-random"}
    assert len(specs) == 1 + 4 * len(names)
    assert {spec.teacher for spec in specs.values()} == names


def test_differences_are_paired_with_the_baseline_and_with_the_same_teacher_raw():
    specs = papers.paper_specs(BASE, ["tones-simclr"])
    values = {
        "baseline": [0.1, 0.3],
        "raw": [0.2, 0.3],
        "compressed": [0.4, 0.6],
        "soft labels": [0.1, 0.1],
        "both": [0.5, 0.5],
    }
    rows = papers.paper_rows({key: result(spec, values[key[1]]) for key, spec in specs.items()})
    compressed = next(row for row in rows if row.treatment == "compressed")
    assert compressed.to_baseline["test"].values == pytest.approx([0.3, 0.3])
    assert compressed.to_raw["test"].values == pytest.approx([0.2, 0.3])
    assert not rows[0].to_baseline
    assert not rows[1].to_raw


def test_the_default_spec_fits_the_dataset():
    assert (default_spec("digits").teacher, default_spec("digits").student) == ("simclr", "cnn")
    assert (default_spec("mixtures").teacher, default_spec("mixtures").student) == ("tones-simclr", "mel-cnn")


def test_one_command_prints_the_table_of_a_multi_label_set(capsys):
    options = [
        "--dataset",
        "mixtures",
        "--teacher",
        "tones-random",
        "--labels",
        "40",
        "--epochs",
        "1",
        "--seeds",
        "1",
        "--dim",
        "4",
    ]
    assert main(["paper", *options]) == 0
    output = capsys.readouterr().out
    assert "mAP" in output
    assert "ROC-AUC" in output
    assert "accuracy" not in output
    for treatment in ("baseline", "raw", "compressed", "soft labels", "both"):
        assert (
            sum(
                line.split("  ")[1:].count(treatment) + line.count(f"  {treatment}  ") > 0
                for line in output.splitlines()
            )
            == 1
        )


def test_a_teacher_of_another_modality_is_refused_with_the_choices(capsys):
    assert main(["compare", "--dataset", "tones", "--teacher", "simclr"]) == 2
    assert "tones holds sounds, choose one of: tones-autoencoder" in capsys.readouterr().err
