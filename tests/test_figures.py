"""Figures: every one of them keeps to the rules (escaped labels, colours by role), and shows the numbers it was given."""

import json

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from kdlib.analysis import figures

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
    rows = [(HOSTILE, "raw", 100, 0.5, 0.1, [0.5]), ("b", "compressed", 1000, 0.6, 0.1, [0.6])]
    return pd.DataFrame(rows, columns=["label", "role", "cost", "mean", "ci95", "values"])


def class_frame():
    return pd.DataFrame(
        [(HOSTILE, 0.5, 0.1, [0.4, 0.6]), ("1", 0.7, 0.1, [0.7, 0.7])], columns=["class", "mean", "ci95", "values"]
    )


def knowledge_frame():
    rows = [(HOSTILE, HOSTILE, 0.6, 0.1), (HOSTILE, "background", 0.3, 0.17)]
    return pd.DataFrame(rows, columns=["teacher", "question", "accuracy", "chance"])


FIGURES = {
    "curves": lambda: figures.curves(curve_frame(), "val", 3, {HOSTILE: "raw", "waiting": "baseline"}),
    "accuracy_bars": lambda: figures.accuracy_bars(accuracies()),
    "probes": lambda: figures.probes(accuracies().assign(chance=[0.1, None, None])),
    "over_dim": lambda: figures.over_dim(dims(HOSTILE)),
    "over_cost": lambda: figures.over_cost(cost_frame(), "parameters"),
    "per_class": lambda: figures.per_class({HOSTILE: class_frame()}, {HOSTILE: "raw"}),
    "confusion": lambda: figures.confusion(np.eye(2), [HOSTILE, "1"], "raw"),
    "teacher_heatmap": lambda: figures.teacher_heatmap(knowledge_frame()),
    "spectrogram": lambda: figures.spectrogram(np.zeros((32, 10)), np.arange(32.0), 0.5),
    "gallery": lambda: figures.gallery(np.full((2, 3, 4, 4), np.nan), [HOSTILE, "1"], ["a", "b", "c"], HOSTILE),
}


@pytest.mark.parametrize("name", [name for name in FIGURES if name != "spectrogram"])  # that one has no labels
def test_labels_are_shown_literally(name):
    text = json.dumps(json.loads(FIGURES[name]().to_json()), ensure_ascii=False)
    assert "<script>" not in text
    assert "<a href" not in text
    assert ESCAPED in text


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_has_no_background_of_its_own(name):
    assert FIGURES[name]().layout.paper_bgcolor == "rgba(0,0,0,0)"


def test_axes_say_which_metric_it_is():
    drawn = [
        figures.curves(curve_frame(), "val", 3, {HOSTILE: "raw"}, "mAP"),
        figures.accuracy_bars(accuracies(), "mAP"),
    ]
    drawn += [figures.over_dim(dims(), "mAP"), figures.over_cost(cost_frame(), "parameters", "mAP")]
    assert [each.layout.yaxis.title.text for each in drawn] == ["validation mAP, %", "mAP, %", "mAP, %", "mAP, %"]


def test_every_figure_is_in_the_contract():
    drawn = {
        name
        for name, each in vars(figures).items()
        if callable(each) and getattr(each, "__module__", "") == figures.__name__
    }
    assert {name for name in drawn if not name.startswith("_")} - set(FIGURES) == {"escape", "to_html"}


def test_the_role_decides_the_colour():
    bars = [trace for trace in FIGURES["accuracy_bars"]().data if isinstance(trace, go.Bar)]
    assert [bar.marker.color for bar in bars] == [figures.COLOURS["baseline"], figures.COLOURS["compressed"]]


def test_out_of_domain_is_hatched_and_in_domain_is_not():
    bar = next(trace for trace in FIGURES["accuracy_bars"]().data if trace.name == ESCAPED)
    assert list(bar.marker.pattern.shape) == ["", "/"]


def test_bars_show_mean_interval_seeds_and_n():
    figure = FIGURES["accuracy_bars"]()
    assert figure.data[0].y == pytest.approx([50])
    assert figure.data[0].error_y.array == pytest.approx([10])
    assert figure.data[0].customdata[0] == "50.0 ± 10.0 %, n = 2"
    assert figure.data[1].y == pytest.approx([45, 55])


def test_a_single_seed_has_no_interval():
    bar = next(trace for trace in FIGURES["accuracy_bars"]().data if trace.name == ESCAPED)
    assert bar.error_y.array[0] is None
    assert bar.customdata[0] == "60.0 %, n = 1"


def test_the_axes_of_a_live_chart_and_its_legend_stand_still():
    roles = {HOSTILE: "raw", "waiting": "baseline"}
    first = figures.curves(curve_frame().iloc[:1], "val", 50, roles)
    later = figures.curves(curve_frame(), "val", 50, roles)
    assert first.layout.xaxis.range == later.layout.xaxis.range == (0, 50.5)
    assert first.layout.yaxis.range == later.layout.yaxis.range == (0, 100)
    assert [t.name for t in first.data if t.showlegend is None] == [t.name for t in later.data if t.showlegend is None]


def test_baseline_and_raw_are_lines_across_the_dimensions():
    lines = {trace.name: trace for trace in FIGURES["over_dim"]().data if trace.mode == "lines" and trace.name}
    assert set(lines) == {"raw", "baseline"}
    assert lines["raw"].y == pytest.approx([50, 50])


def test_two_raw_runs_are_told_apart():
    frame = dims()
    frame.loc[len(frame)] = ["raw, epochs 60", "raw", None, 0.55, 0.03, [0.55]]
    lines = {trace.name: trace for trace in figures.over_dim(frame).data if trace.mode == "lines" and trace.name}
    assert lines["raw"].line.color == figures.COLOURS["raw"] != lines["raw, epochs 60"].line.color


def test_a_page_of_its_own_asks_no_other_host():
    page = figures.to_html(FIGURES["over_cost"]())
    assert "<script>alert" not in page
    assert 'src="http' not in page


@pytest.mark.parametrize("role", figures.COLOURS)
def test_what_is_written_into_a_coloured_table_can_be_read_on_every_shade(role):
    def luminance(colour):
        parts = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4) @ (0.2126, 0.7152, 0.0722)

    matrix = figures.confusion(np.array([[1.0, 0.2], [0.5, 0.01]]), ["a", "b"], role)
    ink = {note.font.color for note in matrix.layout.annotations}
    for _, shade in matrix.data[0].colorscale:
        assert all((luminance(shade) + 0.05) / (luminance(text) + 0.05) > 4.5 for text in ink)  # WCAG 2.2, 1.4.3
