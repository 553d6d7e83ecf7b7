"""Spaces for the tests of geometry and neighbours: random ones, degenerate ones, and what a slow loop finds in them."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np


def random_rows(n: int, d: int, seed: int = 0) -> np.ndarray:
    """Return normally distributed rows, (n, d)."""
    return np.random.default_rng(seed).normal(size=(n, d))


def rotation(d: int, seed: int = 7) -> np.ndarray:
    """Return a random orthogonal matrix, (d, d)."""
    return np.linalg.qr(random_rows(d, d, seed))[0]


def nearest_by_brute_force(x: np.ndarray, k: int) -> np.ndarray:
    """Return the k nearest other rows of each row, (n, k), one distance at a time; of equally near rows the first."""
    rows = range(len(x))
    return np.array([sorted((math.dist(x[i], x[j]), j) for j in rows if j != i)[:k] for i in rows])[:, :, 1].astype(int)


def compute_or_undefined(compute: Callable[[], Any]) -> Any:
    """Return a number, which must be finite, or None where the error says "undefined: reason"."""
    try:
        value = compute()
    except ValueError as error:
        assert str(error).startswith("undefined: ")  # noqa: PT017 - either outcome is right
        return None
    assert np.isfinite(value).all()
    return value


DEGENERATE = {
    "constant": np.ones((30, 3)),
    "zero": np.zeros((30, 3)),
    "constant but for rounding": np.full((30, 3), 0.1) + 0.2,
    "one row": random_rows(1, 3),
    "two rows": random_rows(2, 3),
    "three rows": random_rows(3, 3),
    "no rows": np.zeros((0, 3)),
    "no columns": np.zeros((30, 0)),
    "two places only": np.repeat([[0.0, 0.0], [1.0, 2.0]], 15, axis=0),
    "one row differs": np.vstack([np.ones((29, 2)), [[1.0, 2.0]]]),
    "width one": random_rows(30, 1),
    "NaN": np.where(np.eye(30, 3) > 0, np.nan, random_rows(30, 3)),
    "infinite": np.where(np.eye(30, 3) > 0, np.inf, random_rows(30, 3)),
    "mixed scales": random_rows(30, 3) * np.logspace(-30, 30, 30)[:, None],
}
