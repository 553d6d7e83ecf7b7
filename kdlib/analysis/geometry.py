"""Geometry: what one space says about another, rows in the same order.

Everything is computed in the real spaces, never on a 2-D map of them. Scale and position of a space never matter; by `procrustes_align` a
map is turned onto another. A number that does not exist is a `ValueError` that says "undefined: reason", never NaN. To add a comparison:
a function of two arrays with its direction and range in the first line, and a slow reference for it in `tests/test_geometry.py`.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import NamedTuple

import numpy as np
from scipy.linalg import orthogonal_procrustes
from sklearn import manifold
from sklearn.metrics import silhouette_score
from sklearn.metrics.pairwise import euclidean_distances
from threadpoolctl import threadpool_limits

SAMPLE = 2000  # rows that stand for all where time and memory grow with the square of the rows
BLOCK = 4_000_000  # distances held at once by one thread: 16 MB
ONE_AT_A_TIME = (
    Lock()
)  # blocks in parallel with one BLAS thread each need half the CPU time of the reverse; that limit is process-wide


class NeighbourChanges(NamedTuple):
    """What happened to each row's neighbours between two spaces: row indices, nearest first, one array per row.

    Attributes:
        kept: neighbours in both spaces, in the order of the first.
        lost: neighbours in the first space only.
        gained: neighbours in the second space only.
    """

    kept: list[np.ndarray]
    lost: list[np.ndarray]
    gained: list[np.ndarray]


def sample_rows(n: int, sample: int = SAMPLE) -> np.ndarray:
    """Return which of n rows stand for all, ascending: all of them, or so many drawn by a fixed seed."""
    return np.arange(n) if n <= sample else np.sort(np.random.default_rng(0).choice(n, sample, replace=False))


def neighbours(x: np.ndarray, k: int, of: Sequence[int] | None = None) -> np.ndarray:
    """Return the k nearest other rows of each row by Euclidean distance, nearest first, int64 (n, k).

    All distances, by blocks of inner products in float32; a row with a neighbour too near to tell at that precision is done again in
    float64. Of equally near rows, as duplicates are, the one that comes first wins, so that spaces with the same ties have the same table.

    Args:
        x: shape (n, d).
        k: at least 1.
        of: only the neighbours of these rows, in this order; by default of all.

    Raises:
        ValueError: k < 1; or "undefined: ..." if there are no k other rows, all rows are equal, or some entries are not finite.
    """
    if k < 1:
        raise ValueError(f"the number of neighbours must be at least 1, got {k}")
    if len(x) <= k:
        raise ValueError(f"undefined: {k} neighbours need at least {k + 1} rows, got {len(x)}")
    exact = _centred(x)
    fast = exact.astype(np.float32)
    exact_length, fast_length = (exact**2).sum(axis=1), (fast**2).sum(axis=1)
    asked = np.arange(len(x)) if of is None else np.asarray(of, dtype=np.int64)
    table = np.empty((len(asked), k), dtype=np.int64)

    def fill(places: np.ndarray) -> None:
        rows = asked[places]
        table[places], unsure = _nearest(fast, fast_length, rows, k)
        if unsure.any():
            table[places[unsure]], _ = _nearest(exact, exact_length, rows[unsure], k)

    with ONE_AT_A_TIME, threadpool_limits(1), ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        list(pool.map(fill, np.array_split(np.arange(len(asked)), max(1, -(-len(asked) * len(x) // BLOCK)))))
    return table


def shared_neighbours(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Return which fraction of its neighbours each row has in both tables, (n,) in [0, 1].

    Args:
        before: from `neighbours`, shape (n, k).
        after: of the same rows in another space, shape (n, k).
    """
    both = np.sort(np.concatenate([before, after], axis=1), axis=1)
    return (both[:, 1:] == both[:, :-1]).sum(axis=1) / before.shape[1]


def knn_overlap(a: np.ndarray, b: np.ndarray, k: int = 10) -> float:
    """Return the mean fraction of k nearest neighbours that two spaces share, 0 (none) to 1 (all); chance is `expected_overlap`.

    Args:
        a: shape (n, d_a).
        b: shape (n, d_b).
        k: neighbours per row.

    Raises:
        ValueError: different numbers of rows, or as in `neighbours`.
    """
    _check_rows(a, b)
    return float(shared_neighbours(neighbours(a, k), neighbours(b, k)).mean())


def permuted_overlap(before: np.ndarray, after: np.ndarray, permutations: int = 5) -> float:
    """Return the mean overlap of two tables from `neighbours` when the rows of the second are shuffled: what chance alone shares, 0 to 1.

    Args:
        before: shape (n, k).
        after: of the same rows in another space, shape (n, k).
        permutations: how many shuffles, always the same, the mean goes over.
    """
    found = []
    for number in range(permutations):
        name = np.random.default_rng(number).permutation(len(after))  # row i is called name[i]
        shuffled = np.empty_like(after)
        shuffled[name] = name[after]
        found.append(shared_neighbours(before, shuffled).mean())
    return float(np.mean(found))


def expected_overlap(n: int, k: int = 10) -> float:
    """Return the `knn_overlap` to expect of two spaces of n rows that have nothing to do with each other: k / (n - 1).

    Raises:
        ValueError: "undefined: ..." if n rows do not have k neighbours.
    """
    if n <= k:
        raise ValueError(f"undefined: {k} neighbours need at least {k + 1} rows, got {n}")
    return k / (n - 1)


def neighbour_changes(a: np.ndarray, b: np.ndarray, k: int = 10) -> NeighbourChanges:
    """Return which neighbours every row kept, lost and gained from space a to space b.

    Args:
        a: shape (n, d_a).
        b: shape (n, d_b).
        k: neighbours per row.

    Raises:
        ValueError: different numbers of rows, or as in `neighbours`.
    """
    _check_rows(a, b)
    return compare_neighbours(neighbours(a, k), neighbours(b, k))


def compare_neighbours(before: np.ndarray, after: np.ndarray) -> NeighbourChanges:
    """Return which neighbours every row kept, lost and gained between two tables from `neighbours`, each (n, k)."""
    same = before[:, :, None] == after[:, None, :]  # (n, k, k)
    stays, known = same.any(axis=2), same.any(axis=1)
    return NeighbourChanges(
        kept=[row[is_kept] for row, is_kept in zip(before, stays, strict=True)],
        lost=[row[~is_kept] for row, is_kept in zip(before, stays, strict=True)],
        gained=[row[~is_kept] for row, is_kept in zip(after, known, strict=True)],
    )


def linear_cka(a: np.ndarray, b: np.ndarray) -> float:
    """Return the linear centred kernel alignment, 0 (unrelated) to 1 (same up to rotation and scale).

    |AᵀB|² / (|AᵀA| |BᵀB|) with centred columns. Biased upwards when there are fewer rows than columns.

    Args:
        a: shape (n, d_a).
        b: shape (n, d_b).

    Raises:
        ValueError: different numbers of rows; or "undefined: ..." if all rows of a space are equal or some entries are not finite.

    Source: Kornblith et al. 2019, Similarity of Neural Network Representations Revisited, equation 4.
    """
    _check_rows(a, b)
    a, b = _centred(a), _centred(b)
    if max(a.shape[1], b.shape[1]) > len(a):  # the same three norms from (n, n) instead of (d, d) matrices
        a, b = a @ a.T, b @ b.T
        shared, of_a, of_b = np.vdot(a, b), np.linalg.norm(a), np.linalg.norm(b)
    else:
        shared, of_a, of_b = np.linalg.norm(a.T @ b) ** 2, np.linalg.norm(a.T @ a), np.linalg.norm(b.T @ b)
    return _clipped(float(shared / of_a / of_b))


def distance_correlation(a: np.ndarray, b: np.ndarray, sample: int = SAMPLE) -> float:
    """Return the distance correlation, 0 (independent) to 1 (same distances up to scale).

    sqrt(mean(A · B) / sqrt(mean(A · A) · mean(B · B))), A and B the double-centred distance matrices. Sees non-linear relations that CKA
    does not. Biased upwards in wide spaces with few rows. The training loss of this name is one minus its square.

    Args:
        a: shape (n, d_a).
        b: shape (n, d_b).
        sample: of more rows than this, so many are drawn, always the same.

    Raises:
        ValueError: as in `linear_cka`.

    Source: Székely, Rizzo & Bakirov 2007, Measuring and testing dependence by correlation of distances.
    """
    _check_rows(a, b)
    rows = sample_rows(len(a), sample)
    a, b = (_double_centred(euclidean_distances(_centred(part[rows]))) for part in (np.asarray(a), np.asarray(b)))
    return _clipped(np.mean(a * b) / np.sqrt(np.mean(a * a) * np.mean(b * b))) ** 0.5


def effective_rank(x: np.ndarray) -> float:
    """Return how many directions a space really uses, 1 (a line) to min(n - 1, d) (all alike).

    exp(entropy of p), p = singular values of the centred matrix divided by their sum.

    Args:
        x: shape (n, d).

    Raises:
        ValueError: "undefined: ..." if all rows are equal or some entries are not finite.

    Source: Roy & Vetterli 2007, The effective rank: a measure of effective dimensionality.
    """
    x = _centred(x)
    variances = np.linalg.eigvalsh(
        x.T @ x if x.shape[0] > x.shape[1] else x @ x.T
    )  # many times faster than the singular values of x
    values = np.sqrt(variances[variances > 1e-14 * variances.max()])  # what is below is rounding
    p = values / values.sum()
    return float(np.exp(-np.sum(p * np.log(p))))


def trustworthiness(space: np.ndarray, projected: np.ndarray, k: int = 10, sample: int = SAMPLE) -> float:
    """Return how far neighbours on a map are neighbours in the space, 0 to 1 (no false neighbours).

    Each of the k nearest on the map is held against its rank in the space.

    Args:
        space: shape (n, d).
        projected: the map, shape (n, 2).
        k: neighbours per row, fewer than half the rows.
        sample: of more rows than this, so many are drawn, always the same: the work grows with the square.

    Raises:
        ValueError: different numbers of rows; or "undefined: ..." for too few rows, a side whose rows are all equal, or entries that are
            not finite.

    Source: Venna & Kaski 2001, Neighborhood preservation in nonlinear projection methods.
    """
    _check_rows(space, projected)
    rows = sample_rows(len(space), sample)
    if len(rows) <= 2 * k:
        raise ValueError(f"undefined: trustworthiness of {k} neighbours needs more than {2 * k} rows, got {len(rows)}")
    space, projected = (_centred(np.asarray(part)[rows]) for part in (space, projected))
    return _clipped(manifold.trustworthiness(space, projected, n_neighbors=k))


def continuity(space: np.ndarray, projected: np.ndarray, k: int = 10, sample: int = SAMPLE) -> float:
    """Return how far neighbours in the space are still neighbours on a map, 0 to 1 (nothing torn apart).

    `trustworthiness` with the roles swapped; arguments, errors and source as there.
    """
    _check_rows(space, projected)
    return trustworthiness(projected, space, k, sample)


def silhouette(x: np.ndarray, labels: np.ndarray, sample: int = SAMPLE) -> float:
    """Return how well the classes are separated, -1 (rows are nearer to another class) over 0 (mixed) to 1 (tight and far apart).

    Mean over rows of (b - a) / max(a, b), a the mean distance to the own class, b that to the nearest other one.

    Args:
        x: shape (n, d).
        labels: integers, shape (n,); negative = missing, skipped.
        sample: of more rows than this, so many are drawn, always the same.

    Raises:
        ValueError: different numbers of rows; or "undefined: ..." if there are no two classes, every row has its own, all rows are equal,
            or some entries are not finite.

    Source: Rousseeuw 1987, Silhouettes: a graphical aid to the interpretation and validation of cluster analysis.
    """
    _check_rows(x, labels)
    known = np.flatnonzero(np.asarray(labels) >= 0)
    rows = known[sample_rows(len(known), sample)]
    x, labels = _centred(np.asarray(x)[rows]), np.asarray(labels)[rows]
    classes = len(np.unique(labels))
    if not 2 <= classes < len(rows):
        raise ValueError(
            f"undefined: a silhouette needs two classes and two rows of one class, got {len(rows)} rows, {classes} class(es)"
        )
    return float(silhouette_score(x, labels))


def procrustes_align(moving: np.ndarray, fixed: np.ndarray) -> np.ndarray:
    """Return the moving map shifted, scaled and turned (or mirrored) so that its rows come nearest to those of the fixed one, (n, d).

    Minimises the sum of squared distances between matching rows. Shape and neighbourhoods of the moving map stay as they are.

    Args:
        moving: shape (n, d).
        fixed: shape (n, d).

    Raises:
        ValueError: different shapes; or "undefined: ..." if all rows of a map are equal, some entries are not finite, or the maps have
            nothing in common.
    """
    moving, fixed = np.asarray(moving, dtype=np.float64), np.asarray(fixed, dtype=np.float64)
    if moving.shape != fixed.shape:
        raise ValueError(f"aligning needs two maps of the same shape, got {moving.shape} and {fixed.shape}")
    a, b = _centred(moving), _centred(fixed)
    rotation, shared = orthogonal_procrustes(a, b)
    if shared <= 1e-12 * np.linalg.norm(a) * np.linalg.norm(b):
        raise ValueError("undefined: the maps have nothing in common, so no turn brings them nearer")
    size = np.abs(fixed - fixed.mean(axis=0)).max()
    return (a @ rotation) * (shared / np.linalg.norm(a) ** 2 * size) + fixed.mean(axis=0)


def _check_rows(a: np.ndarray, b: np.ndarray) -> None:
    if len(a) != len(b):
        raise ValueError(f"both sides need the same rows, got {len(a)} and {len(b)}")


def _centred(x: np.ndarray) -> np.ndarray:
    """Return the rows as float64 (n, d) with their mean at 0 and their largest entry at 1, so that no square overflows or vanishes."""
    x = np.asarray(x, dtype=np.float64)
    if x.ndim != 2:
        raise ValueError(f"a space is an array of rows and columns, got shape {x.shape}")
    if x.size == 0:
        raise ValueError(f"undefined: the space is empty, shape {x.shape}")
    peak = np.abs(x).max()
    if not np.isfinite(peak):
        raise ValueError("undefined: some entries are not finite")
    if peak > 0:
        x = x / peak
        x -= x.mean(axis=0)
        spread = np.abs(x).max()
        if spread > 1e-12:  # below it is rounding of the mean
            return x / spread
    raise ValueError("undefined: all rows of the space are equal")


def _nearest(x: np.ndarray, length: np.ndarray, rows: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the k nearest of some rows of x, (m, k), and for each whether they are so near that rounding may have decided, bool (m,).

    `length` holds the squared length of every row of x.
    """
    precision = np.finfo(x.dtype).eps
    own = length[rows, None]
    distance = (-2 * x[rows]) @ x.T
    distance += length  # squared distance, but for the row's own squared length
    np.maximum(
        distance, (16 * precision - 1) * own, out=distance
    )  # duplicates, whatever rounding made of them, are equally near
    distance[np.arange(len(rows)), rows] = np.inf
    cut = np.partition(distance, k - 1, axis=1)[:, k - 1, None]
    chosen = distance <= cut
    if np.count_nonzero(chosen) > k * len(rows):  # ties at the cut: the first of them
        nearer, tied = distance < cut, distance == cut
        chosen = nearer | (tied & (np.cumsum(tied, axis=1, dtype=np.int32) <= k - nearer.sum(axis=1, keepdims=True)))
    columns = np.flatnonzero(chosen).reshape(len(rows), k) % len(x)
    found = np.take_along_axis(distance, columns, axis=1)
    order = np.argsort(found, axis=1, kind="stable")
    unsure = (found.min(axis=1, keepdims=True) + own < 1e4 * precision * own)[:, 0]
    return np.take_along_axis(columns, order, axis=1), unsure


def _double_centred(matrix: np.ndarray) -> np.ndarray:
    """Return a symmetric matrix (n, n) minus its row means, minus its column means, plus its grand mean."""
    mean = matrix.mean(axis=0)
    return matrix - mean[:, None] - mean + mean.mean()


def _clipped(value: float) -> float:
    """Return the value in [0, 1]: rounding alone can have taken it out."""
    return float(np.clip(value, 0.0, 1.0))
