"""The lesson files: read once, checked against views, numbers and words; broken ones are named on the page."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import streamlit as st

from kdlib.checks import check
from kdlib.data import datasets
from kdlib.lessons import Lesson, LessonError, check_lesson, read_lesson
from pages import glossary
from pages.lesson_views import VIEWS
from pages.text import escape

FOLDER = Path(__file__).parent.parent / "assets" / "lessons"


def questions(dataset: str) -> list[str]:
    """Return what a probe can be asked about in a dataset, beside the target."""
    return list(datasets.load(dataset).attributes)


def load_lesson(path: Path) -> Lesson:
    """Return the lesson of a file, once it is certain that everything it names exists.

    Raises:
        LessonError: something does not; the message names file and line.
    """
    lesson = read_lesson(path)
    check_lesson(lesson, VIEWS, questions)
    for step in lesson.steps:
        try:
            for text in (step.prose, *(each.text for each in step.explain)):
                for name in glossary.named_terms(text):
                    glossary.term(name)
            for spec in step.specs().values():
                check(spec)
        except ValueError as error:
            raise LessonError(f"{path.name}:{step.line}: {error}") from None
    return lesson


@lru_cache(maxsize=100)
def _load(path: Path, changed: float) -> Lesson | str:  # noqa: ARG001
    try:
        return load_lesson(path)
    except LessonError as error:
        return str(error)


def _all() -> list[Lesson | str]:
    return [_load(path, path.stat().st_mtime) for path in sorted(FOLDER.glob("*.md"))]


def list_lessons() -> list[Lesson]:
    """Return the lessons that can be shown, in their order."""
    return [each for each in _all() if isinstance(each, Lesson)]


def show_problems() -> None:
    """Say which lesson files are left out, and why."""
    for problem in _all():
        if isinstance(problem, str):
            st.warning(f"A lesson is left out: {escape(problem)}", icon=":material/error:")


def find(lessons: Sequence[Lesson], wanted: str) -> Lesson | None:
    """Return the lesson with this number or name; a message says that there is none, None for no wish."""
    for lesson in lessons:
        if wanted in (str(lesson.number), lesson.name):
            return lesson
    if wanted:
        st.info(f"There is no lesson {escape(wanted[:40])}.", icon=":material/search_off:")
    return None
