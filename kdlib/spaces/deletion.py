"""Deleting what was imported or added, with everything that was computed from it."""

from kdlib.analysis import teacher_report
from kdlib.data import datasets, imported
from kdlib.models import embedding, teachers
from kdlib.models.providers import hub, onnx
from kdlib.spaces import embedding_jobs


def delete_dataset(name: str) -> None:
    """Remove an imported dataset, its tables, and what the cache holds about them. Runs on it keep their results.

    Raises:
        ValueError: there is none of that name; built-in datasets cannot be deleted.
    """
    if name in datasets.DATASETS:
        raise ValueError(f"{name} is built in and cannot be deleted")
    for teacher in teachers.compatible_teachers(name):
        teacher_report.discard(teacher, name)
        if not embedding.is_shared(teacher, name):
            embedding_jobs.discard(teacher, name)
            embedding.delete_embeddings(teacher, name)
    imported.delete_files(name)


def delete_teacher(name: str) -> None:
    """Remove a network that was added, with its embeddings of every dataset. Runs that had it keep their results.

    Raises:
        ValueError: there is none of that name, or nobody added it.
    """
    added = name in hub.read_cards() or name.removeprefix(f"{onnx.SCHEME}:") in onnx.cards()
    if added and ":" not in name:
        name = f"{onnx.SCHEME}:{name}"
    for dataset in datasets.describe_datasets() if added else ():
        embedding_jobs.discard(name, dataset)
        teacher_report.discard(name, dataset)
        embedding.delete_embeddings(name, dataset)
    (hub if name.partition(":")[0] in hub.REFERENCES else onnx).remove(name)
