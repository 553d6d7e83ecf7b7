"""Step mode of Distill: one training batch by batch, and the batch that comes next made visible.

The training lives in this process and in this visitor's session (`kdlib.step_sessions` says why); leaving discards it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import streamlit as st

from kdlib.analysis.figures.style import COLOURS
from kdlib.data import datasets
from kdlib.data.datasets import Dataset
from kdlib.spaces import embedding_jobs
from kdlib.spec import BASELINE, RAW, RunSpec, grid_values, teaches_separately
from kdlib.step_sessions import NotEmbeddedError, StepSession
from kdlib.training.pairs import compare_pairs
from kdlib.training.stepper import BOTH, COMPRESSOR, STUDENT, BatchView, Stepper
from pages import live
from pages.batch import Square, batch_data, show_batch
from pages.text import describe_seconds, escape, show_errors

STEP_MODE = "Step through it"  # what the mode is called, also in the address
SESSION, MOVING, WATCHED = "step-session", "step-moving", "step-watched"
SLOW, EPOCH = "slow", "epoch"  # how it moves on by itself
TICKS = {SLOW: 0.6, EPOCH: 0.1}  # seconds between two steps, or parts of an epoch
MAX_POINTS = 300  # of the curve
LEARNERS = {BOTH: "Both learn", COMPRESSOR: "Only compressor", STUDENT: "Only student"}


def show(spec: RunSpec, methods: Sequence[str], errors: Sequence[str]) -> None:
    """Show one method of a comparison step by step."""
    if errors:
        for error in errors:
            st.error(escape(error), icon=":material/block:")
        return
    usual = max(range(len(methods)), key=lambda place: (methods[place] not in (BASELINE, RAW), methods[place] == RAW))
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.session_state.get("stepped") not in methods:
            st.session_state.pop("stepped", None)
        method = st.selectbox(
            "Method",
            methods,
            usual,
            key="stepped",
            label_visibility="collapsed",
            width=130,
            help="What is stepped through.",
        )
        learning = st.segmented_control(
            "Who learns",
            list(LEARNERS),
            default=BOTH,
            required=True,
            key="learning",
            format_func=LEARNERS.__getitem__,
            label_visibility="collapsed",
        )
        watching = st.toggle(
            "Keep these items",
            key="same-items",
            help="Watch one batch while the others are learned from; otherwise the next one.",
        )
    try:
        session = _session(spec.replace(method=method, seeds=1))
    except NotEmbeddedError:
        _offer_embedding(spec.teacher, spec.dataset)
        return
    if learning == COMPRESSOR and not session.stepper.compresses:
        st.info(
            f"**{escape(method)}** has no compressor that learns: here only the student does.", icon=":material/info:"
        )
        learning = STUDENT
    session.stepper.learn_only(learning)
    _draw_moving(session, watching)


def _session(spec: RunSpec) -> StepSession:
    """Return this visitor's training of a spec; a new one where the chain has changed, or others needed the room."""
    session = st.session_state.get(SESSION)
    if session is None or session.spec != spec or session.closed:
        if session is not None and session.closed:
            st.info(
                "This training made room for those of other visitors and starts again.", icon=":material/restart_alt:"
            )
        st.session_state[SESSION] = session = StepSession(spec)
        st.session_state[MOVING] = None
        st.session_state.pop(WATCHED, None)
    return session


def _restart() -> None:
    for key in (SESSION, WATCHED, MOVING):
        st.session_state.pop(key, None)


def _offer_embedding(teacher: str, dataset: str) -> None:
    """Offer to have the engine embed what is to be learned from, and wait for it."""
    state = embedding_jobs.states([teacher], dataset)[teacher]

    def draw() -> bool:
        current = embedding_jobs.states([teacher], dataset)[teacher]
        left = f", about {describe_seconds(current.seconds_left)} left" if current.seconds_left else ""
        st.progress(current.done / max(current.rows, 1), f"Embedding {current.done:,} of {current.rows:,} items{left}")
        return current.active

    if state.active:
        live.draw_while(draw, active=True)
    else:
        st.info(
            f"**{escape(teacher)}** has to embed the items first, {state.rows:,} of them.", icon=":material/school:"
        )
        if st.button("Embed them", icon=":material/memory:", key="embed-for-steps"):
            embedding_jobs.request(teacher, dataset)
            st.rerun()


def _draw_moving(session: StepSession, watching: bool) -> None:
    """Show the buttons and the batch, again and again while it moves by itself."""
    moving = st.session_state.get(MOVING)

    @st.fragment(run_every=TICKS[moving] if moving else None)
    def part() -> None:
        if st.session_state.get(SESSION) is not session or session.closed or st.session_state.get(MOVING) != moving:
            st.rerun()  # another training, or another clock
        with show_errors():
            if moving:
                _move_on(session, moving)
            _show_buttons(session, moving)
            _show_batch(session, watching)

    part()


def _move_on(session: StepSession, moving: str) -> None:
    """Take what the clock asks for; where that is the last of it, draw the page without a clock."""
    if moving == SLOW:
        session.step()
        ended = session.stepper.over
    else:
        ended = session.finish_epoch()
    if ended:
        st.session_state[MOVING] = None
        st.rerun()


def _show_buttons(session: StepSession, moving: str | None) -> None:
    """Show what moves the training on. Each click acts before the part is drawn again."""

    def move(how: str | None) -> None:
        st.session_state[MOVING] = how

    def step() -> None:
        if not session.closed:
            session.step()

    def finish_epoch() -> None:
        if not session.closed and not session.finish_epoch():
            move(EPOCH)

    stopped, over = session.stepper.over or moving is not None, session.stepper.over
    with st.container(horizontal=True, vertical_alignment="center"):
        if moving:
            st.button("Pause", icon=":material/pause:", key="step-pause", on_click=move, args=(None,))
        else:
            st.button(
                "Slow motion", icon=":material/play_arrow:", key="step-slow", on_click=move, args=(SLOW,), disabled=over
            )
        icon = ":material/skip_next:"
        st.button("One batch", icon=icon, key="step-batch", type="primary", on_click=step, disabled=stopped)
        icon = ":material/fast_forward:"
        st.button("One epoch", icon=icon, key="step-epoch", on_click=finish_epoch, disabled=stopped)
        st.button("Start again", icon=":material/replay:", key="step-restart", on_click=_restart)


def _show_batch(session: StepSession, watching: bool) -> None:
    """Show a batch with its matrices and losses."""
    places = st.session_state.get(WATCHED) if watching else None
    view = session.view(places)
    if watching and places is None:
        st.session_state[WATCHED] = view.places
    data = datasets.load(session.spec.dataset)
    show_batch(_batch_data(session, data, view, watching), key="step")


def _batch_data(session: StepSession, data: Dataset, view: BatchView, watching: bool) -> dict[str, Any]:
    """Return what the component draws of a batch."""
    stepper, spec = session.stepper, session.spec
    rows = session.rows[view.places]
    order = _order(data, rows)
    pairs, *matrices = compare_pairs(
        spec.loss, view.features[order], None if view.target is None else view.target[order]
    )
    names = ("Student", "Raw teacher" if spec.method == RAW else "Compressed", "Difference")
    colours = (COLOURS["student"], COLOURS["raw" if spec.method == RAW else "compressed"], "#7b3294")
    squares = [
        Square(name, colour, matrix, difference=name == "Difference")
        for name, colour, matrix in zip(names, colours, matrices, strict=True)
        if matrix is not None
    ]
    return batch_data(data, rows[order], squares, pairs.entry) | {
        "step": stepper.state.done,
        "steps": stepper.steps,
        "place": _place(stepper),
        "title": "These items, again and again"
        if watching
        else "All batches done"
        if stepper.over
        else "The next batch",
        "fingerprint": stepper.fingerprint(),
        "rule": pairs.rule if view.target is not None and not teaches_separately(spec) else "",
        "loss": spec.loss.replace("_", " "),
        "terms": _terms(spec, view),
        "total": view.losses["total"],
        "history": _history(session),
    }


def _place(stepper: Stepper) -> str:
    """Return which batch comes next, in words."""
    if stepper.over:
        return ""
    epochs, batch = stepper.steps // stepper.steps_per_epoch, stepper.state.done % stepper.steps_per_epoch + 1
    return f"seed 0, epoch {stepper.epoch} of {epochs}, batch {batch} of {stepper.steps_per_epoch}"


def _order(data: Dataset, rows: np.ndarray) -> np.ndarray:
    """Return the rows of a batch by class, as places in it: what belongs together then stands together."""
    labels = data.labels[rows]
    return np.argsort(labels if labels.ndim == 1 else np.nan_to_num(labels).argmax(1), kind="stable")


def _terms(spec: RunSpec, view: BatchView) -> list[dict[str, Any]]:
    """Return the terms that add up to the total: name, weight, value and what it is, in words."""
    weight = grid_values(spec.distance_weight)[0] if spec.method != BASELINE else 0.0
    target = "each teacher, the mean of both" if teaches_separately(spec) else "the compressed embedding"
    terms = [
        ("prediction", 1 - weight, view.losses["prediction"], "the student against the labels"),
        ("distance", weight, view.losses["distance"], f"the student against {target}"),
        ("teacher", 1.0, view.losses["teacher"], "the compressor's own head against the labels"),
        ("soft labels", 1.0, view.losses["soft"], "the student against the head's probabilities, already weighted"),
    ]
    used = {"prediction"} | ({"distance"} if weight else set()) | ({"soft labels"} if spec.soft_label_weight else set())
    return [
        {"name": name, "weight": factor, "value": value, "words": words}
        for name, factor, value, words in terms
        if name in used or (name == "teacher" and value)
    ]


def _history(session: StepSession) -> dict[str, list[float]]:
    """Return the losses of the steps so far, thinned out."""
    every = -(-len(session.losses) // MAX_POINTS) or 1
    names = ("prediction", "distance", "teacher")
    return {name: [round(losses[name], 4) for losses in session.losses[::every]] for name in names}
