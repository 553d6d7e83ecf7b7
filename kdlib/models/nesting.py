"""Prefixes of a compressed embedding: which of them a student can be taught exactly, and the head that reads one."""

from kdlib.data.dataset import Dataset
from kdlib.models.compressors import COMPRESSORS, Compressor
from kdlib.models.students import build_student
from kdlib.spec import NESTED, RunSpec, grid_values
from kdlib.training.losses import LOSSES, MIXED


def check_prefix(spec: RunSpec, compressor: Compressor, d_c: int, data: Dataset) -> None:
    """Return if the student can be taught the leading numbers that a spec asks for, exactly as if there were no more.

    Args:
        spec: of any method.
        compressor: of that method.
        d_c: width of what it gives.
        data: what the student sees.

    Raises:
        ValueError: the compressor does not train them, or loss, projector or teachers mix them with the others.

    Example:
        >>> check_prefix(RunSpec(method="matryoshka", prefix=8), COMPRESSORS["matryoshka"], 16, load("digits"))
    """
    prefixes = grid_values(spec.prefix)
    if spec.method not in NESTED or prefixes == (0,):
        return
    if len(compressor.columns(d_c)) > 1:
        raise ValueError(
            "a prefix is of one embedding, but each teacher has one of its own; leave prefix at 0, or teacher-mixing "
            "at concatenate"
        )
    known = compressor.prefixes(d_c)
    for prefix in prefixes:
        if prefix not in known:
            raise ValueError(
                f"{spec.method} with dim {spec.dim} trains the prefixes {', '.join(map(str, known))}, got {prefix}; 0, "
                "which takes all numbers, stands alone"
            )
    if LOSSES[spec.loss].tail == MIXED:
        raise ValueError(
            f"loss {spec.loss} is not the same for a prefix of the target as for a target of that width; choose "
            "another loss, or leave prefix at 0"
        )
    if spec.projector == "orthogonal" and LOSSES[spec.loss].pointwise:
        shape, classes = data.inputs.shape[1:], len(data.classes)
        features = build_student(spec.student, shape, spec.width, classes, depth=spec.depth).body.features
        if features < d_c:
            raise ValueError(
                f"projector orthogonal has no prefixes where the student's {features} features are fewer than dim "
                f"{d_c}; choose another projector, a smaller dim or a wider student, or leave prefix at 0"
            )


def head_number(spec: RunSpec) -> int:
    """Return the number of the teacher's head that reads what the student of a single setting is taught.

    Example:
        >>> head_number(RunSpec(method="matryoshka", dim=16, prefix=8)), head_number(RunSpec())
        (2, -1)
    """
    return COMPRESSORS[spec.method].prefixes(spec.dim).index(spec.kept) if spec.kept else -1
