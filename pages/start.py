"""Start: the idea as a picture, one button, a race, and its outcome in one sentence."""

import time
from collections.abc import Mapping, Sequence
from datetime import datetime

import streamlit as st

from kdlib.analysis import estimates
from kdlib.names import ROLES, method_role, run_name
from kdlib.recording import load_recording
from kdlib.results import Point, RunResult
from kdlib.spec import BASELINE, RAW, RunSpec
from kdlib.store import DONE, RunInfo
from pages import address, live, server, story
from pages.text import escape

SPEC = RunSpec()
METHODS = (
    RAW,
    SPEC.method,
    BASELINE,
)  # as they start: where two run at a time, these two matter most
SIZES = {  # size -> what it changes, and what is said of it
    "Full": ({}, f"{SPEC.seeds} seeds, {SPEC.epochs} epochs"),
    "Class": ({"seeds": 3, "epochs": 12}, "3 seeds, 12 epochs: over in about 10 s on two cores"),
}


def choose_size() -> list[RunSpec]:
    """Let a visitor choose how large the race is; return its specs."""
    size = st.segmented_control(
        "Size",
        list(SIZES),
        default="Full",
        required=True,
        key="size",
        label_visibility="collapsed",
        help="\n".join(f"- **{name}**: {words}" for name, (_, words) in SIZES.items()),
        bind="query-params",
    )
    return [SPEC.replace(method=method, **SIZES[size][0]) for method in METHODS]


def draw_loading() -> bool:
    """Show the picture of a race whose numbers wait for libraries; return whether these are still being loaded."""
    story.show("loading", race_specs(), None, [], story.chain_words(SPEC, "…", None), "Getting ready …")
    st.caption("The numbers come in a moment.")
    return not server.libraries_ready.is_set()


def race_specs() -> list[RunSpec]:
    """Return the specs of a race, as they are shown."""
    return [SPEC.replace(method=method) for method in (BASELINE, RAW, SPEC.method)]


def draw_starting(specs: Sequence[RunSpec]) -> bool:
    """Show a race that was asked for a moment ago: a click is answered at once, handing it over takes its time."""
    story.show("starting", race_specs(), None, [], words_of(specs[0]), "Live on this server.")
    with st.container(key="outcome"):
        st.progress(0.0, text="Starting: three trainings are handed to the engine")
    return False


def draw_recorded() -> bool:
    """Show the recorded race and what came out of it; there is no more to come."""
    recording = load_recording()
    story.show_recorded(recording)
    show_sentence(recording.results, "Recorded")
    return False


def draw_race() -> list[RunInfo]:
    """Show a race of this server as far as it is; return its runs."""
    infos = address.load_runs(address.selected_ids())
    racing = {method_role(run.spec): run for run in infos}
    if len(racing) < len(ROLES) or len(infos) > len(ROLES):
        draw_recorded()
        return []
    runs = [racing[role] for role in ROLES]
    histories = address.load_histories(runs)
    results = [result for result in address.load_results(runs) if result.metrics]
    if len(results) == len(ROLES):
        draw_past(runs, histories, results)
    else:
        draw_live(runs, histories)
    show_details(runs, histories)
    return runs


def draw_past(runs: Sequence[RunInfo], histories: Sequence[Sequence[Point]], results: Sequence[RunResult]) -> None:
    """Show a race that is over: all of it can be played again."""
    formation = story_of(runs[-1].id, runs[-1].ended or 0.0)
    ended = max(run.ended or 0.0 for run in runs)
    seconds = ended - min(run.submitted for run in runs)
    status = f"Run on this server: over at {datetime.fromtimestamp(ended):%H:%M}, after {seconds:.0f} s."
    steps = story.past_steps(results, histories, formation)
    story.show(run_key(runs), [run.spec for run in runs], formation, steps, words_of(runs[-1].spec), status)
    show_sentence(results)


def draw_live(runs: Sequence[RunInfo], histories: Sequence[Sequence[Point]]) -> None:
    """Show a race that runs, or one that came to no end."""
    from kdlib.spaces.formation import load_formation
    from pages import run_tables

    specs, active = [run.spec for run in runs], [run for run in runs if run.active]
    formation = load_formation(runs[-1].id, estimates.common_epoch(histories))
    _, step = story.live_step(specs, histories, formation)
    status = "Live on this server." if active else "This race did not come to its end."
    story.show(run_key(runs), specs, formation, [step], words_of(specs[-1]), status)
    if active:
        share = sum(run.progress for run in runs) / len(runs)
        with st.container(key="outcome"):  # as high as the sentence that takes its place: nothing below moves
            st.progress(share, text=f"Racing: {run_tables.remaining_time(runs, time.time())}")
    else:
        ended = [f"{run_name(run.spec)}: {run.state}" for run in runs if run.state != DONE]
        st.warning(f"No outcome, because not all three are done. {escape('; '.join(ended))}.", icon=":material/info:")


@st.cache_resource(max_entries=8, show_spinner=False)
def story_of(run_id: str, ended: float) -> "story.Formation | None":  # noqa: ARG001
    """Return all snapshots of a run that is over."""
    from kdlib.spaces.formation import load_formation

    return load_formation(run_id)


def run_key(runs: Sequence[RunInfo]) -> str:
    """Return what names a race and its state, so that one that has ended begins anew at its end."""
    return " ".join(run.id for run in runs)


def words_of(spec: RunSpec) -> Mapping[str, str]:
    """Return what is written in the picture of a race of this server."""
    from kdlib import planning

    plan = planning.estimate_cost([spec])
    return story.chain_words(spec, plan.teacher_width, plan.parameters)


def show_sentence(results: Sequence[RunResult], prefix: str = "") -> None:
    """Show in words what compression did to accuracy, and what it kept and threw away."""
    from kdlib.analysis.comparison import describe_kept, verdict

    words = f"{verdict(results)} {describe_kept(results[-1])}".strip()
    with st.container(key="outcome"):
        st.info(escape(f"{prefix}: {words}" if prefix else words), icon=":material/flag:")


def show_details(runs: Sequence[RunInfo], histories: Sequence[Sequence[Point]]) -> None:
    """Show the curves of the race and the state of its runs, for who opens them."""
    from kdlib.analysis import frames
    from kdlib.analysis.figures.curves import plot_curves
    from pages import run_tables, show

    names, specs = [run_name(run.spec) for run in runs], [run.spec for run in runs]
    if any(run.state != DONE and not run.active for run in runs):
        run_tables.state_line(runs, names)
    details = st.expander("Curves", icon=":material/show_chart:", key="curves", on_change="rerun", bind="query-params")
    if not details.open:
        return
    with details:
        run_tables.state_line(runs, names)
        curves = frames.curves(specs, histories, names)
        roles = dict(zip(names, map(method_role, specs), strict=True))
        figure = plot_curves(curves, "val", specs[0].epochs, roles)
        show.figure(figure, "race", "Validation accuracy of baseline, raw and compressed over the epochs")
        st.caption(
            f"Lines are the mean of {specs[0].seeds} students that differ in their seed, "
            "bands reach from the worst to the best of them."
        )


launched = address.load_runs(address.selected_ids())
active = any(run.active for run in launched)
left, right = st.columns([2.1, 1], gap="large", vertical_alignment="bottom")
with left:
    st.title("Does it help to teach less?")
    st.markdown(
        "A big **teacher** knows a lot, much of it of no use for the task. Compressing what it knows before a small "
        "**student** learns from it should make the student better. Three students, the same data, the same effort:"
    )
with right, st.container(horizontal=True, vertical_alignment="center"):
    chosen = choose_size()
    pressed = st.button("Run it live", type="primary", icon=":material/play_arrow:", disabled=active, key="go")
# All of them in the same place of the page, so that the picture stays where it is when another one takes over.
if pressed:
    live.draw_while(lambda: draw_starting(chosen), active=False)
    server.store_ready.wait()
    address.launch(chosen, name="Race")
    st.rerun()
elif not launched:
    live.draw_while(draw_recorded, active=False)
elif server.libraries_ready.is_set():
    live.draw_while_active(draw_race, launched)
else:
    live.draw_while(draw_loading, active=True, every=live.EARLY_TICK)

if launched and not active:
    st.subheader("What to try next")
    these = address.query(launched)
    links = [
        ("pages/distill.py", "A teacher that learned something else", "school", {"teacher": "background"}),
        ("pages/distill.py", "Keep only 4 numbers", "compress", {"dim": "4"}),
        ("pages/compare.py", "These three in every detail", "bar_chart", these),
        ("pages/embeddings.py", "See what compression did to the space", "scatter_plot", these),
    ]
    for column, (page, label, icon, query) in zip(st.columns(len(links)), links, strict=True):
        column.page_link(page, label=label, icon=f":material/{icon}:", query_params=query)
