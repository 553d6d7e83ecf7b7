"""The store: what is written is read again, by any process, also when others write, lock it, or go away."""

import json
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from kdlib import store
from kdlib.progress import Progress
from kdlib.results import Cost, Point, RunResult
from kdlib.spec import RunSpec
from kdlib.store import RunNotFoundError, StoreError, StoreUnavailableError, connection
from kdlib.summary import SplitMetrics, Summary

ROOT = Path(__file__).resolve().parent.parent
POINT = Point(0, [1.0, 2.0], [0.5, float("nan")], [], [0.5, 0.7])
METRICS = {
    "test": SplitMetrics({"accuracy": Summary(0.74, 0.02, [0.73, 0.75])}),
    "ood:rotated": SplitMetrics({"accuracy": Summary(0.5, None)}),
}


def create(name="a run", **changes):
    return store.create(RunSpec(**changes), name=name, user="mia")


def points(count, first=0):
    return [replace(POINT, epoch=epoch, t=1000.0 + epoch) for epoch in range(first, first + count)]


@pytest.mark.usefixtures("fresh_home")
class TestOneRun:
    def test_a_new_run_is_queued_and_holds_its_spec(self):
        run = store.fetch(create(dim=8, method="linear"))
        assert (run.state, run.name, run.user, run.spec) == ("queued", "a run", "mia", RunSpec(dim=8, method="linear"))
        assert run.active
        assert run.accuracy() is None

    @pytest.mark.parametrize("state", ["running", "done", "failed", "cancelled"])
    def test_every_state_is_read_again(self, state):
        run_id = create()
        store.set_state(run_id, state, reason="diverged: 1 of 5" if state == "failed" else "")
        run = store.fetch(run_id)
        assert run.state == state
        assert run.reason == ("diverged: 1 of 5" if state == "failed" else "")
        assert (run.ended is None) == run.active

    def test_a_curve_is_the_mean_over_the_members_that_are_finite(self):
        run_id = create()
        store.log_points(run_id, points(3), Progress(30, 100))
        points_read = store.metric_history(run_id)
        assert [point.epoch for point in points_read] == [0, 1, 2]
        assert points_read[0] == Point(0, [1.5], [0.5], [], [0.6], t=1000.0)
        assert store.fetch(run_id).progress == pytest.approx(0.3)

    def test_a_point_sent_twice_is_stored_once(self):
        run_id = create()
        store.log_points(run_id, points(3))
        store.log_points(run_id, points(5))
        assert [point.epoch for point in store.metric_history(run_id)] == [0, 1, 2, 3, 4]

    def test_a_long_curve_fits_into_several_batches(self):
        run_id = create()
        store.log_points(run_id, points(700))
        assert len(store.metric_history(run_id)) == 700

    def test_a_result_gives_the_numbers_of_a_row(self):
        run_id = create()
        store.log_result(
            run_id,
            store.flatten_metrics(RunResult(RunSpec(), metrics=METRICS, cost=Cost(seconds=3, latency_ms=float("nan")))),
        )
        run = store.fetch(run_id)
        assert run.accuracy() == Summary(0.74, 0.02)
        assert run.accuracy("ood:rotated") == Summary(0.5, None)
        assert run.metrics == {
            "cost/seconds": 3,
            "test/accuracy": 0.74,
            "test/accuracy_ci95": 0.02,
            "ood:rotated/accuracy": 0.5,
        }

    def test_files_are_moved_in_whole_and_a_missing_one_is_named(self, tmp_path):
        run_id = create()
        (tmp_path / "result.json").write_text("{}")
        store.add_artifacts(run_id, [tmp_path / "result.json"])
        assert store.artifact_path(run_id, "result.json").read_text() == "{}"
        assert not (tmp_path / "result.json").exists()
        with pytest.raises(
            RunNotFoundError, match=r"has no student\.safetensors; it was not written or has been deleted"
        ):
            store.artifact_path(run_id, "student.safetensors")

    def test_a_run_that_is_not_there_is_named(self):
        with pytest.raises(RunNotFoundError, match="does not have run 0000"):
            store.fetch("0" * 32)

    def test_a_request_a_spec_and_a_group_find_their_runs(self):
        first = store.create(RunSpec(), name="", user="", request="request/0", group="sweep")
        other = create(dim=2)
        assert [run.id for run in store.find(request="request/0")] == [first]
        assert [run.id for run in store.find(identity=RunSpec(dim=2).identity)] == [other]
        store.add_to_group(other, "sweep")
        assert {run.id for run in store.group_members("sweep")} == {first, other}

    def test_runs_of_a_later_version_do_not_hide_the_others(self):
        known, later, strange = create(dim=2), create(dim=4), create(dim=8)
        store.set_tags(later, spec=json.dumps(json.loads(RunSpec(dim=4).to_json()) | {"warmup": 0.1}))
        store.set_tags(strange, spec='{"dataset": ["digits", "tones"]}')
        assert store.fetch(later).spec == RunSpec(dim=4)
        assert [run.id for run in store.Listing().newest(10)] == [later, known]

    def test_a_look_up_that_would_change_the_question_is_refused(self):
        with pytest.raises(ValueError, match="holds a quote"):
            store.find(request="x' or tags.y = '")

    def test_a_deleted_run_is_gone_until_it_is_restored(self):
        run_id = create()
        store.delete(run_id)
        with pytest.raises(RunNotFoundError):
            store.fetch(run_id)
        with pytest.raises(StoreError, match="refuses"):
            store.log_points(run_id, points(1))
        store.restore(run_id)
        assert store.fetch(run_id).id == run_id


@pytest.mark.usefixtures("fresh_home")
class TestListing:
    def test_it_shows_what_another_process_changes(self):
        listing, here = store.Listing(), store.Listing()
        ids = [create(name=str(number)) for number in range(3)]
        assert [run.name for run in listing.newest(10)] == ["2", "1", "0"]
        store.set_state(ids[0], "running")
        store.set_state(ids[1], "done")
        assert [run.state for run in listing.newest(10)] == ["queued", "done", "running"]
        store.set_state(ids[1], "queued")  # as a resume does
        assert [run.state for run in listing.newest(10)] == ["queued", "queued", "running"]
        store.rename(ids[2], "new")
        store.delete(ids[0])
        assert [run.name for run in listing.newest(10)] == ["new", "1"] == [run.name for run in here.newest(10)]

    def test_pages_follow_each_other_without_gaps(self, monkeypatch):
        monkeypatch.setattr("kdlib.store.listing.FIRST_PAGE", 2)
        monkeypatch.setattr("kdlib.store.listing.LATER_PAGE", 3)
        names = [str(number) for number in range(10)]
        ids = [create(name=name) for name in names]
        for run_id in ids:
            store.set_state(run_id, "done")
        listing = store.Listing()
        listing._refresh()
        listing._read_at += 10_000  # so far in the future that only paging finds them
        listing._rows.clear()
        assert [run.name for run in listing.newest(4)] == names[:-5:-1]
        assert [run.name for run in listing.newest(100)] == names[::-1]
        assert [run.name for run in listing.newest(2, lambda run: run.name in "13")] == ["3", "1"]

    def test_active_runs_are_listed_without_reading_the_rest(self):
        ids = [create(name=str(number)) for number in range(3)]
        store.set_state(ids[1], "done")
        assert [run.name for run in store.Listing().active()] == ["2", "0"]

    def test_a_run_of_someone_else_in_the_same_experiment_is_left_alone(self):
        ours = store.connect()
        ours.client.create_run(ours.experiment, run_name="by hand")
        create(name="ours")
        assert [run.name for run in store.Listing().newest(10)] == ["ours"]


def write_batches(worker, batches, run_id):
    for batch in range(batches):
        store.Retry(60)(lambda batch=batch: store.log_points(run_id, points(1, first=worker * batches + batch)))


@pytest.mark.parametrize(
    ("writers", "batches"), [(2, 500), pytest.param(8, 500, marks=[pytest.mark.slow, pytest.mark.timeout(1200)])]
)
@pytest.mark.usefixtures("fresh_home")
def test_nothing_is_lost_when_several_processes_write(writers, batches):
    ids = [create(), create()]
    spawn = multiprocessing.get_context("spawn")
    processes = [
        spawn.Process(target=write_batches, args=(number, batches, ids[number % 2])) for number in range(writers)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * writers
    epochs = [point.epoch for run_id in ids for point in store.metric_history(run_id)]
    assert sorted(epochs) == list(range(writers * batches))


@pytest.mark.usefixtures("fresh_home")
def test_loading_the_library_on_a_busy_machine_is_not_mistaken_for_a_store_that_does_not_answer(monkeypatch):
    ask, never = threading.Event(), threading.Event()
    monkeypatch.setattr(connection, "_loaded", set())
    threading.Timer(0.5, ask.set).start()
    assert store.with_timeout(0.1, lambda: ask.wait(10))
    store.fetch(create())
    with pytest.raises(store.StoreUnavailableError, match="busy"):
        store.with_timeout(0.1, never.wait)
    never.set()


@pytest.mark.usefixtures("fresh_home")
def test_a_locked_store_is_said_to_be_busy_and_answers_afterwards(fresh_home):
    run_id = create()
    holder = sqlite3.connect(fresh_home / "mlflow.db", isolation_level=None, check_same_thread=False)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreUnavailableError, match="busy"):
        store.with_timeout(0.3, lambda: store.fetch(run_id))
    assert holder.in_transaction  # nobody waited for the lock to go
    threading.Timer(0.5, holder.rollback).start()
    assert store.Retry(20)(lambda: store.fetch(run_id)).id == run_id
    holder.close()


def test_a_process_killed_while_the_database_is_made_leaves_none(tmp_path):
    code = (
        "import os, signal; from kdlib.store import connection; import mlflow.store.db.utils as utils\n"
        "utils._initialize_tables = lambda engine: os.kill(os.getpid(), signal.SIGKILL)\n"
        "connection.connect()\n"
    )
    environment = os.environ | {"KDLIB_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / "mlflow.db").exists()


def test_a_password_in_the_address_is_not_shown(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mia:secret@127.0.0.1:9/x")
    assert connection.describe_location() == "http://127.0.0.1:9/x"


def test_a_server_that_is_away_is_said_to_be_away(monkeypatch, tmp_path):
    monkeypatch.setenv("KDLIB_HOME", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(StoreUnavailableError, match=r"the run store at http://127\.0\.0\.1:9 does not answer"):
        store.Listing().newest(1)


def test_a_real_server_holds_the_same(tmp_path, monkeypatch, tracking_server, capfd):
    monkeypatch.setenv("KDLIB_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking_server.uri)
    run_id = create(name="<b>bold</b> €")
    store.log_points(run_id, points(3), Progress(1, 2))
    store.log_result(run_id, store.flatten_metrics(RunResult(RunSpec(), metrics=METRICS)))
    (tmp_path / "result.json").write_text(json.dumps({"a": 1}))
    store.add_artifacts(run_id, [tmp_path / "result.json"])
    store.set_state(run_id, "done")
    run = store.Listing().newest(1)[0]
    assert (run.id, run.name, run.state, run.accuracy()) == (run_id, "<b>bold</b> €", "done", Summary(0.74, 0.02))
    assert json.loads(store.artifact_path(run_id, "result.json").read_text()) == {"a": 1}
    assert len(store.metric_history(run_id)) == 3
    with pytest.raises(RunNotFoundError):
        store.fetch("0" * 32)
    with pytest.raises(StoreError):
        store.artifact_path(run_id, "other.json")
    assert capfd.readouterr().out == ""


def test_several_threads_may_be_the_first_to_ask():
    """They once met inside a half-imported library."""
    script = """
import threading
from kdlib.store.connection import translate_errors

errors = []
def ask():
    try:
        with translate_errors():
            pass
    except Exception as error:
        errors.append(error)

threads = [threading.Thread(target=ask) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
raise SystemExit(len(errors))
"""
    assert subprocess.run([sys.executable, "-c", script], check=False, timeout=120).returncode == 0
