"""The commands for background runs: what they print, where, and with which exit code."""

import argparse
import json
from dataclasses import fields

import pytest

from kdlib import engine, runs
from kdlib.analysis.intervals import summarize
from kdlib.cli import runs as commands
from kdlib.cli import sweeps as sweep_commands
from kdlib.results import Grid, GridCell, RunResult
from kdlib.spec import RunSpec
from kdlib.summary import SplitMetrics, Summary
from tests.live_engine import data_folder, wait_for_end, wait_until


@pytest.fixture(scope="module")
def home(tmp_path_factory, empty_database):
    with data_folder(tmp_path_factory.mktemp("commands"), empty_database) as path:
        yield path


def spec_options(parser):
    for field in fields(RunSpec):
        if field.name != "method":
            value = getattr(RunSpec(), field.name)
            parser.add_argument(f"--{field.name.replace('_', '-')}", type=type(value), default=value)


@pytest.fixture
def kdlib(capsys):
    """Run a command; return exit code and what it wrote to standard output."""
    parser = argparse.ArgumentParser()
    subparsers = parser.add_subparsers(required=True)
    commands.add_commands(subparsers, spec_options)
    sweep_commands.add_commands(subparsers)

    def call(*words):
        arguments = parser.parse_args([str(word) for word in words])
        code = arguments.handler(arguments)
        return code, capsys.readouterr().out

    return call


@pytest.mark.parametrize(("datasets", "named"), [(("digits", "tones"), False), (("digits", "mixtures"), True)])
def test_the_metric_is_named_where_a_sweep_has_several(datasets, named):
    results = []
    for dataset in datasets:
        value = SplitMetrics({"map" if dataset == "mixtures" else "accuracy": Summary(0.5, 0.1, [0.4, 0.6])})
        results += [
            RunResult(RunSpec(dataset=dataset, method=method), metrics={"test": value}) for method in ("raw", "mlp")
        ]
    table = sweep_commands.sweep_table(results)
    columns = {column.header: list(column.cells) for column in table.columns}
    assert columns.get("metric") == (["accuracy"] * 2 + ["mAP"] * 2 if named else None)
    assert [cell[:4] for cell in columns["- raw"]] == ["–", "+0.0"] * 2


def test_a_sweep_of_grids_says_what_each_chose():
    spec = RunSpec(distance_weight=(0.2, 0.8), seeds=2)
    cells = [GridCell({"distance_weight": weight}, summarize([weight, weight])) for weight in (0.2, 0.8)]
    score = {"test": SplitMetrics({"accuracy": summarize([0.5, 0.6])})}
    results = [
        RunResult(spec.replace(method="baseline"), metrics=score),
        *(RunResult(spec.replace(dim=dim), metrics=score, grid=Grid(cells, 1)) for dim in (2, 4)),
    ]
    columns = {column.header: list(column.cells) for column in sweep_commands.sweep_table(results).columns}
    assert columns["distance_weight"] == ["–", "0.8", "0.8"]
    assert columns["dim"] == ["–", "2", "4"]
    assert columns["- baseline"][0] == "–"
    assert columns["- baseline"][1].startswith("+0.0")


QUICK = ("--epochs", 5, "--width", 10, "--seeds", 2)


@pytest.mark.usefixtures("home")
class TestCommands:
    def test_a_run_from_launch_to_deletion(self, kdlib):
        code, out = kdlib("launch", "--methods", "raw,mlp", "--name", "[bold]mine[/]", *QUICK)
        ids = out.split()
        assert (code, [len(run_id) for run_id in ids]) == (0, [32, 32])
        code, out = kdlib("watch", ids[1])
        assert code == 0
        assert [line.split(":")[0] for line in out.splitlines()[:5]] == [f"epoch {epoch}" for epoch in range(5)]
        assert out.splitlines()[-1].startswith("done, test accuracy ")
        wait_for_end(ids[0])
        _, out = kdlib("runs", "--state", "done")
        assert out.splitlines()[0].split()[:3] == ["run", "state", "progress"]
        assert f"{ids[1][:12]}  done" in out
        assert "[bold]mine[/] · view matching (simclr) → trained, two layers (mlp), 16" in " ".join(out.split())
        _, out = kdlib("runs", "--json", "--limit", 1)
        assert json.loads(out)["id"] == ids[1]
        _, out = kdlib("show", ids[0][:12])
        assert "state                    done, test accuracy" in out
        assert "method                   raw" in out
        _, out = kdlib("show", ids[0], "--json")
        assert json.loads(out)["result"]["status"] == "done"
        assert len(json.loads(out)["history"]) == 5
        assert kdlib("rename", ids[0], "other")[0] == 0
        assert kdlib("delete", "other") == (0, f"{ids[0]} deleted\n")
        assert kdlib("undelete", ids[0]) == (0, f"{ids[0]}\n")
        assert runs.get(ids[0]).name == "other"

    def test_cancel_and_resume(self, kdlib):
        _, out = kdlib("launch", "--methods", "mlp", "--epochs", 60, "--width", 30)
        run_id = out.strip()
        wait_until(lambda: runs.history(run_id))
        code, out = kdlib("cancel", run_id)
        assert code == 0
        assert out.split()[0] == run_id
        assert out.split()[1] in ("cancelling", "cancelled")
        assert wait_for_end(run_id).state == "cancelled"
        assert kdlib("watch", run_id)[0] == 1
        assert kdlib("resume", run_id)[0] == 0
        assert wait_for_end(run_id).state == "done"

    def test_a_sweep_is_waited_for_and_its_table_names_what_differs(self, kdlib, tmp_path):
        words = ("sweep", "--methods", "raw,mlp", "--dim", "2,4", "--student", "cnn", *QUICK)
        code, out = kdlib(*words, "--json", tmp_path / "sweep.json")
        assert code == 0
        assert out.split()[:2] == ["method", "dim"]
        assert len(out.splitlines()) == 4
        assert len(json.loads((tmp_path / "sweep.json").read_text())["runs"]) == 3
        code, out = kdlib(*words, "--no-wait")
        assert len(out.split()) == 3

    def test_the_engine_is_started_asked_and_stopped(self, kdlib):
        engine.stop()
        assert kdlib("engine", "status") == (1, "not running\n")
        code, out = kdlib("engine", "start")
        assert code == 0
        assert out.startswith("running at tls://127.0.0.1:")
        assert kdlib("engine", "stop") == (0, "stopped\n")
        assert kdlib("engine", "stop") == (0, "not running\n")

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (("show", "nothing like that"), "no runs are called 'nothing like that'"),
            (("cancel", "f" * 32), "does not have run"),
            (("launch", "--methods", ","), "no method given"),
            (("sweep", "--dim", ","), "the sweep has no values for dim"),
        ],
    )
    def test_a_mistake_is_one_line(self, kdlib, words, message):
        with pytest.raises(ValueError, match=message) as error:
            kdlib(*words)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(("seconds", "age"), [(0.4, "0 s"), (59, "59 s"), (90, "2 min"), (7200, "2 h"), (1e6, "12 d")])
def test_an_age_is_short(seconds, age):
    assert commands.format_age(seconds) == age
