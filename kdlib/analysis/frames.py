"""Rows for charts and tables: what specs, points and results say, as pandas frames with one row per thing that is drawn.

Numbers stay fractions here; `figures` and the pages word them as percent. Names of runs and classes go through as they are: whoever draws
escapes them.
"""

import re
from collections.abc import Sequence
from dataclasses import fields
from math import isfinite
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit

from kdlib.analysis.comparison import METRIC_NAMES, excludes_zero, format_percent, paired_differences, why_unpaired
from kdlib.analysis.evaluation import primary_metric, scores, thresholds
from kdlib.analysis.intervals import summarize
from kdlib.data import datasets
from kdlib.data.datasets import AUDIO, Dataset
from kdlib.results import Point, RunResult
from kdlib.spec import BASELINE, RAW, RunSpec, unused_fields

COMPRESSED_ROLE = "compressed"
MAX_TILES = 24  # rows and columns of a gallery
CURVES = ("val", "prediction", "distance", "teacher")


def method_role(spec: RunSpec) -> str:
    """Return "baseline", "raw" or "compressed": what decides a colour."""
    return spec.method if spec.method in (BASELINE, RAW) else COMPRESSED_ROLE


def differing_fields(specs: Sequence[RunSpec]) -> list[str]:
    """Return the fields in which the specs differ, the method first; fields a method does not look at do not count for it."""
    names = [f.name for f in fields(RunSpec) if f.name != "method"]
    found = ["method"] if len({spec.method for spec in specs}) > 1 else []
    for name in names:
        values = {getattr(spec, name) for spec in specs if name not in unused_fields(spec)}
        found += [name] if len(values) > 1 else []
    return found


def run_labels(specs: Sequence[RunSpec]) -> list[str]:
    """Return a short name per spec that tells it from the others: method and width, then whatever else differs."""
    told = _in_short(
        specs, [spec.method if method_role(spec) != COMPRESSED_ROLE else f"{spec.method} {spec.dim}" for spec in specs]
    )
    seen: dict[str, int] = {}
    for number, label in enumerate(told):
        seen[label] = seen.get(label, 0) + 1
        if seen[label] > 1:
            told[number] = f"{label} #{seen[label]}"
    return told


def _in_short(specs: Sequence[RunSpec], names: Sequence[str]) -> list[str]:
    """Return each name with the settings other than method and width in which its spec differs from others."""
    apart = [name for name in differing_fields(specs) if name not in ("method", "dim")]
    told = []
    for spec, name in zip(specs, names, strict=True):
        used = [each for each in apart if each not in unused_fields(spec)]
        told.append(", ".join([name, *(f"{each.replace('_', ' ')} {getattr(spec, each)}" for each in used)]))
    return told


def curves(
    specs: Sequence[RunSpec], histories: Sequence[Sequence[Point]], names: Sequence[str] | None = None
) -> pd.DataFrame:
    """Return one row per run, curve and epoch: its mean over the seeds, and the lowest and highest of them.

    Args:
        specs: of the runs.
        histories: their points.
        names: what the runs are called; by default `labels`.
    """
    rows = []
    for spec, history, label in zip(specs, histories, names or run_labels(specs), strict=True):
        for point in history:
            for curve in CURVES:
                values = point.finite(curve)
                if values and (
                    curve == "val" or any(values)
                ):  # a baseline has no distance: a line at 0 would say it is perfect
                    low, high = min(values), max(values)
                    rows.append(
                        (label, method_role(spec), curve, point.epoch, float(np.mean(values)), low, high, len(values))
                    )
    return pd.DataFrame(rows, columns=["label", "role", "curve", "epoch", "mean", "low", "high", "n"])


def metric_label(specs: Sequence[RunSpec]) -> str:
    """Return what the validation score of live runs is called: "accuracy", "mAP", or both where they differ in it."""
    words = [
        METRIC_NAMES[primary_metric(datasets.load(name).labels)]
        for name in dict.fromkeys(spec.dataset for spec in specs)
    ]
    return " or ".join(dict.fromkeys(words))


def split_name(split: str) -> str:
    """Return a split in words: "in-domain" for the test set, the name of an out-of-domain set."""
    return {"test": "in-domain", "ood": "mean out-of-domain"}.get(split, split.removeprefix("ood:"))


def accuracies(
    results: Sequence[RunResult], splits: Sequence[str] | None = None, names: Sequence[str] | None = None
) -> pd.DataFrame:
    """Return one row per result and split: mean, half-width of the 95 % interval, the seeds' values.

    Args:
        results: those without metrics are left out.
        splits: by default the test set and every out-of-domain set.
        names: what the results are called; by default `labels`.
    """
    rows = []
    for result, label in zip(results, names or run_labels([each.spec for each in results]), strict=True):
        for split in splits or [name for name in result.metrics if name not in ("val", "ood")]:
            value = result.score(split)
            if value:
                outside = split.startswith("ood")
                rows.append(
                    (label, method_role(result.spec), split_name(split), outside, value.mean, value.ci95, value.values)
                )
    return pd.DataFrame(rows, columns=["label", "role", "split", "outside", "mean", "ci95", "values"])


def accuracy_over_dim(results: Sequence[RunResult], split: str = "test") -> pd.DataFrame:
    """Return one row per result: width and accuracy; those that differ in nothing but their width share a label.

    Baseline and raw are reference lines and have no width.
    """
    done = [each for each in results if each.metrics]
    specs, rows = [each.spec for each in done], []
    for result, label in zip(done, _in_short(specs, [spec.method for spec in specs]), strict=True):
        value = result.metrics[split].primary
        kind = method_role(result.spec)
        dim = result.spaces["compressed"].width if kind == COMPRESSED_ROLE and "compressed" in result.spaces else None
        rows.append((label, kind, dim, value.mean, value.ci95, value.values))
    frame = pd.DataFrame(rows, columns=["label", "role", "dim", "mean", "ci95", "values"])
    return frame.sort_values(["label", "dim"], ignore_index=True)


COST_NAMES = {
    "parameters": "student parameters",
    "multiply_adds": "multiply-adds per item",
    "latency_ms": "latency per item, ms",
    "bytes_per_embedding": "bytes per embedding",
    "seconds": "training seconds",
}


def accuracy_over_cost(results: Sequence[RunResult], cost: str, split: str = "test") -> pd.DataFrame:
    """Return accuracy beside one cost (a key of `COST_NAMES`); results without that cost are left out."""
    names = run_labels([each.spec for each in results])
    rows = []
    for result, label in zip(results, names, strict=True):
        amount = getattr(result.cost, cost)
        if result.metrics and amount:
            value = result.metrics[split].primary
            rows.append((label, method_role(result.spec), amount, value.mean, value.ci95, value.values))
    return pd.DataFrame(rows, columns=["label", "role", "cost", "mean", "ci95", "values"])


def differences_to(results: Sequence[RunResult], number: int) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return paired differences to one of the results, and which results cannot be paired with it.

    Returns:
        One row per result that can, in words: "+4.9 ± 2.1", a star where 0 is excluded, "n" the seeds that both have; and for the
        others their label -> why not.
    """
    names, other = run_labels([each.spec for each in results]), results[number]
    rows, left_out = [], {}
    for result, label in zip(results, names, strict=True):
        if result is other:
            continue
        reason = why_unpaired(result, other)
        if reason:
            left_out[label] = reason
            continue
        cells: dict[str, Any] = {"method": label, "compared with": names[number]}
        for split, difference in paired_differences(result, other).items():
            if split != "val":
                cells[split_name(split)] = format_percent(difference, signed=True) + (
                    " *" if excludes_zero(difference) else ""
                )
                cells["n"] = len(difference.values)
        rows.append(cells)
    return pd.DataFrame(rows), left_out


def result_table(results: Sequence[RunResult], in_words: bool = True) -> pd.DataFrame:
    """Return one row per result: what differs, accuracies, costs. `in_words`: "72.9 ± 1.2"; otherwise numbers, mean and interval apart."""
    specs = [each.spec for each in results]
    rows = []
    for result in results:
        row = {name: getattr(result.spec, name) for name in dict.fromkeys(["method", *differing_fields(specs)])}
        for name in unused_fields(result.spec):
            if name in row:
                row[name] = None
        for split, values in result.metrics.items():
            value, told = values.primary, split_name(split) if split != "val" else "validation"
            told += "" if values.primary_name == "accuracy" else f" {METRIC_NAMES[values.primary_name]}"
            if in_words:
                row[f"{told} %"] = format_percent(value)
            else:
                row |= {
                    f"{told} %": 100 * value.mean,
                    f"{told} ± 95 %": None if value.ci95 is None else 100 * value.ci95,
                }
        if result.primary_name == "map":
            for metric in ("roc_auc", "f1"):
                value = result.metrics["test"][metric]
                row[f"{METRIC_NAMES[metric]} in-domain %"] = format_percent(value) if in_words else 100 * value.mean
        row |= {"n": result.spec.seeds} | {told: getattr(result.cost, name) for name, told in COST_NAMES.items()}
        if in_words:
            row = {
                name: str(value) if name in differing_fields(specs) and value is not None else _in_words(value)
                for name, value in row.items()
            }
        rows.append(row)
    return pd.DataFrame(rows)


def _in_words(value: Any) -> Any:
    return "–" if value is None else round(value, 1) if isinstance(value, float) else value


def to_csv(frame: pd.DataFrame) -> str:
    """Return a table as CSV; text that a spreadsheet would take for a formula is quoted with an apostrophe."""

    def safe(cell: Any) -> Any:
        return f"'{cell}" if isinstance(cell, str) and re.match(r"[=+\-@\t\r]", cell) else cell

    guarded = frame.map(safe)
    guarded.columns = [safe(name) for name in frame.columns]
    return guarded.to_csv(index=False)


def to_latex(frame: pd.DataFrame) -> str:
    """Return a table as a LaTeX tabular in booktabs style, everything special in it escaped."""
    special = {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "±": r"$\pm$",
        "–": "--",
        "λ": r"$\lambda$",
    }
    special |= {character: f"\\{character}" for character in "&%$#_{}"}

    def safe(cell: Any) -> str:
        if cell is None or (isinstance(cell, float) and not isfinite(cell)):
            return "--"
        text = f"{cell:,}" if isinstance(cell, int) else f"{cell:.1f}" if isinstance(cell, float) else str(cell)
        return "".join(special.get(character, character) for character in text)

    lines = [
        " & ".join(map(safe, frame.columns)),
        *(" & ".join(map(safe, row)) for row in frame.itertuples(index=False)),
    ]
    head, *body = (f"{line} \\\\" for line in lines)
    columns = "l" + "r" * (len(frame.columns) - 1)
    return "\n".join(
        [
            f"\\begin{{tabular}}{{{columns}}}",
            "\\toprule",
            head,
            "\\midrule",
            *body,
            "\\bottomrule",
            "\\end{tabular}",
            "",
        ]
    )


def confusion(logits: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return how often each class is taken for each other, rows are the true class and sum to 1, averaged over members.

    Args:
        logits: (m, n, k).
        truth: (n,) class indices; -1 = not known, left out.
    """
    known = truth >= 0
    k = logits.shape[-1]
    told = logits[:, known].argmax(-1)
    counts = np.zeros((k, k))
    np.add.at(counts, (np.broadcast_to(truth[known], told.shape), told), 1)
    return counts / np.maximum(counts.sum(1, keepdims=True), 1)


def false_alarms(logits: np.ndarray, truth: np.ndarray, val_logits: np.ndarray, val_truth: np.ndarray) -> np.ndarray:
    """Return (k, k), averaged over members: where class i is there, how often j is told although it is not; diagonal: how often i is told.

    It answers for several labels an item what `confusion` answers for one: what is taken for what. NaN where no item tells.

    Args:
        logits: (m, n, k).
        truth: (n, k), 1 = there, 0 = not there, NaN = not known.
        val_logits, val_truth: of the validation rows, on which each member's thresholds are chosen, per class.
    """
    found = np.zeros(logits.shape[-1:] * 2)
    asked = (truth == 0).astype(float)
    for member, val in zip(logits, val_logits, strict=True):
        told = (expit(member) >= thresholds(val, val_truth)).astype(float)
        with np.errstate(invalid="ignore"):
            share = (truth == 1).T.astype(float) @ (told * asked) / ((truth == 1).T.astype(float) @ asked)
        hits = [told[truth[:, i] == 1, i].mean() if (truth[:, i] == 1).any() else np.nan for i in range(len(found))]
        np.fill_diagonal(share, hits)
        found += share / len(logits)
    return found


def per_class(logits: np.ndarray, truth: np.ndarray, classes: Sequence[str]) -> pd.DataFrame:
    """Return one row per class that occurs: how good the members are at it, as mean, interval and values.

    Accuracy on the class; for several labels an item, average precision. Arguments as in `confusion` or `false_alarms`.
    """
    rows = []
    for number, name in enumerate(classes):
        if truth.ndim == 2:
            told = truth[:, [number]]
            decided = {0, 1} <= set(told[:, 0].tolist())
            values = [scores(member[:, [number]], told)["map"] for member in logits] if decided else []
        else:
            there = truth == number
            values = (logits[:, there].argmax(-1) == number).mean(1).tolist() if there.any() else []
        if values:
            found = summarize(values)
            rows.append((str(name), found.mean, found.ci95, found.values))
    return pd.DataFrame(rows, columns=["class", "mean", "ci95", "values"])


def rows_of_class(data: Dataset, number: int, split: str = "test") -> np.ndarray:
    """Return the rows of a split in which a class is known to be there."""
    rows = data.splits[split]
    labels = data.labels[rows]
    return rows[labels[:, number] == 1 if data.multi_label else labels == number]


def gallery(data: Dataset, attribute: str, turn: int = 0) -> tuple[np.ndarray, list[str]]:
    """Return test items as tiles (classes, categories, h, w), grey and stretched to [0, 1], NaN where there is none; and the categories.

    Args:
        data: images, or sounds, which are shown with low frequencies at the bottom.
        attribute: a name in `data.attributes`, of which the categories that occur are shown; with an unknown one each row shows eight
            items of its class.
        turn: another number, other items.
    """
    told = data.attributes.get(attribute)
    categories = range(8) if told is None else np.unique(told.values[data.splits["test"]]).tolist()
    categories = [each for each in categories if each >= 0][:MAX_TILES]
    height, width = data.inputs.shape[-2:]
    tiles = np.full((min(len(data.classes), MAX_TILES), len(categories), height, width), np.nan, np.float32)
    for i in range(len(tiles)):
        rows = rows_of_class(data, i)
        for j, category in enumerate(categories):
            there = rows if told is None else rows[told.values[rows] == category]
            if len(there):
                picture = data.inputs[there[(turn + (j if told is None else 0)) % len(there)]].mean(0)
                picture = picture[::-1] if data.modality == AUDIO else picture
                tiles[i, j] = (picture - picture.min()) / max(float(picture.max() - picture.min()), 1e-9)
    return tiles, [str(each + 1) if told is None else told.names[each] for each in categories]


def describe_item(data: Dataset, row: int) -> dict[str, str]:
    """Return what is known of an item, in words: its classes, its attributes, its name."""
    label, names = data.labels[row], np.array(data.classes, dtype=object)
    if data.multi_label:
        states = {"there": label == 1, "not there": label == 0, "not known": np.isnan(label)}
        told = {state: ", ".join(map(str, names[which])) for state, which in states.items() if which.any()}
    else:
        told = {"class": str(names[label]) if label >= 0 else "not known"}
    told |= {name: each.names[each.values[row]] for name, each in data.attributes.items() if each.values[row] >= 0}
    return told | {"item": str(data.ids[row])}


def split_table(data: Dataset) -> pd.DataFrame:
    """Return one row per split: how many items, and what it is for."""
    purpose = {"train": "training (the labelled part) and teachers", "val": "choosing", "test": "judging, in-domain"}
    rows = [
        (name.removeprefix("ood:"), len(rows), purpose.get(name, "judging, out-of-domain"))
        for name, rows in data.splits.items()
    ]
    return pd.DataFrame(rows, columns=["split", "items", "for"])
