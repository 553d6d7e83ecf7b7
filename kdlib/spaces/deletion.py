"""Deleting what was imported, with everything that was computed from it."""

from kdlib.analysis import teacher_report
from kdlib.data import datasets, imported
from kdlib.models import embedding, teachers
from kdlib.spaces import embedding_jobs


def delete_dataset(name: str) -> None:
    """Remove an imported dataset, its tables, and what the cache holds about them. Runs on it keep their results.

    Raises:
        ValueError: there is none of that name; built-in datasets cannot be deleted.
    """
    if name in datasets.DATASETS:
        raise ValueError(f"{name} is built in and cannot be deleted")
    for teacher in teachers.compatible_teachers(name):
        embedding_jobs.discard(teacher, name)
        teacher_report.discard(teacher, name)
        embedding.delete_embeddings(teacher, name)
    imported.delete_files(name)
