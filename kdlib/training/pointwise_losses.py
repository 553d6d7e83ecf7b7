"""Losses between features that compare entry by entry: both sides have one width, so the student has an adapter.

The contract is that of `losses`, which registers them.
"""

import math

from torch import Tensor
from torch.nn import functional

from kdlib.training.rows import check_shapes, check_temperature, standardised_columns, unit

SMALLEST_VARIANCE = 1e-3  # of the errors of a column
LARGE = 1e8  # products of four such numbers do not overflow float32


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
    return 1 - (unit(student) * unit(target)).sum(-1).mean()


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
    logits = unit(student) @ unit(target).mT / temperature  # (b, b)
    return (logits.logsumexp(-1) - logits.diagonal()).mean()


def crd(student: Tensor, target: Tensor, temperature: float = 0.1) -> Tensor:
    """How hard own and foreign targets are to tell apart, pair by pair: mean over rows in nats, 0 (easy) and up.

    h_ij = e^(cos(s_i, t_j) / T) / (e^(cos(s_i, t_j) / T) + N / M); mean_i [-log h_ii - sum_j≠i log(1 - h_ij)], with
    N = b - 1 and M = b. Unlike `info_nce`, which asks for the nearest only, every foreign target is pushed away.

    Args:
        student: features, shape (b, d).
        target: shape (b, d); row i is the positive of student row i, all others are negatives.
        temperature: T > 0.

    Returns:
        0-dim, >= 0.

    Raises:
        ValueError: different shapes, or temperature <= 0.

    Source: Tian, Krishnan & Isola 2020, Contrastive Representation Distillation, equations 17-18. Differs: the
    negatives are the other rows of the batch, not a memory of the whole training set.
    """
    check_shapes("crd", student, target)
    check_temperature(temperature)
    rows = len(student)
    logits = unit(student) @ unit(target).mT / temperature - math.log(max(rows - 1, 1) / rows)  # (b, b)
    # -log h = softplus(-x) and -log(1 - h) = softplus(x) = softplus(-x) + x
    return (functional.softplus(logits).sum(-1) - logits.diagonal()).mean()


def log_sum(student: Tensor, target: Tensor) -> Tensor:
    """How far standardised columns are apart, large differences damped: log of a sum, 0 (same up to scale) and up.

    log(1 + sum_ij |s_ij - t_ij|⁴), each column of both sides at mean 0 and variance 1 over the batch. A row that cannot
    be matched has little say: the gradient falls as the sum grows.

    Args:
        student: features, shape (b, d).
        target: shape (b, d).

    Returns:
        0-dim, >= 0.

    Raises:
        ValueError: different shapes.

    Source: Miles & Mikolajczyk 2024, Understanding the Role of the Projector in Knowledge Distillation, section 3.3,
    with its α = 4. Differs: 1 is added to the sum, which is finite and 0 where nothing is left to match.
    """
    check_shapes("log_sum", student, target)
    return (standardised_columns(student) - standardised_columns(target)).square().square().sum().log1p()


def vicreg(student: Tensor, target: Tensor) -> Tensor:
    """`mse`, and the student's columns kept spread and uncorrelated: 0 (same, spread 1, uncorrelated) and up.

    mean_ij (s_ij - t_ij)² + mean_j max(0, 1 - sd(s_j)) + sum_j≠k cov(s_j, s_k)² / (25 d): the paper's weights 25, 25
    and 1, divided by 25. It keeps the adapter from matching a few directions only. Entries beyond 1e8 count as 1e8.

    Args:
        student: features, shape (b, d).
        target: shape (b, d).

    Returns:
        0-dim, >= 0.

    Raises:
        ValueError: different shapes.

    Source: Bardes, Ponce & LeCun 2022, VICReg, equations 1-6. Differs: the target is given, so that variance and
    covariance are asked of the student only.
    """
    check_shapes("vicreg", student, target)
    student, target = student.clamp(-LARGE, LARGE), target.clamp(-LARGE, LARGE)
    rows, width = student.shape
    centred = student - student.mean(0)
    covariance = centred.mT @ centred / max(rows - 1, 1)
    variances = covariance.diagonal()
    spread = functional.relu(1 - (variances + 1e-4).sqrt()).mean()
    shared = (covariance.square().sum() - variances.square().sum()) / width
    return (student - target).square().mean() + spread + shared / 25


def rid(student: Tensor, target: Tensor) -> Tensor:
    """How large the errors of each column are, on a scale of its own: mean logarithm, 0 (same features) and up.

    mean_j log(1 + mean_i (s_ij - t_ij)² / ε), ε = 1e-3: the Gaussian likelihood of the target with a variance per
    column, at the variance that fits the batch best. A column that the student cannot follow has little say. With the
    compressor `mlp` (the paper's teacher filter, which learns the labels) and the projector `mlp` (its student filter)
    it is redundant information distillation: only what teacher, student and label share. Entries beyond 1e8 count as
    1e8.

    Args:
        student: features, shape (b, d).
        target: shape (b, d).

    Returns:
        0-dim, >= 0.

    Raises:
        ValueError: different shapes.

    Source: Dissanayake et al. 2025, Quantifying Knowledge Distillation using Partial Information Decomposition, and its
    authors' code (pasandissanayake/kd-rid, systems/wrncifar100.py): mean of log σ² + (s - t)² / σ² with σ² >= 1e-3
    learned. Differs: σ² is not learned but at its best for the batch; filters learn side by side from the first step.
    """
    check_shapes("rid", student, target)
    student, target = student.clamp(-LARGE, LARGE), target.clamp(-LARGE, LARGE)
    return ((student - target).square().mean(0) / SMALLEST_VARIANCE).log1p().mean()
