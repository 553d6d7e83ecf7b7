"""Results in a notebook: opening runs, cards, figures, and a report's notebook that runs top to bottom."""

import os
from dataclasses import replace
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

import kdlib
from kdlib import runs
from kdlib.export.report import render
from kdlib.notebook import Figures
from kdlib.results import Comparison
from kdlib.spec import RunSpec
from tests.made_results import make_result
from tests.stored_runs import store_all, trained

ROOT = Path(__file__).resolve().parent.parent
NAMES = ["no teacher (baseline)", "teacher as it is (raw)", "trained, two layers (mlp), 4"]
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def stored(fresh_home):
    return store_all()


def test_a_run_is_opened_with_its_arrays(stored):
    result, [_, _, mlp] = kdlib.open(stored[2][:10]), trained()
    assert result == mlp
    assert set(result.arrays) == set(mlp.arrays)
    np.testing.assert_array_equal(result.arrays["features/test"], mlp.arrays["features/test"])
    with pytest.raises(ValueError, match="no runs are called 'nobody'"):
        kdlib.open("nobody")


def test_several_runs_are_a_comparison_in_their_order(stored):
    results = kdlib.open([stored[2], "stored baseline"])
    assert isinstance(results, Comparison)
    assert [result.spec.method for result in results] == ["mlp", "baseline"]
    assert isinstance(trained(), Comparison), "what the pipeline returns has figures as well"


def test_a_comparison_draws_its_figures(stored):
    figures = kdlib.open(stored).figures
    assert isinstance(figures, Figures)
    assert {trace.name for trace in figures.accuracy().data if trace.name} == set(NAMES)
    assert [trace.name for trace in figures.curves().data if trace.name] == NAMES
    assert [trace.name for trace in figures.over_dim().data if trace.name] == [
        "no teacher (baseline)",
        "teacher as it is (raw)",
        "trained, two layers (mlp)",
    ]
    assert len({trace.xaxis for trace in figures.maps().data}) == 3, "of the compressed run"
    assert [trace.name for trace in figures.probes().data if trace.name] == ["raw", "compressed", "student"]
    assert len(figures.scorecard().data) == 3


def test_the_maps_of_a_result_are_those_of_its_stored_run(stored):
    places = [[*trace.x] for trace in kdlib.open(stored[2]).figures.maps(split="val", member=1).data]
    assert places == [[*trace.x] for trace in trained()[2].figures.maps(split="val", member=1).data]


def test_figures_of_a_result_without_arrays_say_where_to_get_them(stored):
    with pytest.raises(ValueError, match=r"kdlib\.open"):
        runs.result(stored[2]).figures.maps()
    with pytest.raises(ValueError, match="curve"):
        trained()[2].figures.curves("accuracy")


def test_a_card_shows_what_differs_from_the_default_scores_and_n():
    card = make_result("mlp", [0.6, 0.63, 0.61], dim=4)._repr_html_()
    assert "61.3 ± 10.0" in card
    assert "dim 4" in card
    assert "n = 3" in card
    assert "epochs" not in card, "as it is by default"


def test_a_card_of_a_failed_run_says_why():
    card = replace(make_result("mlp", [0.6]), status="failed", reason="diverged", metrics={})._repr_html_()
    assert "failed: diverged" in card


def test_hostile_names_are_text_in_cards():
    result = make_result("mlp", [0.6, 0.7], dataset=HOSTILE, teacher=HOSTILE)
    for card in (result._repr_html_(), Comparison([result, make_result("raw", [0.5, 0.6])])._repr_html_()):
        assert "<img" not in card
        assert "&lt;img" in card


def test_a_comparison_shows_the_sentence_and_a_row_per_run():
    card = Comparison([make_result("raw", [0.5, 0.52]), make_result("mlp", [0.6, 0.63])])._repr_html_()
    assert "above “teacher as it is (raw)” on the test set" in card
    assert card.count("<tr>") == 3


def test_importing_kdlib_still_gives_the_spec():
    assert kdlib.RunSpec is RunSpec
    assert {"open", "RunSpec"} <= set(kdlib.__all__)


def test_the_notebook_of_a_report_runs_top_to_bottom(stored):
    notebook = nbformat.reads(render(stored, "ipynb"), as_version=4)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    client = NotebookClient(notebook, timeout=250, kernel_name="python3", resources={"metadata": {"path": str(ROOT)}})
    client.execute(env=environment)
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    figures = [o for o in outputs if "application/vnd.plotly.v1+json" in o.get("data", {})]
    assert len(figures) >= 5
    assert "“trained, two layers (mlp), 4” is " in next(
        o.data["text/html"] for o in outputs if "text/html" in o.get("data", {})
    )
    train = notebook.cells[-2].source
    assert train.startswith("TRAIN_AGAIN = False")
    assert "RunSpec(" in train
