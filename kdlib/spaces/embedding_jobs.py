"""Embedding a dataset as work of the engine: start, follow from any browser, cancel, and go on after a death.

How far it is stands in the cache, which is written as embeddings come. A record per dataset and teacher,
`KDLIB_HOME/embedding/<key>.json`, holds what was requested and how it ended; it is gone when all is done.
"""

import json
import os
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from filelock import FileLock

from kdlib import engine
from kdlib.analysis.failure import Failure
from kdlib.cache import atomic_path, home
from kdlib.models import embedding, teachers
from kdlib.progress import CancelledError, Progress
from kdlib.spaces import teacher_jobs

ABSENT, QUEUED, RUNNING, CANCELLING = "absent", "queued", "running", "cancelling"
STOPPED, FAILED, DONE = "stopped", "failed", "done"
MAX_STARTS = 2  # of a job that dies each time before it embedded one batch more
START_SECONDS = 20.0  # seconds within which the engine has taken what was requested
CHECK_SECONDS = 0.2  # seconds between two looks at whether it shall stop


@dataclass(frozen=True)
class EmbeddingState:
    """How far a teacher is with the items of a dataset.

    Attributes:
        state: "absent", "queued", "running", "cancelling", "stopped" (it can go on), "failed" or "done".
        done: rows embedded so far.
        rows: of the dataset.
        seconds_left: about how long it takes, or still takes; None while that is not known.
        reason: why it failed.
    """

    state: str
    done: int
    rows: int
    seconds_left: float | None = None
    reason: str = ""

    @property
    def active(self) -> bool:
        """Whether something is going on."""
        return self.state in (QUEUED, RUNNING, CANCELLING)


@dataclass(frozen=True)
class _Record:
    """What was requested. The worker that began last did so at `started` and row `first`, as `starts` have there."""

    teacher: str
    dataset: str
    attempt: int = 1
    requested: float = 0.0
    cancelled: bool = False
    started: float = 0.0
    first: int = 0
    starts: int = 0
    end: str = ""
    reason: str = ""

    @property
    def open(self) -> bool:
        return not self.end and not self.cancelled


def request(teacher: str, dataset: str) -> None:
    """Have the engine embed a dataset, unless that is done. A request while one is at work is the same piece of work.

    Raises:
        ValueError: unknown teacher or dataset, or one that does not take the other.
        EngineError: the engine cannot be started.

    Example:
        >>> request("random", "digits")
    """
    teachers.check_compatible(teacher, dataset)
    if embedding.is_embedded(teacher, dataset):
        return
    key = embedding.entry_key(teacher, dataset)
    with _lock(key):
        record = _read(key)
        if record is None or not record.open:
            attempt = record.attempt + 1 if record else 1
            record = _Record(teacher, dataset, attempt, time.time())
            _write(key, record)
    _submit(key, record)


def cancel(teacher: str, dataset: str) -> None:
    """Stop embedding; what is embedded stays, and the next request goes on there.

    Example:
        >>> cancel("random", "digits")
    """
    key = embedding.entry_key(teacher, dataset)
    _change(key, lambda record: replace(record, cancelled=True))


def discard(teacher: str, dataset: str) -> None:
    """Stop embedding and forget that it was requested."""
    _path(embedding.entry_key(teacher, dataset)).unlink(missing_ok=True)


def resume_interrupted() -> None:
    """Hand to the engine again what was at work when it ended; what the engine still has is left as it is.

    Raises:
        EngineError: the engine cannot be started.

    Example:
        >>> resume_interrupted()
    """
    for path in sorted(_folder().glob("*.json")):
        record = _read(path.stem)
        if record is None or not record.open:
            continue
        try:
            current = embedding.entry_key(record.teacher, record.dataset) == path.stem
        except ValueError:  # teacher or dataset are gone
            current = False
        if current:
            _submit(path.stem, record)
        else:
            path.unlink(missing_ok=True)


def states(names: Sequence[str], dataset: str) -> dict[str, EmbeddingState]:
    """Return how far each teacher is with a dataset; cheap enough to ask a few times a second.

    Raises:
        ValueError: unknown teacher or dataset.
        EngineError: there is an engine and it does not answer.

    Example:
        >>> states(["random"], "digits")["random"].state
    """
    keys = {name: embedding.entry_key(name, dataset) for name in names}
    before = {name: _read(key) for name, key in keys.items()}
    tasks = {name: _task(keys[name], record) for name, record in before.items() if record and not record.end}
    known = engine.states(tasks.values())
    states = {}
    for name, key in keys.items():
        record = _read(key) if name in tasks else before[name]  # it may have ended before the engine was asked
        done, rows = embedding.count_embedded(name, dataset)
        state = _state(record, known.get(tasks.get(name, ""), ""), done, rows)
        seconds = teachers.get_teacher(name).seconds_per_item  # as somebody measured it, until there is a rate here
        guess = seconds * (rows - done) if seconds and not state.active and done < rows else state.seconds_left
        states[name] = replace(state, seconds_left=guess)
    return states


def _state(record: _Record | None, task: str, done: int, rows: int) -> EmbeddingState:
    """Return the state that record, the engine's word ("queued", "running" or "") and the cache make together."""
    if record is None or record.end:
        if done == rows:
            return EmbeddingState(DONE, done, rows)
        ended = record.end if record else STOPPED if done else ABSENT
        return EmbeddingState(ended, done, rows, reason=record.reason if record else "")
    if record.cancelled:
        return EmbeddingState(CANCELLING if task == RUNNING else STOPPED, done, rows)
    if task == RUNNING and record.starts:
        now, new = time.time(), done - record.first
        left = (rows - done) * (now - record.started) / new if new > 0 else None
        return EmbeddingState(RUNNING, done, rows, left)
    if task or time.time() - record.requested < START_SECONDS:
        return EmbeddingState(QUEUED, done, rows)
    return EmbeddingState(STOPPED, done, rows)  # the engine ended while it was at work


def compute(teacher: str, dataset: str, attempt: int) -> None:
    """Embed in a worker, and find out what the teacher knows; how it ends is written to the record.

    Args:
        teacher: name.
        dataset: name.
        attempt: which request this is the work of; when there is a later one, nothing is done.
    """
    key = embedding.entry_key(teacher, dataset)
    if not _begin(key, attempt, embedding.count_embedded(teacher, dataset)[0]):
        return
    try:
        with _all_cores():
            embedding.embed(teacher, dataset, _StopCheck(key, attempt))
            teacher_jobs.compute(teacher, dataset)
        end, reason = DONE, ""
    except CancelledError:
        end, reason = STOPPED, ""
    except Exception as error:  # a page that waits must learn that nothing will come
        traceback.print_exc()
        end, reason = FAILED, Failure.of(error).reason
    _end(key, attempt, end, reason)


def _begin(key: str, attempt: int, done: int) -> bool:
    """Note that a worker begins; return whether it shall."""
    with _lock(key):
        record = _read(key)
        if record is None or record.attempt != attempt or record.end:
            return False
        starts = record.starts + 1 if record.starts and record.first == done else 1
        if record.cancelled:
            record = replace(record, end=STOPPED)
        elif starts > MAX_STARTS:
            reason = f"its worker died {MAX_STARTS} times after {done:,} items; is there enough memory?"
            record = replace(record, end=FAILED, reason=reason)
        else:
            record = replace(record, started=time.time(), first=done, starts=starts)
        _write(key, record)
        return not record.end


def _end(key: str, attempt: int, end: str, reason: str) -> None:
    """Note how the work of a request ended, unless there is a later one."""
    with _lock(key):
        record = _read(key)
        if record is None or record.attempt != attempt:
            return
        if end == DONE:
            _path(key).unlink(missing_ok=True)
        else:
            _write(key, replace(record, end=end, reason=reason))


class _StopCheck:
    """The `on_progress` of a job: asks the record now and then whether to stop."""

    def __init__(self, key: str, attempt: int) -> None:
        self._key, self._attempt, self._checked, self._stop = key, attempt, 0.0, False

    def __call__(self, progress: Progress) -> bool:  # noqa: ARG002 - how far it is stands in the cache
        now = time.monotonic()
        if not self._stop and now - self._checked > CHECK_SECONDS:
            self._checked, record = now, _read(self._key)
            self._stop = record is None or record.attempt != self._attempt or record.cancelled
        return self._stop


@contextmanager
def _all_cores() -> Iterator[None]:
    """Let torch use every core of the machine, which a worker shares with others: embedding is rarely one of many."""
    import torch

    before = torch.get_num_threads()
    with suppress(AttributeError):  # systems that cannot say which cores a process may use
        torch.set_num_threads(max(before, len(os.sched_getaffinity(0))))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _task(key: str, record: _Record) -> str:
    return f"embed-{key}-{record.attempt}"


def _submit(key: str, record: _Record) -> None:
    engine.submit(compute, record.teacher, record.dataset, record.attempt, key=_task(key, record))


def _folder() -> Path:
    return home() / "embedding"


def _path(key: str) -> Path:
    return _folder() / f"{key}.json"


def _lock(key: str) -> FileLock:
    locks = home() / "locks"
    locks.mkdir(exist_ok=True)
    return FileLock(locks / f"embedding-{key}.job.lock", timeout=10)


def _read(key: str) -> _Record | None:
    try:
        return _Record(**json.loads(_path(key).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):  # none, or damaged by something outside: it can be requested again
        return None


def _write(key: str, record: _Record) -> None:
    with atomic_path(_path(key)) as temporary:
        temporary.write_text(json.dumps(asdict(record)), encoding="utf-8")


def _change(key: str, change: Callable[[_Record], _Record]) -> None:
    with _lock(key):
        record = _read(key)
        if record is not None and not record.end:
            _write(key, change(record))
