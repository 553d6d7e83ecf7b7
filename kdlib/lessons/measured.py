"""The numbers that lessons may name: registry `NUMBERS`, a line each, read from the results of a step.

Shares are in percent and differences in points, as pages show them. A run is named as `Step.specs` names it.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

from kdlib.analysis.comparison import excludes_zero, paired_differences
from kdlib.analysis.geometry import distance_correlation
from kdlib.analysis.intervals import paired_difference, summarize
from kdlib.analysis.widths import WidthReport
from kdlib.lessons.conditions import PLACEHOLDER, Argument, UnknownNumberError, evaluate, fill
from kdlib.lessons.reading import Lesson, LessonError, Prediction, Step
from kdlib.results import RunResult
from kdlib.spaces import load_spaces, width_jobs
from kdlib.spec import RunSpec
from kdlib.summary import SPACES, Probe, Summary

RUN, SPACE, QUESTION, COUNT = "run", "space", "question", "count"  # kinds of arguments
TARGET = "target"
LIKENESS_ROWS = 300


class Number(NamedTuple):
    """A number that lessons may name.

    Attributes:
        read: from a `Measured` and arguments.
        arguments: their kinds, `RUN`, `SPACE`, `QUESTION` or `COUNT`; of several of them, the last `optional` may lack.
        optional: how many.
    """

    read: Callable[..., float]
    arguments: tuple[str, ...]
    optional: int = 0


class Measured:
    """What a step measured.

    Example:
        >>> Measured({"raw": raw, "mlp": compressed}).holds("gain(mlp, raw) > 0 and clear(mlp, raw)")
    """

    def __init__(
        self, results: Mapping[str, RunResult], answer: Sequence[float] = (), ids: Mapping[str, str] | None = None
    ) -> None:
        """Look at results.

        Args:
            results: name of a run -> its result.
            answer: what the visitor predicted: the number of a choice from 1 up, or numbers.
            ids: name of a run -> its id, for what is read from its files: `alike` and `kept`.
        """
        self.results, self.answer, self.ids = results, answer, dict(ids or {})

    def call(self, name: str, arguments: tuple[Argument, ...]) -> float:
        """Return a named number.

        Raises:
            UnknownNumberError: the results do not hold it.
        """
        if name not in NUMBERS:
            raise ValueError(f"unknown number {name!r}, choose from: {', '.join(NUMBERS)}")
        return float(NUMBERS[name].read(self, *arguments))

    def value(self, expression: str) -> float:
        """Return the value of an expression; errors as `conditions.evaluate`."""
        return evaluate(expression, self.call)

    def holds(self, condition: str) -> bool:
        """Return whether a condition holds; not where a number of it is not known."""
        try:
            return not condition or bool(self.value(condition))
        except UnknownNumberError:
            return False

    def explain(self, step: Step) -> list[str]:
        """Return the texts of a step whose conditions hold, with their numbers."""
        texts = []
        for each in step.explain:
            if self.holds(each.when):
                try:
                    texts.append(fill(each.text, self.call))
                except UnknownNumberError:  # a run that failed lacks what the text speaks of
                    continue
        return texts

    def came_true(self, prediction: Prediction) -> int | None:
        """Return the place of the choice that came true, the first of several; None where none did."""
        return next((i for i, condition in enumerate(prediction.when) if self.holds(condition)), None)

    def run(self, name: Argument) -> RunResult:
        """Return a result by the name of its run."""
        result = self.results.get(str(name))
        if result is None or not result.metrics:
            raise UnknownNumberError(f"there is no result of {name}")
        return result

    def score(self, name: Argument, split: str) -> Summary:
        """Return the score of a run on a split."""
        if (score := self.run(name).score(split)) is None:
            raise UnknownNumberError(f"{name} has no score on {split}")
        return score

    def difference(self, a: Argument, b: Argument, split: str) -> Summary:
        """Return the paired difference of two runs."""
        differences = paired_differences(self.run(a), self.run(b))
        if split not in differences:
            raise UnknownNumberError(f"{a} and {b} cannot be paired on {split}")
        return differences[split]

    def probe(self, question: Argument, run: Argument | None) -> Probe:
        """Return the probe of a question, of a run or of the first that has one."""
        for result in [self.run(run)] if run is not None else self.results.values():
            if result.teacher is None:
                continue
            probes = {TARGET: result.teacher.probe} | result.attributes
            if question in probes:
                return probes[str(question)]
        raise UnknownNumberError(f"no run was probed for {question}")

    def probed(self, question: Argument, space: Argument, run: Argument | None = None) -> float:
        """Return how well a probe reads a question from a space, percent."""
        accuracy = self.probe(question, run).spaces().get(str(space))
        if accuracy is None:
            raise UnknownNumberError(f"{space} was not probed for {question}")
        return 100 * accuracy.mean

    def chance(self, question: Argument) -> float:
        """Return how often guessing is right, percent."""
        if (chance := self.probe(question, None).chance) is None:
            raise UnknownNumberError(f"chance of {question} is not known")
        return 100 * chance

    def interval(self, name: Argument, count: Argument | None = None) -> float:
        """Return the half-width of the interval of a run's test score, of its first `count` seeds, points."""
        score = self.score(name, "test")
        summary = score if count is None else summarize(score.values[: int(float(count))])
        if summary.ci95 is None:
            raise UnknownNumberError("one seed has no interval")
        return 100 * summary.ci95

    def spread(self, name: Argument) -> float:
        """Return how far the best and the worst seed of a run lie apart on the test set, points."""
        values = self.score(name, "test").values
        return 100 * (max(values) - min(values))

    def alike(self, a: Argument, b: Argument, run: Argument) -> float:
        """Return how alike the distances in two spaces of a run are, 0 to 100."""
        if str(run) not in self.ids:
            raise UnknownNumberError(f"there is no run {run}")
        found = load_spaces(self.ids[str(run)]).spaces
        if a not in found or b not in found:
            raise UnknownNumberError(f"{run} lacks one of the spaces {a} and {b}")
        return 100 * distance_correlation(found[str(a)], found[str(b)], sample=LIKENESS_ROWS)

    def kept(self, question: Argument, width: Argument) -> float:
        """Return how well a probe reads a question from the first numbers of a run with every width, percent."""
        for run_id in self.ids.values():
            report = width_jobs.cached(width_jobs.WidthRequest(run_id))
            if isinstance(report, WidthReport) and width in report.widths:
                value = report.scores[width_jobs.TRAINED].probes[str(question)][report.widths.index(int(float(width)))]
                if value is not None:
                    return 100 * value
        raise UnknownNumberError("the widths are still being measured")

    def rank(self, space: Argument, run: Argument) -> float:
        """Return the effective rank of a space of a run."""
        spaces = self.run(run).spaces
        if space not in spaces:
            raise UnknownNumberError(f"{run} has no {space} space")
        return spaces[str(space)].effective_rank.mean

    def answered(self, place: Argument = 1) -> float:
        """Return what the visitor predicted."""
        if not 1 <= (number := int(float(place))) <= len(self.answer):
            raise UnknownNumberError("nothing was predicted")
        return self.answer[number - 1]


def _first_seeds(self: Measured, a: Argument, b: Argument, count: Argument) -> Summary:
    n = int(float(count))
    return paired_difference(self.score(a, "test").values[:n], self.score(b, "test").values[:n])


NUMBERS: dict[str, Number] = {
    "test": Number(lambda m, run: 100 * m.score(run, "test").mean, (RUN,)),
    "ood": Number(lambda m, run: 100 * m.score(run, "ood").mean, (RUN,)),
    "interval": Number(Measured.interval, (RUN, COUNT), optional=1),
    "gain": Number(lambda m, a, b: 100 * m.difference(a, b, "test").mean, (RUN, RUN)),
    "clear": Number(lambda m, a, b: excludes_zero(m.difference(a, b, "test")), (RUN, RUN)),
    "gain_interval": Number(lambda m, a, b: 100 * (m.difference(a, b, "test").ci95 or 0.0), (RUN, RUN)),
    "ood_gain": Number(lambda m, a, b: 100 * m.difference(a, b, "ood").mean, (RUN, RUN)),
    "ood_clear": Number(lambda m, a, b: excludes_zero(m.difference(a, b, "ood")), (RUN, RUN)),
    "gain_of": Number(lambda m, a, b, count: 100 * _first_seeds(m, a, b, count).mean, (RUN, RUN, COUNT)),
    "clear_of": Number(lambda m, a, b, count: excludes_zero(_first_seeds(m, a, b, count)), (RUN, RUN, COUNT)),
    "probe": Number(Measured.probed, (QUESTION, SPACE, RUN), optional=1),
    "chance": Number(Measured.chance, (QUESTION,)),
    "spread": Number(Measured.spread, (RUN,)),
    "alike": Number(Measured.alike, (SPACE, SPACE, RUN)),
    "kept": Number(Measured.kept, (QUESTION, COUNT)),
    "rank": Number(Measured.rank, (SPACE, RUN)),
    "answer": Number(Measured.answered, (COUNT,), optional=1),
}


def check_lesson(lesson: Lesson, views: Collection[str], questions: Callable[[str], Collection[str]]) -> None:
    """Return if every view and every number that a lesson names exists, and every run that it asks for is possible.

    Args:
        lesson: as it was read.
        views: names of views.
        questions: dataset -> what a probe can be asked about there.

    Raises:
        LessonError: one does not; the message names file and line.
    """
    for step in lesson.steps:
        try:
            specs = step.specs()
            _check_views(step, specs, views, questions)
            for name, options in step.choose.items():
                for option in options:
                    step.specs({name: option})
        except (ValueError, TypeError) as error:
            raise LessonError(f"{lesson.file}:{step.line}: {error}") from None
        for line, text in _expressions(step):
            try:
                evaluate(text, lambda name, arguments, specs=specs: _check_call(name, arguments, specs, questions))
            except ValueError as error:
                raise LessonError(f"{lesson.file}:{line}: {error}") from None


def _check_views(
    step: Step, specs: Mapping[str, RunSpec], views: Collection[str], questions: Callable[[str], Collection[str]]
) -> None:
    """Return if the step's views exist, and what they are shown by."""
    for name in step.show:
        view, _, about = name.partition(" ")
        if view not in views:
            raise ValueError(f"unknown view {view!r}, choose from: {', '.join(sorted(views))}")
        if not specs:
            raise ValueError(f"view {view} shows runs, but no step up to here sets methods")
        known = {question for spec in specs.values() for question in questions(spec.dataset)}
        if about and about not in known:
            raise ValueError(f"unknown attribute {about!r} of view {view}, choose from: {', '.join(sorted(known))}")


def _expressions(step: Step) -> list[tuple[int, str]]:
    """Return line and text of every expression of a step."""
    found = [(each.line, each.when) for each in step.explain if each.when]
    found += [(each.line, text) for each in step.explain for text in PLACEHOLDER.findall(each.text)]
    if step.predict:
        found += [(step.predict.line, text) for text in (*step.predict.when, *step.predict.value)]
    return found


def _check_call(
    name: str,
    arguments: tuple[Argument, ...],
    specs: Mapping[str, RunSpec],
    questions: Callable[[str], Collection[str]],
) -> float:
    """Return some number if a named one can be asked for with these arguments."""
    if name not in NUMBERS:
        raise ValueError(f"unknown number {name!r}, choose from: {', '.join(NUMBERS)}")
    kinds, optional = NUMBERS[name].arguments, NUMBERS[name].optional
    if not len(kinds) - optional <= len(arguments) <= len(kinds):
        raise ValueError(f"{name} takes {' and '.join(kinds)}, got {len(arguments)} arguments")
    datasets = {spec.dataset for spec in specs.values()}
    known: dict[str, Any] = {
        RUN: specs,
        SPACE: SPACES,
        QUESTION: [TARGET, *(question for dataset in datasets for question in questions(dataset))],
    }
    for kind, argument in zip(kinds, arguments, strict=False):
        if kind == COUNT:
            if not isinstance(argument, float) or argument < 1:
                raise ValueError(f"{name} takes a whole number from 1 up, got {argument!r}")
        elif argument not in known[kind]:
            raise ValueError(f"unknown {kind} {argument!r} in {name}, choose from: {', '.join(known[kind])}")
    return 1.0
