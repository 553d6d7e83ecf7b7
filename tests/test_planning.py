"""Before a launch: costs that follow the dials, refusals in words, warnings that mean something, code that agrees."""

import json
import shlex
from dataclasses import replace

import numpy as np
import pytest

from kdlib import durations, planning
from kdlib.analysis.rounds import Repetition
from kdlib.analysis.teacher_report import TargetProbe
from kdlib.checks import default_spec
from kdlib.cli import main, rounds, runs
from kdlib.data import datasets
from kdlib.runs import sweeps
from kdlib.spec import RunSpec
from kdlib.store import RunInfo

SPEC = RunSpec(dataset="digits", teacher="random", labels=100)


def finished(spec: RunSpec, accuracy: float = 0.5, seconds: float = 2.0) -> RunInfo:
    return RunInfo("0" * 32, "x", "u", spec, "done", 0.0, metrics={"test/accuracy": accuracy, "cost/seconds": seconds})


def test_twice_the_work_takes_about_twice_as_long():
    one = planning.estimate_cost([SPEC], [finished(SPEC)])
    two = planning.estimate_cost([SPEC.replace(epochs=2 * SPEC.epochs)], [finished(SPEC)])
    assert one.measured
    start = durations.START_SECONDS[0]
    measuring = durations.MEASURING_SECONDS[0]
    assert one.seconds.fewest == pytest.approx(start + measuring + 2.0 * durations.FASTER)
    assert two.seconds.fewest == pytest.approx(start + measuring + 4.0 * durations.FASTER)


def test_a_guess_grows_with_the_size_of_the_items(monkeypatch):
    data = datasets.load("digits")
    larger = replace(data, inputs=np.zeros((len(data.inputs), 3, 64, 64), np.uint8))
    constant = durations.START_SECONDS[0] + durations.MEASURING_SECONDS[0]
    small = planning.estimate_cost([SPEC]).seconds.fewest - constant
    monkeypatch.setattr(datasets, "load", lambda _: larger)
    ratio = (planning.estimate_cost([SPEC.replace(method="baseline")]).seconds.fewest - constant) / small
    # Measured on an idle machine, 1,000 labels, 5 seeds, 6 epochs: 18 s, of which 3 come whatever the size; 30 such
    # epochs of the default student take 9 s.
    assert 6 < ratio < 12


def test_without_runs_of_this_machine_the_time_is_a_guess():
    assert not planning.estimate_cost([SPEC]).measured


def test_a_plan_says_what_is_compressed_to_what():
    plan = planning.estimate_cost([SPEC.replace(method="raw"), SPEC.replace(method="mlp", dim=4)])
    assert plan.compressed_width == 4
    assert plan.teacher_width > 4
    assert planning.estimate_cost([SPEC.replace(method="baseline")]).compressed_width is None


def test_refusals_come_once():
    errors = planning.find_errors([SPEC.replace(method=method, labels=9000) for method in ("baseline", "raw")])
    assert len(errors) == 1
    assert "9000" in errors[0]


def test_a_teacher_below_the_baseline_is_unlikely_to_help():
    specs = [SPEC.replace(method=method) for method in ("baseline", "raw", "mlp")]
    past = [finished(specs[0], accuracy=0.8)]
    assert any("unlikely to help" in line for line in planning.find_warnings(specs, TargetProbe(0.6, 0.1), past))
    assert not planning.find_warnings(specs, TargetProbe(0.9, 0.1), past)
    assert any("guessing reaches" in line for line in planning.find_warnings(specs, TargetProbe(0.15, 0.1)))


@pytest.mark.parametrize(
    ("specs", "warning"),
    [
        ([SPEC.replace(distance_weight=0.0)], "has no say"),
        ([SPEC.replace(seeds=2)], "fewer than 3 seeds"),
        ([SPEC.replace(method="raw"), SPEC], "Without the baseline"),
        ([SPEC.replace(method="baseline"), SPEC], "Without raw"),
    ],
)
def test_what_cannot_be_concluded_is_said_before(specs, warning):
    assert any(warning in line for line in planning.find_warnings(specs))


def test_few_labelled_subsets_say_little_whatever_the_seeds():
    specs = [SPEC.replace(method=method) for method in ("baseline", "raw", "mlp")]
    assert not planning.find_warnings(specs, repetition=Repetition(3))
    assert any("two draws" in line for line in planning.find_warnings(specs, repetition=Repetition(2)))
    sure = planning.find_warnings(specs, repetition=Repetition(5, 0.01, 40))
    assert any("do not make up for few" in line for line in sure)


def test_knowledge_that_stays_in_its_domain_is_said_before():
    specs = [SPEC.replace(method=method) for method in ("baseline", "raw", "mlp")]
    assert any("carries over" in line for line in planning.find_warnings(specs, TargetProbe(0.9, 0.1, ood=0.5)))
    assert not planning.find_warnings(specs, TargetProbe(0.9, 0.1, ood=0.6))


@pytest.mark.parametrize(
    "spec",
    [
        SPEC.replace(dim=8, distance_weight=0.25),
        SPEC.replace(dataset="tones", teacher="tones-simclr"),
        default_spec("mixtures"),
    ],
)
def test_the_command_line_is_exactly_the_comparison(spec):
    command = planning.as_code(spec, ["raw", "mlp"])["Command line"]
    arguments = shlex.split(command)
    assert arguments[:3] == ["python", "-m", "kdlib"]
    parsed = main.parser().parse_args(arguments[3:])
    assert runs.specs_of(parsed) == [spec.replace(method="raw"), spec.replace(method="mlp")]


def test_python_and_yaml_are_exactly_the_comparison():
    spec = SPEC.replace(dim=8, loss="cka")
    code = planning.as_code(spec, ["raw"])
    line = next(line for line in code["Python"].splitlines() if line.startswith("spec = "))
    assert eval(line.removeprefix("spec = "), {"RunSpec": RunSpec}) == spec
    fields = dict(line.split(": ", 1) for line in code["YAML"].splitlines()[1:])
    assert RunSpec(method=spec.method, **{name: json.loads(value) for name, value in fields.items()}) == spec


def test_the_command_of_a_landscape_makes_exactly_its_runs():
    spec, methods = SPEC.replace(epochs=7, distance_weight=0.3), ["raw", "mlp"]
    axes = {"dim": [2, 4], "distance_weight": [0.2, 0.8]}
    code = planning.sweep_as_code(spec, methods, axes)
    arguments = main.parser().parse_args(shlex.split(code["Command line"])[3:])
    given = runs.spec_fields(arguments)
    base = default_spec(given["dataset"][0] if "dataset" in given else RunSpec.dataset)
    specs = sweeps.expand(base, {"method": methods} | given, grid=arguments.grid)
    wanted = sweeps.expand(spec, {"method": methods} | axes, grid=True)
    assert sweeps.sweep_name(specs) == sweeps.sweep_name(wanted)
    names = {}
    exec(code["Python"].rpartition("sweep = ")[0], names)
    assert sweeps.sweep_name(names["specs"]) == sweeps.sweep_name(wanted)


@pytest.mark.parametrize("repetition", [Repetition(), Repetition(3), Repetition(2, 0.015, 30), Repetition(1, 0.01, 8)])
def test_code_says_how_often_a_comparison_is_repeated(repetition, monkeypatch, capsys):
    code = planning.as_code(SPEC, ["raw", "mlp"], repetition)
    parsed = main.parser().parse_args(shlex.split(code["Command line"])[3:])
    assert rounds.repetition_of(parsed) == repetition
    given = []
    monkeypatch.setattr("kdlib.pipeline.compare", lambda specs: given.extend((specs, Repetition())) or [])
    monkeypatch.setattr("kdlib.sequential.compare_repeated", lambda *each: given.extend(each) or [])
    exec(code["Python"], {})
    assert given == [[SPEC.replace(method=method) for method in ("raw", "mlp")], repetition]
    assert capsys.readouterr().out == "Nothing has been measured yet.\n"
    assert ("subsets" in code["YAML"], "until" in code["YAML"]) == (repetition.subsets > 1, repetition.half_width > 0)


def test_the_cost_of_a_comparison_that_adds_seeds_reaches_from_its_first_look_to_its_budget():
    once = planning.estimate_cost([SPEC]).seconds
    whole = planning.estimate_cost([SPEC.replace(seeds=40)]).seconds
    assert planning.estimate_repeated([SPEC], Repetition()).seconds == once
    assert planning.estimate_repeated([SPEC], Repetition(1, 0.01, 40)).seconds == (once.fewest, whole.most)
    assert planning.estimate_repeated([SPEC], Repetition(3)).seconds.fewest > once.fewest


def test_the_command_of_a_landscape_on_several_draws_says_so():
    code = planning.sweep_as_code(SPEC, ["mlp"], {"dim": [2, 4]}, Repetition(2))
    assert main.parser().parse_args(shlex.split(code["Command line"])[3:]).subsets == 2
    assert "sequences.launch(specs, Repetition(2))" in code["Python"]
