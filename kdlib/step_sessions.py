"""Trainings that a person goes through step by step: `StepSession`.

They live in the memory of the process that asks, not on the engine: a step of one small student takes milliseconds, and
the workers of the engine are busy for minutes with whole runs, which a click would have to wait for. What keeps that
harmless for everybody else: one step at a time in the whole process, on one thread; students that are too large for
that are refused; sessions of more than `LIMIT` bytes together are closed, the longest unused first. Whoever opened a
session holds the only reference to it, so it goes when they go.
"""

import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from kdlib.models import embedding
from kdlib.pipeline import build_stepper
from kdlib.planning import student_size
from kdlib.spec import BASELINE, RunSpec
from kdlib.training.stepper import BatchView, Stepper
from kdlib.training.streaming import StreamedRows

LIMIT = 256 * 2**20  # bytes of all open sessions
MAX_OPERATIONS = 1e9  # multiply-adds of a student for one batch: about 0.2 s a step on one core
EPOCH_SECONDS = 1.0  # after which an epoch pauses, so that a page can show how far it is

_computing = threading.Lock()
_opened: "OrderedDict[int, weakref.ref[StepSession]]" = OrderedDict()  # the one used last comes last


class NotEmbeddedError(ValueError):
    """The teacher has not embedded the items yet: the engine's work, not that of a page."""


class StepSession:
    """One training, step by step.

    Args:
        spec: what is trained; its first seed only.

    Attributes:
        spec: as given.
        rows: (n,) the labelled rows of the dataset.
        losses: of each step, before it was taken: `LossParts` as a dict.
        closed: whether it had to make room for others.

    Raises:
        NotEmbeddedError: the teacher has not embedded the items.
        ValueError: the spec cannot be run, or its student is too large for this.

    Example:
        >>> session = StepSession(RunSpec(dataset="digits", teacher="random", labels=100))
        >>> session.step()
        >>> session.view().losses["total"]
    """

    def __init__(self, spec: RunSpec) -> None:
        if spec.method != BASELINE and not embedding.is_embedded(spec.teacher, spec.dataset):
            raise NotEmbeddedError(f"{spec.teacher} has not embedded {spec.dataset} yet")
        operations = student_size(spec)[1] * min(spec.batch_size, spec.labels)
        if operations > MAX_OPERATIONS:
            raise ValueError(
                f"one batch takes this student {operations / 1e9:.1f} billion multiply-adds, at most "
                f"{MAX_OPERATIONS / 1e9:.0f} can be gone through here: choose a smaller student or batch, or launch it"
            )
        self.spec, self.losses = spec, []
        with _one_at_a_time():
            self._stepper, self.rows = build_stepper(spec)
        self._size = _size(self._stepper)
        _use(self)

    @property
    def closed(self) -> bool:
        """Whether it had to make room for others."""
        return self._stepper is None

    @property
    def stepper(self) -> Stepper:
        """What takes the steps.

        Raises:
            ValueError: it was closed.
        """
        if self._stepper is None:
            raise ValueError("this training made room for those of other visitors; start again")
        return self._stepper

    def close(self) -> None:
        """Give the memory back."""
        self._stepper = None

    def step(self) -> None:
        """Learn from one batch, if any is left.

        Example:
            >>> session.step()
        """
        stepper = self.stepper
        _use(self)
        if stepper.over:
            return
        with _one_at_a_time():
            parts = stepper.step()
        self.losses.append({name: float(value.detach()[0]) for name, value in parts._asdict().items()})

    def finish_epoch(self) -> bool:
        """Learn from the batches that are left of this epoch; return whether it ended within `EPOCH_SECONDS`.

        Example:
            >>> session.finish_epoch()
            True
        """
        started, epoch = time.monotonic(), self.stepper.epoch
        while not self.stepper.over and self.stepper.epoch == epoch:
            if time.monotonic() - started > EPOCH_SECONDS:
                return False
            self.step()
        return True

    def view(self, places: np.ndarray | None = None) -> BatchView:
        """Return what the next batch, or the labelled rows at some places, come to; see `Stepper.view`.

        Example:
            >>> session.view().features.shape
        """
        stepper = self.stepper
        with _one_at_a_time():
            return stepper.view(places)


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Compute on one thread, and let nobody else: the other cores stay with those who draw pages."""
    with _computing:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)


def _use(session: StepSession) -> None:
    """Note that a session is used now, and close those that no room is left for."""
    for key, reference in list(_opened.items()):
        known = reference()
        if known is None or known.closed:
            _opened.pop(key, None)
    _opened[id(session)] = weakref.ref(session)
    _opened.move_to_end(id(session))
    alive = [known for reference in list(_opened.values()) if (known := reference()) is not None]
    total = sum(known._size for known in alive)
    for known in alive[:-1]:
        if total <= LIMIT:
            break
        known.close()
        total -= known._size


def _size(stepper: Stepper) -> int:
    """Return the bytes that a training holds: its rows, and its weights with gradients, two moments and the best."""
    rows = vars(stepper.step_loss.rows).values()
    held = sum(value.numel() * value.element_size() for value in rows if not isinstance(value, StreamedRows))
    return held + 5 * sum(value.numel() * value.element_size() for value in stepper.state.parameters)
