"""Embeddings that were imported with a dataset, as teachers of that dataset alone: "<dataset>/<table>"."""

from functools import lru_cache, partial

import numpy as np

from kdlib.data import imported
from kdlib.models.teacher import EmbedRows, Teacher
from kdlib.registry import lookup


def imported_teachers(dataset: str = "") -> dict[str, Teacher]:
    """Return the imported embeddings as teachers "<dataset>/<table>", those of one dataset or of all.

    Example:
        >>> imported_teachers("digits")
        {}
    """
    entries = {}
    for name, card in imported.cards().items():
        for table, about in card.tables.items() if dataset in ("", name) else ():
            entries[f"{name}/{table}"] = Teacher(
                card.describe_table(table),
                about.source_task,
                None,
                partial(_load, name, about.file),
                modality=card.modality,
                dataset=name,
                width=about.width,
                frames=bool(about.frames),
            )
    return entries


def _load(name: str, file: str) -> EmbedRows:
    table = load_table(name, file)
    return lambda dataset, rows: table[rows]  # noqa: ARG005 - it knows one dataset only


def open_table(teacher: str) -> np.ndarray:
    """Return the embeddings (n, d_t) float32, or frames (n, t, d_t), of a teacher "<dataset>/<table>", all rows.

    Raises:
        ValueError: there is no such dataset (any more).

    Example:
        >>> open_table(list(imported_teachers())[0]).shape
    """
    dataset, _, table = teacher.partition("/")
    return load_table(dataset, lookup(lookup(imported.cards(), dataset, "dataset").tables, table, "table").file)


@lru_cache(maxsize=8)
def load_table(name: str, file: str) -> np.ndarray:
    """Return an imported table of embeddings; a large one stays on disk."""
    return imported.load_array(name, file)
