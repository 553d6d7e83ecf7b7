"""The Embeddings page: maps at once, measurements when they are there, words where there is nothing to draw."""

import shutil
import sys
from dataclasses import asdict, replace

import pytest
from streamlit.testing.v1 import AppTest

from kdlib import runs, spaces, store
from kdlib.data import datasets
from tests import stored_runs
from tests.opened_pages import opened, texts


@pytest.fixture(autouse=True)
def home(app_home):
    return app_home


@pytest.fixture
def run_ids(home):
    return stored_runs.store_all()


def spaces_of(run: str, **query: str) -> AppTest:
    return opened("embeddings", runs=run, **query)


def test_the_spaces_are_drawn_at_once_and_measured_in_the_background(run_ids):
    app = spaces_of(run_ids[2])
    assert not app.exception
    assert "600 of 600 rows as seed 0" in texts(app)
    assert "nearest neighbours" not in texts(app)
    assert app.get("progress")
    app = spaces_of(run_ids[2], below="Scorecard")
    assert "being measured" in texts(app)


def test_a_measured_space_has_its_scorecard_and_every_colour(run_ids):
    spaces.compute(asdict(spaces.SpaceRequest(run_ids[2])))
    app = spaces_of(run_ids[2], below="Scorecard")
    assert not app.error, texts(app)
    assert not app.get("progress")
    pairs, each = (table.value for table in app.dataframe[-2:])
    assert pairs["spaces"].tolist() == ["raw → compressed", "compressed → student", "raw → student"]
    assert each["space"].tolist() == ["raw", "compressed", "student"]
    assert app.get("plotly_chart")
    for by in app.selectbox(key="colour").options:
        app.selectbox(key="colour").select(by).run()
        assert not app.exception
        assert "still being measured" not in texts(app)


def test_one_row_in_the_address_shows_its_neighbours(run_ids):
    row = int(datasets.load("digits").splits["test"][5])
    app = spaces_of(run_ids[2], row=str(row))
    assert "Its 10 nearest neighbours" in texts(app)
    counts = [int(each.value.split(": ")[1]) for each in app.caption if each.value.startswith(("kept", "lost"))]
    assert [sum(counts[:2]), sum(counts[2:])] == [10, 10]


def test_a_baseline_and_a_run_without_files_are_words_on_the_embeddings_page(run_ids):
    assert "no raw and no compressed space" in texts(spaces_of(run_ids[0]))
    shutil.rmtree(store.artifact_path(run_ids[1], "result.json").parent)
    app = spaces_of(run_ids[1])
    assert not app.exception
    assert "nothing to draw" in texts(app)


def test_a_run_that_trains_or_failed_is_words_on_the_embeddings_page(run_ids, monkeypatch):
    before = runs.get(run_ids[2])
    monkeypatch.setattr(runs, "get", lambda _: replace(before, state=store.FAILED, reason="diverged: *all* members"))
    assert "diverged: \\*all\\* members" in texts(spaces_of(run_ids[2])).replace("\\:", ":")
    monkeypatch.setattr(runs, "get", lambda _: replace(before, state=store.RUNNING))
    app = spaces_of(run_ids[2])
    assert not app.exception
    assert "watch its spaces form" in texts(app)
    assert "validation rows in the spaces of seed 0" in texts(app)


def test_no_page_draws_with_umap_itself(run_ids, monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)  # importing it would be an error
    app = spaces_of(run_ids[2], projection="UMAP")
    assert not app.exception
    assert not app.error, texts(app)
    assert app.get("progress")
