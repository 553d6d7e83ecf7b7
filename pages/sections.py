"""The sections of Compare: each shows the chosen, finished runs in another way."""

from collections.abc import Sequence

import streamlit as st

from kdlib.analysis import frames
from kdlib.analysis.class_scores import confusion_matrix, false_alarm_matrix, scores_per_class
from kdlib.analysis.comparison import metric_names, paired_differences
from kdlib.analysis.diagnosis import diagnose
from kdlib.analysis.figures.accuracy import (
    plot_accuracy_bars,
    plot_accuracy_over_dim,
    plot_scores_per_class,
)
from kdlib.analysis.figures.heatmaps import CONFUSION_TEXT, FALSE_ALARM_TEXT, plot_confusion
from kdlib.analysis.result_tables import differences_to, result_numbers, result_table, to_csv, to_latex
from kdlib.analysis.significance import seeds_to_settle
from kdlib.analysis.verdicts import answer
from kdlib.data import datasets
from kdlib.names import run_name, teacher_name
from kdlib.results import RunResult
from kdlib.runs import sweeps
from kdlib.spec import BASELINE, RAW, RunSpec
from pages import (
    address,
    controls,
    grid_section,
    landscape_section,
    registries,
    rounds_section,
    show,
    tuning_section,
    width_precision,
)
from pages.glossary import term
from pages.text import escape

DIMS = [2, 4, 8, 16, 32, 64]
NO_BREAK = "\u00a0"
LEGEND_HEIGHT = 18  # pixels that the legend takes for each further run
MAX_BARS = 12  # runs that bars tell apart
ANSWER_HEIGHT = 340  # pixels: with title and answer it fits a screen of 900


def show_answer(results: Sequence[RunResult]) -> None:
    """Show what came out in words, and the figure that says the same: accuracy with intervals."""
    first, *rest = answer(results)
    with st.container(key="answer", gap="xsmall"):
        st.markdown(f"**{_unbroken(escape(first))}**")
        for words in rest:
            st.markdown(_unbroken(escape(words)))
    if len(results) > MAX_BARS:
        st.caption(f"{len(results)} runs are too many for bars: the landscape below shows them.")
        return
    bars = plot_accuracy_bars(frames.accuracies(results, labels=_short_labels(results)), metric_names(results))
    show.exportable_figure(
        bars.update_layout(height=ANSWER_HEIGHT + LEGEND_HEIGHT * max(0, len(results) - 4)),
        "accuracy",
        f"The {metric_names(results)} of each run, in-domain and on each out-of-domain set",
        f"Bars: mean over {_samples(results)}, whiskers: 95 % interval, dots: the seeds. Hatched: out-of-domain.",
    )


def _unbroken(text: str) -> str:
    """Return text in which a number stays with its unit, its interval and what it changed into."""
    for sign in ("±", "→"):
        text = text.replace(f" {sign} ", f"{NO_BREAK}{sign}{NO_BREAK}")
    return text.replace(" %", f"{NO_BREAK}%")


def _short_labels(results: Sequence[RunResult]) -> list[str] | None:
    """Return a label of each run on several datasets where method and dataset tell them apart, None otherwise."""
    labels = [f"{run_name(result.spec)}, {result.spec.dataset}" for result in results]
    several = len({result.spec.dataset for result in results}) > 1
    return labels if several and len(set(labels)) == len(labels) else None


def _samples(results: Sequence[RunResult]) -> str:
    """Return what each mean is of, fewest first: "5 seeds", "3 seeds or 5 seeds"."""
    scores = sorted((result.metrics["test"].primary for result in results), key=lambda score: len(score.values))
    return " or ".join(dict.fromkeys(score.sample for score in scores))


def dimension(results: Sequence[RunResult]) -> None:
    """Show accuracy over the width of the compressed embedding, and what sweeps it."""
    points = frames.accuracy_over_dim(results)
    if (points["role"] == "compressed").any():
        alt = f"The {metric_names(results)} over the width of the compressed embedding"
        words = "Dashed lines: raw and baseline with their 95 % interval; whiskers: 95 % interval; dots: the seeds."
        figure = plot_accuracy_over_dim(points, metric_names(results))
        show.exportable_figure(figure, "accuracy-over-dimension", alt, words)
    else:
        st.info("None of the chosen runs compresses anything.", icon=":material/info:")
    specs = [result.spec for result in results]
    compressing = [spec for spec in specs if frames.method_role(spec) == "compressed"]
    with st.expander(
        "Sweep the dimension",
        expanded=points["dim"].nunique() < 2,
        key="sweeping",
        on_change="rerun",
        bind="query-params",
    ):
        sweep_controls([*compressing, *specs, RunSpec()][0])


def sweep_controls(base: RunSpec) -> None:
    """Show what launches runs of several widths that are otherwise like `base`."""
    dims = st.multiselect(
        "Dimensions", [1, *DIMS, 128, 256], DIMS, key="dims", bind="query-params", help="One run for each."
    )
    methods = registries.select_entries(
        "Compressors", "compressors", "sweep", [RunSpec.method], help=registries.markdown_list("compressors")
    )
    st.caption(
        f"Everything else as in the chosen runs: {escape(teacher_name(base.teacher))} on {escape(base.dataset)}. "
        "What is there is not run again."
    )
    if st.button(
        "Launch the sweep",
        type="primary",
        icon=":material/play_arrow:",
        disabled=not (dims and methods),
        key="launch-sweep",
    ):
        # With baseline and raw, which the widths are compared with.
        address.launch_sweep(sweeps.expand(base, {"method": [BASELINE, RAW, *methods], "dim": dims}))
        st.rerun()


def differences(results: Sequence[RunResult]) -> None:
    """Show paired differences to one of the runs."""
    if len(results) < 2:
        st.info("Choose a second run to compare with.", icon=":material/info:")
        return
    names = frames.run_labels([result.spec for result in results])
    other = st.selectbox(
        "Compared with",
        names,
        key="to",
        help=f"Every other run minus this one. {term('paired difference')}",
        bind="query-params",
    )
    frame, left_out = differences_to(results, names.index(other))
    if not frame.empty:
        show.table(frame.drop(columns="compared with"), f"Paired differences to {other}, in points")
        st.caption(
            "Points, seed by seed, with the 95 % interval of the paired t-test; * clear at 5 %, corrected for all "
            "differences of this table (Holm). Effect size: the difference on the test set in standard deviations over "
            "the seeds. Seeds to settle: how many would make it clear, if mean and spread stay as they are."
        )
        rounds_section.offer_seeds(results, *_fewest_to_settle(results, names, names.index(other)))
    if left_out:
        reasons = "  \n".join(f"{escape(label)}: {escape(reason)}" for label, reason in left_out.items())
        st.info(
            f"Not paired with {escape(other)}, because it was measured on something else:  \n{reasons}",
            icon=":material/info:",
        )


def _fewest_to_settle(results: Sequence[RunResult], names: Sequence[str], number: int) -> tuple[int | None, str]:
    """Return how many seeds would settle the open difference to a result that needs fewest, and what that is."""
    found = []
    for result, name in zip(results, names, strict=True):
        difference = paired_differences(result, results[number]).get("test") if result is not results[number] else None
        seeds = None if difference is None else seeds_to_settle(difference)
        if difference is not None and seeds is not None and seeds > len(difference.values):
            found.append((seeds, f"“{name}” against “{names[number]}”"))
    return min(found, default=(None, ""))


def why(results: Sequence[RunResult]) -> None:
    """Show what the measured numbers say of why it did or did not help, and what sets the one change to try next."""
    found = diagnose(results)
    if not found.findings:
        st.info("None of the chosen runs has a teacher, so there is nothing to explain.", icon=":material/info:")
        return
    st.markdown("\n".join(f"- {escape(each)}" for each in found.findings))
    if found.advice is None:
        st.caption("Nothing stands out that would help more.")
        return
    st.markdown(f"**What is most likely to help:** {escape(found.advice.text)}")
    if not found.advice.changes:
        st.page_link(
            "pages/data_teachers.py",
            label="See what each teacher knows",
            icon=":material/school:",
            query_params={"dataset": found.spec.dataset},
        )
        return
    if list(found.advice.changes) == ["seeds"]:
        rounds_section.offer_seeds(results, found.advice.changes["seeds"])
    st.page_link(
        "pages/distill.py",
        label="Set this on Distill",
        icon=":material/tune:",
        query_params=controls.query(found.spec.replace(**found.advice.changes), [BASELINE, RAW]),
    )


def classes(results: Sequence[RunResult]) -> None:
    """Show each class by itself, and which classes are mistaken for which."""
    predictions = address.load_predictions(results)
    if not predictions:
        return
    data = datasets.load(results[0].spec.dataset)
    labels, val_labels = (data.labels[data.splits[split]] for split in ("test", "val"))
    names = list(data.classes)
    roles = {label: frames.method_role(each.spec) for label, each in predictions.items()}
    per_class = {label: scores_per_class(each.test, labels, names) for label, each in predictions.items()}
    metric = "average precision" if data.multi_label else "accuracy"
    show.exportable_figure(
        plot_scores_per_class(per_class, roles, metric), "accuracy-per-class", f"Test {metric} of each class"
    )
    if data.multi_label:
        st.caption(
            "Below, where the row's class is known to be there: on the diagonal how often it is told, elsewhere how "
            "often the column's class is told although it is known not to be there. The probability from which a class "
            "is told is chosen on validation."
        )
    for cell, (label, each) in zip(show.grid(len(predictions), 3), predictions.items(), strict=True):
        if data.multi_label:
            matrix, words = false_alarm_matrix(each.test, labels, each.val, val_labels), FALSE_ALARM_TEXT
        else:
            matrix, words = confusion_matrix(each.test, labels), CONFUSION_TEXT
        with cell:
            st.text(label)
            show.figure(
                plot_confusion(matrix, names, roles[label], words),
                f"confusion-{label}",
                f"Mistakes of {label}: rows are what is there, columns what is told",
            )


def table(results: Sequence[RunResult]) -> None:
    """Show all numbers, to be taken away."""
    frame = result_table(results)
    show.table(frame, "All numbers of the chosen runs")
    with st.container(horizontal=True):
        csv = to_csv(result_numbers(results))
        st.download_button("CSV", csv, "comparison.csv", "text/csv", icon=":material/download:", on_click="ignore")
        st.download_button(
            "LaTeX",
            to_latex(frame),
            "comparison.tex",
            "text/x-tex",
            icon=":material/download:",
            on_click="ignore",
        )


SECTIONS = {"Differences": differences, "Why": why, "Landscape": landscape_section.show_section}
SECTIONS |= {"Dimension": dimension, "Size and cost": landscape_section.show_cost}
SECTIONS |= {"Width x precision": width_precision.show_section, "Grid": grid_section.show_section}
SECTIONS |= {"Tuning": tuning_section.show_section, "Looks": rounds_section.show_section}
SECTIONS |= {"Classes": classes, "Table": table}


def first_section(results: Sequence[RunResult]) -> str:
    """Return the section that stands open at first."""
    return "Landscape" if len(results) > MAX_BARS else "Differences"


def available_sections(results: Sequence[RunResult]) -> list[str]:
    """Return the names of the sections that these results have something for."""
    absent = set() if any(result.grid for result in results) else {"Grid"}
    absent |= set() if any(result.tuning for result in results) else {"Tuning"}
    absent |= set() if any(result.metrics["test"].primary.looks > 1 for result in results) else {"Looks"}
    return [name for name in SECTIONS if name not in absent]
