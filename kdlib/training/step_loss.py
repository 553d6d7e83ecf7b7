"""The loss of one step: all members of all methods, each on its own batch.

    total = (1 - λ) · prediction + λ · distance + w · soft labels + teacher loss

The teacher loss moves only the trainable compressor and its head. The distance sees the compressed embedding detached,
so it moves only the student (Ding & Lerch 2024). `tests/test_loop.py` compares every member with a plain loop of its
own.

An augmentation changes the students' inputs; where it mixes rows, predictions, targets and soft labels are mixed alike.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import vmap

from kdlib.training import label_losses
from kdlib.training.augmentation import AUGMENTATIONS, draw_noise, mix, partner
from kdlib.training.distances import Distances, Pull
from kdlib.training.losses import LOSSES
from kdlib.training.population import Population
from kdlib.training.prefixes import Prefixes
from kdlib.training.streaming import StreamedRows

TEACHER_STREAM = 2**32  # added to every seed: teachers draw other numbers than augmentations


@dataclass(frozen=True)
class TrainingData:
    """The rows to learn from, and those that choose the best weights.

    Attributes:
        inputs: (n, ...) float32, in memory or streamed.
        labels: (n,) int64 or (n, k) float32 with NaN.
        embeddings: (n, d_t) float32; width 0 where no method has a teacher.
        val_inputs: (v, ...), as `inputs`.
        val_labels: as `labels`.
    """

    inputs: Tensor | StreamedRows
    labels: Tensor
    embeddings: Tensor
    val_inputs: Tensor | StreamedRows
    val_labels: Tensor

    def to(self, device: torch.device) -> "TrainingData":
        """Return the same rows on a device."""
        return TrainingData(*(value.to(device) for value in vars(self).values()))


@dataclass(frozen=True)
class MethodGroup:
    """The members of one method.

    Attributes:
        students: its members.
        seeds: order of the batches, one per member; of a grid, those of the first setting, then of the next.
        teachers: for a trainable compressor (or soft labels), one `TeacherBranch` per member.
        targets: for a fixed compressor, the target of every labelled row, (m, n, d_c). A baseline has neither.
        normalised: the same as the distance compares it, where it is normalised; None: as it is.
        noise: how many random numbers a row its teachers take beside the embedding.
        normalise: for a trainable compressor, what the distance makes of a batch of targets (b, d_c); None: nothing.
        distance_weight: λ in [0, 1], one for all members or one for each.
        soft_label_weight: >= 0, one for all members or one for each.
        temperature: of the soft labels.
        soft_label_loss: a name in `SOFT_LABEL_LOSSES`.
        columns: of each separate teacher in the target; the distance is the mean of theirs.
        attributed: rows (n, d_t) whose attribute is known, numbers (n, k') that say it, and how many of them its
            teachers see in a step; None: they see none.
        prefix: how many leading numbers of the target each member is taught, 0 for all.
        heads: the leading widths that its teachers have a head for, where a member is taught one of them.
    """

    students: Sequence[nn.Module]
    seeds: Sequence[int]
    teachers: Sequence[nn.Module] = ()
    targets: Tensor | None = None
    distance_weight: float | Sequence[float] = 0.0
    soft_label_weight: float | Sequence[float] = 0.0
    temperature: float = 1.0
    soft_label_loss: str = "kl"
    normalised: Tensor | None = None
    normalise: Callable[[Tensor], Tensor] | None = None
    noise: int = 0
    columns: Sequence[slice] = (slice(None),)
    attributed: tuple[Tensor, Tensor, int] | None = None
    prefix: Sequence[int] = ()
    heads: Sequence[int] = ()

    def member_weights(self, name: str) -> list[float]:
        """Return "distance_weight" or "soft_label_weight" of each member."""
        value: float | Sequence[float] = getattr(self, name)
        return list(value) if isinstance(value, Sequence) else [value] * len(self.seeds)

    def subset(self, members: Sequence[int]) -> "MethodGroup":
        """Return the group with some of its members only.

        Example:
            >>> group.subset([2, 0]).seeds
            [2, 0]
        """
        weights = {
            name: [self.member_weights(name)[member] for member in members]
            for name in ("distance_weight", "soft_label_weight")
        }
        return replace(
            self,
            students=[self.students[member] for member in members],
            seeds=[self.seeds[member] for member in members],
            teachers=[self.teachers[member] for member in members] if self.teachers else (),
            targets=None if self.targets is None else self.targets[list(members)],
            normalised=None if self.normalised is None else self.normalised[list(members)],
            prefix=[self.prefix[member] for member in members] if self.prefix else (),
            **weights,
        )


class LossParts(NamedTuple):
    """The loss of each member on its batch, (m,) each.

    Attributes:
        total: to be minimised.
        prediction: cross-entropy of the labels.
        distance: between student features and target; 0 without a target.
        teacher: cross-entropy of the teacher's heads; 0 without a head.
        soft: weighted divergence from the teacher's predictions; 0 without soft labels.
    """

    total: Tensor
    prediction: Tensor
    distance: Tensor
    teacher: Tensor
    soft: Tensor


class BatchOutputs(NamedTuple):
    """What one batch comes to.

    Attributes:
        parts: the losses.
        features: (m, b, d) of the students, as the distance sees them.
        targets: per group, (its members, b, d_c) what they are pulled to, or None.
    """

    parts: LossParts
    features: Tensor
    targets: list[Tensor | None]


class _GroupTerms(NamedTuple):
    """What the teachers of one group add to the loss of its members.

    Attributes:
        target: (m, b, d_c) what the students are pulled to; None where nothing pulls.
        teacher: (m,) cross-entropy of the teacher's heads.
        soft: (m,) weighted divergence from the teacher's predictions.
    """

    target: Tensor | None
    teacher: Tensor
    soft: Tensor


class StepLoss:
    """The loss of all members on one batch each.

    Args:
        groups: whose students have one architecture.
        rows: to learn from.
        loss: a name in `LOSSES`.
        device: where to compute.
        augmentation: a name in `AUGMENTATIONS`.

    Attributes:
        seeds: of all members.
        students: all members of all groups, in order.
        teachers: per group, its teacher branches, or None.
        rows: on the device.
    """

    def __init__(
        self,
        groups: Sequence[MethodGroup],
        rows: TrainingData,
        loss: str,
        device: torch.device,
        augmentation: str = "none",
    ) -> None:
        self.groups, self.rows = groups, rows.to(device)
        self.seeds = [seed for group in groups for seed in group.seeds]
        self._augmentation = AUGMENTATIONS[augmentation]
        self.students = Population([student for group in groups for student in group.students], device)
        self.teachers = [Population(group.teachers, device) if group.teachers else None for group in groups]
        self._targets = [None if group.targets is None else group.targets.to(device) for group in groups]
        self._normalised = [None if group.normalised is None else group.normalised.to(device) for group in groups]
        self._members = _member_slices([len(group.seeds) for group in groups])
        self._distances = Distances(loss)
        kept = [group.prefix or [0] * len(group.seeds) for group in groups]
        self._prefixes = Prefixes(kept, [group.heads for group in groups], LOSSES[loss], device)
        self._prediction = vmap(label_losses.prediction)
        self._soft_labels = [vmap(partial(_soft_labels, group, rows.labels.ndim == 2)) for group in groups]
        weights = [group.member_weights("distance_weight") for group in groups]
        self._pulled = [any(each) for each in weights]
        self._distance_weights = torch.tensor([weight for each in weights for weight in each], device=device)
        self._soft_weights = [
            torch.tensor(group.member_weights("soft_label_weight"), device=device) for group in groups
        ]

    def __call__(self, index: Tensor, inputs: Tensor, step: int) -> LossParts:
        """Return the loss of each member on its rows; arguments as in `outputs`."""
        return self.outputs(index, inputs, step).parts

    def outputs(self, index: Tensor, inputs: Tensor, step: int) -> BatchOutputs:
        """Return the loss of each member on its rows, and what the distance compares.

        Args:
            index: (m, b) row numbers.
            inputs: (m, b, ...) of these rows.
            step: its number in the training, for what is random in an augmentation.
        """
        labels = self.rows.labels[index]
        inputs, shares = self._augment(inputs, step)
        _, logits, adapted = self.students(inputs)
        adapted = self._prefixes.cut_features(adapted)
        prediction = _mixed_loss(self._prediction, logits, labels, shares)
        beside = [self._beside(number, index, step) for number in range(len(self.groups))]
        terms = [
            self._group_terms(number, index, labels, logits, shares, beside[number]) for number in range(len(beside))
        ]
        pulls = zip(self._members, [each.target for each in terms], self.groups, strict=True)
        distance = self._distances(adapted, [Pull(members, target, group.columns) for members, target, group in pulls])
        distance = self._prefixes.rescale(distance)
        teacher, soft = torch.cat([each.teacher for each in terms]), torch.cat([each.soft for each in terms])
        weights = self._distance_weights
        total = (1 - weights) * prediction + weights * distance + soft + teacher
        parts = LossParts(total, prediction, distance, teacher, soft)
        return BatchOutputs(parts, adapted, [each.target for each in terms])

    def _augment(self, inputs: Tensor, step: int) -> tuple[Tensor, Tensor | None]:
        """Return what the students see of inputs (m, b, ...), and each row's share (m, b) where rows are mixed."""
        function, numbers, _, mixes = self._augmentation
        if not numbers:
            return inputs, None
        noise = draw_noise(self.seeds, step, inputs.shape[1], numbers).to(inputs.device)
        return vmap(function)(inputs, noise), noise[..., 0] if mixes else None

    def _beside(self, number: int, index: Tensor, step: int) -> tuple[Tensor, ...]:
        """Return what the teachers of a group take besides the embeddings, (m, b, ...) each."""
        group = self.groups[number]
        if group.noise:
            return (draw_noise(group.seeds, step, index.shape[1], group.noise, TEACHER_STREAM).to(index.device),)
        if group.attributed is None:
            return ()
        embeddings, coded, per_step = group.attributed
        drawn = draw_noise(group.seeds, step, per_step, 1, TEACHER_STREAM)[..., 0]
        rows = (drawn * len(coded)).long()
        return embeddings[rows].to(index.device), coded[rows].to(index.device)

    def _group_terms(
        self,
        number: int,
        index: Tensor,
        labels: Tensor,
        logits: Tensor,
        shares: Tensor | None,
        beside: Sequence[Tensor],
    ) -> _GroupTerms:
        """Return the terms of one group, from row numbers, labels, logits and shares (m, b, ...) of all members.

        `beside` is what its teachers take besides the embedding.
        """
        group, teachers, targets = self.groups[number], self.teachers[number], self._targets[number]
        members = self._members[number]
        shares = None if shares is None else shares[members]
        teacher = soft = logits.new_zeros(len(group.seeds))
        places = (torch.arange(len(group.seeds), device=index.device)[:, None], index[members])
        target = None if targets is None else targets[places]
        if teachers is not None:
            given = self.rows.embeddings[index[members]] if target is None else target
            compressed, head_logits, *own = teachers(given, *beside)
            target = compressed.detach() if target is None else target
            heads = head_logits[:-1] if len(group.columns) > 1 else head_logits  # the last is the mean of several
            teacher = torch.stack([self._prediction(each, labels[members]) for each in heads]).mean(0) + sum(own)
            if any(group.member_weights("soft_label_weight")):
                given = self._prefixes.logits(number, [*head_logits]).detach()
                divergence = _mixed_loss(self._soft_labels[number], logits[members], given, shares)
                soft = self._soft_weights[number] * divergence
        normalised = self._normalised[number]
        if normalised is not None:
            target = normalised[places]
        elif target is not None and group.normalise is not None:
            target = vmap(group.normalise)(target)
        if target is not None:
            target = self._prefixes.cut(number, target)
        if target is not None and shares is not None:
            target = vmap(mix)(target, shares)
        return _GroupTerms(target if self._pulled[number] else None, teacher, soft)


def _soft_labels(group: MethodGroup, multi_label: bool, student: Tensor, teacher: Tensor, *weights: Tensor) -> Tensor:
    """Return the group's loss of soft labels, with what is mapped over members last."""
    loss = label_losses.SOFT_LABEL_LOSSES[group.soft_label_loss]
    return loss(student, teacher, group.temperature, multi_label, *weights)


def _mixed_loss(loss: Callable[..., Tensor], logits: Tensor, labels: Tensor, shares: Tensor | None) -> Tensor:
    """Return the loss of each member (m,), for mixed rows with the labels of both of them.

    Args:
        loss: `(logits, labels, row weights) -> (m,)`.
        logits: (m, b, k).
        labels: (m, b, ...).
        shares: (m, b), None where rows are not mixed.
    """
    if shares is None:
        return loss(logits, labels)
    return loss(logits, labels, shares) + loss(logits, vmap(partner)(labels), 1 - shares)


def _member_slices(sizes: Sequence[int]) -> list[slice]:
    """Return where the members of each group stand among all members."""
    ends = [sum(sizes[: number + 1]) for number in range(len(sizes))]
    return [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]
