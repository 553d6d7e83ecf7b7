"""Landscapes: what many runs, and the settings of their grids, came to over the fields in which they differ.

A cell is one setting with its seeds: a run, or one setting of a run's grid, of which only the one chosen on validation
was tested. A cell that was not measured has no score and a reason; nothing between cells is filled in.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any

import pandas as pd

from kdlib.analysis.comparison import find_dominated
from kdlib.analysis.frames import differing_fields, family_labels, run_labels
from kdlib.analysis.grid import choose_cell
from kdlib.analysis.rounds import pool
from kdlib.names import AXES, method_role, setting_name
from kdlib.results import Cost, GridCell, RunResult
from kdlib.spec import GRID_FIELDS, RunSpec, unused_fields
from kdlib.summary import Summary

PARAMETERS = "parameters"  # an axis that is no field: the size of the student, whatever decides it
SIZE_FIELDS = ("student", "width", "depth")
AXIS_NAMES: dict[str, str] = {
    "distance_weight": "weight λ of the distance",
    "dim": "width of the compressed embedding",
    "labels": "labels",
    PARAMETERS: "student parameters",
    "width": "student width",
    "lr": "learning rate",
    "soft_label_weight": "weight of the soft labels",
    "epochs": "epochs",
    "teacher": "teacher",
    "method": "method",
}
SHORT_NAMES = AXES | {"dim": "width", PARAMETERS: "parameters", "width": "student width"}
SCORES = {"val": "Validation", "test": "Test", "ood": "Out of domain"}  # split -> its name, in the order of a choice
NOT_MEASURED, NOT_TESTED = "not trained yet", "not tested: another setting of its grid was chosen on validation"
NONE = "–"  # where a method does not use a field


@dataclass(frozen=True)
class Cell:
    """One setting, trained with some seeds.

    Attributes:
        run: spec of the run it is from.
        setting: what its members were trained with, one number per field.
        scores: split -> score that counts first; those that were measured.
        cost: of the student, and of training its run.
        metric: the score that counts first, "accuracy" or "map".
        reason: why there is no score, otherwise "".
    """

    run: RunSpec
    setting: RunSpec
    scores: Mapping[str, Summary] = field(default_factory=dict)
    cost: Cost = field(default_factory=Cost)
    metric: str = "accuracy"
    reason: str = ""

    def value(self, axis: str) -> Any:
        """Return where it lies on an axis, a field or `PARAMETERS`; None if its method does not use that field."""
        if axis == PARAMETERS:
            return self.cost.parameters
        return None if axis in unused_fields(self.setting) else getattr(self.setting, axis)


def gather(
    specs: Iterable[RunSpec],
    results: Sequence[RunResult],
    reasons: Mapping[str, str] = MappingProxyType({}),
) -> list[Cell]:
    """Return the cells of a landscape, each computation once, in the order of the specs.

    Runs that differ in labelled subset and seeds only are one cell, see `rounds.pool`; grids are not, but for what was
    trained later of the setting that one chose.

    Args:
        specs: of all its runs, those that are not done included.
        results: of the runs that are done.
        reasons: identity of a spec -> why there is no result, in words.

    Example:
        >>> [cell.setting.dim for cell in gather([RunSpec(dim=2), RunSpec(dim=4)], [])]
        [2, 4]
    """
    measured: dict[str, RunResult] = {}
    for result in pool([each for each in results if each.metrics]):
        known = measured.get(cell_identity(result.spec))
        if known is None or known.spec.seeds < result.spec.seeds:
            measured[cell_identity(result.spec)] = result
    chosen = {cell_identity(result.setting) for result in measured.values() if result.spec.searched} - set(measured)
    cells: list[Cell] = []
    planned: dict[str, RunSpec] = {}
    for spec in specs:
        planned.setdefault(cell_identity(spec), spec)
    for identity, spec in planned.items():
        if identity in chosen:  # trained for the result of a grid, or of tuning
            continue
        result = measured.get(identity)
        if result is None:
            cells += [Cell(spec, each, reason=reasons.get(spec.identity, NOT_MEASURED)) for each in spec.cells]
        else:
            cells += _measured_cells(result)
    return cells


def cell_identity(spec: RunSpec) -> str:
    """Return what names the cell, or the grid, of a spec: runs of several labelled subsets and other seeds share it.

    Example:
        >>> cell_identity(RunSpec(subset=1)) == cell_identity(RunSpec())
        True
    """
    plain = spec.replace(first_seed=0, seeds=1)
    return plain.identity if spec.grid else plain.replace(subset=0).identity


def _measured_cells(result: RunResult) -> list[Cell]:
    """Return the cell of a result, or those of its grid."""
    scores = {split: metrics.primary for split, metrics in result.metrics.items()}
    known = (result.cost, result.primary_name)
    if result.grid is None:
        return [Cell(result.spec, result.spec, scores, *known)]
    cells = []
    for number, (setting, each) in enumerate(zip(result.spec.cells, result.grid.cells, strict=True)):
        if number == result.grid.chosen:
            cells.append(Cell(result.spec, setting, scores, *known))
        else:
            cells.append(Cell(result.spec, setting, {} if each.val is None else {"val": each.val}, *known, each.reason))
    return cells


def find_axes(cells: Sequence[Cell]) -> list[str]:
    """Return what differs between cells, as axes: fields of a spec, and `PARAMETERS`; the ones named here first.

    Example:
        >>> find_axes(gather([RunSpec(dim=2), RunSpec(dim=4)], []))
        ['dim']
    """
    settings = [cell.setting for cell in cells]
    differing = [name for name in differing_fields(settings) if name not in ("seeds", "first_seed", "subset", "tune")]
    if len({cell.cost.parameters for cell in cells if cell.cost.parameters}) > 1:
        differing.append(PARAMETERS)
    order = [*AXIS_NAMES, *differing]
    return sorted(differing, key=order.index)


def is_numeric(cells: Sequence[Cell], axis: str) -> bool:
    """Return whether the values of an axis are numbers."""
    return not any(isinstance(cell.value(axis), str) for cell in cells)


def axis_name(axis: str) -> str:
    """Return what an axis is called in a figure.

    Example:
        >>> axis_name("distance_weight"), axis_name("batch_size")
        ('weight λ of the distance', 'batch size')
    """
    return AXIS_NAMES.get(axis, axis.replace("_", " "))


def cell_label(cell: Cell, axes: Sequence[str]) -> str:
    """Return where a cell lies on some axes, in words; axes that its method does not use are left out.

    Example:
        >>> cell_label(Cell(RunSpec(), RunSpec(dim=4)), ["dim"])
        'width 4'
    """
    parts = []
    for axis in axes:
        value = cell.value(axis)
        if value is not None:
            name = "" if axis == "method" else f"{SHORT_NAMES.get(axis, axis.replace('_', ' '))} "
            parts.append(f"{name}{value:,}" if axis == PARAMETERS else f"{name}{setting_name(axis, value)}")
    return ", ".join(parts)


def is_beside(reference: Cell, cell: Cell, axes: Sequence[str]) -> bool:
    """Return whether a cell differs from another in its method and on some axes only, of what its method uses.

    Example:
        >>> is_beside(Cell(RunSpec(), RunSpec(method="baseline")), Cell(RunSpec(), RunSpec(dim=4)), ["dim"])
        True
    """
    hidden = {"method", "seeds", "first_seed", "subset", *GRID_FIELDS, *axes, *unused_fields(reference.setting)}
    hidden |= set(SIZE_FIELDS) if PARAMETERS in axes else set()
    names = [each.name for each in fields(RunSpec) if each.name not in hidden]
    return all(getattr(reference.setting, name) == getattr(cell.setting, name) for name in names)


def landscape_points(cells: Sequence[Cell], axes: Sequence[str], score: str) -> pd.DataFrame:
    """Return the cells over one or two axes, a row for each point of a figure.

    Settings of a grid that are on no axis were chosen on validation; what else differs is told apart by the label.

    Args:
        cells: from `gather`.
        axes: one, or two.
        score: a key of `SCORES`.

    Returns:
        columns label, role, x, y (None for a single axis, or where a method does not use it), mean (NaN where there is
        no score), ci95, values, reason, best (of its label on validation), place (number of the cell).

    Example:
        >>> landscape_points(gather(specs, results), ["distance_weight", "dim"], "val")
    """
    places = _choose_hidden(cells, axes)
    over = [*axes, "seeds", "first_seed", *(SIZE_FIELDS if PARAMETERS in axes else ())]
    over += [] if any(cell.run.grid for cell in cells) else ["subset"]  # draws are one cell, but for grids
    labels = family_labels([cells[place].run for place in places], over)
    rows = []
    for place, label in zip(places, labels, strict=True):
        cell = cells[place]
        value = cell.scores.get(score)
        x, y = (cell.value(axis) for axis in (*axes, axes[-1])[:2])
        numbers = (None, None, []) if value is None else (value.mean, value.ci95, value.values)
        reason = "" if value else cell.reason or NOT_TESTED
        val = cell.scores.get("val")
        rows.append((label, method_role(cell.run), x, y, *numbers, reason, val.mean if val else None, place))
    columns = ["label", "role", "x", "y", "mean", "ci95", "values", "reason", "val", "place"]
    frame = pd.DataFrame(rows, columns=columns).astype({"mean": float, "ci95": float, "val": float})
    if len(axes) == 1:
        frame["y"] = None
    frame["best"] = frame["val"] == frame.groupby("label", sort=False)["val"].transform("max")
    return frame.drop(columns="val")


def _choose_hidden(cells: Sequence[Cell], axes: Sequence[str]) -> list[int]:
    """Return the number of one cell per run and place on the axes: of several, the best on validation."""
    groups: dict[tuple, list[int]] = {}
    for place, cell in enumerate(cells):
        groups.setdefault((cell.run.identity, *(cell.value(axis) for axis in axes)), []).append(place)
    chosen = []
    for places in groups.values():
        scored = [GridCell({}, cells[place].scores.get("val")) for place in places]
        chosen.append(places[choose_cell(scored)])
    return chosen


def settings_frame(cells: Sequence[Cell], axes: Sequence[str], score: str) -> tuple[pd.DataFrame, list[float]]:
    """Return the settings of all cells with a score a column per axis, the method first, and their scores as fractions.

    Args:
        cells: from `gather`.
        axes: from `find_axes`.
        score: a key of `SCORES`.

    Example:
        >>> frame, scores = settings_frame(cells, find_axes(cells), "val")
    """
    axes = sorted(axes, key=lambda axis: axis != "method")
    scored = [(cell, cell.scores[score].mean) for cell in cells if score in cell.scores]
    rows = [[cell.value(axis) for axis in axes] for cell, _ in scored]
    columns = [SHORT_NAMES.get(axis, axis_name(axis)) for axis in axes]
    return pd.DataFrame(rows, columns=columns, dtype=object), [mean for _, mean in scored]


def cost_points(cells: Sequence[Cell], cost: str, score: str) -> pd.DataFrame:
    """Return score and cost of every cell that has both, and whether another one is better in both.

    Args:
        cells: from `gather`.
        cost: a key of `frames.COST_NAMES`.
        score: a key of `SCORES`.

    Returns:
        columns label, role, cost, mean, ci95, values, dominated, place (number of the cell).

    Example:
        >>> cost_points(cells, "parameters", "test").query("not dominated")
    """
    places = [place for place, cell in enumerate(cells) if score in cell.scores and getattr(cell.cost, cost)]
    labels = run_labels([cells[place].setting for place in places])
    rows = []
    for place, label in zip(places, labels, strict=True):
        cell = cells[place]
        value, amount = cell.scores[score], getattr(cell.cost, cost)
        rows.append((label, method_role(cell.run), amount, value.mean, value.ci95, value.values, place))
    frame = pd.DataFrame(rows, columns=["label", "role", "cost", "mean", "ci95", "values", "place"])
    return frame.assign(dominated=find_dominated(frame["cost"].tolist(), frame["mean"].tolist()))
