"""The folder of an export: everything in it is made here, under another name, and then renamed."""

import hashlib
import json
import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import kdlib
from kdlib.cache import atomic_path
from kdlib.export.source import BEST, ExportSource, load_source, narrow_result

if TYPE_CHECKING:
    from kdlib.export.measuring import Measurements

FORMAT = 1  # of config.json: raise it when older readers would take it wrongly
SHIPPED = Path(__file__).parent / "shipped"
FIXED_TIME = (1980, 1, 1, 0, 0, 0)  # of every file in a zip: the same export is the same bytes
MODEL, INT8_MODEL, WEIGHTS, CONFIG = "student.onnx", "student-int8.onnx", "student.safetensors", "config.json"


@dataclass(frozen=True)
class Export:
    """What was written.

    Attributes:
        path: the folder or zip.
        files: name -> bytes.
        measured: what its card says in numbers.
    """

    path: Path
    files: dict[str, int]
    measured: "Measurements"


def export_student(run_id: str, to: Path | str, seed: str | int = BEST, *, int8: bool = False) -> Export:
    """Write a student of a finished run as a folder, or as a zip where the name ends in .zip.

    Args:
        run_id: of the run.
        to: where; it must not exist yet.
        seed: "best" (by validation score), "ensemble" (their mean) or a number.
        int8: whether to add a quantised graph.

    Raises:
        ValueError: the run cannot be exported, or `to` is there already.

    Example:
        >>> export_student(run_id, "birds", seed="ensemble").files["student.onnx"]
    """
    target = Path(to)
    if target.exists():
        raise ValueError(f"{target} is there already; give another name, or remove it first")
    source = load_source(run_id, seed)
    target.parent.mkdir(parents=True, exist_ok=True)
    built = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    try:
        measured = write_files(source, built, int8=int8)
        files = {path.name: path.stat().st_size for path in sorted(built.iterdir())}
        if target.suffix.lower() == ".zip":
            with atomic_path(target) as temporary:
                write_zip(built, temporary)
        else:
            os.rename(built, target)
    finally:
        shutil.rmtree(built, ignore_errors=True)
    return Export(target, files, measured)


def folder_name(run_name: str) -> str:
    """Return a name for the folder of a run's export that every file system takes.

    Example:
        >>> folder_name("birds: mlp 16/32")
        'birds-mlp-16-32'
    """
    return re.sub(r"[^\w.]+", "-", run_name).strip("-.")[:60] or "student"


def write_zip(folder: Path, target: Path) -> None:
    """Write the files of a folder as a zip whose bytes depend on nothing else."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.iterdir()):
            entry = zipfile.ZipInfo(path.name, FIXED_TIME)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(entry, path.read_bytes())


def write_files(source: ExportSource, folder: Path, *, int8: bool = False) -> "Measurements":
    """Write every file of an export into an empty folder, and return what was measured."""
    from kdlib.export import card, checking, measuring
    from kdlib.export.compressor import export_compressor
    from kdlib.export.graph import PortableStudent, export_graph

    network = PortableStudent(source.students(), source.form, source.data.multi_label)
    models = [folder / MODEL]
    _write_model(models[0], export_graph(network, source.form))
    agreement = checking.check_agreement(source, network, models[0])
    if int8:
        from kdlib.export.quantize import quantize

        models.append(folder / INT8_MODEL)
        quantize(source, *models)
    compressor, note = export_compressor(source)
    if compressor is not None:
        _write_model(folder / "compressor.onnx", compressor)
    weights_hash = write_weights(source, folder / WEIGHTS)
    measured = measuring.measure_export(source, agreement, models, weights_hash)
    config = config_record(source, weights_hash) | {"agreement": agreement.to_dict()}
    for name, record in (("labels.json", labels_record(source)), (CONFIG, config)):
        (folder / name).write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / "README.md").write_text(card.write_card(source, measured, note), encoding="utf-8")
    (folder / "spec.yaml").write_text(card.spec_yaml(source), encoding="utf-8")
    for name in ("predict.py", "reading.py"):
        shutil.copyfile(SHIPPED / name, folder / name)
    return measured


def _write_model(path: Path, model: Any) -> None:
    path.write_bytes(model.SerializeToString(deterministic=True))


def write_weights(source: ExportSource, path: Path) -> str:
    """Write the weights of the exported members, and return the SHA-256 of the file.

    One member's have their names in torch; those of several begin with "<seed>.".
    """
    from safetensors.numpy import save_file

    alone = len(source.seeds) == 1
    tensors: Mapping[str, np.ndarray] = {
        name if alone else f"{seed}.{name}": np.ascontiguousarray(values[number])
        for number, seed in enumerate(source.seeds)
        for name, values in source.weights.items()
    }
    save_file(dict(tensors), path)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def labels_record(source: ExportSource) -> dict[str, Any]:
    """Return what labels.json holds: class names, and of several labels the thresholds chosen on validation rows."""
    multi_label = source.data.multi_label
    cuts = source.thresholds().tolist() if multi_label else None
    return {"classes": [str(name) for name in source.data.classes], "multi_label": multi_label, "thresholds": cuts}


def config_record(source: ExportSource, weights_hash: str) -> dict[str, Any]:
    """Return what config.json holds: how to rebuild the student, what it takes, and how good it was."""
    spec = source.result.spec
    return {
        "format": FORMAT,
        "kdlib": kdlib.__version__,
        "student": {
            "name": spec.student,
            "input_shape": list(source.form.student_shape),
            "width": spec.width,
            "depth": spec.depth,
            "classes": len(source.data.classes),
            "adapter_width": source.adapter_width,
            "seeds": list(source.seeds),
            "weights_sha256": weights_hash,
        },
        "input": source.form.to_dict(),
        "outputs": ["probabilities", "logits", "features"],
        "run": {"name": source.run.name, "id": source.run.id},
        "dataset": {
            "name": source.data.name,
            "modality": source.data.modality,
            "splits": {split: len(rows) for split, rows in source.data.splits.items()},
        },
        "result": json.loads(json.dumps(narrow_result(source).to_dict(), default=float)),
    }
