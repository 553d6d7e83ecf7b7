"""Retrieval: what the nearest training rows of a test row say, where both are stored in some precision.

`tests/test_retrieval.py` holds each number to a slow loop.
"""

import numpy as np

from kdlib.analysis.evaluation import score
from kdlib.analysis.neighbours import find_neighbours
from kdlib.models.quantization import BINARY, Quantizer

BLOCK = 4_000_000  # distances held at once


def nearest_codes(queries: np.ndarray, stored: np.ndarray, k: int, quantizer: Quantizer) -> np.ndarray:
    """Return the k nearest stored rows of each query, nearest first, int64 (q, k).

    Bits are compared by how many differ (Hamming), everything else by the Euclidean distance of what codes stand for.
    Of rows that are equally near in bits, the one that comes first wins: give the stored rows in a random order.

    Args:
        queries: codes (q, c) from `quantizer`.
        stored: codes (n, c) from it.
        k: at least 1.
        quantizer: what encoded both.

    Raises:
        ValueError: fewer than k stored rows, or as in `find_neighbours`.

    Example:
        >>> nearest_codes(quantizer.encode(test), quantizer.encode(train), 10, quantizer).shape
    """
    if quantizer.name == BINARY:
        return nearest_bits(queries, stored, k)
    rows = np.concatenate([quantizer.decode(stored), quantizer.decode(queries)])
    return find_neighbours(rows, k, np.arange(len(stored), len(rows)), among=len(stored))


def nearest_bits(queries: np.ndarray, stored: np.ndarray, k: int) -> np.ndarray:
    """Return the k stored rows (n, c) uint8 in which fewest bits differ from each query (q, c), int64 (q, k).

    Raises:
        ValueError: fewer than k stored rows.

    Example:
        >>> nearest_bits(np.array([[7]], np.uint8), np.array([[0], [3], [15]], np.uint8), 2).tolist()
        [[1, 2]]
    """
    if not 1 <= k <= len(stored):
        raise ValueError(f"undefined: {k} neighbours need at least as many stored rows, got {len(stored)}")
    step = max(1, BLOCK // len(stored))
    parts = []
    for start in range(0, len(queries), step):
        block = queries[start : start + step]
        distance = np.zeros((len(block), len(stored)), np.uint16)
        for column in range(stored.shape[1]):
            distance += np.bitwise_count(block[:, column, None] ^ stored[:, column])
        parts.append(np.argsort(distance, axis=1, kind="stable")[:, :k])
    return np.concatenate(parts) if parts else np.empty((0, k), np.int64)


def neighbour_score(neighbours: np.ndarray, stored_labels: np.ndarray, labels: np.ndarray) -> float:
    """Return how well the labels of the nearest rows predict those of the queries: accuracy, multi-label mAP.

    Single-label: the most frequent class among the k nearest; of equally frequent ones that of the nearer rows.
    Multi-label: how many of them have a label is its score.

    Args:
        neighbours: (q, k), nearest first.
        stored_labels: of the stored rows, (n,) or (n, classes), as in `probe_accuracy`.
        labels: of the queries, (q,) or (q, classes).

    Raises:
        ValueError: "undefined: ..." if no query has a label.

    Example:
        >>> neighbour_score(np.array([[0, 1, 2]]), np.array([1, 1, 0]), np.array([1]))
        1.0
    """
    k = neighbours.shape[1]
    weights = 1 + np.arange(k, 0, -1) / (k * k * 10)  # all of them together below one vote
    if stored_labels.ndim == 2:
        return score(np.einsum("qkc,k->qc", np.nan_to_num(stored_labels)[neighbours], weights), labels)
    votes = np.zeros((len(neighbours), max(stored_labels.max(), labels.max()) + 1))
    for place in range(k):
        known = stored_labels[neighbours[:, place]]
        votes[np.flatnonzero(known >= 0), known[known >= 0]] += weights[place]
    return score(votes, labels)


def recall_at(neighbours: np.ndarray, stored_labels: np.ndarray, labels: np.ndarray, k: int) -> float:
    """Return recall @ k: the share of queries with a row of their class among their k nearest, in [0, 1].

    Several labels an item: a row that shares a label. Queries without a (positive) label do not count.

    Source: Oh Song et al. 2016, Deep Metric Learning via Lifted Structured Feature Embedding, section 5. Differs:
    test rows against training rows, where they retrieve test rows among themselves.

    Args:
        neighbours: (q, k'), nearest first, k' >= k.
        stored_labels: as in `neighbour_score`.
        labels: as in `neighbour_score`.
        k: how many count.

    Raises:
        ValueError: "undefined: ..." if no query has a label.

    Example:
        >>> recall_at(np.array([[0, 1]]), np.array([0, 1]), np.array([1]), k=1)
        0.0
    """
    near = stored_labels[neighbours[:, :k]]
    if stored_labels.ndim == 2:
        known = (labels == 1).any(axis=1)
        hits = ((near == 1) & (labels[:, None] == 1)).any(axis=(1, 2))
    else:
        known = labels >= 0
        hits = (near == labels[:, None]).any(axis=1)
    if not known.any():
        raise ValueError("undefined: no row has a label")
    return float(hits[known].mean())
