"""Rows for charts and tables: what differs, short names, exports that neither a spreadsheet nor LaTeX misreads."""

import numpy as np
import pandas as pd
import pytest

from kdlib.analysis import comparison, frames
from kdlib.data import datasets
from kdlib.results import Cost, Point, RunResult, SpaceStats, SplitMetrics, Summary
from kdlib.spec import RunSpec

SPEC = RunSpec()


def result(method: str, values: list[float], **changes) -> RunResult:
    accuracy = SplitMetrics({"accuracy": Summary(float(np.mean(values)), 0.1 if len(values) > 1 else None, values)})
    metrics = {split: SplitMetrics(dict(accuracy.scores)) for split in ("val", "test", "ood:rotated", "ood")}
    spaces = (
        {} if method == "baseline" else {"compressed": SpaceStats(changes.get("dim", SPEC.dim), Summary(2.0, None))}
    )
    cost = Cost(100, 1000, bytes_per_embedding=None if method == "baseline" else 64, seconds=1.0)
    return RunResult(
        SPEC.replace(method=method, seeds=len(values), **changes), metrics=metrics, spaces=spaces, cost=cost
    )


def test_a_field_that_a_method_does_not_look_at_is_no_difference():
    assert frames.differing_fields([SPEC.replace(method="baseline", dim=4), SPEC.replace(method="mlp", dim=8)]) == [
        "method"
    ]
    assert frames.differing_fields([SPEC.replace(dim=4), SPEC.replace(dim=8)]) == ["dim"]


def test_labels_tell_specs_apart_and_nothing_else():
    specs = [
        SPEC.replace(method="baseline"),
        SPEC.replace(method="raw"),
        SPEC,
        SPEC.replace(dim=4),
        SPEC.replace(labels=100),
        SPEC,
    ]
    found = frames.run_labels(specs)
    assert len(set(found)) == len(specs)
    assert found[0] == f"baseline, labels {SPEC.labels}"
    assert found[-1].endswith("#2")


def test_a_baseline_has_no_distance_curve():
    points = [Point(1, val=[0.4, 0.6], prediction=[1.0, 2.0], distance=[0.0, 0.0], teacher=[0.0, 0.0])]
    frame = frames.curves([SPEC.replace(method="baseline")], [points])
    assert set(frame["curve"]) == {"val", "prediction"}
    assert frame.iloc[0].to_dict() | {} == {
        "label": "baseline", "role": "baseline", "curve": "val", "epoch": 1, "mean": 0.5, "low": 0.4, "high": 0.6, "n": 2,
    }  # fmt: skip


def test_a_member_that_diverged_is_left_out_of_its_curve():
    points = [Point(1, val=[0.4, None, float("nan")])]
    assert frames.curves([SPEC], [points])["n"].tolist() == [1]


def test_accuracies_name_the_splits_and_say_which_are_outside():
    frame = frames.accuracies([result("raw", [0.5, 0.7])])
    assert frame[["split", "outside"]].to_numpy().tolist() == [["in-domain", False], ["rotated", True]]
    assert frame["mean"].tolist() == pytest.approx([0.6, 0.6])


def test_differences_are_paired_seed_by_seed():
    frame, left_out = frames.differences_to([result("raw", [0.5, 0.6]), result("mlp", [0.6, 0.7])], 0)
    assert frame.iloc[0]["in-domain"].startswith("+10.0")
    assert frame.iloc[0]["in-domain"].endswith("*")
    assert frame.iloc[0]["n"] == 2
    assert left_out == {}


def test_only_seeds_that_both_have_are_paired():
    frame, _ = frames.differences_to([result("raw", [0.5, 0.6, 0.9]), result("mlp", [0.6, 0.7])], 0)
    assert frame.iloc[0]["in-domain"].startswith("+10.0")
    assert frame.iloc[0]["n"] == 2


def test_runs_on_other_rows_are_not_paired_and_named_with_the_reason():
    several = result("mlp", [0.8, 0.81], dim=2)
    for values in several.metrics.values():
        values.scores["map"] = values.scores.pop("accuracy")
    others = [
        result("mlp", [0.9, 0.91], dataset="tones"),
        result("mlp", [0.9, 0.92], labels=100),
        several,
        result("mlp", [0.6, 0.7]),
    ]
    frame, left_out = frames.differences_to([result("raw", [0.5, 0.51]), *others], 0)
    assert len(frame) == 1
    assert frame.iloc[0]["n"] == 2
    assert list(left_out.values()) == [
        "another dataset, tones and not cluttered-digits",
        "another number of labels, 100 and not 1,000",
        "another metric, mAP and not accuracy",
    ]
    assert all(comparison.paired_differences(other, result("raw", [0.5, 0.51])) == {} for other in others[:3])


def test_over_dim_gives_baseline_and_raw_no_width():
    frame = frames.accuracy_over_dim(
        [result("baseline", [0.4]), result("mlp", [0.6], dim=8), result("mlp", [0.5], dim=4)]
    )
    assert frame[frame["label"] == "mlp"]["dim"].tolist() == [4, 8]
    assert frame[frame["label"] == "baseline"]["dim"].isna().all()


def test_over_dim_keeps_apart_what_differs_in_more_than_its_width():
    found = [
        result("mlp", [0.5], dim=4),
        result("mlp", [0.6], dim=8),
        result("mlp", [0.7], dim=8, epochs=60),
        result("raw", [0.4], dim=2),
    ]
    labels = frames.accuracy_over_dim(found).groupby("label")["dim"].apply(list).to_dict()
    short, long = (f"mlp, epochs {epochs}" for epochs in (SPEC.epochs, 60))
    assert labels[short] == [4, 8]
    assert labels[long] == [8]
    assert set(labels) == {short, long, f"raw, epochs {SPEC.epochs}"}


def test_a_baseline_has_no_bytes_per_embedding_to_be_drawn_over():
    assert frames.accuracy_over_cost([result("baseline", [0.4]), result("raw", [0.5])], "bytes_per_embedding")[
        "label"
    ].tolist() == ["raw"]


def test_the_table_shows_only_what_differs():
    frame = frames.result_table([result("raw", [0.5, 0.6]), result("mlp", [0.6, 0.7])])
    assert "teacher" not in frame
    assert frame["in-domain %"].tolist() == ["55.0 ± 10.0", "65.0 ± 10.0"]
    assert frames.result_table([result("raw", [0.5, 0.6])], in_words=False)["in-domain %"].tolist() == pytest.approx(
        [55.0]
    )


def test_csv_quotes_what_a_spreadsheet_would_run():
    text = frames.to_csv(pd.DataFrame({"name": ["=1+1", "+2", "-3", "@x", "fine"], "value": [-1.5, 2, 3, 4, 5]}))
    assert text.splitlines() == ["name,value", "'=1+1,-1.5", "'+2,2.0", "'-3,3.0", "'@x,4.0", "fine,5.0"]


def test_latex_escapes_what_latex_would_run():
    text = frames.to_latex(pd.DataFrame({"a_b %": ["x & y", "\\input{secret}", "4.9 ± 2.1", None]}))
    assert r"a\_b \%" in text
    assert r"x \& y" in text
    assert r"\textbackslash{}input\{secret\}" in text
    assert r"4.9 $\pm$ 2.1" in text
    assert "--" in text


def test_confusion_by_hand():
    logits = np.array(
        [[[2, 1], [1, 2], [1, 2]], [[2, 1], [2, 1], [1, 2]]], float
    )  # two members, three items, the last of them unknown
    matrix = frames.confusion(logits, np.array([0, 1, -1]))
    assert matrix.tolist() == [[1, 0], [0.5, 0.5]]
    frame = frames.per_class(logits, np.array([0, 1, -1]), ["a", "b", "never"])
    assert frame["class"].tolist() == ["a", "b"]
    assert frame["values"].tolist() == [[1.0, 1.0], [1.0, 0.0]]


def test_false_alarms_by_hand():
    truth = np.array([[1, 0, 0], [1, 0, np.nan], [0, 1, 1]], float)
    told = np.array([[[9, 9, -9], [-9, -9, 9], [9, 9, 9]]], float)  # one member; 9 is told, -9 is not
    val, val_truth = (
        np.array([[[1, 1, 1], [-1, -1, -1]]], float),
        np.array([[1, 1, 1], [0, 0, 0]], float),
    )  # thresholds at 0.5
    matrix = frames.false_alarms(told, truth, val, val_truth)
    np.testing.assert_allclose(matrix, [[0.5, 0.5, 0.0], [1.0, 1.0, np.nan], [1.0, np.nan, 1.0]])
    frame = frames.per_class(told, truth, ["a", "b", "c"])
    assert frame["mean"].tolist() == pytest.approx([7 / 12, 1 / 2, 1]), "average precision, equal logits at once"
    assert frame["class"].tolist() == ["a", "b", "c"]


def test_several_labels_an_item_are_told_by_map():
    assert frames.metric_label([SPEC]) == "accuracy"
    assert frames.metric_label([SPEC, SPEC.replace(dataset="mixtures")]) == "accuracy or mAP"


def test_an_item_is_told_in_words():
    data = datasets.load("mixtures")
    row = int(frames.rows_of_class(data, 0)[0])
    told = frames.describe_item(data, row)
    assert "organ" in told["there"]
    names = [name for state in ("there", "not there", "not known") for name in told.get(state, "").split(", ") if name]
    assert sorted(names) == sorted(data.classes)
    assert told["item"] == data.ids[row]


def test_the_gallery_shows_an_item_of_each_class_and_category():
    data = datasets.load("digits")
    tiles, names = frames.gallery(data, "ink")
    assert tiles.shape == (10, 3, 8, 8)
    assert names == ["little", "medium", "much"]
    assert np.nanmin(tiles) == 0
    assert np.nanmax(tiles) == 1
    plain, numbers = frames.gallery(data, "no such attribute")
    assert plain.shape == (10, 8, 8, 8)
    assert numbers[0] == "1"
