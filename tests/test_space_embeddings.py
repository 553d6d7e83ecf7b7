"""Embeddings of a run's spaces: what the run stored comes out again, and new items get theirs; `embed --run`."""

import numpy as np
import pytest

from kdlib import pipeline, runs
from kdlib.cli.main import main
from kdlib.data import datasets
from kdlib.models import embedding
from kdlib.models.compressors import COMPRESSORS
from kdlib.spaces import export_jobs, space_embeddings
from kdlib.spaces.export_jobs import ExportRequest, fetch
from kdlib.spaces.space_embeddings import open_space
from kdlib.store import FAILED
from tests import stored_runs

SPEC = stored_runs.SPEC.replace(labels=40, epochs=1, attribute="ink")


@pytest.fixture(scope="module")
def results():
    methods = [name for name in COMPRESSORS if name != "none"]
    compared = pipeline.compare([SPEC.replace(method=method) for method in ("baseline", "raw", *methods)])
    return {result.spec.method: result for result in compared}


@pytest.fixture
def store(fresh_home, results):
    return lambda method: stored_runs.store_result(results[method], method)


@pytest.mark.parametrize("method", [name for name in COMPRESSORS if name != "none"])
def test_every_compressor_gives_what_the_run_stored_for_each_seed(method, store, results):
    run_id, data = store(method), datasets.load("digits")
    for member in range(SPEC.seeds):
        rows = data.splits["test"][::7]
        stored = results[method].arrays["compressed/test"]
        expected = stored[min(member, len(stored) - 1)][::7]
        space = open_space(run_id, "compressed", member=member)
        np.testing.assert_allclose(space[rows], expected, atol=1e-4 * np.abs(expected).max())
        assert space.shape == (len(data.inputs), expected.shape[1])
        assert len(space.training) == SPEC.labels


def test_students_and_raw_embeddings_are_those_of_the_run(store, results):
    run_id, data = store("mlp"), datasets.load("digits")
    rows = data.splits["val"]
    for member in range(SPEC.seeds):
        expected = results["mlp"].arrays["features/val"][member]
        np.testing.assert_allclose(open_space(run_id, "student", member=member)[rows], expected, atol=1e-4)
    np.testing.assert_array_equal(open_space(run_id, "raw")[rows], embedding.embed("random", "digits")[rows])


def test_new_items_of_another_dataset_get_their_embeddings(store):
    run_id = store("pca")
    space = open_space(run_id, "compressed", "cluttered-digits")
    other, own = embedding.embed("random", "cluttered-digits"), datasets.load("digits")
    source = embedding.embed("random", "digits")[own.labelled(SPEC.labels)].astype(np.float64)
    mean, scale = source.mean(0), np.sqrt(np.square(source - source.mean(0)).mean())
    _, _, directions = np.linalg.svd((source - mean) / scale, full_matrices=False)
    rows = np.arange(20)
    expected = ((other[rows] - mean) / scale) @ directions[:4].T
    np.testing.assert_allclose(np.abs(space[rows]), np.abs(expected), atol=1e-3)  # directions have no sign
    with pytest.raises(ValueError, match=r"shape \(1, 8, 8\) as in digits, but cluttered-digits holds"):
        open_space(run_id, "student", "cluttered-digits")


@pytest.mark.parametrize(
    ("method", "space", "more", "message"),
    [
        ("baseline", "compressed", {}, "no teacher, only --space student"),
        ("pca", "compressed", {"width": 2}, "leave --width out, or train with the method matryoshka"),
        ("matryoshka", "compressed", {"width": 5}, "has 4 numbers, got a width of 5"),
        ("matryoshka", "student", {"width": 2}, "of use only whole"),
        ("raw", "compressed", {"width": 2}, "of use only whole"),
        ("mlp", "compressed", {"member": 2}, "seeds 0 to 1, got 2"),
        ("mlp", "latent", {}, "raw, compressed, student"),
        ("mlp", "raw", {"dataset": "tones"}, "takes images"),
    ],
)
def test_what_cannot_be_is_a_sentence(method, space, more, message, store):
    with pytest.raises(ValueError, match=message):
        open_space(store(method), space, **more)


def test_a_run_that_failed_and_files_that_are_gone_are_sentences(store, monkeypatch):
    import shutil
    from dataclasses import replace

    from kdlib import store as stores

    run_id = store("mlp")
    shutil.rmtree(stores.artifact_path(run_id, "result.json").parent)
    with pytest.raises(ValueError, match="have been deleted"):
        open_space(run_id, "compressed")
    before = runs.get(run_id)
    monkeypatch.setattr(runs, "get", lambda _: replace(before, state=FAILED))
    with pytest.raises(ValueError, match="is failed; only runs that are over"):
        open_space(run_id, "compressed")


def test_a_teacher_that_changed_since_is_not_taken_for_the_same(store, monkeypatch):
    run_id, other = store("linear"), embedding.embed("random", "digits")[:, ::-1]
    monkeypatch.setattr(space_embeddings.embedding, "embed", lambda *_: other)
    with pytest.raises(ValueError, match="gives other embeddings of digits now"):
        open_space(run_id, "compressed")


def test_the_command_writes_a_prefix_in_bytes(store, tmp_path, capsys):
    path, run_id = tmp_path / "z.npz", store("matryoshka")
    command = ["embed", "--run", run_id, "--export", str(path), "--precision", "int8", "--width", "2", "--seed", "1"]
    assert main(command) == 0
    assert "2,997 x 2 numbers, int8, 2 bytes an item" in capsys.readouterr().out
    expected = open_space(run_id, "compressed", member=1, width=2)
    with np.load(path, allow_pickle=False) as arrays:
        restored = (
            arrays["low"] + (arrays["embedding"].astype(np.float32) + 128) * (arrays["high"] - arrays["low"]) / 255
        )
        train = datasets.load("digits").labelled(SPEC.labels)
        steps = (arrays["high"] - arrays["low"]) / 255
        assert (np.abs(restored[train] - expected[train]) <= 0.51 * steps).all()
        assert arrays["id"].tolist() == datasets.load("digits").ids.tolist()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--run", "RUN"], "add --export"),
        (["--teacher", "random", "--dataset", "digits", "--seed", "1"], "--seed is about the spaces of a run"),
        (["--teacher", "random"], "add --dataset"),
        (["--teacher", "random", "--dataset", "digits", "--precision", "int8"], "add --export"),
        (["--run", "RUN", "--export", "e.npz", "--precision", "int4"], "binary"),
        (["--run", "RUN", "--export", "e.npz", "--pooling", "max"], "leave --pooling out"),
    ],
)
def test_options_that_do_not_go_together_are_one_line(more, message, store, capsys):
    run_id = store("mlp") if "RUN" in more else ""
    assert main(["embed", *(run_id if word == "RUN" else word for word in more)]) == 2
    assert message in capsys.readouterr().err


def test_a_download_is_written_by_the_engine_and_waited_for(store, monkeypatch):
    monkeypatch.setattr(export_jobs.engine, "submit", lambda function, *arguments, **_: function(*arguments))
    request = ExportRequest(store("mlp"), "compressed", 1, None, "binary", ".parquet")
    assert fetch(request)[:4] == b"PAR1"
    assert not request.path.exists()
    bad = ExportRequest(request.run, "compressed", 9, None, "binary", ".parquet")
    with pytest.raises(ValueError, match="seeds 0 to 1, got 9"):
        fetch(bad)
    monkeypatch.setattr(export_jobs.engine, "submit", lambda *_, **__: None)
    with pytest.raises(ValueError, match="kdlib embed --run"):
        fetch(request, wait=0.2)
