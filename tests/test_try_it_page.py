"""The page Try it: an answer at once, every way in, words where there is nothing to try."""

import base64
import shutil

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from kdlib import pipeline, runs, store, trying
from kdlib.data import datasets
from kdlib.spec import RunSpec
from pages import try_inputs
from tests import small_tables, stored_runs
from tests.opened_pages import opened, texts


@pytest.fixture(autouse=True)
def home(app_home):
    return app_home


@pytest.fixture
def run_ids(home):
    return stored_runs.store_all()


def page(*run_ids: str, **query: str) -> AppTest:
    return opened("try_it", runs=",".join(run_ids), **query)


def cards(app: AppTest) -> str:
    return "\n".join(str(each.proto.body) for each in app.get("html"))


def test_an_item_of_the_address_is_answered_at_once_by_all_three(run_ids):
    row = int(datasets.load("digits").splits["test"][8])
    app = page(*run_ids, row=str(row))
    assert not app.exception
    assert not app.error, texts(app)
    answer = trying.answer(trying.item_of_row("digits", row), run_ids, run_ids[2])
    for prediction in answer.predictions:
        share = f"{100 * prediction.probabilities.mean(0)[prediction.top]:.0f} % · {prediction.agreeing} of 2 seeds"
        assert share in cards(app)
    assert f"Its label: **{datasets.load('digits').labels[row]}**" in texts(app)
    assert len(app.get("plotly_chart")) == 4  # probabilities and three maps
    assert "Answered in" in texts(app)


def test_a_visit_without_a_choice_gets_the_newest_run_of_each_role(run_ids):
    app = opened("try_it")
    assert not app.exception
    assert app.query_params["runs"] == ",".join(run_ids)


def test_a_baseline_alone_has_its_own_space_and_says_why_not_more(run_ids):
    app = page(run_ids[0])
    assert not app.exception
    assert "A baseline has no teacher" in texts(app)
    assert len(app.get("plotly_chart")) == 2


def test_nothing_to_try_a_deleted_run_and_deleted_files_are_words(home):
    assert "no finished student to try yet" in texts(opened("try_it"))
    run_ids = stored_runs.store_all()
    assert "is not in this store" in texts(page("0" * 32))
    runs.delete(run_ids[0])
    shutil.rmtree(store.artifact_path(run_ids[1], "result.json").parent)
    app = page(run_ids[1])
    assert not app.exception
    assert "have been deleted" in texts(app)


def test_a_drawing_and_an_upload_that_is_none_are_an_answer_and_a_sentence(run_ids, monkeypatch):
    ink = np.zeros((64, 64), np.uint8)
    ink[8:56, 28:36] = 255
    given = {"kind": "drawing", "content": base64.b64encode(ink.tobytes()).decode()}
    monkeypatch.setattr(try_inputs, "load_component", lambda name: lambda **_: {"given": given})
    app = page(*run_ids)
    app.session_state[try_inputs.GIVEN] = try_inputs.DRAWING
    app.run()
    assert not app.exception
    expected = trying.answer(trying.item_of_drawing("digits", ink), run_ids, run_ids[2]).predictions[2]
    assert f"{100 * expected.probabilities.mean(0)[expected.top]:.0f} % · {expected.agreeing} of 2" in cards(app)
    assert "Its label" not in texts(app)
    given.update(kind="picture", content=base64.b64encode(b"no picture").decode())
    app.run()
    assert "is neither a picture" in texts(app)
    for bad in ({"kind": "drawing", "content": "!"}, {"kind": "drawing", "content": "AAAA"}, {"kind": "drawing"}):
        given.clear()
        given.update(bad)
        app.run()
        assert not app.exception
        assert len(app.error) == 1


def test_a_row_of_numbers_is_written_and_a_wrong_one_refused(tmp_path):
    name = small_tables.imported_table(tmp_path)
    spec = RunSpec(name, 30, f"{name}/y", method="mlp", dim=2, epochs=1, seeds=2, student="mlp", width=2)
    run_id = stored_runs.store_result(pipeline.run(spec), "trees")
    app = page(run_id)
    assert not app.exception
    assert len(app.get("plotly_chart")) == 4  # a sample has a row in the table
    app.text_area[0].set_value("1 2 3 4 5 6").run()
    assert "table of embeddings" in texts(app)
    assert len(app.get("plotly_chart")) == 4  # of the items that it knows there are maps all the same
    app.text_area[0].set_value("1 2 3").run()
    assert "has 6 numbers, got 3" in texts(app)


def test_runs_of_several_datasets_are_not_mixed(run_ids):
    other = stored_runs.trained(stored_runs.SPEC.replace(dataset="cluttered-digits", seeds=1), ("baseline",))[0]
    app = page(*run_ids, stored_runs.store_result(other, "other"))
    assert not app.exception
    assert "runs of one dataset" in texts(app)


def test_a_map_that_takes_long_is_drawn_by_pca_until_it_is_there(run_ids):
    app = page(*run_ids)
    app.button_group(key="try-projection").set_value("umap").run()
    assert not app.exception
    assert "Drawn by PCA until" in texts(app)
    assert "no place for new rows" in texts(app)
