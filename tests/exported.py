"""Exports of small runs of every kind, for tests of what leaves the lab."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kdlib import pipeline
from kdlib.checks import default_spec
from kdlib.data import datasets, importing
from kdlib.spec import RunSpec
from tests import stored_runs
from tests.file_writers import picture, wav, zipped
from tests.small_tables import table

HOSTILE = ("---", "`b`|c\n# d", "<script>alert(1)</script>")


@contextmanager
def data_folder(folder: Path, database: Path) -> Iterator[Path]:
    """Yield a data folder with an empty store, which shares the caches of the session, for more than one test."""
    shared = Path(os.environ["KDLIB_HOME"])
    folder.mkdir()
    shutil.copyfile(database, folder / "mlflow.db")
    for name in ("cache", "locks"):
        (folder / name).symlink_to(shared / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KDLIB_HOME", str(folder))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield folder


def train(name: str, dataset: str, **changes) -> str:
    """Return the id of a small stored run."""
    spec = default_spec(dataset).replace(epochs=3, seeds=2, method="baseline", **changes)
    return stored_runs.store_result(pipeline.run(spec), name)


def train_digits(name: str = "digits", method: str = "mlp", **changes) -> str:
    spec = RunSpec(dataset="digits", teacher="random", labels=60, epochs=2, width=2, seeds=3, dim=4, method=method)
    return stored_runs.store_result(pipeline.run(spec.replace(**changes)), name)


def own_pictures(tmp_path: Path) -> str:
    """Import colour pictures of two sizes; return the name of the dataset."""
    files = []
    for row in range(60):
        label = row % 2
        values = np.random.default_rng(row).integers(0, 120, (30 + 8 * label, 40, 3), dtype=np.uint8)
        values[:, :, label] += 100
        files.append((f"{'ab'[label]}/{row:03d}.png", picture(values)))
    zipped(*files)(tmp_path / "own.zip")
    return keep(importing.stage(tmp_path / "own.zip"), "own pictures")


def own_sounds(tmp_path: Path) -> str:
    """Import recordings at 11,025 Hz; return the name of the dataset."""
    files = [(f"{'ab'[row % 2]}/{row:03d}.wav", wav(0.4, 11_025, 300 + 900 * (row % 2) + row)) for row in range(60)]
    zipped(*files)(tmp_path / "own.zip")
    return keep(importing.stage(tmp_path / "own.zip"), "own sounds")


def own_table(tmp_path: Path) -> str:
    """Import a table whose classes have hostile names; return the name of the dataset."""
    path = table(tmp_path / "t.npz", label=np.array(HOSTILE)[np.arange(90) % 3])
    source = importing.stage(path)
    return keep(source, "own table", inputs="x", tables=())


def own_texts(tmp_path: Path) -> str:
    """Import a CSV of texts; return the name of the dataset."""
    topics = {"food": "bread soup salt oven", "rain": "cloud wind storm wet"}
    rng, lines = np.random.default_rng(0), ["review,topic"]
    for row in range(90):
        topic = list(topics)[row % 2]
        lines.append(f'"{" ".join(rng.choice(topics[topic].split(), 5))}, no. {row}",{topic}')
    (tmp_path / "texts.csv").write_text("\n".join(lines) + "\n")
    return keep(importing.stage(tmp_path / "texts.csv"), "own texts")


def keep(source, title: str, **changes) -> str:
    plan = replace(importing.guess_plan(source), **changes)
    return importing.store_dataset(source, importing.build_draft(source, plan), title)


def some_test_rows(dataset: str) -> np.ndarray:
    """Return some test rows."""
    return datasets.load(dataset).splits["test"][:3]
