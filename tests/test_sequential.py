"""Comparisons that go on adding seeds: what they stop at, that nothing is trained twice, that looking has its price."""

import numpy as np
import pytest

from kdlib import pipeline
from kdlib.analysis.comparison import paired_differences
from kdlib.analysis.intervals import summarize
from kdlib.analysis.rounds import Repetition, pool
from kdlib.analysis.significance import p_value
from kdlib.results import RunResult, SplitMetrics
from kdlib.sequential import compare_repeated
from kdlib.spec import RunSpec

SPEC = RunSpec(dataset="digits", teacher="random", method="pca", dim=4, labels=60, epochs=2, seeds=2, width=2)


def made_up(method, values, **fields):
    spec = SPEC.replace(method=method, seeds=len(values), **fields)
    return RunResult(spec, metrics={"test": SplitMetrics({"accuracy": summarize(values)})})


def stand_in(monkeypatch, draw):
    """Let results come from `draw(method, seed)`; return the seeds that were asked for, in order."""
    asked = []

    def compare(specs, **_):
        asked.append([*specs[0].seed_numbers])
        return [
            made_up(spec.method, [draw(spec.method, seed) for seed in asked[-1]], first_seed=spec.first_seed)
            for spec in specs
        ]

    monkeypatch.setattr("kdlib.sequential.compare", compare)
    return asked


def test_it_stops_when_every_difference_is_known_well_enough(monkeypatch):
    noise = {"baseline": 0.0, "raw": 0.002, "pca": 0.05}
    asked = stand_in(monkeypatch, lambda method, seed: 0.5 + noise[method] * (-1) ** seed)
    looks = []
    specs = [SPEC.replace(method=method) for method in noise]
    results = compare_repeated(specs, Repetition(1, 0.03, 40), on_look=lambda *look: looks.append(look))
    assert asked == [[0, 1], [2, 3], [4, 5, 6, 7], [*range(8, 16)], [*range(16, 32)]]
    assert [seeds for seeds, _ in looks] == [2, 4, 8, 16, 32]
    assert [width <= 0.03 for _, width in looks] == [False, False, False, False, True]
    assert [each.spec.seeds for each in results] == [32, 32, 32]
    difference = paired_differences(results[2], results[0])["test"]
    assert len(difference.values) == 32
    assert difference.looks == 6
    assert difference.sample == "32 seeds, widened for 6 looks"
    assert looks[-1][1] == max(paired_differences(results[2], each)["test"].ci95 for each in results[:2])


def test_it_stops_at_the_budget(monkeypatch):
    asked = stand_in(monkeypatch, lambda method, seed: 0.5 + 0.1 * (-1) ** seed * (method == "pca"))
    results = compare_repeated([SPEC.replace(method="raw"), SPEC], Repetition(1, 1e-6, 6))
    assert [seed for seeds in asked for seed in seeds] == [0, 1, 2, 3, 4, 5]
    assert results[0].spec.seeds == 6


def test_a_training_that_did_not_end_is_no_look(monkeypatch):
    monkeypatch.setattr("kdlib.sequential.compare", lambda specs, **_: [RunResult(spec, "cancelled") for spec in specs])
    looks = []
    [result] = compare_repeated([SPEC], Repetition(1, 0.01, 8), on_look=lambda *look: looks.append(look))
    assert (result.status, result.spec.seeds, looks) == ("cancelled", 2, [])


def test_what_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match="same number of seeds"):
        compare_repeated([SPEC, SPEC.replace(method="raw", seeds=3)], Repetition(1, 0.01, 10))


def test_whoever_stops_when_he_likes_is_wrong_as_rarely_as_the_interval_says(monkeypatch):
    """Two methods that are equal: of 600 comparisons that stop as soon as they are narrow, or at the fourth look."""
    rng, wrong, clear, naive = np.random.default_rng(0), 0, 0, 0
    for _ in range(600):
        numbers = rng.normal(0.5, 0.02, size=(2, 40))
        stand_in(monkeypatch, lambda method, seed, numbers=numbers: numbers[int(method == "pca"), seed])
        methods = [SPEC.replace(method="raw", seeds=5), SPEC.replace(seeds=5)]
        raw, pca = compare_repeated(methods, Repetition(1, 0.015, 40))
        difference = paired_differences(pca, raw)["test"]
        wrong += abs(difference.mean) > difference.ci95
        clear += p_value(difference) < 0.05
        naive += any(abs(plain.mean) > plain.ci95 for plain in (
            summarize((numbers[1] - numbers[0])[:count]) for count in (5, 10, 20, 40)
        ))  # fmt: skip
    assert wrong == clear <= 0.05 * 600
    assert naive > 0.08 * 600, "somebody who looks at plain intervals until one is clear"


def test_a_real_comparison_goes_on_over_subsets_too():
    learning = SPEC.replace(labels=150, epochs=12, lr=0.03, width=8)
    specs = [learning.replace(method=method) for method in ("raw", "pca")]
    results = compare_repeated(specs, Repetition(2, 1e-9, 3))
    assert [(each.spec.subset, each.spec.seeds) for each in results] == [(0, 3), (0, 3), (1, 3), (1, 3)]
    assert [each.score("test").sample for each in pool(results)] == [
        "2 labelled subsets x 3 seeds, widened for 2 looks"
    ] * 2


@pytest.mark.parametrize("searched", [{"tune": 2}, {"lr": [0.01, 0.03]}])
def test_what_is_chosen_on_the_first_draw_is_trained_on_the_others_and_goes_on(searched):
    spec = SPEC.replace(method="baseline", labels=100, epochs=4, **searched)
    found = compare_repeated([spec], Repetition(2, 1e-9, 3))
    [result] = pool(found)
    assert [each.spec.searched for each in found] == [True, False]
    assert (result.spec.searched, result.subsets, result.spec.seeds) == (True, (0, 1), 3)
    other = found[1].spec
    assert other.replace(subset=0).identity == result.setting.identity
    alone = pipeline.compare([other])[0]
    assert result.score("test").values[3:] == pytest.approx(alone.score("test").values, abs=0.02)
    assert result.tuning == found[0].tuning
    assert result.grid == found[0].grid
