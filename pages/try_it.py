"""Try it: draw, paste, record, upload or click something, and see what finished students make of it."""

import time
from collections.abc import Sequence

import streamlit as st

from kdlib import runs, trying
from kdlib.analysis import frames
from kdlib.data import datasets
from kdlib.store import DONE, RunInfo, RunNotFoundError
from pages import address, run_tables, show, try_answer, try_inputs
from pages.maps import projection_name
from pages.text import escape, show_errors

MAX_RUNS = 6  # whose predictions fit side by side
MAPS = ("pca", "umap", "tsne")


def usable_runs(infos: Sequence[RunInfo]) -> list[RunInfo]:
    """Return the finished runs of one dataset; words say which are left out."""
    run_tables.list_left_out(infos)
    done = [run for run in infos if run.state == DONE]
    alike = [run for run in done if run.spec.dataset == done[0].spec.dataset][:MAX_RUNS]
    if len(alike) < len(done):
        st.info(f"Shown are the first {MAX_RUNS} runs of one dataset.", icon=":material/info:")
    return alike


def choose_space(infos: Sequence[RunInfo]) -> tuple[RunInfo, int, str]:
    """Show which run's spaces are looked at, as which seed has them, and how they are drawn; return all three."""
    names = dict(zip([run.id for run in infos], frames.run_labels([run.spec for run in infos]), strict=True))
    first = next((run.id for run in infos if frames.method_role(run.spec) == "compressed"), infos[-1].id)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.segmented_control(
            "Spaces of",
            list(names),
            default=first,
            required=True,
            key="spaces-of",
            help="The run whose teacher, compressor and student lay out the maps.",
            format_func=lambda run_id: escape(names[run_id]),
        )
        run = next(run for run in infos if run.id == chosen)
        seed = 0
        if run.spec.seeds > 1:
            seed = st.number_input(
                "Seed", 0, run.spec.seeds - 1, 0, key="try-seed", help="Which of its students.", width=120
            )
        projection = st.segmented_control(
            "Projection",
            MAPS,
            default=MAPS[0],
            required=True,
            key="try-projection",
            help="PCA can take a new item. UMAP and t-SNE cannot: there it lies amid its nearest training items.",
            format_func=projection_name,
        )
    return run, int(seed), projection


@st.fragment
def try_runs(infos: Sequence[RunInfo]) -> None:
    """Show the input at the left, the answer and the maps at the right."""
    started = time.perf_counter()
    data = datasets.load(infos[0].spec.dataset)
    left, right = st.columns([2, 5], gap="large")
    item = None
    with left, show_errors():
        item = try_inputs.choose_item(data)
    if item is None:
        right.info("The answer comes here once there is an item.", icon=":material/arrow_back:")
        return
    with right, show_errors():
        try:
            show_answer(data, item, infos, started)
        except RunNotFoundError:
            st.warning(
                "The files of one of these runs have been deleted; choose other runs above.",
                icon=":material/folder_off:",
            )


def show_answer(data: datasets.Dataset, item: trying.Item, infos: Sequence[RunInfo], started: float) -> None:
    """Show what the runs say about an item, and where it falls in the spaces of one of them.

    Args:
        data: the dataset.
        item: for its students.
        infos: of the runs.
        started: when this was asked for, by `time.perf_counter`.
    """
    above = st.container(key="try-answer")
    run, seed, projection = choose_space(infos)
    answer = trying.answer(item, [each.id for each in infos], run.id, seed)
    with above:
        seen, said = st.columns([1, 4], gap="medium")
        with seen:
            try_answer.show_seen(data, item)
        with said:
            try_answer.show_predictions(data, answer)
    try_answer.show_places(data, run, answer, seed, projection)
    took = 1000 * (time.perf_counter() - started)
    where = (
        "where the same axes put it"
        if projection == MAPS[0]
        else f"in the middle of its nearest ones, because {projection_name(projection)} has no place for new rows"
    )
    st.caption(
        "Star: this item; rings: its nearest training items. The maps show the labelled training items, coloured by "
        f"class; the item lies {where}. Answered in {took:.0f} ms."
    )


run_tables.choose_in_title("Try it", states=[DONE])
selected = address.load_runs(address.selected_ids())
if usable := usable_runs(selected):
    try_runs(usable)
elif not selected and not runs.list_runs(limit=1, states=[DONE]):
    show.empty("There is no finished student to try yet.", "Start a race", "pages/start.py")
elif not selected:
    st.info("Choose at least one run.", icon=":material/info:")
