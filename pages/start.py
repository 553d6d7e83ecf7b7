"""Start: the idea as a picture, one button, a race, and its outcome in one sentence."""

import time

import streamlit as st

from kdlib.results import Summary
from kdlib.spec import RunSpec
from pages import address, live, server
from pages.text import escape

Accuracies = dict[str, Summary | None]  # role -> mean and interval, None while they are not known
SPEC = RunSpec()
NAMES = {  # in the order in which they start: where two run at a time, the two that matter most
    "raw": "raw: teacher as it is",
    SPEC.method: f"compressed: {SPEC.method} {SPEC.dim}",
    "baseline": "baseline: no teacher",
}
RACE = [SPEC.replace(method=method) for method in NAMES]

st.title("Does it help to teach less?")
st.markdown(
    "A big **teacher** network knows a lot, much of it of no use for the task at hand. Compressing what it knows before a small "
    "**student** learns from it should make the student better. Try it: three students, the same data, the same effort."
)


def race() -> list:
    from kdlib import planning  # they load for seconds, in which the button is there already
    from kdlib.analysis import frames
    from kdlib.analysis.comparison import verdict
    from kdlib.analysis.figures.curves import plot_curves
    from kdlib.data import datasets
    from pages import show

    racing = {run.spec.method: run for run in address.load_runs(address.selected_ids()) if run.spec.method in NAMES}
    complete = len(racing) == len(NAMES)
    found = list(racing.values()) if complete else []
    specs = [run.spec for run in found] if complete else RACE
    data, plan = datasets.load(SPEC.dataset), planning.estimate_cost(specs)
    names = [NAMES[spec.method] for spec in specs]
    frame = frames.curves(specs, address.load_histories(found) if complete else [[] for _ in specs], names)
    done = address.load_results(found)
    tested: Accuracies = {frames.method_role(each.spec): each.metrics["test"].primary for each in done if each.metrics}
    latest = frame[frame["curve"] == "val"].groupby("role")["mean"].last()
    current: Accuracies = {
        role: Summary(latest[role], None) if role in latest else None for role in map(frames.method_role, specs)
    }
    told = (
        "on pictures held back while training"
        if not tested
        else f"test set, mean and 95 % interval, n = {specs[0].seeds}"
    )
    numbers = {
        "teacher": SPEC.teacher,
        "method": SPEC.method,
        "dim": SPEC.dim,
        "labels": f"{specs[0].labels:,}",
        "told": told,
    }
    numbers |= {"teacher_width": plan.teacher_width, "parameters": f"{plan.parameters:,}"}
    show.chain(numbers, tested if len(tested) == len(RACE) else current, data.inputs[data.splits["test"][3]].mean(0))
    if not complete:
        return found
    if len(tested) == len(RACE):
        st.info(escape(verdict(done)), icon=":material/flag:")
    elif any(run.active for run in found):
        st.progress(
            sum(run.progress for run in found) / len(found), text=f"Racing: {show.remaining_time(found, time.time())}"
        )
    drawn = plot_curves(frame, "val", specs[0].epochs, dict(zip(names, current, strict=True)))
    show.figure(drawn, "race", "Validation accuracy of baseline, raw and compressed over the epochs")
    show.state_line(found, names)
    st.caption(
        f"Lines are the mean of {specs[0].seeds} students that differ in their seed, bands reach from the worst to the best of them."
    )
    return found


launched = address.load_runs(address.selected_ids())
active = any(run.active for run in launched)
if st.button("Start the race", type="primary", icon=":material/play_arrow:", disabled=active, key="go"):
    address.launch(RACE, name="Race")
    st.rerun()
server.usable.set()
live.draw_while_active(race, launched)

if address.selected_ids() and not active:
    st.subheader("What to try next")
    these = address.query(launched)
    links = [
        ("pages/distill.py", "A teacher that learned something else", "school", {"teacher": "background"}),
        ("pages/distill.py", "Keep only 4 numbers", "compress", {"dim": "4"}),
        ("pages/compare.py", "These three in every detail", "bar_chart", these),
        ("pages/embeddings.py", "See what compression did to the space", "scatter_plot", these),
    ]
    for column, (page, label, icon, query) in zip(st.columns(len(links)), links, strict=True):
        column.page_link(page, label=label, icon=f":material/{icon}:", query_params=query)
