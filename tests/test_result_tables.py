"""Tables of results: paired differences, numbers and words, exports that neither a spreadsheet nor LaTeX misreads."""

import math

import pandas as pd
import pytest

from kdlib.analysis.comparison import paired_differences
from kdlib.analysis.result_tables import differences_to, result_numbers, result_table, to_csv, to_latex
from kdlib.names import method_name
from kdlib.summary import SplitMetrics, Summary
from tests.made_results import make_result, rename_metric


def test_differences_are_paired_seed_by_seed():
    frame, left_out = differences_to([make_result("raw", [0.5, 0.6]), make_result("mlp", [0.6, 0.7])], 0)
    assert frame.iloc[0]["in-domain"].startswith("+10.0")
    assert frame.iloc[0]["in-domain"].endswith("*")
    assert frame.iloc[0]["n"] == 2
    assert left_out == {}


def test_only_seeds_that_both_have_are_paired():
    frame, _ = differences_to([make_result("raw", [0.5, 0.6, 0.9]), make_result("mlp", [0.6, 0.7])], 0)
    assert frame.iloc[0]["in-domain"].startswith("+10.0")
    assert frame.iloc[0]["n"] == 2


def test_runs_that_cannot_be_paired_are_left_out_with_the_reason():
    several = rename_metric(make_result("mlp", [0.8, 0.81], dim=2))
    others = [
        make_result("mlp", [0.9, 0.91], dataset="tones"),
        make_result("mlp", [0.9, 0.92], labels=100),
        several,
        make_result("mlp", [0.6, 0.7]),
    ]
    frame, left_out = differences_to([make_result("raw", [0.5, 0.51]), *others], 0)
    assert len(frame) == 1
    assert frame.iloc[0]["n"] == 2
    assert list(left_out.values()) == [
        "another dataset, tones and not cluttered-digits",
        "another number of labels, 100 and not 1,000",
        "another metric, mAP and not accuracy",
    ]
    assert all(paired_differences(other, make_result("raw", [0.5, 0.51])) == {} for other in others[:3])


def test_the_table_shows_only_what_differs():
    frame = result_table([make_result("raw", [0.5, 0.6]), make_result("mlp", [0.6, 0.7])])
    assert "teacher" not in frame
    assert frame["method"].tolist() == ["teacher as it is (raw)", "trained, two layers (mlp)"]
    assert frame["in-domain %"].tolist() == ["55.0 ± 10.0", "65.0 ± 10.0"]
    assert result_numbers([make_result("raw", [0.5, 0.6])])["in-domain %"].tolist() == pytest.approx([55.0])


def test_csv_quotes_what_a_spreadsheet_would_run():
    text = to_csv(pd.DataFrame({"name": ["=1+1", "+2", "-3", "@x", "fine"], "value": [-1.5, 2, 3, 4, 5]}))
    assert text.splitlines() == ["name,value", "'=1+1,-1.5", "'+2,2.0", "'-3,3.0", "'@x,4.0", "fine,5.0"]


def test_latex_escapes_what_latex_would_run():
    text = to_latex(pd.DataFrame({"a_b %": ["x & y", "\\input{secret}", "4.9 ± 2.1", None]}))
    assert r"a\_b \%" in text
    assert r"x \& y" in text
    assert r"\textbackslash{}input\{secret\}" in text
    assert r"4.9 $\pm$ 2.1" in text
    assert "--" in text


@pytest.mark.parametrize("value", [math.nan, math.inf, None])
@pytest.mark.parametrize("broken", [0, 1])
def test_a_stored_score_that_is_not_finite_once_stopped_the_differences(value, broken):
    results = [make_result("raw", [0.5, 0.6]), make_result("mlp", [0.6, 0.7]), make_result("linear", [0.7, 0.8])]
    results[broken].metrics["ood"] = SplitMetrics({"accuracy": Summary(0.5, None, [0.5, value])})
    frame, left_out = differences_to(results, 0)
    reason = f"a score that is not finite, accuracy of {method_name(results[broken].spec.method)} on ood"
    if broken == 0:
        assert frame.empty
        assert list(left_out.values()) == [reason, reason]
    else:
        assert len(frame) == 1
        assert list(left_out.values()) == [reason]
