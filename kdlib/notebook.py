"""Results in a notebook: figures and cards of `RunResult` and `Comparison`, and `open_run`, which is `kdlib.open`.

`kdlib` imports this module at its start, so it loads nothing heavy before it is asked for something: what it builds on
is imported where it is used. Results know nothing of it; it gives them their `figures` and their HTML at the end.
"""

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any, overload

from kdlib.results import Comparison, RunResult
from kdlib.summary import Summary

if TYPE_CHECKING:
    from kdlib.analysis.figures.style import Figure
    from kdlib.spaces import Spaces

ARRAY_KINDS = ("student", "features", "predictions", "replay")


@overload
def open_run(runs: str) -> RunResult: ...
@overload
def open_run(runs: list[str] | tuple[str, ...]) -> Comparison: ...
def open_run(runs: str | list[str] | tuple[str, ...]) -> RunResult | Comparison:
    """Return the stored result of a run with its arrays, or of several runs side by side.

    Args:
        runs: id, beginning of an id, or name of a run; or a list of these, in which the name of a sweep, or one that
            several runs share, stands for all of them.

    Raises:
        ValueError: there is no such run, or nothing came of it.

    Example:
        >>> kdlib.open("3f2a").figures.accuracy()
        >>> kdlib.open(["first baseline", "first mlp"])
    """
    from kdlib import runs as stored

    if isinstance(runs, str):
        return _load(stored.find(runs).id)
    return Comparison(_load(run.id) for run in stored.find_all(runs))


def _load(run_id: str) -> RunResult:
    from contextlib import suppress
    from dataclasses import replace

    from kdlib import runs, store

    arrays = {}
    for kind in ARRAY_KINDS:
        with suppress(store.RunNotFoundError):  # a run of an earlier version may lack one
            arrays |= runs.arrays(run_id, kind)
    return replace(runs.result(run_id), arrays=arrays)


class Figures:
    """The figures of one result, or of several side by side; each method returns a plotly figure.

    Where a figure shows a single run, that is the compressed one that is best on validation.

    Example:
        >>> kdlib.open("3f2a").figures.maps(by="background")
    """

    def __init__(self, results: RunResult | Sequence[RunResult]) -> None:
        self._results = [results] if isinstance(results, RunResult) else list(results)

    def __repr__(self) -> str:
        return "figures: accuracy(), over_dim(), curves(), maps(), probes(), scorecard()"

    def accuracy(self) -> "Figure":
        """Return bars of the mean with its 95 % interval and the seeds as dots, in-domain and out of it."""
        from kdlib.analysis import frames
        from kdlib.analysis.comparison import metric_names
        from kdlib.analysis.figures.accuracy import plot_accuracy_bars

        return plot_accuracy_bars(frames.accuracies(self._results), metric_names(self._results))

    def over_dim(self) -> "Figure":
        """Return accuracy over the width of the compressed embedding."""
        from kdlib.analysis import frames
        from kdlib.analysis.comparison import metric_names
        from kdlib.analysis.figures.accuracy import plot_accuracy_over_dim

        return plot_accuracy_over_dim(frames.accuracy_over_dim(self._results), metric_names(self._results))

    def curves(self, curve: str = "val") -> "Figure":
        """Return training curves, the mean of the seeds in a band from the lowest to the highest.

        Args:
            curve: "val", "prediction", "distance" or "teacher".
        """
        from kdlib.analysis import frames
        from kdlib.analysis.comparison import metric_names
        from kdlib.analysis.figures.curves import CURVES, plot_curves
        from kdlib.registry import lookup

        lookup(CURVES, curve, "curve")
        specs = [result.spec for result in self._results]
        labels = frames.run_labels(specs)
        frame = frames.curves(specs, [result.history for result in self._results], labels)
        roles = dict(zip(labels, map(frames.method_role, specs), strict=True))
        return plot_curves(frame, curve, max(spec.epochs for spec in specs), roles, metric_names(self._results))

    def probes(self) -> "Figure":
        """Return what a linear probe reads of the target and of each attribute from every space of a run."""
        from kdlib import spaces
        from kdlib.analysis.figures.accuracy import plot_probes

        return plot_probes(spaces.probe_table(self._one()))

    def maps(self, by: str = "class", projection: str = "pca", split: str = "test", member: int = 0) -> "Figure":
        """Return maps of the raw, the compressed and the student's space of a run.

        Args:
            by: "class", an attribute, "prediction" or "error".
            projection: "pca", or "umap", "tsne", "aligned", which take from seconds to a minute.
            split: "test", "val", "train" or "ood:<name>".
            member: which seed.
        """
        from kdlib import spaces
        from kdlib.analysis.figures.maps import plot_maps
        from kdlib.analysis.projection import STRENGTH
        from kdlib.data import datasets

        view = self._spaces(split, member)
        shown, maps = spaces.project_now(view, projection, STRENGTH)
        data = datasets.load(view.spec.dataset)
        colouring = spaces.colours(by, data, view.rows[shown], view.logits[shown], {})
        places = dict(zip(view.spaces, maps.places, strict=True))
        return plot_maps(places, colouring.codes, colouring.names, colouring.colours, colouring.shapes)

    def scorecard(self, split: str = "test", member: int = 0) -> "Figure":
        """Return how alike the spaces of a run are: neighbours kept, CKA, distance correlation. It takes seconds.

        Args:
            split: "test", "val", "train" or "ood:<name>".
            member: which seed.
        """
        from kdlib import spaces
        from kdlib.analysis.figures.maps import plot_scorecard

        return plot_scorecard(spaces.pair_frame(spaces.compute_scorecard(self._spaces(split, member))))

    def _one(self) -> RunResult:
        from kdlib.analysis.comparison import best_compressed

        return self._results[best_compressed(self._results) or 0]

    def _spaces(self, split: str, member: int) -> "Spaces":
        from kdlib import spaces

        return spaces.result_spaces(self._one(), split, member)


CARD = "border-left:4px solid #e08214;padding:.4em 1em;margin:.4em 0"


def _percent(value: Summary | None) -> str:
    from kdlib.analysis.comparison import format_percent

    return format_percent(value)


def _result_card(result: RunResult) -> str:
    """Return a result as a card: what is unlike the default, scores with intervals, n."""
    from kdlib.analysis.comparison import METRIC_NAMES
    from kdlib.names import method_name, teacher_name
    from kdlib.spec import RunSpec, setting_text, unused_fields

    spec, default, unused = result.spec, RunSpec(), unused_fields(result.spec)
    settings = [
        f"{name.replace('_', ' ')} {setting_text(value)}"
        for name, value in vars(spec).items()
        if name not in (*unused, "method", "dataset", "seeds") and value != getattr(default, name)
    ]
    teacher = "" if "teacher" in unused else f", taught by {teacher_name(spec.teacher)}"
    head = f"<b>{escape(method_name(spec.method))}</b> on {escape(spec.dataset)}{escape(teacher)}"
    if settings:
        head += f"<br><small>{escape(', '.join(settings))}</small>"
    if not result.metrics:
        ending = f"{result.status}: {result.reason}" if result.reason else result.status
        return f"<div style='{CARD}'>{head}<br>{escape(ending)}</div>"
    rows = "".join(
        f"<tr><td>{escape(split)}</td><td>{_percent(scores.primary)}</td></tr>"
        for split, scores in result.metrics.items()
    )
    metric = METRIC_NAMES[result.primary_name]
    table = f"<table><tr><th>split</th><th>{metric}, % (n = {spec.seeds})</th></tr>{rows}</table>"
    return f"<div style='{CARD}'>{head}{table}</div>"


def _comparison_card(results: Comparison) -> str:
    """Return results as a card: the sentence, and a row per run with what differs, scores with intervals, n."""
    from kdlib.analysis.frames import run_labels, split_name
    from kdlib.analysis.verdicts import verdict

    splits = list(dict.fromkeys(split for result in results for split in result.metrics if split != "val"))
    head = "".join(f"<th>{escape(split_name(split))}, %</th>" for split in splits)
    rows = ""
    for label, result in zip(run_labels([result.spec for result in results]), results, strict=True):
        cells = "".join(f"<td>{_percent(result.score(split))}</td>" for split in splits)
        rows += f"<tr><td>{escape(label)}</td>{cells}<td>{result.spec.seeds}</td></tr>"
    table = f"<table><tr><th>run</th>{head}<th>n</th></tr>{rows}</table>"
    return f"<div style='{CARD}'>{escape(verdict(results))}{table}</div>"


_VIEWS: dict[type, dict[str, Any]] = {
    RunResult: {"figures": property(Figures), "_repr_html_": _result_card},
    Comparison: {"figures": property(Figures), "_repr_html_": _comparison_card},
}
for _kind, _views in _VIEWS.items():
    for _name, _view in _views.items():
        setattr(_kind, _name, _view)
