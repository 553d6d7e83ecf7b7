"""How work is going: what is reported while it runs, and how it is asked to stop."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from kdlib.results import Point

# In the order in which work passes through them.
PHASES = ("loading", "importing", "embedding", "fitting", "tuning", "training", "measuring", "writing")


class CancelledError(Exception):
    """The progress callback asked to stop."""


@dataclass(frozen=True)
class Progress:
    """How far a piece of work is.

    Attributes:
        step: steps of the phase done so far: optimizer steps in "training", those of each trial in "tuning", rows or
            items elsewhere.
        steps: steps the phase will have; 0 while that is not known.
        point: set after an epoch that was validated, None otherwise.
        frames: new snapshots of the first member, as in `ReplayRecorder.snapshots_since`.
        phase: one of `PHASES`.
    """

    step: int
    steps: int
    point: Point | None = None
    frames: Sequence[dict[str, Any]] = ()
    phase: str = "training"

    @property
    def share(self) -> float:
        """Return how much of the phase is done, 0 to 1."""
        return min(self.step / self.steps, 1.0) if self.steps else 0.0


OnProgress = Callable[[Progress], bool | None]  # called after every step; returning True stops the work


def report_progress(on_progress: OnProgress | None, phase: str, step: int, steps: int) -> None:
    """Report a step of a phase, for work that has nothing to keep when it is stopped.

    Raises:
        CancelledError: the callback asked to stop.
    """
    if on_progress is not None and on_progress(Progress(step, steps, phase=phase)):
        raise CancelledError(f"cancelled while {phase}")


class StopLatch:
    """A progress callback that goes on asking to stop once the callback it wraps has asked.

    Args:
        on_progress: called with every progress.
    """

    def __init__(self, on_progress: OnProgress) -> None:
        self._on_progress, self.stopped = on_progress, False

    def __call__(self, progress: Progress) -> bool:
        """Report the progress; return whether any call so far asked to stop."""
        self.stopped = bool(self._on_progress(progress)) or self.stopped
        return self.stopped
