"""Embeddings: the raw, the compressed and the student's space of a run side by side: what moved, which neighbours stayed."""

import streamlit as st

from kdlib import runs, spaces
from kdlib.analysis import frames
from kdlib.analysis.projection import PROJECTIONS, STRENGTH, STRENGTHS
from kdlib.data import datasets
from kdlib.registry import first_line
from kdlib.store import CANCELLED, DONE, FAILED, RunInfo, RunNotFoundError
from pages import address, live, maps, show
from pages.text import escape

SECTIONS = ["Selection", "Scorecard", "Replay"]


def controls(run: RunInfo, data: datasets.Dataset) -> tuple[spaces.SpaceRequest, str]:
    """Show what can be set and return what to draw, and what to colour by."""
    options = spaces.list_splits(run.spec.dataset, cancelled=run.state == CANCELLED)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        split = st.selectbox(
            "Rows",
            options,
            key="split",
            help="Which test set: as in training, or out of domain.",
            format_func=lambda name: "test" if name == "test" else name.removeprefix("ood:"),
            bind="query-params",
        )
        seed = st.number_input(
            "Seed", 0, run.spec.seeds - 1, 0, key="seed", help="Which member of the run.", bind="query-params"
        )
        pairs = spaces.PAIRS if run.spec.method != "baseline" else ()
        by = st.selectbox(
            "Colour by",
            spaces.colourings(data, pairs),
            key="colour",
            help="What the colour of a point tells.",
            bind="query-params",
        )
        told = "\n".join(f"- {first_line(entry.function)}" for entry in PROJECTIONS.values())
        name = st.segmented_control(
            "Projection",
            list(PROJECTIONS),
            default="pca",
            required=True,
            key="projection",
            help=told,
            format_func=maps.projection_name,
            bind="query-params",
        )
        strength = STRENGTH
        if PROJECTIONS[name].joint:
            told = "How strongly each row is pulled to where it is on the neighbouring map: agreement that is made, not found."
            strength = st.select_slider("Strength", STRENGTHS, STRENGTH, key="strength", help=told, bind="query-params")
    return spaces.SpaceRequest(run.id, split, int(seed), name, strength), by


def explore(run: RunInfo) -> None:
    """Show the maps of a run that is over, and below them one section."""
    data = datasets.load(run.spec.dataset)
    question, by = controls(run, data)
    try:
        found = maps.rows_of(run.id, question.split, question.member, run.ended or 0.0)
    except RunNotFoundError:
        st.warning(
            "The files of this run are not there (any more), so there is nothing to draw.", icon=":material/folder_off:"
        )
        return
    card = spaces.SpaceRequest(run.id, question.split, question.member)
    asked = [card] if PROJECTIONS[question.projection].instant else [card, question]
    known = [spaces.cached(each, found) for each in asked]
    chosen = maps.side_by_side(data, found, question, by, known[0], known[-1])
    maps.show_waiting(asked, found, known)  # below the maps, which so stay where they are under a hand that draws
    section = st.segmented_control(
        "Below the maps",
        SECTIONS,
        default=SECTIONS[0],
        required=True,
        key="below",
        help="What to look at closer.",
        bind="query-params",
    )
    if section == "Selection":
        maps.selection(data, found, chosen)
    elif section == "Scorecard":
        maps.scorecard(known[0], address.load_results([run]), found)
    else:
        maps.replay(run.id, data, live=False)


def forming(run: RunInfo) -> bool:
    """Show the spaces of a run that is training as they form; return whether it still is."""
    now = address.load_runs([run.id])
    show.progress(now)
    maps.replay(run.id, datasets.load(run.spec.dataset), live=True)
    return any(each.active for each in now)


st.title("Embeddings")
show.choose_runs(states=[DONE, CANCELLED, "running", "queued"])
found = address.load_runs(address.selected_ids())
if found:
    names = dict(zip([run.id for run in found], frames.run_labels([run.spec for run in found]), strict=True))
    first = next((run.id for run in found if frames.method_role(run.spec) == "compressed"), found[0].id)
    picked = st.segmented_control(
        "Run",
        list(names),
        default=first,
        required=True,
        key="run",
        help="Whose spaces are drawn.",
        format_func=lambda name: escape(names[name]),
        bind="query-params",
    )
    run = next(each for each in found if each.id == picked)
    if run.active:
        st.info(
            "This run is training; its maps come when it is done. Meanwhile watch its spaces form.",
            icon=":material/model_training:",
        )
        live.draw_while(lambda: forming(run), active=True, every=1.0)
    elif run.state == FAILED:
        st.error(f"This run failed, so there is nothing to draw: {escape(run.reason)}", icon=":material/error:")
        st.page_link(
            "pages/runs.py",
            label="See it among the runs",
            icon=":material/list_alt:",
            query_params=address.query([run]),
        )
    else:
        explore(run)
elif not runs.list_runs(limit=1, states=[DONE]):
    show.empty("There is no finished run whose spaces could be looked at yet.", "Start a race", "pages/start.py")
else:
    st.info("Choose a run above.", icon=":material/info:")
