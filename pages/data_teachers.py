"""Data & teachers: look at the items of a dataset, and at what each teacher knows about them.

What ships is drawn before the libraries are loaded that everything else takes: seconds, on a first visit.
"""

from typing import TYPE_CHECKING

import streamlit as st

from kdlib.spec import RunSpec
from pages import page_jobs, registries, server, show, teacher_heatmap
from pages.text import escape

if TYPE_CHECKING:
    from kdlib.data.datasets import Dataset

OWN = "own"  # the part of the page that imports data


def sample_number() -> int:
    """Let a visitor choose which items are shown."""
    return st.number_input(
        "Sample", 1, 50, 1, key="sample", help="Another number shows other items.", bind="query-params"
    )


def texts(data: "Dataset") -> None:
    """Show test items as texts, letter by letter as they are."""
    from kdlib.analysis.items import text_table

    show.table(text_table(data, sample_number() - 1), "Some test items: their class and the beginning of their text")


def items(data: "Dataset") -> None:
    """Show test items as pictures, by class and attribute, and play one that can be heard."""
    from kdlib.analysis.figures.pictures import plot_gallery
    from kdlib.analysis.items import gallery_tiles
    from pages import sounds

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
    turn = sample_number()
    tiles, names = gallery_tiles(data, attribute, turn - 1)
    show.figure(
        plot_gallery(tiles, list(data.classes[: len(tiles)]), names, attribute),
        "gallery",
        "One test item per class and category",
    )
    if data.listen:
        sounds.show_sound(data, turn - 1)


def show_teachers(name: str) -> None:
    """Show what each teacher knows: the heatmap first, and at once where its numbers ship."""
    st.subheader("What each teacher knows")
    place, first = st.empty(), {}
    if not server.libraries_ready.is_set():
        first = teacher_heatmap.shipped(name)
        with place.container():
            teacher_heatmap.draw(first, "knowledge")
    from kdlib.data import datasets
    from pages import teacher_section

    reports = teacher_section.ready(teacher_section.ask(name))
    if reports != first:
        with place.container():
            teacher_heatmap.draw(reports, "knowledge-all" if first else "knowledge")
    if datasets.load(name).multi_label:
        st.caption("With several labels an item, the target is told in mAP, and chance is the share of positives.")
    teacher_section.show_section(name, len(reports))


def show_data(name: str) -> None:
    """Show the items of a dataset, and what is in it."""
    from kdlib.analysis.items import split_table
    from kdlib.data import datasets
    from pages import own_data, own_teachers

    data = datasets.load(name)
    left, right = st.columns(2, gap="large")
    with left:
        st.subheader("Items")
        if data.modality == datasets.VECTOR:
            own_data.no_pictures()
        elif data.modality == datasets.TEXT:
            texts(data)
        else:
            items(data)
    with right:
        st.subheader("What is in it")
        with st.container(horizontal=True):
            st.metric("Classes", len(data.classes), border=True)
            shape = " × ".join(map(str, data.inputs.shape[1:]))
            st.metric("Item", shape, help="Numbers an item consists of.", border=True)
        sizes = {"items": st.column_config.NumberColumn(format="localized")}
        show.table(split_table(data), "The splits of the dataset and their sizes", column_config=sizes)
        own_data.deletion_controls(name)
        own_teachers.show_card([entry["name"] for entry in registries.list_teachers(name)])


def show_own(name: str) -> None:
    """Show how to add data and teachers."""
    from kdlib.data import datasets
    from pages import own_data, own_teachers

    own_data.show_section()
    own_teachers.show_section(datasets.load(name))


st.title("Data & teachers")
page_jobs.show_arrival(OWN, "dataset")
chosen = registries.select_entry("Dataset", "datasets", "dataset", RunSpec.dataset)
show_teachers(chosen)
show_own(chosen)
st.page_link(
    "pages/distill.py", label="Distill from one of them", icon=":material/science:", query_params={"dataset": chosen}
)
show_data(chosen)
