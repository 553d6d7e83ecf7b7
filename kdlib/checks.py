"""What a spec must satisfy before anything is computed; every refusal says what was given, what would do, and which choices there are."""

import math

from kdlib.data import datasets
from kdlib.data.datasets import AUDIO, ITEM_NAMES, VECTOR
from kdlib.models import students, teachers
from kdlib.models.compressors import COMPRESSORS, check_discriminable
from kdlib.models.students import STUDENTS
from kdlib.registry import first_line, lookup
from kdlib.spec import BASELINE, METHOD_HELPS, RAW, RunSpec
from kdlib.training.losses import LOSSES

METHODS = (BASELINE, RAW, *COMPRESSORS)
SMALL_SETS = {"labels": 600, "epochs": 50, "lr": 0.02}
MODALITY_DEFAULTS = {
    AUDIO: SMALL_SETS | {"teacher": "tones-simclr", "student": "mel-cnn", "width": 4, "distance_weight": 0.75},
    VECTOR: SMALL_SETS | {"student": "mlp"},
}  # modality -> what is not as in `RunSpec()`


def default_spec(dataset: str) -> RunSpec:
    """Return the spec that a dataset is first looked at with: the default, but for what suits its modality, its size and its tables."""
    data = datasets.load(dataset)
    spec = RunSpec(dataset=dataset, **MODALITY_DEFAULTS.get(data.modality, {}))
    for table in list(teachers.imported_teachers(dataset))[:1]:
        spec = spec.replace(
            teacher=table, dim=min(spec.dim, 2 ** int(math.log2(teachers.embedding_width(table, dataset))))
        )
    return spec.replace(labels=min(spec.labels, data.labelled_rows))


def describe_methods() -> dict[str, str]:
    """Return each method with what it is, in one line."""
    return METHOD_HELPS | {name: first_line(entry.build) for name, entry in COMPRESSORS.items()}


def check(spec: RunSpec) -> None:
    """Return if the spec can be run.

    Raises:
        ValueError: it cannot; one line says why.
    """
    lookup(describe_methods(), spec.method, "method")
    lookup(datasets.describe_datasets(), spec.dataset, "dataset")
    lookup(STUDENTS, spec.student, "student")
    for name in ("labels", "dim", "width", "epochs", "batch_size", "seeds"):
        value = getattr(spec, name)
        if value < 1:
            raise ValueError(f"{name} must be a whole number from 1 up, got {value!r}")
    if not (math.isfinite(spec.lr) and spec.lr > 0):
        raise ValueError(f"lr must be a positive number, got {spec.lr!r}")
    if not 0 <= spec.distance_weight <= 1:
        raise ValueError(f"distance weight λ must be between 0 and 1, got {spec.distance_weight!r}")
    if not (math.isfinite(spec.soft_label_weight) and spec.soft_label_weight >= 0):
        raise ValueError(f"soft label weight must be 0 or more, got {spec.soft_label_weight!r}")
    if not (math.isfinite(spec.temperature) and spec.temperature > 0):
        raise ValueError(f"temperature must be a positive number, got {spec.temperature!r}")
    data = datasets.load(spec.dataset)
    labelled = data.labelled(spec.labels)
    if spec.student not in students.compatible_students(data.inputs.shape[1:]):
        told = f"{spec.dataset} holds {ITEM_NAMES[data.modality]} of shape {data.inputs.shape[1:]}"
        choices = ", ".join(students.compatible_students(data.inputs.shape[1:]))
        raise ValueError(f"student {spec.student} takes pictures, but {told}; choose one of: {choices}")
    if spec.method == BASELINE:
        return
    lookup(LOSSES, spec.loss, "loss")
    teachers.check_compatible(spec.teacher, spec.dataset)
    d_t = teachers.embedding_width(spec.teacher, spec.dataset)
    if spec.method not in (RAW, "none") and spec.dim > d_t:
        raise ValueError(
            f"dim {spec.dim} is above the width {d_t} of teacher {spec.teacher}; compression needs at most {d_t}"
        )
    if spec.method == "pca" and spec.dim > spec.labels:
        raise ValueError(
            f"pca finds at most as many dimensions as there are labels, got dim {spec.dim} and {spec.labels} labels"
        )
    if spec.method == "lda":
        check_discriminable(data.labels[labelled])
