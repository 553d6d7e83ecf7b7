"""Pages with the runs of a grid: they show the chosen setting, and a section of its own on Compare."""

import pytest

from kdlib.names import method_name
from kdlib.pipeline import compare
from kdlib.runs import history
from kdlib.store import fetch
from tests.opened_pages import opened, tables, texts
from tests.stored_runs import SPEC, store_all, store_result

GRID = SPEC.replace(distance_weight=[0.2, 0.8], lr=[0.003, 0.03])


@pytest.fixture(scope="module")
def results():
    return compare([GRID.replace(method=method) for method in ("baseline", "mlp")])


@pytest.fixture
def ids(app_home, results):
    return [store_result(result, f"grid {result.spec.method}") for result in results]


def test_the_store_keeps_a_grid_and_what_was_chosen(ids, results):
    run, result = fetch(ids[1]), results[1]
    assert run.spec == result.spec
    assert run.spec.identity == GRID.replace(method="mlp").identity
    for name, value in result.grid.best.settings.items():
        assert run.metrics[f"chosen/{name}"] == pytest.approx(value)
    assert run.setting == result.setting
    cells = {name: value for name, value in run.metrics.items() if name.startswith("grid/")}
    assert sorted(cells) == sorted(
        f"grid/distance_weight {weight:g} lr {lr:g}" for weight in (0.2, 0.8) for lr in (0.003, 0.03)
    )
    assert max(cells.values()) == pytest.approx(run.metrics["val/accuracy"])
    assert len(history(ids[1])[-1].val) == SPEC.seeds


def test_compare_shows_what_was_chosen(ids, results):
    app = opened("compare", runs=",".join(ids), show="Grid")
    assert not app.exception
    chosen = next(each for each in tables(app) if "settings tried" in each)
    cells = next(each for each in tables(app) if "learning rate" in each and "settings tried" not in each)
    assert list(map(int, chosen["settings tried"])) == [2, 4]
    best = results[1].grid.best.settings
    assert f"λ {best['distance_weight']:g}, learning rate {best['lr']:g}" in chosen["chosen on validation"][1]
    assert list(cells.columns) == ["λ", "learning rate", method_name("baseline"), method_name("mlp")]
    assert sum("*" in cell for cell in cells[method_name("mlp")]) == 1
    assert "has no λ" in texts(app)


def test_runs_without_a_grid_have_no_such_section(app_home):
    app = opened("compare", runs=",".join(store_all()), show="Grid")
    assert not app.exception
    assert not any("settings tried" in each for each in tables(app))


@pytest.mark.parametrize("show", ["Differences", "Why", "Size and cost", "Classes", "Table"])
def test_compare_survives_a_grid_beside_other_runs(ids, show):
    assert not opened("compare", runs=",".join([*ids, *store_all()]), show=show).exception


@pytest.mark.parametrize("page", ["embeddings", "runs", "distill", "try_it", "start"])
def test_every_page_survives_a_grid(ids, page):
    app = opened(page, runs=",".join(ids), run=ids[1])
    assert not app.exception
    assert "Traceback" not in texts(app)
