"""What methods, teachers and runs are called wherever a person reads them: the plain name first, the code name second.

One order, too: baseline, raw, compressed. An entry of a registry without a plain name here goes by its code name.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from kdlib.spec import BASELINE, CONCATENATE, RAW, SEPARATE, UNCOMPRESSED, RunSpec, setting_text, teacher_parts

COMPRESSED = "compressed"
# Of a grid and of tuning.
AXES = {"distance_weight": "λ", "lr": "learning rate", "soft_label_weight": "soft labels", "dim": "d_c"}
ROLES = (BASELINE, RAW, COMPRESSED)  # in the order in which they are shown
METHODS = {
    BASELINE: "no teacher",
    RAW: "teacher as it is",
    "none": "teacher as it is, with its own head",
    "pca": "principal components",
    "random": "random projection",
    "lda": "discriminant analysis",
    "pls": "partial least squares",
    "nca": "neighbourhood components",
    "autoencoder": "autoencoder, fitted first",
    "linear": "trained, one layer",
    "mlp": "trained, two layers",
    "sparse": "trained, few numbers on",
    "matryoshka": "trained, every width at once",
    "vib": "trained, bits paid for",
    "adversarial": "attribute removed",
}
TEACHERS = {
    "autoencoder": "restoring pictures",
    "simclr": "view matching",
    "parity": "odd or even",
    "background": "direction of stripes",
    "random": "untrained network",
    "tones-autoencoder": "restoring sounds",
    "tones-simclr": "version matching",
    "tones-pitch": "pitch",
    "tones-random": "untrained network",
}
MIXINGS = {CONCATENATE: "side by side", SEPARATE: "one distance each"}  # of several teachers
Item = TypeVar("Item")


def method_role(spec: RunSpec) -> str:
    """Return "baseline", "raw" or "compressed": what decides colour and order."""
    return spec.method if spec.method in (BASELINE, RAW) else COMPRESSED


def in_order(items: Iterable[Item], spec_of: Callable[[Item], RunSpec]) -> list[Item]:
    """Return items as they are shown: baseline, raw, compressed; those of one role as they came.

    Example:
        >>> [spec.method for spec in in_order([RunSpec(), RunSpec(method="baseline")], lambda spec: spec)]
        ['baseline', 'mlp']
    """
    return sorted(items, key=lambda item: ROLES.index(method_role(spec_of(item))))


def method_name(method: str) -> str:
    """Return what a method is called.

    Example:
        >>> method_name("mlp")
        'trained, two layers (mlp)'
    """
    return _named(METHODS, method)


def teacher_name(teacher: str) -> str:
    """Return what a teacher is called.

    Example:
        >>> teacher_name("simclr")
        'view matching (simclr)'
        >>> teacher_name("simclr+random")
        'view matching (simclr) + untrained network (random)'
    """
    return " + ".join(_named(TEACHERS, part) for part in teacher_parts(teacher))


def mixing_name(mixing: str) -> str:
    """Return what a way in which several teachers teach is called.

    Example:
        >>> mixing_name("separate")
        'one distance each (separate)'
    """
    return _named(MIXINGS, mixing)


def run_name(spec: RunSpec) -> str:
    """Return what a run is called: its method, and the width where it compresses, or that its settings are searched.

    Example:
        >>> run_name(RunSpec(method="mlp", dim=16))
        'trained, two layers (mlp), 16'
    """
    name = method_name(spec.method)
    if spec.tune:
        return f"{name}, tuned"
    return name if spec.method in (BASELINE, *UNCOMPRESSED) else f"{name}, {spec.dim}"


def cell_name(settings: Mapping[str, float]) -> str:
    """Return what a cell of a grid is called.

    Example:
        >>> cell_name({"distance_weight": 0.5, "lr": 0.01})
        'λ 0.5, learning rate 0.01'
    """
    return ", ".join(f"{AXES[name]} {value:g}" for name, value in settings.items())


def setting_name(field: str, value: object) -> str:
    """Return the value of a field of a spec as people call it.

    Example:
        >>> setting_name("method", "raw"), setting_name("dim", 16)
        ('teacher as it is (raw)', '16')
    """
    named = {"method": method_name, "teacher": teacher_name, "teacher_mixing": mixing_name}
    return named[field](str(value)) if field in named else setting_text(value)


def _named(names: dict[str, str], code: str) -> str:
    return f"{names[code]} ({code})" if code in names else code
