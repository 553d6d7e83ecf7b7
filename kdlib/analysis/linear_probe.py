"""Linear probes: how well a linear classifier reads a space, against guessing.

A number that does not exist is a `ValueError` that says "undefined: reason", never NaN. Everything here is a fraction,
not percent. `tests/test_linear_probe.py` and `tests/test_logistic.py` hold it.
"""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from sklearn.preprocessing import StandardScaler

from kdlib.analysis.evaluation import average_precision, check_rows, known_rows
from kdlib.analysis.logistic import LogisticProblem, Regression

STRENGTHS = (0.03, 0.3, 3.0)  # inverse regularisation a probe chooses from, strongest regularisation first
PROBED_NUMBERS = 2**25  # of features that are probed at once; more spaces wait for the next turn


def probe_accuracy(
    train_x: np.ndarray,
    train_y: np.ndarray,
    test_x: np.ndarray,
    test_y: np.ndarray,
    on_fit: Callable[[], None] | None = None,
) -> float:
    """Return how well a linear classifier reads labels from frozen features: accuracy, multi-label mAP, in [0, 1].

    `probe_accuracies` of one space, with features (n, d) and (n', d).

    Example:
        >>> probe_accuracy(embeddings[train], labels[train], embeddings[test], labels[test])
    """
    return probe_accuracies(np.asarray(train_x)[None], train_y, np.asarray(test_x)[None], test_y, on_fit)[0]


def probe_accuracies(
    train_x: np.ndarray,
    train_y: np.ndarray,
    test_x: np.ndarray,
    test_y: np.ndarray,
    on_fit: Callable[[], None] | None = None,
) -> list[float]:
    """Return how well a linear classifier reads labels from each of m spaces: accuracy, multi-label mAP, in [0, 1].

    Multinomial logistic regression on standardised columns, its regularisation chosen on a fifth of the training rows.
    The spaces are fitted together (`kdlib.analysis.logistic`): five of 1,000 x 32 in 10 classes take 0.1 s.

    Args:
        train_x: features, shape (m, n, d).
        train_y: integers (n,), negative = missing, or multi-label floats (n, k), NaN = missing. What is missing is
            skipped.
        test_x: features, shape (m, n', d).
        test_y: as `train_y`, for the test rows. A class that training never saw counts as wrong.
        on_fit: called before each step of the fits; what it raises ends the probe.

    Raises:
        ValueError: shapes do not match; or "undefined: ..." if nothing is labelled, the training labels do not differ,
            or features are not finite.

    Example:
        >>> probe_accuracies(features[:, train], labels[train], features[:, test], labels[test])
    """
    probed = probe_targets(train_x, test_x, {"labels": (train_y, test_y)}, on_fit)
    return [accuracy for _, accuracies in probed for accuracy in accuracies]


def probe_targets(
    train_x: np.ndarray,
    test_x: np.ndarray,
    targets: Mapping[str, tuple[np.ndarray, np.ndarray]],
    on_fit: Callable[[], None] | None = None,
) -> Iterator[tuple[str, list[float]]]:
    """Yield the name of each list of labels with what `probe_accuracies` are on it, for the first spaces, the next ...

    As many spaces as fit in memory together are prepared once for all lists.

    Args:
        train_x: features, shape (m, n, d).
        test_x: features, shape (m, n', d).
        targets: name -> labels of the training and of the test rows, as in `probe_accuracies`.
        on_fit: called before each step of the fits; what it raises ends the probe.

    Raises:
        ValueError: as in `probe_accuracies`.

    Example:
        >>> dict(probe_targets(features[:, train], features[:, test], {"target": (labels[train], labels[test])}))
    """
    train_x, test_x = np.asarray(train_x), np.asarray(test_x)
    for train_y, test_y in targets.values():
        check_rows("training features", train_x[0], "training labels", train_y)
        check_rows("test features", test_x[0], "test labels", test_y)
    if not (np.isfinite(train_x).all() and np.isfinite(test_x).all()):
        raise ValueError("undefined: some features are not finite")
    together = max(1, PROBED_NUMBERS // max(1, train_x[0].size))
    for first in range(0, len(train_x), together):
        trains, tests = _standardise(train_x[first:][:together], test_x[first:][:together])
        for name, labels in targets.items():
            train_y, test_y = map(np.asarray, labels)
            probe = _multi_label_probe if train_y.ndim == 2 else _single_label_probe
            yield name, probe(trains, tests, train_y, test_y, on_fit)


def chance_accuracy(train_y: np.ndarray, test_y: np.ndarray) -> float:
    """Return what `probe_accuracy` can be without the features, in [0, 1].

    Single-label: the share of the most frequent class among the test rows, the best that one answer for all of them can
    reach. It is never below 1/k; a probe that knows nothing lands near it, or below.
    Multi-label: the mean share of positives over the classes that `probe_accuracy` scores, which is the average
    precision of a random order.

    Args:
        train_y: labels as in `probe_accuracy`; those of several labels an item say which classes are scored.
        test_y: labels as in `probe_accuracy`.

    Raises:
        ValueError: "undefined: ..." if nothing is labelled.

    Example:
        >>> chance_accuracy(np.array([0, 0, 1]), np.array([0, 1, 1, 1]))
        0.75
    """
    train_y, test_y = np.asarray(train_y), np.asarray(test_y)
    if train_y.ndim == 2:
        return float(np.mean([np.nanmean(test_y[:, c]) for c in _probed_classes(train_y, test_y)]))
    _, counts = np.unique(test_y[known_rows(test_y)], return_counts=True)
    return float(counts.max() / counts.sum())


def _standardise(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows (m, n, d) and (m, n', d) of m spaces in units of the training rows' spread, float32."""
    spaces = [_standardise_space(*pair) for pair in zip(train, test, strict=True)]
    train, test = (np.stack(side) for side in zip(*spaces, strict=True))
    return train, test


def _standardise_space(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    scaler = StandardScaler().fit(train.astype(np.float64))  # float64: squares of 1e30 must not overflow
    train, test = (np.asarray(scaler.transform(each.astype(np.float64)), np.float32) for each in (train, test))
    return train, test


def _single_label_probe(
    train_x: np.ndarray, test_x: np.ndarray, train_y: np.ndarray, test_y: np.ndarray, on_fit: Callable[[], None] | None
) -> list[float]:
    train, test = known_rows(train_y), known_rows(test_y)
    classes, y = np.unique(train_y[train], return_inverse=True)
    if len(classes) < 2:
        raise ValueError("undefined: a probe needs two classes among the training labels, got 1")
    fitted = _fit_best(train_x[:, train], y[:, None], np.ones((len(y), 1), bool), on_fit)
    predicted = classes[_decide(fitted.logits(test_x[:, test]))[..., 0]]
    return (predicted == test_y[test]).mean(1).tolist()


def _multi_label_probe(
    train_x: np.ndarray, test_x: np.ndarray, train_y: np.ndarray, test_y: np.ndarray, on_fit: Callable[[], None] | None
) -> list[float]:
    columns = _probed_classes(train_y, test_y)
    known, y = ~np.isnan(train_y[:, columns]), (train_y[:, columns] == 1).astype(int)
    fitted = _fit_best(train_x, y, known, on_fit)
    values = np.zeros((len(train_x), len(columns)))
    for place, logits in enumerate(fitted.logits(test_x)[..., 0].transpose(2, 0, 1)):
        targets = test_y[:, columns[place]]
        rows = ~np.isnan(targets)
        values[:, place] = [average_precision(member, targets[rows]) for member in logits[:, rows]]
    return values.mean(1).tolist()


def _probed_classes(train_y: np.ndarray, test_y: np.ndarray) -> list[int]:
    """Return the columns with negative and positive training labels and a positive test label."""
    defined = (train_y == 0).any(axis=0) & (train_y == 1).any(axis=0) & (test_y == 1).any(axis=0)
    classes = np.flatnonzero(defined).tolist()
    if not classes:
        raise ValueError("undefined: no class has positive and negative training rows and a positive test row")
    return classes


def _fit_best(x: np.ndarray, y: np.ndarray, known: np.ndarray, on_fit: Callable[[], None] | None) -> Regression:
    """Return regressions fitted to all known rows, each at the strength that is best on a fifth of them.

    Args:
        x: (m, n, d) standardised.
        y: (n, q) class numbers from 0, of q lists of labels.
        known: (n, q) which rows have a label.
        on_fit: called before each step.
    """
    problem = LogisticProblem(x, on_fit)
    held_out = np.zeros_like(known)
    for column, rows in enumerate(known.T):
        held_out[rows, column] = _hold_out_fifth(y[rows, column])
    kept = known & ~held_out
    varied = [len(np.unique(labels[rows])) > 1 for labels, rows in zip(y.T, kept.T, strict=True)]
    decided = np.array(varied) & held_out.any(0)
    kept[:, ~decided] = known[:, ~decided]
    tries = len(STRENGTHS)
    targets, strengths = _targets(y), np.array(STRENGTHS, np.float32)
    tried = problem.fit(
        targets.repeat(tries, 0),
        kept.T.astype(np.float32).repeat(tries, 0),
        np.tile(strengths, (len(x), y.shape[1])),  # (m, q · tries)
    )
    right = (_decide(tried.logits(x)) == y.repeat(tries, 1)) & held_out.repeat(tries, 1)
    best = np.where(decided, right.sum(1).reshape(len(x), -1, tries).argmax(2), 0)  # (m, q)
    start = tried.choose(best + tries * np.arange(y.shape[1]))
    return problem.fit(targets, known.T.astype(np.float32), strengths[best], start)


def _targets(y: np.ndarray) -> np.ndarray:
    """Return class numbers (n, q) as 0 and 1, (q, k, n), k = 1 for two classes."""
    classes = int(y.max()) + 1
    return (y.T[:, None] == (1 if classes == 2 else np.arange(classes)[:, None])).astype(np.float32)


def _decide(logits: np.ndarray) -> np.ndarray:
    """Return the class numbers (m, n, q) that logits (m, n, q, k) say."""
    return logits.argmax(-1) if logits.shape[-1] > 1 else (logits[..., 0] > 0).astype(int)


def _hold_out_fifth(y: np.ndarray) -> np.ndarray:
    """Return which rows to hold out, bool (n,): a fifth of every class, chosen by a fixed seed."""
    order = np.lexsort((np.random.default_rng(0).random(len(y)), y))
    held_out = np.zeros(len(y), dtype=bool)
    held_out[order[2::5]] = True
    return held_out
