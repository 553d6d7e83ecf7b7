"""What finished runs say about one item: probabilities, its places in the spaces, its nearest training items."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.special import expit, softmax

from kdlib import runs
from kdlib.analysis.placement import find_nearest
from kdlib.data.dataset import to_float
from kdlib.models import embedding
from kdlib.models.teachers import get_teacher
from kdlib.spaces.rows import to_raw_space
from kdlib.spec import BASELINE, RunSpec
from kdlib.trying.items import Item
from kdlib.trying.loaded import load_compressor, load_familiarity, load_known, load_network, load_students, pool

NEIGHBOURS = 6
UNUSUAL = (
    99.5  # percentile from which an item is said to be unlike anything seen: 1 % of those that are not, by two measures
)


@dataclass(frozen=True)
class Prediction:
    """What the students of one run say.

    Attributes:
        run: its id.
        spec: of it.
        probabilities: (m, k) one row per seed; with one label an item they add up to 1.
        cuts: (m, k) probability from which a class counts as there, for several labels an item; None otherwise.
        latency_ms: of one student for this item, here and now.
    """

    run: str
    spec: RunSpec
    probabilities: np.ndarray
    cuts: np.ndarray | None
    latency_ms: float

    @property
    def top(self) -> int:
        """The class with the largest mean probability."""
        return int(self.probabilities.mean(0).argmax())

    @property
    def chosen(self) -> np.ndarray:
        """(m, k) bool: what each seed says, its most probable class or all above their thresholds."""
        if self.cuts is not None:
            return self.probabilities >= self.cuts
        return np.eye(self.probabilities.shape[1], dtype=bool)[self.probabilities.argmax(1)]

    @property
    def agreeing(self) -> int:
        """How many seeds say what most of them say."""
        return int(np.unique(self.chosen, axis=0, return_counts=True)[1].max())


@dataclass(frozen=True)
class Placed:
    """An item in one space.

    Attributes:
        place: (d,) where it lies.
        rows: (k,) the nearest training items, row numbers of the dataset, nearest first.
        positions: (k,) where these stand among the training items.
        distances: (k,) to them.
    """

    place: np.ndarray
    rows: np.ndarray
    positions: np.ndarray
    distances: np.ndarray


@dataclass(frozen=True)
class Answer:
    """What is known of an item.

    Attributes:
        predictions: of each run.
        placed: space -> where it lies, for the run whose spaces are shown.
        absent: space -> why it is not there, in a sentence.
        percentile: share of validation items that are nearer to a training item than this, 0 to 100.
        teacher_ms: how long the teacher took; None where nothing had to be computed.
        seconds: how long all of it took.
    """

    predictions: list[Prediction]
    placed: dict[str, Placed]
    absent: dict[str, str] = field(default_factory=dict)
    percentile: float = 0.0
    teacher_ms: float | None = None
    seconds: float = 0.0

    @property
    def unusual(self) -> bool:
        """Whether the item is unlike anything that was seen in training."""
        return self.percentile >= UNUSUAL


def answer(item: Item, run_ids: Sequence[str], shown: str, member: int = 0) -> Answer:
    """Return what some runs of one dataset say about an item.

    Args:
        item: for their dataset.
        run_ids: of finished runs.
        shown: the one of them whose spaces are looked at.
        member: which of its seeds.

    Raises:
        ValueError: a run is not there (any more), or is of another dataset.

    Example:
        >>> answer(item_of_row("digits", 3), [run_id], run_id).predictions[0].top
    """
    started = time.perf_counter()
    inputs = to_float(item.inputs)
    predictions = [_predict(run_id, item, inputs) for run_id in run_ids]
    spec, known = runs.get(shown).spec, load_known(shown, member)
    features, _ = load_students(shown).predict(inputs)
    vectors, absent = {"student": features[member, 0]}, dict(known.absent)
    raw, teacher_ms, reason = embed_item(item, spec) if not absent else (None, None, "")
    if raw is not None:
        compressed = load_compressor(shown)(raw)
        vectors |= {"raw": to_raw_space(spec, raw)[0], "compressed": compressed[min(member, len(compressed) - 1), 0]}
    elif reason:
        absent = {"raw": reason, "compressed": reason}
    placed = {}
    for name, space in known.view.spaces.items():
        if name in vectors:
            positions, distances = find_nearest(space, vectors[name], NEIGHBOURS)
            placed[name] = Placed(vectors[name], known.view.rows[positions], positions, distances)
    percentile = load_familiarity(shown).percentile(features, inputs)
    return Answer(predictions, placed, absent, percentile, teacher_ms, time.perf_counter() - started)


def _predict(run_id: str, item: Item, inputs: np.ndarray) -> Prediction:
    students = load_students(run_id)
    if students.spec.dataset != item.dataset:
        raise ValueError(
            f"run {run_id[:8]} learned {students.spec.dataset}, the item is for {item.dataset}; "
            "choose runs of one dataset"
        )
    _, logits = students.predict(inputs)
    logits = logits[:, 0].astype(np.float64)
    probabilities = softmax(logits, axis=1) if students.cuts is None else expit(logits)
    return Prediction(run_id, students.spec, probabilities, students.cuts, students.latency_ms(inputs))


def embed_item(item: Item, spec: RunSpec) -> tuple[np.ndarray | None, float | None, str]:
    """Return a teacher's embedding of an item (1, d_t), the milliseconds it took, and why there is none, or "".

    Items of the dataset come from the cache, without a time.
    """
    if spec.method == BASELINE:
        return None, None, ""
    teacher = get_teacher(spec.teacher)
    if item.row >= 0 and embedding.is_embedded(spec.teacher, spec.dataset):
        rows = embedding.embed(spec.teacher, spec.dataset, pooling=spec.pooling)[item.row : item.row + 1]
        return np.asarray(rows), None, ""
    if teacher.dataset:
        reason = (
            f"{spec.teacher} is a table of embeddings that came with the dataset. Its network is not here, so a new "
            "item has no place in the raw and the compressed space; samples of the dataset have."
        )
        return None, None, reason
    network = load_network(spec.teacher)
    started = time.perf_counter()
    try:
        values = network(item.to_dataset(), np.arange(1))
    except ValueError as error:
        return None, None, f"The teacher cannot take this item: {error}"
    return pool(spec.teacher, spec.pooling, values), 1000 * (time.perf_counter() - started), ""
