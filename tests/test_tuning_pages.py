"""Tuned runs in store and app: what was chosen is kept and shown, with every trial; Distill asks for it."""

import json

import pytest

from kdlib import runs
from kdlib.analysis.tuned import choice_rows, describe_budget, given_rows, setting_cells, split_tuned, trial_rows
from kdlib.analysis.verdicts import verdict
from kdlib.cli import tables as cli_tables
from kdlib.export.report import make_report
from kdlib.names import method_name
from kdlib.pipeline import compare
from kdlib.runs import sweeps
from kdlib.store import fetch
from tests.opened_pages import opened, tables, texts
from tests.stored_runs import SPEC, store_all, store_result

TRIALS = 3
METHODS = ("baseline", "raw", "mlp")


@pytest.fixture(scope="module")
def results():
    return compare([SPEC.replace(method=method, tune=TRIALS) for method in METHODS])


@pytest.fixture
def ids(app_home, results):
    return [store_result(result, f"tuned {result.spec.method}") for result in results]


def test_the_store_keeps_every_trial_and_what_was_chosen(ids, results):
    for run_id, result in zip(ids, results, strict=True):
        run = fetch(run_id)
        assert (run.spec, run.setting) == (result.spec, result.setting)
        trials = [run.metrics.get(f"trial/{number + 1}") for number in range(TRIALS)]
        assert trials == pytest.approx([trial.val for trial in result.tuning.trials])
        assert run.metrics["tuning/epochs"] == result.tuning.epochs
        assert runs.result(run_id).tuning == result.tuning


def test_a_tuned_run_is_found_again_by_what_was_asked_not_by_what_was_chosen(ids, results):
    asked = [result.spec.replace(lr=0.5, dim=2, distance_weight=0.1) for result in results]
    sweep = sweeps.launch(asked)
    assert (list(sweep.runs), sweep.reused) == (ids, len(ids))


def test_compare_shows_what_each_method_chose_beside_the_methods_as_they_were_set(ids, results):
    app = opened("compare", runs=",".join([*ids, *store_all()]), show="Tuning", **{"every-trial": "true"})
    assert not app.exception
    assert "Tuned, 3 trials each" in texts(app)
    chosen, given, trials = [each for each in tables(app) if "learning rate" in each]
    assert list(chosen["method"]) == [method_name(method) for method in METHODS]
    assert list(chosen["learning rate"]) == [
        setting_cells(result.tuning.best.settings)["learning rate"] for result in results
    ]
    assert "trials" not in given.columns
    assert len(trials) == TRIALS
    assert sum("*" in number for number in trials["trial"]) == 1


def test_runs_that_were_not_tuned_have_no_such_section(app_home):
    app = opened("compare", runs=",".join(store_all()), show="Tuning")
    assert not app.exception
    assert "trials each" not in texts(app)


@pytest.mark.parametrize("show", ["Differences", "Why", "Dimension", "Size and cost", "Classes", "Table"])
def test_compare_survives_tuned_runs_beside_others(ids, show):
    assert not opened("compare", runs=",".join([*ids, *store_all()]), show=show).exception


@pytest.mark.parametrize("page", ["embeddings", "runs", "distill", "try_it", "dial"])
def test_every_page_survives_tuned_runs(ids, page):
    app = opened(page, runs=",".join(ids), run=ids[2])
    assert not app.exception
    assert "Traceback" not in texts(app)


def test_a_report_tells_the_tuning(ids):
    report = make_report(ids)
    [section] = [each for each in report.sections if each.title == "Tuning"]
    assert len(section.blocks) == 1 + len(METHODS)
    assert section.blocks[0].caption.startswith("Tuned, 3 trials each.")


def test_distill_asks_for_tuning_and_says_what_it_costs(app_home):
    plain = opened("distill", dataset="digits", labels="100", epochs="2")
    app = opened("distill", dataset="digits", labels="100", epochs="2", **{"tune-first": "true", "trials": "7"})
    assert not app.exception
    assert "tuned with 7 trials each" in texts(app)
    assert any("--tune 7" in block.value for block in app.code)
    assert not any("--tune" in block.value for block in plain.code)


def test_tuned_results_are_told_in_words_and_rows(results, capsys):
    given, tuned = split_tuned(results)
    assert (given, tuned) == ([], list(results))
    assert describe_budget(tuned) == "tuned, 3 trials each"
    other = [*tuned, compare([SPEC.replace(method="baseline", tune=2)])[0]]
    assert "not a fair comparison" in describe_budget(other)
    rows = choice_rows(tuned)
    assert [row["d_c"] == "–" for row in rows] == [True, True, False]
    assert [row["λ"] == "–" for row in rows] == [True, False, False]
    assert len(trial_rows(tuned[2])) == TRIALS
    assert given_rows(tuned)[0]["learning rate"] == rows[0]["learning rate"]
    assert ", tuned” is " in verdict(tuned)
    cli_tables.print_tuned(tuned)
    printed = capsys.readouterr().out
    assert "…" not in printed, "a number or a name is cut off"
    assert set(rows[0]) >= {"λ", "learning rate", "soft labels", "d_c"}
    assert "prefix" not in rows[0], "it is not searched"
    assert "Tuned, 3 trials each: best on validation, then trained with fresh seeds and tested once" in printed
    assert json.dumps(tuned[0].to_dict())
