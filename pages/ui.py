"""What pages share: readers of the store, launching, live parts, messages, controls made of the registries."""

import logging
import re
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import streamlit as st

from kdlib import catalog, runs
from kdlib.results import RunResult
from kdlib.runs import sweeps
from kdlib.spec import BASELINE, RAW, RunSpec
from kdlib.store import DONE, RunInfo, RunNotFoundError

TICK = 1.0  # seconds between two looks at a live run, but
EARLY_TICK, EARLY = 0.4, 4.0  # this many in the first seconds after its launch
RUN_ID = re.compile(r"[0-9a-f]{32}")
log = logging.getLogger("kdlib.app")


def escape(text: object) -> str:
    """Return text as markdown shows it literally."""
    return re.sub(r"([\\`*_{}\[\]()#+\-.!|<>~$:&^=])", r"\\\1", " ".join(str(text).split()))


@contextmanager
def show_errors() -> Iterator[None]:
    """Show what goes wrong: our own messages as they are, anything else as an incident id whose trace is in the log."""
    try:
        yield
    except ValueError as error:
        log.warning("%s", error, exc_info=True)
        st.error(escape(_sentence(error)), icon=":material/error:")
    except Exception:  # whatever it is, a person gets words and the log the trace
        incident = secrets.token_hex(4)
        log.exception("incident %s", incident)
        st.error(
            f"Something went wrong here. The log has the details under incident {incident}.", icon=":material/error:"
        )


def _sentence(error: Exception) -> str:
    text = str(error) or type(error).__name__
    return text[0].upper() + text[1:] + ("" if text.endswith(".") else ".")


def selected_ids() -> list[str]:
    """Return the ids of the runs that the address names."""
    return list(dict.fromkeys(RUN_ID.findall(st.query_params.get("runs", ""))))


def select_runs(ids: Sequence[str]) -> None:
    """Put runs into the address."""
    if ids:
        st.query_params["runs"] = ",".join(ids)
    else:
        st.query_params.pop("runs", None)


def request_id() -> str:
    """Return the name of the next launch; two clicks before it is carried out are one wish."""
    return st.session_state.setdefault("wish", secrets.token_hex(12))


def launch(specs: Sequence[Any], name: str = "", group: str = "") -> list[str]:
    """Start runs in the background, put them into the address and return their ids."""
    ids = runs.launch(specs, name=name, group=group, request_id=request_id(), user=visitor())
    st.session_state["wish"] = secrets.token_hex(12)
    select_runs(ids)
    return ids


def visitor() -> str:
    """Return a name for this browser session, so that one who launches much does not keep others waiting."""
    return f"visitor {st.session_state.setdefault('visitor', secrets.token_hex(3))}"


def load_runs(ids: Sequence[str]) -> list[RunInfo]:
    """Return the runs with these ids as they are now; those that are not there are left out, with a word about it."""
    found = []
    for run_id in ids:
        try:
            found.append(runs.get(run_id))
        except RunNotFoundError:
            st.info(f"Run {run_id[:8]} is not in this store; it may have been deleted.", icon=":material/search_off:")
    return found


@st.cache_data(max_entries=500, show_spinner=False)
def _kept(kind: str, run_id: str, ended: float) -> Any:  # noqa: ARG001
    return runs.result(run_id) if kind == "result" else runs.history(run_id)


def results(found: Sequence[RunInfo]) -> list[RunResult]:
    """Return what came of the runs that are done. One whose files are gone is left out, with a word about it."""
    there = []
    for run in found:
        if run.state == DONE:
            try:
                there.append(_kept("result", run.id, run.ended or 0.0))
            except RunNotFoundError:
                st.warning(
                    f"The files of run {run.id[:8]} have been deleted; it is left out.", icon=":material/folder_off:"
                )
    return there


def histories(found: Sequence[RunInfo]) -> list[list[dict[str, Any]]]:
    """Return the points of each run so far."""
    return [runs.history(run.id) if run.active else _kept("history", run.id, run.ended or 0.0) for run in found]


def recent_runs(count: int = 200, states: Sequence[str] = (), offset: int = 0, **wanted: Any) -> list[RunInfo]:
    """Return the newest runs; `wanted` is what `filters` returned."""
    return runs.list_runs(limit=count, offset=offset, states=states, **wanted)


def filters() -> dict[str, Any]:
    """Show what runs can be narrowed down by, and return it as `runs.list_runs` takes it."""
    bound = {"bind": "query-params"}
    fields = {
        "dataset": "Only runs on these data.",
        "teacher": "Only runs that learn from these; a baseline learns from none.",
        "method": "Only runs that do this with the teacher's embedding.",
    }
    with st.container(horizontal=True, vertical_alignment="bottom"):
        told = {"placeholder": "name, loss, number ...", "help": "Only runs whose name or settings contain this text."}
        text = st.text_input("Search", key="text", max_chars=80, **told, **bound)
        where = {
            name: st.multiselect(
                name.title(), list(describe(f"{name}s")), key=f"only-{name}", placeholder="all", help=told, **bound
            )
            for name, told in fields.items()
        }
    return {"text": text, "where": where}


def draw_while_active(draw: Callable[[], Sequence[RunInfo]], found: Sequence[RunInfo]) -> None:
    """Draw a part of the page again and again while runs are active; when they are over, the whole page once.

    Args:
        draw: returns the runs it drew.
        found: the same runs as the page knows them before drawing.
    """
    early = _just_launched(found)

    def more() -> bool:
        drawn = draw()
        return any(run.active for run in drawn) and _just_launched(drawn) == early

    draw_while(more, any(run.active for run in found), EARLY_TICK if early else TICK)


def _just_launched(found: Sequence[RunInfo]) -> bool:
    """Return whether someone has clicked a moment ago and waits for the first point."""
    return any(run.active and time.time() - run.submitted < EARLY for run in found)


def draw_while(draw: Callable[[], bool], active: bool, every: float = TICK) -> None:
    """Draw a part of the page again and again while it says that there is more to come; then the whole page once.

    Args:
        draw: returns whether there is more to come.
        active: whether there is, as far as the page knows before drawing.
        every: seconds between two looks.
    """

    @st.fragment(run_every=every if active else None)
    def part() -> None:
        with show_errors():
            if not draw() and active:
                st.rerun()

    part()


def describe(registry: str) -> dict[str, str]:
    """Return name -> one-line help of a registry."""
    return {entry["name"]: entry["help"] for entry in catalog.list_entries(registry)}


def teachers(dataset: str) -> list[dict[str, str]]:
    """Return name, help, source task and supervision of each teacher that takes what the dataset holds."""
    from kdlib.models.teachers import compatible_teachers  # loads torch, which a first page does without

    return [entry for entry in catalog.list_entries("teachers") if entry["name"] in compatible_teachers(dataset)]


def select_entry(
    label: str,
    registry: str,
    key: str,
    default: str,
    names: Sequence[str] | None = None,
    on_change: Callable[[], None] | None = None,
) -> str:
    """Show a select box of a registry's names, or of some of them, bound to the address, with the chosen one's help below.

    Where `names` is empty nothing can be chosen, and the default is the answer.
    """
    names = list(describe(registry)) if names is None else list(names)
    if not names:
        st.caption(f"{label}: there is none for this dataset.")
        return default
    if st.session_state.get(key, names[0]) not in names:  # what was chosen is gone, or does not fit any more
        st.session_state[key] = names[_place(names, default)]
    chosen = st.selectbox(label, names, index=_place(names, default), key=key, bind="query-params", on_change=on_change)
    st.caption(escape(describe(registry)[chosen]))
    return chosen


def _place(names: Sequence[str], name: str) -> int:
    return names.index(name) if name in names else 0


def markdown_list(registry: str) -> str:
    """Return a registry as a list, for the help behind a question mark."""
    return "\n".join(f"- **{escape(name)}**: {escape(told)}" for name, told in describe(registry).items())


def cancel(found: Sequence[RunInfo]) -> None:
    """Stop runs."""
    for run in found:
        runs.cancel(run.id)


def query(found: Sequence[RunInfo]) -> dict[str, str]:
    """Return the part of an address that names runs."""
    return {"runs": ",".join(run.id for run in found)}


def sweep(base: RunSpec, methods: Sequence[str], dims: Sequence[int]) -> None:
    """Launch every method at every width, with baseline and raw, as far as the store does not hold them, and choose all of them."""
    specs = sweeps.expand(base, {"method": [BASELINE, RAW, *methods], "dim": dims})
    select_runs(sweeps.launch(specs, user=visitor()).runs)


@st.cache_data(max_entries=50, show_spinner=False)
def _logits(run_id: str) -> tuple[np.ndarray, np.ndarray]:
    found = runs.arrays(run_id, "predictions")
    return found["logits/test"], found["logits/val"]


def predictions(done: Sequence[RunResult]) -> dict[str, tuple[RunSpec, np.ndarray, np.ndarray]]:
    """Return label -> spec, test and validation logits (m, n, k) of the first nine chosen runs of one dataset whose files are there."""
    from kdlib.analysis import frames

    ids = {run.spec: run.id for run in load_runs(selected_ids()) if run.state == DONE}
    alike = [each for each in done if each.spec.dataset == done[0].spec.dataset][:9]
    if len(alike) < len(done):
        st.info("Shown are the first nine runs of one dataset.", icon=":material/info:")
    found = {}
    for result, label in zip(alike, frames.run_labels([each.spec for each in alike]), strict=True):
        try:
            found[label] = (result.spec, *_logits(ids[result.spec]))
        except RunNotFoundError:
            st.warning(
                f"The predictions of {escape(label)} have been deleted; it is left out.", icon=":material/folder_off:"
            )
    return found
