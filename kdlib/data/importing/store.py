"""Putting a draft among the datasets, and taking it away again."""

import os
import secrets
import shutil
import time
from itertools import islice
from pathlib import Path

import numpy as np

from kdlib.data import imported
from kdlib.data.dataset import TEXT
from kdlib.data.imported import DatasetCard, TableCard
from kdlib.data.importing.build import DatasetDraft
from kdlib.data.importing.source import Source
from kdlib.data.intake import IntakeError, Limits, describe_os_error
from kdlib.data.intake.originals import TEXT_ENDS, TEXTS, Originals
from kdlib.data.texts import hash_texts
from kdlib.progress import OnProgress, report_progress

TEXT_ROWS = 1000  # texts that are hashed at a time


def store_dataset(source: Source, draft: DatasetDraft, title: str, on_progress: OnProgress | None = None) -> str:
    """Store a draft under `KDLIB_HOME/data/` and return the name of the new dataset.

    The source goes on waiting until it is dropped.

    Args:
        source: what was read.
        draft: what `build_draft` made of it.
        title: what its owner calls it.
        on_progress: called after every few MB with rows done of all rows; returning True stops.

    Raises:
        ValueError: the title cannot be a name, or the disk does not take it.
        CancelledError: `on_progress` asked to stop; nothing is kept.

    Example:
        >>> store_dataset(source, build_draft(source, guess_plan(source)), "birds")
    """
    title = imported.check_title(title)
    building = imported.data_folder() / f".{secrets.token_hex(8)}.building"
    try:
        building.mkdir(parents=True)
        return _write_files(source, draft, title, building, on_progress)
    except OSError as error:
        raise IntakeError(f"{source.name} cannot be kept: {describe_os_error(error)}") from error
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _write_files(
    source: Source, draft: DatasetDraft, title: str, building: Path, on_progress: OnProgress | None
) -> str:
    files = ["inputs.npy", "labels.npy", "splits.npy", "ids.npy"]
    originals = _write_inputs(source, draft, building, on_progress)
    np.save(building / "labels.npy", draft.labels, allow_pickle=False)
    np.save(building / "ids.npy", draft.ids, allow_pickle=False)
    codes = {name: number for number, name in enumerate(draft.split_names)} | {"": -1}
    np.save(
        building / "splits.npy", np.array([codes[name] for name in draft.splits.tolist()], np.int16), allow_pickle=False
    )
    for number, (values, _) in enumerate(draft.attributes.values()):
        files.append(f"attribute-{number}.npy")
        np.save(building / files[-1], values, allow_pickle=False)
    tables = {}
    for number, name in enumerate(draft.plan.tables):
        file = "inputs.npy" if name == draft.plan.inputs else f"table-{number}.npy"
        if file not in files:
            files.append(file)
            _link_or_copy(source.folder / source.columns[name].file, building / file)
        *frames, width = source.columns[name].shape[1:]
        source_task = source.columns[name].source_task or draft.plan.source_task
        tables[name] = TableCard(file, width, source_task, *frames)
    files += originals
    card = DatasetCard(
        title=title,
        created=time.time(),
        rows=source.rows,
        classes=draft.classes,
        splits=draft.split_names,
        attributes={name: names for name, (_, names) in draft.attributes.items()},
        tables=tables,
        inputs="inputs.npy",
        shape=list(draft.shape),
        modality=draft.modality,
        rate=source.rate,
        input_rate=source.input_rate,
        originals=originals,
        source=source.name,
        notes=draft.notes + draft.warnings,
    )
    return imported.add_dataset(building, card, files, on_progress)


def _write_inputs(source: Source, draft: DatasetDraft, building: Path, on_progress: OnProgress | None) -> list[str]:
    """Write the student's inputs and the originals they are made of; return the files of the originals."""
    if draft.modality == TEXT:
        return _write_texts(source, draft, building, on_progress)
    _link_or_copy(source.folder / source.columns[draft.plan.inputs].file, building / "inputs.npy")
    for file in source.originals:
        _link_or_copy(source.folder / file, building / file)
    return source.originals


def _write_texts(source: Source, draft: DatasetDraft, building: Path, on_progress: OnProgress | None) -> list[str]:
    """Write the texts and the student's inputs made of them; return the files of the texts."""
    column = source.columns[draft.plan.inputs]
    if column.ends:
        _link_or_copy(source.folder / column.file, building / TEXTS)
        _link_or_copy(source.folder / column.ends, building / TEXT_ENDS)
    else:
        written = Originals(building / TEXTS, Limits.current())
        for row, text in enumerate(source.texts(column.name)):
            written.add(source.describe_row(row), text.encode())
        written.close()
        np.save(building / TEXT_ENDS, np.array(written.ends, np.int64), allow_pickle=False)
    shape = (source.rows, *draft.shape)
    inputs = np.lib.format.open_memmap(building / "inputs.npy", mode="w+", dtype=np.float16, shape=shape)
    texts = source.texts(column.name)
    for start in range(0, source.rows, TEXT_ROWS):
        report_progress(on_progress, "importing", start, source.rows)
        batch = list(islice(texts, TEXT_ROWS))
        inputs[start : start + len(batch)] = hash_texts(batch, *draft.shape)
    inputs.flush()
    return [TEXTS, TEXT_ENDS]


def _link_or_copy(before: Path, after: Path) -> None:
    """Give a file a second name, without copying it where the disk can do that."""
    try:
        os.link(before, after)
    except OSError:
        shutil.copyfile(before, after)
