"""The recorded race: real numbers of one race, small, whole, and read without heavy libraries."""

import dataclasses
import sys

import numpy as np
import pytest

from kdlib import recording
from kdlib.cli.record import describe_machine
from kdlib.names import ROLES, method_role
from kdlib.recording import FOLDER, load_recording, save_recording
from kdlib.spaces.formation import build_formation
from kdlib.spec import RunSpec
from tests import stored_runs


def test_it_is_the_race_of_the_start_page():
    race = load_recording()
    assert [method_role(result.spec) for result in race.results] == list(ROLES)
    assert [result.spec for result in race.results] == [
        RunSpec(method=method) for method in ("baseline", "raw", RunSpec.method)
    ]
    assert all(result.status == "done" and len(result.score("test").values) == 5 for result in race.results)


def test_it_says_when_and_where():
    text = load_recording().describe()
    assert "Recorded on" in text
    assert "core" in text
    assert race_year() in text


def race_year() -> str:
    import datetime

    return str(datetime.datetime.fromtimestamp(load_recording().recorded, datetime.UTC).year)


def test_it_is_small():
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 1_500_000


def test_its_formation_belongs_to_its_compressed_run():
    race = load_recording()
    formation, spec = race.formation, race.results[-1].spec
    assert formation.epochs.tolist() == [0, *(point.epoch for point in race.results[-1].history)]
    assert formation.compressed.shape == (len(formation.epochs), spec.dim)
    assert formation.raw.shape == (race.teacher_width,)
    assert {value.shape for value in formation.places.values()} == {(len(formation.epochs), len(formation.rows), 2)}
    assert list(formation.known) == ["target", *race.results[-1].attributes]
    assert 0 <= formation.picture.min() < formation.picture.max() <= 1
    # Its estimates are those of the first seed on other rows: some points from what was measured.
    measured = race.results[-1].teacher.probe.compressed.mean
    assert formation.known["target"][-1] == pytest.approx(measured, abs=0.08)


def test_what_is_saved_is_what_is_read(tmp_path, monkeypatch):
    race = dataclasses.replace(load_recording(), machine="a test", seconds=12.0)
    save_recording(race, tmp_path)
    monkeypatch.setattr(recording, "FOLDER", tmp_path)
    again = load_recording.__wrapped__()
    assert again.describe().endswith("a test, KD Lab 0.1.0; it took 12 s there.")
    assert [each.score("test") for each in again.results] == [each.score("test") for each in race.results]
    assert again.formation.known_raw == race.formation.known_raw
    for name in ("rows", "classes", "epochs", "raw", "compressed", "picture"):
        np.testing.assert_allclose(getattr(again.formation, name), getattr(race.formation, name), atol=2e-3)


def test_a_formation_follows_the_snapshots(fresh_home):
    result = stored_runs.trained()[2]
    arrays = {name.removeprefix("replay/"): value for name, value in result.arrays.items() if "replay/" in name}
    whole = build_formation(result.spec, arrays, slice(0, None))
    assert whole.epochs.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(whole.compressed, arrays["compressed"][:, 0])
    last = build_formation(result.spec, arrays, slice(2, 3))
    assert last.known["target"].tolist() == [whole.known["target"][2]]
    np.testing.assert_allclose(last.places["student"][0], whole.places["student"][2], atol=1e-5)
    assert whole.picture.min() == 0
    assert whole.picture.max() == 1


def test_a_machine_has_a_name():
    assert "core" in describe_machine()
    assert sys.platform
