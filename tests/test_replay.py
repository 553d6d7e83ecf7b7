"""Replay: snapshots show the spaces as they were, survive a resume, and reach the folder of the run."""

import numpy as np
import pytest
import torch

from kdlib import RunSpec, pipeline
from kdlib.engine import Job, RunFolder
from kdlib.engine.recorder import Recorder
from kdlib.models import embedding
from kdlib.training.replay import stack_snapshots

SPEC = RunSpec(dataset="digits", labels=60, teacher="random", method="mlp", dim=4, epochs=5, seeds=2, width=2)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def replay(result) -> dict[str, np.ndarray]:
    return {name.removeprefix("replay/"): value for name, value in result.arrays.items() if name.startswith("replay/")}


def test_a_replay_holds_every_validation_and_the_beginning():
    arrays = replay(pipeline.run(SPEC))
    assert arrays["epochs"].tolist() == [0, 1, 2, 3, 4, 5]
    rows = len(arrays["rows"])
    assert 0 < rows <= 500
    assert arrays["student"].shape[:2] == (6, rows)
    assert arrays["compressed"].shape == (6, rows, 4)
    assert (np.abs(np.diff(arrays["student"], axis=0)).max((1, 2)) > 0).all()


def test_a_fixed_compressor_is_kept_once_and_a_baseline_has_none():
    pca, baseline = (
        replay(each) for each in pipeline.compare([SPEC.replace(method="pca"), SPEC.replace(method="baseline")])
    )
    assert pca["compressed"].shape == (1, len(pca["rows"]), 4)
    assert "compressed" not in baseline
    raw = replay(pipeline.run(SPEC.replace(method="raw", epochs=1)))["compressed"][0]
    embedded = embedding.embed(SPEC.teacher, SPEC.dataset)[pca["rows"]]
    raw, embedded = (each - each.mean(0) for each in (raw, embedded))  # training centres and scales the whole space
    assert np.corrcoef(raw.ravel(), embedded.ravel())[0, 1] > 0.999


@pytest.mark.parametrize("stop_at", [1, 3])
def test_a_resumed_run_has_the_replay_of_one_that_never_stopped(tmp_path, stop_at):
    uninterrupted = replay(pipeline.run(SPEC))
    path = tmp_path / "checkpoint.safetensors"
    live = []
    first = pipeline.run(
        SPEC,
        checkpoint=path,
        on_progress=lambda at: live.extend(at.frames) or (at.phase == "training" and at.step >= stop_at),
    )
    assert first.status == "cancelled"
    rest = replay(pipeline.run(SPEC, checkpoint=path, on_progress=lambda at: live.extend(at.frames)))
    for recorded in (rest, stack_snapshots(live)):
        assert set(recorded) == set(uninterrupted)
        assert all(np.array_equal(recorded[name], uninterrupted[name]) for name in uninterrupted)


def test_a_worker_writes_snapshots_where_a_page_can_follow(tmp_path, monkeypatch):
    monkeypatch.setenv("KDLIB_HOME", str(tmp_path))
    folder = RunFolder("0" * 32)
    recorder = Recorder(folder, Job("0" * 32, SPEC.to_json()))
    expected = replay(pipeline.run(SPEC, on_progress=recorder))
    written = stack_snapshots(folder.read_snapshots())
    assert all(np.array_equal(written[name], expected[name]) for name in expected)
