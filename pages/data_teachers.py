"""Data & teachers: look at the items of a dataset, and at what each teacher knows about them."""

import pandas as pd
import streamlit as st

from kdlib.analysis.figures.heatmaps import plot_teacher_heatmap
from kdlib.analysis.figures.pictures import plot_gallery
from kdlib.analysis.items import gallery_tiles, split_table
from kdlib.data import datasets
from kdlib.spaces import Failure, teacher_report
from kdlib.spaces.teacher_report import TeacherReport
from kdlib.spec import RunSpec
from pages import live, own_data, registries, show, sounds
from pages.text import escape

st.title("Data & teachers")
own_data.receive_upload()
name = registries.select_entry("Dataset", "datasets", "dataset", RunSpec.dataset)
data = datasets.load(name)
own_data.show_section()


def items() -> None:
    """Show test items as pictures, by class and attribute, and play one that can be heard."""
    attributes = list(data.attributes)
    help_text = "A known factor of each item beside its class: what a teacher may know although nobody asks."
    attribute = ""
    if attributes:
        attribute = st.segmented_control(
            "Columns",
            attributes,
            default=attributes[0],
            required=True,
            key="by",
            help=help_text,
            bind="query-params",
            format_func=escape,
        )
    turn = st.number_input(
        "Sample", 1, 50, 1, key="sample", help="Another number shows other items.", bind="query-params"
    )
    tiles, names = gallery_tiles(data, attribute, turn - 1)
    show.figure(
        plot_gallery(tiles, list(data.classes[: len(tiles)]), names, attribute),
        "gallery",
        "One test item per class and category",
    )
    if data.listen:
        sounds.show_sound(data, turn - 1)


left, right = st.columns([2, 3], gap="large")
with left:
    st.subheader("What is in it")
    with st.container(horizontal=True):
        st.metric("Classes", len(data.classes), border=True)
        st.metric("Item", " × ".join(map(str, data.inputs.shape[1:])), help="Numbers an item consists of.", border=True)
    st.dataframe(
        split_table(data),
        hide_index=True,
        column_config={"items": st.column_config.NumberColumn(format="localized")},
        alt="The splits of the dataset and their sizes",
    )
    own_data.deletion_controls(name)
    st.subheader("Items")
    if data.modality == datasets.VECTOR:
        own_data.no_pictures()
    else:
        items()


def teachers() -> bool:
    """Show what is known of the teachers; return whether something is still being found out."""
    entries = registries.list_teachers(name)
    if not entries:
        show.empty(
            "No teacher knows these items: import them once more together with embeddings of a pretrained network."
        )
        return False
    reports = {entry["name"]: teacher_report.request(entry["name"], name) for entry in entries}
    failed = {teacher: report for teacher, report in reports.items() if isinstance(report, Failure)}
    ready = {teacher: report for teacher, report in reports.items() if isinstance(report, TeacherReport)}
    waiting = len(reports) - len(ready) - len(failed)
    if waiting:
        st.progress(len(ready) / len(reports), text=f"Asking the teachers what they know: {waiting} to go")
    show_probes(ready)
    show_teachers(entries, ready, "…" if waiting else "–")
    for teacher, failure in failed.items():
        st.error(f"{escape(teacher)}: {escape(failure.reason)}", icon=":material/error:")
        if st.button(f"Ask {escape(teacher)} again", key=f"again-{teacher}"):
            teacher_report.discard(teacher, name)
            st.rerun(scope="fragment")
    return bool(waiting)


def show_probes(reports: dict[str, TeacherReport]) -> None:
    """Show how well each teacher's embedding answers each question; nothing before the first report."""
    rows = [
        (teacher, question, probe.accuracy, probe.chance)
        for teacher, report in reports.items()
        for question, probe in report.questions.items()
    ]
    if not rows:
        return
    frame = pd.DataFrame(rows, columns=["teacher", "question", "accuracy", "chance"])
    show.figure(
        plot_teacher_heatmap(frame), "knowledge", "Probe accuracy of each teacher on the target and each attribute"
    )
    several = " With several labels an item, the target is told in mAP, and chance is the share of positives."
    st.caption(
        "How well a linear probe, fitted on labelled training items, reads each question from the teacher's embedding "
        "of test items. The stronger the colour, the further above chance. What it knows beside the target is what "
        "compression may throw away." + (several if data.multi_label else "")
    )


def show_teachers(entries: list[dict[str, str]], reports: dict[str, TeacherReport], placeholder: str) -> None:
    """Show a table of the teachers. `placeholder` stands where a number is not known."""
    table = []
    for entry in entries:
        report = reports.get(entry["name"])
        width, rank = (report.width, report.effective_rank) if report else (None, None)
        table.append(entry | {"width": width, "effective rank": rank})
    help_text = "How many directions of its embedding the teacher really uses."
    columns = {
        "effective rank": st.column_config.NumberColumn(format="%.1f", help=help_text),
        "name": "teacher",
        "help": "what it does",
    }
    st.dataframe(
        pd.DataFrame(table),
        hide_index=True,
        column_config=columns,
        column_order=["name", "source task", "supervision", "width", "effective rank", "help"],
        placeholder=placeholder,
        alt="The teachers and what they were trained for",
    )


with right:
    st.subheader("What each teacher knows")
    live.draw_while(
        teachers, not all(teacher_report.cached(entry["name"], name) for entry in registries.list_teachers(name))
    )
    st.page_link(
        "pages/distill.py", label="Distill from one of them", icon=":material/science:", query_params={"dataset": name}
    )
