"""Compare: choose runs, see accuracies, differences, costs and mistakes side by side, take tables and figures away."""

import streamlit as st

from kdlib import runs
from pages import address, export_section, live, recorded, run_tables, show
from pages.sections import SECTIONS, available_sections

st.title("Compare")
run_tables.choose_runs(states=["done"])
selected = address.load_runs(address.selected_ids())
if any(run.active for run in selected):
    live.draw_while_active(lambda: run_tables.show_progress(address.load_runs(address.selected_ids())), selected)
results = [result for result in address.load_results(selected) if result.metrics]
run_tables.list_left_out(selected)
if results:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.page_link(
            "pages/embeddings.py",
            label="See the spaces",
            icon=":material/scatter_plot:",
            query_params=address.query(selected),
        )
        show.report_buttons([run.id for run in selected])
        export_section.export_button(selected)
    section = st.segmented_control(
        "Show",
        available_sections(results),
        default="Accuracy",
        required=True,
        key="show",
        bind="query-params",
        help="How to look at the chosen runs.",
    )
    SECTIONS[section](results)
elif not selected and not runs.list_runs(limit=1, states=["done"]):
    recorded.show_comparison()
elif not selected:
    st.info("Choose at least one run above.", icon=":material/info:")
