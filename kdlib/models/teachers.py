"""Teachers by name: the built-in ones, imported tables, and every network of a known scheme.

What a teacher is stands in `teacher`, where they come from in `providers`, what they give in `embedding`.
"""

import numpy as np

from kdlib.data import datasets
from kdlib.data.dataset import ITEM_NAMES
from kdlib.models.providers import get_model_teacher, list_model_teachers
from kdlib.models.providers.built_in import TEACHERS
from kdlib.models.providers.tables import imported_teachers
from kdlib.models.teacher import EmbedRows, Teacher
from kdlib.registry import lookup
from kdlib.spec import teacher_parts


def get_teacher(name: str) -> Teacher:
    """Return the teacher of that name.

    Raises:
        ValueError: there is none (any more).

    Example:
        >>> get_teacher("simclr").source_task
    """
    if name in TEACHERS:
        return TEACHERS[name]
    if len(teacher_parts(name)) > 1:
        return _join(name)
    teacher = get_model_teacher(name)
    return teacher or lookup(imported_teachers(), name, "teacher", TEACHERS | list_model_teachers())


def _join(name: str) -> Teacher:
    """Return several teachers as one, whose embedding is all of theirs side by side.

    Raises:
        ValueError: one does not exist, is named twice, gives frames, or takes other items than the others.
    """
    parts = teacher_parts(name)
    if len(set(parts)) < len(parts):
        raise ValueError(f"teachers that teach together have to differ, got {name!r}; name each once")
    teachers = [get_teacher(part) for part in parts]
    if any(each.frames for each in teachers):
        framed = next(part for part, each in zip(parts, teachers, strict=True) if each.frames)
        raise ValueError(f"{framed} gives frames and cannot teach together with others; choose it alone")
    if len({each.modality for each in teachers}) > 1:
        takes = ", ".join(
            f"{part} takes {ITEM_NAMES[each.modality]}" for part, each in zip(parts, teachers, strict=True)
        )
        raise ValueError(f"teachers that teach together have to take the same items, but {takes}")
    trained = [each.supervised for each in teachers if each.supervised is not None]
    widths = [each.width or each.card.get("width", 0) for each in teachers]

    def load() -> EmbedRows:
        networks = [each.load() for each in teachers]
        return lambda dataset, rows: np.concatenate([network(dataset, rows) for network in networks], axis=1)

    return Teacher(
        f"{len(parts)} teachers side by side: {', '.join(parts)}",
        " + ".join(each.source_task for each in teachers),
        any(trained) if trained else None,
        load,
        modality=teachers[0].modality,
        originals=any(each.originals for each in teachers),
        dataset=next((each.dataset for each in teachers if each.dataset), ""),
        width=sum(widths) if all(widths) else 0,
        seconds_per_item=sum(each.seconds_per_item for each in teachers),
    )


def is_built_in(name: str) -> bool:
    """Return whether a teacher is one of our own small networks (or several of them), which embed any dataset soon.

    Example:
        >>> is_built_in("simclr")
        True
    """
    return all(part in TEACHERS for part in teacher_parts(name))


def compatible_teachers(dataset: str) -> list[str]:
    """Return the names of the teachers for a dataset: the tables imported with it, and those of its modality.

    Example:
        >>> compatible_teachers("digits")
    """
    modality = datasets.load(dataset).modality
    networks = TEACHERS | list_model_teachers()
    return [*imported_teachers(dataset), *(name for name, each in networks.items() if each.modality == modality)]


def check_compatible(name: str, dataset: str) -> None:
    """Return if the teacher takes what the dataset holds.

    Raises:
        ValueError: unknown teacher, or one that takes something else.
    """
    if not name:
        choices = ", ".join(compatible_teachers(dataset)) or "none yet: import embeddings with it"
        raise ValueError(
            f"no teacher has been asked about {dataset} yet: embed one on Data & teachers or with `kdlib embed`, "
            f"or name the one to take; there are: {choices}"
        )
    teacher, modality = get_teacher(name), datasets.load(dataset).modality
    if len(teacher_parts(name)) > 1:
        for part in teacher_parts(name):
            check_compatible(part, dataset)
        return
    if teacher.dataset == dataset or (not teacher.dataset and teacher.modality == modality):
        return
    choices = compatible_teachers(dataset)
    takes = f"knows the items of {teacher.dataset} only" if teacher.dataset else f"takes {ITEM_NAMES[teacher.modality]}"
    way_out = f"choose one of: {', '.join(choices)}" if choices else "there is none yet: import it with embeddings"
    raise ValueError(f"teacher {name} {takes}, but {dataset} holds {ITEM_NAMES[modality]}, {way_out}")
