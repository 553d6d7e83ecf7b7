"""Tuned runs on Compare: what each method chose, beside what it comes to as it was set, and every trial behind it."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from kdlib.analysis import frames
from kdlib.analysis.comparison import metric_names
from kdlib.analysis.figures.trials import plot_trials
from kdlib.analysis.tuned import choice_rows, describe_budget, given_rows, split_tuned, trial_rows
from kdlib.names import AXES
from kdlib.results import RunResult
from pages import show
from pages.text import escape


def show_section(results: Sequence[RunResult]) -> None:
    """Show what was chosen on validation, what it came to, and the trials."""
    given, tuned = split_tuned(results)
    tuned = [result for result in tuned if result.tuning is not None]
    metric = metric_names(tuned)
    st.markdown(f"**{escape(describe_budget(tuned).capitalize())}**: what each method chose")
    show.table(pd.DataFrame(choice_rows(tuned)), "What each tuned method chose")
    st.caption(
        "Every method tried that many settings, each with the same two seeds and on validation items alone; the worse "
        "half was stopped after half of the epochs, again after three quarters. The best one was then trained with the "
        "seeds of the other runs, which no trial had, and tested once."
    )
    if given:
        st.markdown("**As they were set**, beside them")
        show.table(pd.DataFrame(given_rows(given)), "The methods as they were set")
    _show_trials(tuned, metric)


def _show_trials(tuned: Sequence[RunResult], metric: str) -> None:
    """Show every trial over one of the fields that were searched, and all of them as a table."""
    labels = frames.run_labels([result.spec for result in tuned])
    searched = {name for result in tuned if result.tuning for name in result.tuning.best.settings}
    field = st.segmented_control(
        "Trials over",
        [name for name in AXES if name in searched],
        default="lr",
        required=True,
        key="trials-over",
        format_func=AXES.__getitem__,
        help="Which of the settings that were searched.",
        bind="query-params",
    )
    figure = plot_trials(frames.trial_frame(tuned, field, labels), AXES[field], metric, log=field != "distance_weight")
    caption = (
        "Each mark is a trial: filled ones were trained to their end, hollow ones stopped early, large ones chosen."
    )
    show.exportable_figure(figure, f"trials-{field}", f"Validation {metric} of every trial over {AXES[field]}", caption)
    with st.expander("Every trial", key="every-trial", on_change="rerun", bind="query-params") as opened:
        if opened.open:
            label = st.selectbox("Trials of", labels, key="trials-of", help="One of the tuned methods.")
            rows = trial_rows(tuned[labels.index(label)])
            show.table(pd.DataFrame(rows), f"Every trial of {label}")
