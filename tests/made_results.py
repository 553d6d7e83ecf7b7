"""Results that no training made, for the tests of comparisons, frames and tables."""

from typing import Any

import numpy as np

from kdlib.results import Cost, RunResult, SpaceStats
from kdlib.spec import RunSpec
from kdlib.summary import SplitMetrics, Summary

SPEC = RunSpec()


def make_result(method: str, values: list[float], **changes: Any) -> RunResult:
    """Return the result of a run of `method` with these accuracies, one per seed, on every split, ± 0.1.

    Args:
        method: of the spec.
        values: one per seed.
        changes: other fields of the spec.
    """
    accuracy = SplitMetrics({"accuracy": Summary(float(np.mean(values)), 0.1 if len(values) > 1 else None, values)})
    metrics = {split: SplitMetrics(dict(accuracy.scores)) for split in ("val", "test", "ood:rotated", "ood")}
    is_baseline = method == "baseline"
    spaces = {} if is_baseline else {"compressed": SpaceStats(changes.get("dim", SPEC.dim), Summary(2.0, None))}
    cost = Cost(100, 1000, bytes_per_embedding=None if is_baseline else 64, seconds=1.0)
    spec = SPEC.replace(method=method, seeds=len(values), **changes)
    return RunResult(spec, metrics=metrics, spaces=spaces, cost=cost)


def rename_metric(result: RunResult) -> RunResult:
    """Return the result with mean average precision in place of accuracy."""
    for metrics in result.metrics.values():
        metrics.scores["map"] = metrics.scores.pop("accuracy")
    return result
