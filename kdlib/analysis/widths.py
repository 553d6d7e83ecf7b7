"""Leading widths: what the first 1, 2, 3, ... numbers of a compressed embedding still hold, and what they look like.

Made for compressors whose leading numbers are embeddings by themselves (matryoshka), beside PCA, whose are so too.
`measure_widths` counts, `map_widths` draws; `tests/test_widths.py` holds both.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from kdlib.analysis.geometry import SAMPLE, effective_rank, sample_rows
from kdlib.analysis.neighbours import expected_overlap, find_neighbours, shared_neighbours
from kdlib.analysis.probes import Probes
from kdlib.analysis.projection import align_sequence, pca
from kdlib.cache import Arrays

K = 10  # neighbours
EVERY = 8  # up to here every width is measured, above it four for each doubling


@dataclass(frozen=True)
class SpaceRows:
    """The rows of one space in which widths are compared.

    Attributes:
        train: (n, d), those that probes are fitted on.
        test: (m, d), those that everything is measured on.
    """

    train: np.ndarray
    test: np.ndarray


@dataclass(frozen=True)
class WidthScores:
    """Numbers of one space, each a list with an entry for every width; None where a number does not exist.

    Attributes:
        probes: "target" and each attribute -> accuracy of a linear probe, a fraction.
        overlap: mean fraction of its nearest neighbours in the raw space that a row keeps, 0 to 1.
        effective_rank: how many directions are really used, 1 to the width.
    """

    probes: dict[str, list[float]]
    overlap: list[float | None]
    effective_rank: list[float | None]


@dataclass(frozen=True)
class WidthReport:
    """What leading widths hold, in several spaces of the same rows.

    Attributes:
        widths: ascending; the last is the whole space.
        scores: space -> its numbers.
        raw: the same of the raw embedding, one entry each; its overlap is that with itself.
        raw_width: numbers per item of the raw embedding.
        chance: "target" and each attribute -> accuracy of guessing.
        overlap_chance: overlap to expect of unrelated spaces; None where there are too few rows.
        probed: rows that probes were scored on.
        compared: rows whose neighbours were compared.
        shown: (r,) which of the test rows the maps draw.
        places: space -> (w, r, 2) float32, a map for each width, of one size, each turned onto that of the next width.
    """

    widths: list[int]
    scores: dict[str, WidthScores]
    raw: WidthScores
    raw_width: int
    chance: dict[str, float]
    overlap_chance: float | None
    probed: int
    compared: int
    shown: np.ndarray
    places: dict[str, np.ndarray]

    def to_parts(self) -> tuple[dict[str, Any], Arrays]:
        """Return the report, which JSON can hold, and the arrays."""
        report = {name: value for name, value in vars(self).items() if name not in ("shown", "places")}
        report |= {"raw": asdict(self.raw), "scores": {name: asdict(each) for name, each in self.scores.items()}}
        return report, {"shown": self.shown} | {f"places/{name}": value for name, value in self.places.items()}

    @classmethod
    def from_parts(cls, report: Mapping[str, Any], arrays: Arrays) -> "WidthReport":
        """Return what `to_parts` took apart.

        Raises:
            KeyError, TypeError, ValueError: these are no such parts.
        """
        scores = {name: WidthScores(**each) for name, each in dict(report["scores"]).items()}
        places = {name: arrays[f"places/{name}"] for name in scores}
        changes = {"scores": scores, "raw": WidthScores(**report["raw"]), "shown": arrays["shown"], "places": places}
        return cls(**(dict(report) | changes))


def leading_widths(dim: int) -> list[int]:
    """Return the widths that are compared, ascending: 1 to 8, then four for each doubling, and `dim` itself.

    Raises:
        ValueError: dim < 1.

    Example:
        >>> leading_widths(20)
        [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20]
    """
    if dim < 1:
        raise ValueError(f"a width must be a whole number from 1 up, got {dim}")
    widths, step, width = [*range(1, min(dim, EVERY) + 1)], EVERY // 4, EVERY
    while width < dim:
        widths += [width + step * quarter for quarter in range(1, 5)]
        step, width = 2 * step, 2 * width
    return [*(width for width in widths if width < dim), dim]


def map_widths(space: np.ndarray, widths: Sequence[int], anchor: np.ndarray | None = None) -> np.ndarray:
    """Return a map by PCA of the first numbers of a space, one for each width, (w, n, 2) float32, all of one size.

    Each is turned or mirrored onto that of the next width, so that nothing flips from one to the other.

    Args:
        space: shape (n, d), finite.
        widths: ascending, 1 to d.
        anchor: a map (n, 2) of the same rows; the map of the last width is turned onto it.

    Example:
        >>> map_widths(compressed, [1, 2, 4, 8]).shape
    """
    maps = [pca(space[:, :width]) for width in reversed(widths)]
    aligned = align_sequence(maps if anchor is None else [anchor, *maps])
    return np.stack(aligned[-len(maps) :][::-1])


def measure_widths(
    spaces: Mapping[str, SpaceRows], raw: SpaceRows, widths: Sequence[int], probes: Probes, rows: int = SAMPLE
) -> WidthReport:
    """Return what the first numbers of some spaces hold, and their maps.

    Args:
        spaces: name -> its rows, the same in all.
        raw: these rows in the raw embedding, whose neighbours are kept or not.
        widths: ascending; a space that is narrower than a width counts whole.
        probes: for the training and test rows of the spaces.
        rows: whose neighbours are compared and which are drawn, at most; the rows drawn are half as many.

    Raises:
        ValueError: a probe is undefined, as in `probe_accuracy`.
        CancelledError: the callback of `probes` asked to stop.

    Example:
        >>> report = measure_widths({"pca": SpaceRows(*reduced)}, SpaceRows(train, test), [1, 2, 4], probes)
        >>> report.scores["pca"].probes["target"]
    """
    compared, shown = sample_rows(len(raw.test), rows), sample_rows(len(raw.test), rows // 2)
    before = _try(lambda: find_neighbours(raw.test[compared], K))

    def score(space: SpaceRows, widths: Sequence[int]) -> WidthScores:
        accuracies: dict[str, list[float]] = {name: [] for name in probes.targets}
        overlaps, ranks = [], []
        for width in widths:
            train, test = space.train[:, :width], space.test[:, :width]
            for name, accuracy in probes.score_spaces(train[None], test[None]).items():
                accuracies[name].append(accuracy.mean)
            overlaps.append(_try(lambda test=test: _overlap(before, test[compared])))
            ranks.append(_try(lambda test=test: effective_rank(test)))
        return WidthScores(accuracies, overlaps, ranks)

    places: dict[str, np.ndarray] = {}
    for name, space in spaces.items():
        anchor = next((maps[-1] for maps in places.values()), None)
        places[name] = map_widths(space.test[shown], widths, anchor)
    return WidthReport(
        list(widths),
        {name: score(space, widths) for name, space in spaces.items()},
        score(raw, [raw.test.shape[1]]),
        raw.test.shape[1],
        {name: probes.chance(name) for name in probes.targets},
        _try(lambda: expected_overlap(len(compared), K)),
        len(probes.test),
        len(compared),
        shown,
        places,
    )


def _overlap(before: np.ndarray | None, space: np.ndarray) -> float | None:
    return None if before is None else float(shared_neighbours(before, find_neighbours(space, K)).mean())


def _try(measure: Callable[[], Any]) -> Any:
    """Return a number, None where it does not exist."""
    try:
        return measure()
    except ValueError:
        return None
