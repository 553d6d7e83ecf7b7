"""The sections of a report that say what was done: question, data, teachers, methods, how to repeat it, limits."""

import platform
from collections.abc import Sequence
from dataclasses import fields
from importlib.metadata import PackageNotFoundError, version

import pandas as pd

import kdlib
from kdlib import catalog, planning
from kdlib.analysis import frames
from kdlib.analysis.comparison import format_percent, metric_names
from kdlib.analysis.figures.heatmaps import plot_teacher_heatmap
from kdlib.analysis.rounds import Repetition
from kdlib.data import datasets, imported
from kdlib.data.dataset import ITEM_NAMES
from kdlib.export.report_blocks import (
    Block,
    Bullets,
    CodeBlock,
    Facts,
    FigureBlock,
    Paragraph,
    Section,
    Table,
)
from kdlib.export.report_source import ReportSource, count_students
from kdlib.models import embedding, teachers
from kdlib.names import method_name, setting_name, teacher_name
from kdlib.results import RunResult
from kdlib.spec import BASELINE, RAW, RunSpec, unused_fields
from kdlib.summary import Probe

MAX_NAMES = 24  # class or category names that are listed
LIBRARIES = ("torch", "numpy", "scipy", "scikit-learn", "umap-learn", "mlflow-skinny", "plotly")
PAPERS = (
    "Y. Ding, A. Lerch 2024: Embedding Compression for Teacher-to-Student Knowledge Transfer. arXiv 2402.06761.",
    "Y. Ding, A. Lerch 2023: Audio Embeddings as Teachers for Music Classification. ISMIR. arXiv 2306.17424.",
)
UMAP_PAPER = "L. McInnes, J. Healy, J. Melville 2018: UMAP. arXiv 1802.03426."
DIGITS = (
    "The digits: test part of Optical Recognition of Handwritten Digits, E. Alpaydin, C. Kaynak 1998, UCI, CC BY 4.0, "
    "as shipped by scikit-learn."
)
DIGIT_SETS = ("digits", "cluttered-digits")
UNLIKE_METHODS = {  # what is said of a method that is no compressor
    BASELINE: "the labels alone, without a teacher",
    RAW: "the teacher's embedding as it is",
}


def question(source: ReportSource) -> Section:
    """Return what was asked, and which runs answer it."""
    specs = [result.spec for result in source.results]
    names, names_of_teachers = _listed(specs, "dataset"), _listed([s for s in specs if s.method != BASELINE], "teacher")
    if "," in names_of_teachers:
        names_of_teachers = f"frozen teachers that were trained for other tasks ({names_of_teachers})"
    elif names_of_teachers:
        names_of_teachers = f"a frozen teacher that was trained for another task ({names_of_teachers})"
    counts = sorted({spec.labels for spec in specs})
    labels = f"{counts[0]:,}" if len(counts) == 1 else f"{counts[0]:,} to {counts[-1]:,}"
    text = f"A small student learns {names} from {labels} labelled items. "
    if names_of_teachers:
        text += (
            f"While it learns, its features are pulled towards the embeddings of {names_of_teachers}: as they are "
            "(raw), or after a compressor has learned to keep what the student's task needs. Does that make a better "
            "student than the labels alone (baseline), on the test set and out of domain?"
        )
    else:
        text += "No teacher takes part in these runs."
    seeds = sorted({count_students(result) for result in source.results})
    repeated = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    count = "1 run answers" if len(specs) == 1 else f"{len(specs)} runs answer"
    blocks: list[Block] = [Paragraph(text)]
    blocks.append(
        Paragraph(f"{count} it, each trained {repeated} times from other seeds and measured in {_metric(source)}.")
    )
    if source.left_out:
        blocks.append(Bullets(source.left_out))
    return Section("question", "Question", blocks)


def _metric(source: ReportSource) -> str:
    return metric_names(source.results)


def _listed(specs: Sequence[RunSpec], field: str) -> str:
    return ", ".join(dict.fromkeys(getattr(spec, field) for spec in specs))


def data(source: ReportSource) -> Section:
    """Return what the students learned from: where it comes from, its sizes and splits."""
    blocks: list[Block] = []
    helps = {entry["name"]: entry["help"] for entry in catalog.list_entries("datasets")}
    for name in dict.fromkeys(result.spec.dataset for result in source.results):
        if name not in source.data:
            blocks.append(Facts(name, [("note", "This dataset is not on this machine any more.")]))
            continue
        each = source.data[name]
        kind = "several labels an item" if each.multi_label else "one label an item"
        facts = [
            ("what it is", helps.get(name, "")),
            (
                "items",
                f"{len(each.inputs):,} {ITEM_NAMES[each.modality]}; students see {_shape(each.inputs.shape[1:])}",
            ),
            ("classes", f"{len(each.classes)} ({kind}): {_names(each.classes)}"),
        ]
        facts += [(f"attribute {key}", f"{len(a.names)}: {_names(a.names)}") for key, a in each.attributes.items()]
        facts += _provenance(name)
        blocks.append(Facts(name, [(key, fact) for key, fact in facts if fact]))
        used = max(result.spec.labels for result in source.results if result.spec.dataset == name)
        rows = [[frames.split_name(split) if split != "train" else "train", f"{len(rows):,}", _purpose(split, used)]
                for split, rows in each.splits.items()]  # fmt: skip
        blocks.append(Table(["split", "items", "used for"], rows, "No item is in two splits."))
    return Section("data", "Data", blocks)


def _shape(shape: Sequence[int]) -> str:
    return " × ".join(f"{size:,}" for size in shape) + " numbers"


def _names(names: Sequence[object]) -> str:
    shown = ", ".join(str(name) for name in names[:MAX_NAMES])
    return shown if len(names) <= MAX_NAMES else f"{shown} and {len(names) - MAX_NAMES} more"


def _purpose(split: str, labels: int) -> str:
    purposes = {
        "train": f"training: up to {labels:,} labelled items",
        "val": "choosing among runs, watching training",
        "test": "the accuracy in domain",
    }
    return purposes.get(split, "the accuracy out of domain")


def _provenance(name: str) -> list[tuple[str, str]]:
    """Return where a dataset comes from, and the hash of its content."""
    facts = [("comes from", DIGITS if name in DIGIT_SETS else "built into kdlib, made from a formula")]
    card = imported.cards().get(name)
    if card is not None:
        facts = [("comes from", f"imported from {card.source}" if card.source else "imported")]
        facts += [("notes of the import", " ".join(card.notes))] if card.notes else []
    return [*facts, ("content hash", datasets.content(name))]


def teacher(source: ReportSource) -> Section:
    """Return who the teachers are, and what a linear probe reads from their embeddings."""
    blocks: list[Block] = []
    first = {}
    for result in source.results:
        if result.teacher is not None:
            first.setdefault((result.spec.teacher, result.spec.dataset, result.spec.pooling), result)
    if not first:
        return Section("teachers", "Teachers", [Paragraph("No run of this report has a teacher.")])
    for name in dict.fromkeys(key[0] for key in first):
        blocks.append(
            Facts(teacher_name(name), _describe_teacher(name, next(r for k, r in first.items() if k[0] == name)))
        )
    labels = _teacher_labels(list(first))
    known = [(label, question, probe) for label, result in zip(labels, first.values(), strict=True)
             for question, probe in _raw_probes(result).items()]  # fmt: skip
    rows = [(label, question, p.raw.mean, p.chance or 0.0) for label, question, p in known if p.raw is not None]
    if rows:
        figure = plot_teacher_heatmap(pd.DataFrame(rows, columns=["teacher", "question", "accuracy", "chance"]))
        caption = (
            "How well a linear probe reads the target and each attribute from the raw embedding of test items; the "
            "darker, the further above chance. What is read easily although it is not the target is what a compressor "
            "may throw away."
        )
        blocks.append(FigureBlock([figure], "What each teacher knows", caption))
        cells = [[label, question, format_percent(p.raw), _percent(p.chance)] for label, question, p in known if p.raw]
        blocks.append(Table(["teacher", "question", "probe %", "chance %"], cells, bars=[row[2] for row in rows]))
    return Section("teachers", "Teachers and what they know", blocks)


def _raw_probes(result: RunResult) -> dict[str, Probe]:
    return ({"target": result.teacher.probe} if result.teacher else {}) | result.attributes


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"


def _teacher_labels(keys: Sequence[tuple[str, str, str]]) -> list[str]:
    several = [len({key[place] for key in keys}) > 1 for place in range(3)]
    return [", ".join([teacher_name(key[0]), *(key[i] for i in (1, 2) if several[i])]) for key in keys]


def _describe_teacher(name: str, result: RunResult) -> list[tuple[str, str]]:
    """Return what is known of a teacher; of one that is gone, what the run has kept."""
    try:
        facts = teachers.get_teacher(name).describe()
        weights = embedding.provenance(name)["weights"]
    except (ValueError, OSError):
        facts, weights = {}, ""
    if not facts and result.teacher:
        facts = {"source task": result.teacher.source_task, "note": "This teacher is not on this machine any more."}
    facts.setdefault("licence", "MIT, as kdlib" if teachers.is_built_in(name) else "not said: ask before you publish")
    if weights:
        facts["SHA-256 of the weights"] = weights
    if "raw" in result.spaces:
        facts["width"] = f"{result.spaces['raw'].width:,}"
    return list(facts.items())


def methods(source: ReportSource) -> Section:
    """Return what was run: the methods, what differs between the runs, and what they share."""
    specs = [result.spec for result in source.results]
    helps = {entry["name"]: entry["help"] for entry in catalog.list_entries("methods")}
    names = dict.fromkeys(spec.method for spec in specs)
    blocks: list[Block] = [
        Facts("Methods", [(method_name(n), UNLIKE_METHODS.get(n) or helps.get(n, "")) for n in names])
    ]
    differing = list(dict.fromkeys(["method", *frames.differing_fields(specs)]))
    rows = []
    for label, info, result in zip(source.labels, source.infos, source.results, strict=True):
        spec = result.spec
        cells = ["–" if name in unused_fields(spec) else setting_name(name, getattr(spec, name)) for name in differing]
        rows.append([label, *cells, f"{count_students(result)}", info.name, info.id[:12]])
    blocks.append(Table(["", *map(_words, differing), "n", "name", "run"], rows, "What differs; n: seeds."))
    shared = [field.name for field in fields(RunSpec) if field.name not in differing]
    used = [name for name in shared if any(name not in unused_fields(spec) for spec in specs)]
    values = {name: next(getattr(s, name) for s in specs if name not in unused_fields(s)) for name in used}
    blocks.append(
        Facts("The same in all runs that use it", [(_words(name), setting_name(name, v)) for name, v in values.items()])
    )
    return Section("methods", "Methods", blocks)


def _words(field: str) -> str:
    return field.replace("_", " ")


def reproduce(source: ReportSource) -> Section:
    """Return how to train the same again: command, Python, YAML, versions, hashes."""
    blocks: list[Block] = []
    repetition = Repetition(max(len(result.subsets) or 1 for result in source.results))
    for spec, names in comparisons([result.spec for result in source.results]):
        try:
            forms = planning.as_code(spec, names, repetition)
        except ValueError as error:  # a dataset that is gone
            blocks += [Paragraph(f"This cannot be run here: {error}."), CodeBlock("Spec", "json", spec.to_json())]
            continue
        languages = {"Command line": "bash", "Python": "python", "YAML": "yaml"}
        blocks += [CodeBlock(form, languages[form], text) for form, text in forms.items()]
    ids = " ".join(run_id[:12] for run_id in source.ids)
    blocks.append(CodeBlock("This report again", "bash", f"python -m kdlib report {ids} --to report.html"))
    blocks.append(
        Facts("Versions", [("kdlib", kdlib.__version__), ("Python", platform.python_version()), *_versions()])
    )
    rows = [[label, info.id, info.spec.identity] for label, info in zip(source.labels, source.infos, strict=True)]
    blocks.append(Table(["", "run", "identity of the spec"], rows, "The identity is a hash of all that decides a run."))
    return Section("reproduce", "How to reproduce it", blocks)


def comparisons(specs: Sequence[RunSpec]) -> list[tuple[RunSpec, list[str]]]:
    """Return specs grouped to comparisons: one spec, and the methods that are compared on it.

    Example:
        >>> comparisons([RunSpec(method="raw"), RunSpec(method="mlp")])[0][1]
        ['raw', 'mlp']
    """
    groups: list[list[RunSpec]] = []
    # The spec with the fewest unused fields says what the others leave open.
    for spec in sorted(specs, key=lambda spec: len(unused_fields(spec))):
        for group in groups:
            if group[0].replace(method=spec.method).identity == spec.identity:
                group.append(spec)
                break
        else:
            groups.append([spec])
    order = {spec: place for place, spec in enumerate(specs)}
    return [(group[0], [s.method for s in sorted(group, key=order.__getitem__)]) for group in groups]


def _versions() -> list[tuple[str, str]]:
    known = []
    for name in LIBRARIES:
        try:
            known.append((name, version(name)))
        except PackageNotFoundError:
            continue
    return known


def limits(source: ReportSource) -> Section:
    """Return what the numbers do not say."""
    specs = [result.spec for result in source.results]
    few = min(spec.seeds for spec in specs)
    samples = [result.metrics["test"].primary for result in source.results]
    widened = dict.fromkeys(each.sample for each in samples if each.subsets > 1 or each.looks > 1)
    lines = [
        "Intervals are 95 % t-intervals over the seeds, on one fixed test set: they say how far another seed may lie, "
        "not another sample of items, another dataset or another teacher.",
        *([f"Here they are over {', '.join(widened)}."] if widened else []),
        f"{len(specs)} runs were compared, at least {few} seeds each; intervals are not corrected for the number of "
        "comparisons, so a single difference just outside 0 is weak evidence.",
        "Probes are linear: what they do not read may still be there in another form.",
        "Maps distort: neighbours and scores come from the spaces themselves, never from a map.",
        "Latency and training time are those of the machine that ran it.",
    ]
    if few < 3:
        lines.insert(
            1, "With fewer than three seeds an interval is wide or missing: repeat with more before concluding."
        )
    if any(name in datasets.DATASETS for name in source.data):
        lines.append(
            "Built-in data are small and partly synthetic: they show the effect, they do not measure your task."
        )
    return Section("limits", "Limits", [Bullets(lines)])


def citations(source: ReportSource) -> Section:
    """Return what to cite."""
    lines = list(PAPERS)
    lines += [UMAP_PAPER] if source.view and source.view.umap else []
    lines += [DIGITS] if any(name in DIGIT_SETS for name in source.data) else []
    for name in dict.fromkeys(r.spec.teacher for r in source.results if r.spec.method != BASELINE):
        if not teachers.is_built_in(name):
            facts = dict(_describe_teacher(name, next(r for r in source.results if r.spec.teacher == name)))
            lines.append(f"Teacher {name}: {facts.get('comes from', 'origin not said')}; licence: {facts['licence']}.")
    return Section("citations", "Citations", [Bullets(lines)])
