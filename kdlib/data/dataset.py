"""What a dataset is: inputs with labels, attributes and splits. Built-in: `datasets`, imported: `imported`."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

IMAGE, AUDIO, VECTOR, TEXT = "image", "audio", "vector", "text"
ITEM_NAMES = {
    IMAGE: "images",
    AUDIO: "sounds",
    VECTOR: "vectors",
    TEXT: "texts",
}  # modality -> plural name of its items


@dataclass(frozen=True)
class Attribute:
    """A known factor of each item other than its label, in categories.

    Attributes:
        values: (n,) int64, the category of each row; -1 where it is not known.
        names: names of the categories.
    """

    values: np.ndarray
    names: tuple[str, ...]


@dataclass(frozen=True)
class Dataset:
    """Items of one target task.

    Attributes:
        name: its name in `DATASETS`, or the name under which it was imported.
        inputs: (n, ...), what students learn from: float32, or smaller numbers on disk that `to_float` turns into it.
        labels: (n,) int64 class indices, -1 = missing; or, for several labels an item, (n, k) float32 of 0, 1 and NaN =
            missing.
        classes: the k class names.
        splits: "train", "val", "test" and any number of "ood:<name>" -> row indices. No row is in two splits.
        attributes: name -> `Attribute`.
        ids: (n,) names of the items, unique.
        modality: "image", "vector", "audio", whose inputs are log-mel spectrograms (1, mels, frames), low frequencies
            first, or "text", whose inputs are bags of n-grams.
        listen: row -> (sampling rate in Hz, wave (samples,) float32), for items that can be played: the whole recording
            at its own rate.
        look: row -> the original picture (h, w, 3) uint8, red first, for items that can be looked at.
        read: row -> the original text, for items that can be read.
        rate: of the sound that spectrograms show, Hz; 0 for anything else.

    Example:
        data = kdlib.data.datasets.load("digits")
        rows = data.labelled(100)  # 100 training rows with labels, classes in turn
    """

    name: str
    inputs: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    splits: dict[str, np.ndarray]
    attributes: dict[str, Attribute] = field(default_factory=dict)
    ids: np.ndarray = field(default_factory=lambda: np.array([], dtype=str))
    modality: str = IMAGE
    listen: Callable[[int], tuple[int, np.ndarray]] | None = None
    look: Callable[[int], np.ndarray] | None = None
    read: Callable[[int], str] | None = None
    rate: int = 0

    @property
    def multi_label(self) -> bool:
        """Whether an item can carry several labels."""
        return self.labels.ndim == 2

    @property
    def out_of_domain(self) -> tuple[str, ...]:
        """Names of the out-of-domain test sets."""
        return tuple(name for name in self.splits if name.startswith("ood:"))

    @property
    def labelled_rows(self) -> int:
        """Number of training rows with a label."""
        labels = self.labels[self.splits["train"]]
        return int((~np.isnan(labels).all(axis=1) if self.multi_label else labels >= 0).sum())

    def labelled(self, count: int, subset: int = 0) -> np.ndarray:
        """Return `count` rows of the training split whose labels the student may see, (count,) int64.

        Classes take turns, so every class is included; with several labels an item, every class has a positive and a
        negative row if the training rows have both. The rows of a smaller count are among those of a larger one.

        Args:
            count: of rows.
            subset: which draw: 0 takes the first rows of the split, any other number shuffles it before; two draws may
                share rows.

        Raises:
            ValueError: too few to include every class, or more than there are.
        """
        order = self._labelled_order(subset)
        if count < len(self.classes):
            raise ValueError(
                f"{count} labels cannot cover the {len(self.classes)} classes of {self.name}; "
                f"use at least {len(self.classes)}"
            )
        if count > len(order):
            raise ValueError(f"{self.name} has {len(order)} labelled training rows, got {count}")
        return order[self._cover_classes(self.labels[order], count)] if self.multi_label else order[:count]

    def _labelled_order(self, subset: int) -> np.ndarray:
        """Return all labelled training rows, single labels sorted so that classes take turns."""
        train = self.splits["train"]
        if subset:
            train = np.random.default_rng(subset).permutation(train)
        if self.multi_label:
            return train[~np.isnan(self.labels[train]).all(axis=1)]
        rows = train[self.labels[train] >= 0]
        rank = np.empty(len(rows), dtype=np.int64)  # number of earlier rows of the same class
        for label in range(len(self.classes)):
            same = self.labels[rows] == label
            rank[same] = np.arange(same.sum())
        return rows[np.lexsort((self.labels[rows], rank))]

    def _cover_classes(self, labels: np.ndarray, count: int) -> np.ndarray:
        """Return which `count` rows of labels (n, k) hold every class present and absent: the first if these do."""
        shown = np.concatenate([labels == 1, labels == 0], axis=1)
        missing = shown.any(axis=0)
        if (shown[:count].any(axis=0) == missing).all():
            return np.arange(count)
        enough = shown[:, missing].argmax(axis=0).max() + 1  # the first rows that together hold everything
        cover: list[int] = []
        while missing.any():
            cover.append(int((shown[:enough] & missing).sum(axis=1).argmax()))
            missing &= ~shown[cover[-1]]
        if count < len(cover):
            raise ValueError(
                f"{count} labels cannot hold a positive and a negative row of each of the {len(self.classes)} classes "
                f"of {self.name}; use at least {len(cover)}"
            )
        return np.concatenate([cover, np.setdiff1d(np.arange(enough), cover)])[:count]


def to_float(inputs: np.ndarray) -> np.ndarray:
    """Return inputs as networks get them, float32: bytes in [0, 1], other numbers as they are.

    Give it the rows that are needed: it reads all of them.

    Args:
        inputs: (n, ...) or a single item, of any type in which inputs are stored.

    Example:
        batch = torch.from_numpy(to_float(data.inputs[rows]))
    """
    if inputs.dtype == np.uint8:
        return np.asarray(inputs, np.float32) / 255
    return np.asarray(inputs, np.float32)


def to_colours(inputs: np.ndarray, row: int) -> np.ndarray:
    """Return a picture of inputs (n, 1 or 3, h, w) as (h, w, 3) uint8: what lies in [0, 1] from black to white."""
    shown = np.round(255 * np.clip(to_float(inputs[row]), 0, 1)).astype(np.uint8)
    return np.repeat(shown, 3 // len(shown), axis=0).transpose(1, 2, 0)


def consecutive_splits(sizes: dict[str, int]) -> dict[str, np.ndarray]:
    """Return row indices of splits that follow one another."""
    ends = np.cumsum(list(sizes.values()))
    return {name: np.arange(end - size, end) for (name, size), end in zip(sizes.items(), ends, strict=True)}


def numbered_ids(sizes: dict[str, int]) -> np.ndarray:
    """Return "<split>-<number>" for every row, (n,)."""
    return np.array([f"{split.removeprefix('ood:')}-{i:05d}" for split, size in sizes.items() for i in range(size)])
