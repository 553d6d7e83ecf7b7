"""Compare: the answer and its figure first, then what can be done with the runs, then each way to look at them."""

from collections.abc import Sequence

import streamlit as st

from kdlib import runs
from kdlib.analysis import frames
from kdlib.analysis.figures.curves import plot_curves
from kdlib.names import method_role
from kdlib.store import DONE, RunInfo
from pages import address, export_section, live, recorded, rounds_section, run_tables, sections, show
from pages.sections import SECTIONS, available_sections


def show_actions(infos: Sequence[RunInfo]) -> None:
    """Show what can be done with the chosen runs, in one row."""
    with st.container(horizontal=True, vertical_alignment="center"):
        show.report_buttons([run.id for run in infos])
        export_section.export_button(infos)
        st.page_link(
            "pages/embeddings.py",
            label="See the spaces",
            icon=":material/scatter_plot:",
            query_params=address.query(infos),
        )


def draw_training(before: Sequence[RunInfo]) -> Sequence[RunInfo]:
    """Show how far the chosen runs are, and their curves until the first of them is done; return them as they are now.

    Args:
        before: the same runs as the page around this part shows them.
    """
    infos = run_tables.show_progress(address.load_runs([run.id for run in before]))
    done = [run.id for run in infos if run.state == DONE]
    if done != [run.id for run in before if run.state == DONE] or (
        address.open_sweep() and len(address.selected_ids()) > len(before)  # the next round of a comparison
    ):
        st.rerun()
    rounds_section.show_line(infos)
    if not done and any(run.active for run in infos):
        methods, histories = rounds_section.combine(infos)
        specs, names = [run.spec for run in methods], frames.run_labels([run.spec for run in methods])
        run_tables.state_line(methods, names)
        points = frames.curves(specs, histories, names)
        roles = dict(zip(names, map(method_role, specs), strict=True))
        epochs, label = max(spec.epochs for spec in specs), frames.metric_label(specs)
        show.figure(plot_curves(points, "val", epochs, roles, label), "training", "Validation score over the epochs")
        st.caption("Validation while they train, mean over the seeds. The comparison comes when a run is done.")
    return infos


run_tables.choose_in_title("Compare", states=[DONE])
selected = address.load_runs(address.selected_ids())
if any(run.active for run in selected):
    live.draw_while_active(lambda: draw_training(selected), selected)
elif selected:
    rounds_section.show_line(selected)
results = address.load_pooled(selected)
if results:
    sections.show_answer(results)
run_tables.list_left_out(selected)
if results:
    show_actions(selected)
    section = st.segmented_control(
        "Look closer",
        available_sections(results),
        default=sections.first_section(results),
        required=True,
        key="show",
        bind="query-params",
        help="How to look at the chosen runs.",
    )
    SECTIONS[section](results)
elif not selected and not runs.list_runs(limit=1, states=[DONE]):
    recorded.show_comparison()
elif not selected:
    st.info("Choose at least one run.", icon=":material/info:")
