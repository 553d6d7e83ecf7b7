"""Width x precision: what an embedding is still worth when it is stored in fewer numbers and in fewer bits.

Always test rows against training rows; `measure_precisions` measures, `cheapest` chooses.
`tests/test_width_precision.py` holds both.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from kdlib.analysis.intervals import summarize
from kdlib.analysis.linear_probe import probe_accuracy
from kdlib.analysis.neighbours import shared_neighbours
from kdlib.analysis.retrieval import nearest_codes, neighbour_score, recall_at
from kdlib.models.quantization import PRECISIONS, Quantizer, calibrate
from kdlib.summary import Summary

K = 10  # neighbours
TRAIN_ROWS, TEST_ROWS = 10_000, 2000  # at most; of more, so many are drawn
TOLERANCE = 0.01  # how far below the best the cheapest may be
MEASURES = {
    "probe": "probe accuracy",
    "knn": "kNN accuracy",
    "overlap": "neighbour overlap @ 10",
    "recall_1": "recall @ 1",
    "recall_10": "recall @ 10",
}


@dataclass(frozen=True)
class PrecisionRow:
    """What one width in one precision takes and is worth, fractions over the seeds.

    Attributes:
        width: numbers per item.
        precision: a name in `PRECISIONS`.
        item_bytes: per item.
        probe: of the target by a linear probe: accuracy, mAP with several labels an item.
        knn: of the target by the 10 nearest training rows: accuracy, or mAP.
        overlap: share of the 10 nearest training rows in the full raw embedding that are still among the 10 nearest.
        recall_1, recall_10: share of rows with one of their class among the 1 or 10 nearest training rows.
    """

    width: int
    precision: str
    item_bytes: int
    probe: Summary
    knn: Summary
    overlap: Summary
    recall_1: Summary
    recall_10: Summary

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "PrecisionRow":
        """Return the row of a JSON object.

        Raises:
            KeyError, TypeError: it is not one.
        """
        values = {name: Summary.from_dict(data[name]) for name in MEASURES}
        return cls(int(data["width"]), str(data["precision"]), int(data["item_bytes"]), **values)


@dataclass(frozen=True)
class LabelledRows:
    """Embeddings of the rows that are compared, with their labels.

    Attributes:
        train: (n, d), in a random order.
        test: (m, d).
        train_labels: (n,) or (n, k), as in `probe_accuracy`.
        test_labels: (m,) or (m, k).
    """

    train: np.ndarray
    test: np.ndarray
    train_labels: np.ndarray
    test_labels: np.ndarray


def neighbours_of(rows: LabelledRows, quantizer: Quantizer) -> np.ndarray:
    """Return the nearest training rows of each test row in a precision, (m, K)."""
    return nearest_codes(quantizer.encode(rows.test), quantizer.encode(rows.train), K, quantizer)


def measure_precisions(
    members: Sequence[LabelledRows],
    widths: Sequence[int],
    raw: np.ndarray,
    on_cell: Callable[[], None] | None = None,
) -> list[PrecisionRow]:
    """Return a row for each width and precision, over the members.

    Args:
        members: the space as each seed made it; one where all share it.
        widths: how many leading numbers are kept.
        raw: (m, K) nearest training rows of each test row in the full raw embedding.
        on_cell: called before each width, precision and member; what it raises ends the measuring.

    Raises:
        ValueError: "undefined: ..." where the rows have no labels, or there are 10 training rows or fewer.

    Example:
        >>> measure_precisions([rows], [16], neighbours_of(rows, calibrate("float32", rows.train)))[0].probe.mean
    """
    table = []
    for width in widths:
        for name, precision in PRECISIONS.items():
            cells = []
            for member in members:
                if on_cell is not None:
                    on_cell()
                cells.append(_measure(member, width, name, raw))
            values = {measure: summarize([cell[measure] for cell in cells]) for measure in MEASURES}
            table.append(PrecisionRow(width, name, precision.item_bytes(width), **values))
    return table


def _measure(rows: LabelledRows, width: int, precision: str, raw: np.ndarray) -> dict[str, float]:
    """Return measure -> value of one member."""
    quantizer = calibrate(precision, rows.train[:, :width])
    stored, queries = (quantizer.encode(part[:, :width]) for part in (rows.train, rows.test))
    near = nearest_codes(queries, stored, K, quantizer)
    seen, asked = rows.train_labels, rows.test_labels
    return {
        "probe": probe_accuracy(quantizer.decode(stored), seen, quantizer.decode(queries), asked),
        "knn": neighbour_score(near, seen, asked),
        "overlap": float(shared_neighbours(raw, near).mean()),
        "recall_1": recall_at(near, seen, asked, 1),
        "recall_10": recall_at(near, seen, asked, K),
    }


def cheapest(rows: Sequence[PrecisionRow], measure: str = "probe", tolerance: float = TOLERANCE) -> PrecisionRow:
    """Return the row with the fewest bytes whose mean is within `tolerance` of the best; of equal ones the better.

    Args:
        rows: at least one.
        measure: a name in `MEASURES`.
        tolerance: a fraction.

    Example:
        >>> cheapest(rows, "knn").item_bytes
    """
    best = max(getattr(row, measure).mean for row in rows)
    good = [row for row in rows if getattr(row, measure).mean >= best - tolerance - 1e-12]
    return min(good, key=lambda row: (row.item_bytes, -getattr(row, measure).mean))


def verdict(rows: Sequence[PrecisionRow], measure: str = "probe") -> str:
    """Return in one sentence which row is good enough.

    Example:
        >>> verdict(rows)
    """
    best = max(rows, key=lambda row: (getattr(row, measure).mean, -row.item_bytes))
    chosen, name = cheapest(rows, measure), MEASURES[measure]

    def describe(row: PrecisionRow) -> str:
        return f"{row.width:,} numbers in {row.precision}"

    def size(row: PrecisionRow) -> str:
        return f"{row.item_bytes:,} byte{'' if row.item_bytes == 1 else 's'} an item"

    first = f"{describe(chosen)} are good enough: {size(chosen)}, {name} {100 * getattr(chosen, measure).mean:.1f} %."
    if chosen is best:
        return f"{first} No other takes fewer bytes and comes within one point."
    return (
        f"{first} That is within one point of the best, {describe(best)} at {size(best)} "
        f"({100 * getattr(best, measure).mean:.1f} %)."
    )
