"""Comparisons in rounds in the background: they go on without anybody, train no seed twice, stop and are resumed."""

import pytest

from kdlib import engine, runs, store
from kdlib.analysis.intervals import summarize
from kdlib.analysis.rounds import Repetition, pool, with_looks
from kdlib.cli.main import main
from kdlib.runs import sequences, sweeps
from kdlib.spec import RunSpec
from tests import seeded_runs
from tests.live_engine import data_folder, wait_for_end, wait_until
from tests.seeded_runs import score

METHODS = ("raw", "mlp")
GOAL = Repetition(half_width=0.03, most_seeds=32)


@pytest.fixture(scope="module")
def home(tmp_path_factory, empty_database):
    folder = tmp_path_factory.mktemp("sequences")
    with data_folder(folder, empty_database, KDLIB_FUNCTION="tests.seeded_runs:run") as path:
        yield path


def specs(**changes):
    return [seeded_runs.spec(method=method, **changes) for method in METHODS]


def wait_for_the_end(name):
    """Wait until a comparison is over, without any help: nothing here launches a round."""

    def ended():
        progress = sequences.read_progress(name, sequences.members(name))
        return None if progress.state in (sequences.TRAINING, sequences.WAITING) else progress

    return wait_until(ended, every=0.2)


def trained_seeds(name):
    """Return (method, subset, seed) of every training of a comparison."""
    return [
        (run.spec.method, run.spec.subset, seed) for run in sequences.members(name) for seed in run.spec.seed_numbers
    ]


def half_width(seeds, looks):
    values = [score("mlp", 0, seed) - score("raw", 0, seed) for seed in range(seeds)]
    return summarize(values, looks=looks).ci95


@pytest.mark.usefixtures("home")
class TestInTheBackground:
    def test_it_goes_on_by_itself_until_the_interval_is_narrow(self):
        launched = sequences.launch(specs(), GOAL, name="narrow")
        assert len(launched.runs) == 2
        progress = wait_for_the_end(launched.name)
        expected = [(seeds, half_width(seeds, 5)) for seeds in (2, 4, 8, 16, 32)]
        stop = next(number for number, (_, width) in enumerate(expected) if width <= GOAL.half_width)
        assert 0 < stop < 4, "the numbers of this test let it stop in between"
        assert progress.state == sequences.REACHED
        assert [(look.seeds, look.half_width) for look in progress.looks] == [
            (seeds, pytest.approx(width)) for seeds, width in expected[: stop + 1]
        ]
        seeds = trained_seeds(launched.name)
        assert len(seeds) == len(set(seeds)) == 2 * progress.looks[-1].seeds
        assert f"after {progress.looks[-1].seeds} of at most 32 seeds" in sequences.describe(progress)

    def test_what_it_came_to_is_that_of_all_seeds_with_wider_intervals(self):
        launched = sequences.launch(specs(), GOAL, name="narrow")  # the same again
        progress = wait_for_the_end(launched.name)
        infos = sequences.members(launched.name)
        assert launched.reused == 2
        assert {sequences.allowed_looks(run) for run in infos} == {5}
        results = pool([with_looks(runs.result(run.id), 5) for run in infos])
        count = progress.looks[-1].seeds
        assert [each.score("test").values for each in results] == [
            [score(method, 0, seed) for seed in range(count)] for method in METHODS
        ]
        assert results[0].score("test").sample == f"{count} seeds, widened for 5 looks"

    def test_a_smaller_budget_takes_the_runs_that_are_there(self):
        launched = sequences.launch(specs(), Repetition(half_width=1e-9, most_seeds=4))
        progress = wait_for_the_end(launched.name)
        assert (progress.state, [look.seeds for look in progress.looks]) == (sequences.SPENT, [2, 4])
        narrow = sequences.launch(specs(), GOAL, name="narrow").name
        both = {run.id for run in sequences.members(launched.name)}
        assert both <= {run.id for run in sequences.members(narrow)}
        assert sequences.plan_of([store.fetch(run_id) for run_id in both])[0] == narrow  # which allows for more looks

    def test_a_tuned_setting_is_trained_on_the_other_draws_once_it_is_known(self):
        tuned = [spec.replace(tune=3) for spec in specs()]
        launched = sequences.launch(tuned, Repetition(subsets=3))
        assert [runs.get(run_id).spec for run_id in launched.runs] == tuned
        progress = wait_for_the_end(launched.name)
        assert progress.state == sequences.SPENT
        infos = sequences.members(launched.name)
        assert sorted((run.spec.tune, run.spec.subset) for run in infos) == [(0, 1)] * 2 + [(0, 2)] * 2 + [(3, 0)] * 2
        results = pool([runs.result(run.id) for run in infos])
        assert [(each.spec.tune, each.subsets) for each in results] == [(3, (0, 1, 2))] * 2
        assert {sequences.allowed_looks(run) for run in infos} == {1}

    def test_draws_of_plain_settings_train_at_once(self):
        launched = sequences.launch(specs(lr=0.02), Repetition(2, 1e-9, 4))
        assert [runs.get(run_id).spec.subset for run_id in launched.runs] == [0, 0, 1, 1]
        assert wait_for_the_end(launched.name).state == sequences.SPENT
        seeds = trained_seeds(launched.name)
        assert len(seeds) == len(set(seeds)) == 2 * 2 * 4

    def test_a_run_that_fails_stops_it_and_the_same_launch_tries_again(self):
        failing = specs(epochs=seeded_runs.FAILS_FROM)
        launched = sequences.launch(failing, GOAL)
        progress = wait_for_the_end(launched.name)
        assert (progress.state, len(progress.looks), len(progress.stopped)) == (sequences.STOPPED, 1, 2)
        assert "a run did not end" in sequences.describe(progress)
        sequences.launch(failing, GOAL)
        assert wait_for_the_end(launched.name).stopped[0].resumes == 1

    def test_a_run_that_fails_at_once_is_resumed_once_by_a_launch_and_never_by_a_worker(self, monkeypatch):
        failing = specs(epochs=seeded_runs.FAILS_FROM, lr=0.05)
        launched = sequences.launch(failing, GOAL)
        stopped = [run.id for run in wait_for_the_end(launched.name).stopped]
        resumed = []
        monkeypatch.setattr(runs, "resume", lambda run_id, **_: resumed.append(run_id))  # and it fails again
        first = [run for run in sequences.members(launched.name) if run.id not in stopped]
        sequences.advance(launched.name, first)  # by a worker that ended beside the one that began the next round
        assert not resumed
        store.set_state(launched.runs[0], store.CANCELLED)
        sequences.launch(failing, GOAL)
        assert sorted(resumed) == sorted([launched.runs[0], *stopped])

    def test_more_seeds_are_added_to_runs_that_are_over_and_count_as_another_look(self):
        first = runs.launch(specs(lr=0.03))
        infos = [wait_for_end(run_id) for run_id in first]
        added = sequences.add_seeds(infos, 5, allowed=2)
        progress = wait_for_the_end(added.name)
        assert [run.spec.seed_numbers for run in sequences.members(added.name)] == [range(2)] * 2 + [range(2, 5)] * 2
        assert [look.half_width for look in progress.looks] == [pytest.approx(half_width(5, 2))]
        assert sequences.allowed_looks(runs.get(first[0])) == 2

    def test_whoever_looks_goes_on_where_no_worker_did(self, capsys):
        launched = sequences.launch(specs(lr=0.04), Repetition(half_width=1e-9, most_seeds=4))
        wait_for_the_end(launched.name)
        for run in sequences.members(launched.name)[2:]:  # as if the worker had died in that moment
            store.delete(run.id)
        assert sequences.read_progress(launched.name, sequences.members(launched.name)).state == sequences.WAITING
        assert main(["looks", launched.name]) == 0
        assert "1 of 2" in capsys.readouterr().out
        assert wait_for_the_end(launched.name).state == sequences.SPENT

    def test_the_command_line_launches_it(self, capsys):
        command = ["launch", "--methods", "raw,mlp", "--dataset", "digits", "--teacher", "random", "--labels", "100"]
        assert main([*command, "--epochs", "1", "--seeds", "2", "--until", "100", "--most-seeds", "4"]) == 0
        said = capsys.readouterr()
        ids, name = said.out.split(), said.err.split()[1].rstrip(":")
        assert sweeps.member_ids(name)[:2] == ids
        wait_for_the_end(name)
        assert main(["looks", name]) == 0
        assert "Sure enough after 2 of at most 4 seeds" in capsys.readouterr().out

    def test_what_is_no_comparison_in_rounds_is_said(self, capsys):
        assert main(["looks", "0" * 12]) == 2
        assert "no comparison in rounds is called" in capsys.readouterr().err


def test_a_worker_of_a_cluster_launches_nothing(fresh_home, monkeypatch):
    plan = sequences.Plan((2, 4), 2, 0.01)
    run_id = store.create(
        seeded_runs.spec(), name="a", user="b", engine="tls://far", group="0" * 12, plan=plan.to_json()
    )
    store.set_state(run_id, store.DONE)
    monkeypatch.setattr(sequences, "advance", lambda *_: pytest.fail("it would start an engine of its own"))
    sequences.go_on(run_id)


def test_runs_of_one_setting_stand_together_whatever_their_draws_and_seeds_are():
    def info(metrics=None, **changes):
        return store.RunInfo("0" * 32, "a", "b", seeded_runs.spec(**changes), store.DONE, 0.0, metrics=metrics)

    chosen = {f"chosen/{name}": value for name, value in seeded_runs.CHOSEN.items()}
    searched = info(chosen, method="mlp", tune=3)
    followers = [info(method="mlp", **seeded_runs.CHOSEN, **later) for later in ({"subset": 1}, {"first_seed": 2})]
    others = [info(method="raw"), info(method="raw", first_seed=2, seeds=5), info(method="raw", dim=3, lr=0.5)]
    groups = sequences.by_method([*followers, *others, searched])
    assert [[group[0], len(group)] for group in groups] == [[searched, 3], [others[0], 2], [others[2], 1]]


def test_all_methods_begin_with_the_same_seeds():
    with pytest.raises(ValueError, match="same number of seeds"):
        sequences.launch([RunSpec(), RunSpec(method="raw", seeds=3)], GOAL)


def test_a_plan_survives_the_store_and_later_versions():
    plan = sequences.Plan((5, 10), 2, 0.01, 3, "name", "cpu")
    text = plan.to_json()
    assert sequences.Plan.from_json(text) == plan
    assert sequences.Plan.from_json(text.replace("{", '{"later": 1, ', 1)) == plan


def test_real_students_are_trained_in_rounds(tmp_path, empty_database):
    with data_folder(tmp_path / "real", empty_database, KDLIB_FUNCTION="kdlib.pipeline:run", KDLIB_STALL_SECONDS="120"):
        small = RunSpec(dataset="digits", teacher="random", labels=60, epochs=2, width=2, seeds=2, dim=4)
        asked = [small.replace(method="raw"), small.replace(method="baseline", tune=2)]
        launched = sequences.launch(asked, Repetition(2, 1e-9, 3), device="cpu")
        progress = wait_for_the_end(launched.name)
        assert (progress.state, [look.seeds for look in progress.looks]) == (sequences.SPENT, [2, 3])
        results = pool([runs.result(run.id) for run in sequences.members(launched.name)])
        assert [(each.subsets, each.score("test").sample) for each in results] == [
            ((0, 1), "2 labelled subsets x 3 seeds")
        ] * 2
        engine.stop()
