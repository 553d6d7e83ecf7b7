"""The best cell of a grid: chosen on validation and never on test, measured as if it had been trained alone."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from kdlib.analysis.grid import choose_cell, grid_cells, select_members
from kdlib.analysis.intervals import summarize
from kdlib.analysis.measure import MeasurementInputs, measure
from kdlib.analysis.scaling import ScaledEmbeddings
from kdlib.data.datasets import Dataset
from kdlib.pipeline import compare, run
from kdlib.results import GridCell, Point, RunResult
from kdlib.spec import RunSpec
from kdlib.training import loop
from kdlib.training.loop import Trained
from kdlib.training.population import Population

SMALL = RunSpec(dataset="digits", teacher="random", labels=100, epochs=3, seeds=2, student="mlp", dim=8)
GRID = {"distance_weight": [0.0, 0.6], "lr": [0.003, 0.03]}


class Guess(nn.Module):
    """A student that says of item x in {-1, 1} that it is of the class of its sign, or of the other."""

    def __init__(self, sign: float) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(1, 1, bias=False), nn.Linear(1, 2, bias=False)
        with torch.no_grad():
            self.body.weight[:] = sign
            self.head.weight[:] = torch.tensor([[-1.0], [1.0]])

    def forward(self, inputs):
        features = self.body(inputs)
        return features, self.head(features), features


def _made_up(grid, signs, val, diverged=None):
    """A training of students whose answers are known, on data where what is right on validation is wrong on test."""
    signs_of = np.tile([-1.0, 1.0], 20).astype(np.float32)[:, None]
    labels = np.tile([0, 1], 20)
    labels[20:] = 1 - labels[20:]  # the test set
    rows = np.arange(40)
    splits = {"train": rows[:10], "val": rows[10:20], "test": rows[20:]}
    data = Dataset("made-up", signs_of, labels, ("minus", "plus"), splits)
    students = Population([Guess(sign) for sign in signs], torch.device("cpu"))
    history = [Point(1, [0.5] * len(signs), [0.0] * len(signs), [0.0] * len(signs), val)]
    trained = Trained(students, [None], history, diverged=diverged or {}, replay=[[{} for _ in grid.cells]])
    embeddings = ScaledEmbeddings(np.empty((40, 0), np.float32), np.empty(0, np.float32), 1.0)
    return MeasurementInputs(data, rows[:10], embeddings, [[]], trained)


def test_the_choice_goes_by_validation_where_the_best_on_test_is_another_cell():
    grid = RunSpec(method="baseline", lr=[0.01, 0.02, 0.03], seeds=2)
    right, wrong = 1.0, -1.0  # on validation
    inputs = _made_up(grid, [wrong, wrong, right, right, wrong, right], [0.0, 0.0, 1.0, 1.0, 0.0, 1.0])
    [result] = measure([grid], inputs)
    assert result.grid.best.settings == {"lr": 0.02}
    assert [cell.val.values for cell in result.grid.cells] == [[0.0, 0.0], [1.0, 1.0], [0.0, 1.0]]
    # The first cell has every test item right. Reported is what the chosen one has: none.
    assert result.metrics["val"].primary.values == [1.0, 1.0]
    assert result.metrics["test"].primary.values == [0.0, 0.0]


def test_the_test_set_is_predicted_for_the_chosen_cell_alone(monkeypatch):
    grid = RunSpec(method="baseline", lr=[0.01, 0.02, 0.03], seeds=2)
    seen, predict = [], loop.predict
    monkeypatch.setattr(
        "kdlib.analysis.measure.predict",
        lambda students, inputs: (seen.append(students.size), predict(students, inputs))[1],
    )
    measure([grid], _made_up(grid, [-1.0, -1.0, 1.0, 1.0, -1.0, 1.0], [0.0, 0.0, 1.0, 1.0, 0.0, 1.0]))
    assert set(seen) == {2}


def test_a_cell_with_a_seed_that_diverged_is_not_chosen_but_the_run_lives():
    grid = RunSpec(method="baseline", lr=[0.01, 9.0], seeds=2)
    inputs = _made_up(grid, [-1.0, 1.0, 1.0, 1.0], [0.0, 1.0, 1.0, 1.0], diverged={3: 2})
    [result] = measure([grid], inputs)
    assert (result.status, result.grid.chosen) == ("done", 0)
    assert result.grid.cells[1] == GridCell({"lr": 9.0}, None, "diverged: seed 1 in epoch 2")


def test_a_grid_of_which_every_cell_diverged_failed():
    grid = RunSpec(method="baseline", lr=[8.0, 9.0], seeds=1)
    [result] = measure([grid], _made_up(grid, [1.0, 1.0], [0.5, 0.5], diverged={0: 1, 1: 1}))
    assert result.status == "failed"
    assert result.reason.startswith("diverged: seed 0 in epoch 1")
    assert [cell.reason for cell in result.grid.cells] == ["diverged: seed 0 in epoch 1"] * 2


def test_of_equal_cells_the_first_is_chosen_and_a_single_good_seed_does_not_decide():
    cells = [
        GridCell({"lr": lr}, summarize(values)) for lr, values in ((1, [0.5, 0.7]), (2, [0.6, 0.6]), (3, [0, 0.9]))
    ]
    assert choose_cell(cells) == 0
    assert choose_cell([GridCell({"lr": 1}, reason="diverged"), *cells[2:]]) == 1
    assert choose_cell([GridCell({"lr": 1}, reason="diverged")]) == 0


def test_a_training_that_was_stopped_before_its_first_validation_chooses_the_first_cell():
    grid = RunSpec(method="baseline", lr=[0.01, 0.02], seeds=1)
    trained = _made_up(grid, [1.0, 1.0], [0.5, 0.5]).trained
    trained.history.clear()
    assert [cell.reason for cell in grid_cells(grid, trained, 0)] == ["not validated yet"] * 2
    assert select_members([grid], trained)[1][0].chosen == 0


@pytest.fixture(scope="module")
def results():
    specs = [SMALL.replace(method=method, **GRID) for method in ("baseline", "raw", "random", "mlp")]
    return compare(specs)


def test_each_method_has_a_grid_of_what_it_uses(results):
    axes = [[cell.settings for cell in result.grid.cells] for result in results]
    assert axes[0] == [{"lr": 0.003}, {"lr": 0.03}]
    assert (
        axes[1]
        == axes[2]
        == axes[3]
        == [{"distance_weight": weight, "lr": lr} for weight in GRID["distance_weight"] for lr in GRID["lr"]]
    )


def test_a_result_of_a_grid_is_that_of_its_chosen_cell_trained_alone(results):
    for result in results:
        alone = run(result.spec.cells[result.grid.chosen])
        assert result.grid.best.val.values == result.metrics["val"].primary.values
        assert result.grid.best.val.values == alone.metrics["val"].primary.values
        assert set(result.arrays) == set(alone.arrays)
        for name in ("features/test", "logits/ood" if "logits/ood" in alone.arrays else "logits/test"):
            np.testing.assert_allclose(result.arrays[name], alone.arrays[name], atol=1e-4)
        for name in ("replay/student", "replay/rows"):
            np.testing.assert_allclose(result.arrays[name], alone.arrays[name], atol=1e-4)
        assert len(result.history[-1].val) == SMALL.seeds


def test_the_best_cell_of_a_grid_is_the_best_of_its_single_runs(results):
    result = results[3]
    means = [run(cell).metrics["val"].primary.mean for cell in result.spec.cells]
    assert [cell.val.mean for cell in result.grid.cells] == pytest.approx(means, abs=0.01)  # an item or two of 300
    assert result.grid.best.val.mean == max(cell.val.mean for cell in result.grid.cells)


def test_a_grid_goes_through_json_and_a_result_without_one_is_written_as_before(results):
    for result in results:
        assert RunResult.from_dict(json.loads(json.dumps(result.to_dict()))) == result
    assert "grid" not in RunResult(RunSpec()).to_dict()


def test_a_cancelled_grid_leaves_the_best_cell_so_far():
    cancelled = run(SMALL.replace(epochs=20, **GRID), on_progress=lambda at: at.phase == "training" and at.step >= 30)
    assert cancelled.status == "cancelled"
    assert cancelled.grid.best.val.mean == max(cell.val.mean for cell in cancelled.grid.cells)
    assert len(cancelled.arrays["features/val"]) == SMALL.seeds
