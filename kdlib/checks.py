"""What a spec must satisfy before anything is computed, and what it names, loaded: `check`, `resolve`.

Every refusal says what was given, what is possible, and which choices there are.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from kdlib.analysis.costs import count_activations
from kdlib.analysis.teacher_report import best_teacher
from kdlib.data import datasets
from kdlib.data.datasets import AUDIO, IMAGE, ITEM_NAMES, TEXT, VECTOR, Dataset
from kdlib.models import embedding, students, teachers
from kdlib.models.branches import WHOLE
from kdlib.models.compressors import COMPRESSORS, NEIGHBOUR_ROWS, Compressor, check_discriminable, check_separable
from kdlib.models.nesting import check_prefix
from kdlib.models.pooling import POOLINGS
from kdlib.models.projectors import PROJECTORS, Widths
from kdlib.models.separation import check_dim, spec_compressor
from kdlib.models.students import STUDENTS
from kdlib.registry import first_line, lookup
from kdlib.spec import BASELINE, GRID_FIELDS, METHOD_HELPS, RAW, REMOVING, TEACHER_MIXINGS, RunSpec, grid_values
from kdlib.training.augmentation import AUGMENTATIONS, compatible_augmentations
from kdlib.training.label_losses import SOFT_LABEL_LOSSES
from kdlib.training.losses import LOSSES
from kdlib.training.streaming import available_memory
from kdlib.training.target_normalisers import TARGET_NORMALISERS, hadamard
from kdlib.trials import TRIAL_SEEDS

METHODS = (BASELINE, RAW, *COMPRESSORS)
SMALL_SETS = {"labels": 600, "epochs": 50, "lr": 0.02}
MODALITY_DEFAULTS = {
    AUDIO: SMALL_SETS | {"teacher": "tones-simclr", "student": "mel-cnn", "width": 4, "distance_weight": 0.75},
    VECTOR: SMALL_SETS | {"student": "mlp"},
    TEXT: {"student": "mlp", "labels": 600, "epochs": 30, "lr": 0.01},
}  # modality -> what is not as in `RunSpec()`
MAX_TRIALS = 200  # of tuning
MAX_CELLS = 1000  # of a grid: beyond that nobody reads it
PHOTOGRAPH_SIDE = 64  # pixels of the shorter side from which a resnet learns more than a cnn in the same time


@dataclass(frozen=True)
class Context:
    """A spec that can be run, with what it names.

    Attributes:
        spec: what to run.
        data: its dataset.
        labelled: (n,) training rows whose labels the student sees.
        compressor: what its method does to the embedding; None for a baseline.
        d_t: width of the teacher's embedding; 0 for a baseline.
        d_c: width of the target; 0 for a baseline.
    """

    spec: RunSpec
    data: Dataset
    labelled: np.ndarray
    compressor: Compressor | None = None
    d_t: int = 0
    d_c: int = 0

    @property
    def columns(self) -> Sequence[slice]:
        """Which numbers of the target are whose, of several separate teachers; all of one teacher."""
        return WHOLE if self.compressor is None else self.compressor.columns(self.d_c)

    @property
    def part_widths(self) -> tuple[int, ...]:
        """How wide the target of each separate teacher is; one number for a single teacher."""
        return tuple(len(range(self.d_c)[own]) for own in self.columns)

    @property
    def adapter_width(self) -> Widths:
        """The target's width where the loss compares entry by entry and the student needs an adapter, otherwise 0."""
        if self.compressor is None or not LOSSES[self.spec.loss].pointwise:
            return 0
        return self.part_widths if len(self.columns) > 1 else self.d_c


def default_spec(dataset: str) -> RunSpec:
    """Return the spec a dataset is first shown with: the default, adapted to its modality and size.

    The teacher of an imported dataset is the one that is known to know most of its target, see `best_teacher`; "" where
    none has been asked: a network that was trained for something else is nobody's choice without a word.

    Example:
        >>> default_spec("mixtures").teacher
        'tones-simclr'
    """
    data = datasets.load(dataset)
    spec = RunSpec(dataset=dataset, **MODALITY_DEFAULTS.get(data.modality, {}))
    spec = spec.replace(labels=min(spec.labels, data.labelled_rows))
    if data.modality == IMAGE and min(data.inputs.shape[2:]) >= PHOTOGRAPH_SIDE:
        spec = spec.replace(student="resnet")
    if dataset in datasets.DATASETS:
        return spec
    teacher = best_teacher(dataset, spec.labels)
    widest = 2 ** int(math.log2(embedding.embedding_width(teacher, dataset))) if teacher else spec.dim
    return spec.replace(teacher=teacher, dim=min(spec.dim, widest))


def describe_methods() -> dict[str, str]:
    """Return each method with what it is, in one line."""
    return METHOD_HELPS | {name: first_line(entry.build) for name, entry in COMPRESSORS.items()}


def check(spec: RunSpec) -> None:
    """Return if the spec can be run.

    Raises:
        ValueError: it cannot; one line says why.

    Example:
        >>> check(RunSpec(method="pca", dim=8))
    """
    resolve(spec)


def resolve(spec: RunSpec) -> Context:
    """Return what a spec names, once it is certain that it can be run.

    Raises:
        ValueError: it cannot; one line says why.

    Example:
        >>> resolve(RunSpec(method="raw", dim=8)).d_c  # as wide as the teacher's embedding
        256
    """
    lookup(describe_methods(), spec.method, "method")
    lookup(datasets.describe_datasets(), spec.dataset, "dataset")
    lookup(STUDENTS, spec.student, "student")
    lookup(AUGMENTATIONS, spec.augmentation, "augmentation")
    _check_numbers(spec)
    data = datasets.load(spec.dataset)
    labelled = data.labelled(spec.labels, spec.subset)
    _check_subset(spec, data)
    _check_student(spec, data)
    _check_augmentation(spec, data)
    if spec.method == BASELINE:
        return _with_room(Context(spec, data, labelled))
    lookup(LOSSES, spec.loss, "loss")
    lookup(PROJECTORS, spec.projector, "projector")
    teachers.check_compatible(spec.teacher, spec.dataset)
    _check_pooling(spec)
    lookup(TEACHER_MIXINGS, spec.teacher_mixing, "teacher mixing")
    d_t = embedding.embedding_width(spec.teacher, spec.dataset, spec.pooling)
    _check_compressor(spec, data.labels[labelled])
    _check_attribute(spec, data)
    compressor = spec_compressor(spec)
    context = Context(spec, data, labelled, compressor, d_t, compressor.width(d_t, spec.dim, len(data.classes)))
    _check_targets(context, compressor)
    check_prefix(spec, compressor, context.d_c, data)
    return _with_room(context)


def _with_room(context: Context) -> Context:
    """Return a context whose grid, if it has one, fits into memory."""
    check_memory([context])
    return context


def removable_attributes(data: Dataset) -> list[str]:
    """Return the names of the attributes that a compressor can remove: those that differ among training rows.

    Example:
        >>> removable_attributes(datasets.load("cluttered-digits"))
        ['background', 'position', 'rotation']
    """
    train = data.splits["train"]
    known = {name: each.values[train][each.values[train] >= 0] for name, each in data.attributes.items()}
    return [name for name, values in known.items() if len(np.unique(values)) > 1]


def check_memory(contexts: Sequence[Context]) -> None:
    """Return if the members of some specs, one of which has a grid, can train as one population.

    Raises:
        ValueError: they need more memory than is available.

    Example:
        >>> check_memory([resolve(RunSpec(lr=[0.003, 0.01, 0.03]))])
    """
    if not any(context.spec.grid for context in contexts):
        return
    members = [context.spec.seeds * context.spec.cell_count for context in contexts]
    needed = sum(count * _member_bytes(context) for count, context in zip(members, contexts, strict=True))
    available = available_memory()
    if needed > available:
        raise ValueError(
            f"{sum(members):,} members, a student for every setting and seed, need about {needed / 1e9:.1f} GB of "
            f"memory to train as one, {available / 1e9:.1f} GB are available: give fewer values or fewer seeds"
        )


def _member_bytes(context: Context) -> int:
    """Return about how many bytes one member takes while it trains.

    Its weights are there eight times (gradient, moments, the best, copies of a step), what its layers give four times;
    measured, the result is within a third of it for every student.
    """
    spec, data, compressor = context.spec, context.data, context.compressor
    shape = data.inputs.shape[1:]
    built = students.build_student(
        spec.student, shape, spec.width, len(data.classes), context.adapter_width, spec.depth, spec.projector
    )
    student = nn.Sequential(built.body, built.head)
    weights = sum(parameter.numel() for parameter in built.parameters())
    if compressor is not None and compressor.trainable:
        with torch.device("meta"):
            trained = compressor.build(context.d_t, context.d_c)
        weights += sum(parameter.numel() for parameter in trained.parameters())
    outputs = count_activations(student, torch.zeros(1, *shape))
    return 4 * (8 * weights + 4 * outputs * min(spec.batch_size, spec.labels))


def _check_numbers(spec: RunSpec) -> None:
    for name in ("labels", "dim", "width", "depth", "epochs", "batch_size", "seeds"):
        value = getattr(spec, name)
        if value < 1:
            raise ValueError(f"{name} must be a whole number from 1 up, got {value!r}")
    if spec.subset < 0:
        raise ValueError(f"subset must be 0 or more, got {spec.subset}")
    if spec.first_seed < 0 or spec.seed_numbers[-1] >= TRIAL_SEEDS[0]:
        raise ValueError(
            f"first_seed must be 0 or more, and every seed below {TRIAL_SEEDS[0]:,}, got {spec.first_seed}"
        )
    for value in grid_values(spec.lr):
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"lr must be a positive number, got {value!r}")
    for value in grid_values(spec.distance_weight):
        if not 0 <= value <= 1:
            raise ValueError(f"distance weight λ must be between 0 and 1, got {value!r}")
    for value in grid_values(spec.soft_label_weight):
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"soft label weight must be 0 or more, got {value!r}")
    if spec.cell_count > MAX_CELLS:
        raise ValueError(f"a grid may have up to {MAX_CELLS} settings, got {spec.cell_count:,}: give fewer values")
    if not 0 <= spec.tune <= MAX_TRIALS:
        raise ValueError(f"tune must be between 0 and {MAX_TRIALS} trials, got {spec.tune!r}")
    if spec.tune and any(isinstance(getattr(spec, name), tuple) for name in GRID_FIELDS):
        raise ValueError("tuning searches what a grid lists: give one value for each, or tune = 0")
    if spec.tune and spec.kept:
        raise ValueError(f"tuning searches the width: leave prefix at 0, got {spec.kept}, or give tune = 0")
    if not (math.isfinite(spec.temperature) and spec.temperature > 0):
        raise ValueError(f"temperature must be a positive number, got {spec.temperature!r}")


def _check_subset(spec: RunSpec, data: Dataset) -> None:
    if spec.subset and spec.labels == data.labelled_rows:
        raise ValueError(
            f"subset {spec.subset} of {spec.dataset} is the same as subset 0: all {spec.labels:,} labelled rows are "
            "used; give fewer labels"
        )


def _check_student(spec: RunSpec, data: Dataset) -> None:
    shape = data.inputs.shape[1:]
    compatible = students.compatible_students(shape)
    if spec.student not in compatible:
        items = f"{spec.dataset} holds {ITEM_NAMES[data.modality]} of shape {shape}"
        raise ValueError(f"student {spec.student} takes pictures, but {items}; choose one of: {', '.join(compatible)}")


def _check_pooling(spec: RunSpec) -> None:
    lookup(POOLINGS, spec.pooling, "pooling")
    if spec.pooling != RunSpec.pooling and not teachers.get_teacher(spec.teacher).frames:
        raise ValueError(
            f"pooling {spec.pooling} is for teachers that give frames, but {spec.teacher} gives one embedding an item; "
            f"leave it at {RunSpec.pooling}"
        )


def _check_augmentation(spec: RunSpec, data: Dataset) -> None:
    compatible = compatible_augmentations(data.modality)
    if spec.augmentation not in compatible:
        takes = ITEM_NAMES[AUGMENTATIONS[spec.augmentation].modality]
        items = f"{spec.dataset} holds {ITEM_NAMES[data.modality]}"
        raise ValueError(
            f"augmentation {spec.augmentation} is for {takes}, but {items}; choose one of: {', '.join(compatible)}"
        )


def _check_targets(context: Context, compressor: Compressor) -> None:
    spec = context.spec
    normaliser = lookup(TARGET_NORMALISERS, spec.target_normaliser, "target normaliser")
    if compressor.trainable and not normaliser.moving:
        fixed = ", ".join(name for name, entry in COMPRESSORS.items() if not entry.trainable)
        raise ValueError(
            f"target normaliser {spec.target_normaliser} is fitted before training, but the compressor {spec.method} "
            f"learns; choose standardise or none, or one of the fixed compressors: {fixed}"
        )
    if spec.target_normaliser == "phi_s":
        for width in context.part_widths:
            hadamard(width)
    lookup(SOFT_LABEL_LOSSES, spec.soft_label_loss, "soft-label loss")
    if spec.soft_label_loss == "dist" and AUGMENTATIONS[spec.augmentation].mixes:
        raise ValueError(
            f"soft-label loss dist compares whole batches, but augmentation {spec.augmentation} mixes their rows; "
            "choose kl or another augmentation"
        )


def _check_attribute(spec: RunSpec, data: Dataset) -> None:
    if spec.method not in REMOVING:
        return
    names = removable_attributes(data)
    if not names:
        raise ValueError(
            f"{spec.method} removes an attribute, but none of {spec.dataset} differs among its training rows; choose "
            "another compressor"
        )
    if spec.attribute not in names:
        given = f"got {spec.attribute!r}" if spec.attribute else "none is named"
        raise ValueError(f"{spec.method} removes an attribute, {given}; choose one of: {', '.join(names)}")


def _check_compressor(spec: RunSpec, labels: np.ndarray) -> None:
    check_dim(spec)
    rows = min(spec.labels, NEIGHBOUR_ROWS) if spec.method == "nca" else spec.labels
    if spec.method in ("pca", "pls", "nca") and spec.dim > rows:
        raise ValueError(
            f"{spec.method} finds at most as many dimensions as it is fitted to labelled rows, got dim {spec.dim} and "
            f"{rows:,} rows"
        )
    if spec.method == "lda":
        check_discriminable(labels)
    if spec.method == "nca":
        check_separable(spec.method, labels)
