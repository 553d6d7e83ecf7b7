"""What a teacher knows: computed once by the engine, stored, and honest about what went wrong."""

import json
from dataclasses import replace

import pytest

from kdlib import engine
from kdlib.analysis import teacher_report
from kdlib.analysis.teacher_report import TeacherReport
from kdlib.data import datasets
from kdlib.models.providers.built_in import TEACHERS
from kdlib.spaces import Failure, teacher_jobs


@pytest.fixture(autouse=True)
def submitted(monkeypatch, tmp_path):
    """Return what was submitted to the engine, which does not run here; no report comes with this version."""
    monkeypatch.setenv("KDLIB_HOME", str(tmp_path))
    monkeypatch.setattr(teacher_report, "load_shipped", lambda *_: None)
    jobs = []
    monkeypatch.setattr(engine, "submit", lambda function, *arguments, key: jobs.append((function, arguments, key)))
    return jobs


def test_a_report_is_computed_under_one_key_and_then_read(submitted):
    assert teacher_jobs.request("random", "digits") is None
    assert teacher_jobs.request("random", "digits") is None
    assert len({key for _, _, key in submitted}) == 1
    function, arguments, _ = submitted[0]
    function(*arguments)
    report = teacher_jobs.request("random", "digits")
    assert set(report.questions) == {"target", "ink"}
    assert 0 <= report.target.chance < report.target.accuracy <= 1
    assert 1 <= report.effective_rank <= report.width
    assert len(submitted) == 2


# As versions before `TeacherReport` wrote it.
STORED = {
    "width": 256,
    "effective_rank": 12.5,
    "questions": {
        "target": {"accuracy": 0.9, "chance": 0.1, "ood": 0.5, "few": {"accuracy": 0.8, "chance": 0.1, "ood": None}},
        "ink": {"accuracy": 0.7, "chance": 0.25},
    },
}


def test_a_report_of_an_earlier_version_is_read_and_written_as_it_was():
    path = teacher_report._path("random", "digits")
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(STORED))
    report = teacher_report.cached("random", "digits")
    assert (report.width, report.target.ood, report.attributes["ink"].chance) == (256, 0.5, 0.25)
    assert json.dumps(report.to_dict()) == json.dumps(STORED)


def test_few_labels_are_judged_by_the_probe_that_saw_few():
    target = TeacherReport.from_dict(STORED).target
    assert [target.for_labels(labels).accuracy for labels in (60, 200, 447, 448, 1000)] == [0.8, 0.8, 0.8, 0.9, 0.9]
    assert target.few.for_labels(60) is target.few


def test_a_report_that_fails_says_why_until_it_is_requested_again(monkeypatch, submitted):
    def broken(*_):
        raise ValueError("no such weights")

    monkeypatch.setattr(teacher_report.embedding, "embed", broken)
    teacher_jobs.compute("random", "digits")
    assert teacher_jobs.request("random", "digits") == Failure("no such weights")
    assert not submitted
    teacher_report.discard("random", "digits")
    assert teacher_report.cached("random", "digits") is None


def test_reading_submits_nothing(submitted):
    assert teacher_report.cached("random", "digits") is None
    assert not submitted


@pytest.mark.parametrize(
    "text",
    ["", '{"width": 2', "\udcff", "3", "null", "[1]", "{}", '{"width": 2, "effective_rank": 1, "questions": {}}'],
)
def test_a_damaged_report_is_one_that_has_not_been_made(text, submitted):
    path = teacher_report._path("random", "digits")
    path.parent.mkdir(parents=True)
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    assert teacher_jobs.request("random", "digits") is None
    assert len(submitted) == 1
    assert not path.exists()


def test_other_content_under_the_same_name_is_another_report(monkeypatch):
    data = datasets.load("digits")
    changed = {
        "inputs": replace(data, inputs=data.inputs + 1),
        "labels": replace(data, labels=data.labels[::-1]),
        "splits": replace(data, splits=data.splits | {"test": data.splits["test"][1:]}),
        "attributes": replace(data, attributes={}),
    }
    keys = {teacher_report.report_key("random", "digits")}
    for other in changed.values():
        datasets.content.cache_clear()
        monkeypatch.setattr(datasets, "load", lambda _, other=other: other)
        keys.add(teacher_report.report_key("random", "digits"))
    datasets.content.cache_clear()
    assert len(keys) == 1 + len(changed)


def test_a_changed_teacher_is_another_report(monkeypatch, tmp_path):
    keys, teacher = {teacher_report.report_key("random", "digits")}, TEACHERS["random"]
    with monkeypatch.context() as patch:
        patch.setitem(TEACHERS, "random", replace(teacher, version="2"))
        keys.add(teacher_report.report_key("random", "digits"))
    weights = tmp_path / "random.safetensors"
    weights.write_bytes(teacher.weights.read_bytes() + b" ")
    weights.with_suffix(".json").write_bytes(teacher.weights.with_suffix(".json").read_bytes())
    monkeypatch.setitem(TEACHERS, "random", replace(teacher, weights=weights))
    keys.add(teacher_report.report_key("random", "digits"))
    assert len(keys) == 3
