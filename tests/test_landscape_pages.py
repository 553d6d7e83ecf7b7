"""Landscapes on Compare and Distill without a browser: what is drawn, what a cell opens, what a launch would be."""

import json
from functools import lru_cache
from urllib.parse import parse_qs

import pytest

from kdlib import pipeline, planning, runs, store
from kdlib.names import method_name
from kdlib.runs import sweeps
from kdlib.spec import RunSpec
from pages import sections
from pages.text import escape
from tests.opened_pages import opened, texts
from tests.stored_runs import SPEC, store_all, store_result

WEIGHTS = [0.2, 0.8]
AXES = {"method": ["baseline", "mlp"], "dim": [2, 4], "distance_weight": WEIGHTS}


@lru_cache
def results():
    return pipeline.compare(sweeps.expand(SPEC, AXES, grid=True))


@pytest.fixture
def ids(app_home):
    return [store_result(result, f"landscape {result.spec.method}") for result in results()]


def figure(app):
    """Return the plotly figure of a landscape on a page."""
    return json.loads(app.get("plotly_chart")[-1].proto.spec)


def box(app, label):
    return next(each for each in app.selectbox if each.label == label)


def links(app):
    return {each.proto.label: (each.proto.page, parse_qs(each.proto.query_string)) for each in app.get("page_link")}


def test_compare_draws_every_setting_and_opens_the_run_of_a_cell(ids):
    app = opened("compare", runs=",".join(ids), show="Landscape")
    assert not app.exception
    _, heat, points = figure(app)["data"]
    cells = [cell for result in results()[1:] for cell in result.grid.cells]
    shown = sorted(value for row in heat["z"] for value in row)
    assert shown == pytest.approx(sorted(100 * cell.val.mean for cell in cells))
    assert len(points["customdata"]) == 4
    assert f"Beside it: {escape(method_name('baseline'))}" in texts(app)
    chosen = next(option for option in box(app, "Open a cell").options if option == f"{method_name('mlp')}, 2, λ 0.8")
    box(app, "Open a cell").select(chosen).run()
    assert not app.exception
    assert "One of 2 settings that a run trained as one population" in texts(app)
    page, query = links(app)["Open its run"]
    assert (page, query) == ("runs", {"runs": [ids[1]]})
    page, query = links(app)["Set this on Distill"]
    assert page == "distill"
    assert (query["dim"], query["distance_weight"], query["labels"]) == (["2"], ["0.8"], ["60"])


def test_runs_that_are_not_done_are_blank_cells(ids):
    waiting = store.create(results()[1].spec.replace(dim=8), name="waits", user="tester")
    store.set_state(waiting, store.CANCELLED)
    app = opened("compare", runs=",".join([*ids, waiting]), show="Landscape")
    assert not app.exception
    _, heat, points = figure(app)["data"]
    assert [row[2] for row in heat["z"]] == [None, None]
    assert sum("cancelled" in text for text, _ in points["customdata"]) == 2


@pytest.mark.parametrize(
    ("view", "score"), [("Curves", "val"), ("Curves", "test"), ("All settings", "val"), ("Heatmap", "ood")]
)
def test_an_address_opens_a_view_with_a_score(ids, view, score):
    app = opened("compare", runs=",".join(ids), show="Landscape", view=view, score=score, over="distance_weight")
    assert not app.exception
    assert not app.error
    assert app.session_state["view"] == view
    assert app.session_state["score"] == score
    kinds = {trace["type"] for trace in figure(app)["data"]}
    assert ("parcoords" in kinds) == (view == "All settings")
    assert ("heatmap" in kinds) == (view == "Heatmap")


def test_runs_that_differ_in_no_number_have_no_landscape_but_a_way_to_one(app_home):
    app = opened("compare", runs=",".join(store_all()), show="Landscape")
    assert not app.exception
    assert "do not differ in any number" in texts(app)
    assert links(app)["Launch one"] == ("distill", {"mode": ["Landscape"]})


def test_costs_show_the_front_and_open_a_run(ids):
    app = opened("compare", runs=",".join(ids), show="Size and cost")
    assert not app.exception
    assert figure(app)["data"][0]["name"] == "Pareto front"
    box(app, "Open a cell").select_index(0).run()
    assert links(app)["Open its run"][1]["runs"][0] in ids


def test_more_runs_than_bars_tell_apart_open_with_their_landscape(ids, monkeypatch):
    monkeypatch.setattr(sections, "MAX_BARS", 2)
    app = opened("compare", runs=",".join(ids))
    assert not app.exception
    assert "too many for bars" in texts(app)
    assert app.session_state["show"] == "Landscape"


def test_distill_says_what_a_landscape_costs_and_counts_what_is_there(ids):
    query = {
        "mode": "Landscape",
        "dataset": "digits",
        "teacher": "random",
        "labels": "60",
        "epochs": "2",
        "width": "2",
        "seeds": "2",
        "methods": ["baseline", "mlp"],
        "values-dim": ["2", "4", "8"],
        "values-distance_weight": ["0.2", "0.8"],
    }
    app = opened("distill", runs=",".join(ids), **query)
    assert not app.exception
    assert not app.error, texts(app)
    assert "4 runs, 7 settings, 3 there already" in texts(app)
    assert "Takes **" in texts(app)
    assert not app.button(key="launch-landscape").disabled
    assert any(trace["type"] == "heatmap" for trace in figure(app)["data"])
    code = next(each.value for each in app.code if "kdlib sweep" in each.value)
    assert "--dim 2,4,8 --distance-weight 0.2,0.8" in code


def test_one_button_launches_what_a_landscape_lacks(ids, monkeypatch):
    launched = []

    def launch(specs, **_):
        launched.extend(specs)
        return sweeps.Sweep("0123456789ab", tuple(specs), tuple(ids), 0)

    monkeypatch.setattr(sweeps, "launch", launch)
    app = opened("distill", mode="Landscape", axis="labels", axis2="nothing else")
    app.button(key="launch-landscape").click().run()
    assert not app.exception
    assert {spec.method for spec in launched} == {"baseline", "raw", "mlp"}
    assert sorted({spec.labels for spec in launched}) == [50, 100, 300, 1000]
    assert (app.query_params["sweep"], "runs" in app.query_params) == ("0123456789ab", False)


def test_a_landscape_without_values_or_with_too_many_runs_cannot_be_launched(app_home):
    app = opened("distill", mode="Landscape")
    app.multiselect(key="values-dim").set_value([]).run()
    assert app.button(key="launch-landscape").disabled
    many = [str(value) for value in range(1, 150)]
    app = opened("distill", **{"mode": "Landscape", "axis": "epochs", "axis2": "nothing else", "values-epochs": many})
    assert not app.exception
    assert "a landscape may have up to 200 runs, got 447" in texts(app)
    assert app.button(key="launch-landscape").disabled


def test_all_active_runs_of_a_landscape_are_cancelled_at_once(ids, monkeypatch):
    spec = results()[1].spec
    waiting = [store.create(spec.replace(dim=dim), name="waits", user="tester") for dim in (8, 16)]
    monkeypatch.setattr(runs, "get", store.fetch)  # no engine is there to take them for lost
    cancelled = []
    monkeypatch.setattr(runs, "cancel", cancelled.append)
    app = opened("distill", mode="Landscape", runs=",".join([*ids, *waiting]))
    app.button(key="cancel").click().run()
    assert not app.exception
    assert sorted(cancelled) == sorted(waiting)


def test_what_was_stopped_is_resumed(ids, monkeypatch):
    stopped = store.create(results()[1].spec.replace(dim=8), name="stopped", user="tester")
    store.set_state(stopped, store.CANCELLED)
    resumed = []
    monkeypatch.setattr(runs, "resume", resumed.append)
    app = opened("distill", mode="Landscape", runs=",".join([*ids, stopped]))
    app.button(key="resume").click().run()
    assert resumed == [stopped]


class TestGridSwitch:
    """Several values of λ, learning rate and soft labels on Distill."""

    def code(self, app):
        return next(each.value for each in app.code if "kdlib compare" in each.value)

    def test_a_grid_is_one_run_per_method_whose_command_has_its_values(self, app_home):
        app = opened("distill", grid="true")
        assert not app.exception
        assert "--distance-weight 0.25,0.5,0.75,0.9" in self.code(app)
        assert app.slider(key="distance_weight").disabled
        assert "4 settings" in texts(app)
        app.multiselect(key="grid-lr").set_value(["0.003", "0.01", "0.02"]).run()
        assert "--lr 0.003,0.01,0.02" in self.code(app)
        assert "12 settings" in texts(app)

    def test_what_is_no_number_is_a_word(self, app_home):
        app = opened("distill", grid="true")
        app.multiselect(key="grid-lr").set_value(["0.01", "fast"]).run()
        assert not app.exception
        assert "expected a number, got 'fast'" in texts(app)

    def test_a_grid_takes_longer_and_is_launched_as_it_is_shown(self, app_home, monkeypatch):
        launched, estimated = [], []
        estimate = planning.estimate_cost

        def remember(specs, *args):
            estimated.append(max(spec.cell_count for spec in specs))
            return estimate(specs, *args)

        monkeypatch.setattr(planning, "estimate_cost", remember)
        monkeypatch.setattr(runs, "launch", lambda specs, **_: launched.extend(specs) or [])
        app = opened("distill", grid="true", methods=["raw", "mlp"])
        app.button(key="launch").click().run()
        assert not app.exception
        assert estimated[-1] == 4
        assert [(spec.method, spec.distance_weight) for spec in launched] == [
            ("raw", (0.25, 0.5, 0.75, 0.9)),
            ("mlp", (0.25, 0.5, 0.75, 0.9)),
        ]

    def test_a_step_has_one_setting(self, app_home):
        app = opened("distill", grid="true", mode="Step through it")
        assert not app.exception
        assert not app.error

    def test_a_link_sets_a_grid(self, app_home):
        from pages import controls

        spec = RunSpec(distance_weight=WEIGHTS, lr=[0.003, 0.03])
        app = opened("distill", **controls.query(spec, ["raw"]))
        assert "--distance-weight 0.2,0.8" in self.code(app)
        assert "--lr 0.003,0.03" in self.code(app)
