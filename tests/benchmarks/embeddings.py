"""What the Embeddings page costs: `python -m tests.benchmarks.embeddings [rows]`.

Printed: seconds of a PCA map of 10,000 x 512 and of the neighbour tables of 10,000 rows in three spaces; then, with
that many rows in the test set (50,000), seconds of the page's first drawing, of a rerun and of a rerun with a row
selected, and the memory of
the process.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import psutil
from streamlit.runtime.pages_manager import PagesManager
from streamlit.testing.v1 import AppTest

APP = Path(__file__).parent.parent.parent / "app.py"
RERUNS = 10


def timed(call: Callable[[], object]) -> float:
    """Return how many seconds a call takes, the best of three."""
    took = []
    for _ in range(3):
        started = time.perf_counter()
        call()
        took.append(time.perf_counter() - started)
    return min(took)


def invent(rows: int) -> None:
    """Make a dataset of so many test rows known to this process."""
    from kdlib.data import datasets
    from kdlib.data.dataset import Attribute, Dataset, consecutive_splits

    def many() -> Dataset:
        "Invented pictures."
        rng = np.random.default_rng(0)
        sizes = {"train": 1000, "val": 500, "test": rows}
        total = sum(sizes.values())
        labels = rng.integers(0, 10, total)
        inputs = (rng.normal(size=(total, 1, 16, 16)) + labels[:, None, None, None]).astype(np.float32)
        return Dataset(
            "many", inputs, labels, tuple("0123456789"), consecutive_splits(sizes),
            {"shade": Attribute(rng.integers(0, 5, total), tuple("abcde"))}, np.array([f"item {i}" for i in
            range(total)]),
        )  # fmt: skip

    datasets.DATASETS["many"] = many


def fill(home: str, rows: int, output: str) -> None:
    """Keep a finished run with so many rows, and what the engine would have found out about it."""
    os.environ["KDLIB_HOME"] = home
    invent(rows)
    from dataclasses import asdict

    from kdlib import spaces
    from kdlib.analysis.intervals import summarize
    from kdlib.models import embedding
    from kdlib.results import RunResult
    from kdlib.spec import RunSpec
    from kdlib.summary import SplitMetrics
    from tests.stored_runs import store_result

    spec = RunSpec(dataset="many", teacher="random", labels=600, seeds=5)
    rng = np.random.default_rng(1)
    embedding.embed("random", "many")
    widths = {"features": 64, "compressed": 16, "logits": 10}
    arrays = {f"{kind}/test": rng.normal(size=(5, rows, width)).astype(np.float32) for kind, width in widths.items()}
    accuracy = SplitMetrics({"accuracy": summarize([0.5, 0.6, 0.5, 0.6, 0.5])})
    run = store_result(RunResult(spec, metrics={"val": accuracy, "test": accuracy}, arrays=arrays), "many rows")
    started = time.perf_counter()
    spaces.compute(asdict(spaces.SpaceRequest(run)))
    Path(output).write_text(f"{run} {time.perf_counter() - started}")


def page(home: str, rows: int) -> None:
    """Print what the page costs."""
    output = Path(home) / "run"
    child = get_context("spawn").Process(target=fill, args=(home, rows, str(output)))
    child.start()
    child.join()
    run, scorecard = output.read_text().split()
    os.environ["KDLIB_HOME"] = home
    invent(rows)
    original = PagesManager.__init__

    def init(self: PagesManager, *args: object, **kwargs: object) -> None:
        PagesManager.uses_pages_directory = False  # as pages/server.py does; AppTest forgets it on each run
        original(self, *args, **kwargs)

    PagesManager.__init__ = init
    app = AppTest.from_file(str(APP), default_timeout=120).run()
    app.switch_page("pages/embeddings.py")
    app.query_params.update({"runs": run, "row": "1500"})
    started = time.perf_counter()
    app.run()
    first = time.perf_counter() - started
    took = []
    for number in range(RERUNS):
        app.selectbox(key="colour").select("prediction" if number % 2 else "class")
        started = time.perf_counter()
        app.run()
        took.append(time.perf_counter() - started)
    assert not app.exception
    assert not app.error, app.error
    assert any("Its 10 nearest" in heading.value for heading in app.subheader), "no row is selected"
    print(f"{rows:,} rows: scorecard in the background {float(scorecard):.1f} s")
    print(f"page: first {first:.2f} s, rerun median {np.median(took):.2f} s, worst {max(took):.2f} s")
    print(
        f"memory of the app's process {psutil.Process().memory_info().rss / 1e6:.0f} MB; "
        f"umap loaded: {'umap' in sys.modules}"
    )


def main(rows: int) -> None:
    """Print the figures."""
    from kdlib.analysis.neighbours import find_neighbours
    from kdlib.analysis.projection import project

    rng = np.random.default_rng(0)
    wide = rng.normal(size=(10_000, 512)).astype(np.float32)
    print(f"PCA map of 10,000 x 512: {timed(lambda: project('pca', [wide])):.3f} s")
    three = [wide[:, :256], wide[:, :16], wide[:, :64]]
    seconds = timed(lambda: [find_neighbours(space, 10) for space in three])
    print(f"neighbour tables of 10,000 rows in three spaces: {seconds:.2f} s")
    with tempfile.TemporaryDirectory() as home:
        page(home, rows)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50_000)
