"""How soon a page can be used, how much it moves, what it weighs: `python -m tests.benchmarks.page_vitals`.

In a real browser, each page in a window without a cache: on a new data folder, and on one that holds finished runs, at
the second visit, in a wide window and a narrow one. Then a live race on Start. Printed per page: seconds from the
address to a heading and a control that can be seen and used, the sum of all layout shifts (0.02 is promised while
something is live), what came over the wire, and what the console said.
"""

import os
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from rich.console import Console
from rich.table import Table

from tests import sample_home
from tests.benchmarks.browser import OUTCOME, QUIET, until
from tests.browser.conftest import CHROMIUM, Server

USABLE = 4.0  # seconds
MOVED = 0.02  # sum of layout shifts
OBSERVE = """
  window.shifts = [];
  new PerformanceObserver((list) => {
    for (const { value, hadRecentInput, startTime, sources } of list.getEntries()) {
      if (hadRecentInput) continue;
      const names = sources.map(({ node }) => node?.closest?.("[data-testid]")?.dataset.testid ?? node?.nodeName);
      window.shifts.push([startTime / 1000, value, names.join(" ")]);
    }
  }).observe({ type: "layout-shift", buffered: true });
"""
USABLE_NOW = """() => {
  const seen = (element) => element.getClientRects().length > 0 && !element.disabled;
  const inside = (root) => [...root.querySelectorAll("*")].some((element) =>
    (element.matches("button, input, select, textarea, a[href]") && seen(element)) ||
    (element.shadowRoot && inside(element.shadowRoot)));
  const main = document.querySelector('[data-testid="stMain"]');
  return Boolean(main?.querySelector("h1") && inside(main));
}"""


@dataclass
class Visit:
    """One visit of a page.

    Attributes:
        page: that is open.
        wire: bytes that came, by kind.
        said: lines of the console.
        usable: seconds until it could be used.
    """

    page: Page
    wire: dict[str, float] = field(default_factory=lambda: {"files": 0.0, "socket": 0.0})
    said: list[str] = field(default_factory=list)
    usable: float = 0.0

    def shifts(self) -> list[tuple[float, float, str]]:
        """Return when what moved by how much, seconds of the page's clock."""
        return [(moment, value, name) for moment, value, name in self.page.evaluate("window.shifts")]


def visit(context: BrowserContext, address: str) -> Visit:
    """Open an address and wait until it has come to rest."""
    page = context.new_page()
    page.add_init_script(OBSERVE)
    seen = Visit(page)
    client = context.new_cdp_session(page)
    client.send("Network.enable")

    def count(kind: str, size: float) -> None:
        seen.wire[kind] += size

    client.on("Network.loadingFinished", lambda event: count("files", event["encodedDataLength"]))
    client.on(
        "Network.webSocketFrameReceived", lambda event: count("socket", len(event["response"]["payloadData"]) * 3 / 4)
    )
    page.on("console", lambda message: seen.said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: seen.said.append(f"error: {error}"))
    began = time.perf_counter()
    page.goto(address, wait_until="commit")
    page.wait_for_function(USABLE_NOW, polling=50, timeout=60_000)
    seen.usable = time.perf_counter() - began
    sample_home.settle(page, limit=15)
    return seen


def add_row(table: Table, name: str, seen: Visit) -> None:
    """Write what a visit showed into the table."""
    shifts = seen.shifts()
    moved = sum(value for _, value, _ in shifts)
    most = max(shifts, key=lambda shift: shift[1], default=(0.0, 0.0, ""))
    where = f"at {most[0]:.1f} s: {most[2][:40]}" if moved > MOVED else ""
    files, socket = (seen.wire[kind] / 1e6 for kind in ("files", "socket"))
    table.add_row(
        name, f"{seen.usable:.1f}{' !' if seen.usable > USABLE else ''}", f"{moved:.3f}", where, f"{files:.1f}",
        f"{socket:.2f}", "; ".join(dict.fromkeys(seen.said))[:160],
    )  # fmt: skip


def tour(browser: Browser, title: str, addresses: dict[str, str], width: int = 1440) -> None:
    """Print what visits of some pages show."""
    load = os.getloadavg()[0]
    table = Table(
        "page", "usable, s", "shifts", "most of it", "MB of files", "MB of socket", "console",
        title=f"{title} ({os.cpu_count()} cores, load {load:.1f}; usable <= {USABLE:g} s, shifts <= {MOVED:g})",
    )  # fmt: skip
    for name, address in addresses.items():
        context = browser.new_context(viewport={"width": width, "height": 900})
        add_row(table, name, visit(context, address))
        context.close()
    Console(width=160).print(table)


def race(browser: Browser, url: str) -> None:
    """Print how much Start moves while a race is live."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    seen = visit(context, f"{url}/?size=Class")
    before = len(seen.shifts())
    seen.page.get_by_role("button", name="Run it live").click()
    until(lambda: seen.page.get_by_text("Live on this server").count() > 0, seen.page)
    until(lambda: seen.page.get_by_text(OUTCOME).count() > 0, seen.page)
    sample_home.settle(seen.page)
    shifts = seen.shifts()[before:]
    print(
        f"Start, from the click to the outcome of a race: shifts {sum(shift[1] for shift in shifts):.3f} (<= {MOVED})"
    )
    for moment, value, name in shifts:
        print(f"  at {moment:.1f} s {value:.4f} {name}")
    context.close()


def main() -> None:
    """Print all of it."""
    with tempfile.TemporaryDirectory(prefix="kdlib-benchmark-") as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        server = Server(Path(folder), hostile=False)
        try:
            empty = {page: f"{server.url}/{'' if page == 'start' else page}" for page in pages()}
            tour(browser, "A new data folder, first visit", empty)
            race(browser, server.url)
            ids = sample_home.fill("small", server.env)
            full = {name: server.url + path for name, path in sample_home.addresses(ids).items()}
            for address in full.values():  # what is computed once is computed now
                context = browser.new_context()
                visit(context, address)
                context.close()
            tour(browser, "Finished runs, second visit", full)
            tour(browser, "The same on a phone", full, width=390)
        finally:
            browser.close()
            server.stop()


def pages() -> list[str]:
    """Return the pages of the app in their order."""
    from tests.opened_pages import PAGES

    return PAGES


if __name__ == "__main__":
    main()
