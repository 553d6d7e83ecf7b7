"""Linear probes: what the spaces of a comparison still know of the target and of each attribute.

`tests/test_pipeline.py` and `tests/test_cancel.py` hold it.
"""

import copy

import numpy as np

from kdlib.analysis.intervals import summarize
from kdlib.analysis.linear_probe import chance_accuracy, probe_targets
from kdlib.cache import Arrays, cached_arrays, content_key
from kdlib.data.datasets import Dataset
from kdlib.progress import OnProgress, report_progress
from kdlib.summary import Summary

VERSION = 2  # of the cached accuracies: raise it when the same space would be scored otherwise


class Probes:
    """Probe accuracies for target and attributes, raw ones computed once. Every probe is a step of the measuring.

    Args:
        data: the dataset.
        train: (n,) rows the probes are fitted on.
        test: (m,) rows they are scored on.
        spaces: how many spaces will be probed, for the progress.
        on_progress: returning True stops.

    Attributes:
        targets: "target" and each attribute of which both sets of rows know something -> its values, of all rows.
        raw: the accuracies for the raw embeddings, empty before `score_raw`.
    """

    def __init__(
        self, data: Dataset, train: np.ndarray, test: np.ndarray, spaces: int, on_progress: OnProgress | None
    ) -> None:
        self.train, self.test = train, test
        attributes = {name: attribute.values for name, attribute in data.attributes.items()}
        self.attributes = [name for name, values in attributes.items() if _is_defined(values, train, test)]
        self.targets = {"target": data.labels} | {name: attributes[name] for name in self.attributes}
        self.raw: dict[str, Summary] = {}
        self._on_progress, self._done, self._steps = on_progress, 0, len(self.targets) * spaces

    def report(self) -> None:
        """Report the probes done so far; called between them, and between the steps of their fits.

        Raises:
            CancelledError: the callback asked to stop.
        """
        report_progress(self._on_progress, "measuring", self._done, self._steps)

    def silent(self) -> "Probes":
        """Return the same probes for another process: they report nothing, and nothing stops them."""
        other = copy.copy(self)
        other._on_progress = None
        return other

    def count_spaces(self, spaces: int) -> None:
        """Count spaces that were probed in another process."""
        self._done += len(self.targets) * spaces

    def chance(self, name: str) -> float:
        """Return what guessing reaches on "target" or an attribute."""
        return chance_accuracy(self.targets[name][self.train], self.targets[name][self.test])

    def score_spaces(self, train: np.ndarray, test: np.ndarray) -> dict[str, Summary]:
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

    def score_raw(self, train: np.ndarray, test: np.ndarray) -> dict[str, Summary]:
        """Return the accuracies for the raw embeddings (n, d) of training and test rows, and store them as `raw`.

        They take longest of all, as this space is the widest, and are the same for every run with this teacher and
        these rows: they are cached, so that the runs of a comparison compute them once.

        Raises:
            CancelledError: the callback asked to stop.
        """
        labels = {name: [y[self.train], y[self.test]] for name, y in self.targets.items()}
        key = content_key(version=VERSION, train=train, test=test, labels=labels)
        done = self._done

        def build() -> Arrays:
            scores = self.score_spaces(train[None], test[None])
            return {str(number): np.array([scores[name].mean]) for number, name in enumerate(self.targets)}

        arrays = cached_arrays("probes", key, build, self.report)
        self._done = done + len(self.targets)
        self.raw = {name: summarize([float(arrays[str(number)][0])]) for number, name in enumerate(self.targets)}
        return self.raw


def _is_defined(values: np.ndarray, train: np.ndarray, test: np.ndarray) -> bool:
    """Return whether a probe for an attribute is defined: few labels may all fall into one category."""
    return len(np.unique(values[train][values[train] >= 0])) > 1 and bool((values[test] >= 0).any())
