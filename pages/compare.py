"""Compare: choose runs, see accuracies, differences, costs and mistakes side by side, take tables and figures away."""

import streamlit as st

from kdlib import runs
from pages import address, live, show
from pages.sections import SECTIONS

st.title("Compare")
show.choose_runs(states=["done"])
found = address.load_runs(address.selected_ids())
if any(run.active for run in found):
    live.draw_while_active(lambda: show.progress(address.load_runs(address.selected_ids())), found)
done = [each for each in address.load_results(found) if each.metrics]
show.list_left_out(found)
if done:
    st.page_link(
        "pages/embeddings.py", label="See the spaces", icon=":material/scatter_plot:", query_params=address.query(found)
    )
    section = st.segmented_control(
        "Show",
        list(SECTIONS),
        default="Accuracy",
        required=True,
        key="show",
        bind="query-params",
        help="How to look at the chosen runs.",
    )
    SECTIONS[section](done)
elif not found and not runs.list_runs(limit=1, states=["done"]):
    show.empty("There is no finished run to compare yet.", "Start a race", "pages/start.py")
elif not found:
    st.info("Choose at least one run above.", icon=":material/info:")
