"""What a comparison says in words: the answer in one honest sentence, what was kept and what was thrown away."""

from collections.abc import Sequence
from dataclasses import replace

from kdlib.analysis.comparison import (
    METRIC_NAMES,
    best_compressed,
    differences_to_references,
    excludes_zero,
    find_reference,
    format_percent,
    is_finite,
    metric_names,
    why_undefined,
    why_unpaired,
)
from kdlib.analysis.intervals import paired_difference
from kdlib.names import COMPRESSED, method_name, method_role, run_name
from kdlib.results import RunResult
from kdlib.spec import BASELINE, RAW
from kdlib.summary import Probe, Summary

CLEAR_LOSS = 0.05  # of a probe's accuracy
MAX_QUESTIONS = 3  # that an answer speaks about


def answer(results: Sequence[RunResult]) -> list[str]:
    """Return what some results say, in paragraphs of which the first says most.

    Runs of one question, which is a dataset, a number of labels and a metric: the verdict, its first sentence by
    itself, then what compression kept and threw away. Runs of several: a verdict for each question.

    Example:
        >>> print(*answer(kdlib.pipeline.compare([spec.replace(method="raw"), spec])), sep="\n")
    """
    questions: dict[str, list[RunResult]] = {}
    for result in results:
        if result.metrics:
            questions.setdefault(_question(result), []).append(result)
    if len(questions) < 2:
        first, *rest = _verdict_sentences(results)
        best = best_compressed(results)
        return list(filter(None, [first, " ".join(rest), "" if best is None else describe_kept(results[best])]))
    first = f"These runs answer {len(questions)} different questions, each of which is compared by itself."
    shown = sorted(questions, key=lambda question: -len(questions[question]))[:MAX_QUESTIONS]
    rest = len(questions) - len(shown)
    words = [f"{question[0].upper()}{question[1:]}: {verdict(questions[question])}" for question in shown]
    return [first, *words, *([f"And {rest} more: choose fewer runs to read about them."] if rest else [])]


def verdict(results: Sequence[RunResult]) -> str:
    """Return in words which method did best on the test set, by how much, and whether that is clear.

    The compressor that is best on validation is compared with raw; without raw with the baseline; without a compressor
    raw is compared with the baseline. Otherwise the sentence says what is missing. Only runs of one dataset, number of
    labels and metric are compared, those of the first compressed run; it is said how many others were left out.

    Example:
        >>> print(verdict(kdlib.pipeline.compare([spec.replace(method="raw"), spec])))
    """
    return " ".join(_verdict_sentences(results))


def _verdict_sentences(results: Sequence[RunResult]) -> list[str]:
    measured = [result for result in results if result.metrics]
    if not measured:
        return ["Nothing has been measured yet."]
    compressed = [result for result in measured if method_role(result.spec) == COMPRESSED]
    first = next((result for result in compressed or measured if not why_undefined(result)), None)
    if first is None:
        which = "compressed " if compressed else ""
        return [f"Nothing can be compared here: the scores of the {which}runs are not finite."]
    comparable = [result for result in measured if not why_unpaired(result, first)]
    roles = [COMPRESSED] if compressed else [RAW] if any(each.spec.method == RAW for each in comparable) else [BASELINE]
    rivals = [result for result in comparable if method_role(result.spec) in roles]
    best = max(rivals, key=lambda result: result.metrics["val"].primary.mean)
    sentences = _describe_gain(comparable, best)
    if compressed and len(rivals) > 1:
        sentences.append(f"Of the {len(rivals)} runs that compress it is the one that is best on validation.")
    elif not compressed and len(comparable) > 1:
        sentences.append("Nothing was compressed here: add a compressor to see what it does.")
    if left_out := len(measured) - len(comparable):
        runs = "1 other run was" if left_out == 1 else f"{left_out} other runs were"
        sentences.append(f"This compares {_question(first)}; {runs} left out.")
    return sentences


def _describe_gain(results: Sequence[RunResult], best: RunResult) -> list[str]:
    """Return what the best run gained over the one it is compared with, and what that says about the teacher."""
    differences = differences_to_references(results, best)
    if not differences:
        return _describe_alone(results, best)
    reference = RAW if RAW in differences else BASELINE
    alone = "this teacher" if best.spec.method == RAW else "the compressed teacher"
    what = "compression" if reference == RAW else alone
    sentences = [_describe_difference(what, best, reference, differences[reference]["test"])]
    if BASELINE in differences:
        sentences.append(_describe_baseline(differences[BASELINE]["test"], _unit(best), reference))
    return list(filter(None, [*sentences, _describe_teacher(results, best)]))


def _describe_difference(what: str, best: RunResult, reference: str, gain: Summary) -> str:
    """Return whether `what` helps: the difference of a run to its reference with interval and n."""
    name, other = f"“{run_name(best.spec)}”", f"“{method_name(reference)}”"
    unit, n = _unit(best), gain.sample
    if gain.ci95 is None:
        difference = f"{name} is {100 * gain.mean:+.1f} {unit} from {other} on the test set"
        return f"One seed cannot tell whether {what} helps: {difference}. More seeds are needed."
    if not excludes_zero(gain):
        difference = f"{name} is {format_percent(gain, signed=True)} {unit} from {other} on the test set"
        return f"No clear difference, so it is open whether {what} helps: {difference} (n = {n})."
    distance = format_percent(replace(gain, mean=abs(gain.mean)))
    if len(set(distance.split(" ± "))) == 1:  # "1.0 ± 1.0" would look as if the interval held 0
        distance = f"{100 * abs(gain.mean):.2f} ± {100 * gain.ci95:.2f}"
    helps, side = ("helps", "above") if gain.mean > 0 else ("does not help", "below")
    start = f"{what[0].upper()}{what[1:]} {helps}"
    return f"{start}: {name} is {distance} {unit} {side} {other} on the test set (n = {n})."


def _describe_alone(results: Sequence[RunResult], best: RunResult) -> list[str]:
    """Return what a run scored that has no reference, and what is missing."""
    score = best.metrics["test"].primary
    reached = f"“{run_name(best.spec)}” reaches {format_percent(score)} % {METRIC_NAMES[best.primary_name]}"
    sentence = f"{reached} on the test set (n = {score.sample})."
    if len(results) == 1:
        return [f"Only one run: {sentence}", "Others beside it tell whether that is much."]
    if best.spec.method == BASELINE:
        return [sentence, "Whether a teacher helps is open: none of these runs has one."]
    names = " or ".join(f"“{method_name(method)}”" for method in (BASELINE, RAW) if method != best.spec.method)
    return [sentence, f"Whether it helps is open: none of these runs is {names} with the same other settings."]


def _unit(result: RunResult) -> str:
    return "points" if result.primary_name == "accuracy" else f"points of {metric_names([result])}"


def _describe_baseline(gain: Summary, unit: str, reference: str) -> str:
    """Return how the best run stands to the baseline, "" where that has been said."""
    points = f"{format_percent(gain, signed=True)} {unit}"
    if excludes_zero(gain) and gain.mean < 0:
        return f"The student is better off without this teacher ({points} against the baseline)."
    if reference == BASELINE or gain.ci95 is None:
        return ""
    if excludes_zero(gain):
        return f"Against “{method_name(BASELINE)}” it gains {format_percent(gain)} {unit}."
    return f"Against the baseline there is no clear difference ({points})."


def describe_kept(result: RunResult) -> str:
    """Return in words what a probe still reads from the compressed embeddings, and what it does not any more.

    An attribute counts as thrown away where its probe lost more than `CLEAR_LOSS` and more than the interval, as kept
    where it did not, and is left out where the raw embedding itself says nothing of it. "" without a compressed space.

    Example:
        >>> print(describe_kept(results[-1]))
    """
    if result.teacher is None or result.spec.method in (BASELINE, RAW):
        return ""
    target = result.teacher.probe
    if target.raw is None or target.compressed is None:
        return ""
    lost, kept = [], []
    for name, probe in result.attributes.items():
        if probe.raw is None or probe.compressed is None or probe.raw.mean - (probe.chance or 0.0) < CLEAR_LOSS:
            continue
        loss = probe.raw.mean - probe.compressed.mean
        (lost if loss > max(CLEAR_LOSS, probe.compressed.ci95 or 0.0) else kept).append(_describe_change(name, probe))
    words = f"Of what the teacher knew, the {result.spaces['compressed'].width} new numbers hold the target"
    words += f" ({_describe_points(target)})"
    words += f" and {_listed(kept)}" if kept else ""
    return f"{words}; thrown away: {_listed(lost)}." if lost else f"{words}; nothing else was clearly thrown away."


def _describe_change(name: str, probe: Probe) -> str:
    return f"{name} ({_describe_points(probe)})"


def _describe_points(probe: Probe) -> str:
    """Return what a probe reads before and after compression, as "80 → 82 %"."""
    before, after = (100 * value.mean for value in (probe.raw, probe.compressed) if value is not None)
    return f"{before:.0f} → {after:.0f} %"


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def _question(result: RunResult) -> str:
    """Return what a run was asked, in words; runs of one question can be compared."""
    return f"{METRIC_NAMES[result.primary_name]} on {result.spec.dataset} with {result.spec.labels:,} labels"


def _describe_teacher(results: Sequence[RunResult], best: RunResult) -> str:
    """Return a sentence if the teacher's own head is clearly worse than the student without it, in or out of domain."""
    baseline, metric = find_reference(results, best, BASELINE), best.primary_name
    head = best.teacher.head if best.teacher else {}
    if baseline is None or not head:
        return ""
    gaps = []
    for split, place in (("test", "on the test set"), ("ood", "out of domain")):
        if split in head and split in baseline.metrics:
            teacher, student = head[split].primary, baseline.metrics[split].primary
            if not is_finite(teacher):
                continue
            gap = paired_difference(teacher.values, student.values)
            if excludes_zero(gap) and gap.mean < 0:
                gaps.append(f"{format_percent(teacher)} against {format_percent(student)} {place}")
    if not gaps:
        return ""
    comparison = f"{', '.join(gaps)}, {METRIC_NAMES[metric]} in %"
    return f"This teacher itself knows the target less well than the student without it ({comparison})."
