"""Losses between features: how far a student's features are from a target. Registry `LOSSES`.

A distance is a pure function `(student (b, d_s), target (b, d_c)) -> 0-dim`, a mean over the batch, without parameters
and without data-dependent control flow, so that it runs under `torch.vmap`. It is finite, value and gradient, for zero
rows, identical rows, one row and one column; different numbers of rows are a `ValueError`. The first docstring line is
its help in the app and names its range. To add one: write the function and give it a line in `LOSSES`;
`tests/test_losses.py` then holds it to all of this. Losses on labels are in `label_losses`.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from kdlib.training.member_distance import distance_correlations
from kdlib.training.pointwise_losses import cosine, crd, info_nce, log_sum, mse, rid, vicreg
from kdlib.training.rows import (
    FLAT,
    GUARD,
    check_rows,
    cosines,
    distances,
    double_centred,
    gram,
    scaled,
    standardised,
    unit,
)


def cosine_distance(student: Tensor, target: Tensor) -> Tensor:
    """Difference of the two cosine-similarity matrices: mean absolute entry, 0 (same angles between rows) to 2.

    mean_ij |cos(s_i, s_j) - cos(t_i, t_j)|. Looks at angles between rows only, so neither length nor rotation of the
    features matters.

    Args:
        student: features, shape (b, d_s).
        target: what they should be like, shape (b, d_c); the widths may differ.

    Source: Ding & Lerch 2023, Audio Embeddings as Teachers for Music Classification, "cosine distance difference".
    """
    check_rows(student, target)
    return (cosines(student) - cosines(target)).abs().mean()


def distance_correlation(student: Tensor, target: Tensor) -> Tensor:
    """One minus the distance correlation of the two sets of rows, 0 (same distances up to scale) to 1 (unrelated).

    a, b: Euclidean distance matrices, double-centred (minus row mean, minus column mean, plus grand mean);
    1 - mean(a · b) / sqrt(mean(a · a) · mean(b · b)). Sees non-linear relations too, and needs neither equal widths nor
    equal scales.

    Args:
        student: features, shape (b, d_s).
        target: shape (b, d_c); the widths may differ.

    Returns:
        0-dim; 1 where either side does not vary.

    Source: Ding & Lerch 2023; Székely, Rizzo & Bakirov 2007, Measuring and testing dependence by correlation of
    distances (its square, of a sample). Differs: distances are in units of their mean, so that the constant under the
    root means the same at any scale.
    """
    check_rows(student, target)
    a, b = double_centred(distances(student)), double_centred(distances(target))
    return 1 - (a * b).mean() / (a.square().mean() * b.square().mean() + GUARD).sqrt()


def rkd_distance(student: Tensor, target: Tensor) -> Tensor:
    """Difference of the two distance matrices, each in units of its mean: mean Huber loss, 0 (same up to scale) and up.

    mean_ij huber(|s_i - s_j| / mu_s - |t_i - t_j| / mu_t), mu the mean over pairs of different rows.
    Compares distances one by one, where `distance_correlation` compares their pattern.

    Args:
        student: features, shape (b, d_s).
        target: shape (b, d_c); the widths may differ.

    Source: Park et al. 2019, Relational Knowledge Distillation, equations 5-8.
    """
    check_rows(student, target)
    return functional.smooth_l1_loss(distances(student), distances(target))


def rkd_angle(student: Tensor, target: Tensor) -> Tensor:
    """Difference of the angles in all triplets of rows: mean Huber loss of their cosines, 0 (same angles) to 1.5.

    mean_ijk huber(cos∠(s_i, s_j, s_k) - cos∠(t_i, t_j, t_k)), the angle at j. The strictest relational distance, and by
    far the dearest: some forty times the time of the others and 12 b³ bytes.

    Args:
        student: features, shape (b, d_s).
        target: shape (b, d_c); the widths may differ.

    Source: Park et al. 2019, Relational Knowledge Distillation, equations 9-10.
    """
    check_rows(student, target)
    return functional.smooth_l1_loss(_angles(student), _angles(target))


def similarity_preserving(student: Tensor, target: Tensor) -> Tensor:
    """Difference of the two similarity matrices with rows of length one: mean square, 0 (the same) to 4 / batch size.

    G = X Xᵀ with L2-normalised rows; |G_s - G_t|² / b². Small by construction: it wants a weight near 1.

    Args:
        student: features, shape (b, d_s).
        target: shape (b, d_c); the widths may differ.

    Source: Tung & Mori 2019, Similarity-Preserving Knowledge Distillation.
    """
    check_rows(student, target)
    return functional.mse_loss(unit(gram(scaled(student))), unit(gram(scaled(target))))


def pkt(student: Tensor, target: Tensor) -> Tensor:
    """How differently rows choose their neighbours: mean Kullback-Leibler divergence in nats, 0 (the same) and up.

    p_ij = (1 + cos(t_i, t_j)) / 2, at least 1e-7, each row divided by its sum, q of the student; mean_i sum_j p_ij
    log(p_ij / q_ij). Weighs near neighbours more than far ones.

    Args:
        student: features, shape (b, d_s).
        target: shape (b, d_c); the widths may differ.

    Source: Passalis & Tefas 2018, Learning Deep Representations with Probabilistic Knowledge Transfer, the pair of a
    row with itself included as in the authors' code. Differs: a mean over rows, not over all b² terms, which would
    shrink with the batch.
    """
    check_rows(student, target)
    p, q = _neighbour_probabilities(target), _neighbour_probabilities(student)
    return (p * (p / q).log()).sum(-1).mean()


def cka(student: Tensor, target: Tensor) -> Tensor:
    """One minus linear centred kernel alignment, 0 (same up to rotation and scale) to 1 (unrelated).

    K = X Xᵀ of column-centred rows; 1 - sum(K_s · K_t) / (|K_s| |K_t|). Dominated by the directions of large variance.

    Args:
        student: features, shape (b, d_s).
        target: shape (b, d_c); the widths may differ.

    Returns:
        0-dim; 1 where either side does not vary.

    Source: Kornblith et al. 2019, Similarity of Neural Network Representations Revisited, equation 4 (biased
    estimator).
    """
    check_rows(student, target)
    a, b = gram(standardised(student)), gram(standardised(target))
    return 1 - (a * b).mean() / (a.square().mean() * b.square().mean() + GUARD).sqrt()


def _neighbour_probabilities(rows: Tensor) -> Tensor:
    """Return (1 + cosine) / 2 of all pairs, at least 1e-7, each row divided by its sum, (b, d) -> (b, b)."""
    kernel = ((1 + cosines(rows)) / 2).clamp(min=1e-7)
    return kernel / kernel.sum(-1, keepdim=True)


def _angles(rows: Tensor) -> Tensor:
    """Return the cosine of the angle at j between i and k, entry [j, i, k], (b, d) -> (b, b, b); 0 if two are equal."""
    rows = scaled(rows)
    towards = rows[None, :] - rows[:, None]  # (b, b, d): [j, i] points from j to i
    square = towards.square().sum(-1, keepdim=True)
    towards = towards * torch.where(square > FLAT, square.clamp(min=FLAT).rsqrt(), 0)
    return towards @ towards.mT


Distance = Callable[[Tensor, Tensor], Tensor]
SAME, MEAN, MIXED = "same", "mean", "mixed"  # what columns of 0 on both sides do to the value of a loss


class Loss(NamedTuple):
    """A distance between student features and target.

    Attributes:
        function: `(student (b, d_s), target (b, d_c)) -> 0-dim`.
        pointwise: it compares entry by entry and needs d_s == d_c: the student then carries an adapter to width d_c.
        tail: what further columns that are 0 in the target, and where it compares entry by entry in the features, do to
            its value: "same" (nothing), "mean" (they count in a mean over columns) or "mixed" (something else: then no
            member can be taught a prefix of the target).
        together: the same of all members, (m, b, d_s) and (m, b, d_c) to (m,), its gradient for the student only; None:
            the function is mapped.
    """

    function: Distance
    pointwise: bool = False
    tail: str = SAME
    together: Distance | None = None


LOSSES: dict[str, Loss] = {
    "distance_correlation": Loss(distance_correlation, together=distance_correlations),
    "cosine_distance": Loss(cosine_distance),
    "rkd_distance": Loss(rkd_distance),
    "rkd_angle": Loss(rkd_angle),
    "similarity_preserving": Loss(similarity_preserving),
    "pkt": Loss(pkt),
    "cka": Loss(cka),
    "mse": Loss(mse, pointwise=True, tail=MEAN),
    "cosine": Loss(cosine, pointwise=True),
    "info_nce": Loss(info_nce, pointwise=True),
    "crd": Loss(crd, pointwise=True),
    "log_sum": Loss(log_sum, pointwise=True),
    "vicreg": Loss(vicreg, pointwise=True, tail=MIXED),
    "rid": Loss(rid, pointwise=True, tail=MEAN),
}
