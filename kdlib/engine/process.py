"""The local engine: a detached process with a scheduler and nannies of its workers, all on loopback, encrypted.

`python -m kdlib.engine` runs it; `kdlib.engine.start` does that for you. It holds `engine/lock` in the data folder as
long as it lives, so there is one per data folder, and leaves when it has had nothing to do for a while. Its death ends
its workers too.
"""

import asyncio
import json
import multiprocessing
import os
import shutil
import signal
import sys
import time
from multiprocessing import forkserver
from multiprocessing.util import get_temp_dir
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from kdlib.cache import atomic_path, home, keep_private

if TYPE_CHECKING:
    from distributed import Nanny, Security

IDLE_SECONDS = 900  # seconds without work after which the engine leaves
MEMORY_PER_WORKER = 2e9  # bytes a run may need; fewer workers are started where there is less
MIN_WORKERS, MAX_WORKERS = 3, 8  # baseline, raw and compressed train side by side also where there are fewer cores
LOCK_SECONDS = 0.5  # how long a new engine tries to get the lock, which `is_locked` takes for a moment
# Failed starts of a worker in a row, and seconds, after which the engine gives up.
MAX_FAILURES, PATIENCE_SECONDS = 5, 60

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
SETTINGS = {
    # A worker gets a run when it begins it; the rest wait in one queue, by priority.
    "distributed.scheduler.worker-saturation": 1.0,
    # Runs count their own deaths: dask would also blame those that only waited.
    "distributed.scheduler.allowed-failures": 1000,
    "distributed.scheduler.work-stealing": False,
    "distributed.scheduler.active-memory-manager.start": False,
    "distributed.scheduler.worker-ttl": "60 s",
    # Samples every 10 ms, checks of every event loop 50 times a second and notes of what the processes use, for a
    # dashboard that nobody opens, cost training time.
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "1 s",
    "distributed.admin.system-monitor.interval": "2 s",
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": 0.95,
    "distributed.diagnostics.nvml": False,
    # dask's MALLOC_TRIM_THRESHOLD_ gives memory back after every step: twice the time.
    "distributed.nanny.pre-spawn-environ": {},
}


def engine_folder() -> Path:
    """Return where the engine keeps its address, keys and log."""
    path = home().resolve() / "engine"
    path.mkdir(mode=0o700, exist_ok=True)
    return path


def worker_resources() -> tuple[int, int, int]:
    """Return how many workers there are, how many threads each computes with, and how many bytes each may use.

    `KDLIB_WORKERS`, `KDLIB_WORKER_THREADS` and `KDLIB_WORKER_MEMORY` (bytes) override what follows from cores and
    memory.
    """
    from dask.system import CPU_COUNT
    from distributed.system import MEMORY_LIMIT

    by_cores = min(max(CPU_COUNT, MIN_WORKERS), MAX_WORKERS)
    by_memory = int(0.8 * MEMORY_LIMIT / MEMORY_PER_WORKER)
    workers = int(os.environ.get("KDLIB_WORKERS") or max(1, min(by_cores, by_memory)))
    threads = int(os.environ.get("KDLIB_WORKER_THREADS") or max(1, CPU_COUNT // workers))
    return workers, threads, int(os.environ.get("KDLIB_WORKER_MEMORY") or 0.8 * MEMORY_LIMIT / workers)


async def serve() -> None:
    """Run scheduler and workers until there is nothing to do, or a signal says stop."""
    from distributed import Nanny, Scheduler, Security

    from kdlib.engine import background  # it looks for this process

    security = load_security(_write_keys(Security.temporary()))
    count, threads, memory = worker_resources()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    loopback = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0", "security": security}
    async with Scheduler(protocol="tls", port=0, idle_timeout=idle_seconds(), **loopback) as scheduler:
        _write_address(scheduler.address, count, threads)
        spare_time = asyncio.ensure_future(background.supervise())
        nannies: dict[int, Nanny] = {}
        options = loopback | worker_options(memory)
        workers = (_supervise_worker(number, scheduler.address, options, nannies) for number in range(count))
        # The first to end ends the engine: a signal, idleness, or a worker that cannot start, for which work would
        # wait for ever.
        ends = [asyncio.ensure_future(end) for end in (stop.wait(), scheduler.finished(), *workers)]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        (engine_folder() / "engine.json").unlink(missing_ok=True)
        for end in [*ends, spare_time]:
            end.cancel()
        await asyncio.wait([asyncio.ensure_future(nanny.close(timeout=2)) for nanny in nannies.values()], timeout=3)
        shutil.rmtree(get_temp_dir(), ignore_errors=True)  # where workers were forked through
        os._exit(0)  # a worker that has not yet begun cannot be closed in good order; they all leave with this process


def worker_options(memory: int) -> dict[str, Any]:
    """Return what every `Nanny` is made with, for workers of so many bytes."""
    return {
        "nthreads": 1,
        "memory_limit": memory,
        "local_directory": str(engine_folder() / "scratch"),
        "env": {"KDLIB_MEMORY_LIMIT": str(memory)},
        "preload": ["kdlib.engine.worker"],
    }


async def _supervise_worker(number: int, scheduler: str, options: dict[str, Any], nannies: "dict[int, Nanny]") -> None:
    """See to it that there is a worker; return when it cannot be started for a minute.

    Args:
        number: names the worker.
        scheduler: its address.
        options: what each `Nanny` is made with.
        nannies: where the present one is noted, so that it can be closed.
    """
    from distributed import Nanny

    failures, worked = 0, time.monotonic()
    while failures < MAX_FAILURES or time.monotonic() - worked < PATIENCE_SECONDS:
        nannies[number] = nanny = Nanny(scheduler, name=f"worker-{number}", **options)
        try:
            await nanny
            failures = 0
            await _wait_until_lost(nanny)
            worked = time.monotonic()
        except Exception as error:  # it was killed while it started, or cannot start at all
            failures += 1
            print(f"worker-{number} did not start ({failures}): {error!r}", file=sys.stderr)
        await asyncio.wait([asyncio.ensure_future(nanny.close(timeout=2))], timeout=5)


def _write_address(address: str, workers: int, threads: int) -> None:
    content = {"address": address, "pid": os.getpid(), "started": time.time(), "workers": workers, "threads": threads}
    with atomic_path(engine_folder() / "engine.json") as temporary:
        temporary.write_text(json.dumps(content), encoding="utf-8")


async def _wait_until_lost(nanny: "Nanny") -> None:
    """Return when a nanny has left, as it does with a worker that closes, or has had no worker for some seconds."""
    finished, missing = asyncio.ensure_future(nanny.finished()), 0
    while not finished.done() and missing < 5:
        await asyncio.wait([finished], timeout=2)
        missing = 0 if nanny.pid else missing + 1
    finished.cancel()


def idle_seconds() -> float:
    """Return after how many idle seconds the engine leaves: `KDLIB_ENGINE_IDLE`, by default 900."""
    return float(os.environ.get("KDLIB_ENGINE_IDLE") or IDLE_SECONDS)


def _write_keys(security: "Security") -> Path:
    """Write the key and certificate that every process of this engine shows, readable by their owner only."""
    path = engine_folder() / "tls.pem"
    with atomic_path(path) as temporary:  # made with mode 0600
        temporary.write_text(security.tls_scheduler_key + security.tls_scheduler_cert, encoding="ascii")
    return path


def load_security(keys: Path) -> "Security":
    """Return keys and certificates for client, scheduler and worker: who has them may read this data folder."""
    from distributed import Security

    roles = {f"tls_{role}_{part}": str(keys) for role in ("client", "scheduler", "worker") for part in ("key", "cert")}
    return Security(require_encryption=True, tls_ca_file=str(keys), **roles)


def main() -> int:
    """Run the engine of this data folder, unless there is one."""
    from dask.config import set as configure_dask

    keep_private()  # and so do all workers
    lock = FileLock(engine_folder() / "lock")
    try:
        lock.acquire(timeout=LOCK_SECONDS)
    except Timeout:
        return 0
    (engine_folder() / "engine.json").unlink(missing_ok=True)
    # Libraries read these when a worker begins, before any code of ours.
    os.environ |= dict.fromkeys(THREADS, str(worker_resources()[1]))
    method = "spawn"
    if sys.platform == "linux":  # elsewhere libraries do not survive a fork
        method = "forkserver"
        multiprocessing.get_context(method).set_forkserver_preload(["kdlib.engine.preload"])
        forkserver.ensure_running()
    with configure_dask(SETTINGS | {"distributed.worker.multiprocessing-method": method}):
        asyncio.run(serve())
    return 0
