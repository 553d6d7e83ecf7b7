"""Runs: every run there ever was, live; open, rename, cancel, resume, delete."""

import streamlit as st

from kdlib import runs
from pages import address, live, registries, show
from pages.text import escape

PAGE = 50
STATES = ["queued", "running", "done", "failed", "cancelled"]

st.title("Runs")
if not (runs.list_runs(limit=1) or address.selected_ids() or st.session_state.get("deleted")):
    show.empty("There is no run yet.", "Start the first one", "pages/start.py")
    st.stop()
text, where = registries.run_filters()
states, page = st.columns([5, 1], vertical_alignment="bottom")
wanted = states.pills(
    "State", STATES, selection_mode="multi", key="states", bind="query-params", help="Only runs in these states."
)
number = page.number_input(
    "Page", 1, 10_000, 1, key="page", bind="query-params", help=f"{PAGE} runs a page, newest first."
)


def listed() -> list:
    return runs.list_runs(limit=PAGE, offset=PAGE * (number - 1), states=wanted or (), text=text, where=where)


def rows() -> list:
    """Show the list; it stays where it is while runs are live."""
    found = listed()
    if found:
        show.table_of_runs(found)
    else:
        st.info("No run fits this search.", icon=":material/search_off:")
    return found


live.draw_while_active(rows, listed())

chosen = address.load_runs(address.selected_ids())
if undo := st.session_state.get("deleted"):
    with st.container(horizontal=True, vertical_alignment="center"):
        st.text(f"Deleted {len(undo)} run{'s' if len(undo) > 1 else ''}.")
        if st.button("Undo", icon=":material/undo:", key="undo"):
            for run_id in st.session_state.pop("deleted"):
                runs.undelete(run_id)
            st.rerun()
if chosen:
    st.subheader(f"{len(chosen)} chosen" if len(chosen) > 1 else escape(chosen[0].name))
    with st.container(horizontal=True, vertical_alignment="center"):
        if any(run.state == "done" for run in chosen):
            st.page_link(
                "pages/compare.py", label="Compare", icon=":material/bar_chart:", query_params=address.query(chosen)
            )
        st.page_link(
            "pages/embeddings.py",
            label="See the spaces",
            icon=":material/scatter_plot:",
            query_params=address.query(chosen),
        )
        st.page_link(
            "pages/distill.py", label="Curves", icon=":material/show_chart:", query_params=address.query(chosen)
        )
        stoppable = [run for run in chosen if run.active]
        if stoppable and st.button("Cancel", icon=":material/stop_circle:", key="cancel"):
            for run in stoppable:
                runs.cancel(run.id)
            st.rerun()
        resumable = [run for run in chosen if run.state in ("failed", "cancelled") or (run.unsynced and not run.active)]
        if resumable and st.button(
            "Resume", icon=":material/resume:", key="resume", help="Go on from the last checkpoint."
        ):
            for run in resumable:
                runs.resume(run.id)
            st.rerun()
        over = [run for run in chosen if not run.active]
        if over and st.button(
            "Delete", icon=":material/delete:", key="delete", help="Takes them out of every list; can be undone."
        ):
            for run in over:
                runs.delete(run.id)
            st.session_state["deleted"] = [run.id for run in over]
            address.select_runs([run.id for run in chosen if run.active])
            st.rerun()
    if len(chosen) == 1:
        run = chosen[0]
        with st.form("rename", border=False), st.container(horizontal=True, vertical_alignment="bottom"):
            name = st.text_input(
                "Name", run.name, max_chars=120, key=f"name-{run.id}", help="What it is called in every list."
            )
            if st.form_submit_button("Rename", icon=":material/edit:"):
                runs.rename(run.id, name)
                st.rerun()
        if run.reason:
            st.error(escape(run.reason), icon=":material/error:")
        st.code(show.spec_text(run), language="yaml")
