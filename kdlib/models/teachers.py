"""Teachers by name: the built-in ones, imported tables, and every network of a known scheme.

What a teacher is stands in `teacher`, where they come from in `providers`, what they give in `embedding`.
"""

from kdlib.data import datasets
from kdlib.data.dataset import ITEM_NAMES
from kdlib.models.providers import get_model_teacher, list_model_teachers
from kdlib.models.providers.built_in import TEACHERS
from kdlib.models.providers.tables import imported_teachers
from kdlib.models.teacher import Teacher
from kdlib.registry import lookup


def get_teacher(name: str) -> Teacher:
    """Return the teacher of that name.

    Raises:
        ValueError: there is none (any more).

    Example:
        >>> get_teacher("simclr").source_task
    """
    if name in TEACHERS:
        return TEACHERS[name]
    teacher = get_model_teacher(name)
    return teacher or lookup(imported_teachers(), name, "teacher", TEACHERS | list_model_teachers())


def is_built_in(name: str) -> bool:
    """Return whether a teacher is one of our own small networks, which embed any dataset in seconds.

    Example:
        >>> is_built_in("simclr")
        True
    """
    return name in TEACHERS


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
    if teacher.dataset == dataset or (not teacher.dataset and teacher.modality == modality):
        return
    choices = compatible_teachers(dataset)
    takes = f"knows the items of {teacher.dataset} only" if teacher.dataset else f"takes {ITEM_NAMES[teacher.modality]}"
    way_out = f"choose one of: {', '.join(choices)}" if choices else "there is none yet: import it with embeddings"
    raise ValueError(f"teacher {name} {takes}, but {dataset} holds {ITEM_NAMES[modality]}, {way_out}")
