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

from kdlib.comparison import clear, percent, primary_metric
from kdlib.datasets import Dataset
from kdlib.evaluation import paired_difference, summary
from kdlib.spec import BASELINE, RAW, UNUSED, RunResult, RunSpec

COMPRESSED = "compressed"
CURVES = ("val", "prediction", "distance", "teacher")


def role(spec: RunSpec) -> str:
    """Return "baseline", "raw" or "compressed": what decides a colour."""
    return spec.method if spec.method in (BASELINE, RAW) else COMPRESSED


def differing(specs: Sequence[RunSpec]) -> list[str]:
    """Return the fields in which the specs differ, the method first; fields a method does not look at do not count for it."""
    names = [f.name for f in fields(RunSpec) if f.name != "method"]
    found = ["method"] if len({spec.method for spec in specs}) > 1 else []
    for name in names:
        values = {getattr(spec, name) for spec in specs if name not in UNUSED.get(spec.method, ())}
        found += [name] if len(values) > 1 else []
    return found


def labels(specs: Sequence[RunSpec]) -> list[str]:
    """Return a short name per spec that tells it from the others: method and width, then whatever else differs."""
    apart = [name for name in differing(specs) if name not in ("method", "dim")]
    told = []
    for spec in specs:
        unused = UNUSED.get(spec.method, ())
        parts = [spec.method if role(spec) != COMPRESSED else f"{spec.method} {spec.dim}"]
        told.append(", ".join(parts + [f"{name.replace('_', ' ')} {getattr(spec, name)}" for name in apart if name not in unused]))
    seen: dict[str, int] = {}
    for number, label in enumerate(told):
        seen[label] = seen.get(label, 0) + 1
        if seen[label] > 1:
            told[number] = f"{label} #{seen[label]}"
    return told


def curves(specs: Sequence[RunSpec], histories: Sequence[Sequence[dict[str, Any]]], names: Sequence[str] | None = None) -> pd.DataFrame:
    """Return one row per run, curve and epoch: its mean over the seeds, and the lowest and highest of them.

    Args:
        specs: of the runs.
        histories: their points, as in `Progress.point`.
        names: what the runs are called; by default `labels`.
    """
    rows = []
    for spec, history, label in zip(specs, histories, names or labels(specs), strict=True):
        for point in history:
            for curve in CURVES:
                values = [value for value in point.get(curve) or [] if value is not None and isfinite(value)]
                if values and (curve == "val" or any(values)):  # a baseline has no distance: a line at 0 would say it is perfect
                    low, high = min(values), max(values)
                    rows.append((label, role(spec), curve, point["epoch"], float(np.mean(values)), low, high, len(values)))
    return pd.DataFrame(rows, columns=["label", "role", "curve", "epoch", "mean", "low", "high", "n"])


def split_name(split: str) -> str:
    """Return a split in words: "in-domain" for the test set, the name of an out-of-domain set."""
    return {"test": "in-domain", "ood": "mean out-of-domain"}.get(split, split.removeprefix("ood:"))


def accuracies(results: Sequence[RunResult], splits: Sequence[str] | None = None, names: Sequence[str] | None = None) -> pd.DataFrame:
    """Return one row per result and split: mean, half-width of the 95 % interval, the seeds' values.

    Args:
        results: those without metrics are left out.
        splits: by default the test set and every out-of-domain set.
        names: what the results are called; by default `labels`.
    """
    rows = []
    for result, label in zip(results, names or labels([each.spec for each in results]), strict=True):
        for split in splits or [name for name in result.metrics if name not in ("val", "ood")]:
            value = result.metrics.get(split, {}).get(primary_metric(result)) if result.metrics else None
            if value:
                outside = split.startswith("ood")
                rows.append((label, role(result.spec), split_name(split), outside, value["mean"], value["ci95"], value["values"]))
    return pd.DataFrame(rows, columns=["label", "role", "split", "outside", "mean", "ci95", "values"])


def over_dim(results: Sequence[RunResult], split: str = "test") -> pd.DataFrame:
    """Return one row per result: method, width and accuracy; baseline and raw are reference lines and have no width."""
    rows = []
    for result in results:
        if result.metrics:
            value = result.metrics[split][primary_metric(result)]
            kind = role(result.spec)
            dim = result.spaces["compressed"]["width"] if kind == COMPRESSED and "compressed" in result.spaces else None
            rows.append((result.spec.method, kind, dim, value["mean"], value["ci95"], value["values"]))
    frame = pd.DataFrame(rows, columns=["method", "role", "dim", "mean", "ci95", "values"])
    return frame.sort_values(["method", "dim"], ignore_index=True)


COSTS = {
    "parameters": "student parameters",
    "multiply_adds": "multiply-adds per item",
    "latency_ms": "latency per item, ms",
    "bytes_per_embedding": "bytes per embedding",
    "seconds": "training seconds",
}


def costs(results: Sequence[RunResult], cost: str, split: str = "test") -> pd.DataFrame:
    """Return accuracy beside one cost (a key of `COSTS`); results without that cost are left out."""
    names = labels([each.spec for each in results])
    rows = []
    for result, label in zip(results, names, strict=True):
        if result.metrics and result.cost.get(cost):
            value = result.metrics[split][primary_metric(result)]
            rows.append((label, role(result.spec), result.cost[cost], value["mean"], value["ci95"], value["values"]))
    return pd.DataFrame(rows, columns=["label", "role", "cost", "mean", "ci95", "values"])


def differences_to(results: Sequence[RunResult], number: int) -> pd.DataFrame:
    """Return the paired difference of every result to one of them, seed by seed, in words: "+4.9 ± 2.1", a star where 0 is excluded."""
    names, other = labels([each.spec for each in results]), results[number]
    rows = []
    for result, label in zip(results, names, strict=True):
        if result is other or not result.metrics or not other.metrics:
            continue
        cells = {"method": label, "compared with": names[number]}
        for split, values in result.metrics.items():
            if split == "val" or split not in other.metrics:
                continue
            a, b = values[primary_metric(result)]["values"], other.metrics[split][primary_metric(other)]["values"]
            shared = min(len(a), len(b))
            found = paired_difference(a[:shared], b[:shared])
            cells |= {split_name(split): percent(found, signed=True) + (" *" if clear(found) else ""), "n": shared}
        rows.append(cells)
    return pd.DataFrame(rows)


def table(results: Sequence[RunResult], in_words: bool = True) -> pd.DataFrame:
    """Return one row per result: what differs, accuracies, costs. `in_words`: "72.9 ± 1.2"; otherwise numbers, mean and interval apart."""
    specs = [each.spec for each in results]
    rows = []
    for result in results:
        row = {name: getattr(result.spec, name) for name in dict.fromkeys(["method", *differing(specs)])}
        for name in UNUSED.get(result.spec.method, ()):
            if name in row:
                row[name] = None
        for split, values in result.metrics.items():
            value, told = values[primary_metric(result)], split_name(split) if split != "val" else "validation"
            if in_words:
                row[f"{told} %"] = percent(value)
            else:
                row |= {f"{told} %": 100 * value["mean"], f"{told} ± 95 %": None if value["ci95"] is None else 100 * value["ci95"]}
        row |= {"n": result.spec.seeds} | {told: result.cost.get(name) for name, told in COSTS.items()}
        if in_words:
            row = {name: str(value) if name in differing(specs) and value is not None else _in_words(value) for name, value in row.items()}
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

    lines = [" & ".join(map(safe, frame.columns)), *(" & ".join(map(safe, row)) for row in frame.itertuples(index=False))]
    head, *body = (f"{line} \\\\" for line in lines)
    columns = "l" + "r" * (len(frame.columns) - 1)
    return "\n".join([f"\\begin{{tabular}}{{{columns}}}", "\\toprule", head, "\\midrule", *body, "\\bottomrule", "\\end{tabular}", ""])


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


def per_class(logits: np.ndarray, truth: np.ndarray, classes: Sequence[str]) -> pd.DataFrame:
    """Return one row per class that occurs: the members' accuracy on it as mean, interval and values. Arguments as in `confusion`."""
    right = logits.argmax(-1) == truth
    rows = []
    for number, name in enumerate(classes):
        if (truth == number).any():
            found = summary(right[:, truth == number].mean(1).tolist())
            rows.append((str(name), found["mean"], found["ci95"], found["values"]))
    return pd.DataFrame(rows, columns=["class", "mean", "ci95", "values"])


def gallery(data: Dataset, attribute: str, turn: int = 0) -> tuple[np.ndarray, list[str]]:
    """Return test items as tiles (classes, categories, h, w), grey and stretched to [0, 1], NaN where there is none; and the categories.

    Args:
        data: single-label images.
        attribute: a name in `data.attributes`; with an unknown one each row shows eight items of its class.
        turn: another number, other items.
    """
    rows = data.splits["test"]
    labels = data.labels[rows]
    told = data.attributes.get(attribute)
    category = np.full(len(rows), -1) if told is None else told.values[rows]
    names = [str(i + 1) for i in range(8)] if told is None else list(told.names)
    height, width = data.inputs.shape[-2:]
    tiles = np.full((len(data.classes), len(names), height, width), np.nan, np.float32)
    for i in range(len(data.classes)):
        for j in range(len(names)):
            there = rows[labels == i] if told is None else rows[(labels == i) & (category == j)]
            if len(there):
                picture = data.inputs[there[(turn + (j if told is None else 0)) % len(there)]].mean(0)
                tiles[i, j] = (picture - picture.min()) / max(float(picture.max() - picture.min()), 1e-9)
    return tiles, names


def facts(data: Dataset) -> pd.DataFrame:
    """Return one row per split: how many items, and what it is for."""
    purpose = {"train": "training (the labelled part) and teachers", "val": "choosing", "test": "judging, in-domain"}
    rows = [(name.removeprefix("ood:"), len(rows), purpose.get(name, "judging, out-of-domain")) for name, rows in data.splits.items()]
    return pd.DataFrame(rows, columns=["split", "items", "for"])
