"""Tuning: the setting of one method that does best on validation, found with a fixed number of trials.

Trials train as one population, a round of them at a time. After half of the epochs, and after three quarters, those
below the median of all that came so far leave. No test row is predicted, and the seeds are none that a run is trained
with: `tests/test_tuning.py` holds both.
"""

import json
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from kdlib.analysis.evaluation import score
from kdlib.analysis.scaling import ScaledEmbeddings
from kdlib.cache import atomic_path
from kdlib.checks import Context, resolve
from kdlib.groups import build_group
from kdlib.models.separation import widest_dim
from kdlib.progress import OnProgress, Progress
from kdlib.spec import RunSpec
from kdlib.training.rungs import RungTraining
from kdlib.training.search import below_median, propose, search_space
from kdlib.training.step_loss import MethodGroup, TrainingData
from kdlib.trials import (
    DIVERGED,
    FINISHED,
    PRUNED,
    RUNNING,
    TRIAL_SEEDS,
    Trial,
    Tuning,
    best_trial,
    member_trainings,
)

FIRST_ROUND, ROUND = 8, 6  # trials that train as one population: at random first, then by what came of them


class DivergedError(Exception):
    """No setting that was tried could be trained."""


@dataclass
class TuningInputs:
    """What a method is tuned with.

    Attributes:
        context: of its spec.
        embeddings: (N, d_t) of all rows.
        rows: to learn from, and those of validation.
        device: where to compute.
        on_progress: called after every step, in the phase "tuning".
        checkpoint: of the run; the trials are stored beside it, and taken up from there.
    """

    context: Context
    embeddings: ScaledEmbeddings
    rows: TrainingData
    device: torch.device
    on_progress: OnProgress | None = None
    checkpoint: Path | None = None


def round_sizes(trials: int) -> list[int]:
    """Return how many trials each round has.

    Example:
        >>> round_sizes(20)
        [8, 6, 6]
    """
    sizes = [min(trials, FIRST_ROUND)]
    while sum(sizes) < trials:
        sizes.append(min(ROUND, trials - sum(sizes)))
    return sizes


def report_both(on_progress: OnProgress, spec: RunSpec) -> OnProgress:
    """Return a callback for a tuned run whose steps count those of tuning and of the training after it.

    Args:
        on_progress: called with the same progress, on this scale.
        spec: of the run.

    Example:
        >>> on_progress = report_both(on_progress, RunSpec(tune=20))
    """
    before, after = member_trainings(spec)

    def report(progress: Progress) -> bool | None:
        if progress.phase == "tuning":
            steps = progress.steps // spec.tune
            done = progress.step * len(TRIAL_SEEDS)
        elif progress.phase == "training":
            steps = progress.steps
            done = before * steps + after * progress.step
        else:
            return on_progress(progress)
        return on_progress(replace(progress, step=done, steps=(before + after) * steps))

    return report


def tune(inputs: TuningInputs) -> Tuning:
    """Return the trials of a method, and which of them is best on validation.

    Raises:
        CancelledError: `on_progress` asked to stop; the trials so far are kept beside the checkpoint.
        DivergedError: no trial could be trained to its end.

    Example:
        >>> tune(TuningInputs(resolve(RunSpec(tune=20)), embeddings, rows, torch.device("cpu"))).best.settings
    """
    spec, compressor = inputs.context.spec, inputs.context.compressor
    widest = 0 if compressor is None else min(widest_dim(spec), spec.labels)
    space = search_space(spec, widest)
    log = _Log.open(inputs)
    for number, count in enumerate(round_sizes(spec.tune)):
        start = sum(round_sizes(spec.tune)[:number])
        if len(log.trials) <= start:
            log.trials += [Trial(settings) for settings in propose(space, log.trials, count, seed=number)]
            log.save()
        if any(trial.state == RUNNING for trial in log.trials[start:]):
            _Round(inputs, log).run()
    chosen = best_trial(log.trials)
    if chosen is None:
        raise DivergedError(f"diverged: the loss stopped being finite with each of the {spec.tune} settings tried")
    return Tuning(log.trials, chosen, log.seconds)


@dataclass
class _Log:
    """The trials so far, in a file if there is a place for it.

    Attributes:
        path: of the file.
        identity: of the spec they belong to.
        trials: in the order in which they were begun.
        seconds: that they took.
    """

    path: Path | None
    identity: str
    trials: list[Trial] = field(default_factory=list)
    seconds: float = 0.0
    _saved_at: float = field(default_factory=time.perf_counter)

    @classmethod
    def open(cls, inputs: TuningInputs) -> "_Log":
        path = None if inputs.checkpoint is None else inputs.checkpoint.with_suffix(".trials.json")
        log = cls(path, inputs.context.spec.identity)
        if path is not None:
            with suppress(OSError, ValueError, KeyError, TypeError):
                content = json.loads(path.read_text(encoding="utf-8"))
                if content["identity"] == log.identity:
                    log.trials = [Trial.from_dict(trial) for trial in content["trials"]]
                    log.seconds = content["seconds"]
        return log

    def save(self) -> None:
        """Write the trials, with the time since the last writing."""
        now = time.perf_counter()
        self.seconds, self._saved_at = self.seconds + now - self._saved_at, now
        if self.path is not None:
            content = {
                "identity": self.identity,
                "seconds": self.seconds,
                "trials": [vars(trial) for trial in self.trials],
            }
            with atomic_path(self.path) as temporary:
                temporary.write_text(json.dumps(content), encoding="utf-8")

    def running(self) -> list[int]:
        """Return the numbers of the trials that still train."""
        return [number for number, trial in enumerate(self.trials) if trial.state == RUNNING]


class _Round:
    """The trials that train now, as one population.

    Those of one width stand together, so that one call computes what all their compressors give.
    """

    def __init__(self, inputs: TuningInputs, log: _Log) -> None:
        self._inputs, self._log = inputs, log
        spec = inputs.context.spec
        settings = {number: spec.replace(tune=0, **log.trials[number].settings) for number in log.running()}
        widths = sorted({setting.dim for setting in settings.values()})
        by_width = [[number for number in settings if settings[number].dim == width] for width in widths]
        # The trial of each member.
        self._members = [number for numbers in by_width for number in numbers for _ in TRIAL_SEEDS]
        groups = [self._build([settings[number] for number in numbers]) for numbers in by_width]
        val_labels = inputs.context.data.labels[inputs.context.data.splits["val"]]
        self._training = RungTraining(
            groups,
            inputs.rows,
            loss=spec.loss,
            epochs=spec.epochs,
            batch_size=spec.batch_size,
            lr=[log.trials[number].settings["lr"] for number in self._members],
            score=lambda logits: [score(member, val_labels) for member in logits.numpy()],
            augmentation=spec.augmentation,
            device=inputs.device,
        )

    def _build(self, settings: Sequence[RunSpec]) -> MethodGroup:
        return build_group(
            resolve(settings[0]), self._inputs.embeddings, self._inputs.on_progress, settings, TRIAL_SEEDS
        )[0]

    def run(self) -> None:
        """Train them to their ends."""
        inputs = self._inputs
        path = None if inputs.checkpoint is None else inputs.checkpoint.with_suffix(".tuning.safetensors")
        if path is not None:
            self._training.load(path, self._sign())
        self._training.run(self._keep, self._report, path, self._sign)

    def _sign(self) -> str:
        return f"{self._log.identity}:{self._log.running()}"

    def _report(self, step: int) -> bool:
        """Report how much of the budget is settled; a trial that was stopped is."""
        if self._inputs.on_progress is None:
            return False
        steps, spec, running = self._training.steps, self._inputs.context.spec, self._log.running()
        settled = (len(self._log.trials) - len(running)) * steps + len(running) * step
        return bool(self._inputs.on_progress(Progress(settled, spec.tune * steps, phase="tuning")))

    def _keep(self, epoch: int, scores: list[float], diverged: set[int]) -> list[int]:
        """Write down how the trials did at a rung; return the members of those that go on."""
        present, log, last = self._log.running(), self._log, epoch == self._inputs.context.spec.epochs
        for number in present:
            members = [member for member, trial in enumerate(self._members) if trial == number]
            if diverged & set(members):
                log.trials[number] = replace(log.trials[number], state=DIVERGED, epochs=epoch)
                continue
            value = float(np.mean([scores[member] for member in members]))
            rungs = log.trials[number].rungs | {epoch: value}
            state = FINISHED if last else RUNNING
            log.trials[number] = replace(log.trials[number], state=state, val=value, epochs=epoch, rungs=rungs)
        reached = [number for number, trial in enumerate(log.trials) if epoch in trial.rungs]
        if not last:
            for number, below in zip(reached, below_median([log.trials[n].rungs[epoch] for n in reached]), strict=True):
                if below and log.trials[number].state == RUNNING:
                    log.trials[number] = replace(log.trials[number], state=PRUNED)
        log.save()
        going_on = set(log.running())
        kept = [member for member, number in enumerate(self._members) if number in going_on]
        self._members = [self._members[member] for member in kept]
        return kept
