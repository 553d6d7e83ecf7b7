"""Distill: set the whole chain, see what it will cost, launch several methods as one comparison and watch them."""

import time

import streamlit as st

from kdlib import datasets, engine, figures, knowledge, planning, students, views
from kdlib.checks import usual
from kdlib.comparison import verdict
from kdlib.spec import RunSpec
from kdlib.teachers import fitting
from pages import show, ui

PRESETS = {  # what a click sets; everything else goes back to its default
    "Default": {},
    "Few labels": {"labels": 200},
    "Only 4 numbers": {"dim": 4},
    "Irrelevant teacher": {"teacher": "background"},
    "Untrained teacher": {"teacher": "random"},
    "Sounds": {"dataset": "tones"},
    "Several labels an item": {"dataset": "mixtures"},
}
CURVES = {"val": "Validation score", "prediction": "Prediction loss", "distance": "Distance loss", "teacher": "Teacher loss"}
DEFAULT = RunSpec()
FIELDS = ("dataset", "labels", "teacher", "dim", "loss", "distance_weight", "soft_label_weight", "temperature", "student", "width")
FIELDS += ("epochs", "batch_size", "lr", "seeds")
METHODS = ["baseline", "raw", DEFAULT.method]


def preset(values: dict) -> None:
    spec = usual(values.get("dataset", DEFAULT.dataset)).but(**values)
    for name in FIELDS:
        st.session_state[name] = getattr(spec, name)
    st.session_state["methods"] = METHODS


def follow() -> None:
    """Let what depends on the dataset follow it: all of it goes to what is usual, if the teacher does not fit."""
    spec = usual(st.session_state["dataset"])
    if st.session_state.get("teacher") not in fitting(spec.dataset):
        for name in ("teacher", "student", "width", "labels", "dim", "distance_weight"):
            st.session_state[name] = getattr(spec, name)


def controls() -> tuple[RunSpec, list[str]]:
    bound = {"bind": "query-params"}
    with st.container(horizontal=True, gap="small"):
        for name, values in PRESETS.items():
            st.button(name, key=f"preset-{name}", on_click=preset, args=(values,))
    methods = st.multiselect("Methods to compare", list(ui.helps("methods")), METHODS, key="methods", help=ui.listed("methods"), **bound)
    dataset = ui.pick("Dataset", "datasets", "dataset", DEFAULT.dataset, on_change=follow)
    default = usual(dataset)
    teacher = ui.pick("Teacher", "teachers", "teacher", default.teacher, fitting(dataset))
    dims = [1, 2, 4, 8, 16, 32, 64, 128, 256]
    told = "How many numbers the compressor keeps of each embedding."
    dim = st.select_slider("Dimension of the compressed embedding", dims, default.dim, key="dim", help=told, **bound)
    loss = ui.pick("Distance loss", "losses", "loss", DEFAULT.loss)
    told = "λ: 0 = learn from the labels alone, 1 = only be like the teacher."
    weight = st.slider("Weight λ of the distance", 0.0, 1.0, default.distance_weight, 0.05, key="distance_weight", help=told, **bound)
    student = ui.pick("Student", "students", "student", default.student, students.fitting(datasets.load(dataset).inputs.shape[1:]))
    told = "The student's size dial: parameters grow with its square."
    width = st.select_slider("Student width", [2, 3, 4, 6, 8, 12, 16, 24, 32], default.width, key="width", help=told, **bound)
    told = "How many training items keep their label."
    labels = st.number_input("Labels", 2, 10_000, default.labels, 50, key="labels", help=told, **bound)
    told = "How often each method is trained, from different random beginnings: more seeds, narrower intervals."
    seeds = st.slider("Seeds", 1, 20, DEFAULT.seeds, key="seeds", help=told, **bound)
    with st.expander("Training and soft labels"):
        epochs = st.number_input("Epochs", 1, 500, DEFAULT.epochs, key="epochs", help="Passes over the labelled items.", **bound)
        batch = st.number_input("Batch size", 2, 1024, DEFAULT.batch_size, key="batch_size", help="Items per step.", **bound)
        lr = st.number_input("Learning rate", 1e-5, 1.0, DEFAULT.lr, format="%.5f", key="lr", help="The peak of its schedule.", **bound)
        told = "How much the student also learns from the probabilities of the teacher's head; 0 = not at all."
        soft = st.slider("Soft labels", 0.0, 2.0, DEFAULT.soft_label_weight, 0.1, key="soft_label_weight", help=told, **bound)
        told = "Higher: the soft labels say more about which wrong classes are nearly right."
        temperature = st.slider("Temperature", 1.0, 10.0, DEFAULT.temperature, 0.5, key="temperature", help=told, **bound)
    chosen = (dataset, labels, teacher, dim, loss, weight, soft, temperature, student, width, epochs, batch, lr, seeds)
    return RunSpec(**dict(zip(FIELDS, chosen, strict=True))), methods


def before_launch(spec: RunSpec, methods: list[str]) -> None:
    specs = [spec.but(method=method) for method in methods]
    refusals = planning.refusals(specs) if specs else ["choose at least one method to compare"]
    for reason in refusals:
        st.error(ui.plain(reason), icon=":material/block:")
    if not refusals:
        past, status = ui.recent(states=["done"]), engine.status()
        plan = planning.plan(specs, past, status.workers or 2)
        show.facts(plan)
        target = knowledge.of_target(knowledge.known(spec.teacher, spec.dataset), spec.labels)
        for concern in planning.concerns(specs, target.get("accuracy"), target.get("chance"), past, target.get("ood")):
            st.warning(ui.plain(concern), icon=":material/lightbulb:")
    launch, naming = st.columns([1, 2], vertical_alignment="bottom")
    told = {"placeholder": "a name to find it by (optional)", "label_visibility": "collapsed", "bind": "query-params"}
    name = naming.text_input("Name", key="name", max_chars=80, **told)
    if launch.button("Launch", type="primary", icon=":material/play_arrow:", disabled=bool(refusals), key="launch", width="stretch"):
        ui.launch(specs, name=name)
        st.rerun()
    with st.expander("Show as code"):
        for language, text in planning.as_code(spec, methods).items():
            st.caption(language)
            st.code(text, language={"Python": "python", "YAML": "yaml"}.get(language, "bash"), wrap_lines=True)


def watch() -> list:
    found = ui.infos(ui.chosen())
    if not found:
        show.empty("Nothing launched yet: choose what to compare and press **Launch**. Its curves appear here, live.")
        return found
    specs = [run.spec for run in found]
    names = views.labels(specs)
    active = [run for run in found if run.active]
    if active:
        st.progress(sum(run.progress for run in found) / len(found), text=f"Training: {show.remaining(found, time.time())}")
        if st.button("Cancel", icon=":material/stop_circle:", key="cancel"):
            ui.cancel(active)
    elif len(done := ui.results(found)) == len(found):
        st.info(ui.plain(verdict(done)), icon=":material/flag:")
        with st.container(horizontal=True):
            st.page_link("pages/compare.py", label="Compare in every detail", icon=":material/bar_chart:", query_params=ui.query(found))
            st.page_link("pages/embeddings.py", label="See the spaces", icon=":material/scatter_plot:", query_params=ui.query(found))
    show.state_line(found, names)
    frame, roles = views.curves(specs, ui.histories(found), names), dict(zip(names, map(views.role, specs), strict=True))
    told = {"format_func": CURVES.get, "label_visibility": "collapsed", "bind": "query-params"}
    curve = st.segmented_control("Curve", list(CURVES), default="val", required=True, key="curve", **told)
    drawn = figures.curves(frame, curve, max(spec.epochs for spec in specs), roles, views.metric(specs))
    show.figure(drawn, f"curve-{curve}", CURVES[curve])
    st.caption("Lines are the mean over the seeds, bands reach from the lowest to the highest of them.")
    return found


st.title("Distill")
left, right = st.columns([1, 2], gap="large")
with left:
    spec, methods = controls()
with right:
    before_launch(spec, methods)
    ui.live(watch, any(run.active for run in ui.infos(ui.chosen())))
