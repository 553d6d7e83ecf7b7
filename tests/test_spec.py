"""A spec's identity and its way through JSON."""

import json
import subprocess
import sys
from dataclasses import FrozenInstanceError, asdict
from pathlib import Path

import numpy as np
import pytest
import torch

from kdlib import pipeline
from kdlib.models.compressors import COMPRESSORS
from kdlib.results import RunResult
from kdlib.spec import (
    BASELINE,
    GRID_FIELDS,
    LATER_FIELDS,
    POINTWISE,
    RAW,
    TEACHER_FIELDS,
    UNCOMPRESSED,
    RunSpec,
    unused_fields,
)
from kdlib.summary import SplitMetrics, Summary
from kdlib.training.losses import LOSSES


def test_a_spec_survives_json():
    spec = RunSpec(method="linear", dim=8, lr=0.003)
    assert RunSpec.from_json(spec.to_json()) == spec


def test_missing_fields_take_their_defaults():
    assert RunSpec.from_json('{"dim": 4}') == RunSpec(dim=4)


def test_every_field_is_part_of_the_identity():
    spec = RunSpec(method="adversarial", soft_label_weight=0.5, student="resnet", loss="mse", teacher="simclr+parity")
    others = []
    for name, value in asdict(spec).items():
        if name != "prefix":  # no method has both an attribute to remove and prefixes: see tests/test_prefixes.py
            others.append(spec.replace(**{name: f"{value}x" if isinstance(value, str) else value + 1}))
    assert len({other.identity for other in [spec, *others]}) == len(others) + 1


@pytest.mark.parametrize(
    ("spec", "identity"),
    [
        (RunSpec(), "c58e6bfa842ecf94"),
        (RunSpec(method="baseline"), "87203a2b4b721e9e"),
        (
            RunSpec(method="baseline", teacher="parity", dim=4, loss="cka", distance_weight=0.5, temperature=2.0),
            "87203a2b4b721e9e",
        ),
        (RunSpec(method="raw", dim=4), "9024811fabd8cf63"),
        (RunSpec(method="none"), "e279b9b4be522c86"),
        (RunSpec(method="pca", dim=8, loss="cka"), "d8645d53a1059865"),
        (RunSpec(soft_label_weight=1.0, temperature=2.0), "c550b177b49b49a2"),
        (RunSpec(distance_weight=0.0), "5d9835c1143ae442"),
        (RunSpec(distance_weight=1.0), "b331e217c91d0b76"),
    ],
)
def test_stored_runs_are_found_by_the_identity_that_was_recorded_for_them(spec, identity):
    assert spec.identity == identity


def test_a_later_field_at_its_default_is_not_written_and_any_other_value_is():
    assert {name: asdict(RunSpec())[name] for name in LATER_FIELDS} == LATER_FIELDS
    assert not LATER_FIELDS.keys() & json.loads(RunSpec().to_json()).keys()
    spec = RunSpec(student="resnet", depth=2, augmentation="mixup", pooling="max", subset=1, tune=3, projector="mlp")
    spec = spec.replace(target_normaliser="whiten", soft_label_loss="dist", teacher_mixing="separate", first_seed=5)
    spec = spec.replace(attribute="ink", prefix=2)
    assert RunSpec.from_json(spec.to_json()) == spec
    assert spec.to_dict() == asdict(spec)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"distance_weight": 1}, {"distance_weight": 1.0}),
        ({"dim": 8.0}, {"dim": 8}),
        ({"lr": np.float32(0.5), "seeds": np.int64(3)}, {"lr": 0.5, "seeds": 3}),
        ({"temperature": 2.0}, {"temperature": 4.0}),
        ({"method": "none", "dim": 2}, {"method": "none", "dim": 8}),
        ({"distance_weight": 0, "loss": "cka"}, {"distance_weight": 0, "loss": "pkt"}),
        ({"student": "cnn", "depth": 2}, {"student": "cnn"}),
        ({"student": "cnn", "depth": 2, "method": "baseline"}, {"student": "cnn", "method": "baseline"}),
    ],
)
def test_two_ways_to_write_one_computation_have_one_identity(one, other):
    assert RunSpec(**one).identity == RunSpec(**other).identity


def test_a_loss_that_gives_the_student_an_adapter_counts_at_weight_0_too():
    assert RunSpec(distance_weight=0.0, loss="mse").identity != RunSpec(distance_weight=0.0).identity


@pytest.fixture
def one_thread():
    """Training is reproducible bit by bit on one thread only."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


TINY = RunSpec(dataset="digits", teacher="random", labels=60, epochs=1, batch_size=15, width=2, seeds=1, dim=4)
OTHER = {
    "teacher": "simclr",
    "dim": 3,
    "loss": "cka",
    "projector": "mlp",
    "target_normaliser": "standardise",
    "soft_label_loss": "dist",
    "distance_weight": 0.3,
    "soft_label_weight": 0.7,
    "temperature": 2.0,
    "prefix": 2,
    "attribute": "ink",
    "teacher_mixing": "separate",
}


@pytest.mark.parametrize(
    "spec",
    [
        TINY.replace(method=BASELINE),
        TINY.replace(method=RAW, distance_weight=0.0),
        TINY.replace(method="none", soft_label_weight=0.5),
        TINY.replace(method="pca"),
        TINY.replace(distance_weight=0.0),
        TINY.replace(soft_label_weight=0.5),
        TINY.replace(loss="mse"),
        TINY.replace(method="matryoshka"),
        TINY.replace(method="pca", teacher="random+parity"),
        TINY.replace(method=RAW, teacher="random+parity", distance_weight=0.0),
        TINY.replace(method=RAW, teacher="random+parity", distance_weight=0.0, soft_label_weight=0.5),
    ],
    ids=[
        "baseline",
        "raw without distance",
        "none with soft labels",
        "pca",
        "mlp without distance",
        "mlp with soft labels",
        "mlp with an adapter",
        "matryoshka",
        "two teachers, pca",
        "two teachers, raw without distance",
        "two teachers, raw with soft labels alone",
    ],
)
@pytest.mark.usefixtures("one_thread")
def test_a_field_is_unused_exactly_if_training_gives_the_same_without_it(spec):
    def outcome(spec):
        result = pipeline.run(spec)
        return result.arrays, (result.metrics, result.spaces, result.attributes, result.teacher, result.history)

    arrays, numbers = outcome(spec)
    for name in [name for name in TEACHER_FIELDS if name != "pooling"]:  # which this teacher refuses: it has no frames
        other_arrays, other_numbers = outcome(spec.replace(**{name: OTHER[name]}))
        same_arrays = all(np.array_equal(arrays[key], other_arrays.get(key)) for key in arrays)
        assert (same_arrays and numbers == other_numbers) == (name in unused_fields(spec)), name


def test_what_is_said_of_methods_and_losses_is_what_the_registries_say():
    constant_width = [
        name for name, entry in COMPRESSORS.items() if len({entry.width(64, dim, 100) for dim in (2, 3, 8)}) == 1
    ]
    assert set(UNCOMPRESSED) == {RAW, *constant_width}
    assert set(POINTWISE) == {name for name, loss in LOSSES.items() if loss.pointwise}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"lr": "0.1"}, "lr must be a number, got '0.1'"),
        ({"lr": True}, "lr must be a number, got True"),
        ({"lr": 10**400}, "lr must be a number of less than 309 digits, got 1000"),
        ({"temperature": None}, "temperature must be a number, got None"),
        ({"dataset": ["digits"]}, r"dataset must be text, got \['digits'\]"),
        ({"seeds": True}, "seeds must be a whole number, got True"),
        ({"seeds": 2.5}, "seeds must be a whole number, got 2.5"),
        ({"dim": float("inf")}, "dim must be a whole number, got inf"),
        ({"labels": "600"}, "labels must be a whole number, got '600'"),
        ({"method": 3}, "method must be text, got 3"),
    ],
)
def test_a_value_of_another_kind_is_refused_in_words_in_python_and_in_json(given, message):
    for make in (
        lambda: RunSpec(**given),
        lambda: RunSpec().replace(**given),
        lambda: RunSpec.from_json(json.dumps(given)),
    ):
        with pytest.raises(ValueError, match=message):
            make()


@pytest.mark.parametrize("name", list(asdict(RunSpec())))
@pytest.mark.parametrize(
    "value",
    [None, [], {}, b"x", object(), 1j, np.array([1, 2]), np.bool_(True)],
    ids=lambda value: type(value).__name__,
)
def test_no_field_takes_what_is_neither_text_nor_a_number(name, value):
    if name in GRID_FIELDS and isinstance(value, np.ndarray):
        assert RunSpec(**{name: value}).replace() == RunSpec(**{name: value.tolist()})
        return
    with pytest.raises(ValueError, match=f"^{name} must be "):
        RunSpec(**{name: value})


def test_a_list_of_one_value_is_that_value_and_the_identity_of_before_grids():
    assert RunSpec(lr=[0.01], distance_weight=(0.85,)) == RunSpec()
    assert RunSpec().identity == "c58e6bfa842ecf94"  # as runs of before grids were stored


def test_a_grid_has_one_identity_in_whatever_order_and_however_often_a_value_is_given():
    grid = RunSpec(lr=[0.03, 0.01, 0.01], distance_weight=np.array([0.5, 0.0]))
    assert (grid.lr, grid.distance_weight) == ((0.01, 0.03), (0.0, 0.5))
    assert grid.identity == RunSpec(lr=(0.01, 0.03), distance_weight=(0, 0.5)).identity
    assert len({grid.identity, RunSpec().identity, grid.replace(lr=[0.01, 0.02]).identity}) == 3
    assert RunSpec.from_json(grid.to_json()) == grid
    assert RunSpec.from_record(json.loads(json.dumps(grid.to_dict()))) == grid


def test_the_cells_of_a_grid_are_every_combination_the_last_axis_fastest():
    grid = RunSpec(lr=[0.01, 0.03], distance_weight=[0.5, 0.9])
    cells = [(cell.distance_weight, cell.lr) for cell in grid.cells]
    assert cells == [(0.5, 0.01), (0.5, 0.03), (0.9, 0.01), (0.9, 0.03)]
    assert all(cell.replace(lr=grid.lr, distance_weight=grid.distance_weight) == grid for cell in grid.cells)
    assert (grid.cell_count, RunSpec().cell_count, RunSpec().cells) == (4, 1, [RunSpec()])


def test_a_baseline_has_no_grid_of_what_belongs_to_the_teacher():
    baseline = RunSpec(method="baseline", lr=[0.01, 0.03], distance_weight=[0, 0.5], soft_label_weight=[0, 1])
    assert list(baseline.grid) == ["lr"]
    assert [cell.identity for cell in baseline.cells] == [
        RunSpec(method="baseline", lr=lr).identity for lr in (0.01, 0.03)
    ]


@pytest.mark.parametrize("value", [["0.1"], [0.1, None], [[0.1]], {0.1: 1}, "0.1,0.2", [True]])
def test_what_is_no_list_of_numbers_is_no_grid(value):
    with pytest.raises(ValueError, match=r"^lr must be "):
        RunSpec(lr=value)


def test_a_result_of_a_later_version_is_read_without_what_is_unknown_here():
    data = RunResult(RunSpec(dim=8)).to_dict()
    data["spec"]["warmup"] = 0.1
    assert RunResult.from_dict(data | {"carbon": 3}) == RunResult(RunSpec(dim=8))


def test_the_identity_is_the_same_in_another_process():
    code = "from kdlib.spec import RunSpec; print(RunSpec(dim=4, teacher='é').identity)"
    other = subprocess.run([sys.executable, "-X", "utf8", "-c", code], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == RunSpec(dim=4, teacher="é").identity


def test_a_spec_cannot_be_changed_in_place():
    with pytest.raises(FrozenInstanceError):
        RunSpec().dim = 3


def test_an_unknown_field_is_named_beside_the_known_ones():
    with pytest.raises(ValueError, match=r"^unknown field 'dims' in a spec, known: dataset, labels, .*seeds"):
        RunSpec.from_json('{"dims": 4}')


def test_something_else_than_an_object_is_refused():
    with pytest.raises(ValueError, match=r"a spec is a JSON object, got list"):
        RunSpec.from_json("[1]")


def test_a_result_survives_json_and_keeps_its_arrays_apart():
    weights = {"student/weight": np.ones((2, 3), np.float32)}
    result = RunResult(
        RunSpec(seeds=2), metrics={"test": SplitMetrics({"accuracy": Summary(0.5, None, [0.5, 0.5])})}, arrays=weights
    )
    data = json.loads(json.dumps(result.to_dict()))
    assert "arrays" not in data
    back = RunResult.from_dict(data, weights)
    assert back == result
    assert back.arrays is weights


@pytest.mark.parametrize("name", ["baseline", "mlp"])
def test_a_run_that_an_earlier_version_stored_opens_and_is_written_as_it_was(name):
    stored = json.loads((Path(__file__).parent / "stored" / f"{name}.json").read_text(encoding="utf-8"))
    result = RunResult.from_dict(stored)
    assert result.spec.method == name
    assert result.to_dict() == stored


def test_a_result_of_a_later_version_opens():
    stored = json.loads((Path(__file__).parent / "stored" / "mlp.json").read_text(encoding="utf-8"))
    later = stored | {
        "colour": "green",
        "spec": stored["spec"] | {"augmentation": "none"},
        "cost": stored["cost"] | {"watts": 3},
    }
    assert RunResult.from_dict(later) == RunResult.from_dict(stored)
