"""Scores over seeds: `Summary`, and what is made of it, `SplitMetrics` and `Probe`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SPACES = ("raw", "compressed", "student")  # in the order in which data flow through them


@dataclass(frozen=True)
class Summary:
    """One number per seed, their mean, and its confidence interval.

    Attributes:
        mean: of the values.
        ci95: half-width of the two-sided 95 % interval; None for fewer than two values.
        values: one per seed, or one where all seeds share a space; empty where they are not known.
        subsets: over how many draws of labelled rows; `values` then hold all seeds of the first, then of the next.
        looks: how often the interval could be looked at before it was decided to go on; it is as much wider.
    """

    mean: float
    ci95: float | None
    values: list[float] = field(default_factory=list)
    subsets: int = 1
    looks: int = 1

    @property
    def sample(self) -> str:
        """What its values are, in words: "5 seeds", "3 labelled subsets x 5 seeds"."""
        count = len(self.values) // self.subsets
        seeds = f"{count} seed{'' if count == 1 else 's'}"
        words = seeds if self.subsets == 1 else f"{self.subsets} labelled subsets x {seeds}"
        return words if self.looks == 1 else f"{words}, widened for {self.looks} looks"

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold; a single subset and a single look are left out."""
        return {name: value for name, value in vars(self).items() if name not in ("subsets", "looks") or value != 1}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Summary":
        """Return the summary of a JSON object; fields of a later version are left out."""
        values, subsets, looks = data.get("values", ()), data.get("subsets", 1), data.get("looks", 1)
        return cls(data["mean"], data["ci95"], list(values), subsets, looks)


@dataclass(frozen=True)
class SplitMetrics:
    """The scores on one split, as fractions.

    Attributes:
        scores: metric -> over the seeds: "accuracy" for one label an item; "map", "roc_auc" and "f1" for several.
    """

    scores: dict[str, Summary]

    def __getitem__(self, metric: str) -> Summary:
        return self.scores[metric]

    @property
    def primary_name(self) -> str:
        """The metric that counts first: "accuracy", or "map" for several labels an item."""
        return "accuracy" if "accuracy" in self.scores else "map"

    @property
    def primary(self) -> Summary:
        """The score that counts first."""
        return self.scores[self.primary_name]

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "SplitMetrics":
        """Return the scores of a JSON object."""
        return cls({name: Summary.from_dict(value) for name, value in data.items()})


@dataclass(frozen=True)
class Probe:
    """How well a linear probe predicts one label (the target or an attribute) from each space, accuracy as a fraction.

    Attributes:
        chance: accuracy of guessing; None where it was not computed.
        raw, compressed, student: over the seeds; None where the space does not exist or was not probed.
    """

    chance: float | None = None
    raw: Summary | None = None
    compressed: Summary | None = None
    student: Summary | None = None

    def spaces(self) -> dict[str, Summary]:
        """Return space -> accuracy for the spaces that were probed, in the order in which data flow through them."""
        return {name: value for name in SPACES if (value := getattr(self, name)) is not None}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Probe":
        """Return the probe of a JSON object."""
        return cls(data.get("chance"), **{name: Summary.from_dict(data[name]) for name in SPACES if data.get(name)})
