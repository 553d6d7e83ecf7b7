"""Frames for charts: what specs, points and results say, as pandas frames with one row per mark or line segment.

Numbers stay fractions here; `figures` and the pages format them as percent. Names of runs and classes go through as
they are: `figures` escapes them.
"""

from collections.abc import Collection, Sequence
from dataclasses import fields

import numpy as np
import pandas as pd

from kdlib.analysis.comparison import METRIC_NAMES, format_percent
from kdlib.analysis.evaluation import primary_metric
from kdlib.analysis.tuned import describe_ending, setting_cells
from kdlib.analysis.width_precision import MEASURES, PrecisionRow, cheapest
from kdlib.data import datasets
from kdlib.models.quantization import PRECISIONS
from kdlib.names import COMPRESSED, method_name, method_role, run_name, setting_name
from kdlib.results import Point, RunResult
from kdlib.spec import NESTED, RunSpec, unused_fields
from kdlib.trials import FINISHED

CURVES = ("val", "prediction", "distance", "teacher", "gradient_cosine")
COST_NAMES = {
    "parameters": "student parameters",
    "multiply_adds": "multiply-adds per item",
    "latency_ms": "latency per item, ms",
    "bytes_per_embedding": "bytes per embedding",
    "seconds": "training seconds",
}


def differing_fields(specs: Sequence[RunSpec]) -> list[str]:
    """Return the fields in which the specs differ, the method first. A field counts only for methods that use it."""
    result = ["method"] if len({spec.method for spec in specs}) > 1 else []
    for name in (field.name for field in fields(RunSpec) if field.name != "method"):
        values = {getattr(spec, name) for spec in specs if name not in unused_fields(spec)}
        result += [name] if len(values) > 1 else []
    return result


def run_labels(specs: Sequence[RunSpec]) -> list[str]:
    """Return a unique label per spec: method and width, in plain words with the code name, then whatever else differs.

    Example:
        >>> run_labels([RunSpec(method="raw"), RunSpec(method="mlp", dim=16)])
        ['teacher as it is (raw)', 'trained, two layers (mlp), 16']
    """
    labels = _add_differences(specs, [run_name(spec) for spec in specs])
    counts: dict[str, int] = {}
    for number, label in enumerate(labels):
        counts[label] = counts.get(label, 0) + 1
        if counts[label] > 1:
            labels[number] = f"{label} #{counts[label]}"
    return labels


def family_labels(specs: Sequence[RunSpec], over: Collection[str] = ("dim",)) -> list[str]:
    """Return a label per spec that those share which differ in nothing but some fields.

    Args:
        specs: of the runs.
        over: the fields, by default the width of their embedding.

    Example:
        >>> family_labels([RunSpec(dim=8), RunSpec(dim=16)])
        ['trained, two layers (mlp)', 'trained, two layers (mlp)']
    """
    same = {name: getattr(RunSpec, name) for name in over if name != "method" and hasattr(RunSpec, name)}
    if "dim" in over and len({spec.dim for spec in specs if spec.method in NESTED}) == 1:
        same["prefix"] = RunSpec.prefix  # of one embedding, so a prefix is a width
    alike = [spec.replace(**same) for spec in specs]
    if "method" in over:
        names = ["every method"] * len(specs)
    else:
        names = [_family_name(spec) if "dim" in over else run_name(spec) for spec in alike]
    return _add_differences(alike, names)


def _family_name(spec: RunSpec) -> str:
    return f"{method_name(spec.method)}{', tuned' if spec.tune else ''}"


def _add_differences(specs: Sequence[RunSpec], names: Sequence[str]) -> list[str]:
    """Return each name with the settings other than method and width in which its spec differs from others."""
    differing = [name for name in differing_fields(specs) if name not in ("method", "dim", "tune")]
    budgets = {spec.tune for spec in specs if spec.tune}
    labels = []
    for spec, name in zip(specs, names, strict=True):
        named = ("prefix",) if not spec.prefix or f", the first {spec.kept} of" in name else ()
        settings = [field for field in differing if field not in (*unused_fields(spec), *named)]
        words = [f"{spec.tune} trials"] if spec.tune and len(budgets) > 1 else []  # that it is tuned, its name says
        labels.append(", ".join([name, *words, *(_setting(field, getattr(spec, field)) for field in settings)]))
    return labels


def _setting(field: str, value: object) -> str:
    """Return a setting in words."""
    return f"{field.replace('_', ' ')} {setting_name(field, value)}"


def curves(
    specs: Sequence[RunSpec], histories: Sequence[Sequence[Point]], labels: Sequence[str] | None = None
) -> pd.DataFrame:
    """Return one row per run, curve and epoch: its mean over the seeds, and the lowest and highest of them.

    Args:
        specs: of the runs.
        histories: their points.
        labels: of the runs; by default `run_labels`.

    Example:
        >>> curves([result.spec], [result.history])
    """
    rows = []
    for spec, history, label in zip(specs, histories, labels or run_labels(specs), strict=True):
        for point in history:
            for curve in CURVES:
                values = point.finite(curve)
                # A baseline has no distance: a line at 0 would say it is perfect.
                if values and (curve == "val" or any(values)):
                    mean, low, high = float(np.mean(values)), min(values), max(values)
                    rows.append((label, method_role(spec), curve, point.epoch, mean, low, high, len(values)))
    return pd.DataFrame(rows, columns=["label", "role", "curve", "epoch", "mean", "low", "high", "n"])


def metric_label(specs: Sequence[RunSpec]) -> str:
    """Return the name of the validation score of live runs: "accuracy", "mAP", or both where they differ in it."""
    names = dict.fromkeys(spec.dataset for spec in specs)
    metrics = [METRIC_NAMES[primary_metric(datasets.load(name).labels)] for name in names]
    return " or ".join(dict.fromkeys(metrics))


def split_name(split: str) -> str:
    """Return a split in words: "in-domain" for the test set, the name of an out-of-domain set."""
    return {"test": "in-domain", "ood": "mean out-of-domain"}.get(split, split.removeprefix("ood:"))


def accuracies(
    results: Sequence[RunResult], splits: Sequence[str] | None = None, labels: Sequence[str] | None = None
) -> pd.DataFrame:
    """Return one row per result and split: mean, half-width of the 95 % interval, the seeds' values.

    Args:
        results: those without metrics are left out.
        splits: by default the test set and every out-of-domain set.
        labels: of the results; by default `run_labels`.

    Example:
        >>> accuracies(kdlib.pipeline.compare(specs)).groupby("label")["mean"].first()
    """
    rows = []
    for result, label in zip(results, labels or _result_labels(results), strict=True):
        role = method_role(result.spec)
        for split in splits or [name for name in result.metrics if name not in ("val", "ood")]:
            score = result.score(split)
            if score:
                outside = split.startswith("ood")
                rows.append((label, role, split_name(split), outside, score.mean, score.ci95, score.values))
    return pd.DataFrame(rows, columns=["label", "role", "split", "outside", "mean", "ci95", "values"])


def accuracy_over_dim(results: Sequence[RunResult], split: str = "test") -> pd.DataFrame:
    """Return one row per result: width and accuracy; those that differ in nothing but their width share a label.

    Baseline and raw are reference lines and have no width. Labels stay in the order of the results.

    Example:
        >>> accuracy_over_dim(kdlib.pipeline.compare([spec.replace(dim=dim) for dim in (2, 8)]))
    """
    measured = [result for result in results if result.metrics]
    rows = []
    for result, label in zip(measured, family_labels([result.spec for result in measured]), strict=True):
        score, role = result.metrics[split].primary, method_role(result.spec)
        dim = result.spaces["compressed"].width if role == COMPRESSED and "compressed" in result.spaces else None
        rows.append((label, role, dim, score.mean, score.ci95, score.values))
    frame = pd.DataFrame(rows, columns=["label", "role", "dim", "mean", "ci95", "values"])
    places = {label: place for place, label in enumerate(frame["label"].unique())}
    order = frame["label"].map(places).to_frame().assign(dim=frame["dim"]).sort_values(["label", "dim"]).index
    return frame.loc[order].reset_index(drop=True)


def trial_frame(results: Sequence[RunResult], field: str, labels: Sequence[str]) -> pd.DataFrame:
    """Return a row for each trial with a score: label, role, value of the field, score, and how it ended.

    Args:
        results: those without trials, or whose method does not use the field, are left out.
        field: one of `TUNED_FIELDS`.
        labels: of the results.

    Example:
        >>> trial_frame(results, "lr", run_labels([result.spec for result in results]))["val"].max()
    """
    rows = []
    for result, label in zip(results, labels, strict=True):
        for number, trial in enumerate(result.tuning.trials if result.tuning else []):
            if trial.val is not None and field in trial.settings:
                words = ", ".join(f"{name} {value}" for name, value in setting_cells(trial.settings).items())
                chosen = result.tuning is not None and number == result.tuning.chosen
                ended = (trial.state == FINISHED, chosen, f"{label}: {words}; {describe_ending(trial)}")
                rows.append((label, method_role(result.spec), trial.settings[field], trial.val, *ended))
    return pd.DataFrame(rows, columns=["label", "role", "value", "val", "finished", "chosen", "words"])


def worth_over_bytes(raw: Sequence[PrecisionRow], compressed: Sequence[PrecisionRow], measure: str) -> pd.DataFrame:
    """Return one row per width and precision: bytes, mean and interval of a measure, and whether it is good enough.

    Args:
        raw: of the teacher's whole embedding.
        compressed: of the compressed one.
        measure: a name in `MEASURES`.

    Example:
        >>> worth_over_bytes(raw, compressed, "probe").query("chosen")["bytes"]
    """
    chosen, rows = cheapest([*raw, *compressed], measure), []
    for role, group in (("compressed", compressed), ("raw", raw)):
        for row in group:
            label, value = row.precision if role == "compressed" else "raw embedding", getattr(row, measure)
            cells = (row.width, row.precision, row.item_bytes, value.mean, value.ci95, value.values)
            rows.append((label, role, *cells, row is chosen))
    return pd.DataFrame(
        rows, columns=["label", "role", "width", "precision", "bytes", "mean", "ci95", "values", "chosen"]
    ).sort_values("label", key=lambda labels: labels.map({name: i for i, name in enumerate(PRECISIONS)}), kind="stable")


def precision_table(raw: Sequence[PrecisionRow], compressed: Sequence[PrecisionRow], measure: str) -> pd.DataFrame:
    """Return all measures in percent with their intervals, one row per width and precision, fewest bytes first.

    Args:
        raw, compressed, measure: as in `worth_over_bytes`.

    Example:
        >>> precision_table(raw, compressed, "probe")["bytes"].min()
    """
    chosen, rows = cheapest([*raw, *compressed], measure), []
    groups = [("compressed", row) for row in compressed] + [("raw", row) for row in raw]
    for space, row in sorted(groups, key=lambda pair: (pair[1].item_bytes, pair[1].width)):
        cells = {
            "choice": "good enough" if row is chosen else "",
            "space": space,
            "numbers": row.width,
            "precision": row.precision,
            "bytes": row.item_bytes,
        }
        cells |= {f"{name}, %": format_percent(getattr(row, key)) for key, name in MEASURES.items()}
        rows.append(cells)
    return pd.DataFrame(rows)


def _result_labels(results: Sequence[RunResult]) -> list[str]:
    return run_labels([result.spec for result in results])
