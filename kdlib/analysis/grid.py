"""Grids: which setting of a grid counts, chosen on validation alone, and its members taken out of the population.

The test set is not predicted for any other member, so it cannot decide. `tests/test_grid.py` holds that with made-up
scores whose best cells on validation and test differ.
"""

from collections.abc import Sequence
from dataclasses import replace
from math import isfinite

import numpy as np

from kdlib.analysis.intervals import summarize
from kdlib.results import CURVES, Grid, GridCell, Point
from kdlib.spec import RunSpec
from kdlib.training.loop import Trained


def choose_cell(cells: Sequence[GridCell]) -> int:
    """Return the number of the cell with the highest mean validation score over its seeds, the first of equal ones.

    Cells without a score are not chosen, unless there is no other.

    Example:
        >>> choose_cell([GridCell({"lr": 0.01}, summarize([0.5, 0.6])), GridCell({"lr": 0.03}, summarize([0.7, 0.6]))])
        1
    """
    means = [-np.inf if cell.val is None else cell.val.mean for cell in cells]
    return int(np.argmax(means))


def grid_cells(spec: RunSpec, trained: Trained, start: int) -> list[GridCell]:
    """Return every cell of a spec's grid with the validation scores of its members, which begin at number `start`."""
    cells = []
    for number, setting in enumerate(spec.cells):
        members = range(start + number * spec.seeds, start + (number + 1) * spec.seeds)
        settings = {name: getattr(setting, name) for name in spec.grid}
        diverged = [f"seed {k} in epoch {trained.diverged[m]}" for k, m in enumerate(members) if m in trained.diverged]
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
    return max((point.val[member] for point in history), default=-np.inf)


def select_members(specs: Sequence[RunSpec], trained: Trained) -> tuple[Trained, list[Grid | None]]:
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
    return replace(point, **{curve: [getattr(point, curve)[member] for member in members] for curve in CURVES})
