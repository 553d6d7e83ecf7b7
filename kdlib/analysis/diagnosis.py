"""Why did it (not) help: what the measured numbers of a comparison say in words, and the one change to try next.

Every sentence holds the number it comes from. What was not measured is not said.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from kdlib.analysis.comparison import best_compressed, differences_to_references, excludes_zero, find_reference
from kdlib.analysis.significance import seeds_to_settle
from kdlib.analysis.verdicts import describe_kept
from kdlib.names import method_name
from kdlib.results import RunResult
from kdlib.spec import BASELINE, RAW, RunSpec, grid_values
from kdlib.summary import Summary

CLEAR = 0.02  # of an accuracy, below which nothing is made of a difference
HARDLY = 0.15  # of the distance at the start: a student that came no closer does not follow
NEARLY_ALL = 0.6  # of the way to 0: little is left to follow
MEMORISED = 0.05  # cross-entropy of the labels in nats, below which training rows are known by heart
ORTHOGONAL = 0.1  # cosine of two gradients, below which a step for one loss means little for the other
HELD_UP = 2.0  # times the baseline's cross-entropy: the distance keeps the student from its labels
MOST_SEEDS = 20  # that are worth proposing
MOST_EPOCHS = 200
RISING = 0.02  # of the validation score in the last third of a training: it was still learning
STEP = 0.05  # of λ


@dataclass(frozen=True)
class Advice:
    """The one change that is most likely to help.

    Attributes:
        text: what to do and why.
        changes: fields of a spec to set; empty where another teacher is to be chosen.
    """

    text: str
    changes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Diagnosis:
    """What the numbers of a comparison say.

    Attributes:
        findings: sentences, each with its numbers.
        advice: what to try next; None where nothing stands out.
        spec: of the run they are about.
    """

    findings: list[str]
    advice: Advice | None
    spec: RunSpec


@dataclass(frozen=True)
class _Evidence:
    """The numbers a diagnosis is made of; None where they were not measured.

    Attributes:
        best: the run that is looked at.
        baseline: the same student without a teacher.
        gains: raw and baseline -> what the best run gains over it on the test set.
        ceiling: accuracy of a probe on the raw embedding.
        kept: accuracy of a probe on the compressed embedding.
        first, last: the distance loss of the first and the last epoch.
        labels: cross-entropy of the last epoch.
        alone: the baseline's.
        cosines: between the gradients of prediction and distance, at each point where they were computed.
    """

    best: RunResult
    baseline: RunResult | None
    gains: dict[str, Summary]
    ceiling: float | None
    kept: float | None
    first: float | None
    last: float | None
    labels: float | None
    alone: float | None
    cosines: list[float]

    @property
    def way(self) -> float | None:
        """The share of the way from the first distance to 0."""
        return None if not self.first or self.last is None else 1 - self.last / self.first

    @property
    def student_alone(self) -> float | None:
        """Accuracy of the baseline on the test set."""
        return None if self.baseline is None else self.baseline.metrics["test"].primary.mean


def diagnose(results: Sequence[RunResult]) -> Diagnosis:
    """Return why the best compressed run (without one: raw) of a comparison did or did not help.

    Args:
        results: of one comparison; those without metrics are left out.

    Returns:
        No findings where no run has a teacher.

    Example:
        >>> print(*diagnose(kdlib.pipeline.compare(specs)).findings, sep="\\n")
    """
    measured = [result for result in results if result.metrics]
    place = best_compressed(measured)
    raw = next((result for result in measured if result.spec.method == RAW), None)
    best = raw if place is None else measured[place]
    if best is None or best.teacher is None:
        return Diagnosis([], None, best.setting if best else RunSpec())
    evidence = _collect(measured, best)
    findings = [_say_ceiling(evidence), _say_compression(evidence), _say_alignment(evidence)]
    findings += [_say_gradients(evidence), _say_labels(evidence), describe_kept(best)]
    return Diagnosis([*filter(None, findings)], _advise(evidence), best.setting)


def _collect(results: Sequence[RunResult], best: RunResult) -> _Evidence:
    baseline = find_reference(results, best, BASELINE)
    probe = best.teacher.probe if best.teacher else None
    differences = differences_to_references(results, best)
    return _Evidence(
        best,
        baseline,
        {
            method: paired["test"]
            for method in (RAW, BASELINE)
            if (paired := differences.get(method)) and "test" in paired
        },
        probe.raw.mean if probe and probe.raw else None,
        probe.compressed.mean if probe and probe.compressed and best.spec.method != RAW else None,
        _curve(best, "distance", 0),
        _curve(best, "distance", -1),
        _curve(best, "prediction", -1),
        None if baseline is None else _curve(baseline, "prediction", -1),
        [mean for place in range(len(best.history)) if (mean := _curve(best, "gradient_cosine", place)) is not None],
    )


def _curve(result: RunResult, name: str, place: int) -> float | None:
    """Return the mean over the seeds of a curve at one of its points (0 the first, -1 the last), None without one."""
    values = result.history[place].finite(name) if result.history else []
    return sum(values) / len(values) if values else None


def _say_ceiling(evidence: _Evidence) -> str:
    if evidence.ceiling is None or evidence.student_alone is None:
        return ""
    known, alone = _percent(evidence.ceiling), _percent(evidence.student_alone)
    start = f"A linear probe reads the target from the teacher's embedding with {known} %, the student alone reaches"
    if evidence.ceiling > evidence.student_alone + CLEAR:
        return f"{start} {alone} %: there is something to learn."
    return f"{start} {alone} %: there is little that this teacher can add."


def _say_compression(evidence: _Evidence) -> str:
    if evidence.kept is None or evidence.ceiling is None or "compressed" not in evidence.best.spaces:
        return ""
    width, change = evidence.best.spaces["compressed"].width, evidence.kept - evidence.ceiling
    numbers = f"{_percent(evidence.ceiling)} → {_percent(evidence.kept)} %"
    if change < -CLEAR:
        return f"Compression to {width} numbers lost some of the target itself ({numbers})."
    if change > CLEAR:
        return f"Compression to {width} numbers made the target easier to read ({numbers})."
    return f"Compression to {width} numbers kept the target ({numbers})."


def _say_alignment(evidence: _Evidence) -> str:
    way = evidence.way
    if way is None or not _weight(evidence.best.setting):
        return ""
    numbers = f"the distance went from {evidence.first:.3f} to {evidence.last:.3f}, 0 is a perfect match"
    if way < HARDLY:
        return f"The student hardly follows its target ({numbers})."
    if way > NEARLY_ALL:
        return f"The student follows its target closely ({numbers})."
    return f"The student follows its target part of the way ({numbers})."


def _say_gradients(evidence: _Evidence) -> str:
    cosines = evidence.cosines
    if not cosines or not _weight(evidence.best.setting):
        return ""
    mean = sum(cosines) / len(cosines)
    numbers = f"cosine of the gradients of the two losses {mean:+.2f} over training, {cosines[-1]:+.2f} at the end"
    if mean > ORTHOGONAL:
        return f"Labels and teacher agree on where the student should go ({numbers})."
    if mean < -ORTHOGONAL:
        return f"Labels and teacher oppose each other: a step for one undoes some of the other ({numbers})."
    return f"What labels and teacher ask of the student is nearly orthogonal: neither helps nor hinders ({numbers})."


def _say_labels(evidence: _Evidence) -> str:
    if evidence.labels is None:
        return ""
    numbers = f"cross-entropy {evidence.labels:.2f} at the end"
    if evidence.alone is not None:
        numbers += f", {evidence.alone:.2f} for the student alone"
    if evidence.labels < MEMORISED:
        return f"The student knows its training rows by heart ({numbers})."
    if _is_held_up(evidence):
        return f"Following the teacher keeps the student from its labels ({numbers})."
    return f"The student does not know its training rows by heart ({numbers})."


def _is_held_up(evidence: _Evidence) -> bool:
    if evidence.labels is None or evidence.alone is None:
        return False
    return evidence.labels > HELD_UP * max(evidence.alone, MEMORISED)


def _advise(evidence: _Evidence) -> Advice | None:
    """Return the first change that applies; those that matter most come first."""
    spec, gain = evidence.best.setting, evidence.gains.get(BASELINE)
    helps = gain is not None and excludes_zero(gain) and gain.mean > 0
    if _is_weak(evidence) and not helps:
        return Advice("Choose a teacher that knows the target better than the student alone does.")
    if spec.method == RAW:
        return Advice("Compress: a trained compressor throws away what the target does not need.", {"method": "mlp"})
    if evidence.kept is not None and evidence.ceiling is not None and evidence.kept < evidence.ceiling - CLEAR:
        width = spec.kept or spec.dim
        dim = 2 ** width.bit_length()  # the next power of two
        if "raw" in evidence.best.spaces and dim <= evidence.best.spaces["raw"].width:
            text = f"Compress less: {dim} numbers instead of {width}, as some of the target was lost."
            return Advice(text, {"prefix": min(dim, spec.dim)} if spec.kept and width < spec.dim else {"dim": dim})
    if _is_held_up(evidence) and not helps:
        return _advise_weight("Let the labels count more", spec, _weight(spec) / 2)
    if evidence.way is not None and evidence.way < HARDLY and _weight(spec) < 1 - 2 * STEP:
        return _advise_weight("Let the distance count more", spec, (1 + _weight(spec)) / 2)
    return _advise_epochs(evidence) or _advise_seeds(evidence)


def _weight(setting: RunSpec) -> float:
    """Return λ of a single setting."""
    return grid_values(setting.distance_weight)[0]


def _advise_weight(words: str, spec: RunSpec, wanted: float) -> Advice:
    weight = round(round(wanted / STEP) * STEP, 2)
    return Advice(f"{words}: λ = {weight:g} instead of {_weight(spec):g}.", {"distance_weight": weight})


def _is_weak(evidence: _Evidence) -> bool:
    """Return whether the teacher knows the target no better than the student alone."""
    known, alone = evidence.ceiling, evidence.student_alone
    return known is not None and alone is not None and known <= alone + CLEAR


def _advise_epochs(evidence: _Evidence) -> Advice | None:
    spec, history = evidence.best.setting, evidence.best.history
    if len(history) < 3 or 2 * spec.epochs > MOST_EPOCHS:
        return None
    before, after = (_curve(evidence.best, "val", place) for place in (2 * len(history) // 3, -1))
    if before is None or after is None or after < before + RISING:
        return None
    numbers = f"validation rose from {_percent(before)} to {_percent(after)} % in the last third"
    return Advice(f"Train longer, {2 * spec.epochs} epochs: {numbers}.", {"epochs": 2 * spec.epochs})


def _advise_seeds(evidence: _Evidence) -> Advice | None:
    """Return how many seeds would settle the difference to raw, or to the baseline, where it is not clear."""
    unclear = [each for each in evidence.gains.items() if not (each[1].ci95 is not None and excludes_zero(each[1]))]
    if not unclear:
        return None
    reference, gain = unclear[0]
    if gain.ci95 is None:
        return Advice("Train more seeds: a single one says nothing of how sure a difference is.", {"seeds": 5})
    needed = seeds_to_settle(gain)
    if needed is None or needed > MOST_SEEDS:
        return None
    points = f"{100 * gain.mean:+.1f} points from {method_name(reference)}"
    return Advice(f"Train {needed} seeds: if it stays at {points}, that many would make it clear.", {"seeds": needed})


def _percent(value: float) -> str:
    return f"{100 * value:.0f}"
