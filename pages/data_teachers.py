"""Data & teachers: look at the items of a dataset, and at what each teacher knows about them."""

import streamlit as st

from kdlib.analysis.figures.pictures import plot_gallery
from kdlib.analysis.items import gallery_tiles, split_table, text_table
from kdlib.data import datasets
from kdlib.spec import RunSpec
from pages import own_data, own_teachers, registries, show, sounds, teacher_section
from pages.text import escape

st.title("Data & teachers")
own_data.receive_upload()
name = registries.select_entry("Dataset", "datasets", "dataset", RunSpec.dataset)
data = datasets.load(name)
own_data.show_section()
own_teachers.show_section(data)


def sample_number() -> int:
    """Let a visitor choose which items are shown."""
    return st.number_input(
        "Sample", 1, 50, 1, key="sample", help="Another number shows other items.", bind="query-params"
    )


def texts() -> None:
    """Show test items as texts, letter by letter as they are."""
    st.dataframe(
        text_table(data, sample_number() - 1),
        hide_index=True,
        column_config={"text": st.column_config.TextColumn(width="large")},
        alt="Some test items: their class and the beginning of their text",
    )


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
    turn = sample_number()
    tiles, names = gallery_tiles(data, attribute, turn - 1)
    show.figure(
        plot_gallery(tiles, list(data.classes[: len(tiles)]), names, attribute),
        "gallery",
        "One test item per class and category",
    )
    if data.listen:
        sounds.show_sound(data, turn - 1)


st.subheader("What each teacher knows")
teacher_section.show_section(name)
st.page_link(
    "pages/distill.py", label="Distill from one of them", icon=":material/science:", query_params={"dataset": name}
)
left, right = st.columns(2, gap="large")
with left:
    st.subheader("Items")
    if data.modality == datasets.VECTOR:
        own_data.no_pictures()
    elif data.modality == datasets.TEXT:
        texts()
    else:
        items()
with right:
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
    own_teachers.show_card([entry["name"] for entry in registries.list_teachers(name)])
