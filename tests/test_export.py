"""Exports: graphs agree with torch, files say what is true, whatever the classes are called, and chains work."""

import json
import re
import zipfile

import numpy as np
import onnxruntime
import pytest
import torch
import yaml
from safetensors.numpy import load_file

from kdlib import runs, store
from kdlib.cli.main import main
from kdlib.data import datasets
from kdlib.data.spectrograms import log_mel
from kdlib.export import export_student, jobs
from kdlib.export.card import plain
from kdlib.export.compressor import export_compressor
from kdlib.export.graph import LogMel, PortableStudent, export_graph
from kdlib.export.inputs import InputSpec
from kdlib.export.source import load_source
from kdlib.models.compressors import COMPRESSORS
from kdlib.models.students import STUDENTS, build_student
from kdlib.spec import RunSpec
from tests import exported

PIXELS = InputSpec("pixels", (1, 16, 16))
WAVE = InputSpec("wave", (1, 32, 16), rate=8000)


@pytest.fixture(scope="module")
def home(tmp_path_factory, empty_database):
    with exported.data_folder(tmp_path_factory.mktemp("home") / "home", empty_database) as folder:
        yield folder


@pytest.fixture(scope="module")
def digits(home):
    return exported.train_digits()


@pytest.fixture(scope="module")
def folder(digits, tmp_path_factory):
    """An export of all seeds, with a graph in 8 bits."""
    target = tmp_path_factory.mktemp("out") / "digits"
    export_student(digits, target, "ensemble", int8=True)
    return target


def run_onnx(model, inputs):
    session = onnxruntime.InferenceSession(model)
    return session.run(["probabilities", "logits", "features"], {session.get_inputs()[0].name: inputs})


def items(form, count=1000):
    rng = np.random.default_rng(0)
    if form.kind == "pixels":
        return rng.integers(0, 256, (count, *form.shape), dtype=np.uint8)
    loud = 10 ** rng.uniform(-3, -0.3, (count, 1))  # from -60 dB: of silence a student says anything
    return (loud * rng.normal(size=(count, *form.shape))).astype(np.float32)


@pytest.mark.parametrize("form", [PIXELS, WAVE], ids=["pixels", "wave"])
@pytest.mark.parametrize("name", STUDENTS)
def test_the_graph_of_every_student_agrees_with_torch_on_1000_items(name, form):
    torch.manual_seed(0)
    student = build_student(name, form.student_shape, 4, 5).eval()
    inputs = items(form)
    model = export_graph(PortableStudent([student], form, multi_label=False), form).SerializeToString()
    prepared = inputs.astype(np.float32) / 255 if form is PIXELS else log_mel(inputs, 8000)
    with torch.no_grad():
        features, logits, _ = student(torch.from_numpy(prepared))
    expected = (logits.softmax(1), logits, features)
    for one, other in zip(run_onnx(model, inputs), expected, strict=True):
        np.testing.assert_allclose(one, other.numpy(), atol=1e-5)


@pytest.mark.parametrize(("rate", "mels"), [(8000, 32), (16_000, 64), (44_100, 128)])
def test_the_spectrogram_of_a_graph_is_that_of_the_lab(rate, mels):
    time = np.arange(rate // 2) / rate
    waves = np.stack(
        [np.sin(2 * np.pi * 1000 * time), 0 * time, 1e-3 * np.random.default_rng(0).normal(size=len(time))]
    )
    waves = waves.astype(np.float32)
    computed = LogMel(rate, mels, clipped=False)(torch.from_numpy(waves)).numpy()
    np.testing.assert_allclose(computed, log_mel(waves, rate, mels), atol=1e-5)


def test_the_graph_of_several_gives_the_mean_of_their_probabilities(digits, folder):
    data = datasets.load("digits")
    pixels = np.round(255 * data.inputs[data.splits["test"]]).astype(np.uint8)
    probabilities, logits, features = run_onnx(folder / "student.onnx", pixels)
    members = torch.from_numpy(runs.arrays(digits, "predictions")["logits/test"]).softmax(-1).mean(0).numpy()
    # The digits have 17 grey levels, which bytes hold to half a step.
    np.testing.assert_allclose(probabilities, members, atol=2e-3)
    np.testing.assert_allclose(np.exp(logits), probabilities, rtol=1e-4)
    assert features.shape == (len(pixels), 3 * 8)


def test_a_folder_holds_what_its_card_says(folder):
    names = {path.name for path in folder.iterdir()}
    card = (folder / "README.md").read_text()
    mentioned = set(re.findall(r"`([\w-]+\.(?:onnx|safetensors|json|py|yaml))`", card))
    assert mentioned | {"README.md"} == names
    config = json.loads((folder / "config.json").read_text())
    assert config["agreement"]["probabilities"] < 1e-5
    assert RunSpec.from_record(yaml.safe_load((folder / "spec.yaml").read_text())).teacher == "random"
    assert not [path for path in folder.parent.iterdir() if path.name.startswith(".")]
    assert len((folder / "predict.py").read_text().splitlines()) <= 40


def test_nothing_in_an_export_names_this_machine(folder, home):
    for path in folder.iterdir():
        content = path.read_bytes()
        assert str(home).encode() not in content, path.name
        assert b"site-packages" not in content, path.name
        assert b"graph.py" not in content, path.name


def test_the_weights_rebuild_the_student(digits, tmp_path):
    export_student(digits, tmp_path / "a", 1)
    config = json.loads((tmp_path / "a" / "config.json").read_text())["student"]
    student = build_student(config["name"], config["input_shape"], config["width"], config["classes"])
    tensors = load_file(tmp_path / "a" / "student.safetensors")
    student.load_state_dict({name: torch.from_numpy(value) for name, value in tensors.items() if "adapter" not in name})
    data = datasets.load("digits")
    with torch.no_grad():
        logits = student(torch.from_numpy(data.inputs[data.splits["test"]]))[1].numpy()
    np.testing.assert_allclose(logits, runs.arrays(digits, "predictions")["logits/test"][1], atol=1e-5)


def test_the_best_seed_is_that_with_the_best_validation_score(digits, tmp_path):
    export_student(digits, tmp_path / "a")
    best = int(np.argmax(runs.result(digits).metrics["val"]["accuracy"].values))
    assert json.loads((tmp_path / "a" / "config.json").read_text())["student"]["seeds"] == [best]


@pytest.mark.parametrize(
    ("method", "normaliser"),
    [*((name, "none") for name in COMPRESSORS if name != "none"), ("pca", "whiten"), ("vib", "standardise")],
)
def test_the_graph_of_every_compressor_gives_what_the_run_has(home, method, normaliser):
    from kdlib.models import embedding

    run_id = exported.train_digits(method, method, seeds=2, epochs=1, target_normaliser=normaliser, attribute="ink")
    model, note = export_compressor(load_source(run_id, 1))
    assert not note
    session = onnxruntime.InferenceSession(model.SerializeToString())
    test = datasets.load("digits").splits["test"]
    computed = session.run(["compressed"], {"embedding": embedding.embed("random", "digits")[test]})[0]
    expected = runs.member_array(run_id, "features", "compressed/test", 1)
    np.testing.assert_allclose(computed, expected, atol=1e-4 * np.abs(expected).max())


def test_eight_bits_stand_beside_the_float_graph_in_the_card(folder):
    rows = dict(re.findall(r"\| `(student[\w-]*\.onnx)` \| (.*) \|", (folder / "README.md").read_text()))
    assert set(rows) == {"student.onnx", "student-int8.onnx"}
    accuracy = {name: float(row.split(" | ")[2]) for name, row in rows.items()}
    data = datasets.load("digits")
    pixels = np.round(255 * data.inputs[data.splits["test"]]).astype(np.uint8)
    for name, stated in accuracy.items():
        right = run_onnx(folder / name, pixels)[0].argmax(1) == data.labels[data.splits["test"]]
        assert abs(100 * right.mean() - stated) < 0.06
    assert abs(accuracy["student.onnx"] - accuracy["student-int8.onnx"]) < 5


def test_the_same_export_is_the_same_bytes(digits, tmp_path):
    for name in ("a.zip", "b.zip"):
        export_student(digits, tmp_path / name)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert "student.onnx" in archive.namelist()


def test_what_is_there_is_not_overwritten(digits, tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(ValueError, match="is there already"):
        export_student(digits, tmp_path / "a")
    assert not list((tmp_path / "a").iterdir())


def test_a_run_without_a_student_is_refused_in_a_sentence(home, digits, tmp_path, monkeypatch, capsys):
    for state, words in (("failed", "failed (disk full)"), ("cancelled", "was cancelled"), ("queued", "is queued")):
        run_id = store.create(RunSpec(), name=f"a {state} one", user="")
        store.set_state(run_id, state, "disk full" if state == "failed" else "")
        with pytest.raises(ValueError, match=re.escape(words)):
            export_student(run_id, tmp_path / "a")
    assert main(["export", "a failed one", "--to", str(tmp_path / "a")]) == 2
    assert "only a run that is done can be exported" in capsys.readouterr().err
    with pytest.raises(ValueError, match="a number from 0 to 2, got '3'"):
        export_student(digits, tmp_path / "a", "3")

    def gone(run_id, kind):
        raise store.RunNotFoundError("no such file")

    monkeypatch.setattr(runs, "arrays", gone)
    with pytest.raises(ValueError, match="launch it again"):
        export_student(digits, tmp_path / "a")
    assert not list(tmp_path.iterdir())


def test_hostile_names_stay_text(home, tmp_path, files_read_here):
    run_id = exported.train("--- `x` <b>|</b>", exported.own_table(tmp_path))
    export_student(run_id, tmp_path / "a")
    text = (tmp_path / "a" / "README.md").read_text()
    _, head, body = text.split("---\n", 2)
    assert yaml.safe_load(head)["model-index"][0]["name"] == "--- `x` <b>|</b>"
    assert "<" not in re.sub(r"`[^`]*`", "", body)
    for name in exported.HOSTILE:
        assert plain(name) in body
    tables = [line for line in body.splitlines() if line.startswith("| ")]
    assert all(line.count("|") - line.count(r"\|") >= 4 for line in tables)


@pytest.mark.parametrize(
    ("text", "shown"),
    [("---", r"\---"), ("1. a", r"1\. a"), ("a\nb", "a b"), ("<i>&", "&lt;i&gt;&amp;"), ("www.x.y", r"www\.x.y")],
)
def test_text_in_a_card_is_plain(text, shown):
    assert plain(text) == shown


def test_an_exported_student_teaches_the_next(digits, tmp_path, capsys):
    from kdlib import pipeline
    from kdlib.models import embedding

    export_student(digits, tmp_path / "a", 0)
    command = ["teacher", "add", str(tmp_path / "a" / "student.onnx"), "--output", "features", "--dataset", "digits"]
    assert main([*command, "--name", "first"]) == 0, capsys.readouterr().err
    embeddings = embedding.embed("onnx:first", "digits")
    test = datasets.load("digits").splits["test"]
    expected = runs.member_array(digits, "features", "features/test", 0)
    np.testing.assert_allclose(embeddings[test], expected, atol=0.02)  # its pixels are bytes
    spec = RunSpec(dataset="digits", teacher="onnx:first", labels=60, epochs=1, width=2, seeds=1, dim=4, method="mlp")
    assert pipeline.run(spec).status == "done"


def test_the_engine_makes_what_a_page_asks_for(digits, home):
    request = jobs.ExportRequest(digits, "0")
    assert jobs.cached(request) is None
    jobs.compute({"run": digits, "seed": "0", "int8": False})
    answer = jobs.cached(request)
    assert zipfile.is_zipfile(answer)
    bad = jobs.ExportRequest(digits, "7")
    jobs.compute({"run": digits, "seed": "7", "int8": False})
    assert "a number from 0 to 2" in jobs.cached(bad).reason
    jobs.discard(bad)
    assert jobs.cached(bad) is None
