"""Runs in the background, with real processes: what comes of them, how they are listed, and what goes wrong in them."""

import subprocess
import sys

import pytest

from kdlib import runs, store
from kdlib.engine import RunFolder
from kdlib.summary import Summary
from tests import fake_runs
from tests.fake_runs import spec
from tests.live_engine import ROOT, STALL, data_folder, recorded_epochs, wait_for_end, wait_until


@pytest.fixture(scope="module")
def home(tmp_path_factory, empty_database):
    with data_folder(tmp_path_factory.mktemp("engine"), empty_database) as path:
        yield path


@pytest.mark.usefixtures("home")
class TestARun:
    def test_it_ends_with_its_curve_numbers_and_files(self):
        [run_id] = runs.launch([spec(epochs=8, width=40)], name="mine", user="mia")
        run = wait_for_end(run_id)
        assert (run.state, run.name, run.user, run.progress, run.unsynced) == ("done", "mine", "mia", 1.0, 0)
        assert run.accuracy() == Summary(fake_runs.value(spec(epochs=8, width=40), 0, 0), 0.01)
        assert recorded_epochs(run_id) == list(range(8))
        assert [point.epoch for point in store.metric_history(run_id)] == list(range(8))
        result = runs.result(run_id)
        assert (result.status, result.spec, len(result.history)) == ("done", run.spec, 8)
        assert runs.arrays(run_id, "features")["features/test"].shape == (2, 4, 3)
        assert not RunFolder(run_id).checkpoint.exists()

    def test_it_can_be_watched_until_it_is_over(self):
        [run_id] = runs.launch([spec(epochs=20, width=50)])
        updates = list(runs.watch(run_id, every=0.1))
        assert [point.epoch for _, points in updates for point in points] == list(range(20))
        assert updates[-1][0].state == "done"
        shares = [run.progress for run, _ in updates]
        assert shares == sorted(shares)

    def test_the_progress_of_a_running_run_is_seen_from_another_process(self):
        [run_id] = runs.launch([spec(epochs=2000, width=50)])
        wait_until(lambda: len(recorded_epochs(run_id)) > 3)
        code = (
            f"from kdlib import runs; run = runs.get('{run_id}'); print(run.state, len(runs.history('{run_id}')) > 3)"
        )
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
        assert done.stdout.split() == ["running", "True"]
        runs.cancel(run_id)

    @pytest.mark.parametrize(
        ("how", "state", "reason"),
        [
            ("diverges", "failed", "diverged: 2 of 2 members"),
            ("leaves with 3", "failed", "the training left with exit code 3"),
            ("fills the disk", "failed", "disk full: free some space, then resume"),
            ("needs too much", "failed", "out of memory: fewer seeds, a smaller batch or a smaller student need less"),
            ("has a bug", "failed", "KeyError: 'weights'"),
        ],
    )
    def test_what_goes_wrong_is_said_in_words(self, how, state, reason):
        [run_id] = runs.launch([spec(student=how)])
        run = wait_for_end(run_id)
        assert (run.state, run.reason) == (state, reason)
        assert wait_until(lambda: store.fetch(run_id).reason) == reason

    def test_a_worker_that_dies_twice_over_a_run_fails_it_and_leaves_the_others_alone(self):
        names = ("vanishes", "is killed", "hangs")
        *ids, other = runs.launch([*(spec(student=name, epochs=6) for name in names), spec(epochs=20, width=50)])
        for name, run_id in zip(names, ids, strict=True):
            run = wait_for_end(run_id)
            assert run.state == "failed"
            assert run.reason.startswith(
                "its worker died 2 times" + (f": no progress for {STALL} s" if name == "hangs" else ", killed")
            )
            assert RunFolder(run_id).count_starts(0) == 2
        assert wait_for_end(other).state == "done"

    def test_a_spec_that_cannot_be_run_is_refused_before_anything_starts(self):
        def check(spec):
            if spec.dim > 100:
                raise ValueError("dim 200 is above the width 64 of teacher simclr")

        before = len(runs.list_runs(limit=1000))
        with pytest.raises(ValueError, match="dim 200 is above"):
            runs.launch([spec(), spec(dim=200)], check=check)
        assert len(runs.list_runs(limit=1000)) == before

    def test_names_are_kept_literally_but_for_what_a_terminal_would_obey(self):
        assert (
            runs.clean_name("<b>**a**</b> $x$ \x1b[31mred\nline \u202eevil =1+1")
            == "<b>**a**</b> $x$ [31mred line evil =1+1"
        )
        [run_id] = runs.launch([spec(epochs=1)], name="<script>'\"`\\ %s")
        assert wait_for_end(run_id).name == "<script>'\"`\\ %s"
        assert runs.find("<script>'\"`\\ %s").id == run_id == runs.find(run_id[:12]).id

    def test_a_finished_run_is_renamed_deleted_and_brought_back(self):
        [run_id] = runs.launch([spec(epochs=1)])
        wait_for_end(run_id)
        runs.rename(run_id, "new name")
        assert runs.get(run_id).name == "new name"
        runs.delete(run_id)
        assert run_id not in [run.id for run in runs.list_runs(limit=1000)]
        with pytest.raises(ValueError, match="does not have run"):
            runs.get(run_id)
        runs.undelete(run_id)
        assert run_id in [run.id for run in runs.list_runs(limit=1000)]

    def test_listing_filters_and_pages(self):
        ids = runs.launch([spec(epochs=1, dim=dim) for dim in (3, 5, 7)], name="filtered", user="zoe")
        for run_id in ids:
            wait_for_end(run_id)
        assert [run.id for run in runs.list_runs(user="zoe")] == ids[::-1]
        assert [run.spec.dim for run in runs.list_runs(user="zoe", text='"dim":5')] == [5]
        assert [run.id for run in runs.list_runs(user="zoe", limit=1, offset=1)] == [ids[1]]
        assert runs.list_runs(user="zoe", states=("failed",)) == []
        assert [run.spec.dim for run in runs.list_runs(user="zoe", where={"dim": [3, 7], "dataset": []})] == [7, 3]
