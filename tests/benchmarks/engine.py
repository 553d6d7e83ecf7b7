"""What the engine and the store cost: `python -m tests.benchmarks.engine [--runs 1000]`.

Everything happens in a data folder of its own, which is gone afterwards; the caches of datasets and embeddings are the
user's. Nothing here is a test: times depend on the machine and on what else it does, so they are printed beside what we
promise.
"""

import argparse
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing, suppress
from itertools import pairwise
from pathlib import Path
from uuid import uuid4

import psutil
from rich.console import Console
from rich.table import Table

from kdlib import engine, runs, store
from kdlib.cache import home
from kdlib.runs import sweeps
from kdlib.spec import RunSpec
from tests import fake_runs

ROOT = Path(__file__).resolve().parents[2]
SPEC = RunSpec()
SMALL = SPEC.replace(seeds=2)
DIRECT = """
import sys, time, torch
from kdlib.pipeline import compare
from kdlib.spec import RunSpec
torch.set_num_threads(1)
spec = RunSpec.from_json(sys.argv[1])
compare([spec.replace(epochs=1, seeds=2)], device="cpu")  # what a warm worker has behind it
began = time.perf_counter()
compare([spec], device="cpu")
print(time.perf_counter() - began)
"""


def timed(call: Callable[[], object]) -> float:
    """Return how many seconds a call takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def until(condition: Callable[[], object], every: float = 0.005) -> None:
    """Wait until a condition holds, looking so often (seconds)."""
    while not condition():
        time.sleep(every)


def finished(ids: list[str]) -> None:
    """Wait until runs are over; complain when one is not done."""
    until(lambda: not engine.states(ids), 0.1)  # looking at each run would cost time that the workers need
    for run_id in ids:
        if (run := runs.get(run_id)).state != store.DONE:
            raise SystemExit(f"run {run.name} is {run.state}: {run.reason}")


def ready(workers: int) -> None:
    """Start an engine with so many workers of one thread each and wait for all of them."""
    engine.stop()
    os.environ |= {"KDLIB_WORKERS": str(workers), "KDLIB_WORKER_THREADS": "1"}
    engine.start()
    until(lambda: engine.status().workers == workers)


def start_up(table: Table) -> None:
    """Measure a cold start, and the time from launch to the first point when everything is warm."""
    engine.stop()
    table.add_row(
        "engine cold start: the scheduler answers", f"{timed(lambda: (engine.start(), engine.status())):.2f} s", ""
    )
    table.add_row(
        "  ... and a worker with torch is there", f"+{timed(lambda: until(lambda: engine.status().workers)):.2f} s", ""
    )
    ready(2)
    finished(runs.launch([SMALL.replace(epochs=1)] * 2, device="cpu"))
    returned, first = [], []
    for number in range(5):
        began = time.perf_counter()
        [run_id] = runs.launch([SPEC.replace(lr=0.01 + number / 1000)], device="cpu")
        returned.append(time.perf_counter() - began)
        until(lambda run_id=run_id: runs.get(run_id).progress > 0)
        first.append(time.perf_counter() - began)
        runs.cancel(run_id)
        until(lambda run_id=run_id: not engine.states([run_id]))
    table.add_row("launch returns, warm (median of 5)", f"{statistics.median(returned):.2f} s", "")
    table.add_row("launch -> first progress seen, warm (median of 5)", f"{statistics.median(first):.2f} s", "<= 1 s")


def launch_fake(**changes: object) -> str:
    """Return a run that only counts, when it has begun."""
    [run_id] = runs.launch([fake_runs.spec(**{"epochs": 2000, "width": 20} | changes)])
    until(lambda: runs.history(run_id))
    return run_id


def worker_of(run_id: str) -> psutil.Process:
    """Return the process of the worker that began with a run last."""
    starts = [event for event in engine.RunFolder(run_id).events() if event["kind"] == "start"]
    return psutil.Process(starts[-1]["pid"])


def seconds_to_end(run_id: str) -> float:
    """Return after how many seconds a run is seen to be over."""
    return timed(lambda: until(lambda: not runs.get(run_id).active))


def promises(table: Table) -> None:
    """Measure how soon a cancel, a death and a locked store are noticed."""
    cancel_real_runs(table)
    os.environ["KDLIB_FUNCTION"] = "tests.fake_runs:run"
    ready(2)
    cancel_fake_runs(table)
    kill_workers(table)
    lock_store(table)
    run_id = launch_fake()
    psutil.Process(engine.status().pid).kill()
    table.add_row("the engine's death -> its run seen as failed", f"{seconds_to_end(run_id):.2f} s", "<= 5 s")
    del os.environ["KDLIB_FUNCTION"]


def cancel_real_runs(table: Table) -> None:
    """Measure cancels of default runs: of one alone, of one of three that train, and of all three at once."""
    ready(3)
    finished(runs.launch([SPEC.replace(epochs=1)] * 3, device="cpu"))
    methods = ("mlp", "raw", "baseline")
    for text, count, cancelled in (("", 1, 1), (", one of three", 3, 1), (", three at once", 3, 3)):
        took, alive = [], True
        for number in range(3):
            specs = [SPEC.replace(method=method, epochs=3000 + number) for method in methods[:count]]
            ids = runs.launch(specs, device="cpu")
            until(lambda ids=ids: all(runs.get(run_id).progress > 0 for run_id in ids), 0.1)
            time.sleep(1)
            took.append(_cancel(ids[:cancelled]))
            for run_id in ids[cancelled:]:
                runs.cancel(run_id)
            until(lambda ids=ids: not engine.states(ids), 0.1)
            alive = alive and all(engine.RunFolder(run_id).count_starts(0) == 1 for run_id in ids)
        workers = "workers alive" if alive else "A WORKER DIED"
        table.add_row(f"cancel of a default run{text} (worst of 3)", f"{max(took):.2f} s, {workers}", "<= 2 s")


def _cancel(ids: list[str]) -> float:
    """Return how many seconds after the first click all of these runs are seen as cancelled."""
    began = time.perf_counter()
    for run_id in ids:
        runs.cancel(run_id)
    for run_id in ids:
        until(lambda run_id=run_id: not runs.get(run_id).active, 0.05)
    return time.perf_counter() - began


def cancel_fake_runs(table: Table) -> None:
    """Measure cancels of a run that listens and of one that does not."""
    run_id = launch_fake()
    table.add_row("cancel of a run that only counts", f"{_cancel([run_id]):.2f} s", "<= 2 s")
    deaf = launch_fake(epochs=1, student="slow to save")
    worker = worker_of(deaf)
    took = timed(lambda: (runs.cancel(deaf), worker.wait()))
    table.add_row("  ... of one that does not stop -> its worker is gone", f"{took:.2f} s", "<= 10 s")


def kill_workers(table: Table) -> None:
    """Measure how soon the second death of a run's worker is noticed."""
    until(lambda: engine.status().workers == 2)
    run_id = launch_fake()
    worker_of(run_id).kill()
    until(lambda: engine.RunFolder(run_id).count_starts(0) == 2)
    worker_of(run_id).kill()
    table.add_row("a worker's second death -> its run seen as failed", f"{seconds_to_end(run_id):.2f} s", "<= 5 s")


def lock_store(table: Table) -> None:
    """Measure how a locked store is reported, and what it does to a training."""
    run_id = launch_fake(width=50)
    began = time.time()
    with closing(sqlite3.connect(home() / "mlflow.db", isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        refused = timed(lambda: _refused(lambda: store.with_timeout(0.3, lambda: store.fetch(run_id))))
        time.sleep(4)
    times = [point.t for point in engine.RunFolder(run_id).points() if point.t and point.t > began]
    longest = max(b - a for a, b in pairwise([began, *times, time.time()]))
    table.add_row("locked store: 0.3 s of patience -> said to be busy", f"{refused:.2f} s", "<= 2 s")
    table.add_row("  ... longest step of a training meanwhile, of 0.05 s", f"{longest:.2f} s", "<= 1.5 s")


def _refused(call: Callable[[], object]) -> None:
    with suppress(store.StoreUnavailableError):
        call()
        raise SystemExit("a locked store was read")


def overhead(table: Table, repeats: int) -> None:
    """Measure a background run against the same run called directly, both on one thread, taking turns."""
    ready(1)
    finished(runs.launch([SPEC.replace(epochs=1, seeds=2)], device="cpu"))
    direct, background = [], []
    for _ in range(repeats):
        command = [sys.executable, "-c", DIRECT, SPEC.to_json()]
        output = subprocess.check_output(command, cwd=ROOT, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
        direct.append(float(output.split()[-1]))
        background.append(timed(lambda: finished(runs.launch([SPEC], device="cpu"))))
    ratio = min(background) / min(direct)
    table.add_row(f"default run, called directly (best of {repeats})", f"{min(direct):.2f} s", "")
    table.add_row("  ... in the background, launch to result", f"{min(background):.2f} s, {ratio - 1:+.1%}", "<= +10 %")


def two_workers(table: Table) -> None:
    """Measure a sweep on one worker and on two."""
    took, values = {}, {}
    for count in (1, 2):
        ready(count)
        finished(runs.launch([SMALL.replace(epochs=1, labels=100 + worker) for worker in range(count)], device="cpu"))
        grid = sweeps.expand(SMALL.replace(epochs=30), {"method": ["linear", "mlp"], "dim": [2, 4, 8, 16]})
        ids: list[str] = []
        took[count] = timed(lambda ids=ids, grid=grid: (ids.extend(runs.launch(grid, device="cpu")), finished(ids)))
        values[count] = [runs.result(run_id).metrics for run_id in ids]
    same = "the same results" if values[1] == values[2] else "DIFFERENT RESULTS"
    table.add_row(
        "sweep of 8 runs, one worker / two",
        f"{took[1]:.1f} / {took[2]:.1f} s, {took[1] / took[2]:.2f}x, {same}",
        ">= 1.7x",
    )


def fill(count: int) -> None:
    """Copy the newest finished run in the database until there are so many, which takes less time than training."""
    with sqlite3.connect(home() / "mlflow.db") as database:
        [(run_id, created)] = database.execute(
            "SELECT run_uuid, start_time FROM runs WHERE status = 'FINISHED' ORDER BY end_time DESC LIMIT 1"
        )
        [(existing,)] = database.execute("SELECT count(*) FROM runs")
        for number in range(count - existing):
            parameters = (uuid4().hex, created - 10_000 * number, run_id)
            for name in ("runs", "params", "tags", "metrics", "latest_metrics"):
                columns = [row[1] for row in database.execute(f"PRAGMA table_info({name})")]
                changed = {"run_uuid": "?1", "start_time": "?2", "end_time": "?2 + 1000"}
                chosen = ", ".join(changed.get(column, column) for column in columns)
                database.execute(
                    f"INSERT INTO {name} ({', '.join(columns)}) SELECT {chosen} FROM {name} WHERE run_uuid = ?3",
                    parameters,
                )


def listing(table: Table, count: int) -> None:
    """Measure listings of a full store, with runs at work."""
    fill(count)
    busy = runs.launch([SPEC.replace(epochs=10_000)] * 2, device="cpu")
    until(lambda: all(runs.get(run_id).progress > 0 for run_id in busy))

    def fresh(limit: int) -> float:
        return timed(lambda: store.Listing().newest(limit))

    table.add_row(
        f"listing, {count} runs: first page of 50, nothing in memory", f"{1000 * fresh(50):.0f} ms", "<= 300 ms"
    )
    table.add_row("  ... all of them, nothing in memory", f"{1000 * fresh(count):.0f} ms", "")
    runs.list_runs(limit=count)
    took = []
    for _ in range(30):
        time.sleep(0.31)  # past the moment for which an answer is kept
        took.append(1000 * timed(lambda: runs.list_runs(limit=count)))
    took.sort()
    table.add_row(
        "  ... all of them, again, two of them at work (median, p95)", f"{took[15]:.0f}, {took[28]:.0f} ms", "<= 300 ms"
    )
    for run_id in busy:
        runs.cancel(run_id)
    for run_id in busy:
        until(lambda run_id=run_id: not runs.get(run_id).active)


def main() -> None:
    """Print all of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000, help="runs in the store for the listing")
    parser.add_argument("--repeats", type=int, default=3, help="of the default run, for the overhead")
    parser.add_argument(
        "--only", nargs="*", choices=["start", "promises", "overhead", "sweep", "listing"], help="not all of it"
    )
    arguments = parser.parse_args()
    cache = home().resolve() / "cache"
    cache.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="kdlib-benchmark-"))
    (folder / "cache").symlink_to(cache)
    os.environ["KDLIB_HOME"] = str(folder)
    for name in ("MLFLOW_TRACKING_URI", "KDLIB_SCHEDULER", "KDLIB_FUNCTION"):
        os.environ.pop(name, None)
    parts = {
        "start": start_up,
        "promises": promises,
        "overhead": lambda table: overhead(table, arguments.repeats),
        "sweep": two_workers,
    }
    parts["listing"] = lambda table: listing(table, arguments.runs)
    table = Table(
        "what",
        "measured",
        "promised",
        title=f"Engine and store on {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
    )
    try:
        table.add_row("store: made and opened for the first time", f"{timed(store.connect):.2f} s", "")
        runs.launch([SMALL.replace(epochs=1)], device="cpu")
        for name in arguments.only or parts:
            parts[name](table)
    finally:
        Console().print(table)
        with suppress(ValueError):
            engine.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
