"""Embeddings: the raw, compressed and student space of a run side by side: what moved, which neighbours stayed."""

import streamlit as st

from kdlib import runs, spaces
from kdlib.analysis import frames
from kdlib.analysis.projection import PROJECTIONS, STRENGTH, STRENGTHS
from kdlib.data import datasets
from kdlib.registry import first_line
from kdlib.spaces import width_jobs
from kdlib.store import CANCELLED, DONE, FAILED, RunInfo, RunNotFoundError
from pages import address, live, map_sections, maps, recorded, run_tables
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
        name = st.segmented_control(
            "Projection",
            list(PROJECTIONS),
            default="pca",
            required=True,
            key="projection",
            help="\n".join(f"- {first_line(entry.function)}" for entry in PROJECTIONS.values()),
            format_func=maps.projection_name,
            bind="query-params",
        )
        strength = STRENGTH
        if PROJECTIONS[name].joint:
            strength = st.select_slider(
                "Strength",
                STRENGTHS,
                STRENGTH,
                key="strength",
                help="How strongly each row is pulled to where it is on the neighbouring map: "
                "agreement that is made, not found.",
                bind="query-params",
            )
        if run.spec.method in width_jobs.nested_methods():
            st.page_link("pages/dial.py", label="Turn its width", icon=":material/tune:", query_params={"run": run.id})
    return spaces.SpaceRequest(run.id, split, int(seed), name, strength), by


def explore(run: RunInfo) -> None:
    """Show the maps of a run that is over, and below them one section."""
    data = datasets.load(run.spec.dataset)
    request, by = controls(run, data)
    try:
        rows = maps.load_rows(run.id, request.split, request.member, run.ended or 0.0)
    except RunNotFoundError:
        st.warning(
            "The files of this run are not there (any more), so there is nothing to draw.", icon=":material/folder_off:"
        )
        return
    scores = spaces.SpaceRequest(run.id, request.split, request.member)
    requests = [scores] if PROJECTIONS[request.projection].instant else [scores, request]
    answers = [spaces.cached(each, rows) for each in requests]
    card = answers[0] if isinstance(answers[0], spaces.Scorecard) else None
    layout = answers[-1] if isinstance(answers[-1], spaces.SpaceMaps) else None
    selected = maps.show_maps(data, rows, request, by, card, layout)
    maps.show_waiting(requests, rows, answers)  # below the maps, so that these do not move under a lasso
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
        map_sections.show_selection(data, rows, selected)
    elif section == "Scorecard":
        map_sections.show_scorecard(card, address.load_results([run]), rows)
    else:
        map_sections.show_replay(run.id, data, active=False)
    if run.state == DONE and "raw" in rows.spaces:
        st.page_link(
            "pages/compare.py",
            label="How few numbers and bits are enough; take the embeddings away",
            icon=":material/compress:",
            query_params=address.query([run]) | {"show": "Width x precision"},
        )


def draw_training(run: RunInfo) -> bool:
    """Show the spaces of a run that is training as they form; return whether it still is."""
    infos = address.load_runs([run.id])
    run_tables.show_progress(infos)
    map_sections.show_replay(run.id, datasets.load(run.spec.dataset), active=True)
    return any(each.active for each in infos)


def show_run(run: RunInfo) -> None:
    """Show the spaces of a run, or in words why there are none (yet)."""
    if run.active:
        st.info(
            "This run is training; its maps come when it is done. Meanwhile watch its spaces form.",
            icon=":material/model_training:",
        )
        live.draw_while(lambda: draw_training(run), active=True, every=1.0)
    elif run.state == FAILED:
        st.error(f"This run failed, so there is nothing to draw: {escape(run.reason)}", icon=":material/error:")
        query = address.query([run])
        st.page_link("pages/runs.py", label="See it among the runs", icon=":material/list_alt:", query_params=query)
    else:
        explore(run)


st.title("Embeddings")
run_tables.choose_runs(states=[DONE, CANCELLED, "running", "queued"])
selected = address.load_runs(address.selected_ids())
if selected:
    names = dict(zip([run.id for run in selected], frames.run_labels([run.spec for run in selected]), strict=True))
    first = next((run.id for run in selected if frames.method_role(run.spec) == "compressed"), selected[0].id)
    run_id = st.segmented_control(
        "Run",
        list(names),
        default=first,
        required=True,
        key="run",
        help="Whose spaces are drawn.",
        format_func=lambda run_id: escape(names[run_id]),
        bind="query-params",
    )
    show_run(next(run for run in selected if run.id == run_id))
elif not runs.list_runs(limit=1, states=[DONE]):
    recorded.show_spaces()
else:
    st.info("Choose a run above.", icon=":material/info:")
