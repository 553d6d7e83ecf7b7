"""The whole flow on small runs: what a result holds, the same from run and compare, reproducible, resumable."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from kdlib import RunSpec, pipeline
from kdlib.analysis import comparison, measure, probes
from kdlib.checks import METHODS, check
from kdlib.data import datasets
from kdlib.models import encoder
from kdlib.models.compressors import COMPRESSORS
from kdlib.models.providers.built_in import TEACHERS
from kdlib.models.teacher import Teacher
from kdlib.results import RunResult
from kdlib.spec import REMOVING
from kdlib.training.losses import LOSSES

SMALL = RunSpec(dataset="digits", labels=60, teacher="random", dim=4, epochs=3, seeds=2, width=4)


@pytest.fixture(scope="module")
def results():
    return {
        method: pipeline.run(SMALL.replace(method=method, attribute="ink" if method in REMOVING else ""))
        for method in METHODS
    }


@pytest.mark.parametrize("method", METHODS)
def test_a_result_holds_everything_it_promises(results, method):
    result = results[method]
    assert result.status == "done"
    for split in ("val", "test", "ood:rotated", "ood:noise", "ood"):
        accuracy = result.metrics[split]["accuracy"]
        assert len(accuracy.values) == 2
        assert accuracy.mean == pytest.approx(np.mean(accuracy.values))
        assert accuracy.ci95 >= 0
    assert result.cost.parameters > 0
    assert result.cost.multiply_adds > 0
    assert result.cost.latency_ms > 0
    assert result.cost.seconds > 0
    assert result.attributes["ink"].student.mean > 0
    assert [point.epoch for point in result.history] == [1, 2, 3]
    assert all(len(point.val) == 2 for point in result.history)
    if method == "baseline":
        assert not result.teacher
        assert result.cost.bytes_per_embedding is None
    else:
        width = encoder.WIDTH if method in ("raw", "none") else 4
        assert result.spaces["compressed"].width == width
        assert result.cost.bytes_per_embedding == 4 * width
        assert result.teacher.probe.raw == results["raw"].teacher.probe.raw
        assert set(result.attributes["ink"].spaces()) == {"raw", "compressed", "student"}
    assert result.arrays["logits/test"].shape == (2, 600, 10)
    again = RunResult.from_dict(json.loads(json.dumps(result.to_dict())))
    assert again == dataclasses.replace(result, arrays={})


def test_what_several_processes_measure_is_what_one_measures(monkeypatch):
    specs = [SMALL.replace(method=method) for method in ("baseline", "raw", "mlp")]
    monkeypatch.setattr(probes, "cached_arrays", lambda _, __, build, ___: build())
    found = []
    for processes in (1, 2):
        monkeypatch.setattr(measure, "count_processes", lambda _, processes=processes: processes)
        found.append(pipeline.compare(specs))
    for one, two in zip(*found, strict=True):
        assert one.status == two.status == "done"
        assert (one.metrics, one.attributes, one.spaces) == (two.metrics, two.attributes, two.spaces)
        assert (one.teacher and one.teacher.probe) == (two.teacher and two.teacher.probe)


def test_raw_is_no_compression_at_all(results):
    assert results["raw"].metrics == results["none"].metrics


def test_training_side_by_side_changes_nothing(results):
    together = pipeline.compare([SMALL.replace(method=m) for m in ("baseline", "raw", "pca", "mlp")])
    for result in together:
        single = results[result.spec.method]
        for (
            split,
            metrics,
        ) in single.metrics.items():  # sums in another order: a borderline image may fall on the other side
            np.testing.assert_allclose(result.metrics[split]["accuracy"].values, metrics["accuracy"].values, atol=0.01)


def test_the_same_spec_gives_the_same_numbers_on_one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        first, second = (pipeline.run(SMALL) for _ in range(2))
    finally:
        torch.set_num_threads(before)
    assert first.metrics == second.metrics
    assert all(np.array_equal(first.arrays[key], second.arrays[key]) for key in first.arrays)


def test_a_stopped_run_is_cancelled_and_resumes_where_it_was(results, tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    stopped = pipeline.run(SMALL, checkpoint=path, on_progress=lambda at: at.phase == "training" and at.step >= 2)
    assert stopped.status == "cancelled"
    steps = []
    resumed = pipeline.run(
        SMALL, checkpoint=path, on_progress=lambda at: at.phase == "training" and steps.append(at.step)
    )
    assert resumed.status == "done"
    assert steps[0] == 3
    np.testing.assert_allclose(
        resumed.metrics["test"]["accuracy"].values, results["mlp"].metrics["test"]["accuracy"].values, atol=0.01
    )


def test_a_diverging_run_fails_and_says_so():
    result = pipeline.run(SMALL.replace(lr=1e30))
    assert (result.status, result.metrics) == ("failed", {})
    assert result.reason.startswith("diverged: seed 0 in epoch")


@pytest.mark.parametrize("loss", list(LOSSES))
def test_every_loss_trains_raw_and_compressed(loss, results):
    for result in pipeline.compare([SMALL.replace(method=m, loss=loss, epochs=1) for m in ("raw", "linear", "pca")]):
        assert result.status == "done"
        assert all(value > 0 for value in result.history[0].distance)
        assert result.cost.parameters == results["baseline"].cost.parameters, (
            "an adapter is no part of the student at inference"
        )


def test_soft_labels_reach_the_student():
    plain, soft = (pipeline.run(SMALL.replace(method="raw", soft_label_weight=weight)) for weight in (0.0, 1.0))
    assert not np.array_equal(plain.arrays["logits/test"], soft.arrays["logits/test"])
    assert soft.teacher.head


def test_several_and_missing_labels_per_item_run_end_to_end(monkeypatch):
    def tags():
        rng = np.random.default_rng(0)
        inputs = rng.normal(size=(260, 1, 8, 8)).astype(np.float32)
        labels = (inputs[:, 0, :3, :3].mean(axis=2) > 0).astype(np.float32)
        labels[rng.random(labels.shape) < 0.2] = np.nan
        splits = {
            "train": np.arange(120),
            "val": np.arange(120, 160),
            "test": np.arange(160, 210),
            "ood:other": np.arange(210, 260),
        }
        ids = np.array([f"item{i}" for i in range(260)])
        return datasets.Dataset("tags", inputs, labels, ("a", "b", "c"), splits, ids=ids)

    monkeypatch.setitem(datasets.DATASETS, "tags", tags)
    specs = [
        SMALL.replace(dataset="tags", method=m, epochs=8, soft_label_weight=0.5)
        for m in ("baseline", "raw", "mlp", "matryoshka")
    ]
    for result in pipeline.compare(specs):
        assert set(result.metrics["test"].scores) == {"map", "roc_auc", "f1"}
        assert 0 < result.metrics["ood"]["map"].mean <= 1
    with pytest.raises(ValueError, match="lda needs one label per item"):
        pipeline.run(specs[0].replace(method="lda"))


def test_a_teacher_that_knows_the_answer_helps(monkeypatch):
    """The claim in its simplest form: embeddings that are the label, drowned in irrelevant numbers."""

    def oracle(data, rows):
        rng = np.random.default_rng(0)
        answer = 2 * np.eye(10)[data.labels] + 0.2 * rng.normal(size=(len(data.labels), 10))
        return np.concatenate([answer, rng.normal(size=(len(data.labels), 30))], axis=1).astype(np.float32)[rows]

    monkeypatch.setitem(TEACHERS, "oracle", Teacher("", "the answer", True, lambda: oracle))
    spec = RunSpec(dataset="digits", labels=100, teacher="oracle", epochs=30, seeds=3, dim=8)
    by_method = {
        each.spec.method: each
        for each in pipeline.compare([spec.replace(method=m) for m in ("baseline", "raw", "lda")])
    }
    probed = by_method["lda"].teacher.probe
    assert probed.compressed.mean > 0.75
    assert comparison.differences_to_references(list(by_method.values()), by_method["lda"])["raw"]["test"].mean > 0.02


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "zip"}, "unknown method 'zip', choose one of: baseline, raw"),
        ({"dataset": "mnist"}, "unknown dataset"),
        ({"teacher": "bert"}, "unknown teacher"),
        ({"student": "vit"}, "unknown student"),
        ({"loss": "l3"}, "unknown loss"),
        ({"dim": 4096}, "above the width"),
        ({"dim": 0}, "dim must be"),
        ({"labels": 5}, "use at least 10"),
        ({"labels": 5000}, "labelled training rows"),
        ({"seeds": 0}, "seeds must be"),
        ({"distance_weight": 1.2}, "between 0 and 1"),
        ({"distance_weight": float("nan")}, "between 0 and 1"),
        ({"lr": 0.0}, "lr must be"),
        ({"temperature": 0.0}, "temperature must be"),
        ({"soft_label_weight": -1.0}, "0 or more"),
        ({"method": "pca", "dim": 61}, "pca finds at most"),
        ({"method": "lda", "labels": 10}, "use at least 21 labels"),
        ({"method": "lda", "labels": 20}, "at least 3 labelled rows, got at most 2 in each of 10 classes"),
    ],
)
def test_what_cannot_be_run_is_refused_before_anything_is_trained(changes, message, monkeypatch):
    monkeypatch.setattr(pipeline, "train_in_shards", lambda *_, **__: pytest.fail("trained"))
    with pytest.raises(ValueError, match=message):
        pipeline.compare([SMALL, SMALL.replace(**changes)])


def test_lda_runs_with_the_fewest_labels_that_are_not_refused():
    assert pipeline.run(SMALL.replace(method="lda", labels=21, epochs=1)).status == "done"


def test_the_default_spec_is_fine():
    check(RunSpec())


def test_identity_ignores_what_a_method_does_not_look_at():
    assert (
        SMALL.replace(method="baseline", dim=2, teacher="simclr").identity == SMALL.replace(method="baseline").identity
    )
    assert SMALL.replace(method="raw", dim=2).identity == SMALL.replace(method="raw").identity
    assert SMALL.replace(method="pca", dim=2).identity != SMALL.replace(method="pca").identity


def test_a_compressor_that_is_registered_later_is_a_method_too(monkeypatch):
    monkeypatch.setitem(COMPRESSORS, "another", COMPRESSORS["linear"])
    check(SMALL.replace(method="another"))
