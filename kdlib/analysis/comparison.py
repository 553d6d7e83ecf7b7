"""Comparisons: what several results say side by side, as JSON and as rows for a table, and in one honest sentence."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from kdlib.analysis.intervals import paired_difference
from kdlib.results import RunResult, Summary
from kdlib.spec import BASELINE, RAW

METRIC_NAMES = {"accuracy": "accuracy", "map": "mAP", "roc_auc": "ROC-AUC", "f1": "macro F1"}  # what a metric is called


def metric_names(results: Sequence[RunResult]) -> str:
    """Return what the metric that counts first is called: "accuracy", "mAP", or both where the results differ in it."""
    return (
        " or ".join(dict.fromkeys(METRIC_NAMES[each.primary_name] for each in results if each.metrics))
        or METRIC_NAMES["accuracy"]
    )


def find_reference(results: Sequence[RunResult], result: RunResult, method: str) -> RunResult | None:
    """Return the finished result of `method` that differs from `result` in nothing else that matters, if it is there."""
    wanted = result.spec.replace(method=method).identity
    return next((each for each in results if each.spec.identity == wanted and each.metrics), None)


def why_unpaired(result: RunResult, other: RunResult) -> str:
    """Return why two results cannot be subtracted seed by seed, "" if they can: the same rows must be asked the same question."""
    if not (result.metrics and other.metrics):
        return "no metrics"
    if result.spec.dataset != other.spec.dataset:
        return f"another dataset, {result.spec.dataset} and not {other.spec.dataset}"
    if result.spec.labels != other.spec.labels:
        return f"another number of labels, {result.spec.labels:,} and not {other.spec.labels:,}"
    if result.primary_name != other.primary_name:
        return f"another metric, {METRIC_NAMES[result.primary_name]} and not {METRIC_NAMES[other.primary_name]}"
    return ""


def paired_differences(result: RunResult, other: RunResult) -> dict[str, Summary]:
    """Return split -> paired difference of the primary metric, `result` minus `other`, over the seeds and splits that both have.

    Empty where the two cannot be paired: `why_unpaired`.
    """
    if why_unpaired(result, other):
        return {}
    differences = {}
    for split in [split for split in result.metrics if split in other.metrics]:
        a, b = (each.metrics[split].primary.values for each in (result, other))
        shared = min(len(a), len(b))  # a value per seed, from seed 0 up
        differences[split] = paired_difference(a[:shared], b[:shared])
    return differences


def differences_to_references(results: Sequence[RunResult], result: RunResult) -> dict[str, dict[str, Summary]]:
    """Return "baseline" and "raw" -> split -> paired difference of the primary metric, `result` minus it, seed by seed.

    A reference that is not among the results, or is the result itself, is left out.
    """
    found: dict[str, dict[str, Summary]] = {}
    for method in (BASELINE, RAW):
        other = find_reference(results, result, method)
        if other is None or method == result.spec.method or not result.metrics:
            continue
        found[method] = paired_differences(result, other)
    return found


def to_json(results: Sequence[RunResult], seconds: float | None = None) -> dict[str, Any]:
    """Return everything that was measured, as JSON can hold it: one entry of "runs" per result, with its "differences".

    "teacher" and "attributes" hold what belongs to the teacher alone: its probe on the target and on each attribute, and chance.
    """
    with_teacher = next((each for each in results if each.teacher), None)
    attributes, teacher = {}, {}
    if with_teacher is not None:
        written = with_teacher.to_dict()
        attributes = written["attributes"]
        teacher = {key: value for key, value in written["teacher"].items() if key != "head"} | written["spaces"]["raw"]
        teacher["probe"] = {key: teacher["probe"][key] for key in ("chance", "raw")}
    return {
        "format": 1,
        "runs": [
            each.to_dict() | {"differences": _plain(differences_to_references(results, each))} for each in results
        ],
        "teacher": teacher,
        "attributes": {name: {key: value[key] for key in ("chance", "raw")} for name, value in attributes.items()},
        "cost": {"seconds": seconds},
    }


def _plain(found: dict[str, dict[str, Summary]]) -> dict[str, Any]:
    return {other: {split: vars(value) for split, value in splits.items()} for other, splits in found.items()}


def format_percent(value: Summary | None, signed: bool = False) -> str:
    """Return a summary of fractions as "72.9 ± 1.2" in percent; a dash where there is none, no interval for a single value."""
    if value is None:
        return "–"
    mean = f"{100 * value.mean:{'+' if signed else ''}.1f}"
    return mean if value.ci95 is None else f"{mean} ± {100 * value.ci95:.1f}"


def excludes_zero(value: Summary) -> bool:
    """Return whether the interval excludes 0."""
    return value.ci95 is not None and abs(value.mean) > value.ci95


def verdict(results: Sequence[RunResult]) -> str:
    """Return in one sentence what compression did on the test set, whatever it is: the compressor best on validation against raw.

    Without a raw result the baseline takes its place; without any reference, or a compressor, the sentence says what is missing.
    """
    done = [each for each in results if each.metrics]
    compressed = [each for each in done if each.spec.method not in (BASELINE, RAW)]
    if not compressed:
        return "Nothing was compressed here: add a compressor to see what it does."
    best = max(compressed, key=lambda each: each.metrics["val"].primary.mean)
    found = differences_to_references(done, best)
    if not found:
        return "There is neither baseline nor raw to compare with."
    other = RAW if RAW in found else BASELINE
    gain, n = found[other]["test"], best.spec.seeds
    unit = "points" if best.primary_name == "accuracy" else f"points of {metric_names([best])}"
    if gain.ci95 is None:
        return f"{best.spec.method} is {100 * gain.mean:+.1f} {unit} from {other} with a single seed: more seeds are needed to tell."
    told = f"({format_percent(gain, signed=True)} {unit}, n = {n})"
    if not excludes_zero(gain):
        sentence = f"No clear difference between {best.spec.method} and {other} on the test set {told}."
    elif gain.mean > 0:
        sentence = f"Compression ({best.spec.method}) added {format_percent(gain)} {unit} over {other} on the test set (n = {n})."
    else:
        loss = format_percent(replace(gain, mean=-gain.mean))
        sentence = f"Compression ({best.spec.method}) did not help: it lost {loss} {unit} to {other} (n = {n})."
    plain = found.get(BASELINE)
    if plain and excludes_zero(plain["test"]) and plain["test"].mean < 0:
        gap = format_percent(plain["test"], signed=True)
        sentence += f" The student is better off without this teacher ({gap} {unit} against the baseline)."
    elif plain and other == RAW and not excludes_zero(plain["test"]):
        sentence += (
            f" Against the baseline there is no clear difference ({format_percent(plain['test'], signed=True)} {unit})."
        )
    return sentence + _about_the_teacher(done, best)


def _about_the_teacher(done: Sequence[RunResult], best: RunResult) -> str:
    """Return a sentence if the teacher's own branch knows the target clearly less than the student without it, in or out of domain."""
    alone, metric = find_reference(done, best, BASELINE), best.primary_name
    head = best.teacher.head if best.teacher else {}
    if alone is None or not head:
        return ""
    behind = []
    for split, told in (("test", "on the test set"), ("ood", "out of domain")):
        if split in head and split in alone.metrics:
            teacher, student = head[split].primary, alone.metrics[split].primary
            gap = paired_difference(teacher.values, student.values)
            if excludes_zero(gap) and gap.mean < 0:
                behind.append(f"{format_percent(teacher)} against {format_percent(student)} {told}")
    if not behind:
        return ""
    where = ", ".join(behind)
    return f" This teacher itself knows the target less well than the student without it ({where}, {METRIC_NAMES[metric]} in %)."
