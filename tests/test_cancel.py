"""Progress and cancelling: every phase reports and can be stopped; what a stopped run holds; all readers accept it."""

import dataclasses
import json
import time

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from kdlib import RunSpec, pipeline, spaces, store
from kdlib.analysis import comparison, frames, landscape, measure, papers, probes, split_scores, verdicts
from kdlib.analysis.linear_probe import probe_accuracy
from kdlib.analysis.result_tables import differences_to, result_numbers, result_table
from kdlib.cache import cached_arrays
from kdlib.cli import tables
from kdlib.data import sound_sets
from kdlib.engine import Job, RunFolder
from kdlib.engine.recorder import Recorder, describe_progress
from kdlib.models import embedding
from kdlib.progress import PHASES, CancelledError, Progress
from kdlib.results import Cost
from kdlib.runs.reconcile import merge_folder_state
from kdlib.store import RunInfo
from pages import run_tables

SPEC = RunSpec(dataset="digits", labels=60, teacher="random", method="mlp", dim=4, epochs=4, seeds=2, width=2)
FITTED = SPEC.replace(method="autoencoder", seeds=1)
CHECKPOINT = "checkpoint.safetensors"


@pytest.fixture
def nothing_embedded():
    """The embeddings of the teacher have to be made anew."""
    embedding._embeddings.cache_clear()
    embedding.delete_embeddings("random", "digits")


class Recorded:
    """A callback that remembers what it was shown, and asks once to stop: at the given step of the given phase."""

    def __init__(self, phase: str = "", step: int = 0) -> None:
        self.phase, self.step, self.seen = phase, step, []

    def __call__(self, progress: Progress) -> bool:
        stop = progress.phase == self.phase and progress.step >= self.step and self.phase not in self.phases
        self.seen.append(progress)
        return stop

    @property
    def phases(self) -> list[str]:
        return list(
            dict.fromkeys(each.phase for each in self.seen if each.phase != self.phase or each.step >= self.step)
        )


@pytest.mark.usefixtures("nothing_embedded")
def test_every_phase_reports_its_steps_up_to_the_last():
    recorded = Recorded()
    assert pipeline.run(FITTED, on_progress=recorded).status == "done"
    assert recorded.phases == [phase for phase in PHASES if phase not in ("importing", "tuning", "writing")]
    for phase in recorded.phases:
        steps = [each.step for each in recorded.seen if each.phase == phase]
        assert steps == sorted(steps)
        assert all(0 <= each.share <= 1 for each in recorded.seen)
        assert len(set(steps)) > 1, phase
    last = {each.phase: each for each in recorded.seen}
    assert all(last[phase].step == last[phase].steps for phase in ("loading", "embedding", "training", "measuring"))


@pytest.mark.usefixtures("nothing_embedded")
@pytest.mark.parametrize(
    ("phase", "step"), [("loading", 0), ("loading", 1), ("embedding", 0), ("embedding", 1), ("fitting", 5)]
)
def test_a_cancel_before_training_is_a_cancelled_result_with_nothing_and_no_error(phase, step, monkeypatch):
    monkeypatch.setattr(pipeline, "train_in_shards", lambda *_, **__: pytest.fail("trained"))
    recorded = Recorded(phase, step)
    [result] = pipeline.compare([FITTED], on_progress=recorded)
    assert (result.status, result.arrays, result.history, result.metrics) == ("cancelled", {}, [], {})
    assert recorded.seen[-1].phase == phase


@pytest.mark.usefixtures("nothing_embedded")
def test_a_cancelled_embedding_goes_on_where_it_was():
    whole = embedding.embed("random", "digits").copy()
    embedding._embeddings.cache_clear()
    embedding.delete_embeddings("random", "digits")
    with pytest.raises(CancelledError):
        embedding.embed("random", "digits", Recorded("embedding", 500))
    recorded = Recorded()
    np.testing.assert_array_equal(embedding.embed("random", "digits", recorded), whole)
    assert recorded.seen[0].step == 500
    assert recorded.seen[-1].steps == recorded.seen[-1].step == len(whole)


def test_sounds_that_are_made_can_be_cancelled(fresh_home):
    recorded = Recorded("loading", 1)
    with pytest.raises(CancelledError):
        sound_sets.load_clips(9, {"train": 400}, lambda _, n: np.ones((n, 1), bool), recorded)
    assert [(each.step, each.steps) for each in recorded.seen] == [(0, 400), (200, 400)]


def test_waiting_for_arrays_that_another_process_makes_can_be_cancelled(fresh_home):
    def stop():
        raise CancelledError("cancelled while embedding")

    def build():
        with pytest.raises(CancelledError):
            cached_arrays("things", "key", lambda: pytest.fail("built twice"), stop)
        return {"x": np.zeros(3)}

    assert len(cached_arrays("things", "key", build)["x"]) == 3


def test_a_probe_can_be_stopped_between_its_steps():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, (60, 3)).astype(float)
    fits = []

    def third():
        fits.append(0)
        if len(fits) == 3:
            raise CancelledError

    with pytest.raises(CancelledError):
        probe_accuracy(rng.normal(size=(60, 4)), labels, rng.normal(size=(60, 4)), labels, third)
    assert (
        probe_accuracy(
            rng.normal(size=(60, 4)),
            labels[:, 0].astype(int),
            rng.normal(size=(60, 4)),
            labels[:, 0].astype(int),
            third,
        )
        > 0
    )
    assert len(fits) > 3 + 2  # once stopped, it goes through


def assert_last_state(result, splits: set[str]) -> None:
    """Assert that a cancelled result holds the last state of these splits, and nothing that was measured."""
    assert result.status == "cancelled"
    assert (result.metrics, result.attributes, result.teacher, result.spaces) == ({}, {}, None, {})
    assert result.cost == Cost(seconds=result.cost.seconds)
    assert result.cost.seconds > 0
    for kind in ("features", "compressed", "logits"):
        assert {name.partition("/")[2] for name in result.arrays if name.startswith(f"{kind}/")} == splits
    for split in splits:
        for kind in ("features", "compressed", "logits"):
            assert result.arrays[f"{kind}/{split}"].shape[0] == 2
    assert [name for name in result.arrays if name.startswith("student/")]
    assert result.arrays["replay/student"].shape[0] == len(result.history) + 1


def test_a_cancelled_training_is_not_measured_and_once_computed_every_split_before_it_stopped(monkeypatch):
    monkeypatch.setattr(probes, "probe_targets", lambda *_, **__: pytest.fail("probed"))
    monkeypatch.setattr(split_scores, "scores", lambda *_, **__: pytest.fail("scored"))
    result = pipeline.run(SPEC, on_progress=Recorded("training", 3))
    assert [point.epoch for point in result.history] == [1, 2, 3]
    assert_last_state(result, {"val", "test"})
    assert set(spaces.list_splits("digits", cancelled=True)) == {"val", "test"} < set(spaces.list_splits("digits"))


def test_a_measuring_that_is_cancelled_keeps_the_last_state(tmp_path):
    path = tmp_path / CHECKPOINT
    recorded = Recorded("measuring", 2)
    result = pipeline.run(SPEC, checkpoint=path, on_progress=recorded)
    assert [point.epoch for point in result.history] == [1, 2, 3, 4]
    assert_last_state(result, {"train", "val", "test", "ood:rotated", "ood:noise"})
    assert recorded.seen[-1].step == 2
    again = Recorded()
    assert pipeline.run(SPEC, checkpoint=path, on_progress=again).metrics == pipeline.run(SPEC).metrics
    trained = [each for each in again.seen if each.phase == "training"]
    assert [(each.step, each.steps) for each in trained] == [(4, 4)], (
        "training is over: only the measuring is made up for"
    )


@pytest.mark.parametrize("call", range(1, 7))
def test_a_cancel_once_waited_until_every_split_was_predicted(call, monkeypatch):
    """`on_progress` is called before each of the five splits; validation and test come first, whatever it returns."""
    monkeypatch.setattr(measure, "count_processes", lambda parts: 1)  # others do not wait for one another
    calls, predicted, predict = [], [], measure.predict
    monkeypatch.setattr(measure, "predict", lambda *args: predicted.append(0) or predict(*args))

    def stop(progress):
        calls.extend([progress] * (progress.phase == "measuring"))
        return len(calls) == call

    result = pipeline.run(SPEC, on_progress=stop)
    assert len(calls) == call
    assert len(predicted) == max(2, call - 1)
    assert_last_state(result, {"val", "test"} if call <= 5 else {"train", "val", "test", "ood:rotated", "ood:noise"})


def test_what_was_measured_before_a_cancel_is_done(monkeypatch):
    monkeypatch.setattr(measure, "count_processes", lambda parts: 1)  # others are done in any order
    specs = [SPEC.replace(method="baseline"), SPEC.replace(method="pca")]
    single = Recorded()
    pipeline.run(specs[0], on_progress=single)
    first, second = pipeline.compare(specs, on_progress=Recorded("measuring", single.seen[-1].steps + 1))
    assert (first.status, second.status) == ("done", "cancelled")
    assert first.metrics
    assert not second.metrics


def test_a_cancelled_comparison_does_not_train_its_other_groups(monkeypatch):
    trained, train = [], pipeline.train_in_shards
    monkeypatch.setattr(pipeline, "train_in_shards", lambda *args, **more: trained.append(0) or train(*args, **more))
    specs = [SPEC, SPEC.replace(batch_size=16), SPEC.replace(epochs=3)]
    results = pipeline.compare(specs, on_progress=Recorded("training", 2))
    assert [result.status for result in results] == ["cancelled"] * 3
    assert [result.spec for result in results] == specs
    assert [bool(result.arrays) for result in results] == [True, False, False]
    assert len(trained) == 1


def test_the_seconds_of_all_legs_count(tmp_path):
    path = tmp_path / CHECKPOINT
    pipeline.run(SPEC, checkpoint=path, on_progress=Recorded("training", 2))
    with safe_open(path, framework="pt") as file:
        notes = json.loads(file.metadata()["notes"])
    save_file(load_file(path), path, {"notes": json.dumps(notes | {"seconds": 1000.0})})
    assert pipeline.run(SPEC, checkpoint=path).cost.seconds >= 1000


def test_a_run_that_is_resumed_thrice_equals_one_that_never_stopped(tmp_path):
    path, seconds = tmp_path / CHECKPOINT, []
    for step in (1, 2, 3):
        seconds.append(pipeline.run(SPEC, checkpoint=path, on_progress=Recorded("training", step)).cost.seconds)
    uninterrupted, resumed = pipeline.run(SPEC), pipeline.run(SPEC, checkpoint=path)
    assert resumed.metrics == uninterrupted.metrics
    assert resumed.history == uninterrupted.history
    assert all(np.array_equal(resumed.arrays[name], array) for name, array in uninterrupted.arrays.items())
    assert [*seconds, resumed.cost.seconds] == sorted([*seconds, resumed.cost.seconds])


def test_every_reader_of_results_accepts_cancelled_ones(capsys):
    early = pipeline.run(SPEC, on_progress=Recorded("loading"))
    late = pipeline.run(SPEC, on_progress=Recorded("training", 3))
    done = pipeline.run(SPEC.replace(method="baseline"))
    for results in ([early, late], [late, done], [done, early]):
        measured = done in results
        assert len(frames.accuracies(results)) == 3 * measured
        assert len(frames.accuracy_over_dim(results)) == measured
        assert len(result_table(results)) == len(result_numbers(results)) == 2
        cells = landscape.gather([each.spec for each in results], results)
        for cost in frames.COST_NAMES:
            assert len(landscape.cost_points(cells, cost, "test")) <= measured
        differences, left_out = differences_to(results, 0)
        assert differences.empty
        assert left_out, "every result that cannot be compared has its reason"
        assert len(comparison.to_json(results, 1.0)["runs"]) == 2
        assert verdicts.verdict(results).startswith("Only one run" if measured else "Nothing has been measured")
        assert comparison.metric_names(results) == "accuracy"
        tables.print_comparison(results, 1.0)
        assert ("student: no teacher (baseline)" in capsys.readouterr().out) is measured
    assert comparison.differences_to_references([done, late], late) == {}
    assert spaces.probe_table(late).empty
    assert spaces.probe_table(early).empty
    assert papers.paper_rows({("random", "compressed"): late, ("", "baseline"): done})


class TestAWorker:
    @pytest.fixture
    def recorder(self, fresh_home):
        return Recorder(RunFolder("0" * 32), Job("0" * 32, SPEC.to_json()))

    def info(self, state: str = store.RUNNING) -> RunInfo:
        return RunInfo("0" * 32, "mine", "mia", SPEC, state, time.time())

    def test_it_shows_the_phase_beside_the_share_of_training_steps(self, recorder):
        folder = RunFolder("0" * 32)
        for progress, label, share in (
            (Progress(1, 4, phase="embedding"), "embedding 25 %", 0.0),
            (Progress(3, 10), "30 %", 0.3),
            (Progress(0, 0, phase="measuring"), "measuring 0 %", 0.3),
            (Progress(2, 5, phase="measuring"), "measuring 40 %", 0.3),
        ):
            recorder(progress)
            folder.write("alive.json", describe_progress(recorder._training, recorder._latest))
            run = merge_folder_state(self.info())
            assert (run.phase, run.progress_label, run.progress) == (progress.phase, label, share)
        assert merge_folder_state(self.info(store.QUEUED)).phase == "", "what an earlier leg was at"

    def test_a_run_of_an_older_version_has_no_phase(self, recorder):
        RunFolder("0" * 32).write("alive.json", {"t": 0.0, "step": 3, "steps": 10})
        assert merge_folder_state(self.info()).progress_label == "30 %"

    def test_only_a_run_that_has_heard_of_the_cancel_gets_time_to_save(self, recorder):
        recorder(Progress(1, 10))
        assert not recorder._stop_reported
        recorder._stop = True
        assert not recorder._stop_reported
        assert recorder(Progress(2, 10))
        assert recorder._stop_reported


def test_the_label_is_the_remaining_time_while_training_and_otherwise_the_phase(monkeypatch):
    now = time.time()
    monkeypatch.setattr(run_tables.address, "load_histories", lambda infos: [[] for _ in infos])

    def run(phase: str, share: float, progress: float) -> RunInfo:
        base = RunInfo("0" * 32, "", "", SPEC, store.RUNNING, now, progress=progress, submitted=now - 10)
        return dataclasses.replace(base, phase=phase, phase_share=share)

    training, measuring, embedding = run("training", 0.5, 0.5), run("measuring", 0.4, 1.0), run("embedding", 0.2, 0.0)
    done = dataclasses.replace(measuring, state=store.DONE, phase="")
    assert run_tables.remaining_time([training, training], now) == "5 to 15 s to go"
    assert run_tables.remaining_time([measuring, done], now) == "measuring 40 %"
    assert run_tables.remaining_time([measuring, embedding], now) == "embedding 20 %"
    assert run_tables.remaining_time([run("", 0.0, 0.5)], now) == "5 to 15 s to go"
    assert run_tables.remaining_time([run("", 0.0, 0.0)], now) == "starting"


def test_the_bar_of_a_command_names_the_phase(monkeypatch, tmp_path):
    from kdlib.cli import main

    shown = []
    monkeypatch.setattr(main.Progress, "reset", lambda _, __, description="", **___: shown.append(description))
    monkeypatch.setattr(main.errors, "_force_terminal", True)
    arguments = [
        "compare",
        "--dataset",
        "digits",
        "--methods",
        "autoencoder",
        "--teacher",
        "random",
        "--labels",
        "60",
        "--epochs",
        "1",
    ]
    assert main.main([*arguments, "--seeds", "1", "--width", "2", "--json", str(tmp_path / "out.json")]) == 0
    assert [name for name in shown if name != "Embedding"] == ["Loading", "Fitting", "Training", "Measuring"]
