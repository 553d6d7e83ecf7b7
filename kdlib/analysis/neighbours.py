"""Neighbours: which rows of a space are near one another, and what two spaces share of that.

Always by Euclidean distance in the real spaces, never on a 2-D map of them. Scale and position of a space never matter.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from kdlib.analysis.geometry import center_and_scale, check_same_rows

BLOCK = 4_000_000  # distances held at once by one thread: 16 MB
# Blocks in parallel with one BLAS thread each need half the CPU time of the reverse; that limit is process-wide.
ONE_AT_A_TIME = Lock()


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


def find_neighbours(
    x: np.ndarray, k: int, rows: Sequence[int] | np.ndarray | None = None, among: int | None = None
) -> np.ndarray:
    """Return the k nearest other rows of each row by Euclidean distance, nearest first, int64 (n, k).

    Brute force, by blocks of inner products in float32. A row with a neighbour too near to tell at that precision is
    done again in float64. Of equally near rows, as duplicates are, the one that comes first wins: spaces with the same
    ties have the same table.

    Args:
        x: shape (n, d).
        k: at least 1.
        rows: only the neighbours of these rows, in this order; by default of all.
        among: only the first so many rows can be neighbours; by default all.

    Raises:
        ValueError: k < 1; or "undefined: ..." if there are no k other rows, all rows are equal, or some entries are not
            finite.

    Example:
        >>> find_neighbours(np.array([[0.0], [1.0], [5.0]]), k=1).tolist()
        [[1], [0], [1]]
    """
    if k < 1:
        raise ValueError(f"the number of neighbours must be at least 1, got {k}")
    among = len(x) if among is None else among
    if among <= k:
        raise ValueError(f"undefined: {k} neighbours need at least {k + 1} rows, got {among}")
    exact = center_and_scale(x)
    fast = exact.astype(np.float32)
    exact_lengths, fast_lengths = (exact**2).sum(axis=1), (fast**2).sum(axis=1)
    queries = np.arange(len(x)) if rows is None else np.asarray(rows, dtype=np.int64)
    table = np.empty((len(queries), k), dtype=np.int64)

    def fill(positions: np.ndarray) -> None:
        block = queries[positions]
        table[positions], uncertain = _nearest_rows(fast, fast_lengths, block, k, among)
        if uncertain.any():
            table[positions[uncertain]], _ = _nearest_rows(exact, exact_lengths, block[uncertain], k, among)

    blocks = np.array_split(np.arange(len(queries)), max(1, -(-len(queries) * among // BLOCK)))
    with ONE_AT_A_TIME, threadpool_limits(1), ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        list(pool.map(fill, blocks))
    return table


def shared_neighbours(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Return which fraction of its neighbours each row has in both tables, (n,) in [0, 1].

    Args:
        before: from `find_neighbours`, shape (n, k).
        after: of the same rows in another space, shape (n, k).

    Example:
        >>> shared_neighbours(find_neighbours(embeddings, 10), find_neighbours(features, 10)).mean()
    """
    both = np.sort(np.concatenate([before, after], axis=1), axis=1)
    return (both[:, 1:] == both[:, :-1]).sum(axis=1) / before.shape[1]


def knn_overlap(a: np.ndarray, b: np.ndarray, k: int = 10) -> float:
    """Return the mean fraction of k nearest neighbours that two spaces share, 0 (none) to 1 (all).

    Chance is `expected_overlap`.

    Args:
        a: shape (n, d_a).
        b: shape (n, d_b).
        k: neighbours per row.

    Raises:
        ValueError: different numbers of rows, or as in `find_neighbours`.

    Example:
        >>> line = np.arange(20.0)[:, None]
        >>> knn_overlap(line, 3 * line + 1, k=2)
        1.0
    """
    check_same_rows(a, b)
    return float(shared_neighbours(find_neighbours(a, k), find_neighbours(b, k)).mean())


def permuted_overlap(before: np.ndarray, after: np.ndarray, permutations: int = 5) -> float:
    """Return the mean overlap of two neighbour tables when rows of the second are shuffled, 0 to 1: chance.

    Args:
        before: from `find_neighbours`, shape (n, k).
        after: of the same rows in another space, shape (n, k).
        permutations: the mean goes over this many shuffles, always the same ones.
    """
    overlaps = []
    for seed in range(permutations):
        renamed = np.random.default_rng(seed).permutation(len(after))  # row i becomes row renamed[i]
        shuffled = np.empty_like(after)
        shuffled[renamed] = renamed[after]
        overlaps.append(shared_neighbours(before, shuffled).mean())
    return float(np.mean(overlaps))


def expected_overlap(n: int, k: int = 10) -> float:
    """Return the `knn_overlap` to expect of two unrelated spaces of n rows: k / (n - 1).

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
        ValueError: different numbers of rows, or as in `find_neighbours`.

    Example:
        >>> neighbour_changes(embeddings, features, k=5).lost[0]
    """
    check_same_rows(a, b)
    return compare_neighbours(find_neighbours(a, k), find_neighbours(b, k))


def compare_neighbours(before: np.ndarray, after: np.ndarray) -> NeighbourChanges:
    """Return which neighbours every row kept, lost and gained between two tables from `find_neighbours`.

    Args:
        before: shape (n, k).
        after: of the same rows in another space, shape (n, k).
    """
    same = before[:, :, None] == after[:, None, :]  # (n, k, k)
    in_after, in_before = same.any(axis=2), same.any(axis=1)
    return NeighbourChanges(
        kept=[row[shared] for row, shared in zip(before, in_after, strict=True)],
        lost=[row[~shared] for row, shared in zip(before, in_after, strict=True)],
        gained=[row[~shared] for row, shared in zip(after, in_before, strict=True)],
    )


def _nearest_rows(
    x: np.ndarray, lengths: np.ndarray, rows: np.ndarray, k: int, among: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the k nearest rows (m, k) of some rows of x, and which of these m rows are uncertain, bool (m,).

    A row is uncertain if a neighbour is so near that rounding may have decided.

    Args:
        x: shape (n, d).
        lengths: squared length of every row of x, shape (n,).
        rows: row indices, shape (m,).
        k: neighbours per row.
        among: how many of the first rows can be neighbours.
    """
    precision = np.finfo(x.dtype).eps
    row_lengths = lengths[rows, None]
    distance = (-2 * x[rows]) @ x[:among].T
    distance += lengths[:among]  # squared distance, except for the row's own squared length
    # Duplicates are equally near, whatever rounding made of them.
    np.maximum(distance, (16 * precision - 1) * row_lengths, out=distance)
    itself = np.flatnonzero(rows < among)
    distance[itself, rows[itself]] = np.inf
    cut = np.partition(distance, k - 1, axis=1)[:, k - 1, None]
    chosen = distance <= cut
    if np.count_nonzero(chosen) > k * len(rows):  # ties at the cut: the first of them
        nearer, tied = distance < cut, distance == cut
        chosen = nearer | (tied & (np.cumsum(tied, axis=1, dtype=np.int32) <= k - nearer.sum(axis=1, keepdims=True)))
    columns = np.flatnonzero(chosen).reshape(len(rows), k) % among
    nearest = np.take_along_axis(distance, columns, axis=1)
    order = np.argsort(nearest, axis=1, kind="stable")
    uncertain = (nearest.min(axis=1, keepdims=True) + row_lengths < 1e4 * precision * row_lengths)[:, 0]
    return np.take_along_axis(columns, order, axis=1), uncertain
