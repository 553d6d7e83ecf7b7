"""Comparisons: the verdict compares what can be compared, and says what it left out."""

import math

import pytest

from kdlib.analysis.comparison import verdict
from kdlib.results import SplitMetrics, Summary
from tests.made_results import make_result, rename_metric

RUNS = (("raw", [0.5, 0.52, 0.51]), ("mlp", [0.6, 0.63, 0.61]))


def make_runs(**changes):
    return [make_result(method, values, **changes) for method, values in RUNS]


def test_the_verdict_is_about_the_compressor_that_is_best_on_validation():
    linear = make_result("linear", [0.55, 0.56, 0.57])
    assert verdict([*make_runs(), linear]) == (
        "Compression (mlp) added 10.3 ± 1.4 points over raw on the test set (n = 3)."
    )


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
    first = "Compression (mlp) added 10.3 ± 1.4 points over raw on the test set (n = 3)."
    question = "This compares accuracy on cluttered-digits with 1,000 labels"
    assert verdict([*make_runs(), other]) == f"{first} {question}; 1 other run was left out."
    assert verdict([*make_runs(), other, other]).endswith(f"{question}; 2 other runs were left out.")


def test_the_verdict_is_about_the_question_of_the_first_compressed_run():
    text = verdict([*make_runs(labels=100), *make_runs(labels=200)])
    assert text.endswith("This compares accuracy on cluttered-digits with 100 labels; 2 other runs were left out.")


def test_a_stored_score_that_is_not_finite_once_stopped_the_verdict():
    raw, mlp = make_runs()
    mlp.metrics["test"] = SplitMetrics({"accuracy": Summary(math.nan, None, [0.6, math.nan])})
    linear = make_result("linear", [0.7, 0.73, 0.71])
    assert verdict([raw, mlp, linear]).startswith("Compression (linear) added")
    assert verdict([raw, mlp]) == "Nothing can be compared here: the scores of the compressed runs are not finite."
