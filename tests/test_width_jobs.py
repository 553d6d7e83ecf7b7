"""The widths of a run: at the full width what the run itself reports, beside a run of PCA; as work of the engine."""

from dataclasses import asdict

import numpy as np
import pytest

from kdlib import engine, runs
from kdlib.analysis.failure import Failure
from kdlib.analysis.widths import WidthReport
from kdlib.models import embedding
from kdlib.spaces import jobs, load_spaces, width_jobs
from kdlib.spaces.width_jobs import WidthRequest
from tests import stored_runs

METHODS = ("matryoshka", "pca")


@pytest.fixture(scope="module")
def run_ids(tmp_path_factory):
    """Return method -> id of a finished run, 6 wide."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KDLIB_HOME", str(tmp_path_factory.mktemp("home")))
        results = stored_runs.trained(stored_runs.SPEC.replace(dim=6), METHODS)
        yield {method: stored_runs.store_result(each, method) for method, each in zip(METHODS, results, strict=True)}


@pytest.fixture(scope="module")
def report(run_ids):
    return width_jobs.make_report(WidthRequest(run_ids["matryoshka"], member=1))


def test_at_the_full_width_the_numbers_are_those_of_the_run_and_of_its_scorecard(run_ids, report):
    result, scores = runs.result(run_ids["matryoshka"]), report.scores["trained"]
    assert report.widths[-1] == 6
    assert scores.probes["target"][-1] == result.teacher.probe.compressed.values[1]
    assert report.raw.probes["target"] == result.teacher.probe.raw.values
    assert report.chance["target"] == result.teacher.probe.chance
    for name, probe in result.attributes.items():
        assert scores.probes[name][-1] == probe.compressed.values[1]
    assert scores.effective_rank[-1] == pytest.approx(result.spaces["compressed"].effective_rank.values[1])
    card = jobs.compute_scorecard(load_spaces(run_ids["matryoshka"], member=1))
    assert scores.overlap[-1] == pytest.approx(card.pairs["raw>compressed"].overlap)
    assert report.compared == card.rows


def test_at_the_full_width_pca_is_a_run_of_pca(run_ids, report):
    result, scores = runs.result(run_ids["pca"]), report.scores["pca"]
    assert scores.probes["target"][-1] == pytest.approx(result.teacher.probe.compressed.values[0], abs=0.005)
    card = jobs.compute_scorecard(load_spaces(run_ids["pca"]))
    assert scores.overlap[-1] == pytest.approx(card.pairs["raw>compressed"].overlap, abs=0.005)


def test_the_maps_show_test_rows_of_the_trained_space_and_of_pca(report):
    assert list(report.places) == ["trained", "pca"]
    assert {maps.shape for maps in report.places.values()} == {(len(report.widths), len(report.shown), 2)}
    payload = sum(maps.nbytes for maps in report.places.values())
    assert payload < 3_000_000


def test_only_runs_that_hold_every_width_are_listed_and_measured(run_ids):
    assert width_jobs.nested_methods() == ["matryoshka"]
    assert [run.id for run in width_jobs.nested_runs()] == [run_ids["matryoshka"]]
    with pytest.raises(ValueError, match="only matryoshka trains every leading width, got pca"):
        width_jobs.make_report(WidthRequest(run_ids["pca"]))


def test_the_engine_makes_a_report_once_and_says_how_far_it_is(run_ids, monkeypatch):
    request, submitted = WidthRequest(run_ids["matryoshka"]), []
    monkeypatch.setattr(
        engine, "submit", lambda function, *arguments, **more: submitted.append((function, arguments, more))
    )
    assert width_jobs.request(request) is None
    ((function, arguments, more),) = submitted
    assert more["key"] == f"widths-{request.key}"
    monkeypatch.setattr(width_jobs, "WRITE_SECONDS", 0.0)
    shares, measure = [], width_jobs.measure_widths

    def watched(*words):
        answer = measure(*words)
        shares.append(width_jobs.read_progress(request))
        return answer

    monkeypatch.setattr(width_jobs, "measure_widths", watched)
    function(*arguments)
    assert 0.8 < shares[0] <= 1
    assert width_jobs.read_progress(request) == 0
    answer = width_jobs.request(request)
    assert isinstance(answer, WidthReport)
    assert len(submitted) == 1
    np.testing.assert_array_equal(answer.places["pca"], width_jobs.make_report(request).places["pca"])


def test_what_goes_wrong_is_told_and_can_be_tried_again(run_ids, monkeypatch):
    request = WidthRequest(run_ids["matryoshka"], member=1)

    def broken(*_, **__):
        raise ValueError("the embeddings are gone")

    with monkeypatch.context() as patch:
        patch.setattr(embedding, "embed", broken)
        width_jobs.compute(asdict(request))
    assert width_jobs.cached(request) == Failure("the embeddings are gone")
    width_jobs.discard(request)
    assert width_jobs.cached(request) is None
