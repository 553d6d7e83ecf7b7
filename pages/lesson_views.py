"""What a lesson can show: registry `VIEWS`, a function of a step's runs per line; lessons name them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import streamlit as st

from kdlib import runs, spaces
from kdlib.analysis import frames
from kdlib.analysis.comparison import metric_names
from kdlib.analysis.figures.accuracy import plot_accuracy_bars, plot_accuracy_over_dim, plot_probes
from kdlib.analysis.figures.curves import plot_curves
from kdlib.data import datasets
from kdlib.results import RunResult
from kdlib.spec import RunSpec
from kdlib.store import RunInfo
from pages import map_sections, show

HEIGHT = 380  # pixels of a figure


@dataclass(frozen=True)
class Shown:
    """What a view is given.

    Attributes:
        key: a prefix for keys of elements.
        specs: name of a run -> its spec.
        infos: name of a run -> the run.
        results: name of a run -> its result.
        large: whether it is shown to a room.
    """

    key: str
    specs: Mapping[str, RunSpec]
    infos: Mapping[str, RunInfo]
    results: Mapping[str, RunResult]
    large: bool = False

    def figure(self, plot: object, name: str, alt: str) -> None:
        """Show a figure, with larger letters for a room."""
        plot.update_layout(height=HEIGHT, font_size=18 if self.large else 13)  # type: ignore[attr-defined]
        show.figure(plot, f"{self.key}-{name}", alt)


class View(NamedTuple):
    """A view.

    Attributes:
        draw: shows it.
        needs_runs: whether runs must be done before.
    """

    draw: Callable[[Shown], None]
    needs_runs: bool = True


def accuracy(shown: Shown) -> None:
    """Show accuracies on the test set."""
    _bars(shown, ["test"], "accuracy")


def out_of_domain(shown: Shown) -> None:
    """Show accuracies on the test set and out of domain."""
    _bars(shown, None, "out-of-domain")


def _bars(shown: Shown, splits: list[str] | None, name: str) -> None:
    results = list(shown.results.values())
    figure = plot_accuracy_bars(frames.accuracies(results, splits, list(shown.results)), metric_names(results))
    shown.figure(figure, name, f"The {metric_names(results)} of each run")
    counts = ", ".join(sorted({str(result.spec.seeds) for result in results}))
    hatched = " Hatched: out of domain." if splits is None else ""
    st.caption(f"Bars: mean over {counts} seeds, whiskers: 95 % interval, dots: the seeds.{hatched}")


def curves(shown: Shown) -> None:
    """Show how validation accuracy grew."""
    names, specs = list(shown.infos), list(shown.specs.values())
    histories = [runs.history(info.id) for info in shown.infos.values()]
    roles = {name: frames.method_role(spec) for name, spec in shown.specs.items()}
    frame = frames.curves([shown.specs[name] for name in names], histories, names)
    figure = plot_curves(frame, "val", max(spec.epochs for spec in specs), roles)
    shown.figure(figure, "curves", "Validation accuracy of each run over the epochs")


def probes(shown: Shown) -> None:
    """Show what a probe reads from the spaces of the first run that has them."""
    for result in shown.results.values():
        frame = spaces.probe_table(result)
        if result.teacher and not frame.empty:
            shown.figure(plot_probes(frame), "probes", "Probe accuracy in each space for the target and each attribute")
            st.caption("How often a linear probe is right, on test items; dotted: chance.")
            return


def dimension(shown: Shown) -> None:
    """Show accuracy over the width of the compressed embedding."""
    points = frames.accuracy_over_dim(list(shown.results.values()))
    shown.figure(plot_accuracy_over_dim(points), "dimension", "Accuracy over the width of the compressed embedding")
    st.caption("Whiskers: 95 % interval, dots: the seeds; dashed: raw and baseline.")


def items(shown: Shown) -> None:
    """Show some items of the dataset with their class."""
    data = datasets.load(next(iter(shown.specs.values())).dataset)
    map_sections.show_gallery(data, data.splits["test"][:24])
    st.caption("Some test pictures with the digit that is in them.")


VIEWS = {
    "accuracy": View(accuracy),
    "out-of-domain": View(out_of_domain),
    "curves": View(curves),
    "probes": View(probes),
    "dimension": View(dimension),
    "items": View(items, needs_runs=False),
}
