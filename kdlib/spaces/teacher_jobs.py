"""What teachers know, found out by the engine: reports that are not stored yet are made there."""

import traceback

from kdlib import engine
from kdlib.analysis import teacher_report
from kdlib.analysis.failure import Failure
from kdlib.analysis.teacher_report import TeacherReport


def request(teacher: str, dataset: str) -> TeacherReport | Failure | None:
    """Return the report that is stored; if none is, have the engine make it. Repeated requests are one piece of work.

    Example:
        >>> request("simclr", "digits")
    """
    report = teacher_report.cached(teacher, dataset)
    if report is None:
        engine.submit(compute, teacher, dataset, key=f"knowledge-{teacher_report.report_key(teacher, dataset)}")
    return report


def compute(teacher: str, dataset: str) -> None:
    """Make the report and store it; what goes wrong is stored as a `Failure`."""
    try:
        report = teacher_report.make_report(teacher, dataset)
    except Exception as error:  # a page that waits for the report must learn that none will come
        traceback.print_exc()
        report = Failure.of(error)
    teacher_report.store(teacher, dataset, report)
