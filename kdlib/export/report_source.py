"""What a report is about: runs that are done, their results, and the spaces of those that it shows."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field

from kdlib import runs, spaces, store
from kdlib.analysis import frames
from kdlib.analysis.comparison import best_compressed
from kdlib.data import datasets
from kdlib.data.dataset import Dataset
from kdlib.models import embedding, teachers
from kdlib.results import RunResult
from kdlib.runs import sequences
from kdlib.spaces import Scorecard, SpaceMaps, SpaceRequest, Spaces
from kdlib.spec import BASELINE, RAW
from kdlib.store import RunInfo


@dataclass(frozen=True)
class RunView:
    """The spaces of one run on the test set, as its first seed has them.

    Attributes:
        label: of the run.
        result: what came of it.
        spaces: its rows in them.
        scorecard: what the spaces say about one another; None where it was not measured.
        umap: its UMAP maps; None where they were not drawn.
    """

    label: str
    result: RunResult
    spaces: Spaces
    scorecard: Scorecard | None
    umap: SpaceMaps | None


@dataclass(frozen=True)
class ReportSource:
    """What a report is about.

    Attributes:
        infos: of the runs that are reported; of several that are one result, the first.
        results: theirs, in the same order.
        labels: short names of them.
        left_out: of each other run, name and why it is left out.
        data: name -> the datasets that are still there.
        view: the spaces of the compressed run that is best on validation; None where they are not at hand.
        no_view: why they are not, "" where they are.
        ids: of all runs that are reported.
    """

    infos: list[RunInfo]
    results: list[RunResult]
    labels: list[str]
    left_out: list[str]
    data: dict[str, Dataset]
    view: RunView | None = None
    no_view: str = ""
    ids: list[str] = field(default_factory=list)


def count_students(result: RunResult) -> int:
    """Return how many students a measured result is about: its seeds, on all its labelled subsets."""
    return len(result.metrics["test"].primary.values)


def load_source(run_ids: Sequence[str], *, measure: bool = False) -> ReportSource:
    """Return what a report of these runs is about.

    Args:
        run_ids: of the runs.
        measure: whether to measure how alike the spaces are where that is not known yet, which takes seconds.

    Raises:
        ValueError: a run is not in the store, or none of them is done and has its files.

    Example:
        >>> load_source([run_id]).labels
    """
    infos, results, left_out = [], [], []
    for info in map(runs.get, dict.fromkeys(run_ids)):
        reason = {store.FAILED: "it failed", store.CANCELLED: "it was cancelled"}.get(info.state, "it is not over")
        if info.state == store.DONE:
            try:
                result, reason = runs.result(info.id), "it has no scores"
                if result.metrics:
                    infos.append(info)
                    results.append(result)
                    continue
            except store.RunNotFoundError:
                reason = "its files have been deleted"
        left_out.append(
            f"{info.name} ({info.id[:8]}) is left out: {reason}{f': {info.reason}' if info.reason else ''}."
        )
    if not results:
        raise ValueError("a report needs at least one finished run: " + (" ".join(left_out) or "none was given"))
    ids, pairs = [info.id for info in infos], list(zip(infos, results, strict=True))
    results = sequences.pool_runs(infos, results)
    infos = [_first_run(result, pairs) for result in results]
    labels = frames.run_labels([result.spec for result in results])
    data: dict[str, Dataset] = {}
    for name in dict.fromkeys(result.spec.dataset for result in results):
        with suppress(ValueError):  # imported once, and deleted since
            data[name] = datasets.load(name)
    view, reason = _load_view(infos, results, labels, data, measure)
    return ReportSource(infos, results, labels, left_out, data, view, reason, ids)


def _first_run(result: RunResult, pairs: Sequence[tuple[RunInfo, RunResult]]) -> RunInfo:
    """Return the run of the first seeds and labelled rows of a result, among all runs and what each came to."""
    count, identity = result.spec.seeds, result.spec.identity
    alike = [(info, each) for info, each in pairs if each.spec.replace(seeds=count).identity == identity]
    return max(alike, key=lambda pair: pair[1].spec.seeds == count)[0]


def _load_view(
    infos: Sequence[RunInfo],
    results: Sequence[RunResult],
    labels: Sequence[str],
    data: dict[str, Dataset],
    measure: bool,
) -> tuple[RunView | None, str]:
    """Return the spaces of the run to look into, and why there are none."""
    place = best_compressed(results)
    if place is None:
        place = next((i for i, result in enumerate(results) if result.spec.method == RAW), 0)
    result, info = results[place], infos[place]
    spec = result.spec
    if spec.dataset not in data:
        return None, f"The maps are left out: {spec.dataset} is not on this machine any more."
    try:
        if spec.method != BASELINE and not (
            teachers.is_built_in(spec.teacher) or embedding.is_embedded(spec.teacher, spec.dataset)
        ):
            return None, f"The maps are left out: the embeddings of {spec.teacher} are not on this machine."
        view = spaces.load_spaces(info.id)
    except (ValueError, OSError) as error:
        return None, f"The maps are left out: {error}."
    if measure and spaces.cached(SpaceRequest(info.id), view) is None:
        spaces.compute(asdict(SpaceRequest(info.id)))
    card = spaces.cached(SpaceRequest(info.id), view)
    umap = spaces.cached(SpaceRequest(info.id, projection="umap"), view)
    known = card if isinstance(card, Scorecard) else None
    return RunView(labels[place], result, view, known, umap if isinstance(umap, SpaceMaps) else None), ""
