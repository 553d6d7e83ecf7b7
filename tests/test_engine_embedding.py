"""Embedding as a job, with a real engine: progress, cancel, deaths, and going on after them."""

import os
import signal
import time

import numpy as np
import pytest

from kdlib import engine
from kdlib.analysis import teacher_report
from kdlib.analysis.teacher_report import TeacherReport
from kdlib.data import datasets
from kdlib.models import embedding, providers
from kdlib.spaces import embedding_jobs
from tests import slow_teachers
from tests.live_engine import data_folder, has_ended, wait_for_workers, wait_until

ROWS = 2997  # of the dataset


@pytest.fixture(scope="module")
def home(tmp_path_factory, empty_database):
    with data_folder(tmp_path_factory.mktemp("engine"), empty_database) as path, pytest.MonkeyPatch.context() as patch:
        patch.setitem(providers.PROVIDERS, "slow", "tests.slow_teachers")
        patch.setattr(embedding_jobs, "compute", slow_teachers.compute)
        wait_for_workers()
        yield path


@pytest.fixture(autouse=True)
def anew(home):
    (home / "asked.jsonl").unlink(missing_ok=True)


def state_of(teacher):
    return embedding_jobs.states([teacher], "digits")[teacher]


def wait_for_state(teacher, state):
    return wait_until(lambda: each if (each := state_of(teacher)).state == state else None)


def wait_for_rows(teacher, rows):
    return wait_until(lambda: each if (each := state_of(teacher)).done >= rows else None)


def rows_asked_twice():
    rows = [row for _, first, last in slow_teachers.asked() for row in range(first, last + 1)]
    return len(rows) - len(set(rows))


def expected():
    inputs = datasets.load("digits").inputs
    return np.stack([np.arange(ROWS), inputs.sum((1, 2, 3))], axis=1).astype(np.float32)


def test_a_job_shows_how_far_it_is_and_ends_with_what_the_teacher_knows():
    assert state_of("slow:30").state == "absent"
    embedding_jobs.request("slow:30", "digits")
    embedding_jobs.request("slow:30", "digits")
    seen = [wait_for_rows("slow:30", 300)]
    while seen[-1].active:
        seen.append(state_of("slow:30"))
    assert seen[-1].state == "done"
    done = [each.done for each in seen]
    assert done == sorted(done)
    assert len(set(done)) > 5
    lefts = [each.seconds_left for each in seen if each.state == "running" and each.seconds_left is not None]
    assert lefts[0] > lefts[-1] >= 0
    assert rows_asked_twice() == 0, "two requests are one job"
    assert len({pid for pid, _, _ in slow_teachers.asked()}) == 1
    np.testing.assert_array_equal(embedding.embed("slow:30", "digits"), expected())
    assert isinstance(teacher_report.cached("slow:30", "digits"), TeacherReport)
    embedding_jobs.request("slow:30", "digits")
    assert state_of("slow:30").state == "done"


def test_a_cancel_is_heard_within_two_seconds_and_the_worker_lives_on():
    embedding_jobs.request("slow:150", "digits")
    wait_for_rows("slow:150", 300)
    embedding_jobs.cancel("slow:150", "digits")
    began = time.monotonic()
    stopped = wait_for_state("slow:150", "stopped")
    assert time.monotonic() - began < 2
    wait_until(lambda: not engine.status().busy)
    pid = slow_teachers.asked()[-1][0]
    assert not has_ended(pid)
    assert 300 <= stopped.done < ROWS
    embedding_jobs.cancel("slow:150", "digits")  # twice is once
    embedding_jobs.request("slow:150", "digits")
    wait_for_rows("slow:150", stopped.done + 200)
    assert rows_asked_twice() == 0
    embedding_jobs.cancel("slow:150", "digits")
    wait_for_state("slow:150", "stopped")


def test_a_killed_worker_costs_one_batch_at_most():
    embedding_jobs.request("slow:60", "digits")
    wait_for_rows("slow:60", 1200)
    os.kill(slow_teachers.asked()[-1][0], signal.SIGKILL)
    wait_for_state("slow:60", "done")
    assert len({pid for pid, _, _ in slow_teachers.asked()}) == 2
    assert rows_asked_twice() <= slow_teachers.BATCH
    np.testing.assert_array_equal(embedding.embed("slow:60", "digits"), expected())


def test_a_job_that_kills_every_worker_at_the_same_item_fails_in_words():
    embedding_jobs.request("slow:1!1234", "digits")
    failed = wait_for_state("slow:1!1234", "failed")
    assert failed.done == 1200
    assert failed.reason == "its worker died 2 times after 1,200 items; is there enough memory?"


def test_a_job_whose_engine_was_killed_goes_on_with_the_next_engine():
    embedding_jobs.request("slow:50", "digits")
    wait_for_rows("slow:50", 900)
    os.kill(engine.status().pid, signal.SIGKILL)
    wait_until(lambda: not engine.status().running)
    wait_until(lambda: has_ended(slow_teachers.asked()[-1][0]))
    stopped = state_of("slow:50")
    assert stopped.state in ("queued", "stopped")  # the engine may have been about to start
    assert stopped.done < ROWS
    embedding_jobs.resume_interrupted()
    wait_for_state("slow:50", "done")
    assert rows_asked_twice() <= slow_teachers.BATCH
    np.testing.assert_array_equal(embedding.embed("slow:50", "digits"), expected())


def test_what_is_cancelled_or_gone_is_not_resumed(home):
    embedding_jobs.request("slow:40", "digits")
    wait_for_rows("slow:40", 100)
    embedding_jobs.cancel("slow:40", "digits")
    wait_for_state("slow:40", "stopped")
    gone = embedding_jobs._Record("slow:40", "deleted", requested=1.0)
    (home / "embedding" / "0123.json").write_text(embedding_jobs.json.dumps(embedding_jobs.asdict(gone)))
    before = len(slow_teachers.asked())
    embedding_jobs.resume_interrupted()
    wait_until(lambda: not engine.status().busy)
    assert len(slow_teachers.asked()) == before
    assert not (home / "embedding" / "0123.json").exists()
