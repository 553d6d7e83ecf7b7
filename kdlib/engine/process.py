"""The local engine: one detached process with a scheduler and the keepers of its workers, everything on loopback, encrypted.

`python -m kdlib.engine` runs it; `kdlib.engine.start` does that for you. It holds `engine/lock` in the data folder as long as it
lives, so there is one for each data folder, and leaves when it has had nothing to do for a while. Its death ends its workers too.
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
from typing import Any

from filelock import FileLock, Timeout

from kdlib.cache import atomic_path, home, keep_private

IDLE_SECONDS = 900  # seconds without work after which the engine leaves
MEMORY_PER_WORKER = 2e9  # bytes a run may need; fewer workers are started where there is less
MIN_WORKERS, MAX_WORKERS = 3, 8  # baseline, raw and compressed train side by side also where there are fewer cores
MAX_FAILURES = 5  # starts of a worker that fail one after the other, in
PATIENCE_SECONDS = 60  # seconds, until the engine gives up

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
SETTINGS = {
    "distributed.scheduler.worker-saturation": 1.0,  # a worker gets a run when it begins it; the rest wait in one queue, by priority
    "distributed.scheduler.allowed-failures": 1000,  # runs count their own deaths: dask would also blame those that only waited
    "distributed.scheduler.work-stealing": False,
    "distributed.scheduler.active-memory-manager.start": False,
    "distributed.scheduler.worker-ttl": "60 s",
    "distributed.worker.profile.enabled": False,  # it samples every 10 ms, which training would pay for; so it would for
    "distributed.admin.tick.interval": "1 s",  # a look at every event loop 50 times a second, and
    "distributed.admin.system-monitor.interval": "2 s",  # notes of what the processes use, for a dashboard that nobody opens
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": 0.95,
    "distributed.diagnostics.nvml": False,
    "distributed.nanny.pre-spawn-environ": {},  # dask's MALLOC_TRIM_THRESHOLD_ gives memory back after every step: twice the time
}


def engine_folder() -> Path:
    """Return where the engine keeps its address, keys and log."""
    path = home().resolve() / "engine"
    path.mkdir(mode=0o700, exist_ok=True)
    return path


def worker_resources() -> tuple[int, int, int]:
    """Return how many workers there are, how many threads each computes with, and how many bytes each may use.

    `KDLIB_WORKERS`, `KDLIB_WORKER_THREADS` and `KDLIB_WORKER_MEMORY` (bytes) override what is made of the cores and the memory.
    """
    from dask.system import CPU_COUNT
    from distributed.system import MEMORY_LIMIT

    wanted = min(max(CPU_COUNT, MIN_WORKERS), MAX_WORKERS)
    fitting = max(1, min(wanted, int(0.8 * MEMORY_LIMIT / MEMORY_PER_WORKER)))
    workers = int(os.environ.get("KDLIB_WORKERS") or fitting)
    threads = int(os.environ.get("KDLIB_WORKER_THREADS") or max(1, CPU_COUNT // workers))
    return workers, threads, int(os.environ.get("KDLIB_WORKER_MEMORY") or 0.8 * MEMORY_LIMIT / workers)


async def serve() -> None:
    """Run scheduler and workers until there is nothing to do, or a signal says stop."""
    from distributed import Nanny, Scheduler, Security

    security = load_security(_write_keys(Security.temporary()))
    count, threads, memory = worker_resources()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    loopback = {"host": "127.0.0.1", "security": security}
    worker = {
        "nthreads": 1,
        "memory_limit": memory,
        "dashboard_address": "127.0.0.1:0",
        "local_directory": str(engine_folder() / "scratch"),
    }
    worker |= {"env": {"KDLIB_MEMORY_LIMIT": str(memory)}, "preload": ["kdlib.engine.worker"]}
    async with Scheduler(
        protocol="tls", port=0, dashboard_address="127.0.0.1:0", idle_timeout=idle_seconds(), **loopback
    ) as scheduler:
        nannies: dict[int, Nanny] = {}

        async def keep(number: int) -> None:
            """See to it that there is a worker; give up when it cannot be started for a minute."""
            failures, worked = 0, time.monotonic()
            while failures < MAX_FAILURES or time.monotonic() - worked < PATIENCE_SECONDS:
                nannies[number] = nanny = Nanny(scheduler.address, name=f"worker-{number}", **loopback, **worker)
                try:
                    await nanny
                    failures = 0
                    await _wait_until_lost(nanny)
                    worked = time.monotonic()
                except Exception as error:  # it was killed while it started, or cannot start at all
                    failures += 1
                    print(f"worker-{number} did not start ({failures}): {error!r}", file=sys.stderr)
                await asyncio.wait([asyncio.ensure_future(nanny.close(timeout=2))], timeout=5)

        with atomic_path(engine_folder() / "engine.json") as temporary:
            about = {
                "address": scheduler.address,
                "pid": os.getpid(),
                "started": time.time(),
                "workers": count,
                "threads": threads,
            }
            temporary.write_text(json.dumps(about), encoding="utf-8")
        # The first to end ends the engine: a signal, idleness, or a worker that cannot start, for which work would wait for ever.
        ends = [asyncio.ensure_future(end) for end in (stop.wait(), scheduler.finished(), *map(keep, range(count)))]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        (engine_folder() / "engine.json").unlink(missing_ok=True)
        for end in ends:
            end.cancel()
        await asyncio.wait([asyncio.ensure_future(nanny.close(timeout=2)) for nanny in nannies.values()], timeout=3)
        shutil.rmtree(get_temp_dir(), ignore_errors=True)  # where workers were forked through
        os._exit(0)  # a worker that has not yet begun cannot be closed in good order; they all leave with this process


async def _wait_until_lost(nanny: Any) -> None:
    """Return when a nanny has left, as it does with a worker that closes, or has had no worker for some seconds in spite of its efforts."""
    finished, missing = asyncio.ensure_future(nanny.finished()), 0
    while not finished.done() and missing < 5:
        await asyncio.wait([finished], timeout=2)
        missing = 0 if nanny.pid else missing + 1
    finished.cancel()


def idle_seconds() -> float:
    """Return after how many idle seconds the engine leaves: `KDLIB_ENGINE_IDLE`, by default 900."""
    return float(os.environ.get("KDLIB_ENGINE_IDLE") or IDLE_SECONDS)


def _write_keys(security: Any) -> Path:
    """Write the key and certificate that everyone of this engine shows, readable by its owner only."""
    path = engine_folder() / "tls.pem"
    with atomic_path(path) as temporary:  # made with mode 0600
        temporary.write_text(security.tls_scheduler_key + security.tls_scheduler_cert, encoding="ascii")
    return path


def load_security(keys: Path) -> Any:
    """Return what proves that someone may read the data folder of this engine."""
    from distributed import Security

    roles = {f"tls_{role}_{part}": str(keys) for role in ("client", "scheduler", "worker") for part in ("key", "cert")}
    return Security(require_encryption=True, tls_ca_file=str(keys), **roles)


def main() -> int:
    """Run the engine of this data folder, unless there is one."""
    import dask

    keep_private()  # and so do all workers
    lock = FileLock(engine_folder() / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return 0
    (engine_folder() / "engine.json").unlink(missing_ok=True)
    os.environ |= dict.fromkeys(
        THREADS, str(worker_resources()[1])
    )  # libraries read these when a worker begins, before any code of ours
    method = "spawn"
    if sys.platform == "linux":  # elsewhere libraries do not bear a fork
        method = "forkserver"
        multiprocessing.get_context(method).set_forkserver_preload(["kdlib.engine.preload"])
        forkserver.ensure_running()
    with dask.config.set(SETTINGS | {"distributed.worker.multiprocessing-method": method}):
        asyncio.run(serve())
    return 0
