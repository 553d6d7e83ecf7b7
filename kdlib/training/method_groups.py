"""The members of one method as a training takes them: students, teachers, targets, and what each member learns with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from torch import Tensor, nn


class AttributedRows(NamedTuple):
    """Rows whose attribute is known, some of which a teacher sees in every step.

    Attributes:
        embeddings: (n, d_t).
        coded: (n, k'), numbers that say the attribute.
        per_step: how many of them that is.
    """

    embeddings: Tensor
    coded: Tensor
    per_step: int


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
        attributed: rows whose attribute its teachers see; None: they see none.
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
    attributed: AttributedRows | None = None
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
