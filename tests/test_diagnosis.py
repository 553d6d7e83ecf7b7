"""Why it did (not) help: each sentence and each advice from made results whose story is known."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from kdlib.analysis.diagnosis import diagnose
from kdlib.results import Point, SpaceStats, TeacherStats
from kdlib.summary import Probe, Summary
from tests.made_results import make_result

ALONE = [0.60, 0.61, 0.62]


def taught(
    values=(0.70, 0.71, 0.72), raw=0.8, compressed=0.81, distance=(0.6, 0.3), labels=0.5, method="mlp", **changes
):
    """Return a run whose teacher, compressor and curves say what is given here."""
    result = make_result(method, list(values), **changes)
    probe = Probe(0.1, Summary(raw, None), Summary(compressed, 0.01))
    history = [Point(1, [1.5], [distance[0]]), Point(30, [labels], [distance[1]])]
    spaces = result.spaces | {"raw": SpaceStats(256, Summary(9.0, None))}
    return replace(result, teacher=TeacherStats("simclr", "views", False, probe), history=history, spaces=spaces)


def alone(values=ALONE, labels=0.4):
    return replace(make_result("baseline", list(values)), history=[Point(30, [labels])])


def test_a_comparison_that_helps_says_so_number_by_number_and_proposes_nothing():
    found = diagnose([alone(), taught()])
    assert found.findings[:4] == [
        "A linear probe reads the target from the teacher's embedding with 80 %, the student alone reaches 61 %: there "
        "is something to learn.",
        "Compression to 16 numbers kept the target (80 → 81 %).",
        "The student follows its target part of the way (the distance went from 0.600 to 0.300, 0 is a perfect match).",
        "The student does not know its training rows by heart (cross-entropy 0.50 at the end, 0.40 for the student "
        "alone).",
    ]
    assert found.findings[4].startswith("Of what the teacher knew, the 16 new numbers hold the target (80 → 81 %)")
    assert found.advice is None


@pytest.mark.parametrize(
    ("run", "words", "changes"),
    [
        (taught(raw=0.5, compressed=0.5, values=(0.60, 0.62, 0.61)), "Choose a teacher that knows", {}),
        (taught(method="raw"), "Compress:", {"method": "mlp"}),
        (taught(compressed=0.7), "32 numbers instead of 16", {"dim": 32}),
        (taught(compressed=0.7, dim=200), "256 numbers instead of 200", {"dim": 256}),
        (taught(labels=1.2, values=(0.5, 0.51, 0.52)), "λ = 0.4 instead of 0.85", {"distance_weight": 0.4}),
        (taught(distance=(0.6, 0.58)), "λ = 0.9 instead of 0.85", {"distance_weight": 0.9}),
        (taught(values=(0.61, 0.65, 0.62)), "Train 11 seeds", {"seeds": 11}),
    ],
    ids=["weak teacher", "raw", "too narrow", "as wide as the teacher", "held up", "does not follow", "unclear"],
)
def test_the_change_most_likely_to_help(run, words, changes):
    advice = diagnose([alone(), run]).advice
    assert words in advice.text
    assert advice.changes == changes


def test_the_seeds_it_proposes_are_those_that_would_settle_it():
    gains = [0.01, 0.04, 0.0]
    n = diagnose([alone(), taught(values=(0.61, 0.65, 0.62))]).advice.changes["seeds"]
    half, half_before = (stats.t.ppf(0.9875, m - 1) * np.std(gains, ddof=1) / m**0.5 for m in (n, n - 1))
    assert half < np.mean(gains) <= half_before


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (taught(compressed=0.7), "lost some of the target itself (80 → 70 %)"),
        (taught(compressed=0.9), "easier to read (80 → 90 %)"),
        (taught(distance=(0.6, 0.58)), "hardly follows its target (the distance went from 0.600 to 0.580"),
        (taught(distance=(0.6, 0.1)), "follows its target closely"),
        (taught(labels=0.01), "knows its training rows by heart (cross-entropy 0.01"),
        (taught(labels=1.2), "keeps the student from its labels (cross-entropy 1.20 at the end, 0.40"),
        (taught(raw=0.55), "55 %, the student alone reaches 61 %: there is little"),
    ],
)
def test_what_it_finds(run, words):
    assert words in " ".join(diagnose([alone(), run]).findings)


def test_a_run_that_was_still_learning_is_trained_longer():
    def rising(values):
        history = [Point(number, [0.5], [0.6 - number / 10], val=[value]) for number, value in enumerate(values, 1)]
        return replace(taught(), history=history)

    advice = diagnose([alone(), rising([0.3, 0.5, 0.6, 0.65])]).advice
    assert "60 epochs: validation rose from 60 to 65 %" in advice.text
    assert advice.changes == {"epochs": 60}
    assert diagnose([alone(), rising([0.3, 0.5, 0.6, 0.61])]).advice is None
    long = replace(rising([0.3, 0.5, 0.6, 0.65]), spec=taught().spec.replace(epochs=150))
    assert diagnose([alone(), long]).advice is None


def test_the_difference_to_raw_is_settled_first():
    raw = make_result("raw", [0.69, 0.66, 0.71])
    advice = diagnose([alone(), raw, taught()]).advice
    assert "points from teacher as it is (raw)" in advice.text
    assert advice.changes == {"seeds": 8}  # mean 0.0233, sd 0.0231: of two looks t(7) gives 0.0231, t(6) 0.0260


def test_what_was_not_measured_is_not_said():
    assert diagnose([]).findings == []
    assert diagnose([alone()]).findings == []
    assert diagnose([replace(taught(), metrics={})]).findings == []
    lonely = diagnose([replace(taught(), history=[])])
    assert lonely.findings[0].startswith("Compression to 16 numbers kept")
    assert not any("student alone" in each for each in lonely.findings)
    assert lonely.advice is None
    single = diagnose([alone([0.6]), taught([0.7])])
    assert single.advice.changes == {"seeds": 5}


@pytest.mark.parametrize(
    ("cosines", "words"),
    [
        ([0.5, 0.3], "agree on where the student should go (cosine of the gradients of the two losses +0.40 over"),
        (
            [0.05, -0.05],
            "nearly orthogonal: neither helps nor hinders (cosine of the gradients of the two losses +0.00",
        ),
        ([-0.2, -0.4], "oppose each other: a step for one undoes some of the other"),
    ],
)
def test_it_says_whether_labels_and_teacher_pull_the_same_way(cosines, words):
    run = taught()
    points = [replace(point, gradient_cosine=[value, None]) for point, value in zip(run.history, cosines, strict=True)]
    findings = diagnose([alone(), replace(run, history=points)]).findings
    assert any(words in each for each in findings)
    assert any(f"{cosines[-1]:+.2f} at the end" in each for each in findings)
    assert not any("gradients" in each for each in diagnose([alone(), run]).findings), "of old runs nothing is said"
