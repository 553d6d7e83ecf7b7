"""A data folder with finished runs, and the addresses that show every page of the app at work on them.

`python -m tests.sample_home small` (or `full`) puts the runs into `KDLIB_HOME` without an engine, and prints their ids.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from playwright.sync_api import Page

from kdlib.spec import RunSpec

ROOT = Path(__file__).parent.parent
METHODS = ("baseline", "raw", "mlp", "matryoshka")
SPECS = {
    "small": RunSpec(dataset="digits", teacher="random", labels=60, epochs=2, width=2, seeds=2, dim=8),
    "full": RunSpec(epochs=20, seeds=3),
}
LOADING = '[data-testid="stSpinner"], [data-testid="stSkeleton"]'
# Calls back once the script has ended, nothing says that it is loading, and nothing has changed for a while.
SETTLED = """
([quiet, limit, busy]) => new Promise((done) => {
  const began = performance.now();
  let changed = began;
  const seen = new MutationObserver(() => { changed = performance.now(); });
  seen.observe(document.body, { childList: true, subtree: true, characterData: true });
  const look = () => {
    const now = performance.now();
    const idle = document.querySelector('[data-testid="stApp"][data-test-script-state="notRunning"]');
    const loading = document.querySelector(busy);
    if (idle && !loading && now - changed > quiet) finish(true);
    else if (now - began > limit) finish(false);
    else setTimeout(look, 50);
  };
  const finish = (settled) => { seen.disconnect(); done(settled); };
  look();
})
"""


def fill(size: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Put a run of each method into the data folder of another process; return their ids, per method.

    Args:
        size: of `SPECS`.
        environment: of the process; `KDLIB_HOME` says where.
    """
    command = [sys.executable, "-m", "tests.sample_home", size]
    done = subprocess.run(command, cwd=ROOT, env=dict(environment), stdout=subprocess.PIPE, text=True, check=True)
    return dict(line.split() for line in done.stdout.splitlines())


def addresses(ids: Mapping[str, str]) -> dict[str, str]:
    """Return where each page shows finished runs: the script's name, with a second word where a page has two faces.

    Args:
        ids: of the runs, per method.
    """
    race = ",".join(ids[method] for method in ("baseline", "raw", "mlp"))
    return {
        "start": "/",
        "start race": f"/?runs={race}",
        "lessons": "/lessons",
        "lessons step": "/lessons?lesson=1",
        "data_teachers": "/data_teachers",
        "distill": "/distill",
        "distill runs": f"/distill?runs={race}",
        "distill landscape": f"/distill?mode=Landscape&runs={race}",
        "embeddings": f"/embeddings?runs={ids['mlp']}",
        "dial": f"/dial?run={ids['matryoshka']}",
        "compare": f"/compare?runs={race}",
        "try_it": f"/try_it?runs={race}",
        "runs": f"/runs?runs={race}",
    }


def settle(page: Page, quiet: float = 0.5, limit: float = 20.0, busy: str = LOADING) -> bool:
    """Wait until a page has come to rest; return whether it has.

    Args:
        page: that was opened.
        quiet: seconds without a change.
        limit: seconds after which it is taken as it is, such as one that shows a run that is live.
        busy: selector of what says that more is to come.
    """
    page.locator("h1").first.wait_for(timeout=60_000)
    return page.evaluate(SETTLED, [1000 * quiet, 1000 * limit, busy])


def main(size: str) -> None:
    """Train and store the runs."""
    from kdlib import pipeline
    from tests import stored_runs

    for result in pipeline.compare([SPECS[size].replace(method=method) for method in METHODS]):
        print(result.spec.method, stored_runs.store_result(result, f"Sample {result.spec.method}"))


if __name__ == "__main__":
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    main(sys.argv[1])
