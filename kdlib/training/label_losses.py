"""Losses on labels: how wrong predictions are, against known labels or against a teacher's predictions.

Means over the batch, without parameters and without data-dependent control flow, so that they run under `torch.vmap`;
`tests/test_label_losses.py` holds them to it. What the student makes of a teacher's predictions is a choice, registry
`SOFT_LABEL_LOSSES`.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from kdlib.training.rows import check_shapes, check_temperature

SPREAD = 1e-8  # variance of probabilities that is too small to show, enough to keep gradients bounded


def soft_labels(
    student_logits: Tensor,
    teacher_logits: Tensor,
    temperature: float,
    multi_label: bool = False,
    weights: Tensor | None = None,
) -> Tensor:
    """Mean divergence of the student's softened predictions from the teacher's, 0 where they agree.

    T² · mean_i KL(softmax(teacher_i / T) | softmax(student_i / T)); T² keeps the gradient's size the same at every
    temperature. Multi-label: the same with a sigmoid per class, a mean over rows and classes.

    Args:
        student_logits: shape (b, k).
        teacher_logits: shape (b, k), already detached by the caller: gradients do flow into both.
        temperature: T > 0; higher shows more of how the teacher ranks the wrong classes.
        multi_label: classes do not exclude each other.
        weights: shape (b,), what each row counts; None for 1.

    Returns:
        0-dim, >= 0 up to rounding.

    Raises:
        ValueError: different shapes, or temperature <= 0.

    Source: Hinton, Vinyals & Dean 2015, Distilling the Knowledge in a Neural Network, section 2.
    """
    check_shapes("soft_labels", student_logits, teacher_logits)
    check_temperature(temperature)
    student, teacher = student_logits / temperature, teacher_logits / temperature
    if multi_label:
        on = teacher.sigmoid() * (functional.logsigmoid(teacher) - functional.logsigmoid(student))
        off = (-teacher).sigmoid() * (functional.logsigmoid(-teacher) - functional.logsigmoid(-student))
        divergence = (on + off).mean(-1)
    else:
        log_p = teacher.log_softmax(-1)
        divergence = (log_p.exp() * (log_p - student.log_softmax(-1))).sum(-1)
    return temperature**2 * (divergence if weights is None else weights * divergence).mean()


def dist(
    student_logits: Tensor,
    teacher_logits: Tensor,
    temperature: float,
    multi_label: bool = False,
    weights: Tensor | None = None,
) -> Tensor:
    """How differently student and teacher rank the classes of an item and the items of a class: 0 (alike) and up.

    T² · [(1 - mean_i ρ(p_i., q_i.)) + (1 - mean_j ρ(p_.j, q_.j))]: ρ Pearson's correlation, p and q the softened
    predictions of student and teacher, i items, j classes. Unlike a divergence it leaves the student its own scale, so
    a much stronger teacher can be followed. Multi-label: with a sigmoid per class.

    Args:
        student_logits: shape (b, k).
        teacher_logits: shape (b, k), already detached by the caller.
        temperature: T > 0.
        multi_label: classes do not exclude each other.
        weights: None; rows of a batch that is compared as a whole cannot be weighed.

    Returns:
        0-dim, in [0, 4 T²]; a row or column that does not vary counts 1.

    Raises:
        ValueError: different shapes, temperature <= 0, or weights.

    Source: Huang et al. 2022, Knowledge Distillation from A Stronger Teacher, with both weights at 1 and T² as in its
    authors' code. Differs: 1e-8 is added to each variance.
    """
    check_shapes("dist", student_logits, teacher_logits)
    check_temperature(temperature)
    if weights is not None:
        raise ValueError("dist compares a batch as a whole and cannot weigh its rows, got weights; choose kl")
    student, teacher = student_logits / temperature, teacher_logits / temperature
    p, q = (student.sigmoid(), teacher.sigmoid()) if multi_label else (student.softmax(-1), teacher.softmax(-1))
    return temperature**2 * (2 - _correlations(p, q).mean() - _correlations(p.mT, q.mT).mean())


def _correlations(a: Tensor, b: Tensor) -> Tensor:
    """Return Pearson's correlation of matching rows, (n, d) and (n, d) -> (n,); 0 for a row that does not vary."""
    a, b = a - a.mean(-1, keepdim=True), b - b.mean(-1, keepdim=True)
    spreads = (a.square().mean(-1) + SPREAD).sqrt() * (b.square().mean(-1) + SPREAD).sqrt()
    return (a * b).mean(-1) / spreads


def prediction(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return the mean cross-entropy of the known labels in nats, >= 0; 0 with zero gradient if no label is known.

    Args:
        logits: shape (b, k).
        labels: integers, shape (b,): the class of each row, negative = missing. Or floats, shape (b, k): 0 or 1 per
            class, NaN = missing; then it is the binary cross-entropy, a mean over all known entries.
        weights: shape (b,), what each row counts; None for 1. The sum is divided by the known entries all the same.

    Returns:
        0-dim, >= 0.

    Raises:
        ValueError: different numbers of rows, or of classes.
    """
    if labels.shape[0] != logits.shape[0]:
        raise ValueError(f"logits and labels need the same number of rows, got {logits.shape[0]} and {labels.shape[0]}")
    if not labels.is_floating_point():
        known = labels >= 0
        # log_softmax at these entries, in a third of its time: it is slow over few classes
        chosen = logits.gather(-1, labels.clamp(min=0)[:, None])[:, 0] - logits.logsumexp(-1)
        chosen = chosen if weights is None else weights * chosen
        return -torch.where(known, chosen, 0).sum() / known.sum().clamp(min=1)
    if labels.shape != logits.shape:
        raise ValueError(
            f"logits and multi-label labels need the same shape, got {tuple(logits.shape)} and {tuple(labels.shape)}"
        )
    known = ~labels.isnan()
    entries = functional.binary_cross_entropy_with_logits(logits, torch.where(known, labels, 0), reduction="none")
    entries = entries if weights is None else weights[:, None] * entries
    return torch.where(known, entries, 0).sum() / known.sum().clamp(min=1)


SoftLabelLoss = Callable[..., Tensor]  # (student logits, teacher logits, temperature, multi_label, weights) -> 0-dim

SOFT_LABEL_LOSSES: dict[str, SoftLabelLoss] = {"kl": soft_labels, "dist": dist}
