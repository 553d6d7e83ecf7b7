"""Comparisons in rounds: how sure one is and what comes next, its looks on Compare, more seeds for one that is over.

Comparisons whose runs are all launched at once have nothing to show here.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import pandas as pd
import streamlit as st

from kdlib import planning, runs
from kdlib.analysis.figures.looks import plot_looks
from kdlib.analysis.merging import merge_histories
from kdlib.analysis.rounds import missing_specs
from kdlib.names import in_order
from kdlib.results import Point, RunResult
from kdlib.runs import sequences, sweeps
from kdlib.store import CANCELLED, DONE, FAILED, QUEUED, RUNNING, RunInfo, RunNotFoundError
from pages import address, show
from pages.glossary import term
from pages.text import escape

ADDED = "add-seeds"  # key of the button that launches more seeds
MOST_ADDED = 200  # seeds of each method, beyond which none are offered


def read_progress(infos: Sequence[RunInfo]) -> sequences.ComparisonProgress | None:
    """Return how far the comparison in rounds is that some runs are part of; None without one."""
    found = sequences.plan_of(infos, address.open_sweep())
    if found is None:
        return None
    name, _ = found
    known = {run.id for run in infos}
    others = [runs.get(run_id) for run_id in sweeps.member_ids(name) if run_id not in known]
    with suppress(RunNotFoundError):  # files of a run have been deleted: the page says so where it lists them
        return sequences.read_progress(name, [*infos, *others], address.load_result)
    return None


def combine(infos: Sequence[RunInfo]) -> tuple[list[RunInfo], list[list[Point]]]:
    """Return one run, and its points, for each method: those of other labelled rows and of later seeds are part of it.

    Curves are those of runs that are done; until there is one, of all.
    """
    combined, histories = [], []
    for group in in_order(sequences.by_method(infos), lambda group: group[0].spec):
        done = [run for run in group if run.state == DONE]
        found = [points for points in address.load_histories(done or group) if points]
        combined.append(group[0] if len(group) == 1 else _as_one(group))
        histories.append(merge_histories(found))
    return combined, histories


def _as_one(group: Sequence[RunInfo]) -> RunInfo:
    """Return the first of some runs with the state of all: the first state here that one of them has."""
    states = [run.state for run in group]
    state = next(state for state in (RUNNING, QUEUED, FAILED, CANCELLED, DONE) if state in states)
    progress = sum(1.0 if run.state == DONE else run.progress for run in group) / len(group)
    reasons = [run.reason for run in group if run.reason]
    unsynced = sum(run.unsynced for run in group if not run.active)
    state = RUNNING if state == QUEUED and DONE in states else state
    return replace(group[0], state=state, progress=progress, phase="", reason="; ".join(reasons), unsynced=unsynced)


def show_line(infos: Sequence[RunInfo]) -> None:
    """Show in a line how sure a comparison in rounds is; launch its next round where no worker has."""
    progress = read_progress(infos)
    if progress is None:
        return
    if progress.state == sequences.WAITING:
        sequences.advance(progress.name)
        st.rerun()
    if len(progress.plan.looks) > 1 or progress.plan.allowed > 1:
        st.markdown(escape(sequences.describe(progress)), help=term("look"))


def show_section(results: Sequence[RunResult]) -> None:  # noqa: ARG001
    """Show every look of the comparison in rounds that is open."""
    progress = read_progress(address.load_runs(address.selected_ids()))
    if progress is None:
        st.info("The chosen runs are not one comparison that adds seeds.", icon=":material/info:")
        return
    plan, looks = progress.plan, progress.looks
    planned = plan.looks[: len(looks)] if progress.state == sequences.REACHED else plan.looks
    if looks:
        show.exportable_figure(
            plot_looks(planned, [look.half_width for look in looks], plan.half_width),
            "looks",
            "The widest interval at each look",
            "Half of the width of the widest 95 % interval: of the differences to the methods without teacher and "
            "without compression on the test set; without any of those, of the scores.",
        )
    rows = [
        {
            "look": f"{number + 1} of {len(plan.looks)}",
            "seeds": seeds,
            "widest interval, points": f"± {100 * looks[number].half_width:.2f}" if number < len(looks) else "–",
            "asked for": f"± {100 * plan.half_width:.2f}" if plan.half_width else "–",
        }
        for number, seeds in enumerate(planned)
    ]
    show.table(pd.DataFrame(rows), "Every look")
    share = 100 - 5 / plan.allowed
    st.caption(
        f"Every interval allows for {plan.allowed} looks: it is one of {share:.4g} % instead of 95 % (Bonferroni), so "
        "whichever look is the last, it misses the truth in at most 5 % of comparisons. A setting that is searched is "
        "chosen with the first seeds and stays."
    )


def offer_seeds(results: Sequence[RunResult], seeds: int | None, about: str = "") -> None:
    """Show the button that trains more seeds of all chosen runs, where so many would settle a difference.

    Args:
        results: of the chosen runs, as one where they belong together.
        seeds: that each shall have.
        about: what that would settle, "" where the page says so.
    """
    infos = address.load_runs(address.selected_ids())
    counts = {result.spec.seeds for result in results}
    if seeds is None or len(counts) != 1 or not max(counts) < seeds <= MOST_ADDED:
        return
    if any(run.state != DONE or run.spec.dataset != infos[0].spec.dataset for run in infos):
        return
    draws = [run.spec.subset for run in infos]
    missing = missing_specs(address.load_results(infos), 1 + max(draws) - min(draws), seeds)
    more = seeds - max(counts)
    new = f"Seeds {max(counts)} to {seeds - 1}" if more > 1 else f"Seed {max(counts)}"
    if about:
        st.markdown(f"{escape(about)} would be clear with about {seeds} seeds, if mean and spread stay as they are.")
    with st.container(horizontal=True, vertical_alignment="center"):
        pressed = st.button(
            f"Train {more} more seed{'s' if more > 1 else ''} of each",
            icon=":material/add:",
            key=ADDED,
            help=f"{new} of every chosen run, {len(missing)} runs in the background. "
            "Intervals then allow for having looked before.",
        )
        show.launch_time(planning.estimate_cost(missing, runs.list_runs(limit=200, states=[DONE])))
    if pressed:
        address.add_seeds(infos, seeds)
        st.rerun()
