"""What is computed after a run before anybody asks: all that the page opens with, in a process that gives way."""

import asyncio
import os
import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from kdlib import spaces, store
from kdlib.analysis import projection
from kdlib.engine import Job, background, local, worker
from kdlib.spaces import SpaceRequest, jobs, preparation
from tests import stored_runs
from tests.coroutines import run_async


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("KDLIB_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def engine_is_there(monkeypatch):
    monkeypatch.setattr(background, "find_engine", lambda: local.LocalEngine("tls://127.0.0.1:1", os.getpid()))


@pytest.fixture
def quick(monkeypatch):
    """Make every projection that takes long one that does not."""
    for name, entry in projection.PROJECTIONS.items():
        if not entry.instant:
            monkeypatch.setitem(projection.PROJECTIONS, name, replace(entry, function=_cut(entry.joint)))


def _cut(joint):
    return (lambda each, _: [space[:, :2] for space in each]) if joint else (lambda space: space[:, :2])


def test_all_that_the_page_opens_with_is_there_after_a_run(engine_is_there, quick, monkeypatch):
    run = stored_runs.store_result(stored_runs.trained()[2], "done")
    background.note_done(run)
    assert preparation.main() == 0
    assert background.noted() == []
    view = spaces.load_spaces(run)
    monkeypatch.setattr(jobs.engine, "submit", lambda *_, **__: pytest.fail("nothing is left to compute"))
    assert isinstance(spaces.request(SpaceRequest(run), view), spaces.Scorecard)
    for name in filter(None, preparation.ANSWERS):
        answer = spaces.request(SpaceRequest(run, projection=name, strength=projection.STRENGTH), view)
        assert isinstance(answer, spaces.SpaceMaps), name


def test_every_run_has_its_first_answer_before_any_has_its_second(engine_is_there, monkeypatch):
    order, runs = [], ("a" * 32, "b" * 32)
    for number, run in enumerate(runs):
        background.note_done(run)
        os.utime(background._notes() / run, (number, number))
    monkeypatch.setattr(preparation, "prepare", lambda run, name: order.append((name, run)))
    preparation.main()
    newest_first = [run for _ in preparation.ANSWERS for run in reversed(runs)]
    assert [run for _, run in order] == newest_first
    assert [name for name, _ in order] == [name for name in preparation.ANSWERS for _ in runs]


def test_a_run_that_is_gone_does_not_keep_others_waiting(engine_is_there):
    background.note_done("c" * 32)
    assert preparation.main() == 0
    assert background.noted() == []


def test_only_real_runs_that_are_done_are_noted(engine_is_there, monkeypatch):
    monkeypatch.setattr(worker, "push", lambda _: None)

    def end(run, state, function=Job.function):
        monkeypatch.setattr(worker.RunFolder, "outcome", lambda *_: worker.Outcome(state))
        worker.execute(Job(run, "{}", function))

    end("d" * 32, store.DONE)
    end("e" * 32, store.FAILED)
    end("f" * 32, store.DONE, "tests.fake_runs:run")
    assert background.noted() == ["d" * 32]


def test_without_an_engine_of_this_data_folder_nothing_is_noted():
    background.note_done("d" * 32)
    assert background.noted() == []


def supervised(code, monkeypatch, until):
    """Run the supervision with a program in place of the preparation until a condition holds."""
    monkeypatch.setattr(background, "CODE", code)
    monkeypatch.setattr(background, "CHECK_SECONDS", 0.02)

    async def watch():
        task = asyncio.ensure_future(background.supervise())
        async with asyncio.timeout(60):
            while not until():
                await asyncio.sleep(0.02)
        task.cancel()
        await asyncio.wait([task])

    run_async(watch())


def test_the_engine_starts_the_process_for_notes_and_ends_it_with_itself(home, engine_is_there, monkeypatch):
    background.note_done("a" * 32)
    pids = home / "pids"
    code = f"import os, signal; open({str(pids)!r}, 'a').write(f'{{os.getpid()}} '); signal.pause()"
    supervised(code, monkeypatch, lambda: pids.exists() and pids.read_text().endswith(" "))
    [pid] = map(int, pids.read_text().split())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert not background._pid_file().exists()


def test_a_process_that_breaks_is_not_started_again_and_again(engine_is_there, monkeypatch):
    background.note_done("a" * 32)
    supervised("raise SystemExit(3)", monkeypatch, lambda: background.noted() == [])


def test_who_waits_for_an_answer_ends_it(engine_is_there, quick):
    run = stored_runs.store_result(stored_runs.trained()[2], "done")
    with subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"]) as process:
        background._pid_file().write_text(str(process.pid))
        jobs.compute({"run": run, "projection": "umap"})
        assert process.wait(60) == -signal.SIGTERM
    background._pid_file().unlink()
    jobs.compute({"run": run, "projection": "tsne"})


def test_what_a_killed_engine_left_behind_ends_nobody(home, monkeypatch):
    # the number in its file is another program's by now, and this engine, if there is one, did not start it
    with subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"]) as process:
        background._pid_file().write_text(str(process.pid))
        for engine in (None, local.LocalEngine("tls://127.0.0.1:1", process.pid)):
            monkeypatch.setattr(background, "find_engine", lambda engine=engine: engine)
            background.interrupt()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        process.kill()


def test_it_has_the_lowest_priority():
    code = (
        "import os; from kdlib.engine import background; background.MODULE = 'tests.idle'; import sys, types;"
        "sys.modules['tests.idle'] = types.SimpleNamespace(main=lambda: 0); background.main();"
        "print(os.nice(0))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).split() == ["19"]
