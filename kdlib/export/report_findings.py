"""The sections of a report that say what came out: accuracies, differences, what was kept, maps, training, costs."""

from collections.abc import Mapping

import numpy as np

from kdlib import spaces
from kdlib.analysis import frames
from kdlib.analysis.comparison import (
    METRIC_NAMES,
    best_compressed,
    differences_to_references,
    find_reference,
    format_differences,
    format_percent,
    metric_names,
)
from kdlib.analysis.figures.accuracy import plot_accuracy_bars, plot_accuracy_over_dim, plot_probes
from kdlib.analysis.figures.curves import plot_curves
from kdlib.analysis.figures.maps import TITLES, plot_maps
from kdlib.analysis.geometry import sample_rows
from kdlib.analysis.tuned import choice_rows, describe_budget, trial_rows
from kdlib.analysis.verdicts import verdict
from kdlib.export.report_blocks import Block, Bullets, FigureBlock, Paragraph, Section, Table, Tile, plain_table
from kdlib.export.report_source import ReportSource, RunView, count_students
from kdlib.names import method_name, teacher_name
from kdlib.results import RunResult
from kdlib.spaces import Colouring
from kdlib.spec import BASELINE, RAW, UNCOMPRESSED
from kdlib.summary import Probe, Summary

MAP_ROWS = 1000  # rows that a map shows; more would be a heavy page and not a clearer picture
MAP_ATTRIBUTES = 2  # attributes by which maps are coloured, beside the class
ABOVE_CHANCE = 0.02  # by less, a teacher hardly knows a question
KEPT_SHARE, HALF = 0.9, 0.5  # of what is read above chance
UMAP = "by UMAP: neighbours stay together, distances between groups say little"
BARS = "Bars: mean over the seeds; whiskers: 95 % interval; dots: the seeds; hatched: out of domain."


def tiles(source: ReportSource) -> list[Tile]:
    """Return the test scores of the compressed run that is best on validation, and of its baseline and raw."""
    place = best_compressed(source.results)
    if place is None:
        return []
    best, chosen = source.results[place], []
    for method in (BASELINE, RAW):
        reference = find_reference(source.results, best, method)
        chosen += [] if reference is None else [(method, source.results.index(reference))]
    chosen.append(("compressed", place))
    metric = METRIC_NAMES[best.primary_name]
    return [
        Tile(role, source.labels[i], f"{format_percent(source.results[i].score('test'))} %",
             f"test {metric}, n = {count_students(source.results[i])}")
        for role, i in chosen
    ]  # fmt: skip


def accuracy(source: ReportSource) -> Section:
    """Return accuracies with their intervals, in and out of domain, and paired differences."""
    metric = metric_names(source.results)
    figure = plot_accuracy_bars(frames.accuracies(source.results, labels=source.labels), metric)
    blocks: list[Block] = [
        FigureBlock([figure], f"The {metric} of each run", BARS, code="results.figures.accuracy()"),
        _accuracy_table(source, metric),
        *_by_teacher(source),
    ]
    over_dim = frames.accuracy_over_dim(source.results)
    if over_dim[over_dim["role"] == "compressed"]["dim"].nunique() > 1:
        caption = "Dashed lines: raw and baseline with their 95 % interval; whiskers: 95 % interval; dots: the seeds."
        alt = f"The {metric} over the width of the compressed embedding"
        figure = plot_accuracy_over_dim(over_dim, metric)
        blocks.append(FigureBlock([figure], alt, caption, code="results.figures.over_dim()"))
    return Section("accuracy", "Accuracy in and out of domain", blocks)


def _accuracy_table(source: ReportSource, metric: str) -> Table:
    splits = _splits(source)
    rows, bars = [], []
    for label, result in zip(source.labels, source.results, strict=True):
        rows.append([label, *(format_percent(result.score(split)) for split in splits), str(count_students(result))])
        score = result.score("test")
        bars.append(score.mean if score else None)
    columns = ["run", *(frames.split_name(split) for split in splits), "n"]
    caption = f"The {metric} in percent: mean over n seeds ± half-width of the 95 % interval."
    return Table(columns, rows, caption, bars, code="result_table(results)")


def _by_teacher(source: ReportSource) -> list[Block]:
    """Return the result of each teacher where there are several: the first sentence is about the best of them."""
    names = dict.fromkeys(result.spec.teacher for result in source.results if result.spec.method != BASELINE)
    if len(names) < 2:
        return []
    lines = []
    for name in names:
        results = [each for each in source.results if each.spec.method == BASELINE or each.spec.teacher == name]
        lines.append(f"{teacher_name(name)}: {verdict(results)}")
    return [Paragraph("Teacher by teacher:"), Bullets(lines)]


def _splits(source: ReportSource) -> list[str]:
    """Return the splits that are reported: the test set, out-of-domain sets, their mean."""
    splits = dict.fromkeys(split for result in source.results for split in result.metrics if split != "val")
    return sorted(splits, key=lambda split: (split != "test", split == "ood"))


def differences(source: ReportSource) -> Section:
    """Return paired differences to baseline and raw."""
    rows = []
    found: list[tuple[str, str, Mapping[str, Summary]]] = []
    for label, result in zip(source.labels, source.results, strict=True):
        for method, paired in differences_to_references(source.results, result).items():
            if result.spec.method != BASELINE:  # raw less baseline says the same
                found.append((label, method, paired))
    names = [split for split in _splits(source) if any(split in paired for *_, paired in found)]
    words = format_differences([[paired.get(split) for split in names] for *_, paired in found])
    for (label, method, paired), cells in zip(found, words, strict=True):
        rows.append([f"{label} − {method_name(method)}", *cells, str(len(next(iter(paired.values())).values))])
    if not rows:
        text = "There is nothing to subtract: these runs have neither a baseline nor a raw run beside them."
        return Section("differences", "Paired differences", [Paragraph(text)])
    caption = (
        "Points, seed by seed, with the 95 % interval of the paired t-test; * clear at 5 %, corrected for all "
        "differences of this table (Holm). n: seeds that both have."
    )
    table = Table(["", *map(frames.split_name, names), "n"], rows, caption, code="differences_to(results, 0)[0]")
    return Section("differences", "Paired differences", [table])


def kept(source: ReportSource) -> Section:
    """Return what compression kept and what it threw away: probes in each space, ranks, neighbours."""
    blocks: list[Block] = []
    pairs = zip(source.labels, source.results, strict=True)
    taught = [(label, r) for label, r in pairs if "compressed" in r.spaces and r.spec.method not in UNCOMPRESSED]
    if not taught:
        return Section("kept", "What was kept and thrown away", [Paragraph("Nothing was compressed in these runs.")])
    view = source.view
    if view is not None and view.result.teacher is not None:
        blocks.append(Paragraph(_describe_kept(view.label, view.result), strong=True))
        figure = plot_probes(spaces.probe_table(view.result))
        caption = (
            f"{view.label}: what a linear probe reads from each of its spaces; dotted: chance. What falls from raw to "
            "compressed was thrown away."
        )
        blocks.append(FigureBlock([figure], "Probes in each space", caption, code="results.figures.probes()"))
    rows = [row for label, result in taught for row in _probe_rows(label, result)]
    columns = ["run", "question", "chance", "raw", "compressed", "student", "raw → compressed"]
    blocks.append(Table(columns, rows, "Linear probes, accuracy in percent ± half-width of the 95 % interval."))
    ranks = [[label, *(_describe_space(result, name) for name in spaces.SPACE_NAMES)] for label, result in taught]
    caption = "Numbers per item, and in brackets how many directions of them are really used (effective rank)."
    blocks.append(Table(["run", *spaces.SPACE_NAMES], ranks, caption))
    if view is not None and view.scorecard is not None and view.scorecard.pairs:
        caption = f"{view.label}: how alike its spaces are, over {view.scorecard.rows:,} test items."
        blocks.append(plain_table(spaces.pair_table(view.scorecard), caption, code="results.figures.scorecard()"))
    return Section("kept", "What was kept and thrown away", blocks)


def _questions(result: RunResult) -> dict[str, Probe]:
    """Return the target and each attribute -> what is read of it in each space."""
    target = result.teacher.probe if result.teacher else Probe()
    student = result.spaces["student"].probe if "student" in result.spaces else None
    return {"target": Probe(target.chance, target.raw, target.compressed, student)} | result.attributes


def _describe_kept(label: str, result: RunResult) -> str:
    """Return in words which questions compression kept, weakened or lost, by what lies above chance."""
    groups: dict[str, list[str]] = {"keeps": [], "weakens": [], "loses more than half of": []}
    absent = []
    for name, probe in _questions(result).items():
        if probe.raw is None or probe.compressed is None:
            continue
        known = probe.raw.mean - (probe.chance or 0.0)
        if known < ABOVE_CHANCE:
            absent.append(name)
            continue
        share = 1 + (probe.compressed.mean - probe.raw.mean) / known
        word = "keeps" if share >= KEPT_SHARE else "weakens" if share >= HALF else "loses more than half of"
        groups[word].append(f"{name} ({100 * probe.raw.mean:.1f} → {100 * probe.compressed.mean:.1f} %)")
    parts = [f"{word} {', '.join(names)}" for word, names in groups.items() if names]
    sentence = f"Of what a probe reads above chance, {label} {'; it '.join(parts)}." if parts else ""
    return sentence + (f" Hardly above chance before: {', '.join(absent)}." if absent else "")


def _probe_rows(label: str, result: RunResult) -> list[list[str]]:
    rows = []
    for name, probe in _questions(result).items():
        change = "–"
        if probe.raw is not None and probe.compressed is not None:
            change = f"{100 * (probe.compressed.mean - probe.raw.mean):+.1f}"
        chance = "–" if probe.chance is None else f"{100 * probe.chance:.1f}"
        cells = [format_percent(each) for each in (probe.raw, probe.compressed, probe.student)]
        rows.append([label, name, chance, *cells, change])
    return rows


def _describe_space(result: RunResult, name: str) -> str:
    space = result.spaces.get(name)
    return "–" if space is None else f"{space.width:,} ({space.effective_rank.mean:.1f})"


def maps(source: ReportSource) -> Section:
    """Return the three maps of a run, by PCA and where it was drawn by UMAP, coloured by class and by attributes."""
    view = source.view
    if view is None:
        return Section("maps", "Maps of the spaces", [Paragraph(source.no_view)])
    shown, projected = spaces.project_now(view.spaces)
    chosen = sample_rows(len(shown), MAP_ROWS)
    places = {name: flat[chosen] for name, flat in zip(view.spaces.spaces, projected.places, strict=True)}
    rows = view.spaces.rows[shown[chosen]]
    blocks: list[Block] = [Paragraph(
        f"{len(rows):,} of {view.spaces.total:,} test items in the spaces of {view.label}, as its first seed has them. "
        "Each map is the plane of largest variance (PCA), turned onto the first."
    )]  # fmt: skip
    for by in _colourings(source, view):
        blocks.append(_map_block(source, view, places, rows, by))
    if view.umap is not None:
        picked = sample_rows(len(view.umap.shown), MAP_ROWS)
        laid_out = {name: flat[picked] for name, flat in view.umap.places.items()}
        numbers = view.spaces.rows[view.umap.shown[picked]]
        blocks.append(_map_block(source, view, laid_out, numbers, "class", UMAP))  # fmt: skip
    return Section("maps", "Maps of the spaces", blocks)


def _colourings(source: ReportSource, view: RunView) -> list[str]:
    """Return the class, and the attributes of which compression threw away most."""
    known = source.data[view.result.spec.dataset].attributes

    def lost(name: str) -> float:
        probe = view.result.attributes.get(name, Probe())
        return probe.raw.mean - probe.compressed.mean if probe.raw and probe.compressed else 0.0

    return ["class", *sorted(known, key=lost, reverse=True)[:MAP_ATTRIBUTES]]


def _map_block(
    source: ReportSource, view: RunView, places: Mapping[str, np.ndarray], rows: np.ndarray, by: str, how: str = ""
) -> FigureBlock:
    colouring = spaces.colours(by, source.data[view.result.spec.dataset], rows, None, {})
    present = np.unique(colouring.codes)
    legend = [(colouring.names[code], colouring.colours[code]) for code in present]
    figures = [_bare_map({name: flat}, colouring) for name, flat in places.items()]
    titles = [TITLES.get(name, name) for name in places]
    caption = f"Coloured by {by}{f', {how}' if how else ''}."
    code = f"results.figures.maps(by={by!r}{', projection=' + repr('umap') if how else ''})"
    return FigureBlock(figures, f"Maps coloured by {by}", caption, titles, legend, code)


def _bare_map(places: Mapping[str, np.ndarray], colouring: Colouring) -> object:
    figure = plot_maps(places, colouring.codes, colouring.names, colouring.colours, colouring.shapes)
    return figure.update_layout(showlegend=False, height=300)


def training(source: ReportSource) -> Section:
    """Return the validation curves."""
    specs = [result.spec for result in source.results]
    roles = dict(zip(source.labels, map(frames.method_role, specs), strict=True))
    frame = frames.curves(specs, [result.history for result in source.results], source.labels)
    figure = plot_curves(frame, "val", max(spec.epochs for spec in specs), roles, metric_names(source.results))
    caption = "Validation score after each epoch: mean over the seeds in a band from the lowest to the highest."
    block = FigureBlock([figure], "Training curves", caption, code="results.figures.curves()")
    return Section("training", "Training", [block])


def tuning(source: ReportSource) -> list[Section]:
    """Return what each tuned run chose and every trial behind it; nothing where none was tuned."""
    pairs = [pair for pair in zip(source.labels, source.results, strict=True) if pair[1].tuning is not None]
    if not pairs:
        return []
    results = [result for _, result in pairs]
    choices = choice_rows(results)
    caption = (
        f"{describe_budget(results).capitalize()}. Validation alone decided; the chosen setting was then trained with "
        "other seeds and tested once."
    )
    blocks: list[Block] = [Table(list(choices[0]), [list(row.values()) for row in choices], caption)]
    for label, result in pairs:
        rows = trial_rows(result)
        blocks.append(Table(list(rows[0]), [list(row.values()) for row in rows], f"The trials of {label}; * chosen."))
    return [Section("tuning", "Tuning", blocks)]


def costs(source: ReportSource) -> Section:
    """Return what a student and an embedding cost."""
    names = {"parameters": "parameters", "multiply_adds": "multiply-adds", "latency_ms": "latency, ms",
             "bytes_per_embedding": "bytes of an embedding", "seconds": "training, s"}  # fmt: skip
    rows = []
    for label, result in zip(source.labels, source.results, strict=True):
        values = [getattr(result.cost, name) for name in names]
        rows.append([label, *(_number(value) for value in values)])
    caption = (
        "Of one student, for one item, on the machine that trained it; training: all seeds together, with those that "
        "trained beside them. Neither teacher nor compressor is needed afterwards."
    )
    return Section("costs", "Costs", [Table(["run", *names.values()], rows, caption)])


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return (
        f"{value:,}"
        if isinstance(value, int)
        else f"{value:,.2f}"
        if value < 1
        else f"{value:,.1f}"
        if value < 10
        else f"{value:,.0f}"
    )
