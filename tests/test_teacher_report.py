"""What a teacher knows: made once by the engine, kept, and honest about what went wrong."""

from dataclasses import replace

import pytest

from kdlib.data import datasets
from kdlib.models import teachers
from kdlib.spaces import teacher_report


@pytest.fixture(autouse=True)
def engine(monkeypatch, tmp_path):
    """Return what was handed to the engine, which does not run here."""
    monkeypatch.setenv("KDLIB_HOME", str(tmp_path))
    handed = []
    monkeypatch.setattr(
        teacher_report.engine, "submit", lambda function, *arguments, key: handed.append((function, arguments, key))
    )
    return handed


def test_a_report_is_asked_for_under_one_key_and_then_read(engine):
    assert teacher_report.request("random", "digits") == {}
    assert teacher_report.request("random", "digits") == {}
    assert len({key for _, _, key in engine}) == 1
    function, arguments, _ = engine[0]
    function(*arguments)
    found = teacher_report.request("random", "digits")
    assert set(found["questions"]) == {"target", "ink"}
    assert 0 <= found["questions"]["target"]["chance"] < found["questions"]["target"]["accuracy"] <= 1
    assert 1 <= found["effective_rank"] <= found["width"]
    assert len(engine) == 2


def test_a_report_that_fails_says_why_until_it_is_asked_for_again(monkeypatch, engine):
    def broken(*_):
        raise ValueError("no such weights")

    monkeypatch.setattr(teacher_report.teachers, "embed", broken)
    teacher_report.compute("random", "digits")
    assert teacher_report.request("random", "digits") == {"error": "no such weights"}
    assert not engine
    teacher_report.discard("random", "digits")
    assert teacher_report.cached("random", "digits") == {}


def test_knowing_asks_nobody(engine):
    assert teacher_report.cached("random", "digits") == {}
    assert not engine


@pytest.mark.parametrize("text", ["", '{"width": 2', "\udcff", "3", "null", "[1]"])
def test_a_damaged_report_is_one_that_has_not_been_made(text, engine):
    path = teacher_report._path("random", "digits")
    path.parent.mkdir(parents=True)
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    assert teacher_report.request("random", "digits") == {}
    assert len(engine) == 1
    assert not path.exists()


def test_other_content_under_the_same_name_is_another_report(monkeypatch):
    data = datasets.load("digits")
    changed = {
        "inputs": replace(data, inputs=data.inputs + 1),
        "labels": replace(data, labels=data.labels[::-1]),
        "splits": replace(data, splits=data.splits | {"test": data.splits["test"][1:]}),
        "attributes": replace(data, attributes={}),
    }
    keys = {teacher_report._key("random", "digits")}
    for other in changed.values():
        datasets.content.cache_clear()
        monkeypatch.setattr(datasets, "load", lambda _, other=other: other)
        keys.add(teacher_report._key("random", "digits"))
    datasets.content.cache_clear()
    assert len(keys) == 1 + len(changed)


def test_a_changed_teacher_is_another_report(monkeypatch, tmp_path):
    keys, teacher = {teacher_report._key("random", "digits")}, teachers.TEACHERS["random"]
    with monkeypatch.context() as patch:
        patch.setattr(teachers, "VERSION", teachers.VERSION + 1)
        keys.add(teacher_report._key("random", "digits"))
    weights = tmp_path / "random.safetensors"
    weights.write_bytes(teacher.weights.read_bytes() + b" ")
    weights.with_suffix(".json").write_bytes(teacher.weights.with_suffix(".json").read_bytes())
    monkeypatch.setitem(teachers.TEACHERS, "random", replace(teacher, weights=weights))
    keys.add(teacher_report._key("random", "digits"))
    assert len(keys) == 3
