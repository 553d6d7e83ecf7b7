"""What one item is near to in each space: its neighbours, and what these have in common with it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kdlib.analysis.neighbours import find_neighbours
from kdlib.data.datasets import Dataset
from kdlib.spaces.rows import Spaces

COUNT = 8  # neighbours: as many as are seen at one glance
COMPARED = ("raw", "compressed")  # what compression forgot is the difference between these
CLASS = "class"


@dataclass(frozen=True)
class Neighbourhood:
    """The nearest neighbours of an item in one space.

    Attributes:
        space: its name.
        rows: (k,) their numbers in the dataset, nearest first.
        shared: "class" and each attribute -> (k,) whether a neighbour has the value that the item has; what is not
            known of the item is left out.
    """

    space: str
    rows: np.ndarray
    shared: dict[str, np.ndarray]

    def count(self, name: str) -> int:
        """Return how many neighbours share the class or an attribute with the item."""
        return int(self.shared[name].sum())


def find_neighbourhoods(spaces: Spaces, data: Dataset, position: int, k: int = COUNT) -> list[Neighbourhood]:
    """Return the neighbourhoods of an item in the raw and the compressed space; without a teacher in the student's.

    Args:
        spaces: in whose rows neighbours are sought, by distance in the spaces themselves.
        data: the dataset of the run.
        position: of the item among `spaces.rows`.
        k: neighbours.

    Raises:
        ValueError: "undefined: ...", as in `find_neighbours`.

    Example:
        >>> [each.count("class") for each in find_neighbourhoods(load_spaces(run_id), data, position=5)]
        [3, 7]
    """
    names = [name for name in COMPARED if name in spaces.spaces] or ["student"]
    found = []
    for name in names:
        [near] = find_neighbours(spaces.spaces[name], k, rows=[position])
        rows = spaces.rows[near]
        found.append(Neighbourhood(name, rows, _shared(data, int(spaces.rows[position]), rows)))
    return found


def _shared(data: Dataset, item: int, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Return "class" and each attribute -> (k,) whether rows have the item's value, where that is known."""
    shared = {}
    if data.multi_label:
        mine = np.nan_to_num(data.labels[item]) > 0
        if mine.any():
            shared[CLASS] = (np.nan_to_num(data.labels[rows]) > 0)[:, mine].any(1)
    elif data.labels[item] >= 0:
        shared[CLASS] = data.labels[rows] == data.labels[item]
    for name, attribute in data.attributes.items():
        if attribute.values[item] >= 0:
            shared[name] = attribute.values[rows] == attribute.values[item]
    return shared


def describe_neighbourhoods(found: Sequence[Neighbourhood]) -> str:
    """Return in a sentence how many neighbours have the class of the item, "" where that is not known.

    Args:
        found: from `find_neighbourhoods`, at least one.

    Example:
        >>> describe_neighbourhoods(find_neighbourhoods(load_spaces(run_id), data, position=5))
        'In the raw space 3 of 8 neighbours have the same class, in the compressed space 7 of 8.'
    """
    if CLASS not in found[0].shared:
        return ""
    parts = [f"{each.count(CLASS)} of {len(each.rows)}" for each in found]
    begin = f"In the {found[0].space} space {parts[0]} neighbours have the same class"
    rest = [f", in the {each.space} space {part}" for each, part in zip(found[1:], parts[1:], strict=True)]
    return begin + "".join(rest) + "."
