"""Before a launch: what it will cost, what speaks against it, and the same thing as a command, as Python and as YAML.

Nothing here trains or embeds; all of it returns within milliseconds: a page can call it on every turn of a dial.
"""

import json
import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from kdlib.analysis.costs import multiply_adds
from kdlib.analysis.rounds import Repetition, expected_specs
from kdlib.checks import check, default_spec
from kdlib.data import datasets
from kdlib.data.datasets import CANVAS
from kdlib.durations import TimeRange, estimate_launch
from kdlib.models import embedding, students
from kdlib.models.separation import spec_compressor
from kdlib.spec import BASELINE, RAW, RunSpec, grid_values, setting_text
from kdlib.store import RunInfo

if TYPE_CHECKING:
    from kdlib.analysis.teacher_report import TargetProbe

ONCE = Repetition()
TRANSFER_SHARE = 0.6  # share of a probe's accuracy that should be left out of domain
DEFAULT_SHAPE, DEFAULT_CLASSES = (1, CANVAS, CANVAS), 10  # of what the default student gets


@dataclass(frozen=True)
class CostEstimate:
    """What a comparison will cost.

    Attributes:
        seconds: within which all of it is done.
        measured: whether that comes from runs on this machine.
        parameters: of one student.
        teacher_width: numbers per item in the teacher's embedding; 0 without a teacher.
        compressed_width: numbers per item after compression; None without a compressor.
    """

    seconds: TimeRange
    measured: bool
    parameters: int
    teacher_width: int
    compressed_width: int | None


def student_size(spec: RunSpec) -> tuple[int, int]:
    """Return the parameters of a spec's student at inference, and its multiply-adds for one item."""
    data = datasets.load(spec.dataset)
    return _size(spec.student, data.inputs.shape[1:], spec.width, len(data.classes), spec.depth)


@lru_cache(maxsize=256)
def _size(student: str, shape: tuple[int, ...], width: int, classes: int, depth: int) -> tuple[int, int]:
    built = students.build_student(student, shape, width, classes, depth=depth)
    network = nn.Sequential(built.body, built.head)
    with torch.no_grad():
        operations = multiply_adds(network, torch.zeros(1, *shape))
    return sum(parameter.numel() for parameter in network.parameters()), operations


def estimate_cost(specs: Sequence[RunSpec], past: Sequence[RunInfo] = (), workers: int = 1) -> CostEstimate:
    """Return what the specs, launched together, will cost.

    Args:
        specs: at least one; the student and teacher that are described are those of the first.
        past: earlier runs; those of the same student say how fast this machine is.
        workers: how many runs train at the same time.

    Example:
        plan = estimate_cost([RunSpec(method="raw"), RunSpec(method="mlp")], workers=2)
        print(f"at most {plan.seconds.most:.0f} s, {plan.parameters} parameters")
    """
    first = specs[0]
    default = _size(RunSpec.student, DEFAULT_SHAPE, RunSpec.width, DEFAULT_CLASSES, RunSpec.depth)[1]
    seconds, measured = estimate_launch(specs, past, workers, lambda spec: student_size(spec)[1], default)
    compressors = [spec for spec in specs if spec.method not in (BASELINE, RAW)]
    taught = any(spec.method != BASELINE for spec in specs)
    width = embedding.embedding_width(first.teacher, first.dataset, first.pooling) if taught else 0
    classes = len(datasets.load(first.dataset).classes)
    narrow = max((spec_compressor(spec).width(width, spec.dim, classes) for spec in compressors), default=None)
    return CostEstimate(seconds, measured, student_size(first)[0], width, narrow)


def estimate_repeated(
    specs: Sequence[RunSpec], repetition: Repetition, past: Sequence[RunInfo] = (), workers: int = 1
) -> CostEstimate:
    """Return what a comparison will cost in all: at least its first look, at most all seeds that it may add.

    Args:
        specs, past, workers: as in `estimate_cost`.
        repetition: how often.

    Example:
        >>> estimate_repeated([RunSpec()], Repetition(subsets=3)).seconds
    """
    first = estimate_cost(expected_specs(specs, repetition), past, workers)
    if not repetition.half_width:
        return first
    whole = estimate_cost(expected_specs(specs, repetition, repetition.most_seeds), past, workers)
    return replace(first, seconds=TimeRange(first.seconds.fewest, whole.seconds.most))


def find_errors(specs: Sequence[RunSpec]) -> list[str]:
    """Return why specs cannot be run, each reason once; empty if all of them can.

    Example:
        >>> find_errors([RunSpec(dataset="digits", labels=10_000)])
    """
    reasons = []
    for spec in specs:
        try:
            check(spec)
        except ValueError as error:
            reasons.append(str(error))
    return list(dict.fromkeys(reasons))


def find_warnings(
    specs: Sequence[RunSpec],
    target: "TargetProbe | None" = None,
    past: Sequence[RunInfo] = (),
    repetition: Repetition = ONCE,
) -> list[str]:
    """Return what a person should know before launching; nothing here forbids it.

    Args:
        specs: they differ in their method only.
        target: how well a linear probe reads the target from the teacher's embedding, if it is known.
        past: earlier runs, among which a baseline of this very student may be.
        repetition: how often they are repeated.

    Example:
        >>> find_warnings([RunSpec(seeds=1)])
    """
    first, methods = specs[0], [spec.method for spec in specs]
    taught = any(method != BASELINE for method in methods)
    warnings = _find_teacher_warnings(first, target, past) if taught and target else []
    if taught and not any(grid_values(first.distance_weight)) and not any(grid_values(first.soft_label_weight)):
        warnings.append("With λ = 0 and no soft labels the teacher has no say: every method trains like the baseline.")
    if repetition.half_width and repetition.subsets > 1:
        warnings.append(
            f"More seeds do not make up for few labelled subsets: over {repetition.subsets} of them intervals may stay "
            "wide however many seeds there are. Choose 1 to be sure about one draw, or more subsets."
        )
    elif repetition.subsets == 2:
        warnings.append("Over 2 labelled subsets intervals are wide: two draws say little of how draws differ.")
    if first.seeds < 3:
        warnings.append("With fewer than 3 seeds the interval says little or nothing.")
    if taught and BASELINE not in methods:
        warnings.append("Without the baseline nothing tells whether the teacher helps at all.")
    if any(method not in (BASELINE, RAW) for method in methods) and RAW not in methods:
        warnings.append("Without raw nothing tells what compression adds.")
    return warnings


def _find_teacher_warnings(spec: RunSpec, target: "TargetProbe", past: Sequence[RunInfo]) -> list[str]:
    """Return why the teacher of a spec may not help, in-domain and out of domain."""
    identity = spec.replace(method=BASELINE).identity
    run = next((run for run in past if run.spec.identity == identity and run.accuracy()), None)
    baseline, beyond = (run.accuracy(), run.accuracy("ood")) if run else (None, None)
    probe, outside = target.accuracy, target.ood
    warnings = []
    if baseline and probe < baseline.mean:
        warnings.append(
            "This teacher is unlikely to help: a linear probe on its embedding reads the target with "
            f"{100 * probe:.1f} %, the student alone reaches {100 * baseline.mean:.1f} %."
        )
    elif probe < 2 * target.chance:
        warnings.append(
            "This teacher is unlikely to help: a linear probe on its embedding reads the target with "
            f"{100 * probe:.1f} %, guessing reaches {100 * target.chance:.1f} %."
        )
    if outside is not None and beyond and outside < beyond.mean:
        warnings.append(
            "This teacher is unlikely to help out of domain: a linear probe on its embedding reads the target with "
            f"{100 * outside:.1f} % there, the student alone reaches {100 * beyond.mean:.1f} %."
        )
    elif outside is not None and outside < TRANSFER_SHARE * probe:
        warnings.append(
            "What this teacher knows of the target hardly carries over: a linear probe reads it with "
            f"{100 * probe:.1f} % in-domain, {100 * outside:.1f} % out of domain."
        )
    return warnings


def as_code(spec: RunSpec, methods: Sequence[str], repetition: Repetition = ONCE) -> dict[str, str]:
    """Return a comparison as "Command line", "Python" and "YAML"; the first two leave out fields at their default.

    Args:
        spec: of its methods.
        methods: to compare.
        repetition: how often.

    Example:
        >>> print(as_code(RunSpec(dim=8), ["raw", "mlp"])["Python"])
    """
    everything = {f.name: getattr(spec, f.name) for f in fields(RunSpec) if f.name != "method"}
    options, arguments = _command_options(spec) + _repetition_options(repetition), _spec_arguments(spec)
    repeated = {name: value for name, value in vars(repetition).items() if value != getattr(ONCE, name)}
    lines = [f"methods: [{', '.join(json.dumps(method) for method in methods)}]"]
    lines += [f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in everything.items()]
    lines += [f"{name}: {value}" for name, value in _repetition_values(repetition).items()]
    specs = f"[spec.replace(method=method) for method in {list(methods)!r}]"
    given = ", ".join(f"{name}={value!r}" for name, value in repeated.items())
    python = (
        "from kdlib import RunSpec\n"
        + ("from kdlib.analysis.rounds import Repetition, pool\n" if repeated else "")
        + "from kdlib.analysis.verdicts import verdict\n"
        + f"from kdlib.{'sequential import compare_repeated' if repeated else 'pipeline import compare'}\n\n"
        + f"spec = RunSpec({arguments})\n"
        + (f"specs = {specs}\n" if repeated else "")
        + f"results = {f'pool(compare_repeated(specs, Repetition({given})))' if repeated else f'compare({specs})'}\n"
        + "print(verdict(results))\n"
    )
    return {
        "Command line": f"python -m kdlib compare --methods {shlex.quote(','.join(methods))}{options}",
        "Python": python,
        "YAML": "\n".join(lines) + "\n",
    }


def sweep_as_code(
    spec: RunSpec, methods: Sequence[str], axes: Mapping[str, Sequence[Any]], repetition: Repetition = ONCE
) -> dict[str, str]:
    """Return a landscape as "Command line" and "Python", without fields at their default.

    Args:
        spec: decides every other field.
        methods: of its runs.
        axes: field -> its values.
        repetition: of which the labelled subsets count.

    Example:
        >>> print(sweep_as_code(RunSpec(), ["mlp"], {"dim": [2, 4]})["Command line"])
        python -m kdlib sweep --grid --methods mlp --dim 2,4
    """
    given = "".join(
        f" --{name.replace('_', '-')} {shlex.quote(','.join(map(str, values)))}" for name, values in axes.items()
    )
    values = ", ".join(f"{name!r}: {list(each)!r}" for name, each in {"method": methods, **axes}.items())
    repeated = repetition.subsets > 1
    launch = f"sequences.launch(specs, Repetition({repetition.subsets}))" if repeated else "sweeps.launch(specs)"
    return {
        "Command line": f"python -m kdlib sweep --grid --methods {shlex.quote(','.join(methods))}{given}"
        f"{_command_options(spec, axes)}{_repetition_options(repetition)}",
        "Python": (
            "from kdlib import RunSpec\n"
            + ("from kdlib.analysis.rounds import Repetition\n" if repeated else "")
            + f"from kdlib.runs import {'sequences, ' if repeated else ''}sweeps\n\n"
            f"specs = sweeps.expand(RunSpec({_spec_arguments(spec, axes)}), {{{values}}}, grid=True)\n"
            f"sweep = {launch}  # returns at once; results(sweep.runs) has those that are done\n"
        ),
    }


def _repetition_values(repetition: Repetition) -> dict[str, str]:
    """Return what the command line takes of a repetition, option -> value; the interval in points."""
    values = {"subsets": str(repetition.subsets)} if repetition.subsets > 1 else {}
    if repetition.half_width:
        values |= {"until": f"{100 * repetition.half_width:g}", "most-seeds": str(repetition.most_seeds)}
    return values


def _repetition_options(repetition: Repetition) -> str:
    return "".join(f" --{name} {value}" for name, value in _repetition_values(repetition).items())


def _command_options(spec: RunSpec, without: Collection[str] = ()) -> str:
    """Return a spec as options of the command line: those that are not what it takes by itself."""
    omitted = vars(default_spec(spec.dataset)) | {"dataset": RunSpec.dataset}
    return "".join(
        f" --{name.replace('_', '-')} {shlex.quote(setting_text(value))}"
        for name, value in vars(spec).items()
        # What is best known of imported data changes as teachers are asked.
        if name not in ("method", *without)
        and (value != omitted[name] or (name == "teacher" and spec.dataset not in datasets.DATASETS))
    )


def _spec_arguments(spec: RunSpec, without: Collection[str] = ()) -> str:
    """Return a spec as arguments of `RunSpec`: those that are not its defaults, the method left out."""
    given = {name: value for name, value in vars(spec).items() if value != getattr(RunSpec, name)}
    return ", ".join(f"{name}={value!r}" for name, value in given.items() if name not in ("method", *without))
