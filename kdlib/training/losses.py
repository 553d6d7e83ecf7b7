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

# Rows whose largest entry is not above this count as zero: dividing a gradient by less would overflow float32.
TINY = 1e-34
# Squared length, in units of the batch's largest entry, below which a difference is rounding and counts as zero.
FLAT = 1e-10
# Under a root of two variances, each of order 1 / b: too small to show, enough to hold 0 / 0 at 0.
GUARD = 1e-14


def cosine_distance(student: Tensor, target: Tensor) -> Tensor:
    """Difference of the two cosine-similarity matrices: mean absolute entry, 0 (same angles between rows) to 2.

    mean_ij |cos(s_i, s_j) - cos(t_i, t_j)|. Looks at angles between rows only, so neither length nor rotation of the
    features matters.

    Args:
        student: features, shape (b, d_s).
        target: what they should be like, shape (b, d_c); the widths may differ.

    Source: Ding & Lerch 2023, Audio Embeddings as Teachers for Music Classification, "cosine distance difference".
    """
    _check_rows(student, target)
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
    _check_rows(student, target)
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
    _check_rows(student, target)
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
    _check_rows(student, target)
    return functional.smooth_l1_loss(_angles(student), _angles(target))


def similarity_preserving(student: Tensor, target: Tensor) -> Tensor:
    """Difference of the two similarity matrices with rows of length one: mean square, 0 (the same) to 4 / batch size.

    G = X Xᵀ with L2-normalised rows; |G_s - G_t|² / b². Small by construction: it wants a weight near 1.

    Args:
        student: features, shape (b, d_s).
        target: shape (b, d_c); the widths may differ.

    Source: Tung & Mori 2019, Similarity-Preserving Knowledge Distillation.
    """
    _check_rows(student, target)
    return functional.mse_loss(_unit(_gram(_scaled(student))), _unit(_gram(_scaled(target))))


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
    _check_rows(student, target)
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
    _check_rows(student, target)
    a, b = _gram(_standardised(student)), _gram(_standardised(target))
    return 1 - (a * b).mean() / (a.square().mean() * b.square().mean() + GUARD).sqrt()


def mse(student: Tensor, target: Tensor) -> Tensor:
    """Mean squared difference of the entries, 0 (same features) and up; needs equal widths.

    mean_ij (s_ij - t_ij)². The plain regression onto the target: position, scale and rotation all count. Overflows to
    infinity in float32 beyond about 1e19.

    Args:
        student: features, shape (b, d).
        target: shape (b, d).

    Raises:
        ValueError: different shapes.

    Source: Romero et al. 2015, FitNets: Hints for Thin Deep Nets, equation 3. Differs: a mean over rows and columns.
    """
    check_shapes("mse", student, target)
    return (student - target).square().mean()


def cosine(student: Tensor, target: Tensor) -> Tensor:
    """One minus the mean cosine similarity of matching rows, 0 (same directions) to 2 (opposite); needs equal widths.

    1 - mean_i cos(s_i, t_i). Like `mse`, but the length of the rows is free.

    Args:
        student: features, shape (b, d).
        target: shape (b, d).

    Returns:
        0-dim, in [0, 2]; a zero row counts 1.

    Raises:
        ValueError: different shapes.
    """
    check_shapes("cosine", student, target)
    return 1 - (_unit(student) * _unit(target)).sum(-1).mean()


def info_nce(student: Tensor, target: Tensor, temperature: float = 0.1) -> Tensor:
    """How hard a row's own target is to tell from others: mean cross-entropy in nats, 0 (easy) up; needs equal widths.

    mean_i -log softmax_j(cos(s_i, t_j) / temperature) at j = i. Unlike `cosine` it also pushes different rows apart.

    Args:
        student: features, shape (b, d).
        target: shape (b, d); row i is the positive of student row i, all others are negatives.
        temperature: > 0; lower means that only the nearest negatives count.

    Returns:
        0-dim, in [0, log b + 2 / temperature]; 0 for a single row.

    Raises:
        ValueError: different shapes, or temperature <= 0.

    Source: van den Oord et al. 2018, Representation Learning with Contrastive Predictive Coding, equation 4.
    """
    check_shapes("info_nce", student, target)
    check_temperature(temperature)
    logits = _unit(student) @ _unit(target).mT / temperature  # (b, b)
    return (logits.logsumexp(-1) - logits.diagonal()).mean()


def _check_rows(student: Tensor, target: Tensor) -> None:
    if student.shape[0] != target.shape[0]:
        raise ValueError(
            f"student and target need the same number of rows, got {student.shape[0]} and {target.shape[0]}"
        )


def check_shapes(name: str, student: Tensor, target: Tensor) -> None:
    """Return if both have the same rows and columns.

    Raises:
        ValueError: they do not; the message begins with `name`.
    """
    _check_rows(student, target)
    if student.shape[1] != target.shape[1]:
        raise ValueError(
            f"{name} needs student and target of the same width, got {student.shape[1]} and {target.shape[1]}"
        )


def check_temperature(temperature: float) -> None:
    """Return if the temperature is above 0.

    Raises:
        ValueError: it is not.
    """
    if not temperature > 0:
        raise ValueError(f"temperature must be above 0, got {temperature}")


def _divided_by_peak(rows: Tensor, peak: Tensor) -> Tensor:
    """Return rows / peak, unchanged rows where the peak counts as zero.

    Squares of the result neither overflow nor vanish.

    Everything built on it is the same for c · rows as for rows, so the peak may be treated as a constant: the gradient
    is exact.
    """
    return rows / torch.where(peak > TINY, peak, 1)


def _scaled(rows: Tensor) -> Tensor:
    """Return the rows (b, d) divided by the largest absolute entry of the batch."""
    return _divided_by_peak(rows, rows.detach().abs().amax())


def _unit(rows: Tensor) -> Tensor:
    """Return the rows (b, d) at Euclidean length 1; a zero row stays zero, with a bounded gradient."""
    rows = _divided_by_peak(rows, rows.detach().abs().amax(-1, keepdim=True))
    return (
        rows * rows.square().sum(-1, keepdim=True).clamp(min=1).rsqrt()
    )  # only a zero row is shorter than its peak, now 1


def _gram(rows: Tensor) -> Tensor:
    """Return the inner products of all pairs of rows, (b, d) -> (b, b)."""
    return rows @ rows.mT


def cosines(rows: Tensor) -> Tensor:
    """Return the cosine similarities of all pairs of rows in [-1, 1], (b, d) -> (b, b); 0 for a zero row."""
    return _gram(_unit(rows))


def _neighbour_probabilities(rows: Tensor) -> Tensor:
    """Return (1 + cosine) / 2 of all pairs, at least 1e-7, each row divided by its sum, (b, d) -> (b, b)."""
    kernel = ((1 + cosines(rows)) / 2).clamp(min=1e-7)
    return kernel / kernel.sum(-1, keepdim=True)


def distances(rows: Tensor) -> Tensor:
    """Return the Euclidean distances of all pairs in units of their mean over different rows, (b, d) -> (b, b).

    By inner products: about ten times as fast as differences. Centring first keeps a large common offset out of the
    cancellation, and what is left of equal rows lies under `FLAT`: distance 0, gradient 0.
    """
    rows = _scaled(rows)
    gram = _gram(rows - rows.mean(0))
    square = gram.diagonal()
    square = square[:, None] + square - 2 * gram
    lengths = torch.where(square > FLAT, square.clamp(min=FLAT).sqrt(), 0)
    pairs = max(lengths.shape[0] * (lengths.shape[0] - 1), 1)
    return lengths / (lengths.sum() / pairs).clamp(min=FLAT**0.5)


def double_centred(matrix: Tensor) -> Tensor:
    """Return a symmetric matrix (b, b) minus its row means, minus its column means, plus its grand mean."""
    mean = matrix.mean(-1)
    return matrix - mean[:, None] - mean + mean.mean()


def _standardised(rows: Tensor) -> Tensor:
    """Return the rows (b, d) centred, with a mean squared length of 1; all zero if they do not vary."""
    rows = _scaled(rows)
    rows = rows - rows.mean(0)
    spread = rows.detach().square().mean()
    return torch.where(spread > FLAT, rows, 0) * (spread.clamp(min=FLAT) * rows.shape[1]).rsqrt()


def _angles(rows: Tensor) -> Tensor:
    """Return the cosine of the angle at j between i and k, entry [j, i, k], (b, d) -> (b, b, b); 0 if two are equal."""
    rows = _scaled(rows)
    towards = rows[None, :] - rows[:, None]  # (b, b, d): [j, i] points from j to i
    square = towards.square().sum(-1, keepdim=True)
    towards = towards * torch.where(square > FLAT, square.clamp(min=FLAT).rsqrt(), 0)
    return towards @ towards.mT


Distance = Callable[[Tensor, Tensor], Tensor]


class Loss(NamedTuple):
    """A distance between student features and target.

    Attributes:
        function: `(student (b, d_s), target (b, d_c)) -> 0-dim`.
        pointwise: it compares entry by entry and needs d_s == d_c: the student then carries an adapter to width d_c.
    """

    function: Distance
    pointwise: bool = False


LOSSES: dict[str, Loss] = {
    "distance_correlation": Loss(distance_correlation),
    "cosine_distance": Loss(cosine_distance),
    "rkd_distance": Loss(rkd_distance),
    "rkd_angle": Loss(rkd_angle),
    "similarity_preserving": Loss(similarity_preserving),
    "pkt": Loss(pkt),
    "cka": Loss(cka),
    "mse": Loss(mse, pointwise=True),
    "cosine": Loss(cosine, pointwise=True),
    "info_nce": Loss(info_nce, pointwise=True),
}
