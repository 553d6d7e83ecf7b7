"""Figures: all keep to the rules (escaped labels, colours by role) and show the numbers of their frame."""

import importlib
import json
import pkgutil

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from kdlib.analysis import figures
from kdlib.analysis.figures.accuracy import (
    plot_accuracy_bars,
    plot_accuracy_over,
    plot_accuracy_over_cost,
    plot_accuracy_over_dim,
    plot_probes,
    plot_scores_per_class,
)
from kdlib.analysis.figures.curves import plot_curves
from kdlib.analysis.figures.heatmaps import plot_confusion, plot_teacher_heatmap
from kdlib.analysis.figures.items import plot_item_map, plot_probabilities
from kdlib.analysis.figures.landscapes import plot_landscape, plot_settings
from kdlib.analysis.figures.looks import plot_looks
from kdlib.analysis.figures.maps import plot_maps, plot_scorecard
from kdlib.analysis.figures.pictures import plot_gallery, plot_spectrogram
from kdlib.analysis.figures.precision import plot_over_bytes
from kdlib.analysis.figures.style import COLOURS, to_html
from kdlib.analysis.figures.teaching import (
    plot_difference_over_seeds,
    plot_guesses,
    plot_number_votes,
    plot_votes,
)
from kdlib.analysis.figures.trials import plot_trials

HOSTILE = "<script>alert(1)</script> <b>x</b> & <a href='http://x.y'>y</a>"
ESCAPED = "&lt;script&gt;alert(1)&lt;/script&gt; &lt;b&gt;x&lt;/b&gt; &amp; &lt;a href='http://x.y'&gt;y&lt;/a&gt;"


def accuracies(label=HOSTILE):
    rows = [
        ("base", "baseline", "in-domain", False, 0.5, 0.1, [0.45, 0.55]),
        (label, "compressed", "in-domain", False, 0.6, None, [0.6]),
    ]
    rows.append((label, "compressed", HOSTILE, True, 0.4, 0.05, [0.38, 0.42]))
    return pd.DataFrame(rows, columns=["label", "role", "split", "outside", "mean", "ci95", "values"])


def curve_frame(label=HOSTILE):
    rows = [(label, "raw", "val", epoch, 0.1 * epoch, 0.1 * epoch - 0.05, 0.1 * epoch + 0.05, 5) for epoch in (1, 2, 3)]
    return pd.DataFrame(rows, columns=["label", "role", "curve", "epoch", "mean", "low", "high", "n"])


def dims(label="mlp"):
    rows = [(label, "compressed", 4.0, 0.6, 0.02, [0.6]), (label, "compressed", 16.0, 0.7, 0.02, [0.7])]
    rows += [("raw", "raw", None, 0.5, 0.03, [0.5]), ("baseline", "baseline", None, 0.4, None, [0.4])]
    return pd.DataFrame(rows, columns=["label", "role", "dim", "mean", "ci95", "values"])


def cost_frame():
    rows = [
        (HOSTILE, "raw", 100, 0.5, 0.1, [0.5], 0, False),
        ("b", "compressed", 1000, 0.6, 0.1, [0.6], 1, False),
        ("c", "baseline", 500, 0.4, 0.1, [0.4], 2, True),
    ]
    return pd.DataFrame(rows, columns=["label", "role", "cost", "mean", "ci95", "values", "place", "dominated"])


def landscape_frame(reason=HOSTILE):
    rows = [
        ("mlp", "compressed", 4, 0.2, 0.5, 0.1, [0.45, 0.55], "", False, 0),
        ("mlp", "compressed", 8, 0.2, None, None, [], reason, False, 1),
        ("mlp", "compressed", 4, 0.9, 0.7, None, [0.7], "", True, 2),
        ("mlp", "compressed", 8, 0.9, 0.6, 0.2, [0.5, 0.6, 0.7], "", False, 3),
    ]
    columns = ["label", "role", "x", "y", "mean", "ci95", "values", "reason", "best", "place"]
    return pd.DataFrame(rows, columns=columns).astype({"mean": float, "ci95": float})


def over_frame():
    rows = [(HOSTILE, "compressed", x, 0.1 * i, 0.02, [0.1 * i], i) for i, x in enumerate((50, 100, 300, 1000))]
    rows.append(("base", "baseline", None, 0.2, 0.05, [0.2, 0.2], 9))
    return pd.DataFrame(rows, columns=["label", "role", "x", "mean", "ci95", "values", "place"])


def class_frame():
    return pd.DataFrame(
        [(HOSTILE, 0.5, 0.1, [0.4, 0.6]), ("1", 0.7, 0.1, [0.7, 0.7])], columns=["class", "mean", "ci95", "values"]
    )


def knowledge_frame():
    rows = [(HOSTILE, HOSTILE, 0.6, 0.1), (HOSTILE, "background", 0.3, 0.17)]
    return pd.DataFrame(rows, columns=["teacher", "question", "accuracy", "chance"])


PLACES = np.array([[0.0, 0.5], [1.0, -0.5]])


def pair_rows():
    rows = [(HOSTILE, "neighbours kept @10", 0.4, 0.1), (HOSTILE, "linear CKA", 0.6, None)]
    return pd.DataFrame(rows, columns=["pair", "measure", "value", "chance"])


def worth_frame():
    columns = ["label", "role", "width", "precision", "bytes", "mean", "ci95", "values", "chosen"]
    rows = [
        (HOSTILE, "compressed", 4, "int8", 4, 0.6, 0.1, [0.5, 0.7], True),
        ("raw", "raw", 8, "float32", 32, 0.6, None, [0.6], False),
    ]
    return pd.DataFrame(rows, columns=columns)


def seed_frame():
    rows = [(2, 3.0, -4.0, 10.0, False), (3, 2.5, 0.5, 4.5, True)]
    return pd.DataFrame(rows, columns=["seeds", "mean", "low", "high", "clear"])


def trials():
    columns = ["label", "role", "value", "val", "finished", "chosen", "words"]
    rows = [
        (HOSTILE, "compressed", 0.01, 0.6, True, True, HOSTILE),
        (HOSTILE, "compressed", 0.1, 0.4, False, False, ""),
    ]
    return pd.DataFrame(rows, columns=columns)


FIGURES = {
    "plot_looks": lambda: plot_looks([5, 10, 20], [0.03, 0.02], 0.01),
    "plot_trials": lambda: plot_trials(trials(), "learning rate", log=True),
    "plot_votes": lambda: plot_votes([3, 5], [HOSTILE, "less"], came_true=1),
    "plot_number_votes": lambda: plot_number_votes([20, 25, 70], 0, 100, HOSTILE, 56.0),
    "plot_guesses": lambda: plot_guesses([1, 4], [[20, 60], [30, 40]], [30, 70], HOSTILE, HOSTILE),
    "plot_difference_over_seeds": lambda: plot_difference_over_seeds(seed_frame()),
    "plot_curves": lambda: plot_curves(curve_frame(), "val", 3, {HOSTILE: "raw", "waiting": "baseline"}),
    "plot_accuracy_bars": lambda: plot_accuracy_bars(accuracies()),
    "plot_probes": lambda: plot_probes(accuracies().assign(chance=[0.1, None, None])),
    "plot_accuracy_over_dim": lambda: plot_accuracy_over_dim(dims(HOSTILE)),
    "plot_accuracy_over_cost": lambda: plot_accuracy_over_cost(cost_frame(), "parameters"),
    "plot_accuracy_over": lambda: plot_accuracy_over(over_frame(), "labels"),
    "plot_landscape": lambda: plot_landscape(landscape_frame(), "width", "λ"),
    "plot_settings": lambda: plot_settings(
        pd.DataFrame({"teacher": [HOSTILE, "simclr"], "λ": [0.2, None]}, dtype=object), [0.5, 0.6]
    ),
    "plot_scores_per_class": lambda: plot_scores_per_class({HOSTILE: class_frame()}, {HOSTILE: "raw"}),
    "plot_confusion": lambda: plot_confusion(np.eye(2), [HOSTILE, "1"], "raw"),
    "plot_teacher_heatmap": lambda: plot_teacher_heatmap(knowledge_frame()),
    "plot_maps": lambda: plot_maps(
        {"raw": PLACES, "student": PLACES}, np.array([0, 1]), [HOSTILE, "1"], ["#000", "#fff"]
    ),
    "plot_scorecard": lambda: plot_scorecard(pair_rows()),
    "plot_probabilities": lambda: plot_probabilities(accuracies().assign(cut=[0.4, 0.3, None])),
    "plot_item_map": lambda: plot_item_map(
        PLACES, np.array([0, 1]), [HOSTILE, "1"], ["#000000", "#ffffff"], PLACES[0], np.array([1])
    ),
    "plot_over_bytes": lambda: plot_over_bytes(worth_frame(), "probe accuracy"),
    "plot_spectrogram": lambda: plot_spectrogram(np.zeros((32, 10)), np.arange(32.0), 0.5),
    "plot_gallery": lambda: plot_gallery(np.full((2, 3, 4, 4, 3), np.nan), [HOSTILE, "1"], ["a", "b", "c"], HOSTILE),
}


LABELLED = [name for name in FIGURES if name not in ("plot_spectrogram", "plot_difference_over_seeds", "plot_looks")]


@pytest.mark.parametrize("name", LABELLED)
def test_labels_are_shown_literally(name):
    text = json.dumps(json.loads(FIGURES[name]().to_json()), ensure_ascii=False)
    assert "<script>" not in text
    assert "<a href" not in text
    assert ESCAPED in text


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_has_no_background_of_its_own(name):
    assert FIGURES[name]().layout.paper_bgcolor == "rgba(0,0,0,0)"


def test_axes_say_which_metric_it_is():
    charts = [
        plot_curves(curve_frame(), "val", 3, {HOSTILE: "raw"}, "mAP"),
        plot_accuracy_bars(accuracies(), "mAP"),
    ]
    charts += [
        plot_accuracy_over_dim(dims(), "mAP"),
        plot_accuracy_over_cost(cost_frame(), "parameters", "mAP"),
    ]
    assert [chart.layout.yaxis.title.text for chart in charts] == ["validation mAP, %", "mAP, %", "mAP, %", "mAP, %"]


def test_looks_that_are_to_come_are_where_they_would_be_if_the_spread_stays():
    expected, taken = plot_looks([5, 10, 20, 40], [0.03, 0.02], 0.01).data
    assert (list(taken.x), list(taken.y)) == ([5, 10], [3.0, 2.0])
    assert list(expected.x) == [10, 20, 40]
    assert list(expected.y) == pytest.approx([2.0, 2.0 / 2**0.5, 1.0])
    assert len(plot_looks([5, 10], [0.03, 0.02]).data) == 1


def test_maps_show_the_same_rows_in_every_space_and_one_legend():
    figure = FIGURES["plot_maps"]()
    assert [trace.xaxis for trace in figure.data] == ["x", "x", "x2", "x2"]
    assert [trace.showlegend for trace in figure.data] == [True, True, False, False]
    assert [(*trace.x, *trace.y) for trace in figure.data[2:]] == [(0.0, 0.5), (1.0, -0.5)]


def test_every_figure_is_in_the_contract():
    modules = [
        importlib.import_module(module.name)
        for module in pkgutil.iter_modules(figures.__path__, "kdlib.analysis.figures.")
    ]
    assert {name for module in modules for name in vars(module) if name.startswith("plot_")} == set(FIGURES)


def test_the_role_decides_the_colour():
    bars = [trace for trace in FIGURES["plot_accuracy_bars"]().data if isinstance(trace, go.Bar)]
    assert [bar.marker.color for bar in bars] == [COLOURS["baseline"], COLOURS["compressed"]]


def test_out_of_domain_is_hatched_and_in_domain_is_not():
    bar = next(trace for trace in FIGURES["plot_accuracy_bars"]().data if trace.name == ESCAPED)
    assert list(bar.marker.pattern.shape) == ["", "/"]


def test_bars_show_mean_interval_seeds_and_n():
    figure = FIGURES["plot_accuracy_bars"]()
    assert figure.data[0].y == pytest.approx([50])
    assert figure.data[0].error_y.array == pytest.approx([10])
    assert figure.data[0].customdata[0] == "50.0 ± 10.0 %, n = 2"
    assert figure.data[1].y == pytest.approx([45, 55])


def test_a_single_seed_has_no_interval():
    bar = next(trace for trace in FIGURES["plot_accuracy_bars"]().data if trace.name == ESCAPED)
    assert bar.error_y.array[0] is None
    assert bar.customdata[0] == "60.0 %, n = 1"


def test_the_axes_of_a_live_chart_and_its_legend_do_not_move():
    roles = {HOSTILE: "raw", "waiting": "baseline"}
    first = plot_curves(curve_frame().iloc[:1], "val", 50, roles)
    later = plot_curves(curve_frame(), "val", 50, roles)
    assert first.layout.xaxis.range == later.layout.xaxis.range == (0, 50.5)
    assert first.layout.yaxis.range == later.layout.yaxis.range == (0, 100)
    assert [t.name for t in first.data if t.showlegend is None] == [t.name for t in later.data if t.showlegend is None]


def test_baseline_and_raw_are_lines_across_the_dimensions():
    lines = {
        trace.name: trace for trace in FIGURES["plot_accuracy_over_dim"]().data if trace.mode == "lines" and trace.name
    }
    assert set(lines) == {"raw", "baseline"}
    assert lines["raw"].y == pytest.approx([50, 50])


def test_two_raw_runs_have_different_colours():
    frame = dims()
    frame.loc[len(frame)] = ["raw, epochs 60", "raw", None, 0.55, 0.03, [0.55]]
    lines = {trace.name: trace for trace in plot_accuracy_over_dim(frame).data if trace.mode == "lines" and trace.name}
    assert lines["raw"].line.color == COLOURS["raw"] != lines["raw, epochs 60"].line.color


def test_a_page_of_its_own_loads_nothing_from_another_host():
    page = to_html(FIGURES["plot_accuracy_over_cost"]())
    assert "<script>alert" not in page
    assert 'src="http' not in page


@pytest.mark.parametrize("role", COLOURS)
def test_text_in_a_shaded_table_is_readable_on_every_shade(role):
    def luminance(colour):
        parts = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4) @ (0.2126, 0.7152, 0.0722)

    matrix = plot_confusion(np.array([[1.0, 0.2], [0.5, 0.01]]), ["a", "b"], role)
    ink = {note.font.color for note in matrix.layout.annotations}
    for _, shade in matrix.data[0].colorscale:
        assert all((luminance(shade) + 0.05) / (luminance(text) + 0.05) > 4.5 for text in ink)  # WCAG 2.2, 1.4.3


def test_what_came_true_stands_out_among_the_votes():
    (bars,) = plot_votes([3, 5], ["more", "less"], came_true=1).data
    assert list(bars.x) == [3, 5]
    assert bars.marker.color[1] == COLOURS["student"] != bars.marker.color[0]


def test_a_clear_difference_is_filled_and_an_unclear_one_is_not():
    unclear, clear = plot_difference_over_seeds(seed_frame()).data
    assert (list(unclear.x), list(clear.x)) == ([2], [3])
    assert clear.marker.color == COLOURS["compressed"] != unclear.marker.color
    assert list(clear.error_y.array) == [2.0]


def test_a_teacher_has_its_code_name_below_its_plain_one():
    rows = [("view matching (simclr)", "target", 0.9, 0.1), ("pip:ocr", "target", 0.5, 0.1), ("<b> (x)", "a", 0.5, 0.1)]
    figure = plot_teacher_heatmap(pd.DataFrame(rows, columns=["teacher", "question", "accuracy", "chance"]))
    assert list(figure.layout.yaxis.ticktext) == ["view matching<br>(simclr)", "pip:ocr", "&lt;b&gt;<br>(x)"]


def test_a_cell_without_a_score_is_blank_and_says_why():
    _, heat, points = plot_landscape(landscape_frame("cancelled"), "width", "λ", "accuracy").data
    assert [list(row) for row in heat.z] == [[50, None], [70, 60]]
    assert (list(points.x), list(points.y)) == ([0, 1, 0, 1], [0, 0, 1, 1])
    assert points.customdata[1][0] == "width 8, λ 0.2<br>cancelled"
    assert [place for _, place in points.customdata] == [0, 1, 2, 3], "a click on any cell gives back its place"


def test_a_cell_says_mean_interval_and_n_and_the_best_on_validation_has_a_star():
    figure = plot_landscape(landscape_frame(), "width", "λ", "accuracy")
    words = [text for text, _ in figure.data[-1].customdata]
    assert words[0] == "width 4, λ 0.2<br>accuracy 50.0 ± 10.0 %, n = 2"
    assert words[2] == "width 4, λ 0.9<br>accuracy 70.0 %, n = 1"
    assert [note.text for note in figure.layout.annotations] == ["50.0", "70.0*", "60.0"]


def test_an_axis_of_doublings_is_logarithmic_and_one_of_steps_is_not():
    assert plot_accuracy_over(over_frame(), "labels").layout.xaxis.type == "log"
    steps = over_frame().assign(x=[0.2, 0.4, 0.6, 0.8, None])
    figure = plot_accuracy_over(steps, "λ")
    assert figure.layout.xaxis.type == "linear"
    assert list(figure.layout.xaxis.ticktext) == ["0.2", "0.4", "0.6", "0.8"]


def test_a_click_on_a_curve_gives_back_the_place_of_its_point():
    line = next(trace for trace in plot_accuracy_over(over_frame(), "labels").data if trace.mode == "lines+markers")
    assert [place for _, place in line.customdata] == [0, 1, 2, 3]


def test_what_is_dominated_is_faint_and_the_front_joins_the_others():
    front, *traces = plot_accuracy_over_cost(cost_frame(), "parameters").data
    assert (list(front.x), list(front.y)) == ([100, 1000], [50, 60])
    opacity = {trace.name: trace.opacity for trace in traces if trace.name}
    assert (opacity["b"], opacity[ESCAPED]) == (1, 1)
    assert opacity["c"] < 0.5


def test_a_setting_that_is_not_used_has_a_tick_of_its_own():
    (lines,) = plot_settings(pd.DataFrame({"λ": [0.9, None, 0.2]}, dtype=object), [0.5, 0.6, 0.7]).data
    axis, score = lines.dimensions
    assert list(axis.ticktext) == ["not used", "0.2", "0.9"]
    assert list(axis.values) == [2, 0, 1]
    assert score.values == pytest.approx([50, 60, 70])
