"""Compare: what it says of the chosen runs, of those that train and of those that it leaves out; without a browser."""

from dataclasses import replace

import pytest

from kdlib import runs, store
from tests import stored_runs
from tests.opened_pages import opened, tables, texts


@pytest.fixture
def run_ids(app_home):
    return stored_runs.store_all()


@pytest.mark.parametrize(
    ("state", "message"), [(store.FAILED, "it failed\\: diverged\\: *all*"), (store.CANCELLED, "it was cancelled")]
)
def test_compare_says_which_run_it_leaves_out_and_why(state, message, run_ids, monkeypatch):
    known = runs.get
    lost = replace(known(run_ids[2]), state=state, reason="diverged: *all*")
    monkeypatch.setattr(runs, "get", lambda run_id: lost if run_id == lost.id else known(run_id))
    app = opened("compare", runs=",".join(run_ids))
    notes = [each.value.replace("\\*", "*") for each in app.info if "left out" in each.value]
    assert len(notes) == 1
    assert message in notes[0]


def test_compare_shows_curves_until_the_first_run_is_done_and_then_the_answer(run_ids, monkeypatch):
    known, training = runs.get, set(run_ids)
    monkeypatch.setattr(
        runs, "get", lambda run_id: replace(known(run_id), state=store.RUNNING if run_id in training else store.DONE)
    )
    app = opened("compare", runs=",".join(run_ids))
    assert not app.exception
    assert app.get("progress")[0].proto.text.startswith("0 of 3 runs are done")
    assert "The comparison comes when a run is done" in texts(app)
    assert len(app.get("plotly_chart")) == 1
    training -= set(run_ids[:2])
    app.run()
    assert app.get("progress")[0].proto.text.startswith("2 of 3 runs are done")
    assert "on the test set" in texts(app)
    assert "The comparison comes" not in texts(app)


def test_runs_that_differ_in_their_labelled_rows_only_are_compared_as_one(run_ids):
    others = []
    for result in stored_runs.trained():
        drawn = replace(result, spec=result.spec.replace(subset=1))
        others.append(stored_runs.store_result(drawn, "other rows"))
    app = opened("compare", runs=",".join([*run_ids, *others]), show="Differences")
    assert not app.exception
    assert "2 labelled subsets x 2 seeds" in "".join(each.value for each in app.caption)
    assert len(app.selectbox(key="to").options) == 3
    assert tables(app)[-1]["n"].tolist() == ["4", "4"]
    app = opened("compare", runs=",".join([run_ids[0], others[2]]), show="Differences")
    assert "other labelled rows" in "".join(each.value for each in app.info)


def test_what_the_others_are_compared_with_is_in_the_address(run_ids):
    runs_there = ",".join(run_ids)
    names = opened("compare", runs=runs_there, show="Differences").selectbox(key="to").options
    app = opened("compare", runs=runs_there, show="Differences", to=names[-1])
    assert app.selectbox(key="to").value == names[-1] != names[0]
    assert names[-1] not in tables(app)[-1]["method"].tolist()


def test_a_run_on_other_labels_is_not_paired_and_the_page_says_why(run_ids):
    result = stored_runs.trained()[2]
    fewer = stored_runs.store_result(replace(result, spec=result.spec.replace(labels=50)), "fewer labels")
    app = opened("compare", runs=",".join([*run_ids, fewer]), show="Differences")
    assert not app.exception
    said = [each.value for each in app.info if "Not paired" in each.value]
    assert len(said) == 1
    other = app.selectbox(key="to").value
    assert ("60 and not 50" if "labels 50" in other else "50 and not 60") in said[0]
    assert "labels 50" not in "".join(tables(app)[-1]["method"] if tables(app) else [])
