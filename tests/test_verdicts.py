"""Comparisons: the answer says what helps, what does not and what is open; it compares what can be compared."""

import math

import pytest

from kdlib.analysis.verdicts import answer, verdict
from kdlib.recording import load_recording
from kdlib.summary import SplitMetrics, Summary
from tests.made_results import make_result, rename_metric

RUNS = (("raw", [0.5, 0.52, 0.51]), ("mlp", [0.6, 0.63, 0.61]))


def make_runs(**changes):
    return [make_result(method, values, **changes) for method, values in RUNS]


GAIN = (
    "Compression helps: “trained, two layers (mlp), 16” is 10.3 ± 1.4 points above “teacher as it is (raw)” "
    "on the test set (n = 3 seeds)."
)


def test_the_verdict_is_about_the_compressor_that_is_best_on_validation():
    linear = make_result("linear", [0.55, 0.56, 0.57])
    assert (
        verdict([*make_runs(), linear])
        == f"{GAIN} Of the 2 runs that compress it is the one that is best on validation."
    )


@pytest.mark.parametrize(
    ("runs", "first"),
    [
        ([("baseline", [0.4, 0.41, 0.42]), *RUNS], GAIN),
        (
            [("raw", [0.6, 0.62, 0.61]), ("mlp", [0.5, 0.52, 0.51])],
            "Compression does not help: “trained, two layers (mlp), 16” is 10.0 ± 0.0 points below “teacher as it is "
            "(raw)” on the test set (n = 3 seeds).",
        ),
        (
            [("raw", [0.6, 0.5]), ("mlp", [0.5, 0.65])],
            "No clear difference, so it is open whether compression helps: “trained, two layers (mlp), 16” is "
            "+2.5 ± 158.8 points from “teacher as it is (raw)” on the test set (n = 2 seeds).",
        ),
        (
            [("raw", [0.5]), ("mlp", [0.6])],
            "One seed cannot tell whether compression helps: “trained, two layers (mlp), 16” is +10.0 points from "
            "“teacher as it is (raw)” on the test set. More seeds are needed.",
        ),
        (
            [("baseline", [0.5, 0.52, 0.51]), ("mlp", [0.6, 0.63, 0.61])],
            "The compressed teacher helps: “trained, two layers (mlp), 16” is 10.3 ± 1.4 points above “no teacher "
            "(baseline)” on the test set (n = 3 seeds).",
        ),
        (
            [("baseline", [0.5, 0.52, 0.51]), ("raw", [0.4, 0.43, 0.41])],
            "This teacher does not help: “teacher as it is (raw)” is 9.7 ± 1.4 points below “no teacher (baseline)” "
            "on the test set (n = 3 seeds).",
        ),
        (
            [("mlp", [0.6, 0.63, 0.61])],
            "Only one run: “trained, two layers (mlp), 16” reaches 61.3 ± 10.0 % accuracy on the test set "
            "(n = 3 seeds).",
        ),
        (
            [("linear", [0.5]), ("mlp", [0.6])],
            "“trained, two layers (mlp), 16” reaches 60.0 % accuracy on the test set (n = 1 seed).",
        ),
    ],
    ids=["helps", "harms", "open", "one-seed", "no-raw", "no-compressor", "one-run", "no-reference"],
)
def test_the_answer_says_first_what_helps_and_by_how_much(runs, first):
    assert answer([make_result(method, values) for method, values in runs])[0] == first


def test_the_answer_says_how_the_best_run_stands_to_the_baseline():
    better, same, worse = ([mean - 0.02, mean, mean + 0.02] for mean in (0.3, 0.61, 0.9))
    said = [answer([make_result("baseline", values), *make_runs()])[1] for values in (better, same, worse)]
    assert said[0] == "Against “no teacher (baseline)” it gains 31.3 ± 5.2 points."
    assert said[1] == "Against the baseline there is no clear difference (+0.3 ± 5.2 points)."
    assert said[2] == "The student is better off without this teacher (-28.7 ± 5.2 points against the baseline)."


def test_the_answer_ends_with_what_compression_threw_away():
    first, second, kept = answer(load_recording().results)
    assert first.startswith("Compression helps: “trained, two layers (mlp), 16” is ")
    assert second.startswith("Against “no teacher (baseline)” it gains ")
    assert "thrown away: background (" in kept


def test_runs_on_several_datasets_are_compared_each_by_itself():
    paragraphs = answer([*make_runs(), *make_runs(dataset="digits"), make_result("raw", [0.5, 0.6], dataset="tones")])
    assert paragraphs[0] == "These runs answer 3 different questions, each of which is compared by itself."
    assert paragraphs[1] == f"Accuracy on cluttered-digits with 1,000 labels: {GAIN}"
    assert paragraphs[2] == f"Accuracy on digits with 1,000 labels: {GAIN}"
    assert paragraphs[3].startswith("Accuracy on tones with 1,000 labels: Only one run: “teacher as it is (raw)”")
    many = answer([make_result("raw", [0.5, 0.6], labels=100 * number) for number in range(1, 6)])
    assert many[-1] == "And 2 more: choose fewer runs to read about them."


def test_a_clear_gain_does_not_look_as_if_its_interval_held_zero():
    text = verdict([make_result("raw", [0.5, 0.5, 0.5]), make_result("mlp", [0.5065, 0.5091, 0.5141])])
    assert " is 0.99 ± 0.96 points above " in text


def test_runs_without_a_counterpart_and_without_a_score_say_what_is_missing():
    assert verdict([make_result("mlp", [0.6, 0.7]), make_result("linear", [0.5, 0.55], dim=4)]).endswith(
        "Whether it helps is open: none of these runs is “no teacher (baseline)” or “teacher as it is (raw)” with the "
        "same other settings. Of the 2 runs that compress it is the one that is best on validation."
    )
    assert answer([]) == ["Nothing has been measured yet."]
    two = [make_result("baseline", [0.5, 0.6]), make_result("baseline", [0.5, 0.6], epochs=5)]
    assert answer(two)[1].startswith("Whether a teacher helps is open: none of these runs has one.")


@pytest.mark.parametrize(
    "other",
    [
        make_result("linear", [0.9, 0.91, 0.92], dataset="digits"),
        make_result("linear", [0.9, 0.91, 0.92], labels=100),
        rename_metric(make_result("linear", [0.9, 0.91, 0.92])),
    ],
    ids=["dataset", "labels", "metric"],
)
def test_the_verdict_once_took_its_best_run_from_another_dataset_or_metric(other):
    question = "This compares accuracy on cluttered-digits with 1,000 labels"
    assert verdict([*make_runs(), other]) == f"{GAIN} {question}; 1 other run was left out."
    assert verdict([*make_runs(), other, other]).endswith(f"{question}; 2 other runs were left out.")


def test_the_verdict_is_about_the_question_of_the_first_compressed_run():
    text = verdict([*make_runs(labels=100), *make_runs(labels=200)])
    assert text.endswith("This compares accuracy on cluttered-digits with 100 labels; 2 other runs were left out.")


def test_a_stored_score_that_is_not_finite_once_stopped_the_verdict():
    raw, mlp = make_runs()
    mlp.metrics["test"] = SplitMetrics({"accuracy": Summary(math.nan, None, [0.6, math.nan])})
    linear = make_result("linear", [0.7, 0.73, 0.71])
    assert verdict([raw, mlp, linear]).startswith("Compression helps: “trained, one layer (linear), 16”")
    assert verdict([raw, mlp]) == "Nothing can be compared here: the scores of the compressed runs are not finite."
