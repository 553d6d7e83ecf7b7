"""Guided lessons: a markdown file each, read into typed steps, checked, and explained by what was measured.

conditions.py   comparisons of named numbers, checked before they are evaluated; no `eval`
reading.py      a file into a `Lesson`; what is wrong is reported with file and line
measured.py     the numbers that lessons may name, read from the results of a step
tables.py       what is drawn of results
votes.py        predictions of a class, kept in the data folder

To add a lesson, write a file in `assets/lessons/`; `tests/test_lessons.py` runs over all of them.
"""

from kdlib.lessons.measured import Measured, check_lesson
from kdlib.lessons.reading import Explanation, Lesson, LessonError, Prediction, Step, read_lesson

__all__ = ["Explanation", "Lesson", "LessonError", "Measured", "Prediction", "Step", "check_lesson", "read_lesson"]
