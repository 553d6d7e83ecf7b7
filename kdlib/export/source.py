"""What is exported of a run: some of its students, with everything that is known of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from kdlib import runs
from kdlib.analysis.intervals import summarize
from kdlib.results import RunResult
from kdlib.store import CANCELLED, DONE, FAILED, RunInfo, RunNotFoundError
from kdlib.summary import SplitMetrics

if TYPE_CHECKING:
    from kdlib.data.dataset import Dataset
    from kdlib.export.inputs import InputSpec
    from kdlib.models.projectors import Widths
    from kdlib.models.students import Student

BEST, ENSEMBLE = "best", "ensemble"


@dataclass(frozen=True)
class ExportSource:
    """Students of a finished run.

    Attributes:
        run: the run.
        result: what came of it, of all its seeds, without arrays.
        data: its dataset.
        seeds: the members that are exported; several make one graph.
        weights: name of a parameter -> (m, ...) of these members, the adapter's included where there is one.
        logits: split -> (m, n, k) as the run predicted them.
        form: what the graph takes.
    """

    run: RunInfo
    result: RunResult
    data: "Dataset"
    seeds: tuple[int, ...]
    weights: Mapping[str, np.ndarray] = field(repr=False)
    logits: Mapping[str, np.ndarray] = field(repr=False)
    form: "InputSpec"

    @property
    def adapter_width(self) -> "Widths":
        """Width of the adapter that the students were trained with, one for each separate teacher; 0 without one."""
        from kdlib.models.projectors import projected_width

        return projected_width({name: value.shape[1:] for name, value in self.weights.items()})

    def students(self) -> list["Student"]:
        """Return the members as ordinary modules."""
        import torch

        from kdlib.models.students import build_student

        spec, built = self.result.spec, []
        for member in range(len(self.seeds)):
            student = build_student(
                spec.student,
                self.form.student_shape,
                spec.width,
                len(self.data.classes),
                self.adapter_width,
                spec.depth,
                spec.projector,
            )
            student.load_state_dict({name: torch.from_numpy(value[member]) for name, value in self.weights.items()})
            built.append(student.eval())
        return built

    def combined_logits(self, split: str) -> np.ndarray:
        """Return the logits (n, k) of what is exported: of the one member, or of the mean of their probabilities."""
        return ensemble_logits(self.logits[split], self.data.multi_label)

    def thresholds(self) -> np.ndarray:
        """Return the probability (k,) from which each class counts as present, chosen on the validation rows.

        0.5 where every item has one label, and nothing is decided by it.
        """
        from kdlib.analysis.evaluation import thresholds

        if not self.data.multi_label:
            return np.full(len(self.data.classes), 0.5)
        return thresholds(self.combined_logits("val"), self.data.labels[self.data.splits["val"]])

    def metrics(self) -> dict[str, SplitMetrics]:
        """Return the scores of the members that are exported, each by itself."""
        return {
            split: SplitMetrics(
                {
                    name: summarize([summary.values[seed] for seed in self.seeds])
                    for name, summary in metrics.scores.items()
                    if len(summary.values) == self.result.spec.seeds
                }
            )
            for split, metrics in self.result.metrics.items()
        }


def load_source(run_id: str, seed: str | int = BEST) -> ExportSource:
    """Return the students of a run that a seed names.

    Args:
        run_id: of the run.
        seed: "best" (by validation score), "ensemble" (all of them) or a number from 0 up.

    Raises:
        ValueError: the run is not done, has no such seed, or its files or its dataset are gone.

    Example:
        >>> load_source(run_id, "ensemble").seeds
        (0, 1, 2, 3, 4)
    """
    from kdlib.data import datasets  # a page that offers an export loads without
    from kdlib.export.inputs import InputSpec

    run = runs.get(run_id)
    _check_state(run)
    try:
        result, weights = runs.result(run_id), runs.arrays(run_id, "student")
        logits = runs.arrays(run_id, "predictions")
    except RunNotFoundError as error:
        raise ValueError(
            f"the files of run {run.name!r} are gone or of another version ({error}); launch it again to export it"
        ) from error
    try:
        data = datasets.load(run.spec.dataset)
    except ValueError as error:
        raise ValueError(f"run {run.name!r} cannot be exported without its dataset: {error}") from error
    members = {name.removeprefix("student/"): value for name, value in weights.items()}
    seeds = choose_seeds(result, seed)
    chosen = list(seeds)
    return ExportSource(
        run,
        result,
        data,
        seeds,
        {name: value[chosen] for name, value in members.items()},
        {name.removeprefix("logits/"): value[chosen] for name, value in logits.items()},
        InputSpec.of(data),
    )


def _check_state(run: RunInfo) -> None:
    if run.state == DONE:
        return
    state = {FAILED: f"failed ({run.reason})", CANCELLED: "was cancelled"}.get(run.state, f"is {run.state}")
    raise ValueError(f"run {run.name!r} {state}; only a run that is done can be exported")


def choose_seeds(result: RunResult, seed: str | int) -> tuple[int, ...]:
    """Return the members that a seed names; arguments and errors as in `load_source`."""
    count = result.spec.seeds
    if seed == ENSEMBLE:
        return tuple(range(count))
    if seed == BEST:
        score = result.score("val")
        return (int(np.argmax(score.values)) if score and score.values else 0,)
    if str(seed).isdecimal() and int(seed) < count:
        return (int(seed),)
    raise ValueError(f"seed must be {BEST}, {ENSEMBLE} or a number from 0 to {count - 1}, got {seed!r}")


def narrow_result(source: ExportSource) -> RunResult:
    """Return the result as far as it is about the members that are exported, without arrays and curves."""
    return replace(source.result, metrics=source.metrics(), history=[], arrays={})


def ensemble_logits(logits: np.ndarray, multi_label: bool) -> np.ndarray:
    """Return the logits (n, k) of the mean probability of members' logits (m, n, k)."""
    from scipy.special import expit, log_softmax, logsumexp

    if len(logits) == 1:
        return logits[0]
    if not multi_label:
        return logsumexp(log_softmax(logits, axis=-1), axis=0) - np.log(len(logits))
    mean = expit(logits.astype(np.float64)).mean(axis=0).clip(1e-7, 1 - 1e-7)
    return np.log(mean) - np.log1p(-mean)
