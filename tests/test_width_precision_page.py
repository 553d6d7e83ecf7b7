"""The section Width x precision of Compare: measured in the background, a sentence, a chart, a table, files."""

from dataclasses import asdict

import pytest

from kdlib import pipeline, runs
from kdlib.spaces import precision_jobs
from pages import width_precision
from tests import stored_runs
from tests.opened_pages import opened, tables, texts


@pytest.fixture(autouse=True)
def home(app_home):
    return app_home


@pytest.fixture
def run_id(home):
    return stored_runs.store_result(stored_runs.trained(methods=("matryoshka",))[0], "nested")


def section(*ids, **query):
    return opened("compare", runs=",".join(ids), show="Width x precision", **query)


def measure_all(run_id):
    spec = runs.get(run_id).spec
    for request in precision_jobs.list_requests(run_id, spec):
        precision_jobs.compute(asdict(request))


def test_it_waits_for_the_engine_and_then_says_which_is_good_enough(run_id):
    app = section(run_id)
    assert not app.exception
    assert "2 of 2 to go" in app.get("progress")[0].proto.text
    measure_all(run_id)
    app = section(run_id)
    assert not app.exception
    assert not app.error, texts(app)
    assert not app.get("progress")
    table = tables(app)[-1]
    assert set(table["numbers"]) == {"2", "4", "256"}
    assert len(table) == 3 * 4
    [chosen] = table[table["choice"] == "good enough"].to_dict("records")
    assert f"{chosen['numbers']} numbers in {chosen['precision']}" in texts(app).replace("\\", "")
    assert f"--precision {chosen['precision']}" in app.code[0].value
    labels = [each.proto.label for each in app.get("download_button")]
    assert {"Parquet", "npz", "CSV"} <= set(labels)


def test_what_was_waited_for_is_drawn_once(run_id, monkeypatch):
    # drawn twice, its download buttons change under a click
    measure_all(run_id)
    answers, drawn = [None, None], []
    cached, show_rows = precision_jobs.cached, width_precision._show_rows
    monkeypatch.setattr(precision_jobs, "cached", lambda *asked: answers.pop() if answers else cached(*asked))
    monkeypatch.setattr(width_precision, "_show_rows", lambda *given: drawn.append(given) or show_rows(*given))
    app = section(run_id)
    assert not app.exception
    assert not answers
    assert len(drawn) == 1
    assert "npz" in [each.proto.label for each in app.get("download_button")]


def test_another_judge_may_choose_another(run_id):
    measure_all(run_id)
    app = section(run_id, judge="overlap")
    assert tables(app)[-1].query("choice == 'good enough'")["space"].tolist() == ["raw"]


def test_a_baseline_alone_is_a_sentence(home):
    baseline = stored_runs.store_result(stored_runs.trained()[0], "alone")
    app = section(baseline)
    assert not app.exception
    assert "no embedding to store" in texts(app)


def test_what_cannot_be_measured_is_said_and_can_be_asked_again(run_id, monkeypatch):
    def broken(*_, **__):
        raise ValueError("undefined: *no* row has a label")

    monkeypatch.setattr(precision_jobs, "measure", broken)
    measure_all(run_id)
    app = section(run_id)
    assert not app.exception
    assert "no\\* row has a label" in texts(app)
    app.button(key=f"again-{run_id}-compressed").click().run()
    spec = runs.get(run_id).spec
    assert precision_jobs.cached(precision_jobs.PrecisionRequest(run_id), spec) is None


def test_runs_of_several_widths_are_one_line(home):
    specs = [stored_runs.SPEC.replace(method="pca", dim=dim) for dim in (2, 4)]
    ids = [stored_runs.store_result(result, f"pca {result.spec.dim}") for result in pipeline.compare(specs)]
    for run_id in ids:
        measure_all(run_id)
    app = section(*ids)
    assert not app.exception
    assert set(tables(app)[-1]["numbers"]) == {"2", "4", "256"}
    assert app.selectbox(key="embedding").options == ["principal components (pca)"]
