"""Networks of one's own, a part of Data & teachers: choose an ONNX file, say what it does not, try it, keep it.

Also the card of any teacher, with a way to remove one that was added.
"""

from collections.abc import Sequence
from functools import partial

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from kdlib.data.dataset import Dataset
from kdlib.models.providers import hub, onnx
from kdlib.models.teachers import get_teacher
from kdlib.names import teacher_name
from kdlib.spaces import deletion
from pages import hub_teachers, page_jobs
from pages.text import escape, show_errors

ABOUT = """
An **ONNX file** of any network that takes images or waves becomes a teacher. It is checked first, in a process of its \
own, and no code of its authors runs. Weights that it keeps in files of their own are chosen together with it. At most \
200 MB here; `python -m kdlib teacher add --help` takes larger ones.
"""
PART = "network"
OPEN, STAGED, REFUSED = PART, "network-token", "network-refused"
TRIED, ADDED, CARD = "network-tried", "network-added", "card"
SUPERVISIONS = {"not said": None, "supervised": True, "unsupervised": False}
POOL_HELPS = {"mean": "mean over places or tokens", "cls": "first token", "flatten": "all numbers"}


def show_section(data: Dataset) -> None:
    """Show how to add a network; it is tried on items of the dataset where it takes such."""
    page_jobs.work_or_draw(PART, lambda: _section(data))


@st.fragment
def _section(data: Dataset) -> None:
    """Show the controls; a click in them leaves the rest of the page alone until there is something to do."""
    if ADDED in st.session_state:
        st.toast(f"Kept as {escape(st.session_state.pop(ADDED))}", icon=":material/check:")
    opened = st.expander("Add a teacher", icon=":material/school:", key=OPEN, on_change="rerun", bind="query-params")
    if not opened.open:
        return
    with opened, show_errors():
        if STAGED in st.session_state:
            _describe(onnx.reopen(st.session_state[STAGED]), data)
        else:
            _choose()


def _choose() -> None:
    number = st.session_state.setdefault("network-number", 0)  # another key empties the controls
    file, out_of_hub = st.tabs(["A file", "Out of a hub"], key="teacher-from", on_change="rerun", bind="query-params")
    with out_of_hub:
        hub_teachers.choose(PART, number, _add_from_hub)
    with file:
        _choose_file(number)
    _refusal()


def _add_from_hub(name: str, revision: str, task: str, supervised: bool | None) -> None:
    st.session_state[OPEN] = True
    st.session_state[REFUSED] = f"Adding {name} was stopped."
    try:
        kept = hub_teachers.add(name, revision, task, supervised)
        del st.session_state[REFUSED]
        st.session_state["network-number"] += 1
        st.session_state[ADDED] = st.session_state[CARD] = kept
    except ValueError as error:
        st.session_state[REFUSED] = f"Refused: {error}"
    st.rerun()


def _choose_file(number: int) -> None:
    st.markdown(ABOUT)
    chosen = st.file_uploader("Its file", accept_multiple_files=True, key=f"network-files-{number}")
    if chosen:  # another try
        st.session_state.pop(REFUSED, None)
    page_jobs.button(PART, "Check it", partial(_read, chosen) if chosen else None, key="network-read")


def _refusal() -> None:
    """Show why the last attempt was refused; it stays until the next one, however often the page is drawn anew."""
    if REFUSED in st.session_state:
        st.error(escape(st.session_state[REFUSED]), icon=":material/block:")


def _read(chosen: Sequence) -> None:
    """Check uploaded files; a click that ends this run leaves the message that stands until the work is done."""
    st.session_state[OPEN] = True
    name = chosen[0].name
    st.session_state[REFUSED] = f"Checking {name} was stopped; nothing of it is left."
    st.session_state["network-number"] += 1
    try:
        with page_jobs.progress_bar(PART, f"Checking {name}") as on_progress:
            uploads = [(each.name, each.getbuffer()) for each in chosen]
            st.session_state[STAGED] = onnx.stage_uploads(uploads, on_progress).token
        del st.session_state[REFUSED]
    except ValueError as error:
        st.session_state[REFUSED] = f"Refused: {error}"
    st.rerun()


def _describe(draft: onnx.Draft, data: Dataset) -> None:
    """Show what was read, ask for the rest, show what came of a trial with just these answers."""
    network = draft.network
    st.markdown(
        f"**{escape(network.file)}**: {network.parameters:,} parameters, {network.operations:,} operations, takes "
        f"{escape(network.input.describe_shape())}"
    )
    plan = None
    try:
        plan = onnx.make_plan(network, _wishes(network))
        st.caption(f"It sees {escape(plan.describe_input())}.")
    except ValueError as error:
        st.error(escape(error), icon=":material/block:")
    tried = st.session_state.get(TRIED)
    trial = tried[1] if plan and tried and tried[0] == plan else None
    dataset = data.name if plan and data.modality == plan.modality else ""
    with st.container(horizontal=True):
        job = partial(_try, draft, plan, dataset) if plan else None
        page_jobs.button(PART, "Try it on three items", job, key="network-try", primary=trial is None)
        st.button("Throw away", on_click=_drop, args=(draft.token,), key="network-drop")
    _refusal()
    if plan and trial:
        _keep_form(draft, plan, trial)


def _wishes(network: onnx.Network) -> onnx.Wishes:
    """Show the controls for what the file does not say, and return what they say."""
    left, right = st.columns(2)
    shapes = {each.name: each.describe_shape() for each in network.tensors}
    output = left.selectbox(
        "Embedding",
        list(shapes),
        key="network-output",
        format_func=lambda name: f"{name}: {shapes[name]}",
        help="Outputs come first, then inner tensors, the last computed first. That before a classifier is a good one.",
    )
    chosen = next(each for each in network.tensors if each.name == output)
    pool, features = "", ""
    if chosen.shape is None or len(chosen.shape) > 2:
        pool = left.segmented_control(
            "Pool",
            list(POOL_HELPS),
            default="mean",
            required=True,
            key="network-pool",
            help="What becomes of places or tokens: "
            + ", ".join(f"**{name}** {line}" for name, line in POOL_HELPS.items()),
        )
        features = left.segmented_control(
            "Features stand",
            ["as usual", "first", "last"],
            default="as usual",
            required=True,
            key="network-features",
            help="Where the features of a place are, after the items or last. Usual is first in maps of pictures.",
        )
    features = "" if features == "as usual" else features
    if onnx.guess_input(network) == "waveform":
        rate = right.number_input(
            "Sampling rate, Hz", 1000, 192_000, 16_000, key="network-rate", help="At which it was trained to hear."
        )
        return onnx.Wishes(output=output or "", pool=pool or "", features=features or "", rate=int(rate))
    preset, size, mean, std = _picture_controls(right, network)
    return onnx.Wishes(
        output=output or "", pool=pool or "", features=features or "", preset=preset, size=size, mean=mean, std=std
    )


def _picture_controls(
    column: DeltaGenerator, network: onnx.Network
) -> tuple[str, int, tuple[float, ...], tuple[float, ...]]:
    """Let a column of the page say how pictures get in: preset, size, mean and std, empty for what follows from it."""
    preset = column.selectbox(
        "Pictures prepared as for",
        ["as the file suggests", *onnx.PRESETS],
        key="network-preset",
        help="How they are resized, cut and scaled: as it was trained. **none** leaves values in [0, 1].",
    )
    size = 0
    if onnx.needs_size(network):
        size = column.number_input("Side, pixels", 8, 1024, 224, key="network-size", help="The network takes any size.")
    mean, std = (
        each.text_input(
            what.title(),
            key=f"network-{what}",
            placeholder="the preset's",
            help=f"One number or three with commas, of values in [0, 1], like {example}.",
        )
        for each, what, example in zip(
            column.columns(2), ("mean", "std"), ("0.485, 0.456, 0.406", "0.229, 0.224, 0.225"), strict=True
        )
    )
    return preset if preset in onnx.PRESETS else "", int(size), _numbers("mean", mean), _numbers("std", std)


def _numbers(what: str, text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(",")) if text.strip() else ()
    except ValueError as error:
        raise ValueError(f"the {what} consists of numbers separated by commas, got {text!r}") from error


def _try(draft: onnx.Draft, plan: onnx.Plan, dataset: str) -> None:
    st.session_state[OPEN] = True
    st.session_state[REFUSED] = "Trying was stopped."
    try:
        with page_jobs.progress_bar(PART, f"Trying {draft.network.file}") as on_progress:
            st.session_state[TRIED] = plan, onnx.try_out(draft, plan, dataset, on_progress=on_progress)
        del st.session_state[REFUSED]
    except ValueError as error:
        st.session_state[REFUSED] = f"Refused: {error}"
    st.rerun()


def _keep_form(draft: onnx.Draft, plan: onnx.Plan, trial: onnx.Trial) -> None:
    """Show what came of the trial, ask what only a person knows, and keep the network."""
    with st.container(horizontal=True):
        st.metric("Width", f"{trial.width:,}", help="Numbers of an embedding.", border=True)
        st.metric(
            "Range",
            f"{trial.low:.3g} to {trial.high:.3g}",
            help=f"Smallest and largest number, of three items of {escape(trial.dataset)}.",
            border=True,
        )
        seconds = f"{1000 * trial.seconds_per_item:.3g} ms"
        st.metric("Time per item", seconds, help="That the network computed; preparing comes on top.", border=True)
    left, right = st.columns(2)
    suggested = onnx.suggest_name(draft.network.file)
    name = left.text_input("Name", suggested, max_chars=40, key="network-name", help="It is called onnx:name.")
    task = right.text_input(
        "Source task", key="network-task", max_chars=80, placeholder="not said", help="What it was trained for."
    )
    supervision = left.selectbox(
        "Supervision", list(SUPERVISIONS), key="network-supervision", help="Whether its source task used labels."
    )
    licence = right.text_input(
        "Licence", key="network-licence", max_chars=80, placeholder="not said", help="Of its weights."
    )
    about = onnx.About(task or "not said", SUPERVISIONS[supervision or "not said"], licence or "not said")
    if st.button("Keep this teacher", type="primary", key="network-keep"):
        kept = onnx.keep_draft(draft, plan, trial, name, about)
        _drop(draft.token)
        st.session_state[ADDED] = st.session_state[CARD] = kept
        st.rerun()


def _drop(token: str) -> None:
    onnx.discard(token)
    for key in [key for key in st.session_state if str(key).startswith("network-") and key != "network-number"]:
        del st.session_state[key]


def show_card(names: Sequence[str]) -> None:
    """Show what is known of one of these teachers, and how to get rid of it if it was added."""
    if not names:
        return
    kept = st.session_state.get(CARD, "")
    key = f"card {kept}"  # a box of its own: what a browser still says of the one before does not change it
    if st.session_state.get(key) not in names:
        st.session_state[key] = kept if kept in names else names[0]
    name = st.selectbox(
        "Card of a teacher", names, key=key, format_func=teacher_name, help="What is known of where it comes from."
    )
    with st.container(border=True), show_errors():
        facts = get_teacher(name).describe().items()
        st.markdown("  \n".join(f"**{escape(fact)}**: {escape(value)}" for fact, value in facts))
        if name.removeprefix("onnx:") in onnx.cards() or name in hub.read_cards():
            with st.popover("Remove this teacher", icon=":material/delete:"):
                st.markdown(f"Remove {escape(name)} with all its embeddings? Runs that had it keep their results.")
                st.button("Remove for good", type="primary", on_click=_remove, args=(name,), key="network-remove")


def _remove(name: str) -> None:
    with show_errors():
        deletion.delete_teacher(name)
