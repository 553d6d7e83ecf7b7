"""How spaces form, as a live page asks for it: each snapshot once, and never one of another epoch."""

from types import SimpleNamespace

import numpy as np
import pytest

from kdlib.spaces import formation
from kdlib.spec import RunSpec


@pytest.fixture
def built(monkeypatch):
    """Return which snapshots were built, of runs with snapshots after epochs 0, 2 and 4, the last of them diverged."""
    student = np.zeros((4, 5, 3), np.float32)
    student[3] = np.nan
    arrays = {"epochs": np.array([0, 2, 4, 6]), "student": student, "compressed": np.zeros((4, 5, 2), np.float32)}
    built = []
    monkeypatch.setattr(formation.runs, "get", lambda _: SimpleNamespace(spec=RunSpec()))
    monkeypatch.setattr(formation.runs, "replay", lambda _: arrays)
    monkeypatch.setattr(formation, "build_formation", lambda _spec, _arrays, times: built.append(times) or times)
    monkeypatch.setattr(formation, "_shown", {})
    return built


def test_a_snapshot_is_computed_once_however_often_it_is_asked_for(built):
    assert formation.load_formation("a", 2) == formation.load_formation("a", 3) == slice(1, 2)
    assert built == [slice(1, 2)]
    assert formation.load_formation("a", 4) == slice(2, 3)
    assert formation.load_formation("a", 9) == slice(2, 3), "after that it diverged"
    assert formation.load_formation("b", 4) == slice(2, 3)
    assert built == [slice(1, 2), slice(2, 3), slice(2, 3)], "another run has snapshots of its own"


def test_all_of_it_is_not_taken_for_a_moment_and_few_runs_are_kept(built):
    assert formation.load_formation("a") == slice(0, 3)
    for number in range(20):
        formation.load_formation(f"run {number}", 2)
    assert len(formation._shown) == formation.MAX_SHOWN
    assert formation.load_formation("a", -1) is None, "nothing is known before the first snapshot"
