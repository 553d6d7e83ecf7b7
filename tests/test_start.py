"""Start in each of its states: the recorded race, a live one, one that is over, failed or was cancelled."""

import json
from dataclasses import replace

import pytest

from kdlib import runs, store
from kdlib.recording import load_recording
from kdlib.results import Point
from tests import stored_runs
from tests.opened_pages import opened, texts


@pytest.fixture(autouse=True)
def home(app_home):
    return app_home


def shown(app) -> dict:
    """Return what the page sends to its picture."""
    [component] = app.get("bidi_component")
    return json.loads(component.proto.json)


def test_a_first_visit_sees_the_recorded_race_labelled_as_such():
    app = opened("start")
    assert not app.exception
    data, race = shown(app), load_recording()
    assert data["play"]
    assert data["status"] == race.describe()
    assert [bar["name"] for bar in data["bars"]] == [
        "no teacher (baseline)",
        "teacher as it is (raw)",
        "trained, two layers (mlp), 16",
    ]
    assert data["steps"][-1]["bars"] == [result.score("test").mean for result in race.results]
    assert "Recorded: Compression" in texts(app).replace("\\", "")
    assert "thrown away: background" in texts(app).replace("\\", "")
    assert not app.button(key="go").disabled


def test_the_class_race_is_smaller(monkeypatch):
    launched = []
    monkeypatch.setattr(runs, "launch", lambda specs, **_: launched.extend(specs) or stored_runs.store_all())
    app = opened("start")
    app.session_state["size"] = "Class"
    app.run()
    app.button(key="go").click().run()
    assert {(spec.seeds, spec.epochs) for spec in launched} == {(3, 12)}
    assert [spec.method for spec in launched] == ["raw", "mlp", "baseline"]


def test_while_it_runs_the_bars_stand_at_the_same_epoch(monkeypatch):
    ids = stored_runs.store_all()
    known = runs.get

    def running(run_id):
        return replace(known(run_id), state=store.RUNNING, ended=None, progress=0.5)

    reached = {"baseline": 2, "raw": 1, "mlp": 2}
    monkeypatch.setattr(runs, "get", running)
    monkeypatch.setattr(
        runs,
        "history",
        lambda run_id: [Point(e, val=[e / 10]) for e in range(1, 1 + reached[known(run_id).spec.method])],
    )
    app = opened("start", runs=",".join(ids))
    assert not app.exception
    data = shown(app)
    [step] = data["steps"]
    assert step["bars"] == pytest.approx([0.1, 0.1, 0.1])
    assert step["when"] == "after epoch 1 of 2"
    assert data["status"].startswith("Live")
    assert app.button(key="go").disabled
    assert "Recorded" not in texts(app)


def test_when_it_is_over_all_of_it_can_be_played_and_the_sentence_says_both():
    app = opened("start", runs=",".join(reversed(stored_runs.store_all())))
    assert not app.exception
    data = shown(app)
    assert not data["play"]
    assert [step["when"] for step in data["steps"]] == [
        "before training", "after epoch 1 of 2", "after epoch 2 of 2", "measured",
    ]  # fmt: skip
    results = [result.score("test").mean for result in stored_runs.trained()]
    assert data["steps"][-1]["bars"] == results, "baseline, raw, compressed, whatever the address says"
    assert data["status"].startswith("Run on this server")
    sentence = next(each.value for each in app.info).replace("\\", "")
    assert "n = 2" in sentence
    assert "the 4 new numbers hold the target" in sentence


@pytest.mark.parametrize(("state", "word"), [(store.FAILED, "diverged"), (store.CANCELLED, "cancelled")])
def test_a_race_that_came_to_no_end_says_so(state, word, monkeypatch):
    ids = stored_runs.store_all()
    known = runs.get

    def ended(run_id):
        run = known(run_id)
        return replace(run, state=state, reason="diverged: seed 0") if run.spec.method == "mlp" else run

    monkeypatch.setattr(runs, "get", ended)
    app = opened("start", runs=",".join(ids))
    assert not app.exception
    said = texts(app).replace("\\", "")
    assert word in said
    assert "No outcome, because not all three are done" in said
    assert not app.button(key="go").disabled


@pytest.mark.parametrize("page", ["compare", "embeddings", "runs"])
def test_pages_without_a_run_show_the_recorded_one_and_say_so(page):
    app = opened(page)
    assert not app.exception
    assert load_recording().describe() in texts(app).replace("\\", "")
    assert any("recorded" in each.value.lower() for each in app.markdown)


@pytest.mark.parametrize("page", ["compare", "embeddings", "runs"])
def test_the_recorded_race_is_never_among_runs_of_this_server(page):
    stored_runs.store_all()
    assert "Recorded" not in texts(opened(page))
