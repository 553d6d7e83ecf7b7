"""Finished runs in memory, ready to answer: their students, compressors, training items in all spaces."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import nn

from kdlib import runs
from kdlib.analysis.evaluation import thresholds
from kdlib.analysis.geometry import sample_rows
from kdlib.analysis.placement import nearest_distances, percentile_of
from kdlib.analysis.scaling import ScaledEmbeddings
from kdlib.data import datasets
from kdlib.data.dataset import to_float
from kdlib.groups import fit_compressors
from kdlib.models import embedding
from kdlib.models.branches import TeacherBranch
from kdlib.models.pooling import POOLINGS
from kdlib.models.projectors import projected_width
from kdlib.models.separation import spec_compressor
from kdlib.models.students import build_student
from kdlib.models.teacher import EmbedRows
from kdlib.models.teachers import get_teacher, is_built_in
from kdlib.spaces.rows import Spaces, load_spaces
from kdlib.spec import BASELINE, RunSpec
from kdlib.training.loop import compress
from kdlib.training.population import Population

RUNS = 16  # that are held at once
MAX_KNOWN = 2_000  # training and validation items whose distances say what is usual
MAX_NUMBERS = 20_000_000  # of the inputs that are kept for that
TIMED = 5  # passes of which the fastest is a student's latency
CPU = torch.device("cpu")


@dataclass(frozen=True)
class LoadedStudents:
    """The students of a run.

    Attributes:
        spec: of the run.
        population: all of them.
        single: the first of them by itself.
        cuts: (m, k) probability from which a class counts as there, for several labels an item; None otherwise.
    """

    spec: RunSpec
    population: Population
    single: nn.Module
    cuts: np.ndarray | None

    @torch.no_grad()
    def predict(self, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return features (m, n, d_s) and logits (m, n, k) of inputs (n, ...) float32."""
        features, logits, _ = self.population.on_same(torch.from_numpy(inputs))
        return features.numpy(), logits.numpy()

    @torch.no_grad()
    def latency_ms(self, inputs: np.ndarray) -> float:
        """Return how long one student takes for inputs (1, ...), the fastest of a few passes, milliseconds."""
        tensor, times = torch.from_numpy(inputs), []
        for _ in range(TIMED):
            started = time.perf_counter()
            self.single(tensor)
            times.append(time.perf_counter() - started)
        return 1000 * min(times)


@lru_cache(maxsize=RUNS)
def load_students(run_id: str) -> LoadedStudents:
    """Return the students of a finished run with their trained weights; the last few runs stay in memory.

    Raises:
        ValueError: no such run, or its files are gone.

    Example:
        >>> load_students(run_id).predict(np.zeros((1, 1, 16, 16), np.float32))[1].shape
    """
    spec = runs.get(run_id).spec
    data = datasets.load(spec.dataset)
    weights = {name.removeprefix("student/"): value for name, value in runs.arrays(run_id, "student").items()}
    seeds = len(next(iter(weights.values())))
    with torch.random.fork_rng(devices=[]):
        template = build_student(
            spec.student,
            data.inputs.shape[1:],
            spec.width,
            len(data.classes),
            projected_width({name: value.shape[1:] for name, value in weights.items()}),
            spec.depth,
            spec.projector,
        )
    population = Population([template] * seeds, CPU)
    population.load({name: torch.from_numpy(value) for name, value in weights.items()})
    cuts = None
    if data.multi_label:
        logits, labels = runs.arrays(run_id, "predictions")["logits/val"], data.labels[data.splits["val"]]
        cuts = np.stack([thresholds(member, labels) for member in logits])
    return LoadedStudents(spec, population, population.member(0).eval(), cuts)


@dataclass(frozen=True)
class KnownRows:
    """What one seed of a run makes of the items that it knows.

    Attributes:
        view: the labelled training items in its spaces.
        absent: space -> why it is not there, in a sentence.
    """

    view: Spaces
    absent: dict[str, str]


@lru_cache(maxsize=RUNS)
def load_known(run_id: str, member: int) -> KnownRows:
    """Return the training items of a finished run in the spaces of one seed.

    Raises:
        ValueError: no such run, or its files are gone.

    Example:
        >>> load_known(run_id, 0).view.spaces["student"].shape
    """
    spec = runs.get(run_id).spec
    reason = why_no_teacher_space(spec)
    if reason:
        view = _student_view(run_id, spec, member)
    else:
        view = load_spaces(run_id, "train", member)
        if "compressed" not in view.spaces:
            reason = "This run was imported without what its teacher gave: only the student's space is there."
    absent = {"raw": reason, "compressed": reason} if reason else {}
    return KnownRows(view, absent)


@dataclass(frozen=True)
class Familiarity:
    """How far items are from the nearest training item, in the students' spaces and as the students see them.

    Attributes:
        features: (m, n, d_s) of training items.
        scale: (m,) the median distance of a validation item, of each student.
        inputs: (n', d) what students see of training items.
        by_student: (v,) of validation items: distance over `scale`, the mean over the students.
        by_input: (v,) of validation items.
    """

    features: np.ndarray
    scale: np.ndarray
    inputs: np.ndarray
    by_student: np.ndarray
    by_input: np.ndarray

    def percentile(self, features: np.ndarray, inputs: np.ndarray) -> float:
        """Return the share of validation items nearer to a training item than this one, the larger of both, 0 to 100.

        A student folds what it was never shown onto what it knows, so its own space misses some noise; what it sees is
        mostly clutter, so distances between inputs miss what is strange beneath it. Together they miss little.

        Args:
            features: (m, 1, d_s).
            inputs: (1, ...) float32.
        """
        pairs = zip(self.features, features, strict=True)
        by_student = np.mean([nearest_distances(*pair)[0] for pair in pairs] / self.scale)
        by_input = nearest_distances(self.inputs, inputs.reshape(1, -1))[0]
        return max(percentile_of(float(by_student), self.by_student), percentile_of(by_input, self.by_input))


@lru_cache(maxsize=RUNS)
def load_familiarity(run_id: str) -> Familiarity:
    """Return how near the validation items of a finished run are to its training items.

    Raises:
        ValueError: no such run, or its files are gone.

    Example:
        >>> load_familiarity(run_id).by_input.shape
    """
    spec = runs.get(run_id).spec
    data = datasets.load(spec.dataset)
    labelled, val = data.labelled(spec.labels, spec.subset), data.splits["val"]
    known, judged = sample_rows(len(labelled), MAX_KNOWN), sample_rows(len(val), MAX_KNOWN)

    def features(split: str, rows: np.ndarray) -> np.ndarray:
        members = [runs.member_array(run_id, "features", f"features/{split}", seed) for seed in range(spec.seeds)]
        return np.stack([member[rows] for member in members])

    train, held_out = features("train", known), features("val", judged)
    distances = np.stack([nearest_distances(*pair) for pair in zip(train, held_out, strict=True)])
    scale = np.maximum(np.median(distances, axis=1), 1e-12)
    width = int(np.prod(data.inputs.shape[1:]))
    few = known[: max(1, MAX_NUMBERS // width)]
    inputs = to_float(data.inputs[labelled[few]]).reshape(len(few), -1)
    seen = to_float(data.inputs[val[judged[: len(few)]]]).reshape(-1, width)
    return Familiarity(train, scale, inputs, (distances / scale[:, None]).mean(0), nearest_distances(inputs, seen))


def _student_view(run_id: str, spec: RunSpec, member: int) -> Spaces:
    rows = datasets.load(spec.dataset).labelled(spec.labels, spec.subset)
    features = runs.member_array(run_id, "features", "features/train", member)
    logits = runs.member_array(run_id, "predictions", "logits/train", member)
    return Spaces(spec, rows, len(rows), {"student": features}, logits, f"{run_id} {member}")


def why_no_teacher_space(spec: RunSpec) -> str:
    """Return why the training items of a run cannot be shown in raw and compressed space, "" if they can."""
    if spec.method == BASELINE:
        return "A baseline has no teacher, so there is no raw and no compressed space."
    try:
        get_teacher(spec.teacher)
    except ValueError:
        return f"The teacher {spec.teacher} is not there any more, so its spaces cannot be shown."
    if not is_built_in(spec.teacher) and not embedding.is_embedded(spec.teacher, spec.dataset):
        return f"The embeddings of {spec.teacher} have been deleted; embed {spec.dataset} again on Data & teachers."
    return ""


@lru_cache(maxsize=4)
def load_network(teacher: str) -> EmbedRows:
    """Return the function of a teacher that embeds rows; its network stays in memory."""
    return get_teacher(teacher).load()


def pool(teacher: str, pooling: str, values: np.ndarray) -> np.ndarray:
    """Return embeddings (b, d_t) of what a teacher gave: the same, or its frames (b, t, d) pooled."""
    return POOLINGS[pooling].function(values) if get_teacher(teacher).frames else values


@lru_cache(maxsize=RUNS)
def load_compressor(run_id: str) -> Callable[[np.ndarray], np.ndarray]:
    """Return the function of a run from raw embeddings (n, d_t) to compressed ones (m, n, d_c); m is 1 where shared.

    A trained compressor has its stored weights; a fixed one is fitted again, to the same rows.

    Raises:
        ValueError: no such run, its files are gone, or it has no teacher.

    Example:
        >>> load_compressor(run_id)(np.zeros((1, 256), np.float32)).shape
    """
    spec = runs.get(run_id).setting
    data = datasets.load(spec.dataset)
    labelled = data.labelled(spec.labels, spec.subset)
    raw = embedding.embed(spec.teacher, spec.dataset, pooling=spec.pooling)
    scaled = ScaledEmbeddings.to_unit(raw, labelled, embedding.block_widths(spec.teacher, spec.dataset, spec.pooling))

    def scale(rows: np.ndarray) -> np.ndarray:
        return (rows - scaled.mean) / scaled.scale

    entry = spec_compressor(spec)
    d_c = entry.width(raw.shape[1], spec.dim, len(data.classes))
    if not entry.trainable:
        fitted = fit_compressors(entry, d_c, spec.seed_numbers, scaled[labelled], data.labels[labelled])
        return lambda rows: np.stack([each.transform(scale(rows)) for each in fitted]).astype(np.float32)
    weights = runs.arrays(run_id, "features")
    weights = {name.removeprefix("teacher/"): value for name, value in weights.items() if name.startswith("teacher/")}
    with torch.random.fork_rng(devices=[]):
        branch = TeacherBranch(
            entry.build(raw.shape[1], d_c), entry.prefixes(d_c), len(data.classes), entry.columns(d_c)
        )
    population = Population([branch] * spec.seeds, CPU)
    population.load({name: torch.from_numpy(value) for name, value in weights.items()})
    return lambda rows: compress(population, torch.from_numpy(scale(rows).astype(np.float32)))["compressed"].numpy()
