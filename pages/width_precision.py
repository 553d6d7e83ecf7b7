"""Width x precision, a section of Compare: the cheapest embedding that is good enough, and taking it away."""

from collections.abc import Mapping, Sequence

import streamlit as st

from kdlib.analysis import frames
from kdlib.analysis.figures.precision import plot_over_bytes
from kdlib.analysis.result_tables import to_csv
from kdlib.analysis.width_precision import MEASURES, PrecisionRow, cheapest, verdict
from kdlib.data import datasets
from kdlib.results import RunResult
from kdlib.spaces import Failure, precision_jobs
from kdlib.spaces.export_jobs import ExportRequest, fetch
from kdlib.spaces.precision_jobs import COMPRESSED_SPACE, RAW_SPACE, PrecisionRequest
from kdlib.spec import RunSpec
from kdlib.store import DONE, RunInfo
from pages import address, live, show
from pages.text import escape

ENDINGS = {".parquet": "Parquet", ".npz": "npz"}
MAX_BYTES = 200 << 20  # of numbers that a download may hold; more is for the command line
Answers = dict[PrecisionRequest, list[PrecisionRow] | Failure | None]


def show_section(results: Sequence[RunResult]) -> None:
    """Show what widths and precisions of the chosen runs are worth; measured by the engine, once."""
    specs = {result.spec for result in results}
    infos = [run for run in address.load_runs(address.selected_ids()) if run.state == DONE and run.spec in specs]
    taught = [run for run in infos if precision_jobs.list_requests(run.id, run.spec)]
    if not taught:
        st.info("None of the chosen runs has a teacher, so there is no embedding to store.", icon=":material/info:")
        return
    families: dict[str, list[RunInfo]] = {}
    for run, label in zip(taught, frames.family_labels([run.spec for run in taught]), strict=True):
        families.setdefault(label, []).append(run)
    widest = max(families, key=lambda label: _count_widths(families[label]))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        label = st.selectbox(
            "Embedding",
            list(families),
            list(families).index(widest),
            key="embedding",
            bind="query-params",
            help="Runs that differ in nothing but their width are one line of the chart.",
        )
        measure = st.segmented_control(
            "Judged by",
            list(MEASURES),
            default="probe",
            required=True,
            key="judge",
            bind="query-params",
            format_func=MEASURES.__getitem__,
            help="What has to be good enough; below the table is what each of them says.",
        )
    chosen = families[label]
    waiting = any(answer is None for answer in _answers(chosen).values())
    live.draw_while(lambda: _draw(chosen, measure, waiting), waiting)


def _count_widths(infos: Sequence[RunInfo]) -> int:
    return len({width for run in infos for width in precision_jobs.widths_of(run.setting)})


def _answers(infos: Sequence[RunInfo]) -> Answers:
    """Return what has been measured of some runs; the raw embedding once, as they share it."""
    requests = [(request, run) for run in infos for request in precision_jobs.list_requests(run.id, run.spec)]
    raw = next(request for request, _ in requests if request.space == RAW_SPACE)
    return {
        request: precision_jobs.cached(request, run.spec)
        for request, run in requests
        if request.space == COMPRESSED_SPACE or request == raw
    }


def _draw(infos: Sequence[RunInfo], measure: str, waiting: bool) -> bool:
    """Show what is measured; return whether something is still being measured.

    What was waited for is shown by the draw of the whole page that follows: a download whose button is drawn anew while
    its click is on the way is lost.
    """
    answers, specs = _answers(infos), {run.id: run.spec for run in infos}
    missing = [request for request, answer in answers.items() if answer is None]
    if missing:
        left = len(missing)
        text = f"Measuring widths and precisions: {left} of {len(answers)} to go"
        st.progress(1 - left / len(answers), text=text)
    for request in missing:  # below the bar: the engine may have to start first
        precision_jobs.request(request, specs[request.run])
    for request, answer in answers.items():
        if isinstance(answer, Failure):
            st.error(
                f"The {request.space} embedding cannot be measured: {escape(answer.reason)}", icon=":material/error:"
            )
            if st.button("Measure again", key=f"again-{request.run}-{request.space}"):
                precision_jobs.discard(request, specs[request.run])
                st.rerun()
    rows = {request: answer for request, answer in answers.items() if isinstance(answer, list)}
    if rows and not missing and not waiting:
        _show_rows(infos, rows, measure)
    return bool(missing)


def _show_rows(infos: Sequence[RunInfo], rows: Mapping[PrecisionRequest, list[PrecisionRow]], measure: str) -> None:
    raw, compressed = (
        [row for request, group in rows.items() if request.space == space for row in group]
        for space in (RAW_SPACE, COMPRESSED_SPACE)
    )
    st.info(escape(verdict([*raw, *compressed], measure)), icon=":material/flag:")
    figure = plot_over_bytes(frames.worth_over_bytes(raw, compressed, measure), MEASURES[measure])
    show.exportable_figure(
        figure, "width-precision", f"{MEASURES[measure]} over bytes per item, a line for each precision"
    )
    _show_download(infos, rows, measure)
    table = frames.precision_table(raw, compressed, measure)
    named = table[["space", "choice", *table.columns.drop(["space", "choice"])]]  # the first column names a row
    show.table(named, "What every width and precision takes and is worth")
    st.download_button(
        "CSV", to_csv(table), "width-precision.csv", "text/csv", icon=":material/download:", on_click="ignore"
    )
    st.caption(
        "Test rows against labelled training rows, mean over the seeds ± 95 % interval. **Probe**: a linear "
        "classifier on the stored numbers. **kNN**: the most frequent class of the 10 nearest training rows. "
        "**Neighbour overlap**: how many of the 10 nearest in the full raw embedding are still among the 10 nearest. "
        "**Recall @ k**: how often a row of the same class is among the k nearest. Bits are compared by how many "
        "differ, all else by Euclidean distance. int8: 256 steps between the extremes of the training rows; binary: "
        "above the middle of them or not."
    )


def _show_download(infos: Sequence[RunInfo], rows: Mapping[PrecisionRequest, list[PrecisionRow]], measure: str) -> None:
    """Show what takes a width and precision away, the cheapest that is good enough unless another is chosen."""
    cells = [(request, row) for request, group in rows.items() for row in group]
    cells.sort(key=lambda cell: (cell[1].item_bytes, cell[1].width))
    good = cheapest([row for _, row in cells], measure)
    specs = {run.id: run.setting for run in infos}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        place = st.selectbox(
            "Take away",
            range(len(cells)),
            next(number for number, (_, row) in enumerate(cells) if row is good),
            key=f"cell-{measure}",
            format_func=lambda number: _cell_name(*cells[number]),
            help="The embeddings of all items of the dataset, with their names.",
            width=320,
        )
        request, row = cells[place]
        spec = specs[request.run]
        seed = st.number_input("Seed", 0, spec.seeds - 1, 0, key="export-seed", help="Which member of the run.")
        wanted = [
            ExportRequest(request.run, request.space, int(seed), _leading(request, row, spec), row.precision, ending)
            for ending in ENDINGS
        ]
        if row.item_bytes * len(datasets.load(spec.dataset).ids) <= MAX_BYTES:
            for export in wanted:
                name = f"{request.space}-{row.width}-{row.precision}{export.ending}"
                st.download_button(
                    ENDINGS[export.ending],
                    lambda export=export: fetch(export),
                    name,
                    key=f"download{export.ending}",
                    icon=":material/download:",
                    on_click="ignore",
                )
    st.code(wanted[0].command, language="bash", wrap_lines=True)


def _leading(request: PrecisionRequest, row: PrecisionRow, spec: RunSpec) -> int | None:
    widths = precision_jobs.widths_of(spec)
    return row.width if request.space == COMPRESSED_SPACE and row.width < widths[-1] else None


def _cell_name(request: PrecisionRequest, row: PrecisionRow) -> str:
    size = f"{row.item_bytes:,} byte{'' if row.item_bytes == 1 else 's'}"
    return f"{request.space}, {row.width:,} numbers, {row.precision}: {size} an item"
