"""A stand-in for `kdlib.pipeline.run` whose scores are a function of method, labelled subset and seed: no training."""

import numpy as np

from kdlib.analysis.intervals import summarize
from kdlib.progress import Progress
from kdlib.results import Cost, Point, RunResult
from kdlib.spec import RunSpec
from kdlib.summary import SplitMetrics
from kdlib.trials import Trial, Tuning

CHOSEN = {"lr": 0.02, "distance_weight": 0.5, "soft_label_weight": 0.0, "dim": 2}
FAILS_FROM = 1_000  # epochs of a run that fails where it adds seeds


def spec(**changes) -> RunSpec:
    """Return a spec of two seeds."""
    return RunSpec(**{"dataset": "digits", "epochs": 1, "labels": 100, "seeds": 2, "teacher": "random"} | changes)


def score(method: str, subset: int, seed: int) -> float:
    """Return the test accuracy of a student: 0.5, and more noise with a compressor."""
    spread = {"baseline": 0.0, "raw": 0.002}.get(method, 0.03)
    return 0.5 + 0.01 * subset + spread * float(np.random.default_rng(seed).normal())


def run(spec: RunSpec, *, device="auto", on_progress=None, checkpoint=None) -> RunResult:
    values = [score(spec.method, spec.subset, seed) for seed in spec.seed_numbers]
    point = Point(1, val=values)
    if on_progress:
        on_progress(Progress(1, 1, point))
    if spec.epochs >= FAILS_FROM and spec.first_seed:
        return RunResult(spec, "failed", "diverged: seed 2 in epoch 1", history=[point])
    metrics = {split: SplitMetrics({"accuracy": summarize(values)}) for split in ("val", "test")}
    tuning = Tuning([Trial(CHOSEN, "finished", 0.7, 1)], 0) if spec.tune else None
    return RunResult(spec, metrics=metrics, history=[point], cost=Cost(seconds=0.1), tuning=tuning)
