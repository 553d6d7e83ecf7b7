"""Runs whose students were taught a prefix: the store, every space, the export and the pages show that width."""

import re

import numpy as np
import onnxruntime
import pytest

from kdlib import pipeline, planning, runs
from kdlib.analysis.frames import run_labels
from kdlib.analysis.grid import grid_table
from kdlib.analysis.landscape import find_axes, gather, landscape_points
from kdlib.data import datasets
from kdlib.export.compressor import export_compressor
from kdlib.export.source import load_source
from kdlib.models import embedding
from kdlib.names import method_name
from kdlib.runs import sweeps
from kdlib.spaces import precision_jobs, space_embeddings
from kdlib.spaces.width_jobs import WidthRequest, make_report
from kdlib.spec import RunSpec
from kdlib.store import fetch
from kdlib.trying.loaded import load_compressor
from pages import controls
from tests.made_results import make_result
from tests.opened_pages import opened, tables
from tests.stored_runs import SPEC, store_all, store_result

WIDTHS, WEIGHTS = [2, 4, 8], [0.3, 0.8]
NESTED = SPEC.replace(method="matryoshka", dim=8)
GRID = NESTED.replace(prefix=WIDTHS, distance_weight=WEIGHTS)


@pytest.fixture(scope="module")
def result():
    """A grid of which a prefix other than the whole was chosen, so that all widths there are can be told apart."""
    found = pipeline.run(GRID)
    if found.setting.kept == 8:
        found = pipeline.run(GRID.replace(prefix=WIDTHS[:2]))
    return found


@pytest.fixture
def run_id(app_home, result):
    return store_result(result, "prefixes")


def test_the_store_says_which_prefix_was_chosen(run_id, result):
    run = fetch(run_id)
    assert run.spec == result.spec
    assert run.metrics["chosen/prefix"] == result.setting.kept
    assert run.setting == result.setting
    names = [name for name in run.metrics if name.startswith("grid/")]
    assert len(names) == result.spec.cell_count
    assert f"grid/distance_weight 0.3 prefix {result.spec.prefix[0]}" in names
    assert runs.result(run_id).setting.kept == result.setting.kept


def test_every_space_of_the_run_has_the_chosen_width(run_id, result):
    kept, rows = result.setting.kept, datasets.load("digits").splits["test"]
    expected = result.arrays["compressed/test"]
    space = space_embeddings.open_space(run_id, "compressed", member=1)
    assert space.width == kept
    np.testing.assert_allclose(space[rows], expected[1], atol=1e-4 * np.abs(expected).max())
    raw = embedding.embed(NESTED.teacher, "digits")[rows]
    np.testing.assert_allclose(load_compressor(run_id)(raw), expected, atol=1e-4 * np.abs(expected).max())
    assert precision_jobs.widths_of(fetch(run_id).setting)[-1] == kept
    assert make_report(WidthRequest(run_id)).widths[-1] == kept
    with pytest.raises(ValueError, match=f"has {kept} numbers, got a width of 8"):
        space_embeddings.open_space(run_id, "compressed", width=8)


def test_the_exported_compressor_gives_the_prefix(run_id, result):
    model, note = export_compressor(load_source(run_id, 1))
    assert not note
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    rows = datasets.load("digits").splits["test"][:50]
    raw = embedding.embed(NESTED.teacher, "digits")[rows].astype(np.float32)
    [given] = session.run(None, {"embedding": raw})
    expected = result.arrays["compressed/test"][1, :50]
    np.testing.assert_allclose(given, expected, atol=1e-3 * np.abs(expected).max())


def test_a_prefix_lies_on_the_axis_of_widths_beside_runs_of_that_width():
    others = [make_result("mlp", [0.5, 0.6], dim=dim, distance_weight=weight) for dim in (2, 8) for weight in WEIGHTS]
    cells = gather([GRID, *(each.spec for each in others)], others)
    assert find_axes(cells)[:2] == ["distance_weight", "dim"]
    assert "prefix" not in find_axes(cells)
    points = landscape_points(cells, ["dim", "distance_weight"], "val")
    nested = points[points["label"].str.contains("matryoshka")]
    assert nested["label"].nunique() == 1
    assert sorted(zip(nested["x"], nested["y"], strict=True)) == [(x, y) for x in WIDTHS for y in WEIGHTS]


def test_prefixes_asked_alone_are_one_family_of_widths_with_names_of_their_own():
    specs = [NESTED.replace(prefix=prefix) for prefix in (2, 4, 0)]
    cells = gather(specs, [])
    assert landscape_points(cells, ["dim"], "val")["x"].tolist() == [2, 4, 8]
    assert landscape_points(cells, ["dim"], "val")["label"].nunique() == 1
    assert run_labels(specs) == [
        f"{method_name('matryoshka')}, {width}" for width in ("the first 2 of 8", "the first 4 of 8", "8")
    ]


def test_the_heatmap_of_results_is_that_of_the_grid(result):
    cells = gather([result.spec], [result])
    points = landscape_points(cells, ["dim", "distance_weight"], "val")
    assert points["mean"].notna().all()
    best = points[points["best"]].iloc[0]
    assert (best["x"], best["y"]) == (result.setting.kept, result.setting.distance_weight)
    tested = landscape_points(cells, ["dim", "distance_weight"], "test")
    assert tested["mean"].notna().sum() == 1
    columns, rows = grid_table([result])
    assert columns[:2] == ["λ", "prefix"]
    assert [row[1] for row in rows] == [f"{width}" for _ in WEIGHTS for width in result.spec.prefix]


def test_a_sweep_trains_prefixes_as_one_population_and_widths_apart():
    axes = {"prefix": WIDTHS, "distance_weight": WEIGHTS}
    [together] = sweeps.expand(NESTED, axes, grid=True)
    assert together == GRID
    assert len(sweeps.expand(NESTED, axes)) == 6
    mixed = sweeps.expand(NESTED, {"method": ["mlp", "matryoshka"], **axes}, grid=True)
    assert [spec.cell_count for spec in mixed] == [2, 6]


def test_estimates_and_code_know_the_prefix():
    assert planning.estimate_cost([NESTED.replace(prefix=2)]).compressed_width == 2
    assert planning.estimate_cost([GRID]).compressed_width == 8
    one, six = (planning.estimate_cost([each]).seconds.most for each in (NESTED.replace(distance_weight=0.3), GRID))
    assert one < six
    code = planning.as_code(GRID, ["matryoshka"])
    assert "--prefix 2,4,8" in code["Command line"]
    assert "prefix=(2, 4, 8)" in code["Python"]
    assert "prefix: [2, 4, 8]" in code["YAML"]
    assert planning.list_prefixes(["raw", "mlp"], 8) == ()


def test_compare_shows_the_chosen_prefix_and_the_landscape(run_id, result):
    app = opened("compare", runs=run_id, show="Grid")
    assert not app.exception
    chosen = next(each for each in tables(app) if "settings tried" in each)
    assert f"prefix {result.setting.kept}" in chosen["chosen on validation"][0]
    app = opened("compare", runs=run_id, show="Landscape")
    assert not app.exception
    assert app.selectbox(key="x").value == "dim"
    assert app.selectbox(key="y").value == "distance_weight"


@pytest.mark.parametrize("page", ["embeddings", "dial", "runs", "try_it"])
def test_other_pages_open_such_a_run(run_id, page):
    assert not opened(page, **{"run" if page == "dial" else "runs": run_id}).exception


def test_the_switch_on_distill_offers_prefixes_to_methods_that_train_them(app_home):
    app = opened("distill", **controls.query(GRID, ["raw"]))
    assert not app.exception
    assert app.multiselect(key="grid-prefix").value == ["2", "4", "all"]
    assert any("6 settings" in each.value for each in app.caption)
    app.select_slider(key="dim").set_value(4).run()
    assert app.multiselect(key="grid-prefix").value == ["2", "all"], "4 numbers are now all of them"
    assert not opened("distill", **controls.query(GRID.replace(method="mlp"), ["raw"])).exception


def test_a_prefix_alone_is_set_by_a_link_and_kept_in_the_address(app_home):
    app = opened("distill", **controls.query(NESTED.replace(prefix=4), ["raw"]))
    assert not app.exception
    assert app.selectbox(key="prefix").value == 4
    assert any("the first 4 taught" in each.value for each in app.caption)
    code = " ".join(each.value for each in app.code)
    assert re.search(r"--prefix 4\b", code) or not code
    app.select_slider(key="dim").set_value(4).run()
    assert app.selectbox(key="prefix").value == 0


def test_runs_of_before_prefixes_are_found(app_home):
    assert RunSpec(method="matryoshka").to_json() == RunSpec(method="matryoshka", prefix=0).to_json()
    assert "prefix" not in RunSpec(method="matryoshka").to_dict()
    assert all(fetch(each).setting.kept is None for each in store_all())
