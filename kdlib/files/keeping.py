"""Putting a draft among the datasets, and taking it away again."""

import os
import secrets
import shutil
import time
from pathlib import Path

import numpy as np

from kdlib import imported
from kdlib.files.drafts import Draft
from kdlib.files.sources import Source


def keep(source: Source, draft: Draft, title: str) -> str:
    """Store a draft under `KDLIB_HOME/data/` and return the name of the new dataset. The source goes on waiting until it is dropped.

    Raises:
        ValueError: the title cannot be a name.
    """
    title = imported.check_title(title)
    building = imported.folder() / f".{secrets.token_hex(8)}.building"
    building.mkdir(parents=True)
    try:
        return _keep(source, draft, title, building)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _keep(source: Source, draft: Draft, title: str, building: Path) -> str:
    files = ["inputs.npy", "labels.npy", "splits.npy", "ids.npy"]
    _place(source.folder / source.columns[draft.plan.inputs].file, building / "inputs.npy")
    np.save(building / "labels.npy", draft.labels, allow_pickle=False)
    np.save(building / "ids.npy", draft.ids, allow_pickle=False)
    codes = {name: number for number, name in enumerate(draft.split_names)} | {"": -1}
    np.save(building / "splits.npy", np.array([codes[name] for name in draft.splits.tolist()], np.int16), allow_pickle=False)
    for number, (values, _) in enumerate(draft.attributes.values()):
        files.append(f"attribute-{number}.npy")
        np.save(building / files[-1], values, allow_pickle=False)
    tables = {}
    for number, name in enumerate(draft.plan.tables):
        file = "inputs.npy" if name == draft.plan.inputs else f"table-{number}.npy"
        if file not in files:
            files.append(file)
            _place(source.folder / source.columns[name].file, building / file)
        tables[name] = {"file": file, "width": source.columns[name].shape[1], "source_task": draft.plan.source_task}
    if source.rate:
        files += ["waves.raw", "ends.npy"]
        for file in files[-2:]:
            _place(source.folder / file, building / file)
    card = {
        "title": title,
        "created": time.time(),
        "source": source.name,
        "rows": source.rows,
        "classes": draft.classes,
        "splits": draft.split_names,
        "attributes": {name: names for name, (_, names) in draft.attributes.items()},
        "tables": tables,
        "inputs": "inputs.npy",
        "shape": list(draft.shape),
        "modality": draft.modality,
        "rate": source.rate,
        "notes": draft.notes + draft.warnings,
    }
    return imported.keep(building, card, files)


def _place(before: Path, after: Path) -> None:
    """Give a file a second name, without copying it where the disk can do that."""
    try:
        os.link(before, after)
    except OSError:
        shutil.copyfile(before, after)
