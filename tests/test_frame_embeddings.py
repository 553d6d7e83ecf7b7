"""Embeddings of frames (n, t, d): imported as what they are, pooled, and nowhere taken for pictures."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from kdlib import pipeline
from kdlib.checks import check, default_spec
from kdlib.cli.main import main
from kdlib.data import datasets, imported, importing
from kdlib.data.intake import IntakeError
from kdlib.models import embedding
from kdlib.models.teachers import get_teacher
from tests.file_writers import wav, zipped
from tests.opened_pages import opened, texts
from tests.small_tables import table

LABEL = np.arange(90) % 3
FRAMES = np.random.default_rng(0).normal(size=(90, 10, 8)).astype(np.float32) + 2 * np.eye(3, 8)[LABEL][:, None]
FRAMES = FRAMES.astype(np.float32)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch, files_read_here):
    monkeypatch.setenv("KDLIB_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def imported_as(source, title="frames"):
    return importing.store_dataset(source, importing.build_draft(source, importing.guess_plan(source)), title)


def npz(path):
    return table(path, x=None, y=None, embedding=FRAMES)


def nested_parquet(path):
    labels = [["ash", "birch", "NA"][each] for each in LABEL]
    parquet.write_table(pa.table({"label": labels, "embedding": FRAMES.tolist()}), path)
    return path


@pytest.mark.parametrize("write", [npz, nested_parquet])
def test_frames_alone_are_a_teacher_and_what_the_student_gets_is_no_picture(write, tmp_path):
    file = tmp_path / ("a.parquet" if write is nested_parquet else "a.npz")
    name = imported_as(importing.stage(write(file)))
    data, teacher = datasets.load(name), f"{name}/embedding"
    assert (data.modality, data.inputs.shape) == ("vector", (90, 80))
    assert get_teacher(teacher).frames
    assert "10 frames of 8 numbers" in imported.cards()[name].describe_table("embedding")
    np.testing.assert_allclose(embedding.embed(teacher, name), FRAMES.mean(1), rtol=1e-5)
    both = embedding.embed(teacher, name, pooling="mean+std")
    np.testing.assert_allclose(both, np.hstack([FRAMES.mean(1), FRAMES.std(1)]), rtol=1e-4, atol=1e-6)
    assert embedding.embedding_width(teacher, name, "mean+std") == 16


def test_frames_beside_recordings_are_matched_by_id(tmp_path):
    names = [f"{'ab'[row % 2]}/{row:02d}.wav" for row in range(60)]
    zipped(*((name, wav(0.2, hertz=200 + 20 * row)) for row, name in enumerate(names)))(tmp_path / "sounds.zip")
    order = np.random.default_rng(0).permutation(60)
    np.savez(tmp_path / "vggish.npz", id=np.array(names)[order], e=FRAMES[order])
    source = importing.stage(tmp_path / "sounds.zip", beside=[(tmp_path / "vggish.npz", "vggish.npz")])
    name = imported_as(source)
    data = datasets.load(name)
    assert data.modality == "audio"
    got = embedding.embed(f"{name}/vggish", name, pooling="max")
    rows = [names.index(item) for item in data.ids.tolist()]
    np.testing.assert_array_equal(got, FRAMES[rows].max(1))


def test_pictures_beside_an_embedding_stay_pictures(tmp_path):
    source = importing.stage(table(tmp_path / "a.npz", x=np.random.default_rng(0).random((90, 12, 12))))
    plan = importing.guess_plan(source)
    assert (plan.inputs, plan.tables) == ("x", ("y",))
    sole = importing.stage(table(tmp_path / "b.npz", x=np.random.default_rng(0).random((90, 12, 12)), y=None))
    draft = importing.build_draft(sole, importing.guess_plan(sole))
    assert (draft.modality, draft.shape, draft.plan.tables) == ("image", (1, 12, 12), ())


def test_frames_beside_named_inputs_are_a_table(tmp_path):
    source = importing.stage(table(tmp_path / "a.npz", x=None, y=None, inputs=FRAMES[:, 0], openl3=FRAMES))
    plan = importing.guess_plan(source)
    assert (plan.inputs, plan.tables) == ("inputs", ("openl3",))


def test_four_axes_are_no_embedding(tmp_path):
    source = importing.stage(table(tmp_path / "a.npz", y=np.random.default_rng(0).random((90, 3, 4, 5))))
    plan = replace(importing.guess_plan(source), inputs="x", tables=("y",))
    with pytest.raises(IntakeError, match="one for each of its frames"):
        importing.build_draft(source, plan)


@pytest.mark.parametrize(
    ("row", "message"), [([[1.0] * 8] * 9, "9 frames in row 1, 10 in row 0"), ([[1.0] * 7] * 10, "7 numbers in row 1")]
)
def test_ragged_frames_name_the_row(row, message, tmp_path):
    cells = FRAMES.tolist()
    cells[1] = row
    parquet.write_table(pa.table({"label": ["a", "b"] * 45, "embedding": cells}), tmp_path / "a.parquet")
    with pytest.raises(IntakeError, match=message):
        importing.stage(tmp_path / "a.parquet")


def test_a_run_with_another_pooling_is_another_run(tmp_path):
    name = imported_as(importing.stage(npz(tmp_path / "a.npz")))
    spec = default_spec(name).replace(teacher=f"{name}/embedding", epochs=2, seeds=1, dim=4, method="pca")
    mean, both = (pipeline.run(spec.replace(pooling=pooling)) for pooling in ("mean", "mean+std"))
    assert (mean.spaces["raw"].width, both.spaces["raw"].width) == (8, 16)
    assert spec.identity != spec.replace(pooling="max").identity
    assert spec.replace(method="baseline").identity == spec.replace(method="baseline", pooling="max").identity
    with pytest.raises(ValueError, match="dim 16 is above the width 8"):
        check(spec.replace(dim=16))
    check(spec.replace(dim=16, pooling="mean+std"))
    with pytest.raises(ValueError, match="min"):
        check(spec.replace(pooling="min"))


def test_pooling_is_refused_where_there_are_no_frames():
    with pytest.raises(ValueError, match="leave it at mean"):
        check(default_spec("digits").replace(pooling="max"))
    check(default_spec("digits").replace(pooling="max", method="baseline"))


def test_the_command_line_takes_and_lists_poolings(tmp_path, capsys):
    npz(tmp_path / "a.npz")
    assert main(["import", str(tmp_path / "a.npz"), "--name", "clips"]) == 0
    assert "embedding (10 x 8 wide)" in capsys.readouterr().out
    assert main(["list", "poolings"]) == 0
    assert "mean+std" in capsys.readouterr().out
    words = ["--dataset", "clips", "--teacher", "clips/embedding", "--pooling", "mean+std"]
    assert main(["embed", *words, "--export", str(tmp_path / "e.npy")]) == 0
    assert "90 x 16 numbers" in capsys.readouterr().out
    assert np.load(tmp_path / "e.npy").shape == (90, 16)
    more = ["--methods", "pca", "--dim", "16", "--epochs", "1", "--seeds", "1", "--quiet"]
    assert main(["compare", *words, *more]) == 0


def test_the_box_is_there_only_for_a_teacher_with_frames(tmp_path, app_home):
    name = imported_as(importing.stage(npz(tmp_path / "a.npz")))
    app = opened("distill", dataset=name, teacher=f"{name}/embedding")
    assert not app.exception
    assert app.selectbox(key="pooling").options == ["mean", "mean+std", "max"]
    app.selectbox(key="pooling").select("max").run()
    assert any("--pooling max" in each.value for each in app.code)
    assert not app.error, texts(app)
    app.selectbox(key="dataset").select("digits").run()
    assert not [each for each in app.selectbox if each.key == "pooling"]
    assert not app.error, texts(app)
