"""Frames: one row per thing in a chart, short labels, and only what differs."""

import pytest

from kdlib.analysis import frames
from kdlib.names import method_name
from kdlib.results import Point
from tests.made_results import SPEC, make_result


def test_a_field_that_a_method_does_not_use_is_no_difference():
    assert frames.differing_fields([SPEC.replace(method="baseline", dim=4), SPEC.replace(method="mlp", dim=8)]) == [
        "method"
    ]
    assert frames.differing_fields([SPEC.replace(dim=4), SPEC.replace(dim=8)]) == ["dim"]


def test_labels_name_only_what_differs():
    specs = [
        SPEC.replace(method="baseline"),
        SPEC.replace(method="raw"),
        SPEC,
        SPEC.replace(dim=4),
        SPEC.replace(labels=100),
        SPEC,
    ]
    results = frames.run_labels(specs)
    assert len(set(results)) == len(specs)
    assert results[0] == f"no teacher (baseline), labels {SPEC.labels}"
    assert results[-1].endswith("#2")


def test_a_baseline_has_no_distance_curve():
    points = [Point(1, val=[0.4, 0.6], prediction=[1.0, 2.0], distance=[0.0, 0.0], teacher=[0.0, 0.0])]
    frame = frames.curves([SPEC.replace(method="baseline")], [points])
    assert set(frame["curve"]) == {"val", "prediction"}
    values = {"curve": "val", "epoch": 1, "mean": 0.5, "low": 0.4, "high": 0.6, "n": 2}
    assert frame.iloc[0].to_dict() == {"label": "no teacher (baseline)", "role": "baseline"} | values


def test_a_member_that_diverged_is_left_out_of_its_curve():
    points = [Point(1, val=[0.4, None, float("nan")])]
    assert frames.curves([SPEC], [points])["n"].tolist() == [1]


def test_accuracies_name_the_splits_and_say_which_are_outside():
    frame = frames.accuracies([make_result("raw", [0.5, 0.7])])
    assert frame[["split", "outside"]].to_numpy().tolist() == [["in-domain", False], ["rotated", True]]
    assert frame["mean"].tolist() == pytest.approx([0.6, 0.6])


def test_over_dim_gives_baseline_and_raw_no_width():
    frame = frames.accuracy_over_dim(
        [make_result("baseline", [0.4]), make_result("mlp", [0.6], dim=8), make_result("mlp", [0.5], dim=4)]
    )
    assert frame[frame["label"] == "trained, two layers (mlp)"]["dim"].tolist() == [4, 8]
    assert frame[frame["label"] == "no teacher (baseline)"]["dim"].isna().all()


def test_over_dim_keeps_the_order_in_which_the_runs_are_shown():
    methods = ("baseline", "raw", "mlp", "matryoshka")
    frame = frames.accuracy_over_dim([make_result(method, [0.5]) for method in methods])
    assert frame["label"].tolist() == [method_name(method) for method in methods]


def test_over_dim_has_a_label_for_each_difference_other_than_width():
    results = [
        make_result("mlp", [0.5], dim=4),
        make_result("mlp", [0.6], dim=8),
        make_result("mlp", [0.7], dim=8, epochs=60),
        make_result("raw", [0.4], dim=2),
    ]
    labels = frames.accuracy_over_dim(results).groupby("label")["dim"].apply(list).to_dict()
    short, long = (f"trained, two layers (mlp), epochs {epochs}" for epochs in (SPEC.epochs, 60))
    assert labels[short] == [4, 8]
    assert labels[long] == [8]
    assert set(labels) == {short, long, f"teacher as it is (raw), epochs {SPEC.epochs}"}


def test_labels_leave_out_what_is_on_an_axis():
    specs = [SPEC.replace(labels=labels, dim=dim) for labels in (50, 100) for dim in (2, 4)]
    name = "trained, two layers (mlp)"
    assert frames.family_labels(specs, ["labels"]) == [f"{name}, 2", f"{name}, 4"] * 2
    assert set(frames.family_labels(specs, ["labels", "dim"])) == {name}


def test_the_metric_of_several_labels_an_item_is_map():
    assert frames.metric_label([SPEC]) == "accuracy"
    assert frames.metric_label([SPEC, SPEC.replace(dataset="mixtures")]) == "accuracy or mAP"
