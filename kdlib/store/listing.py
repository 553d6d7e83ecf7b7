"""Many runs, newest first, without reading the same ones again and again.

Reading a run costs MLflow about 1.6 ms, so 1,000 runs at once are too slow for a page. What is terminal does not
change: it is read once, a page at a time and only as far back as needed, and stays in memory. Each call then asks for
what is active and for what has ended since. A rename or a delete, by whatever process, changes a mark on the
experiment; a mark that differs empties the memory.
"""

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress

from kdlib.store.connection import tracking_uri
from kdlib.store.errors import RunNotFoundError
from kdlib.store.info import RunInfo, to_run_info
from kdlib.store.reading import StoredRun, reader
from kdlib.store.records import fetch

FIRST_PAGE, LATER_PAGE = 50, 250  # runs read at once: few where only the newest are shown, many further back
CLOCK_MARGIN = 60.0  # seconds that the clocks of two machines may differ


class Listing:
    """The runs of one store, in memory between calls. Safe to use from several threads.

    Example:
        >>> listing = Listing()
        >>> listing.newest(10, lambda run: run.state == "done")
    """

    def __init__(self, fresh: float = 0.0) -> None:
        """Make an empty listing.

        Args:
            fresh: seconds within which the store is not read again, unless `expire` was called.
        """
        self._lock = threading.Lock()
        self._fresh, self._refreshed = fresh, float("-inf")
        self._forget("", "")

    def _forget(self, uri: str, mark: str) -> None:
        self._uri, self._mark = uri, mark
        self._rows: dict[str, RunInfo] = {}
        self._older: str | None = ""  # token of the next page back in time; "" = the first, None = all are read
        self._horizon = float("inf")  # every run created since then is in memory
        self._read_at = time.time()

    def newest(self, count: int, accept: Callable[[RunInfo], bool] = lambda _: True) -> list[RunInfo]:
        """Return up to `count` runs that are accepted, newest first, as they are now.

        Raises:
            StoreUnavailableError: the store does not answer.
        """
        with self._lock:
            self._refresh()
            while True:
                known = (row for row in self._rows.values() if row.created >= self._horizon)
                rows = sorted(filter(accept, known), key=_newest_first)
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
        """Let the next call read the store, however fresh the memory is."""
        self._refreshed = float("-inf")

    def _refresh(self) -> None:
        began = time.monotonic()
        if began - self._refreshed < self._fresh and self._uri == tracking_uri():
            return
        store, uri = reader(), tracking_uri()
        mark = store.change_mark()
        if (uri, mark) != (self._uri, self._mark):
            self._forget(uri, mark)
        read_at = time.time()
        known = {row.id for row in self._rows.values() if row.active}
        active = _by_id(store.active())
        ended = _by_id(store.ended_since(int((self._read_at - CLOCK_MARGIN) * 1000)))
        self._rows |= ended | active
        self._rows |= {run_id: row for run_id, row in ended.items() if not row.active}  # ended between the two reads
        for run_id in known - set(active) - set(ended):  # ended long ago by another clock, or deleted
            del self._rows[run_id]
            with suppress(RunNotFoundError):
                self._rows[run_id] = fetch(run_id)
        self._read_at, self._refreshed = read_at, began

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
