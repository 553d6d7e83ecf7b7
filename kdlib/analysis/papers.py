"""The papers' comparison: baseline, raw, compressed, soft labels and both, for several teachers, as one table.

Ding & Lerch 2024 set a compressed embedding beside the raw one and beside the soft labels of the teacher's head, and
combine the two.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from kdlib.analysis.comparison import paired_differences
from kdlib.results import RunResult
from kdlib.spec import BASELINE, RAW, RunSpec
from kdlib.summary import Summary

SOFT_LABEL_WEIGHT = 1.0  # weight of the soft labels where a spec has none


@dataclass(frozen=True)
class PaperRow:
    """One treatment with one teacher.

    Attributes:
        teacher: its name; "" for the baseline.
        treatment: a key of `treatments`.
        result: of the run.
        to_baseline: split -> paired difference to the baseline; empty for the baseline.
        to_raw: split -> paired difference to the raw teacher; empty for baseline and raw.
    """

    teacher: str
    treatment: str
    result: RunResult
    to_baseline: dict[str, Summary]
    to_raw: dict[str, Summary]


def treatments(base: RunSpec) -> dict[str, RunSpec]:
    """Return what is compared for one teacher: name -> spec.

    Args:
        base: its method is the compressor, its soft label weight that of the treatments with soft labels.

    Raises:
        ValueError: the method of `base` is no compressor.
    """
    if base.method in (BASELINE, RAW):
        raise ValueError(f"the comparison needs a compressor, got {base.method}; see `list compressors`")
    soft, plain = base.soft_label_weight or SOFT_LABEL_WEIGHT, base.replace(soft_label_weight=0.0)
    return {
        "baseline": plain.replace(method=BASELINE),
        "raw": plain.replace(method=RAW),
        "compressed": plain,
        "soft labels": plain.replace(distance_weight=0.0, soft_label_weight=soft),
        "both": plain.replace(soft_label_weight=soft),
    }


def paper_specs(base: RunSpec, names: Sequence[str] = ()) -> dict[tuple[str, str], RunSpec]:
    """Return (teacher, treatment) -> spec; the baseline, which has no teacher, comes first and once.

    Args:
        base: what all of them share, as for `treatments`.
        names: of the teachers; by default the built-in and imported ones that fit: a network of other people embeds
            for minutes to hours, so it is named.

    Example:
        >>> specs = paper_specs(kdlib.checks.default_spec("tones"), ["tones-simclr"])
        >>> results = dict(zip(specs, kdlib.pipeline.compare(list(specs.values()))))
        >>> rows = paper_rows(results)
    """
    from kdlib.models.providers import list_model_teachers
    from kdlib.models.teachers import compatible_teachers  # loads torch, which tables of results do without

    specs: dict[tuple[str, str], RunSpec] = {}
    networks = list_model_teachers()
    for name in names or [name for name in compatible_teachers(base.dataset) if name not in networks]:
        for treatment, spec in treatments(base.replace(teacher=name)).items():
            specs.setdefault(("" if treatment == "baseline" else name, treatment), spec)
    return specs


def paper_rows(results: dict[tuple[str, str], RunResult]) -> list[PaperRow]:
    """Return a row per result that has metrics, with its paired differences.

    Args:
        results: (teacher, treatment) -> result, keys as from `paper_specs`.
    """
    baseline = results[("", "baseline")]
    rows = []
    for (teacher, treatment), result in results.items():
        if result.metrics:
            to_baseline = {} if treatment == "baseline" else paired_differences(result, baseline)
            to_raw = {} if treatment in ("baseline", "raw") else paired_differences(result, results[(teacher, "raw")])
            rows.append(PaperRow(teacher, treatment, result, to_baseline, to_raw))
    return rows
