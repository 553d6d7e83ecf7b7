"""Tables of 90 items in three classes, for tests of imported data."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from kdlib.data import importing

ROWS = np.random.default_rng(2).normal(size=(90, 4)).astype(np.float32)


def table(path: Path, rows: int = 90, **changes) -> Path:
    """Write an .npz of three classes with an embedding that tells them, and one that does not; return its path."""
    rng = np.random.default_rng(0)
    label = np.arange(rows) % 3
    columns = {
        "id": np.array([f"item {row:03d}" for row in range(rows)]),
        "label": np.array(["ash", "birch", "NA"])[label],
        "place": np.array(["wood", "park"])[rng.integers(0, 2, rows)],
        "x": rng.normal(size=(rows, 6)).astype(np.float32) + 2 * np.eye(3, 6, dtype=np.float32)[label],
        "y": rng.normal(size=(rows, 4)).astype(np.float32),
    }
    np.savez(path, **{name: value for name, value in (columns | changes).items() if value is not None})
    return path


def imported_table(tmp_path, title="trees", **changes) -> str:
    """Import such a table; return the name of the dataset."""
    source = importing.stage(table(tmp_path / "trees.npz", **changes))
    plan = replace(importing.guess_plan(source), inputs="x", tables=("x", "y"), attributes=("place",))
    return importing.store_dataset(source, importing.build_draft(source, plan), title)
