"""Where a new item falls among known rows: its nearest ones, its place on a map of theirs, how unusual it is.

Always by Euclidean distance in the real spaces. `tests/test_placement.py` compares all of it with brute force.
"""

from dataclasses import dataclass

import numpy as np

BLOCK = 500  # queries whose distances are held at once


@dataclass(frozen=True)
class FittedMap:
    """A flat map of a space (n, d) that new rows can be put on.

    Attributes:
        mean: (d,) of the space.
        axes: (d, 2).
        offset: (2,) where the mean lies on the map.
    """

    mean: np.ndarray
    axes: np.ndarray
    offset: np.ndarray

    def place(self, rows: np.ndarray) -> np.ndarray:
        """Return where rows (q, d) lie on the map, (q, 2) float32."""
        return ((rows - self.mean) @ self.axes + self.offset).astype(np.float32)


def fit_map(space: np.ndarray, places: np.ndarray) -> FittedMap:
    """Return the flat map of which a space's PCA map is made, however it was turned and scaled afterwards.

    A PCA map is linear in the space, so its axes can be read from the map itself: within the two directions of largest
    variance, least squares has no error left.

    Args:
        space: (n, d).
        places: its map by `projection.pca`, as it is drawn, (n, 2).

    Example:
        >>> fitted = fit_map(space, project("pca", [space]).places[0])
        >>> np.allclose(fitted.place(space), project("pca", [space]).places[0], atol=1e-3)
    """
    mean = space.mean(0, dtype=np.float64)
    centred = space - mean
    _, _, directions = np.linalg.svd(
        centred.T @ centred if len(space) > space.shape[1] else centred, full_matrices=False
    )
    plane = directions[:2].T  # (d, 2), or fewer where there is no second direction
    offset = places.mean(0, dtype=np.float64)
    turn, *_ = np.linalg.lstsq(centred @ plane, places - offset, rcond=None)
    return FittedMap(mean, plane @ turn, offset)


def find_nearest(space: np.ndarray, row: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return which rows of a space lie nearest to a row that is not one of them, and how far, nearest first, (k,) each.

    Args:
        space: (n, d).
        row: (d,).
        k: rows; all of them where there are fewer.

    Example:
        >>> find_nearest(np.array([[0.0], [4.0], [5.0]]), np.array([4.4]), k=2)[0].tolist()
        [1, 2]
    """
    distances = np.sqrt(np.square(space.astype(np.float64) - row).sum(1))
    nearest = np.argsort(distances, kind="stable")[:k]
    return nearest, distances[nearest]


def nearest_distances(space: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return how far the nearest row of a space (n, d) is from each of some other rows (q, d), (q,) float64."""
    space, parts = space.astype(np.float64), []
    lengths = np.square(space).sum(1)
    for block in np.split(rows.astype(np.float64), range(BLOCK, len(rows), BLOCK)):
        squared = np.square(block).sum(1)[:, None] + lengths - 2 * block @ space.T
        parts.append(np.sqrt(np.maximum(squared.min(1), 0)))
    return np.concatenate(parts)


def percentile_of(value: float, reference: np.ndarray) -> float:
    """Return which share of reference values (n,) lies below a value, 0 to 100.

    Example:
        >>> percentile_of(2.5, np.array([1.0, 2.0, 3.0, 4.0]))
        50.0
    """
    return float(100 * np.mean(reference < value))
