"""Comparisons: what several results say side by side, as JSON and as cells of a table."""

from collections.abc import Sequence
from itertools import groupby
from math import inf, isfinite
from typing import Any

import numpy as np

from kdlib.analysis.intervals import paired_difference
from kdlib.analysis.significance import are_clear
from kdlib.names import method_name
from kdlib.results import RunResult
from kdlib.spec import BASELINE, RAW
from kdlib.summary import Summary

METRIC_NAMES = {"accuracy": "accuracy", "map": "mAP", "roc_auc": "ROC-AUC", "f1": "macro F1"}  # metric -> its name


def metric_names(results: Sequence[RunResult]) -> str:
    """Return the name of the metric that counts first: "accuracy", "mAP", or both where the results differ in it."""
    names = dict.fromkeys(METRIC_NAMES[result.primary_name] for result in results if result.metrics)
    return " or ".join(names) or METRIC_NAMES["accuracy"]


def find_reference(results: Sequence[RunResult], result: RunResult, method: str) -> RunResult | None:
    """Return the measured result of `method` that differs from `result` in no other used field, None without one."""
    identity = result.spec.replace(method=method).identity
    return next((other for other in results if other.spec.identity == identity and other.metrics), None)


def best_compressed(results: Sequence[RunResult]) -> int | None:
    """Return the place of the compressed result that is best on validation, None without any."""
    places = [i for i, each in enumerate(results) if each.metrics and each.spec.method not in (BASELINE, RAW)]
    return max(places, key=lambda i: results[i].metrics["val"].primary.mean, default=None)


def find_dominated(costs: Sequence[float], scores: Sequence[float]) -> list[bool]:
    """Return which of some results another one dominates: it costs no more, scores no less, and is better in one.

    Those that are left are the Pareto front. Equal ones do not dominate each other.

    Args:
        costs: of each result, lower is better.
        scores: of each result, higher is better.

    Example:
        >>> find_dominated([1, 2, 3], [0.5, 0.4, 0.6])
        [False, True, False]
    """
    dominated = [False] * len(costs)
    best = -inf  # of everything that costs less
    order = sorted(range(len(costs)), key=lambda i: (costs[i], -scores[i]))
    for _, group in groupby(order, key=lambda i: costs[i]):
        places = list(group)
        top = scores[places[0]]
        for place in places:
            dominated[place] = scores[place] < top or best >= scores[place]
        best = max(best, top)
    return dominated


def why_unpaired(result: RunResult, other: RunResult) -> str:
    """Return why two results cannot be subtracted seed by seed, "" if they can.

    They need the same question about the same rows, and finite scores.
    """
    if not (result.metrics and other.metrics):
        return "no metrics"
    if result.spec.dataset != other.spec.dataset:
        return f"another dataset, {result.spec.dataset} and not {other.spec.dataset}"
    if result.spec.labels != other.spec.labels:
        return f"another number of labels, {result.spec.labels:,} and not {other.spec.labels:,}"
    if _subsets(result) != _subsets(other):
        return f"other labelled rows, subset {_subsets(result)} and not {_subsets(other)}"
    if result.spec.first_seed != other.spec.first_seed:
        return f"other seeds, from {result.spec.first_seed} and not from {other.spec.first_seed}"
    if result.primary_name != other.primary_name:
        return f"another metric, {METRIC_NAMES[result.primary_name]} and not {METRIC_NAMES[other.primary_name]}"
    return why_undefined(result) or why_undefined(other)


def _subsets(result: RunResult) -> str:
    """Return the numbers of the draws of labelled rows that a result holds, "0, 1, 2"."""
    return ", ".join(map(str, result.subsets or (result.spec.subset,)))


def why_undefined(result: RunResult) -> str:
    """Return which score that counts first is not a finite number per seed, "" if all are."""
    for split, metrics in result.metrics.items():
        name = f"{METRIC_NAMES[result.primary_name]} of {method_name(result.spec.method)} on {split}"
        if not metrics.primary.values:
            return f"no score per seed, {name}"
        if not is_finite(metrics.primary):
            return f"a score that is not finite, {name}"
    return ""


def is_finite(summary: Summary) -> bool:
    return all(value is not None and isfinite(value) for value in (summary.mean, *summary.values))


def paired_differences(result: RunResult, other: RunResult) -> dict[str, Summary]:
    """Return split -> paired difference of the primary metric, `result` minus `other`, over shared seeds and splits.

    Empty where the two cannot be paired: `why_unpaired`.

    Example:
        >>> baseline, compressed = kdlib.pipeline.compare([spec.replace(method="baseline"), spec])
        >>> paired_differences(compressed, baseline)["test"].mean
    """
    if why_unpaired(result, other):
        return {}
    differences, first, second = {}, result.metrics, other.metrics
    for split in [split for split in first if split in second]:
        a, b = (np.reshape(each.values, (each.subsets, -1)) for each in (first[split].primary, second[split].primary))
        shared = min(a.shape[1], b.shape[1])  # a value per seed, from seed 0 up
        looks = max(first[split].primary.looks, second[split].primary.looks)
        differences[split] = paired_difference(a[:, :shared].ravel(), b[:, :shared].ravel(), len(a), looks)
    return differences


def differences_to_references(results: Sequence[RunResult], result: RunResult) -> dict[str, dict[str, Summary]]:
    """Return "baseline" and "raw" -> split -> paired difference of the primary metric, `result` minus it, seed by seed.

    A reference that is not among the results, is the result itself or cannot be paired with it is left out.

    Example:
        >>> differences_to_references(results, results[-1])["raw"]["test"].mean
    """
    differences: dict[str, dict[str, Summary]] = {}
    for method in (BASELINE, RAW):
        reference = find_reference(results, result, method)
        if reference is None or method == result.spec.method:
            continue
        if paired := paired_differences(result, reference):
            differences[method] = paired
    return differences


def to_json(results: Sequence[RunResult], seconds: float | None = None) -> dict[str, Any]:
    """Return everything that was measured, as JSON can hold it: one entry of "runs" per result, with its "differences".

    "teacher" and "attributes" hold what belongs to the teacher alone: its probe on the target and on each attribute,
    and chance.

    Args:
        results: of one comparison.
        seconds: how long all of it took.

    Example:
        >>> json.dumps(to_json(results))
    """
    with_teacher = next((result for result in results if result.teacher), None)
    attributes, teacher = {}, {}
    if with_teacher is not None:
        record = with_teacher.to_dict()
        attributes = record["attributes"]
        teacher = {key: value for key, value in record["teacher"].items() if key != "head"} | record["spaces"]["raw"]
        teacher["probe"] = {key: teacher["probe"][key] for key in ("chance", "raw")}
    runs = []
    for result in results:
        differences = {
            method: {split: summary.to_dict() for split, summary in splits.items()}
            for method, splits in differences_to_references(results, result).items()
        }
        runs.append(result.to_dict() | {"differences": differences})
    return {
        "format": 1,
        "runs": runs,
        "teacher": teacher,
        "attributes": {name: {key: value[key] for key in ("chance", "raw")} for name, value in attributes.items()},
        "cost": {"seconds": seconds},
    }


def format_percent(value: Summary | None, signed: bool = False) -> str:
    """Return a summary of fractions in percent, "72.9 ± 1.2"; a dash for None, no interval for a single value."""
    if value is None:
        return "–"
    mean = f"{100 * value.mean:{'+' if signed else ''}.1f}"
    return mean if value.ci95 is None else f"{mean} ± {100 * value.ci95:.1f}"


def format_differences(table: Sequence[Sequence[Summary | None]]) -> list[list[str]]:
    """Return the cells of a table of differences in percent, "+4.9 ± 2.1*": a star where one is clear.

    The whole table is one family of comparisons: `are_clear`.

    Example:
        >>> format_differences([[summarize([0.05, 0.04, 0.05]), None]])
        [['+4.7 ± 1.4*', '–']]
    """
    clear = iter(are_clear([cell for row in table for cell in row]))
    return [[format_percent(cell, signed=True) + ("*" if next(clear) else "") for cell in row] for row in table]


def excludes_zero(value: Summary) -> bool:
    """Return whether the interval excludes 0."""
    return value.ci95 is not None and abs(value.mean) > value.ci95
