"""Many runs, newest first, without reading the same ones again and again.

Reading a run costs MLflow about 1.6 ms, so 1,000 runs at once are too slow for a page. What is terminal does not change: it is read once, a
page at a time and only as far back as someone looks, and kept. Each call then asks for what is active and for what has ended since.
A rename or a delete, by whatever process, changes a mark on the experiment; a mark that differs empties the memory.
"""

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress

from kdlib.store.connection import tracking_uri
from kdlib.store.errors import RunNotFoundError
from kdlib.store.reading import StoredRun, reader
from kdlib.store.records import RunInfo, fetch, to_run_info

FIRST_PAGE, LATER_PAGE = 50, 250  # runs read at once: few for who looks at the newest, many for who goes back
CLOCK_MARGIN = 60.0  # seconds that the clocks of two machines may differ


class Listing:
    """The runs of one store, kept between calls. Safe to use from several threads."""

    def __init__(self, fresh: float = 0.0) -> None:
        """Make an empty memory; within `fresh` seconds the store is not asked again, unless `expire` was called."""
        self._lock = threading.Lock()
        self._fresh, self._refreshed = fresh, float("-inf")
        self._forget("", "")

    def _forget(self, uri: str, mark: str) -> None:
        self._uri, self._mark = uri, mark
        self._rows: dict[str, RunInfo] = {}
        self._older: str | None = ""  # token of the next page back in time; "" = the first, None = all are read
        self._horizon = float("inf")  # every run created since then is in memory
        self._asked = time.time()

    def newest(self, count: int, wanted: Callable[[RunInfo], bool] = lambda _: True) -> list[RunInfo]:
        """Return up to `count` wanted runs, newest first, as they are now.

        Raises:
            StoreUnavailableError: the store does not answer.
        """
        with self._lock:
            self._refresh()
            while True:
                rows = sorted(
                    (r for r in self._rows.values() if r.created >= self._horizon and wanted(r)), key=_newest_first
                )
                if len(rows) >= count or self._older is None:
                    return rows[:count]
                self._read_older()

    def active(self) -> list[RunInfo]:
        """Return every queued or running run, newest first. Reads no further back than it must.

        Raises:
            StoreUnavailableError: the store does not answer.
        """
        with self._lock:
            self._refresh()
            return sorted((row for row in self._rows.values() if row.active), key=_newest_first)

    def expire(self) -> None:
        """Let the next call ask the store, however fresh the memory is."""
        self._refreshed = float("-inf")

    def _refresh(self) -> None:
        began = time.monotonic()
        if began - self._refreshed < self._fresh and self._uri == tracking_uri():
            return
        store, uri = reader(), tracking_uri()
        mark = store.change_mark()
        if (uri, mark) != (self._uri, self._mark):
            self._forget(uri, mark)
        asked = time.time()
        known = {row.id for row in self._rows.values() if row.active}
        active = _by_id(store.active())
        ended = _by_id(store.ended_since(int((self._asked - CLOCK_MARGIN) * 1000)))
        self._rows |= ended | active
        self._rows |= {
            run_id: row for run_id, row in ended.items() if not row.active
        }  # ended between the two questions
        for run_id in known - set(active) - set(ended):  # ended long ago by another clock, or deleted
            del self._rows[run_id]
            with suppress(RunNotFoundError):
                self._rows[run_id] = fetch(run_id)
        self._asked, self._refreshed = asked, began

    def _read_older(self) -> None:
        page, token = reader().page(LATER_PAGE if self._older else FIRST_PAGE, self._older or "")
        rows = list(filter(None, map(to_run_info, page)))
        for row in rows:
            self._rows.setdefault(row.id, row)
        self._older = token or None
        if self._older is None:
            self._horizon = 0.0
        elif rows:
            self._horizon = rows[-1].created


def _by_id(runs: Iterable[StoredRun]) -> dict[str, RunInfo]:
    return {row.id: row for row in filter(None, map(to_run_info, runs))}


def _newest_first(row: RunInfo) -> tuple[float, str]:
    return -row.created, row.id
