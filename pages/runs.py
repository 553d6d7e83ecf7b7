"""Runs: every run there ever was, live; open, rename, cancel, resume, delete."""

from collections.abc import Sequence

import streamlit as st

from kdlib import runs
from kdlib.store import RunInfo
from pages import address, export_section, live, recorded, registries, run_list, run_tables
from pages.text import escape

PAGE = 50
STATES = ["queued", "running", "done", "failed", "cancelled"]


def show_undo(deleted: Sequence[str]) -> None:
    """Show how many runs were deleted a moment ago, and the button that brings them back."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.text(f"Deleted {len(deleted)} run{'s' if len(deleted) > 1 else ''}.")
        if st.button("Undo", icon=":material/undo:", key="undo"):
            for run_id in st.session_state.pop("deleted"):
                runs.undelete(run_id)
            st.rerun()


def show_links(infos: Sequence[RunInfo]) -> None:
    """Show where to look closer at runs; nothing leads there while none is chosen."""
    compared = [run for run in infos if run.state == "done"]
    for page, label, icon, disabled in (
        ("compare", "Compare", "bar_chart", not compared),
        ("embeddings", "See the spaces", "scatter_plot", not infos),
        ("distill", "Curves", "show_chart", not infos),
    ):
        st.page_link(
            f"pages/{page}.py",
            label=label,
            icon=f":material/{icon}:",
            query_params=address.query(infos) if infos else None,
            disabled=disabled,
        )


def show_actions(infos: Sequence[RunInfo]) -> None:
    """Show the buttons that cancel, resume and delete runs; each can be pressed when it applies to some of them."""
    active = [run for run in infos if run.active]
    if st.button("Cancel", icon=":material/stop_circle:", key="cancel", disabled=not active):
        for run in active:
            runs.cancel(run.id)
        st.rerun()
    resumable = [run for run in infos if run.state in ("failed", "cancelled") or (run.unsynced and not run.active)]
    text = "Go on from the last checkpoint: for runs that failed or were cancelled."
    if st.button("Resume", icon=":material/resume:", key="resume", disabled=not resumable, help=text):
        for run in resumable:
            runs.resume(run.id)
        st.rerun()
    ended = [run for run in infos if not run.active]
    text = "Takes them out of every list; can be undone."
    if st.button("Delete", icon=":material/delete:", key="delete", disabled=not ended, help=text):
        for run in ended:
            runs.delete(run.id)
        st.session_state["deleted"] = [run.id for run in ended]
        address.select_runs([run.id for run in active])
        st.rerun()


def show_bar(infos: Sequence[RunInfo]) -> None:
    """Show what can be done with the runs that are chosen, and how many these are."""
    if len(infos) > 1:
        words = f"{len(infos)} chosen"
    else:
        words = infos[0].name if infos else "Choose runs in the list:"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{escape(words)}**", width="content")
        show_links(infos)
        export_section.export_button(infos)
        show_actions(infos)


def show_run(run: RunInfo) -> None:
    """Show a single run: its name, which can be changed, why it failed, its spec."""
    with st.form("rename", border=False), st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.text_input(
            "Name", run.name, max_chars=120, key=f"name-{run.id}", help="What it is called in every list."
        )
        if st.form_submit_button("Rename", icon=":material/edit:"):
            runs.rename(run.id, name)
            st.rerun()
    if run.reason:
        st.error(escape(run.reason), icon=":material/error:")
    st.code(run_tables.spec_text(run), language="yaml")


st.title("Runs")
if not (runs.list_runs(limit=1) or address.selected_ids() or st.session_state.get("deleted")):
    recorded.show_runs()
    st.stop()
search, where = registries.run_filters()
left, right = st.columns([5, 1], vertical_alignment="bottom")
states = left.pills(
    "State", STATES, selection_mode="multi", key="states", bind="query-params", help="Only runs in these states."
)
page = right.number_input(
    "Page", 1, 10_000, 1, key="page", bind="query-params", help=f"{PAGE} runs a page, newest first."
)


def list_page() -> list[RunInfo]:
    """Return the runs of this page of the list."""
    return runs.list_runs(limit=PAGE, offset=PAGE * (page - 1), states=states or (), text=search, where=where)


def draw_table() -> list[RunInfo]:
    """Show the list, which stays where it is while runs are live; return its runs."""
    infos = list_page()
    if infos:
        run_list.list_of_runs(infos)
    else:
        st.info("No run fits this search.", icon=":material/search_off:")
    if address.selected_ids() != chosen:  # a click in the list draws the list alone; the bar above follows
        st.session_state["chosen-in-list"] = True
        st.rerun()
    return infos


chosen = address.selected_ids()
if st.session_state.pop("chosen-in-list", False):  # the browser did not hear of it before the page was drawn anew
    address.select_runs(chosen)
selected = address.load_runs(chosen)
if deleted := st.session_state.get("deleted"):
    show_undo(deleted)
show_bar(selected)
live.draw_while_active(draw_table, list_page())
if len(selected) == 1:
    show_run(selected[0])
