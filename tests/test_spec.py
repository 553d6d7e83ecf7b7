"""A spec's identity and its way through JSON."""

import json
import subprocess
import sys
from dataclasses import FrozenInstanceError, asdict
from pathlib import Path

import numpy as np
import pytest

from kdlib.results import RunResult, SplitMetrics, Summary
from kdlib.spec import RunSpec


def test_a_spec_survives_json():
    spec = RunSpec(method="linear", dim=8, lr=0.003)
    assert RunSpec.from_json(spec.to_json()) == spec


def test_missing_fields_take_their_defaults():
    assert RunSpec.from_json('{"dim": 4}') == RunSpec(dim=4)


def test_every_field_is_part_of_the_identity():
    spec = RunSpec()
    others = []
    for name, value in asdict(spec).items():
        others.append(spec.but(**{name: f"{value}x" if isinstance(value, str) else value + 1}))
    assert len({other.identity for other in [spec, *others]}) == len(others) + 1


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
    result = RunResult(RunSpec(seeds=2), metrics={"test": SplitMetrics({"accuracy": Summary(0.5, None, [0.5, 0.5])})}, arrays=weights)
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
    later = stored | {"colour": "green", "spec": stored["spec"] | {"augmentation": "none"}, "cost": stored["cost"] | {"watts": 3}}
    assert RunResult.from_dict(later) == RunResult.from_dict(stored)
