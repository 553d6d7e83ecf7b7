"""Linear probes: what the spaces of a comparison still know of the target and of each attribute.

`tests/test_pipeline.py` and `tests/test_cancel.py` hold it.
"""

import copy
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from kdlib.analysis.intervals import summarize
from kdlib.analysis.linear_probe import chance_accuracy, probe_targets
from kdlib.cache import Arrays, cached_arrays, content_key
from kdlib.data.datasets import Dataset
from kdlib.processes import results_of
from kdlib.progress import OnProgress, report_progress
from kdlib.summary import Summary

VERSION = 3  # of the cached accuracies: raise it when the same space would be scored otherwise

Key = TypeVar("Key", bound=Hashable)
Scores = dict[str, Summary]  # "target" or attribute -> accuracy over members


@dataclass(frozen=True)
class Space:
    """What is probed.

    Attributes:
        train: the space of each member, (m, n, d), training rows.
        test: the same for the test rows.
        cached: whether other comparisons have the same, so that its accuracies are kept.
    """

    train: np.ndarray
    test: np.ndarray
    cached: bool = False


class Probes:
    """Probe accuracies for target and attributes. Every probe is a step of the measuring.

    Args:
        data: the dataset.
        train: (n,) rows the probes are fitted on.
        test: (m,) rows they are scored on.
        spaces: how many spaces will be probed, for the progress.
        on_progress: returning True stops.

    Attributes:
        targets: "target" and each attribute of which both sets of rows know something -> its values, of all rows.
    """

    def __init__(
        self, data: Dataset, train: np.ndarray, test: np.ndarray, spaces: int, on_progress: OnProgress | None
    ) -> None:
        self.train, self.test = train, test
        attributes = {name: attribute.values for name, attribute in data.attributes.items()}
        self.attributes = [name for name, values in attributes.items() if _is_defined(values, train, test)]
        self.targets = {"target": data.labels} | {name: attributes[name] for name in self.attributes}
        self._on_progress, self._done, self._steps = on_progress, 0, len(self.targets) * spaces

    def report(self) -> None:
        """Report the probes done so far; called between them, and between the steps of their fits.

        Raises:
            CancelledError: the callback asked to stop.
        """
        report_progress(self._on_progress, "measuring", self._done, self._steps)

    def chance(self, name: str) -> float:
        """Return what guessing reaches on "target" or an attribute."""
        return chance_accuracy(self.targets[name][self.train], self.targets[name][self.test])

    def score_spaces(self, train: np.ndarray, test: np.ndarray) -> Scores:
        """Return "target" or attribute -> accuracy over members, whose probes are fitted together.

        Args:
            train: the space of each member, (m, n, d), training rows.
            test: the same for the test rows.

        Raises:
            CancelledError: the callback asked to stop.
        """
        labels = {name: (y[self.train], y[self.test]) for name, y in self.targets.items()}
        found: dict[str, list[float]] = {name: [] for name in labels}
        for name, accuracies in probe_targets(train, test[:, : len(self.test)], labels, self.report):
            self._done += len(accuracies)
            found[name] += accuracies
        return {name: summarize(accuracies) for name, accuracies in found.items()}

    def score_all(self, spaces: Mapping[Key, Space], processes: int) -> dict[Key, Scores]:
        """Return the accuracies for several spaces, as of `score_spaces`; so many processes share the work.

        Raises:
            CancelledError: the callback asked to stop.
        """
        there = self
        if processes > 1:  # another process reports nothing, and is ended when it is to stop
            there = copy.copy(self)
            there._on_progress = None

        def score(key: Key) -> Scores:
            space = spaces[key]
            return (there._score_cached if space.cached else there.score_spaces)(space.train, space.test)

        keys = sorted(spaces, key=lambda key: -spaces[key].train.size)  # nobody ends on a long one
        scores: dict[Key, Scores] = {}
        for place, found in results_of(score, keys, processes, self.report):
            key = keys[place]
            scores[key] = found
            self._done += 0 if there is self else len(self.targets) * len(spaces[key].train)
        return scores

    def _score_cached(self, train: np.ndarray, test: np.ndarray) -> Scores:
        labels = {name: [y[self.train], y[self.test]] for name, y in self.targets.items()}
        key = content_key(version=VERSION, train=train, test=test, labels=labels)
        done = self._done

        def build() -> Arrays:
            scores = self.score_spaces(train, test)
            return {str(number): np.array(scores[name].values) for number, name in enumerate(self.targets)}

        arrays = cached_arrays("probes", key, build, self.report)
        self._done = done + len(self.targets) * len(train)
        return {name: summarize(arrays[str(number)].tolist()) for number, name in enumerate(self.targets)}


def _is_defined(values: np.ndarray, train: np.ndarray, test: np.ndarray) -> bool:
    """Return whether a probe for an attribute is defined: few labels may all fall into one category."""
    return len(np.unique(values[train][values[train] >= 0])) > 1 and bool((values[test] >= 0).any())
