"""What a teacher knows: made once by the engine, kept, and honest about what went wrong."""

import pytest

from kdlib import knowledge


@pytest.fixture(autouse=True)
def engine(monkeypatch, tmp_path):
    """Return what was handed to the engine, which does not run here."""
    monkeypatch.setenv("KDLIB_HOME", str(tmp_path))
    handed = []
    monkeypatch.setattr(knowledge.engine, "submit", lambda function, *arguments, key: handed.append((function, arguments, key)))
    return handed


def test_a_report_is_asked_for_under_one_key_and_then_read(engine):
    assert knowledge.read("random", "digits") == {}
    assert knowledge.read("random", "digits") == {}
    assert len({key for _, _, key in engine}) == 1
    function, arguments, _ = engine[0]
    function(*arguments)
    found = knowledge.read("random", "digits")
    assert set(found["questions"]) == {"target", "ink"}
    assert 0 <= found["questions"]["target"]["chance"] < found["questions"]["target"]["accuracy"] <= 1
    assert 1 <= found["effective_rank"] <= found["width"]
    assert len(engine) == 2


def test_a_report_that_fails_says_why_until_it_is_asked_for_again(monkeypatch, engine):
    def broken(*_):
        raise ValueError("no such weights")

    monkeypatch.setattr(knowledge.teachers, "embed", broken)
    knowledge.write("random", "digits")
    assert knowledge.read("random", "digits") == {"error": "no such weights"}
    assert not engine
    knowledge.retry("random", "digits")
    assert knowledge.known("random", "digits") == {}


def test_knowing_asks_nobody(engine):
    assert knowledge.known("random", "digits") == {}
    assert not engine
