"""Landscapes: cells of runs and of grids, what is blank, what was chosen, and the Pareto front by brute force."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from kdlib.analysis.comparison import find_dominated
from kdlib.analysis.intervals import summarize
from kdlib.analysis.landscape import (
    NOT_MEASURED,
    NOT_TESTED,
    cell_label,
    cost_points,
    find_axes,
    gather,
    is_beside,
    is_numeric,
    landscape_points,
    settings_frame,
)
from kdlib.names import method_name
from kdlib.results import Cost, Grid, GridCell, RunResult
from kdlib.spec import RunSpec
from kdlib.summary import SplitMetrics
from tests.made_results import make_result

MLP = method_name("mlp")
WEIGHTS = (0.2, 0.5, 0.8)


def grid_result(dim, val, test, chosen, **changes):
    """A run over three λ whose validation scores are given, one of which was chosen and has a test score."""
    spec = RunSpec(dim=dim, distance_weight=WEIGHTS, seeds=2, **changes)
    cells = [
        GridCell(
            {"distance_weight": weight},
            None if score is None else summarize([score, score + 0.02]),
            "" if score is not None else "diverged: seed 0 in epoch 3",
        )
        for weight, score in zip(WEIGHTS, val, strict=True)
    ]
    metrics = {
        "val": SplitMetrics({"accuracy": cells[chosen].val}),
        "test": SplitMetrics({"accuracy": summarize(test)}),
    }
    return RunResult(spec, metrics=metrics, cost=Cost(100 * dim, 1000), grid=Grid(cells, chosen))


def test_a_run_that_is_not_done_is_a_cell_without_a_score_and_says_why():
    specs = [RunSpec(dim=dim) for dim in (2, 4, 8)]
    result = make_result("mlp", [0.5, 0.6], dim=4)
    cells = gather([specs[0], result.spec, specs[2]], [result], {specs[2].identity: "cancelled"})
    assert [cell.setting.dim for cell in cells] == [2, 4, 8]
    assert [cell.reason for cell in cells] == [NOT_MEASURED, "", "cancelled"]
    assert [sorted(cell.scores) for cell in cells] == [[], ["ood", "ood:rotated", "test", "val"], []]


def test_the_same_computation_is_one_cell():
    base = RunSpec(method="baseline", dim=2)
    assert len(gather([base, base.replace(dim=4)], [])) == 1


def test_draws_of_labelled_rows_are_one_cell_with_the_scores_of_all():
    results = [replace(make_result("mlp", [0.5, 0.6], subset=subset), spaces={}) for subset in (0, 1)]
    [cell] = gather([*(result.spec for result in results), results[0].spec.replace(subset=2)], results)
    assert cell.scores["test"].values == [0.5, 0.6, 0.5, 0.6]
    [missing] = gather([RunSpec(subset=1), RunSpec(subset=2)], [])
    assert missing.reason == NOT_MEASURED


def test_a_grid_is_a_cell_per_setting_of_which_only_the_chosen_one_was_tested():
    result = grid_result(4, [0.5, 0.7, None], [0.6, 0.62], chosen=1)
    cells = gather([result.spec], [result])
    assert [cell.setting.distance_weight for cell in cells] == list(WEIGHTS)
    assert [sorted(cell.scores) for cell in cells] == [["val"], ["test", "val"], []]
    assert "diverged" in cells[2].reason


def test_a_grid_that_is_not_done_has_all_its_cells_already():
    cells = gather([RunSpec(distance_weight=WEIGHTS)], [])
    assert [cell.setting.distance_weight for cell in cells] == list(WEIGHTS)


def test_axes_are_what_differs_among_methods_that_use_it():
    specs = [RunSpec(method="baseline", dim=99), RunSpec(dim=4), RunSpec(dim=8, distance_weight=0.1)]
    assert find_axes(gather(specs, [])) == ["distance_weight", "dim", "method"]
    assert find_axes(gather([RunSpec(seeds=2), RunSpec(seeds=3), RunSpec(tune=20)], [])) == []


def test_students_of_several_sizes_have_an_axis_of_parameters():
    results = [grid_result(dim, [0.5, 0.6, 0.7], [0.6, 0.7], 2, width=dim) for dim in (4, 8)]
    cells = gather([result.spec for result in results], results)
    assert "parameters" in find_axes(cells)
    assert cells[0].value("parameters") == 400
    assert {row.label for row in landscape_points(cells, ["parameters"], "val").itertuples()} == {
        f"{MLP}, 4",
        f"{MLP}, 8",
    }, "the width of the student is on the axis, that of the embedding is told apart"


def test_numbers_are_told_from_names():
    cells = gather([RunSpec(teacher="simclr", dim=2), RunSpec(teacher="parity", dim=4)], [])
    assert is_numeric(cells, "dim")
    assert not is_numeric(cells, "teacher")
    assert cell_label(cells[1], ["teacher", "dim"]) == "teacher odd or even (parity), width 4"


def heat(score, results, specs=()):
    cells = gather([*(result.spec for result in results), *specs], results)
    return landscape_points(cells, ["dim", "distance_weight"], score)


def test_a_heatmap_has_a_row_for_every_cell_and_fills_nothing_in():
    results = [grid_result(2, [0.4, 0.5, 0.45], [0.5, 0.5], 1), grid_result(8, [0.6, 0.7, None], [0.6, 0.7], 1)]
    frame = heat("val", results, [RunSpec(dim=4, distance_weight=WEIGHTS, seeds=2)])
    assert len(frame) == 9
    table = frame.pivot(index="y", columns="x", values="mean")
    assert table[2].tolist() == pytest.approx([0.41, 0.51, 0.46])
    assert table[4].isna().all(), "no number between two measured neighbours"
    assert table[8].tolist()[:2] == pytest.approx([0.61, 0.71])
    assert math.isnan(table[8].iloc[2])
    assert frame[frame["x"] == 4]["reason"].tolist() == [NOT_MEASURED] * 3
    assert frame[frame["best"]][["x", "y"]].to_numpy().tolist() == [[8, 0.5]]
    assert frame["values"].map(len).tolist() == [2, 2, 2, 2, 2, 0, 0, 0, 0]
    assert frame["ci95"].iloc[0] == pytest.approx(summarize([0.4, 0.42]).ci95)


def test_what_was_not_tested_stays_blank_on_test():
    frame = heat("test", [grid_result(2, [0.4, 0.5, 0.45], [0.3, 0.5], 1)])
    assert frame["mean"].notna().tolist() == [False, True, False]
    assert frame["mean"].iloc[1] == pytest.approx(0.4)
    assert frame["reason"].tolist() == [NOT_TESTED, "", NOT_TESTED]


def test_a_method_without_a_setting_lies_on_no_place_of_its_axis():
    frame = heat("val", [make_result("baseline", [0.5, 0.6]), make_result("mlp", [0.6, 0.7])])
    assert frame["x"].isna().tolist() == [True, False]
    assert frame["label"].tolist() == [method_name("baseline"), MLP]


def test_a_setting_that_is_on_no_axis_was_chosen_on_validation():
    results = [grid_result(2, [0.4, 0.5, 0.45], [0.9, 0.9], 1), grid_result(8, [0.6, 0.5, 0.4], [0.1, 0.2], 0)]
    cells = gather([result.spec for result in results], results)
    frame = landscape_points(cells, ["dim"], "val")
    assert frame["mean"].tolist() == pytest.approx([0.51, 0.61])
    assert [cells[place].setting.distance_weight for place in frame["place"]] == [0.5, 0.2]
    assert frame["label"].tolist() == [MLP, MLP]
    assert landscape_points(cells, ["dim"], "test")["mean"].tolist() == pytest.approx([0.9, 0.15])


def test_runs_that_differ_in_more_than_the_axes_are_told_apart():
    results = [make_result("mlp", [0.5, 0.6], labels=labels, lr=lr) for labels in (50, 100) for lr in (0.01, 0.03)]
    cells = gather([result.spec for result in results], results)
    frame = landscape_points(cells, ["labels"], "test")
    assert frame.groupby("label")["x"].apply(list).to_dict() == {
        f"{MLP}, 16, lr 0.01": [50, 100],
        f"{MLP}, 16, lr 0.03": [50, 100],
    }


def test_a_reference_stands_beside_cells_that_are_like_it_in_all_that_it_uses():
    few, many = (RunSpec(method="baseline", labels=labels) for labels in (50, 100))
    cells = gather([few, many, RunSpec(labels=50, dim=4, distance_weight=0.2)], [])
    axes = ["dim", "distance_weight"]
    assert [is_beside(cell, cells[2], axes) for cell in cells[:2]] == [True, False]
    assert all(is_beside(cell, cells[2], [*axes, "labels"]) for cell in cells[:2])


def test_methods_can_be_an_axis():
    results = [make_result(method, [0.5, 0.6], labels=labels) for method in ("baseline", "mlp") for labels in (50, 100)]
    frame = landscape_points(gather([result.spec for result in results], results), ["method", "labels"], "val")
    assert frame["x"].tolist() == ["baseline", "baseline", "mlp", "mlp"]
    assert frame["label"].nunique() == 1


def test_lines_through_all_settings_leave_out_what_has_no_score():
    results = [grid_result(2, [0.4, 0.5, None], [0.5, 0.5], 1), make_result("baseline", [0.3, 0.3])]
    cells = gather([result.spec for result in results], results)
    frame, scores = settings_frame(cells, ["dim", "distance_weight", "method"], "val")
    assert list(frame.columns) == ["method", "width", "λ"]
    assert frame["λ"].tolist() == [0.2, 0.5, None]
    assert scores == pytest.approx([0.41, 0.51, 0.3])


def dominated_slowly(costs, scores):
    """Whether another one costs no more, scores no less and is better in one: every pair is looked at."""
    pairs = list(zip(costs, scores, strict=True))
    return [any(c <= cost and s >= score and (c < cost or s > score) for c, s in pairs) for cost, score in pairs]


@pytest.mark.parametrize("seed", range(30))
def test_domination_is_what_brute_force_says(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 30))
    costs = rng.integers(1, 8, n).tolist()  # few values: many are equal
    scores = (rng.integers(0, 8, n) / 10).tolist()
    assert find_dominated(costs, scores) == dominated_slowly(costs, scores)


def test_equal_results_do_not_dominate_each_other_and_nothing_is_no_front():
    assert find_dominated([1, 1], [0.5, 0.5]) == [False, False]
    assert find_dominated([], []) == []


def test_costs_stand_beside_the_scores_of_every_cell_that_has_both():
    results = [grid_result(2, [0.7, 0.5, 0.4], [0.5, 0.5], 0), grid_result(4, [0.5, 0.6, 0.4], [0.6, 0.6], 1)]
    results.append(make_result("baseline", [0.55, 0.55]))
    cells = gather([result.spec for result in results], results)
    frame = cost_points(cells, "parameters", "test")
    assert frame["cost"].tolist() == [200, 400, 100]
    assert frame["dominated"].tolist() == [True, False, False]
    assert [cells[place].setting.dim for place in frame["place"]][:2] == [2, 4]
    assert cost_points(cells, "bytes_per_embedding", "test").empty
    assert isinstance(frame, pd.DataFrame)
