"""Exports in an environment that has onnxruntime and numpy, and nothing else: they say what the lab says."""

import json
import subprocess
import sys
import wave

import numpy as np
import pytest
from PIL import Image

from kdlib import runs
from kdlib.data import datasets
from kdlib.export import export_student
from tests import exported

PACKAGES = ("onnxruntime==1.31.1", "numpy==2.4.6")  # as in requirements.txt


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """The interpreter of a fresh environment."""
    folder = tmp_path_factory.mktemp("fresh")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    made = folder / "bin" / "python"
    done = subprocess.run([made, "-m", "pip", "install", "-q", *PACKAGES], capture_output=True, text=True)
    if "connection" in done.stderr.lower() or "No matching distribution" in done.stderr:
        pytest.skip("the package registry does not answer")
    assert done.returncode == 0, done.stderr
    return made


@pytest.fixture(scope="module")
def home(tmp_path_factory, empty_database):
    with exported.data_folder(tmp_path_factory.mktemp("home") / "home", empty_database) as folder:
        yield folder


def predicted(python, folder, paths):
    """Return the lines of predict.py for some files, as lists: the file, then its classes."""
    command = [python, folder / "predict.py", *paths]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder.parent, timeout=120)
    assert done.returncode == 0, done.stderr
    items = []
    for line in done.stdout.splitlines():
        items.append([]) if not line.startswith("  ") else items[-1].append(line.split(maxsplit=1))
    return [[(float(probability), name) for probability, name in item] for item in items]


def check(python, run_id, tmp_path, paths, rows, atol):
    """Export the first seed; what it says of files is what the run said of the same items."""
    folder = tmp_path / "export"
    export_student(run_id, folder, 0)
    run = runs.get(run_id)
    data = datasets.load(run.spec.dataset)
    places = [data.splits["test"].tolist().index(row) for row in rows]
    logits = runs.arrays(run_id, "predictions")["logits/test"][0][places].astype(np.float64)
    weights = np.exp(logits - logits.max(1, keepdims=True))
    probabilities = 1 / (1 + np.exp(-logits)) if data.multi_label else weights / weights.sum(1, keepdims=True)
    names = [ascii(name)[1:-1] for name in data.classes]
    items = predicted(python, folder, paths)
    assert len(items) == len(rows)
    for item, expected in zip(items, probabilities, strict=True):
        said = {name.removesuffix(" *"): probability for probability, name in item}
        np.testing.assert_allclose([said[name] for name in names], expected, atol=atol)
        assert item[0][1].removesuffix(" *") == names[int(expected.argmax())]
    return folder, items


def write_wav(path, rate, samples):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((32767 * np.clip(samples, -1, 1)).astype("<i2").tobytes())


def test_a_digit_as_png(python, home, tmp_path):
    rows, data = exported.some_test_rows("digits"), datasets.load("digits")
    for row in rows:
        pixels = np.round(255 * data.inputs[row][0]).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{row}.png")
    check(python, exported.train_digits(), tmp_path, [tmp_path / f"{row}.png" for row in rows], rows, atol=5e-3)


@pytest.mark.parametrize("dataset", ["tones", "mixtures"])
def test_a_built_in_sound_as_wav(python, home, tmp_path, dataset):
    rows, data = exported.some_test_rows(dataset), datasets.load(dataset)
    for row in rows:
        write_wav(tmp_path / f"{row}.wav", *data.listen(row))
    paths = [tmp_path / f"{row}.wav" for row in rows]
    folder, items = check(python, exported.train(dataset, dataset), tmp_path, paths, rows, atol=5e-3)
    if dataset == "mixtures":
        cuts = json.loads((folder / "labels.json").read_text())["thresholds"]
        classes = list(data.classes)
        for item in items:
            for probability, name in item:
                is_above = probability - cuts[classes.index(name.removesuffix(" *"))]
                assert name.endswith(" *") == (is_above >= 0) or abs(is_above) < 1e-4


def test_own_pictures_and_sounds(python, home, tmp_path, files_read_here):
    for folder, make, kind in (("pictures", exported.own_pictures, "png"), ("sounds", exported.own_sounds, "wav")):
        (tmp_path / folder).mkdir()
        name = make(tmp_path / folder)
        rows, data = exported.some_test_rows(name), datasets.load(name)
        paths = [tmp_path / folder / f"{row}.{kind}" for row in rows]
        for path, row in zip(paths, rows, strict=True):
            if kind == "png":
                Image.fromarray(data.look(row)).save(path)
            else:
                write_wav(path, *data.listen(row))
        check(python, exported.train(folder, name), tmp_path / folder, paths, rows, atol=1e-2)


def test_an_own_table_and_own_texts(python, home, tmp_path, files_read_here):
    name = exported.own_table(tmp_path)
    rows, data = exported.some_test_rows(name), datasets.load(name)
    lines = ["x0,x1,x2,x3,x4,x5", *(",".join(map(repr, data.inputs[row].tolist())) for row in rows)]
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    np.savez(tmp_path / "t2.npz", x=data.inputs[rows])
    folder, items = check(python, exported.train("table", name), tmp_path, [tmp_path / "t.csv"], rows, atol=1e-3)
    assert predicted(python, folder, [tmp_path / "t2.npz"]) == items

    name = exported.own_texts(tmp_path)
    rows, data = exported.some_test_rows(name), datasets.load(name)
    paths = [tmp_path / f"{row}.txt" for row in rows]
    for path, row in zip(paths, rows, strict=True):
        path.write_text(data.read(row), encoding="utf-8")
    (tmp_path / "second").mkdir()
    check(python, exported.train("texts", name), tmp_path / "second", paths, rows, atol=1e-3)


def test_graphs_of_every_student_load_there(python, home, tmp_path):
    from kdlib.export.graph import PortableStudent, export_graph
    from kdlib.export.inputs import InputSpec
    from kdlib.models.students import STUDENTS, build_student

    form = InputSpec("pixels", (3, 24, 24))
    for name in STUDENTS:
        network = PortableStudent([build_student(name, (3, 24, 24), 2, 4)], form, multi_label=False)
        (tmp_path / f"{name}.onnx").write_bytes(export_graph(network, form).SerializeToString())
    code = (
        "import sys, numpy, onnxruntime\nfor path in sys.argv[1:]:\n    s = onnxruntime.InferenceSession(path)\n"
        "    out = s.run(None, {'pixels': numpy.zeros((5, 3, 24, 24), 'uint8')})\n"
        "    assert [o.shape[0] for o in out] == [5, 5, 5] and abs(out[0].sum(1) - 1).max() < 1e-6\n"
    )
    done = subprocess.run([python, "-c", code, *tmp_path.glob("*.onnx")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
