"""Comparisons in rounds in the app: controls of Distill, looks on Compare, more seeds, and links to a whole sweep."""

import json
from dataclasses import replace

import pytest

from kdlib import runs, store
from kdlib.analysis.rounds import Repetition, extend
from kdlib.names import run_name
from kdlib.pipeline import compare
from kdlib.runs import sequences, sweeps
from kdlib.spec import RunSpec
from tests.opened_pages import opened, tables, texts
from tests.stored_runs import SPEC, store_all, store_result

NAME = "abcdef012345"
PLAN = sequences.Plan((2, 4, 8), 3, 1e-9, name="until sure")
METHODS = ("baseline", "raw", "mlp")
SMALL = {"dataset": "digits", "teacher": "random", "labels": "60", "epochs": "2", "width": "2", "seeds": "2"}


@pytest.fixture(scope="module")
def rounds():
    learning = SPEC.replace(labels=150, epochs=12, lr=0.03, width=8)
    first = [learning.replace(method=method) for method in METHODS]
    return compare([*first, *(spec.replace(first_seed=2) for spec in first)])


def stored(results, plan=PLAN):
    """Return the ids of the runs of a comparison in rounds of which these are the results."""
    ids = [store_result(result, f"until sure · {result.spec.method}") for result in results]
    for run_id in ids:
        store.add_to_group(run_id, NAME, plan.to_json() if plan else "")
    return ids


@pytest.fixture
def launched(monkeypatch):
    """Return what pages launch, instead of launching it: kind -> arguments."""
    asked = {}

    def remember(kind):
        def launch(*arguments, **_):
            asked[kind] = arguments
            return sweeps.Sweep(NAME, (), (), 0)

        return launch

    monkeypatch.setattr(sequences, "launch", remember("rounds"))
    monkeypatch.setattr(sequences, "add_seeds", remember("seeds"))
    monkeypatch.setattr(sweeps, "launch", remember("sweep"))
    monkeypatch.setattr(runs, "launch", lambda specs, **_: asked.update(runs=(specs,)) or [])
    return asked


class TestDistill:
    def code(self, app):
        return "\n".join(each.value for each in app.code)

    def test_one_click_launches_every_method_on_every_draw(self, app_home, launched):
        app = opened("distill", **SMALL, subsets="3")
        assert not app.exception
        assert "3 labelled subsets x 2 seeds" in texts(app).replace("\\", "")
        assert "9 runs" in texts(app)
        assert "--subsets 3" in self.code(app)
        assert "pool(compare_repeated(specs, Repetition(subsets=3)))" in self.code(app)
        assert "subsets: 3" in self.code(app)
        app.button(key="launch").click().run()
        assert not app.exception
        specs = launched["runs"][0]
        assert [(spec.method, spec.subset) for spec in specs] == [(m, s) for s in (0, 1, 2) for m in METHODS]

    def test_seeds_are_added_until_it_is_sure(self, app_home, launched):
        app = opened("distill", **SMALL, **{"until-sure": "true", "until": "1.5", "most_seeds": "16"})
        assert not app.exception
        assert "3 to 12 runs" in texts(app)
        assert "2 to 16 seeds until ± 1.5 points" in texts(app).replace("\\", "")
        assert "Looks at 2, 4, 8, 16 seeds" in texts(app)
        assert "--until 1.5 --most-seeds 16" in self.code(app)
        assert "half_width=0.015, most_seeds=16" in self.code(app)
        app.button(key="launch").click().run()
        assert not app.exception
        specs, repetition = launched["rounds"]
        assert ([spec.method for spec in specs], repetition) == (list(METHODS), Repetition(1, 0.015, 16))
        assert app.query_params["sweep"] == NAME

    def test_a_tuned_comparison_on_draws_is_one_in_rounds(self, app_home, launched):
        app = opened("distill", **SMALL, subsets="2", **{"tune-first": "true", "trials": "3"})
        app.button(key="launch").click().run()
        assert not app.exception
        specs, repetition = launched["rounds"]
        assert ([spec.tune for spec in specs], repetition) == ([0, 0, 0, 3, 3, 3], Repetition(2))

    def test_the_cost_counts_the_draws_and_the_seeds_that_may_come(self, app_home):
        def most(**query):
            app = opened("distill", **SMALL | {"epochs": "200"}, **query)
            return next(each.value for each in app.markdown if each.value.startswith("Takes"))

        once = most()
        assert most(subsets="5") != once
        assert most(**{"until-sure": "true", "most_seeds": "100"}) != once

    def test_draws_of_all_labels_are_refused(self, app_home):
        app = opened("distill", dataset="digits", labels="10000", subsets="2")
        assert app.button(key="launch").disabled

    def test_a_single_seed_cannot_become_sure(self, app_home):
        app = opened("distill", **SMALL | {"seeds": "1"}, **{"until-sure": "true"})
        assert not app.exception
        assert app.toggle(key="until-sure").disabled
        assert "--until" not in self.code(app)

    def test_a_preset_sets_them_back(self, app_home):
        app = opened("distill", subsets="3", **{"until-sure": "true"})
        app.selectbox(key="preset").select("Few labels").run()
        assert (app.slider(key="subsets").value, app.toggle(key="until-sure").value) == (1, False)

    def test_a_landscape_counts_the_draws(self, app_home, launched):
        query = SMALL | {"mode": "Landscape", "axis": "dim", "axis2": "nothing else", "values-dim": ["2", "4"]}
        app = opened("distill", **query, subsets="2", **{"until-sure": "true"})
        assert not app.exception
        assert "8 runs" in texts(app)
        assert "A landscape adds no seeds" in texts(app)
        assert "--subsets 2" in self.code(app)
        app.button(key="launch-landscape").click().run()
        assert sorted({spec.subset for spec in launched["sweep"][0]}) == [0, 1]

    def test_a_landscape_of_grids_chooses_on_the_first_draw(self, app_home, launched):
        query = SMALL | {"mode": "Landscape", "axis": "distance_weight", "axis2": "nothing else"}
        app = opened("distill", **query, subsets="2")
        app.button(key="launch-landscape").click().run()
        specs, repetition = launched["rounds"]
        assert ({spec.subset for spec in specs}, repetition) == ({0}, Repetition(2))

    def test_it_says_how_sure_it_is_and_shows_one_curve_for_all_rounds_of_a_method(self, app_home, rounds):
        stored(rounds, replace(PLAN, looks=(2, 4), allowed=2))
        app = opened("distill", sweep=NAME)
        assert not app.exception
        assert "All 4 seeds that were planned are trained" in texts(app).replace("\\", "")
        assert [each.value for each in app.text if each.value in map(run_name, [each.spec for each in rounds])] == [
            run_name(each.spec) for each in rounds[:3]
        ]
        [figure] = app.get("plotly_chart")
        assert len([trace for trace in json.loads(figure.proto.spec)["data"] if trace.get("showlegend", True)]) == 3


class TestCompare:
    def test_the_runs_of_all_rounds_are_one_comparison_with_wider_intervals(self, app_home, rounds):
        stored(rounds, replace(PLAN, looks=(2, 4), allowed=2))
        app = opened("compare", sweep=NAME, show="Looks")
        assert not app.exception
        assert "4 seeds, widened for 2 looks" in "".join(each.value for each in app.caption)
        said = texts(app).replace("\\", "")
        assert "All 4 seeds that were planned are trained" in said
        assert "97.5 % instead of 95 %" in said
        [looks] = [each for each in tables(app) if "asked for" in each]
        assert list(looks["seeds"]) == ["2", "4"]
        assert len(app.get("plotly_chart")) == 2

    def test_while_a_round_trains_all_methods_are_compared_with_as_many_seeds(self, app_home, rounds):
        stored(rounds[:5], PLAN)
        waiting = store.create(rounds[5].spec, name="waits", user="tester", group=NAME, plan=PLAN.to_json())
        store.set_state(waiting, store.FAILED, "no memory")
        app = opened("compare", sweep=NAME)
        assert not app.exception
        assert "2 seeds, widened for 3 looks" in "".join(each.value for each in app.caption)
        said = texts(app).replace("\\", "")
        assert "Look 1 of 3, after 2 seeds" in said
        assert "Resume it to go on" in said

    def test_the_next_round_is_launched_where_no_worker_did(self, app_home, rounds, monkeypatch):
        stored(rounds[:3])
        advanced = []
        monkeypatch.setattr(sequences, "advance", advanced.append)
        monkeypatch.setattr("streamlit.rerun", lambda: None)
        assert not opened("compare", sweep=NAME).exception
        assert advanced[0] == NAME

    @pytest.mark.parametrize("show", ["Differences", "Why", "Landscape", "Size and cost", "Classes", "Table"])
    def test_every_section_survives_it(self, app_home, rounds, show):
        stored(rounds, replace(PLAN, looks=(2, 4), allowed=2))
        app = opened("compare", sweep=NAME, show=show)
        assert not app.exception
        assert "Traceback" not in texts(app)

    def test_runs_of_no_plan_have_no_looks(self, app_home):
        app = opened("compare", runs=",".join(store_all()), show="Looks")
        assert not app.exception
        assert "looks" not in texts(app)

    def test_more_seeds_are_offered_and_launched_where_they_would_settle_it(self, app_home, launched, monkeypatch):
        from pages import sections

        ids = store_all()
        monkeypatch.setattr(sections, "seeds_to_settle", lambda _: 6)
        app = opened("compare", runs=",".join(ids), show="Differences")
        button = app.button(key="add-seeds")
        assert button.label == "Train 4 more seeds of each"
        assert "would be clear with about 6 seeds" in texts(app)
        assert any(each.value.startswith("Takes") for each in app.markdown)
        button.click().run()
        assert not app.exception
        infos, seeds, allowed = launched["seeds"]
        assert ({run.id for run in infos}, seeds, allowed) == (set(ids), 6, 2)

    def test_no_seeds_are_offered_where_none_would_settle_it(self, app_home, monkeypatch):
        from pages import sections

        monkeypatch.setattr(sections, "seeds_to_settle", lambda _: None)
        app = opened("compare", runs=",".join(store_all()), show="Differences")
        assert not [each for each in app.button if each.key == "add-seeds"]

    def test_predictions_of_a_method_are_those_of_all_its_rounds(self, app_home, rounds):
        from kdlib.analysis.class_scores import scores_per_class
        from kdlib.data import datasets

        stored(rounds, replace(PLAN, looks=(2, 4), allowed=2))
        app = opened("compare", sweep=NAME, show="Classes")
        data = datasets.load("digits")
        whole = extend(rounds[0], rounds[3])
        expected = scores_per_class(whole.arrays["logits/test"], data.labels[data.splits["test"]], list(data.classes))
        drawn = app.get("plotly_chart")[1].proto.spec
        assert f"{100 * expected['mean'].iloc[0]:.1f} \\u00b1 {100 * expected['ci95'].iloc[0]:.1f} %, n = 4" in drawn


class TestSweepLinks:
    def test_a_link_opens_all_runs_of_a_sweep(self, app_home):
        results = compare([SPEC.replace(dim=dim) for dim in (2, 4)])
        stored(results, None)
        app = opened("compare", sweep=NAME, show="Landscape")
        assert not app.exception
        assert "2 runs chosen" in texts(app)
        link = next(each.proto for each in app.get("page_link") if each.proto.label == "See the spaces")
        assert link.query_string == f"sweep={NAME}"

    def test_an_unknown_sweep_is_said(self, app_home):
        store_all()
        app = opened("compare", sweep="0" * 12)
        assert not app.exception
        assert "This store has no sweep 000000000000" in texts(app)

    @pytest.mark.parametrize("page", ["distill", "embeddings", "runs", "try_it"])
    def test_every_page_survives_a_sweep(self, app_home, rounds, page):
        stored(rounds)
        assert not opened(page, sweep=NAME).exception

    def test_what_a_person_called_it_is_its_title(self, app_home, rounds):
        stored(rounds)
        assert sweeps.sweep_title(NAME) == "until sure"
        assert len(sweeps.member_ids(NAME)) == 6
        assert sweeps.sweep_title("0" * 12) == ""
        assert sweeps.member_ids("0" * 12) == []


def test_a_report_tells_all_rounds_as_one_comparison(app_home, rounds):
    from kdlib.export.report import render

    ids = stored(rounds, replace(PLAN, looks=(2, 4), allowed=2))
    text = render(ids, "md")
    assert "3 runs answer it, each trained 4 times" in text
    assert "Here they are over 4 seeds, widened for 2 looks." in text
    assert "--seeds 4" in text
    assert all(run_id[:12] in text for run_id in ids)


def test_a_run_of_later_seeds_says_so_in_its_name():
    spec = RunSpec(method="baseline", subset=2, first_seed=5)
    assert runs.default_name(spec) == "no teacher (baseline), labelled subset 2, seeds from 5"
