"""Embeddings: the raw, compressed and student space of a run side by side: what moved, which neighbours stayed."""

import time
from collections.abc import Sequence
from dataclasses import replace

import streamlit as st

from kdlib import runs, spaces
from kdlib.analysis import frames
from kdlib.analysis.projection import PROJECTIONS, STRENGTH, STRENGTHS
from kdlib.data import datasets
from kdlib.names import COMPRESSED, method_role
from kdlib.registry import first_line
from kdlib.spaces import Failure, Scorecard, SpaceMaps, SpaceRequest, Spaces, width_jobs
from kdlib.store import CANCELLED, DONE, FAILED, RunInfo, RunNotFoundError
from pages import address, live, map_sections, maps, recorded, run_list, run_tables, space_maps
from pages.controls import query
from pages.glossary import term
from pages.text import escape

SECTIONS = ["Scorecard", "Replay", "Selected rows"]
LISTED = 100  # runs to choose from
ASK_AGAIN = 10.0  # seconds after which the engine is asked once more for what is not there: it may have been stopped


def label_runs(addressed: list[RunInfo], others: list[RunInfo]) -> dict[str, str]:
    """Return id -> what a run is called in the chooser: those of the address first, told apart by what differs."""
    labels = frames.run_labels([run.spec for run in addressed])
    names = {run.id: label for run, label in zip(addressed, labels, strict=True)}
    now = time.time()
    for run in others:
        if run.id not in names:
            names[run.id] = f"{run.name} · {run.spec.dataset} · {run_list.age(now - run.created)} ago"
    return names


def choose_run() -> RunInfo | None:
    """Show the title of the page with the run that is open, and let another be chosen; None where there is none."""
    addressed = address.load_runs(address.selected_ids())
    listed = runs.list_runs(limit=LISTED, states=[DONE, CANCELLED, FAILED, "running", "queued"])
    named = st.query_params.get("run", "")
    if address.RUN_ID.fullmatch(named) and named not in {run.id for run in [*addressed, *listed]}:
        listed = [*address.load_runs([named]), *listed]
    known = {run.id: run for run in [*listed, *addressed]}
    with st.container(horizontal=True, vertical_alignment="center", key="head-embeddings"):
        st.title("Embeddings", width="content")
        if not addressed and not any(run.state == DONE or run.active for run in known.values()):
            return None
        names = label_runs(addressed, listed)
        first = addressed or [run for run in listed if run.state == DONE] or listed
        default = next((run.id for run in first if method_role(run.spec) == COMPRESSED), first[0].id)
        current = named if named in names else default
        run_tables.choose_one(names, current)
    return known[current]


def controls(run: RunInfo, data: datasets.Dataset) -> tuple[SpaceRequest, str]:
    """Show what can be set, in one row, and return what to draw, and what to colour by."""
    with st.container(horizontal=True, vertical_alignment="center", key="row-embeddings"):
        st.markdown("Colour by", width="content")
        pairs = spaces.PAIRS if run.spec.method != "baseline" else ()
        by = st.selectbox(
            "Colour by",
            spaces.colourings(data, pairs),
            key="colour",
            label_visibility="collapsed",
            width=240,
            bind="query-params",
        )
        st.markdown("Projection", width="content", help=_describe_projections())
        name = st.segmented_control(
            "Projection",
            list(PROJECTIONS),
            default="pca",
            required=True,
            key="projection",
            label_visibility="collapsed",
            format_func=maps.projection_name,
            wrap=False,
            width="content",
            bind="query-params",
        )
        with st.popover("More", icon=":material/tune:"):
            split, seed, strength = more_controls(run, PROJECTIONS[name].joint)
        if run.spec.method in width_jobs.nested_methods():
            st.page_link("pages/dial.py", label="Turn its width", icon=":material/tune:", query_params={"run": run.id})
    return SpaceRequest(run.id, split, seed, name, strength), by


def _describe_projections() -> str:
    lines = [f"- {first_line(entry.function)}" for entry in PROJECTIONS.values()]
    return f"{term('projection')}\n\n" + "\n".join(lines)


def more_controls(run: RunInfo, joint: bool) -> tuple[str, int, float]:
    """Show what is set less often; return split, seed and strength."""
    split = st.selectbox(
        "Rows",
        spaces.list_splits(run.spec.dataset, cancelled=run.state == CANCELLED),
        key="split",
        help="Which items: those of the test set, or of one that is out of domain. " + term("out of domain"),
        format_func=lambda name: "test" if name == "test" else name.removeprefix("ood:"),
        bind="query-params",
    )
    seed = st.number_input("Seed", 0, run.spec.seeds - 1, 0, key="seed", help=term("seed"), bind="query-params")
    strength = STRENGTH
    if joint:
        strength = st.select_slider(
            "Strength",
            STRENGTHS,
            STRENGTH,
            key="strength",
            help="How strongly each row is pulled to where it is on the neighbouring map: "
            "agreement that is made, not found.",
            bind="query-params",
        )
    return split, int(seed), strength


def explore(run: RunInfo) -> None:
    """Show the maps of a run that is over, and below them one section."""
    data = datasets.load(run.spec.dataset)
    request, by = controls(run, data)
    try:
        view = space_maps.load_rows(run.id, request.split, request.member, run.ended or 0.0)
    except RunNotFoundError:
        st.warning(
            "The files of this run are not there (any more), so there is nothing to draw.", icon=":material/folder_off:"
        )
        return
    scores = SpaceRequest(run.id, request.split, request.member)
    requests = [scores] if PROJECTIONS[request.projection].instant else [scores, request]

    def draw() -> bool:
        answers = [spaces.cached(each, view) for each in requests]
        draw_spaces(run, data, view, request, answers, by)
        for each, known in zip(requests, answers, strict=True):
            if known is None:
                ask_engine(each, view)
        return None in answers

    live.draw_while(draw, active=not all(spaces.cached(each, view) for each in requests))


def ask_engine(request: SpaceRequest, view: Spaces) -> None:
    """Have something computed; not at each draw, for the engine takes a moment in which a click would wait."""
    asked, key, now = st.session_state.setdefault("asked", {}), request.key(view), time.monotonic()
    if now > asked.get(key, 0.0):
        spaces.request(request, view)
        asked[key] = now + ASK_AGAIN


def draw_spaces(
    run: RunInfo,
    data: datasets.Dataset,
    view: Spaces,
    request: SpaceRequest,
    answers: Sequence[Scorecard | SpaceMaps | Failure | None],
    by: str,
) -> None:
    """Show maps and section with what is known so far: the scorecard, and the maps of a projection that takes long."""
    card, layout = answers[0], answers[-1] if len(answers) > 1 else None
    with st.container(key=f"maps-area-{len(view.spaces)}"):  # as high as so many maps before these are drawn
        selected = space_maps.show_maps(
            data,
            view,
            request,
            by,
            None if isinstance(card, SpaceMaps) else card,
            None if isinstance(layout, Scorecard) else layout,
        )
    for answer, about in zip(answers, (replace(request, projection=""), request), strict=False):
        if isinstance(answer, Failure):
            show_failure(about, view, answer)
    section = st.segmented_control(
        "Below the maps",
        SECTIONS,
        default=SECTIONS[0],
        required=True,
        key="below",
        label_visibility="collapsed",
        bind="query-params",
    )
    if section == "Replay":
        map_sections.show_replay(run.id, data, active=False)
    elif section == "Selected rows":
        map_sections.show_selection(data, view, selected)
    elif isinstance(card, Scorecard):
        map_sections.show_scorecard(card, address.load_results([run]), view)
    elif card is None:
        st.info("The spaces are being measured.", icon=":material/hourglass_top:")


def show_failure(request: SpaceRequest, view: Spaces, failure: Failure) -> None:
    """Say that something could not be computed, and let it be tried again."""
    doing = f"drawing {maps.projection_name(request.projection)}" if request.projection else "measuring the spaces"
    st.error(f"{doing.capitalize()} failed: {escape(failure.reason)}", icon=":material/error:")
    if st.button("Try again", key=f"again-{doing}"):
        spaces.discard(request, view)
        st.session_state.get("asked", {}).pop(request.key(view), None)
        st.rerun()


def draw_training(run: RunInfo) -> bool:
    """Show the spaces of a run that is training as they form; return whether it still is."""
    infos = address.load_runs([run.id])
    active = [each for each in infos if each.active]
    for each in active:
        words = (
            f"This run is training, {run_tables.remaining_time(active, time.time())}. Its maps come when it is done; "
        )
        st.progress(each.progress, text=f"{words}meanwhile watch its spaces form.")
    map_sections.show_replay(run.id, datasets.load(run.spec.dataset), active=True)
    return bool(active)


def link_failed(run: RunInfo) -> None:
    """Show where a run that failed can be set anew, and resumed or deleted."""
    st.page_link(
        "pages/distill.py",
        label="Set it anew on Distill",
        icon=":material/tune:",
        query_params=query(run.spec, []),
    )
    st.page_link(
        "pages/runs.py",
        label="Resume or delete it on Runs",
        icon=":material/list_alt:",
        query_params=address.query([run]),
    )


def show_run(run: RunInfo) -> None:
    """Show the spaces of a run, or in words why there are none (yet)."""
    if run.active:
        live.draw_while(lambda: draw_training(run), active=True, every=1.0)
        return
    if run.state == FAILED:
        st.error(f"This run failed, so there is nothing to draw: {escape(run.reason)}", icon=":material/error:")
        with st.container(horizontal=True):
            link_failed(run)
        return
    explore(run)
    if run.state == DONE and run.spec.method != "baseline":
        st.page_link(
            "pages/compare.py",
            label="How few numbers are enough? Take the embeddings away",
            icon=":material/compress:",
            query_params=address.query([run]) | {"show": "Width x precision"},
        )


run = choose_run()
if run is not None:
    show_run(run)
else:
    recorded.show_spaces()
