"""What each teacher knows of a dataset, a part of Data & teachers: probes, a table, and embedding with those that cost.

Only what is at hand is asked unbidden: built-in teachers, imported tables, and those that have embedded the dataset.
"""

from collections.abc import Mapping
from math import nan

import pandas as pd
import streamlit as st

from kdlib.analysis import teacher_report
from kdlib.analysis.teacher_report import TeacherReport
from kdlib.models.teachers import is_built_in
from kdlib.names import teacher_name
from kdlib.spaces import Failure, embedding_jobs, teacher_jobs
from kdlib.spaces.embedding_jobs import EmbeddingState
from pages import live, registries, show
from pages.glossary import show_text
from pages.text import describe_seconds, escape


def ask(dataset: str) -> dict[str, TeacherReport | Failure | None]:
    """Return teacher -> what is known of it, of those at hand; those of whom nothing is known are asked."""
    return _ask(dataset, _states(dataset))


def ready(reports: Mapping[str, TeacherReport | Failure | None]) -> dict[str, TeacherReport]:
    """Return those that are there."""
    return {teacher: report for teacher, report in reports.items() if isinstance(report, TeacherReport)}


def show_section(dataset: str, shown: int) -> None:
    """Show what there is beside the heatmap, again and again while something is being found out.

    Args:
        dataset: about which teachers are asked.
        shown: reports in the heatmap; one more, and the whole page is drawn.
    """
    entries = registries.list_teachers(dataset)
    if not entries:
        show.empty("No teacher takes these items: import them once more together with embeddings of a network.")
        return
    states = _states(dataset)
    missing = [name for name in _at_hand(states) if not teacher_report.cached(name, dataset)]
    busy = bool(missing) or any(state.active for state in states.values())
    live.draw_while(lambda: _draw(dataset, entries, shown), busy)


def _states(dataset: str) -> dict[str, EmbeddingState]:
    return embedding_jobs.states([entry["name"] for entry in registries.list_teachers(dataset)], dataset)


def _ask(dataset: str, states: Mapping[str, EmbeddingState]) -> dict[str, TeacherReport | Failure | None]:
    return {name: teacher_jobs.request(name, dataset) for name in _at_hand(states)}


def _at_hand(states: Mapping[str, EmbeddingState]) -> list[str]:
    """Return the teachers whom asking costs little."""
    return [name for name, state in states.items() if state.state == embedding_jobs.DONE or is_built_in(name)]


def _draw(dataset: str, entries: list[dict[str, str]], shown: int) -> bool:
    """Show what is known of the teachers; return whether to go on: something is being found out, and nothing is yet."""
    states = _states(dataset)
    reports = _ask(dataset, states)
    failed = {teacher: report for teacher, report in reports.items() if isinstance(report, Failure)}
    known = ready(reports)
    waiting = len(reports) - len(known) - len(failed)
    if waiting:
        st.progress(len(known) / len(reports), text=f"Asking the teachers what they know: {waiting} to go")
    _show_table(entries, states, known)
    for teacher, failure in failed.items():
        st.error(f"{escape(teacher_name(teacher))}: {escape(failure.reason)}", icon=":material/error:")
        if st.button(f"Ask {escape(teacher_name(teacher))} again", key=f"again-{teacher}"):
            teacher_report.discard(teacher, dataset)
            st.rerun()
    costly = {name: state for name, state in states.items() if name not in reports}
    _show_embedding(dataset, costly)
    return len(known) == shown and (bool(waiting) or any(state.active for state in costly.values()))


def _show_table(
    entries: list[dict[str, str]], states: Mapping[str, EmbeddingState], reports: Mapping[str, TeacherReport]
) -> None:
    """Show a table of the teachers: how well the target is read in and out of domain, what they were trained for."""
    splits = sorted({name for report in reports.values() for name in report.target.splits})
    rows = []
    for entry in entries:
        report, state = reports.get(entry["name"]), states[entry["name"]]
        row = {"teacher": teacher_name(entry["name"])}
        row |= {"target, %": 100 * report.target.accuracy if report else None}
        row |= {f"{name}, %": 100 * report.target.splits.get(name, nan) if report else None for name in splits}
        row |= {"embedded, %": round(100 * state.done / max(state.rows, 1))}
        row |= {name: entry[name] for name in ("source task", "supervision")}
        row |= {"width": report.width if report else None}
        rows.append(row | {"effective rank": report.effective_rank if report else None})
    frame = pd.DataFrame(rows, dtype=object)  # a width stays a whole number beside a missing one
    show.table(frame, "The teachers, what they were trained for, and what they know of the target")
    show_text(
        "Target and out-of-domain sets (ood): how often a [[probe]] names the target of their items. "
        "Embedded: how much of this dataset the teacher has embedded here. [[effective rank|Effective rank]]: of that."
    )


def _show_embedding(dataset: str, states: Mapping[str, EmbeddingState]) -> None:
    """Show a line for each teacher that has yet to embed the dataset: a button, or how far it is and how to stop it."""
    if not states:
        return
    st.markdown("**To be asked, these have to embed the dataset first**")
    for name, state in states.items():
        line, button = st.columns([4, 1], vertical_alignment="center", gap="small")
        if state.active:
            line.progress(
                state.done / max(state.rows, 1), text=f"**{escape(teacher_name(name))}** · {describe_state(state)}"
            )
            stopping = state.state == embedding_jobs.CANCELLING
            button.button(
                "Cancel",
                key=f"cancel-{name}",
                disabled=stopping,
                width="stretch",
                on_click=embedding_jobs.cancel,
                args=(name, dataset),
            )
            continue
        line.markdown(f"**{escape(teacher_name(name))}** · {escape(describe_state(state))}")
        label = "Go on" if state.done else "Embed"
        if button.button(label, key=f"embed-{name}", icon=":material/play_arrow:", width="stretch"):
            embedding_jobs.request(name, dataset)
            st.rerun()  # the whole page, which then follows the work


def describe_state(state: EmbeddingState) -> str:
    """Return how far embedding is, in words."""
    count = f"{state.done:,} of {state.rows:,} items"
    time = "" if state.seconds_left is None else f", about {describe_seconds(state.seconds_left)}"
    if state.state == embedding_jobs.RUNNING:
        left = f"{time} to go" if time else ""
        return f"{count}{left}" if state.done < state.rows else "finding out what it knows"
    return {
        embedding_jobs.ABSENT: f"{state.rows:,} items to embed{time}",
        embedding_jobs.QUEUED: "waits for a free worker",
        embedding_jobs.CANCELLING: f"stopping; {count} are kept",
        embedding_jobs.STOPPED: f"{count} are embedded",
        embedding_jobs.FAILED: f"failed: {state.reason}",
    }.get(state.state, count)
