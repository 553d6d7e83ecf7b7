"""A lesson file into a `Lesson`: front matter, and steps of prose with one block of settings each.

The file is markdown. It begins with TOML between two lines of +++; each line that begins with "## " starts a step; the
block of a step is TOML between ```toml and ```. docs/extending.md shows one.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from kdlib.spec import RunSpec, unused_fields

SETTINGS = {each.name for each in fields(RunSpec)} - {"method"} | {"methods"}
STEP_KEYS = {"set", "choose", "predict", "show", "explain"}
PREDICT_KEYS = {"ask", "choices", "when", "value", "low", "high", "step", "unit", "at", "axis"}
HTML = re.compile(r"<[a-zA-Z/!]")
TERM = re.compile(r"\[\[([^\[\]|]+)(?:\|([^\[\]|]+))?\]\]")
MAX_SIZE = 64_000  # bytes of a file
MAX_RUNS = 12  # that one step asks for


class LessonError(ValueError):
    """What is wrong with a lesson file, with file and line."""


@dataclass(frozen=True)
class Prediction:
    """A question that is answered before the result is shown.

    Attributes:
        ask: the question.
        choices: what can be answered; () where a number is.
        when: for each choice, the condition under which it came true.
        value: of each number that is asked for, an expression; several with `at`.
        low, high, step, unit: of the numbers.
        at: where on the horizontal axis a curve of guesses has its points; () for a single number.
        axis: what the horizontal axis is.
        line: in the file.
    """

    ask: str
    choices: tuple[str, ...] = ()
    when: tuple[str, ...] = ()
    value: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 100.0
    step: float = 1.0
    unit: str = "%"
    at: tuple[float, ...] = ()
    axis: str = ""
    line: int = 0

    def accepts(self, answer: Sequence[float]) -> bool:
        """Return whether numbers, which may come from an address, are an answer to this question."""
        if self.choices:
            return len(answer) == 1 and answer[0] in range(1, len(self.choices) + 1)
        return len(answer) == len(self.value) and all(self.low <= value <= self.high for value in answer)


@dataclass(frozen=True)
class Explanation:
    """A text that is shown where its condition holds; "" always."""

    when: str
    text: str
    line: int = 0


@dataclass(frozen=True)
class Step:
    """One step of a lesson.

    Attributes:
        title: of the step.
        prose: markdown, with [[terms]] of the glossary.
        settings: field of a spec, or "methods" -> value or list of values: those of the steps before, and its own.
        choose: field -> what a visitor can choose from, the first at first.
        predict: None where nothing is asked.
        show: names of views.
        explain: in order; each whose condition holds is shown.
        line: in the file.
    """

    title: str
    prose: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    choose: Mapping[str, list[Any]] = field(default_factory=dict)
    predict: Prediction | None = None
    show: tuple[str, ...] = ()
    explain: tuple[Explanation, ...] = ()
    line: int = 0

    def specs(self, chosen: Mapping[str, Any] | None = None) -> dict[str, RunSpec]:
        """Return name -> spec of the runs that the step looks at, each computation once; {} without methods.

        A run is named by its method and by what else differs: "raw", "mlp 4", "raw background".

        Args:
            chosen: field -> what the visitor chose; by default the first of each.

        Raises:
            ValueError: a value is of another kind than its field, or there are too many runs.
        """
        chosen = {name: options[0] for name, options in self.choose.items()} | dict(chosen or {})
        settings = {name: value for name, value in {**self.settings, **chosen}.items() if name != "methods"}
        varied = {name: value for name, value in settings.items() if isinstance(value, list)}
        base = RunSpec(**{name: value for name, value in settings.items() if name not in varied})
        grid = [base.replace(method=method) for method in self.settings.get("methods", ())]
        for name, values in varied.items():
            grid = [spec.replace(**{name: value}) for spec in grid for value in values]
        runs: dict[str, RunSpec] = {}
        for spec in {spec.identity: spec for spec in reversed(grid)}.values():
            words = [getattr(spec, name) for name in varied if name not in unused_fields(spec)]
            runs[" ".join(map(str, [spec.method, *words]))] = spec
        if len(runs) > MAX_RUNS:
            raise ValueError(f"a step asks for at most {MAX_RUNS} runs, got {len(runs)}")
        return dict(reversed(runs.items()))


@dataclass(frozen=True)
class Lesson:
    """A lesson.

    Attributes:
        number: its place.
        name: of the file, without its ending.
        title, minutes, summary: of the front matter.
        steps: at least one.
        file: where it was read from.
    """

    number: int
    name: str
    title: str
    minutes: int
    summary: str
    steps: tuple[Step, ...]
    file: str = ""


def read_lesson(path: Path) -> Lesson:
    """Return the lesson that a file holds.

    Raises:
        LessonError: it is not as described above; the message names file and line.

    Example:
        >>> read_lesson(Path("assets/lessons/01-embeddings.md")).steps[0].title
    """
    number, _, _ = path.stem.partition("-")
    if not number.isdecimal():
        raise LessonError(f"{path.name}:1: the name of a lesson file begins with its number, as in 01-embeddings.md")
    data = path.read_bytes()
    if len(data) > MAX_SIZE:
        raise LessonError(f"{path.name}:1: a lesson has at most {MAX_SIZE:,} bytes, got {len(data):,}")
    try:
        lines = data.decode("utf-8").splitlines()
    except UnicodeDecodeError:
        raise LessonError(f"{path.name}:1: a lesson is UTF-8 text") from None
    return _Reader(path.name, lines).lesson(int(number), path.stem)


class _Reader:
    """Reads the lines of one file; every complaint names file and line."""

    def __init__(self, file: str, lines: Sequence[str]) -> None:
        self.file, self.lines = file, lines

    def fail(self, line: int, problem: str) -> LessonError:
        return LessonError(f"{self.file}:{line}: {problem}")

    def lesson(self, number: int, name: str) -> Lesson:
        marks = [i for i, line in enumerate(self.lines) if line.strip() == "+++"]
        if len(marks) < 2 or marks[0] != 0:
            raise self.fail(1, "a lesson begins with title, minutes and summary between two lines of +++")
        head = self.toml(1, marks[1])
        for key, kind in {"title": str, "minutes": int, "summary": str}.items():
            if type(head.get(key)) is not kind:
                raise self.fail(1, f"the front matter needs {key}, as {'text' if kind is str else 'a whole number'}")
        if unknown := set(head) - {"title", "minutes", "summary"}:
            raise self.unknown(1, marks[1], sorted(unknown)[0], "key", ("title", "minutes", "summary"))
        starts = [i for i, line in enumerate(self.lines) if line.startswith("## ")]
        if not starts:
            raise self.fail(marks[1] + 1, "a lesson has steps; each begins with a line such as: ## What is asked")
        steps, settings = [], {}
        for start, end in zip(starts, [*starts[1:], len(self.lines)], strict=True):
            steps.append(self.step(start, end, settings))
            settings = dict(steps[-1].settings)
        return Lesson(number, name, head["title"], head["minutes"], head["summary"], tuple(steps), self.file)

    def step(self, start: int, end: int, before: Mapping[str, Any]) -> Step:
        """Return the step in lines [start, end)."""
        fences = [i for i in range(start, end) if self.lines[i].startswith("```")]
        first, last = (fences[0], fences[-1]) if fences else (end, end)
        if fences and (len(fences) != 2 or self.lines[first].strip() != "```toml"):
            raise self.fail(first + 1, "a step has one block, between ```toml and ```")
        if any(line.strip() for line in self.lines[last + 1 : end]):
            raise self.fail(last + 2, "the text of a step stands before its block")
        for i in range(start, first):
            if HTML.search(self.lines[i]):
                raise self.fail(i + 1, "lessons are markdown without HTML")
        block = self.toml(first + 1, last) if fences else {}
        if unknown := set(block) - STEP_KEYS:
            raise self.unknown(first, last, sorted(unknown)[0], "key", sorted(STEP_KEYS))
        for table in ("set", "choose", "predict"):
            if not isinstance(block.get(table, {}), dict):
                raise self.fail(self.find(first, last, table), f"{table} is a table: [{table}]")
        for name in [*block.get("set", {}), *block.get("choose", {})]:
            if name not in SETTINGS:
                raise self.unknown(first, last, name, "control", sorted(SETTINGS))
        for name, options in block.get("choose", {}).items():
            if not (isinstance(options, list) and len(options) > 1):
                raise self.fail(self.find(first, last, name), f"choose {name} from a list of at least two values")
        methods = block.get("set", {}).get("methods", [])
        if not (isinstance(methods, list) and all(isinstance(method, str) for method in methods)):
            raise self.fail(self.find(first, last, "methods"), "methods is a list of names")
        prose = "\n".join(self.lines[start + 1 : first]).strip()
        return Step(
            self.lines[start][3:].strip(), prose, {**before, **block.get("set", {})}, block.get("choose", {}),
            self.prediction(first, last, block["predict"]) if "predict" in block else None,
            self.views(first, last, block.get("show", [])), self.explanations(first, last, block.get("explain", [])),
            start + 1,
        )  # fmt: skip

    def views(self, first: int, last: int, show: Any) -> tuple[str, ...]:
        names = [show] if isinstance(show, str) else show
        if not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
            raise self.fail(self.find(first, last, "show"), "show is the name of a view, or a list of names")
        return tuple(names)

    def explanations(self, first: int, last: int, entries: Any) -> tuple[Explanation, ...]:
        places = [i + 1 for i in range(first, last) if self.lines[i].strip() == "[[explain]]"]
        if not isinstance(entries, list) or len(places) != len(entries):
            raise self.fail(self.find(first, last, "explain"), "explanations are written as [[explain]]")
        result = []
        for line, entry in zip(places, entries, strict=True):
            if set(entry) - {"when", "text"} or not all(isinstance(value, str) for value in entry.values()):
                raise self.fail(line, "an explanation has a text and, if it does not always hold, when")
            if not entry.get("text") or HTML.search(entry["text"]):
                raise self.fail(line, "an explanation needs a text, markdown without HTML")
            result.append(Explanation(entry.get("when", ""), entry["text"].strip(), line))
        return tuple(result)

    def prediction(self, first: int, last: int, entry: dict[str, Any]) -> Prediction:
        line = self.find(first, last, "[predict]")
        if unknown := set(entry) - PREDICT_KEYS:
            raise self.unknown(first, last, sorted(unknown)[0], "key of a prediction", sorted(PREDICT_KEYS))
        if not isinstance(entry.get("ask"), str):
            raise self.fail(line, "a prediction needs its question: ask")
        entry = entry | {"value": [entry["value"]] if isinstance(entry.get("value"), str) else entry.get("value", [])}
        for name in ("choices", "when", "value"):
            if not (isinstance(entry.get(name, []), list) and all(isinstance(v, str) for v in entry.get(name, []))):
                raise self.fail(line, f"{name} is a list of texts")
        choices, when, value = (tuple(entry.get(name, ())) for name in ("choices", "when", "value"))
        numbers = [entry.get(name, 0.0) for name in ("low", "high", "step")] + list(entry.get("at", ()))
        if not all(isinstance(number, int | float) for number in numbers):
            raise self.fail(line, "low, high, step and at are numbers")
        at = tuple(float(number) for number in entry.get("at", ()))
        if bool(choices) == bool(value) or len(choices) != len(when) or len(choices) == 1:
            raise self.fail(line, "a prediction has choices with as many conditions in when, or a value, not both")
        if value and len(value) != max(len(at), 1):
            raise self.fail(line, f"a curve has a value for each point of at, got {len(value)} and {len(at)}")
        low, high = float(entry.get("low", 0)), float(entry.get("high", 100))
        if not low < high:
            raise self.fail(line, f"low must be below high, got {low:g} and {high:g}")
        return Prediction(
            entry["ask"].strip(), choices, when, value, low, high, float(entry.get("step", 1)),
            str(entry.get("unit", "%")), at, str(entry.get("axis", "")), line,
        )  # fmt: skip

    def toml(self, start: int, end: int) -> dict[str, Any]:
        """Return what the TOML in lines [start, end) says."""
        try:
            return tomllib.loads("\n".join(self.lines[start:end]))
        except tomllib.TOMLDecodeError as error:
            place = re.search(r"\(at line (\d+), column \d+\)", str(error))
            line = start + int(place[1]) if place else end
            raise self.fail(line, f"no TOML: {str(error).split(' (at')[0]}") from None

    def find(self, start: int, end: int, text: str) -> int:
        """Return the number of the first line in [start, end) that begins with a text; of `start` without one."""
        return next((i + 1 for i in range(start, end) if self.lines[i].lstrip().startswith(text)), start + 1)

    def unknown(self, start: int, end: int, name: str, kind: str, known: Sequence[str]) -> LessonError:
        return self.fail(self.find(start, end, name), f"unknown {kind} {name!r}, choose from: {', '.join(known)}")
