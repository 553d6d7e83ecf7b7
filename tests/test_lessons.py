"""Lesson files: every one that ships, what is reported of broken ones, conditions, and what is measured."""

from pathlib import Path

import numpy as np
import pytest

from kdlib.lessons import LessonError, Measured, read_lesson, tables
from kdlib.lessons.conditions import UnknownNumberError, evaluate, fill, format_number
from kdlib.results import RunResult, TeacherStats
from kdlib.spaces import Spaces
from kdlib.spec import RunSpec
from kdlib.summary import Probe, SplitMetrics, Summary
from kdlib.training.pairs import pair_matrix
from pages import glossary, lesson_files
from pages.lesson_views import VIEWS

FILES = sorted(lesson_files.FOLDER.glob("*.md"))
HEAD = '+++\ntitle = "A"\nminutes = 3\nsummary = "b"\n+++\n\n'
SET = '[set]\nmethods = ["baseline", "raw", "mlp"]\n'


def written(tmp_path: Path, block: str, prose: str = "Some text.", head: str = HEAD) -> Path:
    path = tmp_path / "01-test.md"
    path.write_text(f"{head}## One\n\n{prose}\n\n```toml\n{block}\n```\n", encoding="utf-8")
    return path


def problem(path: Path) -> str:
    with pytest.raises(LessonError) as error:
        lesson_files.load_lesson(path)
    return str(error.value)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_lesson_can_be_shown(path):
    lesson = lesson_files.load_lesson(path)
    assert 3 <= lesson.minutes <= 5
    assert any(step.predict for step in lesson.steps)
    assert all(step.explain for step in lesson.steps if step.predict), "an answer without an explanation"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_outcome_of_a_question_is_explained_or_named(path):
    """Whatever comes out, one text always holds or conditions for and against a clear difference are both there."""
    for step in read_lesson(path).steps:
        if step.predict:
            whens = [each.when for each in step.explain]
            assert "" in whens or len(whens) > 1


def test_there_are_seven_lessons_with_numbers_of_their_own():
    numbers = [read_lesson(path).number for path in FILES]
    assert len(set(numbers)) == len(numbers) >= 7


@pytest.mark.parametrize(
    ("block", "line", "words"),
    [
        ('[set]\ntecher = "simclr"', 13, "unknown control 'techer'"),
        (f'show = "acuracy"\n{SET}', 7, "unknown view 'acuracy'"),
        (f'show = "accuracy"\n{SET}[[explain]]\nwhen = "tset(raw) > 1"\ntext = "a"', 15, "unknown number 'tset'"),
        (f'show = "accuracy"\n{SET}[[explain]]\ntext = "{{test(linear)}}"', 15, "unknown run 'linear'"),
        (f'show = "accuracy"\n{SET}[[explain]]\ntext = "{{probe(hat, raw)}}"', 15, "unknown question 'hat'"),
        (f'show = "accuracy"\n{SET}[[explain]]\ntext = "{{probe(target, rw)}}"', 15, "unknown space 'rw'"),
        (f'show = "maps hat"\n{SET}', 7, "unknown attribute 'hat'"),
        ('show = "accuracy"', 7, "no step up to here sets methods"),
        (f"{SET}labels = ", 14, "no TOML"),
        (f'{SET}teacher = "nobody"', 7, "nobody"),
        (f"{SET}labels = 2.5", 7, "labels must be a whole number"),
        (f"{SET}seeds = [1, 2, 3, 4, 5]\ndim = [1, 2, 3]", 7, "at most 12 runs"),
        ('[predict]\nask = "?"\nchoices = ["a", "b"]\nwhen = ["1 > 0"]', 12, "as many conditions"),
        ('[predict]\nask = "?"\nvalue = "1"\nchoises = ["a"]', 15, "unknown key of a prediction 'choises'"),
        ('[predict]\nask = "?"\nvalue = "1"\nlow = 5\nhigh = 5', 12, "low must be below high"),
        ('[predict]\nask = "?"\nvalue = ["1", "2"]\nat = [1, 2, 3]', 12, "got 2 and 3"),
        ("[choose]\ndim = [4]", 13, "at least two values"),
        ('color = "red"', 12, "unknown key 'color'"),
        ('[[explain]]\ntext = "<b>no</b>"', 12, "without HTML"),
        ("predict = 3", 12, "predict is a table"),
    ],
)
def test_a_broken_lesson_is_reported_with_file_and_line(tmp_path, block, line, words):
    message = problem(written(tmp_path, block))
    assert message.startswith(f"01-test.md:{line}: "), message
    assert words in message


def test_html_words_that_nobody_explains_and_missing_heads_are_reported(tmp_path):
    assert problem(written(tmp_path, SET, "Look <script>here")) == "01-test.md:9: lessons are markdown without HTML"
    assert "no 'teecher'" in problem(written(tmp_path, SET, "A [[teecher]]."))
    assert "needs minutes" in problem(written(tmp_path, SET, head='+++\ntitle = "A"\n+++\n\n'))
    assert "between two lines of +++" in problem(written(tmp_path, SET, head=""))
    odd = tmp_path / "first.md"
    odd.write_text(HEAD)
    assert "begins with its number" in problem(odd)
    odd = tmp_path / "02-x.md"
    odd.write_bytes(b"\xff\xfe+++")
    assert problem(odd) == "02-x.md:1: a lesson is UTF-8 text"


def test_a_step_keeps_the_settings_of_those_before_and_names_its_runs(tmp_path):
    path = tmp_path / "03-x.md"
    first = '```toml\n[set]\nmethods = ["baseline", "raw", "mlp"]\nlabels = 400\ndim = [4, 8]\n```\n'
    second = (
        '```toml\n[set]\ndim = 4\nteacher = ["simclr", "parity"]\n[choose]\nloss = ["mse", "cosine_distance"]\n```\n'
    )
    path.write_text(f"{HEAD}## One\n{first}## Two\n{second}## Three\nNothing new.\n")
    one, two, three = read_lesson(path).steps
    assert list(one.specs()) == ["baseline", "raw", "mlp 4", "mlp 8"]
    assert one.specs()["mlp 8"] == RunSpec(method="mlp", labels=400, dim=8)
    assert list(two.specs()) == ["baseline", "raw simclr", "raw parity", "mlp simclr", "mlp parity"]
    assert two.specs()["mlp parity"].loss == "mse"
    assert two.specs({"loss": "rkd_distance"})["mlp parity"].loss == "rkd_distance"
    assert list(three.specs()) == list(two.specs())
    assert three.specs()["mlp simclr"].loss == RunSpec.loss, "a choice holds for its own step"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2 > 1 and not 1 > 2", 1),
        ("a(x) - 2 * a(y) >= -3", 1),
        ("1 < 2 < 2", 0),
        ("a('two words') + 1", 2),
        ("a(3) or 0", 1),
        ("-a(x)", -1),
    ],
)
def test_comparisons_are_computed(text, value):
    assert evaluate(text, lambda *_: 1.0) == value


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "a.b",
        "a(x)(y)",
        "a(b(c))",
        "[1][0]",
        "2 ** 9 ** 9",
        "lambda: 1",
        "a(*x)",
        "a(x=1)",
        "f'{1}'",
        "True",
        "'text'",
        "1 if 2 else 3",
        "(a := 1)",
        "",
        "1 +",
        "-" * 300 + "1 " * 100,
        "(" * 390,
    ],
)
def test_nothing_but_comparisons_of_numbers_is_understood(text):
    with pytest.raises(ValueError, match=r"comparison|not allowed|no name|at most"):
        evaluate(text, lambda *_: 1.0)


def test_texts_are_filled_with_numbers_as_a_reader_expects_them():
    assert fill("{a(x)} of {1 + 1}", lambda *_: -0.26) == "−0.3 of 2.0"
    assert [format_number(value) for value in (3.0, 71.26, -2.0)] == ["3", "71.3", "−2"]


def result(method: str, values: list[float], **probes: Probe) -> RunResult:
    spec = RunSpec(method=method, seeds=len(values))
    mean, spread = float(np.mean(values)), float(np.std(values, ddof=1))
    scores = SplitMetrics({"accuracy": Summary(mean, 4.303 * spread / 3**0.5, values)})
    target = Probe(0.1, Summary(0.8, None), Summary(0.7, None))
    teacher = None if method == "baseline" else TeacherStats("simclr", "", False, target)
    return RunResult(spec, metrics={"test": scores, "val": scores}, teacher=teacher, attributes=probes)


def measured() -> Measured:
    background = Probe(0.2, Summary(0.6, None), Summary(0.25, None))
    raw = result("raw", [0.5, 0.52, 0.51], background=background)
    mlp = result("mlp", [0.6, 0.62, 0.61], background=background)
    return Measured({"raw": raw, "mlp": mlp}, answer=[2.0])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("test(raw)", 51),
        ("gain(mlp, raw)", 10),
        ("clear(mlp, raw)", 1),
        ("gain_interval(mlp, raw)", 0),
        ("gain_of(mlp, raw, 2)", 10),
        ("clear_of(mlp, raw, 2)", 1),
        ("probe(background, raw)", 60),
        ("probe(background, compressed, mlp)", 25),
        ("probe(target, raw)", 80),
        ("chance(background)", 20),
        ("interval(raw)", 100 * 4.303 * 0.01 / 3**0.5),
        ("interval(raw, 3)", 100 * 4.303 * 0.01 / 3**0.5),
        ("interval(raw, 2)", 100 * 12.706 * 0.0141421 / 2**0.5),
        ("spread(mlp)", 2),
        ("answer", 2),
    ],
)
def test_named_numbers_are_those_of_the_results(text, value):
    assert measured().value(text) == pytest.approx(value, rel=1e-3, abs=1e-9)


@pytest.mark.parametrize(
    "text", ["test(linear)", "ood(raw)", "probe(hat, raw)", "probe(target, student)", "answer(2)", "kept(target, 4)"]
)
def test_a_number_that_was_not_measured_makes_its_condition_fail(text):
    with pytest.raises(UnknownNumberError):
        measured().value(text)
    assert not measured().holds(f"{text} > -1")


def test_what_is_explained_depends_on_what_came_out(tmp_path):
    block = (
        f'show = "accuracy"\n{SET}[[explain]]\nwhen = "gain(mlp, raw) > 0"\ntext = "better by {{gain(mlp, raw)}}"\n'
        '[[explain]]\nwhen = "gain(mlp, raw) < 0"\ntext = "worse"\n[[explain]]\ntext = "{test(baseline)}"\n'
        '[predict]\nask = "?"\nchoices = ["more", "less"]\nwhen = ["gain(mlp, raw) > 0", "gain(mlp, raw) <= 0"]'
    )
    (step,) = lesson_files.load_lesson(written(tmp_path, block)).steps
    assert measured().explain(step) == ["better by 10.0"], "nothing is said of a run that is not there"
    assert step.predict
    assert measured().came_true(step.predict) == 0
    flipped = Measured({"mlp": measured().results["raw"], "raw": measured().results["mlp"]})
    assert (flipped.explain(step), flipped.came_true(step.predict)) == (["worse"], 1)


def test_an_answer_from_an_address_must_be_one_to_the_question():
    steps = [step.predict for path in FILES for step in read_lesson(path).steps if step.predict]
    choice = next(each for each in steps if each.choices)
    number = next(each for each in steps if not each.choices and not each.at)
    assert choice.accepts([1.0])
    assert not any(choice.accepts(answer) for answer in ([0.0], [1.5], [9.0], [], [1.0, 1.0]))
    assert number.accepts([number.low])
    assert not any(number.accepts(answer) for answer in ([number.high + 1], [float("nan")], [1.0, 2.0]))


def test_every_function_of_the_glossary_and_every_view_says_what_it_is():
    assert all(view.draw.__doc__ for view in VIEWS.values())
    assert all(name == name.lower() and text.endswith(".") for name, text in glossary.terms().items())
    with pytest.raises(ValueError, match=r"add it to glossary\.toml"):
        glossary.term("teecher")


def test_a_batch_is_ordered_by_class_and_its_distances_know_no_width():
    data = lesson_files.datasets.load("digits")
    rows = data.splits["test"][:200]
    space = np.random.default_rng(0).normal(size=(200, 8)).astype(np.float32)
    wide = np.hstack([space, np.zeros_like(space)]) * 3  # the same shape, wider and larger
    view = Spaces(RunSpec(dataset="digits"), rows, 200, {"raw": wide, "student": space}, np.zeros((200, 10)), "key")
    batch = tables.batch_rows(view, 12, classes=3)
    labels = data.labels[rows[batch]]
    assert len(batch) == 12
    assert (np.diff(labels) >= 0).all()
    raw, student = (pair_matrix(view.spaces[name][batch]) for name in ("raw", "student"))
    i, j = batch[1], batch[5]
    others = [np.linalg.norm(space[a] - space[b]) for a in batch for b in batch if a != b]
    assert student[1, 5] == pytest.approx(np.linalg.norm(space[i] - space[j]) / np.mean(others), rel=1e-3)
    np.testing.assert_allclose(raw, student, atol=1e-4)


def test_a_difference_is_followed_over_the_seeds():
    frame = tables.difference_over_seeds(result("mlp", [0.6, 0.7, 0.65, 0.66]), result("raw", [0.5, 0.5, 0.55, 0.5]))
    assert frame["seeds"].tolist() == [2, 3, 4]
    differences = np.array([10, 20, 10])
    half = 4.3027 * differences.std(ddof=1) / 3**0.5
    assert frame["mean"][1] == pytest.approx(differences.mean())
    assert (frame["high"] - frame["mean"])[1] == pytest.approx(half, rel=1e-3)
    assert frame["clear"].tolist() == [False, bool(half < differences.mean()), True]
