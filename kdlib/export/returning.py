"""An exported student comes back: a run in the store, made from the files of an export.

Nothing of it is believed that can be computed: where its dataset is here, the scores are measured anew.
"""

import json
import math
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kdlib import engine, store
from kdlib.analysis.evaluation import scores, thresholds
from kdlib.analysis.intervals import summarize
from kdlib.cache import Arrays, home
from kdlib.checks import describe_methods
from kdlib.data import datasets
from kdlib.data.dataset import Dataset
from kdlib.data.intake.child import run_child
from kdlib.data.intake.limits import TEXT, IntakeError, Limits
from kdlib.engine import Job, Outcome, RunFolder
from kdlib.export.inputs import InputSpec
from kdlib.export.intake import WEIGHTS
from kdlib.models.projectors import PROJECTORS, projected_width
from kdlib.models.students import STUDENTS, Student, build_student
from kdlib.registry import lookup
from kdlib.results import Cost, RunResult
from kdlib.runs import clean_name
from kdlib.spec import TEACHER_MIXINGS, RunSpec
from kdlib.summary import SplitMetrics
from kdlib.training.augmentation import AUGMENTATIONS
from kdlib.training.label_losses import SOFT_LABEL_LOSSES
from kdlib.training.loop import predict
from kdlib.training.losses import LOSSES
from kdlib.training.population import Population
from kdlib.training.streaming import StreamedRows
from kdlib.training.target_normalisers import TARGET_NORMALISERS

MAX_WIDTH, MAX_DEPTH, MAX_SEEDS, MAX_NUMBERS = 4096, 64, 1000, 1 << 24  # of a student, and of one input


def import_student(path: Path | str, name: str = "") -> str:
    """Return the id of a new run made of an export: its students, its spec, its scores.

    Args:
        path: a folder or zip that `export_student` wrote, here or elsewhere.
        name: of the run; by default that in the export, with "(imported)" behind it.

    Raises:
        ValueError: it is refused; the message says why.

    Example:
        >>> import_student("birds.zip")
    """
    path = Path(path)
    if not path.exists():
        raise ValueError(f"there is no export {path}")
    limits = Limits.current()
    (home() / "tmp").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home() / "tmp") as folder:
        arguments = [str(path.resolve()), path.name, folder, json.dumps(asdict(limits))]
        record = run_child("kdlib.export.intake", arguments, path.name, Path(folder), limits, None)
        try:
            result = _to_result(record, Path(folder) / WEIGHTS)
        except (KeyError, TypeError, AttributeError) as error:
            raise IntakeError(f"config.json of {path.name} is incomplete: {type(error).__name__} {error}") from error
    title = clean_name(name) or f"{clean_name(record['title']) or path.stem} (imported)"
    return store_imported(result, title, record["hash"])


def store_imported(result: RunResult, name: str, weights_hash: str) -> str:
    """Return the id of a run in the store that is done and marked as imported.

    No sweep takes it for one of its own: it is not known which seeds it is of.
    """
    run_id = store.create(result.spec, name=name, user="imported", engine=engine.engine_id())
    store.set_tags(run_id, imported=weights_hash, identity=f"imported-{weights_hash[:16]}")
    folder = RunFolder(run_id)
    engine.save_result(folder, result)
    folder.write_end(0, Outcome(store.DONE))
    engine.push(Job(run_id, result.spec.to_json()))
    return run_id


def _to_result(record: Mapping[str, Any], weights: Path) -> RunResult:
    """Return the result that an export holds."""
    form, seeds = InputSpec.from_dict(record["input"]), record["student"]["seeds"]
    if not isinstance(seeds, list) or not 1 <= len(seeds) <= MAX_SEEDS:
        raise IntakeError(f"an export holds 1 to {MAX_SEEDS:,} students, config.json names {seeds!r:.80}")
    spec = _checked_spec(record, form).replace(seeds=len(seeds))
    students = _students(record, spec, form, weights, seeds)
    population = Population(students, torch.device("cpu"))
    arrays = {f"student/{name}": value.detach().numpy() for name, value in population.parameters.items()}
    cost = Cost(parameters=sum(math.prod(value.shape[1:]) for name, value in arrays.items() if "adapter" not in name))
    data = _matching_dataset(record, spec, form)
    if data is None:
        return RunResult(spec, metrics=_stated_metrics(record["result"], len(seeds)), cost=cost, arrays=arrays)
    outputs = _predict(population, data, spec)
    return RunResult(spec, metrics=_measured_metrics(outputs, data), cost=cost, arrays=arrays | outputs)


def _checked_spec(record: Mapping[str, Any], form: InputSpec) -> RunSpec:
    """Return the spec of an export, whose names are known here and whose sizes are those of a small network."""
    spec = RunSpec.from_record(record["result"]["spec"])
    for registry, value, kind in (
        (STUDENTS, spec.student, "student"),
        (describe_methods(), spec.method, "method"),
        (LOSSES, spec.loss, "loss"),
        (AUGMENTATIONS, spec.augmentation, "augmentation"),
        (PROJECTORS, spec.projector, "projector"),
        (TARGET_NORMALISERS, spec.target_normaliser, "target normaliser"),
        (SOFT_LABEL_LOSSES, spec.soft_label_loss, "soft-label loss"),
        (TEACHER_MIXINGS, spec.teacher_mixing, "teacher mixing"),
    ):
        lookup(registry, value, kind)
    small = 1 <= spec.width <= MAX_WIDTH and 1 <= spec.depth <= MAX_DEPTH
    if not small or math.prod(form.student_shape) > MAX_NUMBERS or math.prod(form.shape) > MAX_NUMBERS:
        raise IntakeError(f"a student of width {spec.width} and depth {spec.depth} is larger than can be imported")
    texts = [value for value in spec.to_dict().values() if isinstance(value, str)]
    if not all(len(text) <= TEXT and text.isprintable() for text in texts):
        raise IntakeError(f"names in a spec have at most {TEXT} letters, without control characters")
    return spec


def _students(
    record: Mapping[str, Any], spec: RunSpec, form: InputSpec, weights: Path, seeds: list[Any]
) -> list[Student]:
    """Return the students with their weights, once these fit."""
    from safetensors.numpy import load_file

    tensors, alone = load_file(weights), len(seeds) == 1
    first = "" if alone else f"{seeds[0]}."
    width = projected_width({name.removeprefix(first): value.shape for name, value in tensors.items() if value.ndim})
    dials = (spec.width, len(record["classes"]), width, spec.depth, spec.projector)
    with torch.device("meta"):  # takes no memory, however large the file says it is
        student = build_student(spec.student, form.student_shape, *dials)
    shapes = {name: tuple(value.shape) for name, value in student.state_dict().items()}
    expected = {name if alone else f"{seed}.{name}": shape for seed in seeds for name, shape in shapes.items()}
    if {name: value.shape for name, value in tensors.items()} != expected:
        raise IntakeError("the weights do not fit the student that config.json describes: the export was changed")
    built = []
    for seed in seeds:
        member = build_student(spec.student, form.student_shape, *dials)
        named = {name: torch.from_numpy(tensors[name if alone else f"{seed}.{name}"]) for name in shapes}
        member.load_state_dict(named)
        built.append(member)
    return built


def _matching_dataset(record: Mapping[str, Any], spec: RunSpec, form: InputSpec) -> Dataset | None:
    """Return the dataset of the run, if it is here and has these classes and inputs."""
    if spec.dataset not in datasets.describe_datasets():
        return None
    data = datasets.load(spec.dataset)
    same = [str(name) for name in data.classes] == record["classes"] and data.multi_label == record["multi_label"]
    return data if same and InputSpec.of(data) == form and spec.labels <= data.labelled_rows else None


def _predict(population: Population, data: Dataset, spec: RunSpec) -> Arrays:
    """Return features and logits of every split, named as in `RunResult.arrays`."""
    splits = data.splits | {"train": data.labelled(spec.labels, spec.subset)}
    outputs: Arrays = {}
    for split, rows in splits.items():
        for kind, values in predict(population, StreamedRows(data.inputs, rows, population.device)).items():
            outputs[f"{kind}/{split}"] = values.numpy()
    return outputs


def _measured_metrics(outputs: Arrays, data: Dataset) -> dict[str, SplitMetrics]:
    """Return the scores of the students on every split, measured here."""
    val = data.labels[data.splits["val"]]
    cuts = [thresholds(member, val) if data.multi_label else 0.5 for member in outputs["logits/val"]]
    metrics = {}
    for split in ("val", "test", *data.out_of_domain):
        labels = data.labels[data.splits[split]]
        members = [scores(each, labels, cut) for each, cut in zip(outputs[f"logits/{split}"], cuts, strict=True)]
        metrics[split] = SplitMetrics({name: summarize([each[name] for each in members]) for name in members[0]})
    outside = [metrics[name] for name in data.out_of_domain]
    if outside:
        means = {name: np.mean([each[name].values for each in outside], axis=0).tolist() for name in outside[0].scores}
        metrics["ood"] = SplitMetrics({name: summarize(values) for name, values in means.items()})
    return metrics


def _stated_metrics(result: Mapping[str, Any], seeds: int) -> dict[str, SplitMetrics]:
    """Return the scores that an export states, as far as they are fractions, one for each seed."""
    metrics = {}
    for split, stated in result.get("metrics", {}).items():
        kept = {}
        for name, summary in stated.items():
            values = summary.get("values", [])
            fractions = all(type(value) in (int, float) and 0 <= value <= 1 for value in values)
            if name in ("accuracy", "f1", "map", "roc_auc") and len(values) == seeds and fractions:
                kept[name] = summarize(values)
        if kept and len(split) <= TEXT and split.isprintable():
            metrics[split] = SplitMetrics(kept)
    return metrics
