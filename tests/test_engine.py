"""Runs in the background, with real processes: whoever is killed, a run ends in one right state, and nothing is lost or done twice."""

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from kdlib import engine, runs, store
from kdlib.engine import Job, Outcome, RunFolder, worker
from kdlib.progress import Progress
from kdlib.results import Summary
from tests import fake_runs
from tests.fake_runs import spec

ROOT = Path(__file__).resolve().parent.parent
STALL = 4  # seconds without a step after which a worker is taken for hung
HANG = (
    120  # seconds after which a test is taken for hung; how long things take is printed by tests/benchmarks/engine.py
)
ENVIRONMENT = {
    "KDLIB_FUNCTION": "tests.fake_runs:run",
    "KDLIB_WORKERS": "2",
    "KDLIB_WORKER_THREADS": "1",
    "KDLIB_STALL_SECONDS": str(STALL),
    "KDLIB_SYNC_SECONDS": "20",
}


@contextmanager
def data_folder(path, database, **environment):
    """A data folder with an empty store; its engine, if one was started, is gone afterwards."""
    path.mkdir(exist_ok=True)
    shutil.copyfile(database, path / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (ENVIRONMENT | {"KDLIB_HOME": str(path)} | environment).items():
            patch.setenv(name, value)
        for name in ("MLFLOW_TRACKING_URI", "KDLIB_SCHEDULER"):
            if name not in environment:
                patch.delenv(name, raising=False)
        try:
            yield path
        finally:
            engine.stop()


@pytest.fixture(scope="module")
def home(tmp_path_factory, empty_database):
    with data_folder(tmp_path_factory.mktemp("engine"), empty_database) as path:
        yield path


def until(condition, every=0.02):
    """Wait until the condition holds and return its value; fail when it seems never to."""
    deadline = time.monotonic() + HANG
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(every)
    raise AssertionError(f"still not after {HANG} s")


def over(run_id):
    return until(lambda: None if (run := runs.get(run_id)).active else run)


def workers():
    """Return the processes that train."""
    with suppress(psutil.NoSuchProcess, FileNotFoundError):
        about = json.loads((engine.process.folder() / "engine.json").read_text())
        family = psutil.Process(about["pid"]).children(recursive=True)
        return [each for each in family if each.ppid() != about["pid"] or "spawn_main" in " ".join(each.cmdline())]
    return []


def worker_of(run_id):
    """Return the process id of the worker that has begun with a run last."""
    return [event["pid"] for event in RunFolder(run_id).events() if event["kind"] == "start"][-1]


def gone(pid):
    """Return whether a process is over."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def epochs(run_id):
    return [point.epoch for point in runs.history(run_id)]


def ready():
    """Wait until both workers are there, so that a test measures what it is about."""
    engine.start()
    until(lambda: engine.status().workers == 2)


@pytest.mark.usefixtures("home")
class TestARun:
    def test_it_ends_with_its_curve_numbers_and_files(self):
        [run_id] = runs.launch([spec(epochs=8, width=40)], name="mine", user="mia")
        run = over(run_id)
        assert (run.state, run.name, run.user, run.progress, run.unsynced) == ("done", "mine", "mia", 1.0, 0)
        assert run.accuracy() == Summary(fake_runs.value(spec(epochs=8, width=40), 0, 0), 0.01)
        assert epochs(run_id) == list(range(8))
        assert [point.epoch for point in store.metric_history(run_id)] == list(range(8))
        result = runs.result(run_id)
        assert (result.status, result.spec, len(result.history)) == ("done", run.spec, 8)
        assert runs.arrays(run_id, "features")["features/test"].shape == (2, 4, 3)
        assert not RunFolder(run_id).checkpoint.exists()

    def test_it_can_be_watched_until_it_is_over(self):
        [run_id] = runs.launch([spec(epochs=20, width=50)])
        looks = list(runs.watch(run_id, every=0.1))
        assert [point.epoch for _, points in looks for point in points] == list(range(20))
        assert looks[-1][0].state == "done"
        shares = [run.progress for run, _ in looks]
        assert shares == sorted(shares)

    def test_the_progress_of_a_running_run_is_seen_from_another_process(self):
        [run_id] = runs.launch([spec(epochs=2000, width=50)])
        until(lambda: len(epochs(run_id)) > 3)
        code = (
            f"from kdlib import runs; run = runs.get('{run_id}'); print(run.state, len(runs.history('{run_id}')) > 3)"
        )
        told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
        assert told.stdout.split() == ["running", "True"]
        runs.cancel(run_id)

    @pytest.mark.parametrize(
        ("how", "state", "reason"),
        [
            ("diverges", "failed", "diverged: 2 of 2 members"),
            ("leaves with 3", "failed", "the training left with exit code 3"),
            ("fills the disk", "failed", "disk full: free some space, then resume"),
            ("needs too much", "failed", "out of memory: fewer seeds, a smaller batch or a smaller student need less"),
            ("has a bug", "failed", "KeyError: 'weights'"),
        ],
    )
    def test_what_goes_wrong_is_said_in_words(self, how, state, reason):
        [run_id] = runs.launch([spec(student=how)])
        run = over(run_id)
        assert (run.state, run.reason) == (state, reason)
        assert until(lambda: store.fetch(run_id).reason) == reason

    def test_a_worker_that_dies_twice_over_a_run_fails_it_and_leaves_the_others_alone(self):
        how = ("vanishes", "is killed", "hangs")
        *ids, other = runs.launch([*(spec(student=each, epochs=6) for each in how), spec(epochs=20, width=50)])
        for each, run_id in zip(how, ids, strict=True):
            run = over(run_id)
            assert run.state == "failed"
            assert run.reason.startswith(
                "its worker died 2 times" + (f": no progress for {STALL} s" if each == "hangs" else ", killed")
            )
            assert RunFolder(run_id).count_starts(0) == 2
        assert over(other).state == "done"

    def test_a_spec_that_cannot_be_run_is_refused_before_anything_starts(self):
        def check(given):
            if given.dim > 100:
                raise ValueError("dim 200 is above the width 64 of teacher simclr")

        before = len(runs.list_runs(limit=1000))
        with pytest.raises(ValueError, match="dim 200 is above"):
            runs.launch([spec(), spec(dim=200)], check=check)
        assert len(runs.list_runs(limit=1000)) == before

    def test_names_are_kept_literally_but_for_what_a_terminal_would_obey(self):
        assert (
            runs.clean_name("<b>**a**</b> $x$ \x1b[31mred\nline \u202eevil =1+1")
            == "<b>**a**</b> $x$ [31mred line evil =1+1"
        )
        [run_id] = runs.launch([spec(epochs=1)], name="<script>'\"`\\ %s")
        assert over(run_id).name == "<script>'\"`\\ %s"
        assert runs.find("<script>'\"`\\ %s").id == run_id == runs.find(run_id[:12]).id

    def test_a_finished_run_is_renamed_deleted_and_brought_back(self):
        [run_id] = runs.launch([spec(epochs=1)])
        over(run_id)
        runs.rename(run_id, "new name")
        assert runs.get(run_id).name == "new name"
        runs.delete(run_id)
        assert run_id not in [run.id for run in runs.list_runs(limit=1000)]
        with pytest.raises(ValueError, match="does not have run"):
            runs.get(run_id)
        runs.undelete(run_id)
        assert run_id in [run.id for run in runs.list_runs(limit=1000)]

    def test_listing_filters_and_pages(self):
        ids = runs.launch([spec(epochs=1, dim=dim) for dim in (3, 5, 7)], name="filtered", user="zoe")
        for run_id in ids:
            over(run_id)
        assert [run.id for run in runs.list_runs(user="zoe")] == ids[::-1]
        assert [run.spec.dim for run in runs.list_runs(user="zoe", text='"dim":5')] == [5]
        assert [run.id for run in runs.list_runs(user="zoe", limit=1, offset=1)] == [ids[1]]
        assert runs.list_runs(user="zoe", states=("failed",)) == []
        assert [run.spec.dim for run in runs.list_runs(user="zoe", where={"dim": [3, 7], "dataset": []})] == [7, 3]


@pytest.mark.usefixtures("home")
class TestCancel:
    def test_a_running_run_stops_before_its_last_step_and_its_worker_lives_on(self):
        [run_id] = runs.launch([spec(epochs=2000, width=20)])
        until(lambda: epochs(run_id))
        pid = worker_of(run_id)
        assert runs.cancel(run_id).cancelling or not runs.get(run_id).active
        assert over(run_id).state == "cancelled"
        until(lambda: not engine.states([run_id]))
        assert len(epochs(run_id)) < 2000
        assert (RunFolder(run_id).count_starts(0), gone(pid)) == (1, False)
        assert runs.cancel(run_id).state == "cancelled"  # twice is once

    def test_a_queued_run_never_starts(self):
        busy = runs.launch([spec(epochs=100, width=20)] * 2)
        [run_id] = runs.launch([spec()])
        assert runs.cancel(run_id).state == "cancelled"
        for other in busy:
            runs.cancel(other)
        assert [over(other).state for other in busy] == ["cancelled"] * 2
        assert epochs(run_id) == []
        assert RunFolder(run_id).count_starts(0) == 0

    def test_a_run_is_cancelled_in_the_moment_it_starts(self):
        for _ in range(5):
            [run_id] = runs.launch([spec(epochs=200)])
            runs.cancel(run_id)
            assert over(run_id).state == "cancelled"

    def test_a_run_that_does_not_listen_loses_its_worker(self):
        ready()
        [run_id] = runs.launch([spec(epochs=1, student="slow to save")])
        until(lambda: epochs(run_id))
        pid = worker_of(run_id)
        assert runs.cancel(run_id).cancelling
        assert over(run_id).state == "cancelled"
        until(lambda: gone(pid))  # by itself it would stay for an hour
        until(lambda: store.fetch(run_id).state == "cancelled")
        ready()

    def test_a_finished_run_stays_done(self):
        [run_id] = runs.launch([spec(epochs=1)])
        over(run_id)
        assert runs.cancel(run_id).state == "done"

    def test_a_cancelled_run_goes_on_where_it_was(self):
        [run_id] = runs.launch([spec(epochs=40, width=50)])
        until(lambda: len(epochs(run_id)) > 6)
        runs.cancel(run_id)
        stopped = len(over(run_id) and epochs(run_id))
        runs.resume(run_id)
        with pytest.raises(ValueError, match="cancel it first"):
            runs.delete(run_id)
        run = over(run_id)
        assert (run.state, run.resumes) == ("done", 1)
        assert stopped < 40
        assert epochs(run_id) == list(range(40))
        with pytest.raises(ValueError, match="done: there is nothing to resume"):
            runs.resume(run_id)


@pytest.mark.usefixtures("home")
class TestKill:
    def test_a_killed_worker_is_replaced_and_its_run_goes_on_from_the_checkpoint(self):
        ready()
        given = spec(epochs=30, width=60)
        [run_id] = runs.launch([given])
        until(lambda: len(epochs(run_id)) > 7)
        os.kill(worker_of(run_id), signal.SIGKILL)
        assert over(run_id).state == "done"
        assert RunFolder(run_id).count_starts(0) == 2
        assert [point.prediction for point in runs.history(run_id)] == [
            [fake_runs.value(given, epoch, member) for member in range(2)] for epoch in range(30)
        ]
        assert [point.epoch for point in store.metric_history(run_id)] == list(range(30))
        passed = [event["epoch"] for event in RunFolder(run_id).events() if event["kind"] == "point"]
        assert passed == sorted(set(passed))  # what was passed twice is written once

    @pytest.mark.skipif(sys.platform != "linux", reason="elsewhere workers are not forked")
    def test_workers_leave_with_the_process_they_were_forked_from_and_others_take_their_place(self):
        ready()
        [run_id] = runs.launch([spec(epochs=60, width=50)])
        until(lambda: len(epochs(run_id)) > 7)
        before = workers()
        psutil.Process(worker_of(run_id)).parent().kill()
        assert over(run_id).state == "done"
        assert RunFolder(run_id).count_starts(0) == 2
        assert epochs(run_id) == list(range(60))
        assert all(gone(each.pid) for each in before)
        ready()

    def test_the_second_death_fails_the_run_and_says_what_to_do(self):
        ready()
        [run_id] = runs.launch([spec(epochs=2000, width=20)])
        for starts in (1, 2):
            until(
                lambda starts=starts: (
                    RunFolder(run_id).count_starts(0) == starts and runs.get(run_id).state == "running"
                )
            )
            os.kill(worker_of(run_id), signal.SIGKILL)
        run = over(run_id)
        assert run.state == "failed"
        assert (
            run.reason
            == "its worker died 2 times, killed from outside or by the system; a resume goes on from the last checkpoint"
        )
        until(lambda: store.fetch(run_id).state == "failed")

    def test_a_killed_engine_fails_its_runs_and_a_resume_ends_them(self):
        ready()
        ids = runs.launch([spec(epochs=60, width=40), spec(epochs=60, width=41), spec(epochs=3)])
        until(lambda: len(epochs(ids[0])) > 6)
        os.kill(engine.status().pid, signal.SIGKILL)
        ended = [over(run_id) for run_id in ids]
        assert [run.state for run in ended] == ["failed"] * 3
        assert ended[0].reason == "the engine stopped while it ran; a resume goes on from the last checkpoint"
        assert ended[2].reason.startswith("it was never begun")
        assert [run.state for run in store.Listing().newest(3)] == ["failed"] * 3
        for run_id in ids:
            runs.resume(run_id)
        assert [over(run_id).state for run_id in ids] == ["done"] * 3
        assert [len(epochs(run_id)) for run_id in ids] == [60, 60, 3]

    def test_launching_processes_killed_at_any_moment_leave_no_run_without_an_end(self):
        ready()
        code = "import sys; from kdlib import runs; from tests.fake_runs import spec; print('go', flush=True); "
        code += "runs.launch([spec(epochs=2)] * 3, request_id=sys.argv[1], user='killed')"
        for attempt in range(4):
            process = subprocess.Popen(
                [sys.executable, "-c", code, f"wish {attempt}"], cwd=ROOT, stdout=subprocess.PIPE
            )
            process.stdout.readline()
            time.sleep(random.uniform(0.2, 2.5))
            process.kill()
            process.communicate()
        until(lambda: not [run for run in runs.list_runs(user="killed") if run.active])
        ids = runs.launch([spec(epochs=2)] * 3, request_id="wish 0", user="killed")  # the same wish again: one run each
        assert len(set(ids)) == 3
        for run_id in ids:
            if over(run_id).state == "failed":
                runs.resume(run_id)
            assert over(run_id).state == "done"
        assert len([run for run in runs.list_runs(user="killed") if run.id in ids]) == 3

    def test_a_run_is_worked_on_by_one_worker_also_when_the_scheduler_thinks_another_one_gone(self):
        ready()
        run_id = store.create(spec(), name="", user="mia", engine=engine.engine_id())
        folder = RunFolder(run_id)
        with folder.work_lock():
            engine.submit(
                engine.execute, {"run": run_id, "spec": spec().to_json(), "function": "tests.fake_runs:run"}, key=run_id
            )
            until(lambda: engine.states([run_id]).get(run_id) == "running")
            time.sleep(0.5)
            assert folder.count_starts(0) == 0
            folder.write_end(0, Outcome("cancelled"))
        assert over(run_id).state == "cancelled"
        assert folder.count_starts(0) == 0

    @pytest.mark.timeout(3600)
    @pytest.mark.parametrize("kills", [20, pytest.param(200, marks=pytest.mark.slow)])
    def test_random_kills_leave_every_run_in_one_right_state(self, kills):
        rng = random.Random(kills)
        ids = []
        for _ in range(kills):
            engine.start()
            if len([run_id for run_id in ids[-6:] if runs.get(run_id).active]) < 3:
                ids += runs.launch([spec(epochs=rng.randint(5, 60), width=rng.randint(5, 40)) for _ in range(2)])
            if rng.random() < 0.5:  # otherwise hardly anyone lives long enough to begin
                until(lambda: (engine.start(), engine.status().workers)[1])
            time.sleep(rng.uniform(0, 1.2))
            victims = workers()
            if rng.random() < 0.15 or not victims:
                victims = [psutil.Process(engine.status().pid)] if engine.status().running else []
            if victims:
                rng.choice(victims).kill()
        ended = [over(run_id) for run_id in ids]
        assert {run.state for run in ended} <= {"done", "failed"}
        assert {run.reason for run in ended if "worker died" not in run.reason and "stopped" not in run.reason} <= {""}
        for run in ended:
            found = epochs(run.id)
            assert found == list(range(len(found)))
            if run.state == "done":
                assert len(found) == run.spec.epochs
                assert runs.result(run.id).metrics["test"]["accuracy"].mean == fake_runs.value(run.spec, 0, 0)
        assert not [run for run in store.Listing().newest(1000) if run.active]
        assert len({run.id for run in ended}) == len(ids)


@pytest.mark.usefixtures("home")
class TestLaunch:
    def test_the_same_wish_from_several_processes_at_once_is_one_run(self):
        ready()
        code = "from kdlib import runs; from tests.fake_runs import spec; "
        code += "print(*runs.launch([spec(), spec(dim=2)], request_id='double click'))"
        command = [sys.executable, "-c", code]
        with ThreadPoolExecutor() as pool:
            told = list(
                pool.map(
                    lambda _: subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout,
                    range(2),
                )
            )
        assert told[0].split() == told[1].split()
        ids = told[0].split()
        assert [over(run_id).state for run_id in ids] == ["done"] * 2
        assert [RunFolder(run_id).count_starts(0) for run_id in ids] == [1, 1]

    def test_a_launch_that_a_busy_machine_holds_up_is_not_taken_for_dead(self):
        ready()
        run_id = store.create(spec(), name="held up", user="me", engine=engine.engine_id())
        store.set_tags(run_id, submitted=time.time() - 60)
        with RunFolder(run_id).launch_lock():
            assert runs.get(run_id).state == "queued"
        run = runs.get(run_id)  # whoever launched it is gone, and no engine has it
        assert (run.state, run.reason.split(":")[0]) == ("failed", "it was never begun")

    def test_runs_outlive_a_process_that_ends_in_the_moment_they_are_launched(self):
        ready()
        busy = runs.launch([spec(epochs=1000, width=20)] * 2)
        code = """if True:  # on a busy machine what is sent goes in pieces, and late
            import os, time, distributed
            from kdlib import engine, runs
            from tests.fake_runs import spec
            engine.control._connected().scheduler_comm.interval = 2
            forget = distributed.fire_and_forget
            distributed.fire_and_forget = lambda future: (time.sleep(0.3), forget(future))
            time.sleep(2)
            print(*runs.launch([spec(epochs=2)]), flush=True)
            os._exit(0)
        """
        told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
        [waiting] = told.stdout.split()
        time.sleep(0.5)
        assert runs.get(waiting).state == "queued"
        for run_id in busy:
            runs.cancel(run_id)
        assert over(waiting).state == "done"

    def test_many_runs_of_one_user_do_not_hold_up_the_first_of_another(self):
        ready()
        many = runs.launch([spec(epochs=2000, width=20)] * 10, user="many")
        until(lambda: sum(RunFolder(run_id).count_starts(0) for run_id in many) == 2)
        [one] = runs.launch([spec()], user="one")
        runs.cancel(many[0])
        assert over(one).state == "done"
        runs.cancel(many[1])
        until(lambda: sum(RunFolder(run_id).count_starts(0) for run_id in many) == 4)
        begun = {
            run_id: [e["t"] for e in RunFolder(run_id).events() if e["kind"] == "start"] for run_id in (one, *many)
        }
        assert all(begun[one] < begun[run_id] for run_id in many[2:] if begun[run_id])
        for run_id in many:
            runs.cancel(run_id)

    def test_two_processes_that_need_an_engine_start_one(self, tmp_path, empty_database):
        with data_folder(tmp_path / "two", empty_database):
            command = [sys.executable, "-c", "from kdlib import engine; print(engine.start())"]
            with ThreadPoolExecutor() as pool:
                told = list(pool.map(lambda _: subprocess.check_output(command, cwd=ROOT, text=True), range(2)))
            assert told[0] == told[1]

    def test_an_engine_is_stopped_while_it_starts(self, tmp_path, empty_database):
        with data_folder(tmp_path / "hasty", empty_database):
            process = engine.control._spawn()
            until(engine.control._held, every=0.001)
            assert engine.stop()
            until(lambda: process.poll() is not None)


@pytest.mark.usefixtures("home")
def test_everything_listens_on_loopback_and_keys_are_private():
    ready()
    process = psutil.Process(engine.status().pid)
    family = [process, *process.children(recursive=True)]
    listening = [
        c.laddr.ip for member in family for c in member.net_connections("inet") if c.status == psutil.CONN_LISTEN
    ]
    assert len(listening) >= 5
    assert set(listening) == {"127.0.0.1"}
    for name in ("tls.pem", "engine.json"):
        assert (engine.process.folder() / name).stat().st_mode & 0o077 == 0


@pytest.mark.usefixtures("home")
def test_who_has_no_key_cannot_talk_to_the_engine():
    ready()
    code = (
        "import sys, distributed\n"
        "try:\n    distributed.Client(sys.argv[1], security=distributed.Security.temporary(), timeout=3)\n"
        "except OSError:\n    print('refused')\n"
    )
    command = [sys.executable, "-c", code, engine.status().address]
    assert subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.strip() == "refused"


def test_no_step_of_a_training_waits_for_the_store(tmp_path, monkeypatch):
    asked, answered = threading.Event(), threading.Event()
    monkeypatch.setenv("KDLIB_HOME", str(tmp_path))
    monkeypatch.setattr(store, "set_state", lambda *_: (asked.set(), answered.wait(HANG)))
    monkeypatch.setattr(worker, "push", lambda *_: answered.wait(HANG))
    folder = RunFolder("0" * 32)
    with worker.Recorder(folder, Job(folder.path.name, spec().to_json())) as recorder:
        try:
            assert asked.wait(HANG)
            assert not any(recorder(Progress(epoch + 1, 100, {"epoch": epoch})) for epoch in range(100))
            assert len(folder.points()) == 100
        finally:
            answered.set()


@pytest.mark.parametrize("steps", [64, pytest.param(480, marks=pytest.mark.slow)])
def test_training_goes_on_while_the_store_is_locked_and_nothing_is_lost(home, steps):
    ready()
    given = spec(epochs=steps + 100, width=50)  # it outlasts the lock
    [run_id] = runs.launch([given])
    until(lambda: len(epochs(run_id)) > 5)
    holder = sqlite3.connect(home / "mlflow.db", isolation_level=None)
    until(lambda: not holder.execute("BEGIN EXCLUSIVE").fetchall() or True)
    before = len(RunFolder(run_id).points())
    until(lambda: len(RunFolder(run_id).points()) >= before + steps)
    assert runs.get(run_id).progress < 1  # what this machine knows, while the store does not answer
    holder.rollback()
    holder.close()
    assert over(run_id).unsynced == 0
    assert [point.epoch for point in store.metric_history(run_id)] == list(range(given.epochs))


def test_a_store_that_stays_away_slows_nothing_and_a_resume_makes_up_for_it(tmp_path, empty_database, tracking_server):
    impatient = {"KDLIB_SYNC_SECONDS": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "1", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    with data_folder(tmp_path / "away", empty_database, MLFLOW_TRACKING_URI=tracking_server.uri, **impatient):
        ready()
        given = spec(epochs=40, width=50)
        [run_id] = runs.launch([given])
        until(lambda: len(epochs(run_id)) > 5)
        with tracking_server.away():
            until(lambda: len(epochs(run_id)) == 40)
            until(lambda: not engine.states([run_id]))
            run = runs.get(run_id)
            assert (run.state, run.progress) == ("done", 1.0)
            assert run.unsynced > 0
            assert run.accuracy() == Summary(fake_runs.value(given, 0, 0), 0.01)
            assert runs.arrays(run_id, "predictions")["logits/test"].shape == (2, 4, 2)
        if runs.get(run_id).unsynced:  # asking for it may have made up for it already
            runs.resume(run_id)
        run = store.fetch(run_id)
        assert (run.state, run.accuracy()) == ("done", Summary(fake_runs.value(given, 0, 0), 0.01))
        assert [point.epoch for point in store.metric_history(run_id)] == list(range(40))
        assert runs.arrays(run_id, "predictions")["logits/test"].shape == (2, 4, 2)


@pytest.fixture
def small_disk(tmp_path, empty_database):
    """A data folder on a disk of 12 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if (
        shutil.which("mount") is None
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(folder)], check=False).returncode
    ):
        pytest.skip("mounting a small disk is not allowed here")
    try:
        with data_folder(folder, empty_database):
            yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_fails_the_run_keeps_earlier_results_and_passes(small_disk):
    [first] = runs.launch([spec(epochs=2)])
    over(first)
    [run_id] = runs.launch([spec(epochs=150, width=20)])
    until(lambda: len(epochs(run_id)) > 2)
    with suppress(OSError), (small_disk / "filler").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    run = over(run_id)
    assert (run.state, run.reason) == ("failed", "disk full: free some space, then resume")
    assert runs.result(first).status == "done"
    (small_disk / "filler").unlink()
    assert runs.resume(run_id).resumes == 1
    assert over(run_id).state == "done"
    assert epochs(run_id) == list(range(150))


def test_an_idle_engine_leaves_and_the_next_run_starts_another(tmp_path, empty_database):
    with data_folder(tmp_path / "idle", empty_database, KDLIB_ENGINE_IDLE="3"):
        engine.start()
        pid = engine.status().pid
        until(lambda: gone(pid))
        assert not engine.status().running
        [run_id] = runs.launch([spec(epochs=1)])
        assert over(run_id).state == "done"


def test_an_engine_that_cannot_start_is_an_error_that_names_its_log(tmp_path, empty_database):
    with (
        data_folder(tmp_path / "broken", empty_database, KDLIB_WORKERS="many"),
        pytest.raises(engine.EngineError, match=r"engine\.log"),
    ):
        engine.start()


def test_another_machines_runs_are_not_declared_dead(tmp_path, empty_database):
    with data_folder(tmp_path / "shared", empty_database):
        run_id = store.create(spec(), name="theirs", user="mia", engine="another one")
        store.set_state(run_id, store.RUNNING)
        store.set_tags(run_id, submitted=time.time() - 100)
        assert runs.get(run_id).state == "running"
        with pytest.raises(ValueError, match="launched to another engine"):
            runs.cancel(run_id)
