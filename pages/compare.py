"""Compare: choose runs, see accuracies, differences, costs and mistakes side by side, take tables and figures away."""

import streamlit as st

from kdlib import datasets, figures, runs, views
from kdlib.comparison import verdict
from kdlib.spec import RunSpec
from pages import show, ui

DIMS = [2, 4, 8, 16, 32, 64]


def accuracy(done: list) -> None:
    st.info(ui.plain(verdict(done)), icon=":material/flag:")
    drawn = figures.accuracy_bars(views.accuracies(done))
    show.exported(drawn, "accuracy", "Accuracy of each run, in-domain and on each out-of-domain set")
    st.caption(f"Bars: mean over n seeds ({show.seeds(done)}), whiskers: 95 % interval, dots: the seeds. Hatched: out-of-domain.")


def dimension(done: list) -> None:
    wide = views.over_dim(done)
    if (wide["role"] == "compressed").any():
        show.exported(figures.over_dim(wide), "accuracy-over-dimension", "Accuracy over the width of the compressed embedding")
        st.caption("Dashed lines: raw and baseline with their 95 % interval; whiskers: 95 % interval; dots: the seeds.")
    else:
        st.info("None of the chosen runs compresses anything.", icon=":material/info:")
    with st.expander("Sweep the dimension", expanded=wide["dim"].nunique() < 2):
        base = next((each.spec for each in done if views.role(each.spec) == "compressed"), done[0].spec if done else RunSpec())
        compressors = [name for name in ui.helps("compressors") if name != "none"]
        dims = st.multiselect("Dimensions", [1, *DIMS, 128, 256], DIMS, key="dims", bind="query-params", help="One run for each.")
        methods = st.multiselect(
            "Compressors", compressors, [RunSpec.method], key="sweep", bind="query-params", help=ui.listed("compressors")
        )
        st.caption(
            f"Everything else as in the chosen runs: {ui.plain(base.teacher)} on {ui.plain(base.dataset)}. What is there is not run again."
        )
        if st.button("Launch the sweep", type="primary", icon=":material/play_arrow:", disabled=not (dims and methods), key="launch-sweep"):
            ui.sweep(base, methods, dims)
            st.rerun()


def cost(done: list) -> None:
    by = st.segmented_control(
        "Against", list(views.COSTS), default="parameters", required=True, key="against", format_func=views.COSTS.get, bind="query-params"
    )
    frame = views.costs(done, by)
    if frame.empty:
        st.info("None of the chosen runs has this cost: a baseline has no embedding.", icon=":material/info:")
        return
    show.exported(figures.over_cost(frame, views.COSTS[by]), f"accuracy-over-{by}", f"Accuracy against {views.COSTS[by]}")


def differences(done: list) -> None:
    names = views.labels([each.spec for each in done])
    other = st.selectbox("Compared with", names, key="to", help="Every other run minus this one.", bind="query-params")
    frame = views.differences_to(done, names.index(other))
    if frame.empty:
        st.info("Choose a second run to compare with.", icon=":material/info:")
        return
    st.dataframe(frame, hide_index=True, alt="Paired differences in points")
    st.caption("Points, seed by seed, with the 95 % interval of the paired t-test; * the interval excludes 0.")


def classes(done: list) -> None:
    found = ui.predictions(done)
    if not found:
        return
    data = datasets.load(done[0].spec.dataset)
    truth, names = data.labels[data.splits["test"]], list(data.classes)
    roles = {label: views.role(spec) for label, (spec, _) in found.items()}
    frames = {label: views.per_class(logits, truth, names) for label, (_, logits) in found.items()}
    show.exported(figures.per_class(frames, roles), "accuracy-per-class", "Test accuracy of each class")
    for column, (label, (spec, logits)) in zip(show.grid(len(found), 3), found.items(), strict=True):
        with column:
            st.text(label)
            drawn = figures.confusion(views.confusion(logits, truth), names, views.role(spec))
            show.figure(drawn, f"confusion-{label}", f"Confusion matrix of {label}: rows are the true class")


def table(done: list) -> None:
    frame = views.table(done)
    st.dataframe(frame, hide_index=True, alt="All numbers of the chosen runs")
    with st.container(horizontal=True):
        csv = views.to_csv(views.table(done, in_words=False))
        st.download_button("CSV", csv, "comparison.csv", "text/csv", icon=":material/download:", on_click="ignore")
        st.download_button("LaTeX", views.to_latex(frame), "comparison.tex", "text/x-tex", icon=":material/download:", on_click="ignore")


SECTIONS = {"Accuracy": accuracy, "Dimension": dimension, "Size and cost": cost, "Differences": differences}
SECTIONS |= {"Classes": classes, "Table": table}

st.title("Compare")
show.choose_runs(states=["done"])
found = ui.infos(ui.chosen())
if any(run.active for run in found):
    ui.live(lambda: show.progress(ui.infos(ui.chosen())), active=True)
done = [each for each in ui.results(found) if each.metrics]
if done:
    section = st.segmented_control("Show", list(SECTIONS), default="Accuracy", required=True, key="show", bind="query-params")
    SECTIONS[section](done)
elif not found and not runs.list_runs(limit=1, states=["done"]):
    show.empty("There is no finished run to compare yet.", "Start a race", "pages/start.py")
elif not found:
    st.info("Choose at least one run above.", icon=":material/info:")
