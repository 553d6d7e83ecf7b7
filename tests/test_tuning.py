"""A tuned comparison is fair: the same budget for all, validation alone decides, fresh seeds are tested once."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from kdlib import pipeline, tuning
from kdlib.checks import check, resolve
from kdlib.data import datasets
from kdlib.pipeline import compare, run
from kdlib.progress import PHASES, CancelledError
from kdlib.results import RunResult
from kdlib.spec import BASELINE, RAW, TUNED_FIELDS, RunSpec
from kdlib.training import stepper
from kdlib.training.rungs import RungTraining, rung_epochs
from kdlib.trials import DIVERGED, FINISHED, PRUNED, RUNNING, TRIAL_SEEDS, Trial, Tuning, best_trial
from kdlib.tuning import round_sizes

TRIALS = 5  # in rounds of 3 and 2
SMALL = RunSpec(
    dataset="digits", teacher="random", labels=60, epochs=4, seeds=2, student="mlp", batch_size=20, tune=TRIALS
)
METHODS = (BASELINE, RAW, "random", "mlp")


def trials_of(spec, on_progress=None, checkpoint=None):
    """Tune as a run does, without the run after it, which is measured for seconds."""
    return pipeline._tune(resolve(spec), torch.device("cpu"), on_progress, checkpoint).trials


@pytest.fixture(autouse=True, scope="module")
def _small_rounds():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tuning, "FIRST_ROUND", 3)
        patch.setattr(tuning, "ROUND", 2)
        yield


@pytest.fixture(autouse=True)
def _one_thread():
    """Training is reproducible bit by bit on one thread only."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def tuned():
    """The results, the seeds of every member that was tuned, and how many steps of members were taken."""
    seeds, steps = [], []
    with pytest.MonkeyPatch.context() as patch:
        start, take = RungTraining._start, stepper.Stepper.take

        def noting_start(self, groups, lr):
            seeds.extend(seed for group in groups for seed in group.seeds)
            return start(self, groups, lr)

        def noting_take(self, index, *more):
            steps.append(len(index))
            return take(self, index, *more)

        patch.setattr(RungTraining, "_start", noting_start)
        patch.setattr(stepper.Stepper, "take", noting_take)
        results = compare([SMALL.replace(method=method) for method in METHODS])
    return results, seeds, sum(steps)


def test_every_method_gets_the_same_budget(tuned):
    for result in tuned[0]:
        trials = result.tuning.trials
        assert len(trials) == TRIALS
        assert {trial.state for trial in trials} == {FINISHED, PRUNED}
        assert all(trial.epochs == SMALL.epochs for trial in trials if trial.state == FINISHED)
        assert all(trial.epochs in rung_epochs(SMALL.epochs) for trial in trials if trial.state == PRUNED)


def test_rounds_hold_all_trials(monkeypatch):
    monkeypatch.setattr(tuning, "FIRST_ROUND", 8)
    monkeypatch.setattr(tuning, "ROUND", 6)
    assert round_sizes(20) == [8, 6, 6]
    assert round_sizes(9) == [8, 1]
    assert round_sizes(3) == [3]


def test_what_is_searched_is_what_the_method_uses(tuned):
    searched = {result.spec.method: set(result.tuning.trials[0].settings) for result in tuned[0]}
    without_dim = set(TUNED_FIELDS) - {"dim"}
    every = set(TUNED_FIELDS)
    assert searched == {BASELINE: {"lr"}, RAW: without_dim, "random": every, "mlp": every}


def test_the_best_finished_trial_on_validation_is_chosen(tuned):
    for result in tuned[0]:
        finished = [trial.val for trial in result.tuning.trials if trial.state == FINISHED]
        assert result.tuning.best.val == max(finished)
    trials = [Trial({}, PRUNED, 0.9), Trial({}, FINISHED, 0.6), Trial({}, FINISHED, 0.8), Trial({}, FINISHED, 0.8)]
    assert best_trial(trials) == 2
    assert best_trial([Trial({}, DIVERGED)]) is None


def test_epochs_are_counted_as_far_as_a_trial_came(tuned):
    results, _, steps = tuned
    per_epoch = SMALL.labels // SMALL.batch_size
    tuning_steps = sum(result.tuning.epochs for result in results) * per_epoch * len(TRIAL_SEEDS)
    final_steps = len(results) * SMALL.seeds * SMALL.epochs * per_epoch
    assert steps == tuning_steps + final_steps
    assert all(result.tuning.epochs < TRIALS * SMALL.epochs for result in results)


def test_the_seeds_of_a_run_are_none_of_its_trials(tuned):
    seeds = tuned[1]
    assert set(seeds) == set(TRIAL_SEEDS)
    assert not set(TRIAL_SEEDS) & set(range(100_000))


def test_a_tuned_result_is_that_of_its_setting_trained_as_any_other_run(tuned):
    for result in tuned[0]:
        assert result.setting == result.spec.replace(tune=0, **result.tuning.best.settings)
    last = tuned[0][-1]
    alone = run(last.setting)
    assert last.score("test").values == pytest.approx(alone.score("test").values, abs=0.02)
    assert alone.tuning is None


def test_a_trial_scores_what_its_setting_scores_with_those_seeds(tuned, monkeypatch):
    """Members of a population train as if alone, also those that were once beside others that left."""
    result = tuned[0][-1]
    setting = result.setting.replace(seeds=len(TRIAL_SEEDS))
    build = pipeline.build_group
    monkeypatch.setattr(
        pipeline, "build_group", lambda context, *more, **_: build(context, *more, [context.spec], TRIAL_SEEDS)
    )
    alone = run(setting)
    assert result.tuning.best.val == pytest.approx(alone.score("val").mean, abs=0.01)


@pytest.mark.parametrize(
    ("method", "normaliser"), [("vib", "none"), ("vib", "standardise"), ("pca", "standardise"), ("raw", "phi_s")]
)
def test_trials_with_noise_or_normalised_targets_score_what_their_setting_scores(method, normaliser, monkeypatch):
    """The noise of a bottleneck and the normalised targets stay with their members when others leave."""
    spec = SMALL.replace(method=method, target_normaliser=normaliser)
    trials = trials_of(spec)
    assert {trial.state for trial in trials} == {FINISHED, PRUNED}
    best = trials[best_trial(trials)]
    setting = spec.replace(tune=0, seeds=len(TRIAL_SEEDS), **best.settings)
    build = pipeline.build_group
    monkeypatch.setattr(
        pipeline, "build_group", lambda context, *more, **_: build(context, *more, [context.spec], TRIAL_SEEDS)
    )
    monkeypatch.setattr(pipeline, "measure", lambda specs, inputs, *_: [inputs.trained])
    (alone,) = pipeline._train_all([setting], torch.device("cpu"), None, None).values()
    best_scores = np.max([point.val for point in alone.history], axis=0)
    assert best.val == pytest.approx(np.mean(best_scores), abs=0.01)


@pytest.mark.parametrize("method", [BASELINE, "mlp"])
def test_tuning_never_sees_a_test_row(monkeypatch, method):
    spec = SMALL.replace(method=method)
    before = run(spec)
    load = datasets.load

    def poisoned(name, *more):
        data = load(name, *more)
        labels, inputs = data.labels.copy(), np.array(data.inputs)
        for split, rows in data.splits.items():
            if split not in ("train", "val"):
                labels[rows], inputs[rows] = (labels[rows] + 1) % 10, inputs[rows[::-1]]
        return replace(data, labels=labels, inputs=inputs)

    monkeypatch.setattr(datasets, "load", poisoned)
    after = run(spec)
    assert after.tuning.trials == before.tuning.trials
    assert after.tuning.chosen == before.tuning.chosen
    assert after.score("val") == before.score("val")
    assert after.score("test") != before.score("test"), "the poison was not there"


@pytest.mark.parametrize("stop_at", [0.1, 0.5, 0.62, 0.8])
def test_a_tuning_that_was_stopped_goes_on_where_it_was(tmp_path, stop_at):
    spec, path = SMALL.replace(method="mlp"), tmp_path / "checkpoint.safetensors"
    with pytest.raises(CancelledError):
        trials_of(spec, lambda at: at.phase == "tuning" and at.share >= stop_at, path)
    shares = []
    resumed = trials_of(spec, lambda at: shares.append(at.share) if at.phase == "tuning" else None, path)
    assert resumed == trials_of(spec)
    assert min(shares) > stop_at


def test_a_tuning_whose_checkpoint_was_lost_trains_its_round_again(tmp_path):
    spec, path = SMALL.replace(method="random"), tmp_path / "checkpoint.safetensors"
    with pytest.raises(CancelledError):
        trials_of(spec, lambda at: at.phase == "tuning" and at.share >= 0.8, path)
    (tmp_path / "checkpoint.tuning.safetensors").unlink()
    assert trials_of(spec, None, path) == trials_of(spec)


def test_trials_of_another_spec_or_of_a_torn_file_are_not_taken_up(tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    trials_of(SMALL.replace(method=BASELINE, tune=2), None, path)
    four = trials_of(SMALL.replace(method=BASELINE, tune=4), None, path)
    assert len(four) == 4
    (tmp_path / "checkpoint.trials.json").write_text('{"identity": "')
    assert trials_of(SMALL.replace(method=BASELINE, tune=4), None, path) == four


def test_a_cancelled_run_holds_no_trials_and_nothing_of_the_test_set(tmp_path):
    spec, path = SMALL.replace(method="mlp"), tmp_path / "checkpoint.safetensors"
    stopped = run(spec, checkpoint=path, on_progress=lambda at: at.phase == "tuning" and at.share >= 0.3)
    assert (stopped.spec, stopped.status, stopped.tuning, stopped.metrics) == (spec, "cancelled", None, {})


def test_progress_grows_to_the_whole_budget():
    seen = []
    run(SMALL.replace(method=BASELINE), on_progress=lambda at: seen.append(at))
    tuning_steps = [at for at in seen if at.phase == "tuning"]
    assert "tuning" in PHASES
    assert [at.step for at in tuning_steps] == sorted(at.step for at in tuning_steps)
    assert tuning_steps[-1].step <= tuning_steps[-1].steps
    training = [at for at in seen if at.phase == "training"]
    assert training[0].share > tuning_steps[-1].share > 0.5, "a bar that fell back would be dishonest"
    assert training[-1].share == 1


def test_a_method_all_of_whose_trials_diverge_failed(monkeypatch):
    monkeypatch.setattr(tuning, "propose", lambda space, trials, count, seed: [{"lr": 1e30}] * count)
    result = run(SMALL.replace(method=BASELINE, tune=2))
    assert result.status == "failed"
    assert result.reason == "diverged: the loss stopped being finite with each of the 2 settings tried"


def test_a_tuning_goes_through_json(tuned):
    for result in tuned[0]:
        assert RunResult.from_dict(json.loads(json.dumps(result.to_dict()))) == result
    assert "tuning" not in RunResult(RunSpec()).to_dict()
    assert Tuning.from_dict({"trials": [{"settings": {"lr": 1}}], "chosen": 0}).trials[0].state == RUNNING


def test_what_is_searched_does_not_name_a_tuned_run_and_the_budget_does():
    spec = RunSpec(tune=20)
    assert spec.replace(lr=0.5, distance_weight=0.1, dim=8, soft_label_weight=2.0).identity == spec.identity
    assert spec.replace(tune=10).identity != spec.identity
    assert spec.replace(loss="cka").identity != spec.identity
    assert spec.replace(temperature=2.0).identity != spec.identity
    assert spec.replace(tune=0).identity == RunSpec().identity
    baseline = RunSpec(method=BASELINE, tune=20)
    assert baseline.replace(lr=0.5).identity == baseline.identity != RunSpec(method=BASELINE).identity


def test_a_grid_and_tuning_exclude_one_another():
    with pytest.raises(ValueError, match="tuning searches what a grid lists"):
        check(RunSpec(lr=[0.01, 0.02], tune=5))
    with pytest.raises(ValueError, match="tune must be between 0 and 200 trials, got -1"):
        check(RunSpec(tune=-1))
