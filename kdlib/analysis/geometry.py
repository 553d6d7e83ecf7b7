"""Geometry: what one space says about another, rows in the same order, and what one space is like.

Everything is computed in the real spaces, never on a 2-D map of them. Scale and position of a space never matter;
`procrustes_align` turns one map onto another. A number that does not exist is a `ValueError` that says "undefined:
reason", never NaN. To add a comparison: a function of two arrays with its direction and range in the first line, and a
slow reference for it in `tests/test_geometry.py`. What goes by nearest neighbours is in `kdlib.analysis.neighbours`.
"""

import numpy as np
from scipy.linalg import orthogonal_procrustes
from sklearn import manifold
from sklearn.metrics import silhouette_score
from sklearn.metrics.pairwise import euclidean_distances

SAMPLE = 2000  # rows that stand for all where time and memory grow with the square of the rows


def sample_rows(n: int, sample: int = SAMPLE) -> np.ndarray:
    """Return which of n rows stand for all, ascending: all of them, or a sample by a fixed seed.

    Args:
        n: rows.
        sample: rows to choose, at most.
    """
    return np.arange(n) if n <= sample else np.sort(np.random.default_rng(0).choice(n, sample, replace=False))


def check_same_rows(a: np.ndarray, b: np.ndarray) -> None:
    """Check that two arrays have the same number of rows.

    Raises:
        ValueError: they have not.
    """
    if len(a) != len(b):
        raise ValueError(f"both sides need the same rows, got {len(a)} and {len(b)}")


def center_and_scale(x: np.ndarray) -> np.ndarray:
    """Return the rows as float64 (n, d) with mean 0 and largest absolute entry 1: no square overflows or vanishes.

    Raises:
        ValueError: not two axes; or "undefined: ..." if there are no entries, some are not finite or all rows are
            equal.
    """
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


def linear_cka(a: np.ndarray, b: np.ndarray) -> float:
    """Return the linear centred kernel alignment, 0 (unrelated) to 1 (same up to rotation and scale).

    |AᵀB|² / (|AᵀA| |BᵀB|) with centred columns. Biased upwards when there are fewer rows than columns.

    Args:
        a: shape (n, d_a).
        b: shape (n, d_b).

    Raises:
        ValueError: different numbers of rows; or "undefined: ..." if all rows of a space are equal or some entries are
            not finite.

    Example:
        >>> linear_cka(embeddings, 2 * embeddings)

    Source: Kornblith et al. 2019, Similarity of Neural Network Representations Revisited, equation 4.
    """
    check_same_rows(a, b)
    a, b = center_and_scale(a), center_and_scale(b)
    if max(a.shape[1], b.shape[1]) > len(a):  # the same three norms from (n, n) instead of (d, d) matrices
        a, b = a @ a.T, b @ b.T
        shared, of_a, of_b = np.vdot(a, b), np.linalg.norm(a), np.linalg.norm(b)
    else:
        shared, of_a, of_b = np.linalg.norm(a.T @ b) ** 2, np.linalg.norm(a.T @ a), np.linalg.norm(b.T @ b)
    return _clip(float(shared / of_a / of_b))


def distance_correlation(a: np.ndarray, b: np.ndarray, sample: int = SAMPLE) -> float:
    """Return the distance correlation, 0 (independent) to 1 (same distances up to scale).

    sqrt(mean(A · B) / sqrt(mean(A · A) · mean(B · B))), A and B the double-centred distance matrices. Sees non-linear
    relations that CKA does not. Biased upwards in wide spaces with few rows. The training loss of this name is one
    minus its square.

    Args:
        a: shape (n, d_a).
        b: shape (n, d_b).
        sample: of more rows than this, so many are used, always the same.

    Raises:
        ValueError: as in `linear_cka`.

    Example:
        >>> distance_correlation(embeddings, features)

    Source: Székely, Rizzo & Bakirov 2007, Measuring and testing dependence by correlation of distances.
    """
    check_same_rows(a, b)
    rows = sample_rows(len(a), sample)
    a, b = (
        _double_center(euclidean_distances(center_and_scale(part[rows]))) for part in (np.asarray(a), np.asarray(b))
    )
    return _clip(np.mean(a * b) / np.sqrt(np.mean(a * a) * np.mean(b * b))) ** 0.5


def effective_rank(x: np.ndarray) -> float:
    """Return how many directions a space really uses, 1 (a line) to min(n - 1, d) (all alike).

    exp(entropy of p), p = singular values of the centred matrix divided by their sum.

    Args:
        x: shape (n, d).

    Raises:
        ValueError: "undefined: ..." if all rows are equal or some entries are not finite.

    Example:
        >>> round(effective_rank(np.array([[1, 0], [-1, 0], [0, 1], [0, -1]])), 6)
        2.0

    Source: Roy & Vetterli 2007, The effective rank: a measure of effective dimensionality.
    """
    x = center_and_scale(x)
    # Eigenvalues of the smaller product are many times faster than the singular values of x.
    variances = np.linalg.eigvalsh(x.T @ x if x.shape[0] > x.shape[1] else x @ x.T)
    values = np.sqrt(variances[variances > 1e-14 * variances.max()])  # what is below is rounding
    p = values / values.sum()
    return float(np.exp(-np.sum(p * np.log(p))))


def trustworthiness(space: np.ndarray, projected: np.ndarray, k: int = 10, sample: int = SAMPLE) -> float:
    """Return how far neighbours on a map are neighbours in the space, 0 to 1 (no false neighbours).

    Each of the k nearest on the map is compared with its rank in the space.

    Args:
        space: shape (n, d).
        projected: the map, shape (n, 2).
        k: neighbours per row, fewer than half the rows.
        sample: of more rows than this, so many are used, always the same: the work grows with the square.

    Raises:
        ValueError: different numbers of rows; or "undefined: ..." for too few rows, a side whose rows are all equal, or
            entries that are not finite.

    Example:
        >>> trustworthiness(embeddings, embeddings[:, :2])

    Source: Venna & Kaski 2001, Neighborhood preservation in nonlinear projection methods.
    """
    check_same_rows(space, projected)
    rows = sample_rows(len(space), sample)
    if len(rows) <= 2 * k:
        raise ValueError(f"undefined: trustworthiness of {k} neighbours needs more than {2 * k} rows, got {len(rows)}")
    space, projected = (center_and_scale(np.asarray(part)[rows]) for part in (space, projected))
    return _clip(manifold.trustworthiness(space, projected, n_neighbors=k))


def continuity(space: np.ndarray, projected: np.ndarray, k: int = 10, sample: int = SAMPLE) -> float:
    """Return how far neighbours in the space are still neighbours on a map, 0 to 1 (nothing torn apart).

    `trustworthiness` with the roles swapped; arguments, errors and source as there.

    Example:
        >>> continuity(embeddings, embeddings[:, :2])
    """
    check_same_rows(space, projected)
    return trustworthiness(projected, space, k, sample)


def silhouette(x: np.ndarray, labels: np.ndarray, sample: int = SAMPLE) -> float:
    """Return how well classes are separated, -1 (rows nearer to another class) over 0 (mixed) to 1 (tight, far apart).

    Mean over rows of (b - a) / max(a, b), a the mean distance to the own class, b that to the nearest other one.

    Args:
        x: shape (n, d).
        labels: integers, shape (n,); negative = missing, skipped.
        sample: of more rows than this, so many are used, always the same.

    Raises:
        ValueError: different numbers of rows; or "undefined: ..." if there are no two classes, every row has its own,
            all rows are equal, or some entries are not finite.

    Example:
        >>> silhouette(features, labels)

    Source: Rousseeuw 1987, Silhouettes: a graphical aid to the interpretation and validation of cluster analysis.
    """
    check_same_rows(x, labels)
    known = np.flatnonzero(np.asarray(labels) >= 0)
    rows = known[sample_rows(len(known), sample)]
    x, labels = center_and_scale(np.asarray(x)[rows]), np.asarray(labels)[rows]
    classes = len(np.unique(labels))
    if not 2 <= classes < len(rows):
        needs = "a silhouette needs two classes and two rows of one class"
        raise ValueError(f"undefined: {needs}, got {len(rows)} rows, {classes} class(es)")
    return float(silhouette_score(x, labels))


def procrustes_align(moving: np.ndarray, fixed: np.ndarray) -> np.ndarray:
    """Return the moving map shifted, scaled and turned (or mirrored) as near to the fixed one as it comes, (n, d).

    Minimises the sum of squared distances between matching rows. Shape and neighbourhoods of the moving map stay as
    they are.

    Args:
        moving: shape (n, d).
        fixed: shape (n, d).

    Raises:
        ValueError: different shapes; or "undefined: ..." if all rows of a map are equal, some entries are not finite,
            or the maps have nothing in common.

    Example:
        >>> fixed = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
        >>> np.allclose(procrustes_align(5 * fixed + 3, fixed), fixed)
        True
    """
    moving, fixed = np.asarray(moving, dtype=np.float64), np.asarray(fixed, dtype=np.float64)
    if moving.shape != fixed.shape:
        raise ValueError(f"aligning needs two maps of the same shape, got {moving.shape} and {fixed.shape}")
    a, b = center_and_scale(moving), center_and_scale(fixed)
    rotation, shared = orthogonal_procrustes(a, b)
    if shared <= 1e-12 * np.linalg.norm(a) * np.linalg.norm(b):
        raise ValueError("undefined: the maps have nothing in common, so no turn brings them nearer")
    size = np.abs(fixed - fixed.mean(axis=0)).max()
    return (a @ rotation) * (shared / np.linalg.norm(a) ** 2 * size) + fixed.mean(axis=0)


def _double_center(matrix: np.ndarray) -> np.ndarray:
    """Return a symmetric matrix (n, n) minus its row means, minus its column means, plus its grand mean."""
    mean = matrix.mean(axis=0)
    return matrix - mean[:, None] - mean + mean.mean()


def _clip(value: float) -> float:
    """Return the value in [0, 1]: rounding alone can have taken it out."""
    return float(np.clip(value, 0.0, 1.0))
