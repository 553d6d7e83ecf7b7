"""Width x precision: the numbers of a run against those measured by hand, and the choice of the cheapest."""

from dataclasses import asdict

import numpy as np
import pytest

from kdlib import runs
from kdlib.analysis.failure import Failure
from kdlib.analysis.linear_probe import probe_accuracy
from kdlib.analysis.width_precision import MEASURES, PrecisionRow, cheapest, verdict
from kdlib.cli.main import main
from kdlib.data import datasets
from kdlib.models import embedding
from kdlib.models.quantization import PRECISIONS, calibrate
from kdlib.spaces import precision_jobs
from kdlib.spaces.precision_jobs import PrecisionRequest
from kdlib.summary import Summary
from tests import stored_runs


@pytest.fixture
def run_id(fresh_home):
    return stored_runs.store_result(stored_runs.trained(methods=("matryoshka",))[0], "nested")


def test_a_run_is_measured_at_every_width_and_precision(run_id):
    spec = runs.get(run_id).spec
    raw, compressed = (precision_jobs.measure(each) for each in precision_jobs.list_requests(run_id, spec))
    assert [(row.width, row.precision) for row in compressed] == [(w, p) for w in (2, 4) for p in PRECISIONS]
    assert [row.item_bytes for row in compressed] == [8, 4, 2, 1, 16, 8, 4, 1]
    assert [row.item_bytes for row in raw] == [1024, 512, 256, 32]
    assert raw[0].overlap.values == [1.0]
    assert all(len(getattr(row, measure).values) == spec.seeds for row in compressed for measure in MEASURES)
    data = datasets.load("digits")
    train, test = data.labelled(spec.labels), data.splits["test"]
    embeddings = embedding.embed(spec.teacher, spec.dataset)
    distance = np.square(embeddings[test][:, None] - embeddings[train][None].astype(np.float64)).sum(2)
    near = np.argsort(distance, axis=1, kind="stable")[:, :10]
    for member in range(spec.seeds):
        z = [runs.member_array(run_id, "features", f"compressed/{split}", member)[:, :2] for split in ("train", "test")]
        quantizer = calibrate("int8", z[0])
        z = [quantizer.decode(quantizer.encode(rows)).astype(np.float64) for rows in z]
        found = np.argsort(np.square(z[1][:, None] - z[0][None]).sum(2), axis=1, kind="stable")[:, :10]
        shared = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(near, found, strict=True)])
        row = compressed[2]
        assert row.overlap.values[member] == pytest.approx(shared, abs=0.005)  # ties between codes
        right = [data.labels[train][places[0]] == data.labels[item] for places, item in zip(found, test, strict=True)]
        assert row.recall_1.values[member] == pytest.approx(np.mean(right), abs=0.03)
        order = np.random.default_rng(0).permutation(len(train))
        probe = probe_accuracy(z[0][order], data.labels[train][order], z[1], data.labels[test])
        assert row.probe.values[member] == pytest.approx(probe, abs=0.01)


def test_what_is_measured_is_kept_and_read_back(run_id, monkeypatch):
    spec, request = runs.get(run_id).spec, PrecisionRequest(run_id)
    assert precision_jobs.cached(request, spec) is None
    precision_jobs.compute(asdict(request))
    rows = precision_jobs.cached(request, spec)
    assert rows == precision_jobs.measure(request)
    monkeypatch.setattr(precision_jobs, "VERSION", 2)
    assert precision_jobs.cached(request, spec) is None
    monkeypatch.setattr(precision_jobs, "measure", lambda _: 1 / 0)
    precision_jobs.compute(asdict(request))
    assert isinstance(precision_jobs.cached(request, spec), Failure)


def row(width, precision, probe):
    score = Summary(probe, None, [probe])
    return PrecisionRow(width, precision, PRECISIONS[precision].item_bytes(width), score, score, score, score, score)


def test_the_cheapest_within_a_point_of_the_best_is_chosen():
    rows = [row(16, "float32", 0.9), row(16, "int8", 0.8901), row(8, "int8", 0.8899), row(8, "binary", 0.5)]
    assert cheapest(rows) is rows[1]
    assert cheapest(rows, tolerance=0.02) is rows[2]
    assert cheapest(rows[:1]) is rows[0]
    assert "16 numbers in int8 are good enough: 16 bytes an item, probe accuracy 89.0 %" in verdict(rows)
    assert "16 numbers in float32 at 64 bytes an item (90.0 %)" in verdict(rows)
    assert "No other takes fewer bytes" in verdict(rows[:1])


def test_the_command_prints_the_same_as_table_csv_and_json(run_id, capsys):
    assert main(["widths", run_id]) == 0
    said = capsys.readouterr()
    assert "are good enough" in said.err
    assert len(said.out.strip().splitlines()) == 1 + 12
    assert main(["widths", run_id, "--csv", "--judge", "knn"]) == 0
    lines = capsys.readouterr().out.strip().splitlines()
    assert lines[0].startswith("choice,space,numbers,precision,bytes")
    assert sum(line.startswith("good enough") for line in lines) == 1
    assert main(["widths", run_id, "--json"]) == 0
    assert len(capsys.readouterr().out.strip().splitlines()) == 12
    assert main(["widths", run_id, "--judge", "speed"]) == 2
    baseline = stored_runs.store_result(stored_runs.trained()[0], "alone")
    assert main(["widths", baseline]) == 2
    assert "no embedding to store" in capsys.readouterr().err
