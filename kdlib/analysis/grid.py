"""Grids: which setting of a grid counts, chosen on validation alone, and its members taken out of the population.

The test set is not predicted for any other member, so it cannot decide. `tests/test_grid.py` holds that with made-up
scores whose best cells on validation and test differ.
"""

from collections.abc import Sequence
from dataclasses import replace
from math import inf, isfinite
from typing import TYPE_CHECKING

from kdlib.analysis.intervals import summarize
from kdlib.names import AXES, method_name
from kdlib.results import CURVES, Grid, GridCell, Point, RunResult
from kdlib.spec import RunSpec

if TYPE_CHECKING:
    from kdlib.training.loop import Trained

NONE = "–"  # in a cell without a value


def choose_cell(cells: Sequence[GridCell]) -> int:
    """Return the number of the cell with the highest mean validation score over its seeds, the first of equal ones.

    Cells without a score are not chosen, unless there is no other.

    Example:
        >>> choose_cell([GridCell({"lr": 0.01}, summarize([0.5, 0.6])), GridCell({"lr": 0.03}, summarize([0.7, 0.6]))])
        1
    """
    means = [-inf if cell.val is None else cell.val.mean for cell in cells]
    return means.index(max(means))


def grid_cells(spec: RunSpec, trained: "Trained", start: int) -> list[GridCell]:
    """Return every cell of a spec's grid with the validation scores of its members, which begin at number `start`."""
    cells = []
    for number, setting in enumerate(spec.cells):
        members = range(start + number * spec.seeds, start + (number + 1) * spec.seeds)
        seeded = zip(spec.seed_numbers, members, strict=True)
        settings = {name: getattr(setting, name) for name in spec.grid}
        diverged = [f"seed {seed} in epoch {trained.diverged[m]}" for seed, m in seeded if m in trained.diverged]
        best = [_best_score(trained.history, member) for member in members]
        if diverged:
            cells.append(GridCell(settings, reason=f"diverged: {', '.join(diverged)}"))
        elif not all(map(isfinite, best)):
            cells.append(GridCell(settings, reason="not validated yet"))
        else:
            cells.append(GridCell(settings, summarize(best)))
    return cells


def _best_score(history: Sequence[Point], member: int) -> float:
    """Return the validation score of the weights that a member has in the end: its highest."""
    return max((point.val[member] for point in history), default=-inf)


def select_members(specs: Sequence[RunSpec], trained: "Trained") -> tuple["Trained", list[Grid | None]]:
    """Return a training with the members of each spec's chosen cell only, and what each grid came to.

    Args:
        specs: of the training, in order.
        trained: all members of all their cells.

    Returns:
        the training as if nothing else had been trained (but for its seconds), and per spec its grid, None for a spec
        without one.

    Example:
        >>> chosen, [grid] = select_members([RunSpec(lr=[0.01, 0.03])], trained)
    """
    if not any(spec.grid for spec in specs):
        return trained, [None] * len(specs)
    grids: list[Grid | None] = []
    kept: list[int] = []  # numbers of the members that stay
    teachers, replay, start = [], [], 0
    for number, spec in enumerate(specs):
        cells = grid_cells(spec, trained, start)
        chosen = choose_cell(cells)
        own = range(chosen * spec.seeds, (chosen + 1) * spec.seeds)
        kept += [start + member for member in own]
        branch = trained.teachers[number]
        teachers.append(branch and branch.subset(own))
        replay.append(trained.replay[number][chosen : chosen + 1])
        grids.append(Grid(cells, chosen) if spec.grid else None)
        start += spec.seeds * len(cells)
    return replace(
        trained,
        students=trained.students.subset(kept),
        teachers=teachers,
        history=[_of_members(point, kept) for point in trained.history],
        diverged={place: trained.diverged[m] for place, m in enumerate(kept) if m in trained.diverged},
        replay=replay,
    ), grids


def _of_members(point: Point, members: Sequence[int]) -> Point:
    curves = {curve: values for curve in CURVES if (values := getattr(point, curve))}
    return replace(point, **{curve: [values[member] for member in members] for curve, values in curves.items()})


def grid_table(results: Sequence[RunResult]) -> tuple[list[str], list[list[str]]]:
    """Return the mean validation score of every cell in percent, a row per cell and a column per method, as text.

    A star marks the chosen cells; a dash is where a method does not have such a cell, or the cell no score.

    Args:
        results: those without a grid are left out.

    Returns:
        the columns, and the cells of each row.

    Example:
        >>> columns, rows = grid_table(results)
    """
    gridded = [(result.spec.method, result.grid) for result in results if result.grid is not None]
    axes = [name for name in AXES if any(name in grid.best.settings for _, grid in gridded)]
    rows: dict[tuple[float, ...], list[str]] = {}
    for place, (_, grid) in enumerate(gridded):
        for number, cell in enumerate(grid.cells):
            key = tuple(cell.settings.get(name, -inf) for name in axes)
            row = rows.setdefault(key, [NONE] * len(gridded))
            row[place] = _score_text(cell) + (" *" if number == grid.chosen else "")
    table = [[*(NONE if value == -inf else f"{value:g}" for value in key), *rows[key]] for key in sorted(rows)]
    methods = [method_name(method) for method, _ in gridded]
    numbers = [methods[:place].count(method) for place, method in enumerate(methods)]  # of several runs of a method
    names = [f"{each} #{number + 1}" if number else each for each, number in zip(methods, numbers, strict=True)]
    return [*(AXES[name] for name in axes), *names], table


def _score_text(cell: GridCell) -> str:
    if cell.val is None:
        return "diverged" if cell.reason.startswith("diverged") else NONE
    return f"{100 * cell.val.mean:.1f}"


def describe_left_out(results: Sequence[RunResult]) -> str:
    """Return in a sentence which axes of a grid count for nothing with which methods, "" without any."""
    parts = []
    for result in results:
        spec = result.spec
        names = [AXES[name] for name in AXES if isinstance(getattr(spec, name), tuple) and name not in spec.grid]
        if names:
            parts.append(f"{method_name(spec.method)} has no {' and no '.join(names)}")
    return f"{'; '.join(dict.fromkeys(parts))}: those values count for nothing there." if parts else ""
