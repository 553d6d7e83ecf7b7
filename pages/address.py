"""Runs in the address of a page: which are selected, what is stored of them, and launching new ones into it."""

import re
import secrets
from collections.abc import Sequence
from contextlib import suppress
from typing import Literal, NamedTuple

import numpy as np
import streamlit as st

from kdlib import runs
from kdlib.analysis.rounds import Repetition
from kdlib.names import in_order
from kdlib.results import Point, RunResult
from kdlib.runs import sequences, sweeps
from kdlib.spec import RunSpec
from kdlib.store import DONE, RunInfo, RunNotFoundError
from pages.text import escape

RUN_ID, SWEEP = re.compile(r"[0-9a-f]{32}"), re.compile(r"[0-9a-f]{12}")
MAX_CURVE = 30  # points of a curve drawn in a cell of a table
MAX_TITLE = 40  # characters of a dataset's name in the title of a window
MAX_PREDICTIONS = 9  # runs whose predictions are shown side by side


class Predictions(NamedTuple):
    """What the members of a run predict.

    Attributes:
        spec: of the run.
        test, val: logits (m, n, k) of these splits.
    """

    spec: RunSpec
    test: np.ndarray
    val: np.ndarray


def open_sweep() -> str:
    """Return the name of the sweep, or of the comparison in rounds, that the address names; "" for none.

    Runs that it names count first.
    """
    name = st.query_params.get("sweep", "")
    return name if SWEEP.fullmatch(name) and "runs" not in st.query_params else ""


def selected_ids() -> list[str]:
    """Return the ids of the runs that the address names: these, or all of a sweep as it is now."""
    if name := open_sweep():
        return sweeps.member_ids(name)
    return list(dict.fromkeys(RUN_ID.findall(st.query_params.get("runs", ""))))


def select_runs(ids: Sequence[str]) -> None:
    """Put runs into the address."""
    st.query_params.pop("sweep", None)
    if ids:
        st.query_params["runs"] = ",".join(ids)
    else:
        st.query_params.pop("runs", None)


def select_sweep(name: str) -> None:
    """Put a sweep into the address: all its runs, those that are launched later included."""
    st.query_params.pop("runs", None)
    st.query_params["sweep"] = name


def query(infos: Sequence[RunInfo]) -> dict[str, str]:
    """Return the part of an address that selects runs: of all of the sweep that is open, its name."""
    name = open_sweep()
    if name and {run.id for run in infos} == set(sweeps.member_ids(name)):
        return {"sweep": name}
    return {"runs": ",".join(run.id for run in infos)}


def opened_by_link(key: str) -> Literal["rerun", "ignore"]:
    """Open what has this key if the address asks for it (`?open=KEY`); return its `on_change`, without which it cannot.

    Without such a link it stays as cheap as it is: opening it draws nothing anew.
    """
    if st.query_params.get("open") != key:
        return "ignore"
    if key not in st.session_state:
        st.session_state[key] = True
    return "rerun"


def read_choice(key: str, options: Sequence[str]) -> list[str]:
    """Return what the address chooses for a control that is not on the page yet, as far as it is among the options.

    For controls that show plain names: bound to the address, they would write those into it instead of code names.
    """
    if key in st.session_state:
        return []
    return [name for text in st.query_params.get_all(key) for name in text.split(",") if name in options]


def write_choice(key: str, chosen: Sequence[str], default: Sequence[str]) -> None:
    """Put what a control chooses into the address, unless that is its default."""
    if list(chosen) == list(default):
        st.query_params.pop(key, None)
    elif st.query_params.get_all(key) != list(chosen):
        st.query_params[key] = list(chosen)


@st.cache_data(ttl=60, max_entries=500, show_spinner=False)
def _run_name(run_id: str) -> str:
    with suppress(ValueError):  # the page itself says what is wrong
        return runs.get(run_id).name
    return run_id[:8]


@st.cache_data(ttl=60, max_entries=500, show_spinner=False)
def _sweep_title(name: str) -> str:
    return sweeps.sweep_title(name) or f"sweep {name}"


def name_window(page: str, about: str = "") -> None:
    """Put into the title of the window which page is open, and on what: runs, a dataset, or what `about` says."""
    ids = selected_ids() or RUN_ID.findall(st.query_params.get("run", ""))
    if not about and ids:
        about = f"{len(ids)} runs" if len(ids) > 1 else _run_name(ids[0])
        about = f"{_sweep_title(open_sweep())}, {about}" if open_sweep() else about
    about = about or st.query_params.get("dataset", "")[:MAX_TITLE]
    st.set_page_config(page_title=" · ".join(filter(None, [about, page, "KD Lab"])))


def request_id() -> str:
    """Return the id of the next launch; two clicks before it is carried out launch once."""
    return st.session_state.setdefault("request", secrets.token_hex(12))


def visitor() -> str:
    """Return a name for this browser session, so that one who launches much does not keep others waiting."""
    return f"visitor {st.session_state.setdefault('visitor', secrets.token_hex(3))}"


def launch(specs: Sequence[RunSpec], name: str = "") -> list[str]:
    """Start runs in the background, select them and return their ids."""
    ids = runs.launch(specs, name=name, request_id=request_id(), user=visitor())
    st.session_state["request"] = secrets.token_hex(12)
    select_runs(ids)
    return ids


def launch_sweep(specs: Sequence[RunSpec], name: str = "") -> None:
    """Launch specs as one sweep, as far as the store lacks them, and select it."""
    select_sweep(sweeps.launch(specs, name=name, user=visitor()).name)


def launch_rounds(specs: Sequence[RunSpec], repetition: Repetition, name: str = "") -> None:
    """Launch a comparison in rounds, as far as the store lacks it, and select it."""
    select_sweep(sequences.launch(specs, repetition, name=name, user=visitor()).name)


def add_seeds(infos: Sequence[RunInfo], seeds: int) -> None:
    """Launch what finished runs of one comparison lack of so many seeds, and select all of it."""
    allowed = 1 + max(sequences.allowed_looks(run) for run in infos)
    select_sweep(sequences.add_seeds(infos, seeds, allowed, user=visitor()).name)


def load_runs(ids: Sequence[str]) -> list[RunInfo]:
    """Return the runs with these ids as they are now, baseline, raw, compressed; a message says which are not there."""
    infos = []
    for run_id in ids:
        try:
            infos.append(runs.get(run_id))
        except RunNotFoundError:
            st.info(f"Run {run_id[:8]} is not in this store; it may have been deleted.", icon=":material/search_off:")
    return in_order(infos, lambda run: run.spec)


@st.cache_data(max_entries=500, show_spinner=False)
def _stored_result(run_id: str, ended: float) -> RunResult:  # noqa: ARG001
    return runs.result(run_id)


@st.cache_data(max_entries=500, show_spinner=False)
def _stored_history(run_id: str, ended: float) -> list[Point]:  # noqa: ARG001
    return runs.history(run_id)


def load_result(run: RunInfo) -> RunResult:
    """Return the result of a run that is done.

    Raises:
        RunNotFoundError: its file has been deleted.
    """
    return _stored_result(run.id, run.ended or 0.0)


def load_results(infos: Sequence[RunInfo]) -> list[RunResult]:
    """Return the results of the runs that are done; a message says whose files have been deleted."""
    results = []
    for run in infos:
        if run.state == DONE:
            try:
                results.append(load_result(run))
            except RunNotFoundError:
                st.warning(
                    f"The files of run {run.id[:8]} have been deleted; it is left out.", icon=":material/folder_off:"
                )
    return results


def load_pooled(infos: Sequence[RunInfo]) -> list[RunResult]:
    """Return the results of the runs that are measured, as one where they belong together: `sequences.pool_runs`."""
    return sequences.pool_runs(infos, [result for result in load_results(infos) if result.metrics])


def load_histories(infos: Sequence[RunInfo]) -> list[list[Point]]:
    """Return the points of each run so far."""
    return [runs.history(run.id) if run.active else _stored_history(run.id, run.ended or 0.0) for run in infos]


def load_validation_curves(infos: Sequence[RunInfo]) -> list[list[float]]:
    """Return the validation score of each run over its epochs, mean over the seeds, at most 30 points; [] for none."""
    curves = []
    for run in infos:
        try:
            [points] = load_histories([run])
        except RunNotFoundError:
            points = []
        values = [sum(finite) / len(finite) for point in points if (finite := point.finite("val"))]
        curves.append(values[:: max(1, -(-len(values) // MAX_CURVE))])
    return curves


@st.cache_data(max_entries=50, show_spinner=False)
def _stored_logits(run_id: str) -> tuple[np.ndarray, np.ndarray]:
    arrays = runs.arrays(run_id, "predictions")
    return arrays["logits/test"], arrays["logits/val"]


def _load_members(result: RunResult, done: Sequence[RunInfo]) -> Predictions:
    """Return what all members of a result predict, on its first labelled rows; several runs may have trained them."""
    alike = [run for run in done if run.spec.replace(seeds=result.spec.seeds) == result.spec]
    chain = [max(alike, key=lambda run: (run.spec.seeds == result.spec.seeds, -run.spec.seeds))]
    while (count := chain[-1].spec.seed_numbers.stop) < result.spec.seeds:
        wanted = result.setting.replace(first_seed=count, seeds=1)
        chain.append(next(run for run in done if run.spec.replace(seeds=1) == wanted))
    test, val = (np.concatenate(each) for each in zip(*(_stored_logits(run.id) for run in chain), strict=True))
    return Predictions(result.spec, test, val)


def load_predictions(results: Sequence[RunResult]) -> dict[str, Predictions]:
    """Return label -> predictions of the first nine selected runs of one dataset; messages say which are left out."""
    from kdlib.analysis import frames

    done = [run for run in load_runs(selected_ids()) if run.state == DONE]
    alike = [result for result in results if result.spec.dataset == results[0].spec.dataset][:MAX_PREDICTIONS]
    if len(alike) < len(results):
        st.info("Shown are the first nine runs of one dataset.", icon=":material/info:")
    predictions = {}
    for result, label in zip(alike, frames.run_labels([result.spec for result in alike]), strict=True):
        try:
            predictions[label] = _load_members(result, done)
        except RunNotFoundError:
            st.warning(
                f"The predictions of {escape(label)} have been deleted; it is left out.", icon=":material/folder_off:"
            )
    return predictions
