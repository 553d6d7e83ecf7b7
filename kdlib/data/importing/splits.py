"""Which items train, choose and judge: as their owner says, the rest drawn by class and always the same way."""

import hashlib
from collections import Counter

import numpy as np

from kdlib.data.intake import IntakeError

SPLIT_WORDS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "dev": "val"}
SPLIT_WORDS |= {"test": "test", "testing": "test", "ood": "ood:other", "": ""}
TEST_SHARE, VAL_SHARE = 0.2, 0.1
MAX_JUDGED = 10_000  # items that judge, per split: more cost time and memory and tell nothing new


def parse_splits(values: list[str], where) -> list[str]:  # noqa: ANN001
    """Return the split of every item from a column that says it."""
    splits = []
    for row, text in enumerate(values):
        word = text.strip().lower()
        if word.startswith("ood:") and len(word) > 4:
            splits.append(f"ood:{text.strip()[4:]}")
        elif word in SPLIT_WORDS:
            splits.append(SPLIT_WORDS[word])
        else:
            raise IntakeError(f"{where(row)}: a split is train, val, test or ood:<name>, got {text!r}")
    return splits


def draw_splits(groups: np.ndarray, ids: np.ndarray, share: float) -> np.ndarray:
    """Return which items are drawn, bool (n,): that share of every group, at least one, by a hash of their id.

    The order of the rows does not matter, and an item that is added moves no other.

    Args:
        groups: (n,) class of each item; negative ones are not drawn.
        ids: (n,) names.
        share: 0 to 1.
    """
    is_drawn = np.zeros(len(groups), dtype=bool)
    marks = np.array(
        [int.from_bytes(hashlib.sha256(name.encode()).digest()[:7], "big") for name in ids.tolist()], dtype=np.int64
    )
    for group in np.unique(groups[groups >= 0]):
        rows = np.flatnonzero(groups == group)
        count = min(max(1, round(share * len(rows))), len(rows) - 1)
        is_drawn[rows[np.argsort(marks[rows], kind="stable")[:count]]] = True
    return is_drawn


def complete_splits(split_of: np.ndarray, groups: np.ndarray, ids: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Return the split of every item where "train", "val" and "test" all are there, and what was drawn, in words.

    Args:
        split_of: (n,) split of each item as far as it is said, "" = to be drawn from; where nothing is "train", ""
            trains.
        groups: (n,) class of each item, -1 = unlabelled.
        ids: (n,) names.
    """
    split_of, notes = split_of.copy(), []
    if not (split_of == "train").any():
        split_of[split_of == ""] = "train"
    for split, share in (("test", TEST_SHARE), ("val", VAL_SHARE)):
        if (split_of == split).any():
            continue
        pool = np.where(split_of == "train", groups, -1)
        split_of[draw_splits(pool, ids, share)] = split
        notes.append(f"{split}: {int((split_of == split).sum()):,} items drawn from the training items, class by class")
    return split_of, notes


def limit_sizes(split_of: np.ndarray, ids: np.ndarray) -> list[str]:
    """Leave out, in place, items of splits that are larger than judging needs; return that in words."""
    notes = []
    for split in sorted(set(split_of.tolist()) - {"", "train"}):
        rows = np.flatnonzero(split_of == split)
        if len(rows) > MAX_JUDGED:
            is_kept = draw_splits(np.where(split_of == split, 0, -1), ids, MAX_JUDGED / len(rows))
            split_of[(split_of == split) & ~is_kept] = ""
            notes.append(f"{split}: {MAX_JUDGED:,} of {len(rows):,} items are used, which is enough to judge")
    return notes


def check_classes(split_of: np.ndarray, labels: np.ndarray, classes: list[str]) -> None:
    """Return if single labels and splits go together.

    Raises:
        IntakeError: a split has nothing labelled, or a class that training never sees; it is named.
    """
    known = labels >= 0
    trained = set(labels[(split_of == "train") & known].tolist())
    for split in ["train", "val", "test", *sorted({s for s in split_of.tolist() if s.startswith("ood:")})]:
        counts = Counter(labels[(split_of == split) & known].tolist())
        if not counts:
            raise IntakeError(f"the split {split} has no labelled item")
        unseen = sorted(set(counts) - trained)
        if unseen:
            name, count = classes[unseen[0]], counts[unseen[0]]
            raise IntakeError(
                f"the split {split} has {count:,} items of class {name!r}, which training never sees; "
                "leave them out or move some"
            )
