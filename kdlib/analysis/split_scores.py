"""Scores of trained members on every split. `tests/test_pipeline.py` holds it."""

from collections.abc import Callable

import numpy as np

from kdlib.analysis.evaluation import scores, thresholds
from kdlib.analysis.intervals import summarize
from kdlib.data.datasets import Dataset
from kdlib.summary import SplitMetrics


def score_splits(
    logits: dict[str, np.ndarray], data: Dataset, splits: dict[str, np.ndarray], report: Callable[[], None]
) -> dict[str, SplitMetrics]:
    """Return split -> scores over members, and under "ood" the mean of the out-of-domain sets.

    With several labels an item, the thresholds of F1 are each member's own, chosen per class on the validation rows.

    Args:
        logits: split -> (m, n, k); "train" is left out.
        data: for the labels.
        splits: split -> its rows.
        report: called before each member is scored.

    Example:
        >>> score_splits({"val": logits, "test": others}, data, data.splits, report)["test"].scores["accuracy"]
    """
    val_labels = data.labels[splits["val"]]
    cuts = [thresholds(member, val_labels) if data.multi_label else 0.5 for member in logits["val"]]

    def score_members(split: str) -> list[dict[str, float]]:
        members = []
        for member, cut in zip(logits[split], cuts, strict=True):
            report()
            members.append(scores(member, data.labels[splits[split]], cut))
        return members

    metrics = {}
    for split in logits:
        if split != "train":
            members = score_members(split)
            names = members[0]
            metrics[split] = SplitMetrics({name: summarize([member[name] for member in members]) for name in names})
    outside = [metrics[name] for name in data.out_of_domain]
    if outside:
        means = {name: np.mean([split[name].values for split in outside], axis=0) for name in outside[0].scores}
        metrics["ood"] = SplitMetrics({name: summarize(values.tolist()) for name, values in means.items()})
    return metrics
