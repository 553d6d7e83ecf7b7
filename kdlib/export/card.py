"""The model card of an export, README.md, in the form of Hugging Face: a head in YAML, then markdown.

Names of classes, datasets and runs are a person's own: `plain` shows them literally, whatever they hold.
"""

import re
from typing import Any

import yaml

from kdlib.analysis.comparison import METRIC_NAMES
from kdlib.data.dataset import AUDIO, IMAGE, ITEM_NAMES, TEXT
from kdlib.export.inputs import BAG, PIXELS, WAVE
from kdlib.export.measuring import GraphFacts, Measurements, SplitScores
from kdlib.export.source import ExportSource
from kdlib.models import teachers
from kdlib.spec import BASELINE, unused_fields

TASKS = {IMAGE: "image-classification", AUDIO: "audio-classification", TEXT: "text-classification"}
OTHER_TASK = "tabular-classification"
SHOWN_CLASSES = 100
SPLIT_NAMES = {"test": "test set", "val": "validation set (the best weights were chosen on it)"}
CITATIONS = (
    "Y. Ding, A. Lerch: Audio Embeddings as Teachers for Music Classification, ISMIR 2023, arXiv:2306.17424",
    "Y. Ding, A. Lerch: Embedding Compression for Teacher-to-Student Knowledge Transfer, 2024, arXiv:2402.06761",
)


def plain(text: object) -> str:
    """Return text as markdown shows it literally, on one line; "(no name)" for a blank one.

    Example:
        >>> plain("a|b")
        'a\\\\|b'
    """
    words = " ".join("".join(each if each.isprintable() else " " for each in str(text)).split())
    escaped = re.sub(r"([\\`*_{}\[\]#!|~$@])", r"\\\1", words)
    escaped = re.sub(r"^([-+=]|\d+(?=[.)]))", _escape_first, escaped)  # would begin a list or a line
    escaped = re.sub(r"(?i)(:)(?=//)|(?<=www)(\.)", r"\\\g<0>", escaped)  # would become a link
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") or "(no name)"


def _escape_first(match: re.Match[str]) -> str:
    return f"\\{match[0]}" if not match[0].isdecimal() else f"{match[0]}\\"


def write_card(source: ExportSource, measured: Measurements, compressor_note: str) -> str:
    """Return the text of README.md.

    Args:
        source: what is exported.
        measured: its numbers.
        compressor_note: why there is no compressor.onnx; "" if there is.

    Example:
        >>> write_card(source, measured, "").splitlines()[0]
        '---'
    """
    head = yaml.safe_dump(card_head(source, measured), sort_keys=False, allow_unicode=True, width=1000)
    sections = [
        _introduction(source),
        _usage(source),
        _results(source, measured),
        _calibration(source, measured),
        _costs(measured),
        _data(source),
        _teacher(source),
        "## How it was trained\n\nEverything that decides it is in `spec.yaml`:\n\n```yaml\n"
        + spec_yaml(source)
        + "```",
        _files(source, compressor_note),
        _limits(source, measured),
        "## Citations\n\n" + "\n".join(f"- {line}" for line in CITATIONS),
    ]
    return f"---\n{head}---\n\n" + "\n\n".join(sections) + "\n"


def card_head(source: ExportSource, measured: Measurements) -> dict[str, Any]:
    """Return the head of the card, as Hugging Face's hub reads it."""
    task, name = TASKS.get(source.data.modality, OTHER_TASK), source.run.name
    results = [
        {
            "task": {"type": task},
            "dataset": {"name": source.data.name, "type": source.data.name, "split": split},
            "metrics": [{"type": metric, "value": round(value, 4)} for metric, value in scored.scores.items()],
        }
        for split, scored in measured.splits.items()
    ]
    return {
        "license": "other",
        "license_name": "not-stated",
        "library_name": "onnx",
        "pipeline_tag": task,
        "tags": ["onnx", "knowledge-distillation", "embedding-compression", "kdlib", source.data.modality],
        "datasets": [source.data.name],
        "metrics": list(measured.splits["test"].scores),
        "model-index": [{"name": name, "results": results}],
    }


def spec_yaml(source: ExportSource) -> str:
    """Return the spec of the run as YAML, what was tuned as it was found, without fields its method has no use for."""
    spec = source.result.setting
    used = {name: value for name, value in spec.to_dict().items() if name not in unused_fields(spec)}
    return yaml.safe_dump(used, sort_keys=False, allow_unicode=True)


def _introduction(source: ExportSource) -> str:
    spec, data = source.result.spec, source.data
    kind = "which of these classes are present" if data.multi_label else "which of these classes it is"
    seeds = f"number {source.seeds[0]}" if len(source.seeds) == 1 else "the mean of all"
    classes = ", ".join(plain(name) for name in data.classes[:SHOWN_CLASSES])
    more = f" and {len(data.classes) - SHOWN_CLASSES:,} more" if len(data.classes) > SHOWN_CLASSES else ""
    learnt = (
        "Trained with KD Lab on labels alone, without a teacher."
        if spec.method == BASELINE
        else "Trained with KD Lab on labels and on what a teacher's embedding says of the same items."
    )
    return (
        f"# {plain(source.run.name)}\n\nA small network ({plain(spec.student)}, "
        f"{source.result.cost.parameters or 0:,} parameters, {seeds} of {spec.seeds} seeds) that says of "
        f"{ITEM_NAMES[data.modality]} {kind}: {classes}{more}.\n\n{learnt}"
    )


def _usage(source: ExportSource) -> str:
    form, shape = source.form, ", ".join(map(str, source.form.shape))
    takes = {
        PIXELS: f"bytes (n, {shape}), channels first; scaling to [0, 1] is inside",
        WAVE: f"float32 samples (n, {shape}) in [-1, 1] at {form.rate:,} Hz, mono; the log-mel spectrogram is inside",
        BAG: f"float32 (n, {shape}), n-grams hashed by `reading.hash_texts`",
    }.get(form.kind, f"float32 (n, {shape}), as they were imported")
    example = {PIXELS: "picture.png", WAVE: "sound.wav", BAG: "text.txt"}.get(form.kind, "table.csv")
    return (
        f"## How to use\n\n```\npip install onnxruntime numpy\npython predict.py {example}\n```\n\n"
        f"`student.onnx` takes `{form.name}`: {takes}. It gives `probabilities`, `logits` and `features`; "
        "the number of items is free. `reading.py` brings files to that form as they were imported: PNG (others with "
        "Pillow), WAV, CSV, NPZ."
    )


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"


def _results(source: ExportSource, measured: Measurements) -> str:
    metrics = list(measured.splits["test"].scores)
    spread = "over seeds" if source.result.spec.seeds > 1 else ""
    lines = [
        f"| split | items | {' | '.join(f'{METRIC_NAMES.get(name, name)} %' for name in metrics)} | 95 % interval |"
        + (" all seeds of the run |" if spread else ""),
        f"|---|---|{'---|' * len(metrics)}---|" + ("---|" if spread else ""),
    ]
    for split, scored in measured.splits.items():
        values = " | ".join(_percent(scored.scores[name]) for name in metrics)
        row = f"| {plain(SPLIT_NAMES.get(split, split))} | {scored.items:,} | {values} | {_interval(scored)} |"
        lines.append(row + (f" {_over_seeds(source, split)} |" if spread else ""))
    text = "\n".join(lines)
    note = "The interval is Wilson's, over items of that kind. " if measured.splits["test"].interval else ""
    seeds = f"The last column is the mean over {source.result.spec.seeds} seeds ± its 95 % interval." if spread else ""
    return f"## Results\n\n{text}\n\n{note}{seeds}".rstrip()


def _interval(scored: SplitScores) -> str:
    return f"{_percent(scored.interval[0])} to {_percent(scored.interval[1])}" if scored.interval else "–"


def _over_seeds(source: ExportSource, split: str) -> str:
    summary = source.result.score(split)
    if summary is None:
        return "–"
    return _percent(summary.mean) + (f" ± {_percent(summary.ci95)}" if summary.ci95 is not None else "")


def _calibration(source: ExportSource, measured: Measurements) -> str:
    errors = measured.calibration
    if not source.data.multi_label:
        value = "not known" if errors[0] is None else f"{errors[0]:.3f}"
        return (
            f"## Calibration\n\nExpected calibration error on the test set: {value} (15 bins; 0 is perfect: of what is "
            "said with a probability of 0.8, 80 % are right)."
        )
    rows = [
        f"| {plain(name)} | {'–' if error is None else f'{error:.3f}'} | {cut:.3f} |"
        for name, error, cut in zip(source.data.classes, errors, source.thresholds(), strict=True)
    ]
    return (
        "## Calibration\n\nExpected calibration error of each class on the test set (15 bins, 0 is perfect), and the "
        "probability from which it counts as present, chosen on the validation set by F1:\n\n"
        "| class | calibration error | threshold |\n|---|---|---|\n" + "\n".join(rows)
    )


def _costs(measured: Measurements) -> str:
    metrics = list(measured.splits["test"].scores)
    lines = [
        f"| file | kB | ms an item | {' | '.join(f'test {METRIC_NAMES.get(name, name)} %' for name in metrics)} |",
        f"|---|---|---|{'---|' * len(metrics)}",
    ]
    lines += [_cost_row(name, facts, metrics) for name, facts in measured.graphs.items()]
    far = measured.agreement
    return (
        "## Size and time\n\n"
        + "\n".join(lines)
        + "\n\nMeasured with onnxruntime on one thread of the machine that made the export, one item at a time; "
        f"preprocessing included. On {far.items:,} test items the graph differs from PyTorch by at most "
        f"{far.probabilities:.1g} in a probability and {far.features:.1g} in a feature."
    )


def _cost_row(name: str, facts: GraphFacts, metrics: list[str]) -> str:
    values = " | ".join(_percent(facts.scores[metric]) for metric in metrics)
    return f"| `{name}` | {facts.bytes / 1000:,.1f} | {facts.latency_ms:.2g} | {values} |"


def _data(source: ExportSource) -> str:
    data, spec = source.data, source.result.spec
    sizes = ", ".join(f"{plain(split)} {len(rows):,}" for split, rows in data.splits.items())
    return (
        f"## Data\n\n{plain(data.name)}: {len(data.inputs):,} {ITEM_NAMES[data.modality]}, {len(data.classes):,} "
        f"classes, {'several labels an item' if data.multi_label else 'one label an item'}. "
        f"Splits: {sizes}. The student saw the labels of {spec.labels:,} training items. Whoever "
        "publishes this states the data's licence."
    )


def _teacher(source: ExportSource) -> str:
    spec = source.result.spec
    if spec.method == BASELINE:
        return "## Teacher\n\nNone."
    lines = [f"- method: {plain(spec.method)}"]
    try:
        facts = teachers.get_teacher(spec.teacher).describe()
    except ValueError:
        facts = {"what it is": "it has been removed since"}
    facts.setdefault("licence", "MIT, as KD Lab" if teachers.is_built_in(spec.teacher) else "not stated")
    lines += [f"- {name}: {plain(fact)}" for name, fact in facts.items()]
    stats = source.result.teacher
    probed = stats.probe.spaces() if stats else {}
    lines += [
        f"- a linear probe on the {space} embedding: {_percent(summary.mean)} % on the test set"
        for space, summary in probed.items()
    ]
    return f"## Teacher\n\n{plain(spec.teacher)}\n\n" + "\n".join(lines)


def _files(source: ExportSource, compressor_note: str) -> str:
    compressor = (
        f"no `compressor.onnx`: {plain(compressor_note)}"
        if compressor_note
        else "`compressor.onnx`: the teacher's embedding (one per item, pooled) -> the compressed one"
    )
    lines = (
        "`student.onnx`: the student; `features` make it a teacher of the next one",
        "`student.safetensors`, `config.json`: its weights under their names in PyTorch, and how to rebuild it",
        compressor,
        "`labels.json`: class names" + (" and thresholds" if source.data.multi_label else ""),
        "`predict.py`, `reading.py`: from a file to classes",
        "`spec.yaml`: what was run",
    )
    return "## Files\n\n" + "\n".join(f"- {line}" for line in lines)


def _limits(source: ExportSource, measured: Measurements) -> str:
    spec, test = source.result.spec, measured.splits["test"]
    unknown = (
        "It knows nothing but its classes: whatever it is shown gets probabilities of them."
        if source.data.multi_label
        else "It knows nothing but its classes: whatever it is shown is taken for one of them."
    )
    lines = [unknown, f"The scores are of {test.items:,} test items of the same origin as the training items."]
    outside = [(name, scored) for name, scored in measured.splits.items() if name.startswith("ood:")]
    metric = next(iter(test.scores)) if not source.data.multi_label else "map"
    for name, scored in outside:
        lines.append(
            f"On {plain(name.removeprefix('ood:'))} items, which are unlike the training items, it comes to "
            f"{_percent(scored.scores[metric])} % instead of {_percent(test.scores[metric])} %."
        )
    if not outside:
        lines.append("How it does on items of another origin was not measured.")
    if spec.method != BASELINE:
        lines.append("It learnt from a teacher: the teacher's licence and its biases may extend to it.")
    return "## Limits\n\n" + "\n".join(f"- {line}" for line in lines)
