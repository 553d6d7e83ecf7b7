"""The page Dial: what it says without a run, with one that trains or has one width, and what its component is sent."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from kdlib import engine, runs, store
from kdlib.data import datasets
from kdlib.runs import reconcile
from kdlib.spaces import width_jobs
from kdlib.spaces.width_jobs import WidthRequest
from pages import width_dial
from tests import stored_runs
from tests.opened_pages import opened, texts

SPEC = stored_runs.SPEC.replace(dim=6)


@pytest.fixture(autouse=True)
def home(app_home):
    return app_home


@pytest.fixture
def run_id(home):
    (result,) = stored_runs.trained(SPEC, ("matryoshka",))
    return stored_runs.store_result(result, "nested")


def components(app) -> list:
    return app.get("bidi_component")


def test_without_a_run_the_page_says_what_it_is_and_trains_one(monkeypatch):
    monkeypatch.setattr(reconcile, "GRACE_SECONDS", 600.0)  # no engine will begin the run
    app = opened("dial")
    assert "How few numbers are enough" in texts(app)
    app.button(key="go").click().run()
    assert not app.exception
    assert not app.error, texts(app)
    (run,) = runs.list_runs()
    assert (run.spec.method, run.spec.dim, run.spec.dataset) == ("matryoshka", 64, "cluttered-digits")
    assert app.query_params["run"] == run.id
    assert "training; its dial comes when it is done" in texts(app)


def test_the_newest_run_is_measured_by_the_engine_and_then_turned(run_id, monkeypatch):
    submitted = []
    monkeypatch.setattr(engine, "submit", lambda function, *_, **__: submitted.append(function))
    app = opened("dial")
    assert not app.exception
    assert submitted == [width_jobs.compute]
    assert app.get("progress")
    assert not components(app)
    width_jobs.compute(asdict(WidthRequest(run_id)))
    app.run()
    assert not app.get("progress")
    assert len(components(app)) == 1
    assert "scored on 600 test rows" in texts(app)


def test_an_address_names_the_run_or_the_page_says_why_not(run_id):
    (other,) = stored_runs.trained(SPEC, ("pca",))
    one_width = stored_runs.store_result(other, "one")
    second = stored_runs.store_result(stored_runs.trained(SPEC, ("matryoshka",))[0], "second")
    app = opened("dial", run=run_id)
    assert app.selectbox(key="open-run").value == run_id
    app.selectbox(key="open-run").select(second).run()
    assert app.query_params["run"] == second
    assert "one width only" in texts(opened("dial", run=one_width))
    assert "not in this store" in texts(opened("dial", run="0" * 32))
    assert not opened("dial", run="<b>").exception


def test_a_run_that_failed_or_a_measurement_that_failed_is_words(run_id, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(width_jobs, "make_report", lambda *_: 1 / 0)
        width_jobs.compute(asdict(WidthRequest(run_id)))
    app = opened("dial", run=run_id)
    assert "could not be measured: division by zero" in texts(app)
    app.button(key="dial-again").click().run()
    assert app.get("progress")
    before = runs.get(run_id)
    monkeypatch.setattr(runs, "get", lambda _: replace(before, state=store.FAILED, reason="diverged: *all*"))
    app = opened("dial", run=run_id)
    assert "This run failed" in texts(app)
    assert app.button(key="go")


def test_the_component_gets_all_widths_at_once(run_id):
    report, data = width_jobs.make_report(WidthRequest(run_id)), datasets.load("digits")
    sent = width_dial.dial_data(report, data, run_id)
    assert sent["widths"] == report.widths
    assert sent["start"] == len(report.widths) - 1
    assert width_dial.dial_data(report, data, run_id, start=3)["start"] == 2
    assert len(sent["frames"]) == len(report.widths) * len(report.shown)
    np.testing.assert_array_equal(sent["frames"]["x1"], report.places["pca"][..., 0].ravel())
    np.testing.assert_array_equal(sent["points"]["colour0"], data.labels[sent["points"]["row"]])
    assert {each["kind"] for each in sent["series"]} >= {"target", "overlap", "rank"}
    assert all(len(each["trained"]) == len(each["pca"]) == len(report.widths) for each in sent["series"])
    assert [each["name"] for each in sent["colours"]] == ["target", *data.attributes]
    json.dumps({name: value for name, value in sent.items() if name not in ("points", "frames")}, allow_nan=False)
