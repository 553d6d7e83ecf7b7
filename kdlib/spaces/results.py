"""What is computed about the spaces of a run, typed: the scorecard, and the maps of a projection that takes long.

Both are stored as one JSON object, the report, beside named arrays: `to_parts` writes them, `from_parts` reads them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from kdlib.cache import Arrays

Faithfulness = dict[
    str, Any
]  # of a map: "trustworthiness", "continuity" and "rows", as `projection.faithfulness` has it


@dataclass(frozen=True)
class PairScores:
    """How alike two spaces are; None where a number does not exist.

    Attributes:
        overlap: mean fraction of its nearest neighbours that a row keeps, 0 to 1.
        chance: the same with the rows of one space shuffled.
        cka: linear CKA, 0 (unrelated) to 1 (the same up to scale and turn).
        distance_correlation: 0 to 1.
    """

    overlap: float | None
    chance: float | None
    cka: float | None
    distance_correlation: float | None


@dataclass(frozen=True)
class SpaceScores:
    """What one space is like; None where a number does not exist.

    Attributes:
        width: numbers per item.
        effective_rank: how many directions are really used, 1 to width.
        silhouette: by class, -1 (mixed up) to 1 (well apart).
    """

    width: int
    effective_rank: float | None
    silhouette: float | None


@dataclass(frozen=True)
class Scorecard:
    """What the spaces of a run say about one another.

    Attributes:
        pairs: "a>b" -> how alike these spaces are; empty for a baseline, which has one.
        spaces: space -> what it is like.
        faithful: space -> how far its PCA map can be trusted.
        rows: how many rows were measured.
        k: nearest neighbours that count.
        undefined: why numbers do not exist, one line each.
        change: "a>b" -> (n,) fraction of its neighbours that each row loses.
    """

    pairs: dict[str, PairScores]
    spaces: dict[str, SpaceScores]
    faithful: dict[str, Faithfulness]
    rows: int
    k: int
    undefined: list[str]
    change: dict[str, np.ndarray]

    def to_parts(self) -> tuple[dict[str, Any], Arrays]:
        """Return the report and the arrays."""
        pairs = {name: _spaced(vars(pair)) for name, pair in self.pairs.items()}
        spaces = {name: _spaced(vars(space)) for name, space in self.spaces.items()}
        report = {"pairs": pairs, "spaces": spaces, "faithful": self.faithful, "n": self.rows, "k": self.k}
        return report | {"undefined": self.undefined}, _grouped("change", self.change)

    @classmethod
    def from_parts(cls, report: Mapping[str, Any], arrays: Arrays) -> "Scorecard":
        """Return the scorecard of a report and its arrays.

        Raises:
            KeyError, TypeError, ValueError: they are not those of a scorecard.
        """
        return cls(
            {name: PairScores(**_underscored(pair)) for name, pair in dict(report["pairs"]).items()},
            {name: SpaceScores(**_underscored(space)) for name, space in dict(report["spaces"]).items()},
            report["faithful"],
            report["n"],
            report["k"],
            report["undefined"],
            _group("change", arrays),
        )


@dataclass(frozen=True)
class SpaceMaps:
    """The maps of a projection that takes long.

    Attributes:
        shown: (r,) which of the rows are drawn.
        places: space -> (r, 2).
        notes: space -> what is said below its map.
        faithful: space -> how far its map can be trusted.
    """

    shown: np.ndarray
    places: dict[str, np.ndarray]
    notes: dict[str, str]
    faithful: dict[str, Faithfulness]

    def to_parts(self) -> tuple[dict[str, Any], Arrays]:
        """Return the report and the arrays."""
        arrays = _grouped("places", self.places) | {"shown": self.shown}
        return {"notes": self.notes, "faithful": self.faithful}, arrays

    @classmethod
    def from_parts(cls, report: Mapping[str, Any], arrays: Arrays) -> "SpaceMaps":
        """Return the maps of a report and its arrays.

        Raises:
            KeyError: they are not those of maps.
        """
        return cls(arrays["shown"], _group("places", arrays), report["notes"], report["faithful"])


def _grouped(group: str, arrays: Mapping[str, np.ndarray]) -> Arrays:
    return {f"{group}/{name}": value for name, value in arrays.items()}


def _group(group: str, arrays: Arrays) -> dict[str, np.ndarray]:
    return {name.removeprefix(f"{group}/"): value for name, value in arrays.items() if name.startswith(f"{group}/")}


def _spaced(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields under the names that a report has: with spaces."""
    return {name.replace("_", " "): value for name, value in fields.items()}


def _underscored(report: Mapping[str, Any]) -> dict[str, Any]:
    return {name.replace(" ", "_"): value for name, value in report.items()}
