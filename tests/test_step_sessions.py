"""Trainings gone through step by step where others are served too: shared room, refusals, gone with the visitor."""

import gc
import weakref

import numpy as np
import pytest
import torch

from kdlib import step_sessions
from kdlib.models import embedding
from kdlib.pipeline import build_stepper, run
from kdlib.spec import RunSpec
from kdlib.step_sessions import NotEmbeddedError, StepSession

SPEC = RunSpec(dataset="digits", teacher="random", labels=100, epochs=2, dim=4, seeds=3)


@pytest.fixture(autouse=True)
def embedded(fresh_home):
    embedding._embeddings.cache_clear()  # another test's home held them
    embedding.embed(SPEC.teacher, SPEC.dataset)


def test_a_session_takes_the_steps_of_the_first_seed():
    session = StepSession(SPEC)
    while not session.stepper.over:
        session.step()
    steps = session.stepper.steps
    assert len(session.losses) == steps == 6
    stepper, rows = build_stepper(SPEC)
    totals = [float(stepper.step().total.detach()[0]) for _ in range(steps)]
    assert [losses["total"] for losses in session.losses] == pytest.approx(totals, abs=1e-5)
    assert np.array_equal(rows, session.rows)
    session.step()
    assert len(session.losses) == steps, "after the last step a click does nothing"


def test_its_losses_are_those_of_a_run():
    session = StepSession(SPEC)
    assert session.finish_epoch()
    point = run(SPEC, device="cpu").history[0]
    mean = np.mean([losses["prediction"] for losses in session.losses])
    assert len(session.losses) == 3
    assert mean == pytest.approx(point.prediction[0], abs=1e-5)


def test_an_epoch_that_takes_long_pauses(monkeypatch):
    monkeypatch.setattr(step_sessions, "EPOCH_SECONDS", -1.0)
    session = StepSession(SPEC)
    assert not session.finish_epoch()
    assert session.losses == []


def test_the_longest_unused_makes_room(monkeypatch):
    first, second = StepSession(SPEC), StepSession(SPEC)
    monkeypatch.setattr(step_sessions, "LIMIT", int(2.5 * first._size))
    first.step()
    third = StepSession(SPEC)
    assert [session.closed for session in (first, second, third)] == [False, True, False]
    with pytest.raises(ValueError, match="made room"):
        second.step()


def test_a_session_ends_with_its_visitor():
    session = StepSession(SPEC)
    reference = weakref.ref(session)
    del session
    gc.collect()
    assert reference() is None


def test_what_the_engine_has_to_do_first_is_not_done_here():
    with pytest.raises(NotEmbeddedError):
        StepSession(SPEC.replace(teacher="parity", dataset="cluttered-digits"))
    StepSession(SPEC.replace(method="baseline", teacher="parity"))


def test_a_student_too_large_to_step_through_is_refused(monkeypatch):
    monkeypatch.setattr(step_sessions, "MAX_OPERATIONS", 1e3)
    with pytest.raises(ValueError, match="choose a smaller student"):
        StepSession(SPEC)


def test_threads_are_as_before():
    before = torch.get_num_threads()
    StepSession(SPEC).step()
    assert torch.get_num_threads() == before
