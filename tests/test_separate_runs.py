"""Runs of separate teachers, all the way: stored spaces, new items, exports, widths, steps, tuning, resuming."""

import json

import numpy as np
import onnxruntime
import pytest
import torch

from kdlib import pipeline, planning, runs, trying
from kdlib.cli import main as cli
from kdlib.data import datasets
from kdlib.export import export_student
from kdlib.export.compressor import export_compressor
from kdlib.export.returning import import_student
from kdlib.export.source import load_source
from kdlib.models import embedding
from kdlib.models.compressors import COMPRESSORS
from kdlib.models.providers.built_in import TEACHERS
from kdlib.models.teacher import Teacher
from kdlib.spaces import load_spaces
from kdlib.spaces.precision_jobs import widths_of
from kdlib.spaces.space_embeddings import open_space
from kdlib.spaces.width_jobs import WidthRequest, make_report
from kdlib.spec import RunSpec
from kdlib.step_sessions import StepSession
from tests import exported, stored_runs

SPEC = RunSpec(
    dataset="digits",
    teacher="random+simclr",
    teacher_mixing="separate",
    labels=60,
    epochs=2,
    batch_size=20,
    width=2,
    seeds=2,
    dim=4,
    attribute="ink",  # of a compressor that removes one
)
METHODS = [name for name in COMPRESSORS if name != "none"]


@pytest.fixture(scope="module")
def home(tmp_path_factory, empty_database):
    with exported.data_folder(tmp_path_factory.mktemp("home") / "home", empty_database) as folder:
        yield folder


@pytest.fixture(scope="module")
def run_ids(home):
    results = pipeline.compare([SPEC.replace(method=method) for method in ("raw", *METHODS)])
    return {result.spec.method: stored_runs.store_result(result, result.spec.method) for result in results}


@pytest.mark.parametrize("method", METHODS)
def test_what_a_run_stored_comes_out_again_for_new_items_and_in_an_export(method, run_ids):
    run_id, rows = run_ids[method], datasets.load("digits").splits["test"][::7]
    expected = runs.member_array(run_id, "features", "compressed/test", 1)[::7]
    assert expected.shape[1] == 4
    close = {"atol": 1e-4 * np.abs(expected).max()}
    np.testing.assert_allclose(open_space(run_id, "compressed", member=1)[rows], expected, **close)
    placed = trying.answer(trying.item_of_row("digits", int(rows[0])), [run_id], run_id, 1).placed
    np.testing.assert_allclose(placed["compressed"].place, expected[0], **close)
    model, note = export_compressor(load_source(run_id, 1))
    assert not note
    session = onnxruntime.InferenceSession(model.SerializeToString())
    computed = session.run(["compressed"], {"embedding": embedding.embed(SPEC.teacher, "digits")[rows]})[0]
    np.testing.assert_allclose(computed, expected, **close)


def test_leading_widths_hold_as_much_of_each_teacher(run_ids):
    assert widths_of(runs.get(run_ids["matryoshka"]).spec) == (4,)
    assert widths_of(SPEC.replace(method="matryoshka", dim=16)) == (4, 8, 16)
    report = make_report(WidthRequest(run_ids["matryoshka"]))
    assert report.widths[-1] == 4
    result = runs.result(run_ids["matryoshka"])
    assert report.scores["trained"].probes["target"][-1] == result.teacher.probe.compressed.values[0]


def test_raw_is_each_teacher_at_the_scale_of_training_whoever_is_larger(home, monkeypatch):
    data = datasets.load("digits")
    noise = np.random.default_rng(0).normal(size=(len(data.inputs), 3)).astype(np.float32)
    for name, scale in (("small", 1.0), ("loud", 1000.0)):
        values = scale * noise[:, ::-1] + 5 * scale if name == "loud" else noise
        embed = lambda dataset, rows, values=values: values[rows]  # noqa: E731
        monkeypatch.setitem(TEACHERS, name, Teacher("", "none", None, lambda embed=embed: embed, width=3))
    spec = SPEC.replace(teacher="small+loud", method="raw", teacher_mixing="concatenate", epochs=1)
    run_id = stored_runs.store_result(pipeline.run(spec), "raw")
    view = load_spaces(run_id)
    raw = view.spaces["raw"]
    spread = raw.std(0)
    np.testing.assert_allclose(spread[:3].mean(), spread[3:].mean(), rtol=0.05)
    np.testing.assert_allclose(raw, load_spaces(run_id).spaces["compressed"], atol=1e-5)
    np.testing.assert_allclose(open_space(run_id, "raw")[view.rows[:9]], raw[:9], atol=1e-5)
    row = int(view.rows[0])
    placed = trying.answer(trying.item_of_row("digits", row), [run_id], run_id).placed
    np.testing.assert_allclose(placed["raw"].place, raw[0], atol=1e-4)
    # The nearest by the scaled embeddings, not those by the loud teacher alone.
    labelled = data.labelled(60)
    distances = np.linalg.norm(load_spaces(run_id, "train").spaces["raw"] - raw[0], axis=1)
    assert placed["raw"].rows[0] == labelled[distances.argmin()]


def test_the_raw_space_of_a_single_teacher_is_its_embedding(run_ids, home):
    single = SPEC.replace(teacher="simclr", method="raw", epochs=1)
    view = load_spaces(stored_runs.store_result(pipeline.run(single), "one"))
    np.testing.assert_array_equal(view.spaces["raw"], embedding.embed("simclr", "digits")[view.rows])


@pytest.mark.parametrize("projector", ["linear", "ensemble"])
def test_students_with_a_projector_for_each_teacher_leave_and_come_back(projector, home, tmp_path):
    spec = SPEC.replace(method="pca", loss="mse", projector=projector)
    result = pipeline.run(spec)
    first, *_, last = result.history
    assert first.distance != last.distance
    run_id = stored_runs.store_result(result, "adapted")
    folder = tmp_path / "student"
    export_student(run_id, folder, "ensemble")
    assert json.loads((folder / "config.json").read_text())["student"]["adapter_width"] == [2, 2]
    after = import_student(folder)
    assert runs.get(after).spec == spec
    for name, value in runs.arrays(run_id, "student").items():
        np.testing.assert_array_equal(value, runs.arrays(after, "student")[name])
    trying.answer(trying.item_of_row("digits", 0), [run_id], run_id)


def test_a_step_is_that_of_the_run_and_shows_the_mean_distance(home):
    session = StepSession(SPEC.replace(method="mlp"))
    session.step()
    view = session.view()
    assert view.target.shape == (20, 4)
    from kdlib.training.losses import distance_correlation

    features, target = torch.from_numpy(view.features), torch.from_numpy(view.target)
    parts = [float(distance_correlation(features, target[:, own::2])) for own in range(2)]
    assert view.losses["distance"] == pytest.approx(sum(parts) / 2, abs=1e-5)


def test_a_stopped_run_resumes_where_it_was(home, tmp_path):
    path, spec = tmp_path / "checkpoint.safetensors", SPEC.replace(method="vib", loss="mse")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        whole = pipeline.run(spec)
        stop = pipeline.run(spec, checkpoint=path, on_progress=lambda at: at.phase == "training" and at.step >= 2)
        resumed = pipeline.run(spec, checkpoint=path)
    finally:
        torch.set_num_threads(threads)
    assert (stop.status, resumed.status) == ("cancelled", "done")
    for name, value in whole.arrays.items():
        np.testing.assert_array_equal(resumed.arrays[name], value)


def test_it_is_tuned_over_widths_that_both_share(home):
    result = pipeline.run(SPEC.replace(method="linear", tune=3, seeds=1, student="mlp"))
    assert result.status == "done"
    assert all(trial.settings["dim"] % 2 == 0 for trial in result.tuning.trials)


def test_the_command_line_and_the_code_that_is_shown_say_it(home, capsys):
    options = "--dataset digits --labels 60 --epochs 1 --seeds 1 --width 2 --dim 4 --methods raw,mlp"
    assert cli.main(["compare", "--teacher", SPEC.teacher, "--teacher-mixing", "separate", *options.split()]) == 0
    assert "untrained network (random) + view matching (simclr)" in capsys.readouterr().out
    code = planning.as_code(SPEC, ["raw"])
    assert "--teacher-mixing separate" in code["Command line"]
    assert "teacher_mixing='separate'" in code["Python"]
