"""How long a page takes to rerun with many runs in the store: `python -m tests.benchmarks.pages [runs]`.

The whole script of a page, as a click makes it run, without a browser; the caches of datasets and embeddings are the
user's.
Printed: median and 95th percentile in milliseconds.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from streamlit.runtime.pages_manager import PagesManager
from streamlit.testing.v1 import AppTest

from kdlib import engine
from kdlib.cache import home

RERUNS = 40
APP = Path(__file__).parent.parent.parent / "app.py"


def fill(count: int) -> list[str]:
    """Return the ids of three finished runs with results in a store that holds `count` more."""
    from kdlib import store
    from kdlib.store import listing
    from tests import stored_runs

    listing.CLOCK_MARGIN = 0  # a listing reads again what ended within the last minute, which here is everything
    run_ids = stored_runs.store_all()
    for number in range(count):
        run_id = store.create(stored_runs.SPEC.replace(dim=1 + number % 64), name=f"run {number}", user="benchmark")
        store.log_result(
            run_id, {"val/accuracy": 0.5, "test/accuracy": 0.5, "test/accuracy_ci95": 0.02, "cost/seconds": 1.0}
        )
        store.set_state(run_id, store.DONE)
    return run_ids


def measure(page: str, run_ids: list[str]) -> np.ndarray:
    """Return the seconds of each rerun of a page."""
    app = AppTest.from_file(str(APP), default_timeout=120).run()
    if page != "start":
        app.switch_page(f"pages/{page}.py")
    app.query_params["runs"] = ",".join(run_ids)
    app.run()
    took = []
    for _ in range(RERUNS):
        started = time.perf_counter()
        app.run()
        took.append(time.perf_counter() - started)
    assert not app.exception
    return np.array(took)


def reports() -> None:
    """Have what the teachers know found out before, as it is for everyone but the first visitor."""
    from kdlib.analysis import teacher_report
    from kdlib.models import teachers
    from kdlib.spaces import teacher_jobs
    from kdlib.spec import RunSpec

    for teacher in teachers.compatible_teachers(RunSpec.dataset):
        if not teacher_report.cached(teacher, RunSpec.dataset):
            teacher_jobs.compute(teacher, RunSpec.dataset)


def main(count: int) -> None:
    """Print the table."""
    original = PagesManager.__init__

    def init(self: PagesManager, *args: object, **kwargs: object) -> None:
        PagesManager.uses_pages_directory = False  # as pages/server.py does; AppTest forgets it on each run
        original(self, *args, **kwargs)

    PagesManager.__init__ = init
    cache = home().resolve() / "cache"
    cache.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "cache").symlink_to(cache)
        os.environ["KDLIB_HOME"] = folder
        run_ids = fill(count)
        reports()
        print(f"{count} runs in the store, {RERUNS} reruns a page, milliseconds")
        print(f"{'page':<15}{'median':>10}{'p95':>10}")
        try:
            for page in ("start", "data_teachers", "distill", "embeddings", "compare", "runs"):
                took = 1000 * measure(page, run_ids)
                print(f"{page:<15}{np.median(took):>10.0f}{np.percentile(took, 95):>10.0f}")
        finally:
            engine.stop()  # a page may have asked it something


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
