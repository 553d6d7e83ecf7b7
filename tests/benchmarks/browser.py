"""What a person waits for in the browser: `python -m tests.benchmarks.browser`.

A real server with its engine and a headless Chromium, all on this machine's cores: from the start of the app to a
usable first page, the race on Start, and from a click on Launch to the first point of a curve. The data folder is new,
the caches of datasets and embeddings are the user's.
"""

import os
import re
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
from playwright.sync_api import Browser, Page, sync_playwright
from rich.console import Console
from rich.table import Table

from kdlib.cache import home
from tests.browser.conftest import CHROMIUM, Server

OUTCOME = "What to try next"  # stands below a race that is over
EPOCH = re.compile(r"after epoch [1-9]")  # of all three, in a race that is live
LINE = ".js-plotly-plot .scatterlayer .trace .js-line"
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def until(condition: Callable[[], bool], page: Page, seconds: float = 120.0) -> None:
    """Wait by looking ten times a second: Playwright looks at every frame, which costs a core that the runs need.

    Raises:
        TimeoutError: it does not come.
    """
    deadline = time.perf_counter() + seconds
    while not condition():
        if time.perf_counter() > deadline:
            raise TimeoutError("what was waited for did not come")
        page.wait_for_timeout(100)


def spent() -> float:
    """Return the processor seconds that the browser has used so far."""
    total = 0.0
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            total += sum(process.cpu_times()[:2]) if "chrom" in process.name() else 0.0
    return total


def start(browser: Browser, cache: Path, wait: float) -> dict[str, float]:
    """Return seconds from the start of the app to what one sees first, and from an early click to the first point.

    Args:
        browser: which opens the page as soon as the server answers.
        cache: of datasets and embeddings.
        wait: seconds from the numbers in the picture to the click on the race's button.
    """
    with tempfile.TemporaryDirectory(prefix="kdlib-benchmark-") as folder:
        (Path(folder) / "cache").symlink_to(cache)
        began = time.perf_counter()
        server = Server(Path(folder))
        seconds = {"server": time.perf_counter() - began}
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        try:
            page.goto(server.url)
            button = page.get_by_role("button", name="Run it live")
            button.wait_for(timeout=60_000)
            until(button.is_enabled, page)
            seconds["button"] = time.perf_counter() - began
            for name, text in (("picture", "16 new numbers"), ("numbers", "Recorded on")):
                page.get_by_text(text).first.wait_for(timeout=60_000)
                seconds[name] = time.perf_counter() - began
            page.wait_for_timeout(1000 * wait)
            clicked = time.perf_counter()
            button.click()
            until(lambda: page.get_by_text("Live on this server").count() > 0, page)
            until(lambda: page.get_by_text(EPOCH).count() > 0, page)
            return seconds | {"first point": time.perf_counter() - clicked}
        finally:
            page.close()
            server.stop()


def race(page: Page, url: str) -> dict[str, float]:
    """Return the seconds from a click on the race's button to the first point and to the outcome."""
    page.goto(url)
    button = page.get_by_role("button", name="Run it live")
    button.wait_for(timeout=60_000)
    page.wait_for_timeout(500)
    began = time.perf_counter()
    button.click()
    until(lambda: page.get_by_text("Live on this server").count() > 0, page)
    until(lambda: page.get_by_text(EPOCH).count() > 0, page)
    first = time.perf_counter() - began
    until(lambda: page.get_by_text(OUTCOME).count() > 0, page)
    return {"first": first, "outcome": time.perf_counter() - began}


def launched(page: Page, url: str, turn: int) -> float:
    """Return the seconds from a click on Launch to the first point of a curve."""
    page.goto(f"{url}/distill?methods=raw&epochs=200&labels={300 + turn}")
    button = page.get_by_role("button", name="Launch", exact=True)
    button.wait_for(timeout=60_000)
    page.get_by_text("Show as code").wait_for()
    page.wait_for_timeout(1500)
    began = time.perf_counter()
    button.click()
    until(lambda: page.locator(LINE).count() > 0, page)
    took = time.perf_counter() - began
    page.get_by_role("button", name="Cancel").click()
    until(lambda: page.get_by_text("cancelled").count() > 0, page)
    return took


def main(starts: int = 3) -> None:
    """Print all of it.

    Args:
        starts: how often the start of the app is measured.
    """
    table = Table(
        "what", "measured", "promised", title=f"In the browser on {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    )
    cache = home().resolve() / "cache"
    cache.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="kdlib-benchmark-") as folder, sync_playwright() as playwright:
        (Path(folder) / "cache").symlink_to(cache)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        try:
            for wait in (0.0, 10.0):
                seconds = [start(browser, cache, wait) for _ in range(starts)]
                medians = {name: statistics.median(each[name] for each in seconds) for name in seconds[0]}
                first = medians.pop("first point")
                line = ", ".join(f"{name} {value:.1f} s" for name, value in medians.items())
                table.add_row(f"start of the app (median of {starts})", line, "button and picture <= 4 s")
                table.add_row(f"race, clicked {wait:.0f} s after the numbers: first point", f"{first:.1f} s", "")
            race_and_launch(browser, Path(folder), table)
        finally:
            Console().print(table)
            browser.close()


def race_and_launch(browser: Browser, folder: Path, table: Table) -> None:
    """Add the rows of a running app: two races, and the clicks on Launch."""
    began = time.perf_counter()
    server = Server(folder)
    try:
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        for name in ("cold", "warm"):
            used, seconds = spent(), race(page, server.url)
            before = time.perf_counter() - began - seconds["outcome"]
            line = f"first point {seconds['first']:.1f} s, outcome {seconds['outcome']:.1f} s"
            line += f"; the browser used {spent() - used:.0f} s of a core"
            table.add_row(f"race, {name} ({before:.0f} s after the server's start)", line, "<= 30 s")
        clicks = [launched(page, server.url, number) for number in range(5)]
        line = f"{statistics.median(clicks):.2f} s (from {min(clicks):.2f} to {max(clicks):.2f})"
        table.add_row("Launch: click to the first point (median of 5)", line, "<= 1.5 s")
    finally:
        server.stop()


if __name__ == "__main__":
    main()
