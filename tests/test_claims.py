"""The papers' claims on the built-in default: compression beats raw where it can, and harm is shown as harm.

Ding & Lerch 2024 (arXiv 2402.06761). Defaults throughout: 5 seeds, the same λ, student and epochs for every method. The
compressor is chosen on validation; the test rows only judge.
"""

from functools import cache

import pytest

from kdlib import RunSpec, pipeline
from kdlib.analysis import comparison, papers, verdicts
from kdlib.checks import default_spec
from kdlib.names import run_name
from kdlib.results import RunResult

MARGIN = 0.03  # of accuracy


@cache
def _baseline() -> RunResult:
    """It has no teacher, so it is the same whatever it is compared with."""
    return pipeline.run(RunSpec(method="baseline"))


@cache
def _compare(teacher: str) -> dict[str, RunResult]:
    results = pipeline.compare([RunSpec(teacher=teacher, method=method) for method in ("raw", "linear", "mlp")])
    return {result.spec.method: result for result in [_baseline(), *results]}


@pytest.mark.parametrize("teacher", ["simclr", "autoencoder"])
def test_the_trainable_compressor_beats_raw_and_the_teacher_helps(teacher):
    by_method = _compare(teacher)
    best = max((by_method["linear"], by_method["mlp"]), key=lambda each: each.metrics["val"]["accuracy"].mean)
    gains = comparison.differences_to_references(list(by_method.values()), best)
    for split in ("test", "ood"):
        gain = gains["raw"][split]
        assert len(gain.values) == 5
        assert gain.mean >= MARGIN, f"{best.spec.method} against raw on {split}: {comparison.format_percent(gain)}"
        assert comparison.excludes_zero(gain), (
            f"{best.spec.method} against raw on {split}: {comparison.format_percent(gain)}"
        )
        assert gains["baseline"][split].mean > 0
    sentence = verdicts.verdict(list(by_method.values()))
    assert sentence.startswith(f"Compression helps: “{run_name(best.spec)}” is ")


@pytest.mark.slow
def test_on_mixtures_the_teacher_helps_and_compression_adds_where_it_knows_less():
    """What the README's table stars for compression on the test set, with room for another machine."""
    for teacher, over, margin in (("tones-simclr", "baseline", 0.05), ("tones-autoencoder", "raw", 0.01)):
        specs = papers.paper_specs(default_spec("mixtures").replace(method="linear"), [teacher])
        rows = papers.paper_rows(dict(zip(specs, pipeline.compare(list(specs.values())), strict=True)))
        compressed = next(row for row in rows if row.treatment == "compressed")
        gain = (compressed.to_baseline if over == "baseline" else compressed.to_raw)["test"]
        assert gain.mean >= margin, f"{teacher} compressed against {over}: {comparison.format_percent(gain)}"


def test_an_irrelevant_teacher_harms_and_the_app_says_so():
    by_method = _compare("background")
    harm = comparison.differences_to_references(list(by_method.values()), by_method["raw"])["baseline"]
    for split in ("test", "ood"):
        assert harm[split].mean < 0
        assert comparison.excludes_zero(harm[split])
    assert "better off without this teacher" in verdicts.verdict(list(by_method.values()))


@pytest.mark.parametrize("teacher", ["simclr", "autoencoder"])
def test_raw_is_tuned_as_well_and_the_app_says_what_is_left_of_the_claim(teacher):
    """The small form of the tuned claim: six trials each instead of twenty, and of the compressors `mlp` alone."""
    tuned = pipeline.compare([RunSpec(teacher=teacher, method=method, tune=6) for method in ("raw", "mlp")])
    raw, compressed = tuned
    assert [len(result.tuning.trials) for result in tuned if result.tuning] == [6, 6]
    fixed = _compare(teacher)["raw"].metrics["test"]["accuracy"].mean
    gained = raw.metrics["test"]["accuracy"].mean - fixed
    assert gained >= (MARGIN if teacher == "autoencoder" else -MARGIN), "raw as set is far from what raw can be"
    left = comparison.differences_to_references(tuned, compressed)["raw"]["test"]
    clear = comparison.excludes_zero(left)
    expected = "No clear difference" if not clear else "Compression helps" if left.mean > 0 else "Compression does not"
    assert verdicts.verdict(tuned).startswith(expected)
