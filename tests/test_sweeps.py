"""Sweeps: every computation once, nothing that the store already has, complete even when workers keep dying."""

import pytest

from kdlib import engine, runs, store
from kdlib.engine import scheduler
from kdlib.results import RunResult
from kdlib.runs import sweeps
from kdlib.spec import RunSpec
from tests.fake_runs import spec
from tests.live_engine import data_folder, wait_for_end, wait_for_workers


@pytest.fixture(scope="module")
def home(tmp_path_factory, empty_database):
    with data_folder(tmp_path_factory.mktemp("sweeps"), empty_database) as path:
        yield path


class TestExpand:
    def test_the_last_axis_varies_fastest(self):
        grid = sweeps.expand(RunSpec(), {"teacher": ["simclr", "parity"], "dim": [2, 4]})
        assert [(item.teacher, item.dim) for item in grid] == [
            ("simclr", 2),
            ("simclr", 4),
            ("parity", 2),
            ("parity", 4),
        ]

    def test_what_a_method_does_not_look_at_is_computed_once(self):
        grid = sweeps.expand(
            RunSpec(), {"method": ["baseline", "raw", "mlp"], "dim": [2, 4], "teacher": ["simclr", "parity"]}
        )
        assert [item.method for item in grid] == ["baseline"] + ["raw"] * 2 + ["mlp"] * 4

    def test_values_of_a_grid_train_as_one_population(self):
        axes = {"method": ["baseline", "raw", "mlp"], "dim": [2, 4], "distance_weight": [0.2, 0.8]}
        grid = sweeps.expand(RunSpec(), axes, grid=True)
        assert [(item.method, item.cell_count) for item in grid] == [
            ("baseline", 1),
            ("raw", 2),
            ("mlp", 2),
            ("mlp", 2),
        ]
        apart = sweeps.expand(RunSpec(), axes)
        settings = {cell.identity for item in grid for cell in item.cells}
        assert settings == {item.identity for item in apart}

    def test_an_unknown_axis_and_an_empty_one_are_refused(self):
        with pytest.raises(ValueError, match="unknown field 'dims' in a sweep, choose from: dataset, "):
            sweeps.expand(RunSpec(), {"dims": [2]})
        with pytest.raises(ValueError, match="no values for dim"):
            sweeps.expand(RunSpec(), {"dim": []})


def test_the_name_of_a_sweep_is_its_specs_in_any_order():
    grid = sweeps.expand(RunSpec(), {"dim": [2, 4]})
    assert sweeps.sweep_name(grid) == sweeps.sweep_name(grid[::-1]) != sweeps.sweep_name(grid[:1])


def test_varying_fields_are_those_that_matter():
    grid = [RunSpec(method="baseline", dim=99), RunSpec(method="mlp", dim=4), RunSpec(method="mlp", dim=8, lr=0.1)]
    assert sweeps.varying_fields(grid) == ["method", "dim", "lr"]
    assert sweeps.varying_fields([RunSpec(method="raw", dim=2), RunSpec(method="raw", dim=4)]) == []


def test_curves_are_in_the_order_of_x_and_references_stand_apart():
    results = [RunResult(RunSpec(method=method, dim=dim)) for dim in (8, 2) for method in ("mlp", "pca", "raw")]
    lines, flat = sweeps.group_curves(results, "dim")
    assert {name: [result.spec.dim for result in line] for name, line in lines.items()} == {
        "mlp": [2, 8],
        "pca": [2, 8],
    }
    assert [result.spec.method for result in flat] == ["raw", "raw"]


@pytest.mark.usefixtures("home")
class TestLaunch:
    def test_only_what_is_missing_is_launched_and_results_come_out_of_the_store(self):
        small = sweeps.expand(spec(epochs=2), {"method": ["raw", "mlp"], "dim": [2, 4]})
        first = sweeps.launch(small)
        assert (len(first.runs), first.reused) == (3, 0)
        for run_id in first.runs:
            wait_for_end(run_id)
        large = sweeps.expand(spec(epochs=2), {"method": ["raw", "mlp"], "dim": [2, 4, 8]})
        second = sweeps.launch(large)
        assert second.reused == 3
        assert set(first.runs) < set(second.runs)
        assert second.name != first.name
        for run_id in second.runs:
            wait_for_end(run_id)
        assert [result.spec for result in sweeps.results(second.runs)] == large
        assert {run.id for run in sweeps.sweep_members(second.name)} == set(second.runs)
        assert sweeps.launch(large).runs == second.runs

    def test_a_cancelled_run_of_a_sweep_goes_on_at_the_next_launch(self):
        grid = sweeps.expand(spec(epochs=40, width=50), {"dim": [2, 4]})
        ids = sweeps.launch(grid).runs
        runs.cancel(ids[0])
        assert wait_for_end(ids[0]).state == "cancelled"
        assert sweeps.launch(grid).runs == ids
        assert [wait_for_end(run_id).state for run_id in ids] == ["done", "done"]

    def test_it_ends_complete_and_without_duplicates_while_workers_die(self):
        from distributed.chaos import KillWorker

        wait_for_workers()
        client = scheduler.connect()
        client.dask.register_plugin(KillWorker(delay="1 s", mode="sys.exit"), name="chaos")
        try:
            grid = sweeps.expand(
                spec(epochs=8, width=40), {"dim": [2, 3, 4], "method": ["pca", "mlp"], "lr": [0.1, 0.2]}
            )
            ids = sweeps.launch(grid).runs
            for _ in range(3):  # four deaths over one run are possible, though not likely
                ended = [wait_for_end(run_id) for run_id in ids]
                if {run.state for run in ended} == {"done"}:
                    break
                assert sweeps.launch(grid).runs == ids
        finally:
            engine.stop()
        assert [run.state for run in ended] == ["done"] * 12
        assert [result.spec for result in sweeps.results(ids)] == grid
        for item in grid:
            assert len(store.find(identity=item.identity)) == 1
        assert [len(store.metric_history(run_id)) for run_id in ids] == [8] * 12
