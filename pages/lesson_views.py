"""What a lesson can show: registry `VIEWS`, a function of a step's runs per line; lessons name them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import streamlit as st

from kdlib import names, runs, spaces
from kdlib.analysis import frames
from kdlib.analysis.comparison import metric_names
from kdlib.analysis.figures import teaching
from kdlib.analysis.figures.accuracy import plot_accuracy_bars, plot_accuracy_over_dim, plot_probes
from kdlib.analysis.figures.curves import plot_curves
from kdlib.analysis.figures.maps import plot_maps
from kdlib.analysis.figures.style import COLOURS, Figure
from kdlib.data import datasets
from kdlib.lessons import Measured, Prediction, tables
from kdlib.results import RunResult
from kdlib.spaces import width_jobs
from kdlib.spec import RunSpec, unused_fields
from kdlib.store import RunInfo
from kdlib.training.pairs import APART, pair_matrix
from pages import live, show, tiles, width_dial
from pages.batch import Square, batch_data, show_batch
from pages.text import escape

HEIGHT, LARGE_HEIGHT = 340, 330  # pixels of a figure; for a room it shares the screen with larger letters
SPACES = {"raw": "Teacher", "compressed": "Compressed", "student": "Student"}
SETTINGS: dict[str, Callable[[Any], str]] = {  # field -> its value in words; the others are shown as they are
    "teacher": names.teacher_name,
    "dim": lambda value: f"{value} numbers",
    "distance_weight": lambda value: f"λ = {value:g}",
    "labels": lambda value: f"{value:,} labels",
    "epochs": lambda value: f"{value} epochs",
}


@dataclass(frozen=True)
class Shown:
    """What a view is given.

    Attributes:
        key: a prefix for keys of elements.
        specs: name of a run -> its spec.
        infos: name of a run -> the run.
        results: name of a run -> its result.
        large: whether it is shown to a room.
        about: what a view is shown by, the second word of its name; "" without one.
        prediction: the question of the step, None without one.
        answer: what the visitor predicted, () for nothing.
    """

    key: str
    specs: Mapping[str, RunSpec]
    infos: Mapping[str, RunInfo]
    results: Mapping[str, RunResult]
    large: bool = False
    about: str = ""
    prediction: Prediction | None = None
    answer: Sequence[float] = ()

    @property
    def labels(self) -> dict[str, str]:
        """Name of a run -> what it is called in a figure: its method, if they differ in it, and what else differs."""
        specs = list(self.specs.values())
        differing = frames.differing_fields(specs)
        same_method = len({spec.method for spec in specs}) == 1 and len(specs) > 1
        labels = {}
        for name, spec in self.specs.items():
            used = [field for field in differing if field != "method" and field not in unused_fields(spec)]
            words = [SETTINGS.get(field, str)(getattr(spec, field)) for field in used]
            labels[name] = ", ".join(words if same_method else [names.method_name(spec.method), *words])
        return labels

    def figure(self, plot: Figure, name: str, alt: str) -> None:
        """Show a figure, with larger letters for a room."""
        plot.update_layout(height=LARGE_HEIGHT if self.large else HEIGHT, font_size=17 if self.large else 13)
        if not plot["layout.xaxis.title.text"]:
            plot.update_layout(margin_b=32)
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
    figure = plot_accuracy_bars(
        frames.accuracies(results, splits, [shown.labels[name] for name in shown.results]), metric_names(results)
    )
    shown.figure(figure, name, f"The {metric_names(results)} of each run")
    counts = ", ".join(sorted({str(result.spec.seeds) for result in results}))
    hatched = " Hatched: out of domain." if splits is None else ""
    st.caption(f"Bars: mean over {counts} seeds, whiskers: 95 % interval, dots: the seeds.{hatched}")


def curves(shown: Shown) -> None:
    """Show how validation accuracy grew."""
    labels, epochs = shown.labels, max(spec.epochs for spec in shown.specs.values())
    histories = [runs.history(info.id) for info in shown.infos.values()]
    roles = {labels[name]: names.method_role(spec) for name, spec in shown.specs.items()}
    specs = [shown.specs[name] for name in shown.infos]
    frame = frames.curves(specs, histories, [labels[name] for name in shown.infos])
    figure = plot_curves(frame, "val", epochs, roles)
    shown.figure(figure, "curves", "Validation accuracy of each run over the epochs")


def probes(shown: Shown) -> None:
    """Show what a probe reads from the spaces of the first run that has them."""
    for result in shown.results.values():
        frame = spaces.probe_table(result)
        if result.teacher and not frame.empty:
            shown.figure(plot_probes(frame), "probes", "Probe accuracy in each space for the target and each attribute")
            st.caption("How often a linear probe is right, on test items; dotted: chance.")
            return


def probes_raw(shown: Shown) -> None:
    """Show what a probe reads from the raw embedding alone."""
    for result in shown.results.values():
        frame = spaces.probe_table(result)
        if result.teacher and not frame.empty:
            raw = frame[frame["label"] == "raw"]
            shown.figure(plot_probes(raw), "probes-raw", "Probe accuracy on the raw embedding, for each question")
            st.caption("How often a linear probe on the teacher's embedding is right, on test items; dotted: chance.")
            return


def teacher_probes(shown: Shown) -> None:
    """Show how well the target can be read from the raw embedding of each teacher."""
    rows = [
        (
            names.teacher_name(result.spec.teacher),
            "raw",
            "target",
            False,
            raw.mean,
            raw.ci95,
            raw.values,
            result.teacher.probe.chance,
        )
        for result in shown.results.values()
        if result.teacher and (raw := result.teacher.probe.raw)
    ]
    columns = ["label", "role", "split", "outside", "mean", "ci95", "values", "chance"]
    figure = plot_probes(pd.DataFrame(rows, columns=columns))
    shown.figure(figure, "teacher-probes", "How often a probe on each teacher's embedding tells the target")
    st.caption("How often a linear probe on each teacher's embedding is right about the target; dotted: chance.")


def dimension(shown: Shown) -> None:
    """Show accuracy over the width of the compressed embedding."""
    points = frames.accuracy_over_dim(list(shown.results.values()))
    shown.figure(plot_accuracy_over_dim(points), "dimension", "Accuracy over the width of the compressed embedding")
    st.caption("Whiskers: 95 % interval, dots: the seeds; dashed: raw and baseline.")


def items(shown: Shown) -> None:
    """Show some items of the dataset with their class."""
    data = datasets.load(next(iter(shown.specs.values())).dataset)
    tiles.show_tiles(data, data.splits["test"][:30].tolist(), f"{shown.key}-items")
    st.caption("Some test pictures with the digit that is in them.")


def shifted_items(shown: Shown) -> None:
    """Show the same kind of items in-domain and in each out-of-domain set."""
    data = datasets.load(next(iter(shown.specs.values())).dataset)
    for split in [name for name in data.splits if name == "test" or name.startswith("ood")]:
        st.caption(frames.split_name(split))
        tiles.show_tiles(data, data.splits[split][:9].tolist(), f"{shown.key}-{split}")


@st.cache_data(max_entries=50, show_spinner=False)
def _maps(run_id: str) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    view = spaces.load_spaces(run_id)
    shown, maps = spaces.project_now(view)
    return view.rows[shown], dict(zip(view.spaces, maps.places, strict=True))


def maps(shown: Shown) -> None:
    """Show the spaces of the last run in the plane, coloured by class or by an attribute."""
    run = list(shown.infos.values())[-1]
    data, (rows, places) = datasets.load(run.spec.dataset), _maps(run.id)
    colouring = spaces.colours(shown.about or "class", data, rows, None, {})
    figure = plot_maps(places, colouring.codes, colouring.names, colouring.colours)
    shown.figure(figure, f"maps-{shown.about}", f"Maps of the spaces, coloured by {shown.about or 'class'}")
    st.caption(f"Test items, coloured by {shown.about or 'class'}: the two directions in which each space varies most.")


def distances(shown: Shown) -> None:
    """Show the distances of a small batch in each space of the last run, as step mode shows those of its batches."""
    run = list(shown.infos.values())[-1]
    view = spaces.load_spaces(run.id)
    places = tables.batch_rows(view)
    squares = [
        Square(f"{SPACES.get(name, name)}, {space.shape[1]} numbers", COLOURS[name], pair_matrix(space[places]))
        for name, space in view.spaces.items()
    ]
    show_batch(batch_data(datasets.load(run.spec.dataset), view.rows[places], squares, APART), f"{shown.key}-batch")


def seeds(shown: Shown) -> None:
    """Show the difference of the last two runs for each number of seeds."""
    other, result = list(shown.results.values())[-2:]
    last = [shown.labels[name] for name in list(shown.results)[-2:]]
    frame = tables.difference_over_seeds(result, other)
    shown.figure(teaching.plot_difference_over_seeds(frame), "seeds", "The difference over the number of seeds")
    st.caption(f"{escape(last[1])} minus {escape(last[0])} with the first 2, 3, 4 ... seeds; bars: 95 % interval.")


def guess(shown: Shown) -> None:
    """Show the curve that was drawn and the one that was measured, for a run that holds every width."""
    run = list(shown.infos.values())[-1]
    request = width_jobs.WidthRequest(run.id)
    if width_jobs.cached(request) is None:
        live.draw_while(lambda: _draw_reading(request), active=True)
        return
    if shown.prediction:
        measured = Measured(shown.results, (), {name: info.id for name, info in shown.infos.items()})
        values = [measured.value(each) for each in shown.prediction.value]
        guesses = [shown.answer] if shown.answer else []
        figure = teaching.plot_guesses(
            shown.prediction.at, guesses, values, shown.prediction.axis, shown.prediction.unit
        )
        figure.update_yaxes(range=[shown.prediction.low, shown.prediction.high])
        shown.figure(figure, "guess", "The curve that was guessed and the curve that was measured")


def _draw_reading(request: width_jobs.WidthRequest) -> bool:
    """Show how far the widths are read; return whether it goes on."""
    waiting = width_jobs.request(request) is None
    st.progress(width_jobs.read_progress(request), text="Reading every width of this run.")
    return waiting


def dial(shown: Shown) -> None:
    """Show the dial of the last run, which holds every width."""
    width_dial.show_dial(list(shown.infos.values())[-1].id, key=f"{shown.key}-dial")


VIEWS = {
    "accuracy": View(accuracy),
    "out-of-domain": View(out_of_domain),
    "curves": View(curves),
    "probes": View(probes),
    "probes-raw": View(probes_raw),
    "teacher-probes": View(teacher_probes),
    "dimension": View(dimension),
    "maps": View(maps),
    "distances": View(distances),
    "seeds": View(seeds),
    "guess": View(guess),
    "dial": View(dial),
    "items": View(items, needs_runs=False),
    "shifted-items": View(shifted_items, needs_runs=False),
}
