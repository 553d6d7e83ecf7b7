"""A database that is cut off, or none at all: a sentence with the ways out, and a store as it was before."""

import json
import shutil
import sqlite3
import subprocess
import sys
from dataclasses import replace
from datetime import date, timedelta

import pytest

from kdlib import engine, store
from kdlib.cli.main import main
from kdlib.engine import Job, Outcome, RunFolder
from kdlib.engine.worker import save_result
from kdlib.runs.rebuild import rebuild_store
from kdlib.spec import RunSpec
from kdlib.store import StoreDamagedError, StoreError, database
from kdlib.store.reading import reader
from tests import fake_runs


def store_run(state="done", name="mine", **changes):
    """Return the id of a run that ended, stored as a worker stores it."""
    spec = fake_runs.spec(**changes)
    run_id = store.create(
        spec, name=name, user="mia", group="a sweep", request=f"request of {name}", engine=engine.engine_id()
    )
    result = fake_runs.run(spec)
    folder = RunFolder(run_id)
    folder.write(
        "job.json",
        {"name": name, "user": "mia", "created": store.fetch(run_id).created, "job": vars(Job(run_id, spec.to_json()))},
    )
    for point in result.history:
        folder.append("point", **point.to_dict())
    if state == "done":
        save_result(folder, result)
    folder.write_end(0, Outcome(state, "diverged" if state == "failed" else ""))
    engine.push(Job(run_id, spec.to_json()))
    return run_id


@pytest.fixture
def several(fresh_home):
    """The ids of runs of every kind, and what the store says of them: runs, curves and who belongs to the group."""
    ids = [
        store_run(),
        store_run("failed", "<b>zwölf</b>", dim=8),
        store_run("cancelled", "third", dim=4),
        store_run(name="gone", dim=2),
    ]
    store.rename(ids[0], "renamed")
    store.delete(ids[3])
    return ids


def contents(ids):
    rows = [reader().run(run_id) for run_id in ids]
    curves = {run_id: store.metric_history(run_id) for run_id in ids}
    return (
        rows,
        curves,
        [run.id for run in store.group_members("a sweep")],
        [run.name for run in store.Listing().newest(10)],
    )


def cut(path, share):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


DAMAGE = {
    "cut in the middle": lambda path: cut(path, 0.5),
    "cut within the first page": lambda path: cut(path, 0.001),
    "empty": lambda path: cut(path, 0),
    "not a database": lambda path: path.write_bytes(b"no database at all, but a text that is long enough\n" * 200),
    "another database": lambda path: (
        path.unlink(),
        sqlite3.connect(path).execute("CREATE TABLE t (x)").connection.close(),
    ),
}


@pytest.fixture(params=DAMAGE)
def damage(request):
    return DAMAGE[request.param]


def test_a_damaged_store_is_a_sentence_with_the_ways_out_and_no_traceback(several, fresh_home, damage, capsys):
    damage(fresh_home / "mlflow.db")
    for words in (["runs"], ["show", "renamed"], ["rename", several[0], "x"]):
        assert main(words) == 2
        out, err = capsys.readouterr()
        assert (out, len(err.splitlines())) == ("", 1)
        assert "mlflow.db is damaged" in err
        assert "`python -m kdlib store rebuild`" in err
        assert f"`python -m kdlib store restore` takes the copy of {date.today()}" in err


def test_a_damaged_store_does_not_keep_a_process_waiting_for_it(several, fresh_home, damage):
    damage(fresh_home / "mlflow.db")
    calls = []

    def ask():
        calls.append(1)
        return store.create(RunSpec(), name="", user="")

    with pytest.raises(StoreDamagedError):
        store.Retry(60)(ask)
    assert len(calls) == 1


def test_a_rebuilt_store_is_what_it_was(several, fresh_home, damage, capsys):
    before = contents(several)
    damage(fresh_home / "mlflow.db")
    assert main(["store", "rebuild"]) == 0
    assert "runs added from their files: 4, brought up to date: 0" in capsys.readouterr().out
    assert contents(several) == before
    assert len(list(fresh_home.glob("mlflow.db.damaged-*"))) == 1
    store.restore(several[3])
    assert store.fetch(several[3]).name == "gone"
    assert store.fetch(store_run(name="after")).state == "done"


def test_a_copy_is_restored_and_what_came_after_it_is_added(several, fresh_home, damage, capsys):
    copy = fresh_home / "backups" / f"mlflow-{date.today()}.db"
    copy.unlink()
    assert database.back_up(fresh_home / "mlflow.db")
    late = [*several, store_run(name="late")]
    store.rename(several[1], "other")
    store.delete(several[2])
    before = contents(late)
    damage(fresh_home / "mlflow.db")
    assert main(["store", "restore"]) == 0
    assert "runs added from their files: 1, brought up to date: 2" in capsys.readouterr().out
    assert contents(late) == before


def test_runs_from_before_there_were_notes_are_rebuilt_from_result_journal_and_job(several, fresh_home):
    before = [store.fetch(run_id) for run_id in several[:3]]
    for note in fresh_home.glob("artifacts/*/artifacts/run.json"):
        note.unlink()
    (fresh_home / "mlflow.db").write_bytes(b"")
    rebuild_store()
    for old, run_id in zip(before, several, strict=False):
        new = store.fetch(run_id)
        name = "mine" if old.name == "renamed" else old.name  # what the database alone knew
        metrics = {key: value for key, value in old.metrics.items() if key != "progress"}
        assert replace(new, ended=None, engine="") == replace(
            old, ended=None, engine="", name=name, metrics=metrics, created=new.created, submitted=new.submitted,
            progress=new.progress,
        )  # fmt: skip
        assert new.created == pytest.approx(old.created, abs=0.01)
    shutil.rmtree(fresh_home / "runs")  # and without a journal
    for note in fresh_home.glob("artifacts/*/artifacts/run.json"):
        note.unlink()
    (fresh_home / "mlflow.db").write_bytes(b"")
    rebuild_store()
    assert (store.fetch(several[0]).name, store.fetch(several[0]).state) == (
        "view matching (simclr) → trained, two layers (mlp), 16",
        "done",
    )
    assert len(store.metric_history(several[0])) == 5


def test_a_store_that_is_whole_stays_and_gets_what_it_lacks(several, fresh_home):
    before = contents(several)
    with sqlite3.connect(fresh_home / "mlflow.db") as connection:
        connection.execute("DELETE FROM runs WHERE run_uuid = ?", (several[0],))
    connection.close()
    done = rebuild_store()
    assert (done.added, done.updated, done.aside) == (1, 0, None)
    assert contents(several) == before


def test_a_process_that_had_the_damaged_store_open_writes_into_the_new_one(several, fresh_home):
    (fresh_home / "mlflow.db").write_bytes(b"")
    code = "from kdlib.runs.rebuild import rebuild_store; rebuild_store()"
    subprocess.run([sys.executable, "-c", code], check=True)
    store.rename(several[0], "again")
    assert store.fetch(several[0]).name == "again"


def test_three_daily_copies_are_kept_and_a_damaged_store_takes_no_place_among_them(several, fresh_home):
    path, today = fresh_home / "mlflow.db", date.today()
    for days in range(1, 5):
        shutil.copyfile(path, fresh_home / "backups" / f"mlflow-{today - timedelta(days)}.db")
    (fresh_home / "backups" / f"mlflow-{today}.db").unlink()
    assert database.back_up(path)
    names = [f"mlflow-{today - timedelta(days)}.db" for days in range(3)]
    assert [copy.name for copy in database.copies(path)] == names
    database.check(database.copies(path)[0], thoroughly=True)
    (fresh_home / "backups" / names[0]).unlink()
    cut(path, 0.5)
    assert database.back_up(path)
    assert [copy.name for copy in database.copies(path)] == names[1:]


def test_without_a_copy_a_restore_leaves_the_damaged_file_where_it_is(fresh_home):
    (fresh_home / "mlflow.db").write_bytes(b"")
    with pytest.raises(StoreError, match="no copy of the run store"):
        rebuild_store(from_copy=True)
    assert (fresh_home / "mlflow.db").exists()


def test_the_store_of_a_server_is_not_ours_to_rebuild(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(StoreError, match="is a server"):
        rebuild_store()


def test_a_note_says_what_the_database_alone_would_know(several, fresh_home):
    note = json.loads((fresh_home / "artifacts" / several[1] / "artifacts" / "run.json").read_text())
    assert (note["name"], note["user"], note["status"]) == ("<b>zwölf</b>", "mia", "FAILED")
    assert note["tags"]["kdlib.reason"] == "diverged"
    assert note["tags"]["kdlib.in.a sweep"] == "1"
    assert note["ended"] >= note["started"]
