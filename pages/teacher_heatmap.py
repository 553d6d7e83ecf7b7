"""What teachers know of a dataset as one shaded table, drawn before anything heavy is loaded where it ships."""

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from kdlib.analysis.figures.heatmaps import plot_teacher_heatmap
from kdlib.analysis.teacher_probes import TeacherReport, load_shipped, read_shipped
from kdlib.names import teacher_name
from pages import show


def shipped(dataset: str) -> dict[str, TeacherReport]:
    """Return teacher -> report of those that come with this version."""
    reports = {teacher: load_shipped(teacher, dataset) for teacher in read_shipped().get(dataset, {})}
    return {teacher: report for teacher, report in reports.items() if report}


def draw(reports: Mapping[str, TeacherReport], key: str) -> None:
    """Show how well each teacher's embedding answers each question; nothing before the first report."""
    rows = [
        (teacher_name(teacher), question, probe.accuracy, probe.chance)
        for teacher, report in reports.items()
        for question, probe in report.questions.items()
    ]
    if not rows:
        return
    frame = pd.DataFrame(rows, columns=["teacher", "question", "accuracy", "chance"])
    show.figure(plot_teacher_heatmap(frame), key, "Probe accuracy of each teacher on the target and each attribute")
    st.caption(
        "How well a linear probe, fitted on labelled training items, reads each question from the teacher's embedding "
        "of test items. The stronger the colour, the further above chance: the share of the most frequent answer among "
        "the test items (with several labels an item mAP, and the share of positives). Where an embedding says nothing "
        "of a question, a probe fits noise and lands near chance, also below it. What a teacher knows beside the "
        "target is what compression may throw away."
    )
