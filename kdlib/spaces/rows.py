"""The rows of a run in its spaces: raw (the teacher's embedding), compressed, student."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from kdlib import runs
from kdlib.analysis.geometry import sample_rows
from kdlib.analysis.scaling import ScaledEmbeddings
from kdlib.cache import content_key
from kdlib.data import datasets
from kdlib.models import embedding
from kdlib.results import CANCELLED_SPLITS, RunResult
from kdlib.spec import BASELINE, RunSpec, teacher_parts
from kdlib.store import RunNotFoundError

SPACE_NAMES = ("raw", "compressed", "student")
PAIRS = (("raw", "compressed"), ("compressed", "student"), ("raw", "student"))
MAX_ROWS = 20_000  # rows looked at; of more, so many are drawn


@dataclass(frozen=True)
class Spaces:
    """The same rows in every space that a run has.

    Attributes:
        spec: of the run.
        rows: (n,) their numbers in the dataset.
        total: how many rows the split has; more than n means that these were drawn.
        spaces: those of `SPACE_NAMES` that there are -> (n, d); a baseline has only the student's, and so has a run
            imported from an export.
        logits: (n, k) what the student predicts.
        key: names all of it by its content.
    """

    spec: RunSpec
    rows: np.ndarray
    total: int
    spaces: dict[str, np.ndarray]
    logits: np.ndarray
    key: str

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """The pairs of spaces that can be compared."""
        return tuple(pair for pair in PAIRS if all(name in self.spaces for name in pair))


def list_splits(dataset: str, *, cancelled: bool = False) -> list[str]:
    """Return the splits that a run has rows of, the test set first.

    Args:
        dataset: of the run.
        cancelled: whether the run was cancelled.

    Example:
        >>> list_splits("digits")[0]
    """
    splits = CANCELLED_SPLITS if cancelled else datasets.load(dataset).splits
    return sorted(splits, key=lambda name: (name != "test", not name.startswith("ood:"), name != "val"))


def load_spaces(run_id: str, split: str = "test", member: int = 0) -> Spaces:
    """Return the rows of a split in all spaces of a finished run, as one of its members made them.

    Args:
        run_id: of the run.
        split: "test", "val", "train" (its labelled rows) or "ood:<name>".
        member: which seed.

    Raises:
        ValueError: no such run, split or member, or its files are gone.

    Example:
        >>> load_spaces(run_id, "val").spaces["compressed"].shape
    """
    spec = runs.get(run_id).spec
    return _load(spec, split, member, lambda kind, name: runs.member_array(run_id, kind, name, member))


def result_spaces(result: RunResult, split: str = "test", member: int = 0) -> Spaces:
    """Return the rows of a split in all spaces of a result that has its arrays; arguments and errors as `load_spaces`.

    Example:
        >>> result_spaces(kdlib.pipeline.run(spec), "val").spaces["compressed"].shape
    """

    def read(_: str, name: str) -> np.ndarray:
        if name not in result.arrays:
            raise ValueError(f"this result has no array {name}: open its run with kdlib.open")
        array = result.arrays[name]
        return array[min(member, len(array) - 1)]

    return _load(result.spec, split, member, read)


def to_raw_space(spec: RunSpec, embeddings: np.ndarray) -> np.ndarray:
    """Return where embeddings (b, d_t) of a run's teacher lie in its raw space, (b, d_t).

    Those of one teacher as they are. Of several, each at mean 0 and the same spread, as the run learned from them:
    otherwise distances would be those of the teacher with the largest numbers.

    Example:
        >>> to_raw_space(spec, embeddings)
    """
    if len(teacher_parts(spec.teacher)) == 1:
        return embeddings
    scaling = _raw_scaling(spec.teacher, spec.dataset, spec.pooling, spec.labels, spec.subset)
    return ((embeddings - scaling.mean) / scaling.scale).astype(np.float32)


@lru_cache(maxsize=8)
def _raw_scaling(teacher: str, dataset: str, pooling: str, labels: int, subset: int) -> ScaledEmbeddings:
    embeddings = embedding.embed(teacher, dataset, pooling=pooling)
    labelled = datasets.load(dataset).labelled(labels, subset)
    return ScaledEmbeddings.to_unit(embeddings, labelled, embedding.block_widths(teacher, dataset, pooling))


def _load(spec: RunSpec, split: str, member: int, read: Callable[[str, str], np.ndarray]) -> Spaces:
    """Return the spaces of a run whose arrays `read` gives, by kind of file and name, for one member."""
    data = datasets.load(spec.dataset)
    if split not in data.splits or not 0 <= member < spec.seeds:
        raise ValueError(
            f"this run has the splits {', '.join(data.splits)} and {spec.seeds} seeds, got {split} and {member}"
        )
    everyone = data.labelled(spec.labels, spec.subset) if split == "train" else data.splits[split]
    chosen = sample_rows(len(everyone), MAX_ROWS)

    def of_member(kind: str, name: str) -> np.ndarray:
        return read(kind, f"{name}/{split}")[chosen]

    student, compressed = of_member("features", "features"), None
    if spec.method != BASELINE:
        with suppress(RunNotFoundError):  # a student that was imported comes without what its teacher gave
            compressed = of_member("features", "compressed")
    spaces = {}
    if compressed is not None:
        raw = embedding.embed(spec.teacher, spec.dataset, pooling=spec.pooling)
        spaces["raw"] = to_raw_space(spec, raw[everyone[chosen]])
        spaces["compressed"] = compressed
    spaces["student"] = student
    return Spaces(
        spec,
        everyone[chosen],
        len(everyone),
        spaces,
        of_member("predictions", "logits"),
        content_key(version=1, **spaces),
    )
