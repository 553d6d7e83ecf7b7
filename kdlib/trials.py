"""Tuning: the settings that were tried for one method, how each did on validation, and which was chosen."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from kdlib.spec import RunSpec

# Of a trial: it still trains; it was trained to the end; it was stopped early; its loss stopped being finite.
RUNNING, FINISHED, PRUNED, DIVERGED = "running", "finished", "pruned", "diverged"

TRIAL_SEEDS = (1_000_000, 1_000_001)  # of every trial: the same ones, so that trials differ in their setting alone


def member_trainings(spec: RunSpec) -> tuple[int, int]:
    """Return how many students tuning begins to train for a spec, and how many are trained then.

    Example:
        >>> member_trainings(RunSpec(tune=20, seeds=5))
        (40, 5)
    """
    return spec.tune * len(TRIAL_SEEDS), spec.seeds * spec.cell_count


@dataclass(frozen=True)
class Trial:
    """One setting that was tried.

    Attributes:
        settings: field of `RunSpec` -> value, for those that are searched.
        state: "running", "finished", "pruned" or "diverged".
        val: best validation score so far, a fraction, mean over the seeds of the trial; None before the first rung.
        epochs: that it was trained for.
        rungs: epoch -> `val` there, for the epochs at which the worse half was stopped and the last one.
    """

    settings: dict[str, float]
    state: str = RUNNING
    val: float | None = None
    epochs: int = 0
    rungs: dict[int, float] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Trial":
        """Return the trial of a JSON object, whose keys are text."""
        rungs = {int(epoch): value for epoch, value in data.get("rungs", {}).items()}
        return cls(dict(data["settings"]), data.get("state", RUNNING), data.get("val"), data.get("epochs", 0), rungs)


@dataclass(frozen=True)
class Tuning:
    """How the setting of a run was found.

    Attributes:
        trials: in the order in which they were begun.
        chosen: number of the finished trial that is best on validation.
        seconds: that it took.
    """

    trials: list[Trial]
    chosen: int
    seconds: float = 0.0

    @property
    def best(self) -> Trial:
        """The chosen trial."""
        return self.trials[self.chosen]

    @property
    def epochs(self) -> int:
        """Epochs of all trials together: those that were stopped early count as far as they came."""
        return sum(trial.epochs for trial in self.trials)

    def setting(self, spec: RunSpec) -> RunSpec:
        """Return a spec with what was chosen, nothing left to tune.

        Example:
            >>> Tuning([Trial({"lr": 0.02}, "finished", 0.7)], 0).setting(RunSpec(tune=1)).lr
            0.02
        """
        return spec.replace(tune=0, **self.best.settings)

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Tuning":
        """Return the tuning of a JSON object."""
        return cls([Trial.from_dict(trial) for trial in data["trials"]], data["chosen"], data.get("seconds", 0.0))


def best_trial(trials: list[Trial]) -> int | None:
    """Return the number of the finished trial with the highest validation score, the first of equal ones; None if none.

    Example:
        >>> best_trial([Trial({}, "pruned", 0.9), Trial({}, "finished", 0.7)])
        1
    """
    finished = [number for number, trial in enumerate(trials) if trial.state == FINISHED]
    return max(finished, key=lambda number: trials[number].val or 0.0, default=None)
