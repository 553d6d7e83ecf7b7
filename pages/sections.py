"""The sections of Compare: each shows the chosen, finished runs in another way."""

import streamlit as st

from kdlib.analysis import frames
from kdlib.analysis.class_scores import confusion_matrix, false_alarm_matrix, scores_per_class
from kdlib.analysis.comparison import metric_names, verdict
from kdlib.analysis.figures.accuracy import (
    plot_accuracy_bars,
    plot_accuracy_over_cost,
    plot_accuracy_over_dim,
    plot_scores_per_class,
)
from kdlib.analysis.figures.heatmaps import CONFUSION_TEXT, FALSE_ALARM_TEXT, plot_confusion
from kdlib.analysis.result_tables import differences_to, result_numbers, result_table, to_csv, to_latex
from kdlib.data import datasets
from kdlib.spec import RunSpec
from pages import address, registries, show
from pages.text import escape

DIMS = [2, 4, 8, 16, 32, 64]


def accuracy(done: list) -> None:
    """Show what came out in one sentence, and the bars."""
    st.info(escape(verdict(done)), icon=":material/flag:")
    drawn = plot_accuracy_bars(frames.accuracies(done), metric_names(done))
    show.exportable_figure(
        drawn, "accuracy", f"The {metric_names(done)} of each run, in-domain and on each out-of-domain set"
    )
    st.caption(
        f"Bars: mean over n seeds ({show.seeds(done)}), whiskers: 95 % interval, dots: the seeds. Hatched: out-of-domain."
    )


def dimension(done: list) -> None:
    """Show accuracy over the width of the compressed embedding, and what sweeps it."""
    wide = frames.accuracy_over_dim(done)
    if (wide["role"] == "compressed").any():
        told = f"The {metric_names(done)} over the width of the compressed embedding"
        show.exportable_figure(plot_accuracy_over_dim(wide, metric_names(done)), "accuracy-over-dimension", told)
        st.caption("Dashed lines: raw and baseline with their 95 % interval; whiskers: 95 % interval; dots: the seeds.")
    else:
        st.info("None of the chosen runs compresses anything.", icon=":material/info:")
    with st.expander("Sweep the dimension", expanded=wide["dim"].nunique() < 2):
        base = next(
            (each.spec for each in done if frames.method_role(each.spec) == "compressed"),
            done[0].spec if done else RunSpec(),
        )
        compressors = [name for name in registries.describe("compressors") if name != "none"]
        dims = st.multiselect(
            "Dimensions", [1, *DIMS, 128, 256], DIMS, key="dims", bind="query-params", help="One run for each."
        )
        methods = st.multiselect(
            "Compressors",
            compressors,
            [RunSpec.method],
            key="sweep",
            bind="query-params",
            help=registries.markdown_list("compressors"),
        )
        st.caption(
            f"Everything else as in the chosen runs: {escape(base.teacher)} on {escape(base.dataset)}. "
            "What is there is not run again."
        )
        if st.button(
            "Launch the sweep",
            type="primary",
            icon=":material/play_arrow:",
            disabled=not (dims and methods),
            key="launch-sweep",
        ):
            address.launch_sweep(base, methods, dims)
            st.rerun()


def cost(done: list) -> None:
    """Show accuracy against what a student, or an embedding, costs."""
    by = st.segmented_control(
        "Against",
        list(frames.COST_NAMES),
        default="parameters",
        required=True,
        key="against",
        help="What better accuracy costs.",
        format_func=frames.COST_NAMES.__getitem__,
        bind="query-params",
    )
    frame = frames.accuracy_over_cost(done, by)
    if frame.empty:
        st.info("None of the chosen runs has this cost: a baseline has no embedding.", icon=":material/info:")
        return
    drawn = plot_accuracy_over_cost(frame, frames.COST_NAMES[by], metric_names(done))
    show.exportable_figure(drawn, f"accuracy-over-{by}", f"The {metric_names(done)} against {frames.COST_NAMES[by]}")


def differences(done: list) -> None:
    """Show paired differences to one of the runs."""
    names = frames.run_labels([each.spec for each in done])
    other = st.selectbox("Compared with", names, key="to", help="Every other run minus this one.", bind="query-params")
    frame, left_out = differences_to(done, names.index(other))
    if not frame.empty:
        st.dataframe(frame, hide_index=True, placeholder="–", alt="Paired differences in points")
        st.caption("Points, seed by seed, with the 95 % interval of the paired t-test; * the interval excludes 0.")
    elif not left_out:
        st.info("Choose a second run to compare with.", icon=":material/info:")
    if left_out:
        reasons = "  \n".join(f"{escape(label)}: {escape(reason)}" for label, reason in left_out.items())
        st.info(
            f"Not paired with {escape(other)}, because it was measured on something else:  \n{reasons}",
            icon=":material/info:",
        )


def classes(done: list) -> None:
    """Show each class by itself, and what is taken for what."""
    found = address.load_predictions(done)
    if not found:
        return
    data = datasets.load(done[0].spec.dataset)
    truth, names = data.labels[data.splits["test"]], list(data.classes)
    roles = {label: frames.method_role(spec) for label, (spec, _, _) in found.items()}
    per_class = {label: scores_per_class(logits, truth, names) for label, (_, logits, _) in found.items()}
    metric = "average precision" if data.multi_label else "accuracy"
    show.exportable_figure(
        plot_scores_per_class(per_class, roles, metric), "accuracy-per-class", f"Test {metric} of each class"
    )
    if data.multi_label:
        st.caption(
            "Below, where the row's class is known to be there: on the diagonal how often it is told, elsewhere how often the column's "
            "class is told although it is known not to be there. The probability from which a class is told is chosen on validation."
        )
    for column, (label, (spec, logits, val)) in zip(show.grid(len(found), 3), found.items(), strict=True):
        with column:
            st.text(label)
            if data.multi_label:
                matrix, words = (
                    false_alarm_matrix(logits, truth, val, data.labels[data.splits["val"]]),
                    FALSE_ALARM_TEXT,
                )
            else:
                matrix, words = confusion_matrix(logits, truth), CONFUSION_TEXT
            drawn = plot_confusion(matrix, names, frames.method_role(spec), words)
            show.figure(
                drawn, f"confusion-{label}", f"Mistakes of {label}: rows are what is there, columns what is told"
            )


def table(done: list) -> None:
    """Show all numbers, to be taken away."""
    frame = result_table(done)
    st.dataframe(frame, hide_index=True, placeholder="–", alt="All numbers of the chosen runs")
    with st.container(horizontal=True):
        csv = to_csv(result_numbers(done))
        st.download_button("CSV", csv, "comparison.csv", "text/csv", icon=":material/download:", on_click="ignore")
        st.download_button(
            "LaTeX",
            to_latex(frame),
            "comparison.tex",
            "text/x-tex",
            icon=":material/download:",
            on_click="ignore",
        )


SECTIONS = {"Accuracy": accuracy, "Dimension": dimension, "Size and cost": cost, "Differences": differences}
SECTIONS |= {"Classes": classes, "Table": table}
