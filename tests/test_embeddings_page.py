"""The Embeddings page: maps at once, measurements when they are there, words where there is nothing to draw."""

import shutil
import sys
from dataclasses import asdict, replace

import pytest
from streamlit.testing.v1 import AppTest

from kdlib import runs, spaces, store
from kdlib.data import datasets
from kdlib.spaces import storage
from tests import stored_runs
from tests.opened_pages import opened, sent_to_maps, tables, texts


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
    sent = sent_to_maps(app)
    assert sent["neighbours"] is None
    assert {panel["note"] for panel in sent["panels"]} == {"How far this map can be trusted is being measured."}
    assert "The spaces are being measured" in texts(app)
    assert not app.get("progress"), "what is being computed is said in the maps"


def test_a_measured_space_has_its_scorecard_and_every_colour(run_ids):
    spaces.compute(asdict(spaces.SpaceRequest(run_ids[2])))
    app = spaces_of(run_ids[2], below="Scorecard")
    assert not app.error, texts(app)
    assert all(panel["note"].startswith("This map: trustworthiness 0.") for panel in sent_to_maps(app)["panels"])
    pairs, each = tables(app)
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
    data, sent = datasets.load("digits"), sent_to_maps(app)
    assert (sent["selected"], sent["neighbours"]["row"]) == ([row], row)
    assert [group["name"] for group in sent["neighbours"]["groups"]] == ["raw", "compressed"]
    for group in sent["neighbours"]["groups"]:
        assert len(group["items"]) == 8
        assert all(item["same"] == (data.labels[item["row"]] == data.labels[row]) for item in group["items"])
    assert "of 8 neighbours have the same class" in sent["neighbours"]["words"][0]


def test_a_baseline_and_a_run_without_files_are_words_on_the_embeddings_page(run_ids):
    assert "no raw and no compressed space" in texts(spaces_of(run_ids[0]))
    shutil.rmtree(store.artifact_path(run_ids[1], "result.json").parent)
    app = spaces_of(run_ids[1])
    assert not app.exception
    assert "nothing to draw" in texts(app)


def test_a_run_that_trains_or_failed_is_words_on_the_embeddings_page(run_ids, monkeypatch):
    before = runs.get(run_ids[2])
    monkeypatch.setattr(runs, "get", lambda _: replace(before, state=store.FAILED, reason="diverged: *all* members"))
    app = spaces_of(run_ids[2])
    assert "diverged: \\*all\\* members" in texts(app).replace("\\:", ":")
    [anew, among] = [link.proto for link in app.get("page_link")]
    assert (anew.page, among.page) == ("distill", "runs")
    assert "methods=mlp" in anew.query_string
    assert run_ids[2] in among.query_string
    monkeypatch.setattr(runs, "get", lambda _: replace(before, state=store.RUNNING))
    app = spaces_of(run_ids[2])
    assert not app.exception
    assert "watch its spaces form" in app.get("progress")[0].proto.text
    assert "validation rows in the spaces of seed 0" in texts(app)


def test_no_page_draws_with_umap_itself(run_ids, monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)  # importing it would be an error
    app = spaces_of(run_ids[2], projection="UMAP")
    assert not app.exception
    assert not app.error, texts(app)
    assert [panel["waiting"] for panel in sent_to_maps(app)["panels"]] == ["UMAP waits for a free worker."] * 3


def test_the_run_that_is_open_stands_beside_the_title_and_in_the_address(run_ids):
    app = opened("embeddings", run=run_ids[1])
    assert not app.exception
    assert app.selectbox(key="open-run").value == run_ids[1]
    app.selectbox(key="open-run").select(run_ids[2]).run()
    assert run_ids[2] in app.query_params["run"]
    assert not app.exception
    app = opened("embeddings")
    assert app.selectbox(key="open-run").value in run_ids, "without an address the page opens with a run that is done"
    assert sent_to_maps(app)["panels"]


def test_a_map_that_is_being_made_says_so_where_it_will_be(run_ids):
    loaded = spaces.load_spaces(run_ids[2])
    request = spaces.SpaceRequest(run_ids[2], projection="umap")
    storage.write_progress(request.key(loaded), 1 / 3)
    panels = sent_to_maps(spaces_of(run_ids[2], projection="UMAP"))["panels"]
    assert [panel.get("moving", False) for panel in panels] == [False, True, False]
    assert panels[0]["waiting"] == "UMAP is ready; the others follow."
    assert panels[1]["waiting"].startswith("Laying out by UMAP")


def test_more_holds_what_is_set_less_often(run_ids):
    app = spaces_of(run_ids[2], split="noise", seed="1")
    assert (app.selectbox(key="split").value, app.number_input(key="seed").value) == ("ood:noise", 1)
    assert "as seed 1 has them" in texts(app)
