"""Every projection maps every space or says why not, and umap is loaded only by processes that use it."""

import subprocess
import sys
from functools import cache

import numpy as np
import pytest

from kdlib.analysis.neighbours import find_neighbours, shared_neighbours
from kdlib.analysis.projection import PROJECTIONS, faithfulness, project, project_frames

ROWS = 60


def blobs(width: int = 5, rows: int = ROWS) -> tuple[np.ndarray, np.ndarray]:
    """Return three far-apart groups and which row is in which."""
    rng = np.random.default_rng(0)
    group = np.arange(rows) % 3
    return (10 * rng.normal(size=(3, width))[group] + rng.normal(size=(rows, width))).astype(np.float32), group


# The joint one compiles for half a minute before its first map.
NAMES = [pytest.param(name, marks=pytest.mark.slow) if entry.joint else name for name, entry in PROJECTIONS.items()]


@cache
def maps(name):
    """Return a projection's maps of two spaces, of which the second is the first one turned, scaled and moved."""
    space, _ = blobs()
    turn, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(5, 5)))
    return project(name, [space, 3 * space @ turn.astype(np.float32) + 7])


@pytest.mark.parametrize("name", NAMES)
def test_a_map_has_a_place_for_every_row_and_keeps_groups_apart(name):
    space, group = blobs()
    for place, note in zip(maps(name).places, maps(name).notes, strict=True):
        assert place.shape == (ROWS, 2)
        assert place.dtype == np.float32
        assert note == ""
        nearest = find_neighbours(place, 5)
        assert (group[nearest] == group[:, None]).mean() > 0.9
        assert np.abs(place.mean(0)).max() < 1e-4
        assert np.square(place).mean() == pytest.approx(1, abs=1e-3)
    score = faithfulness(space, maps(name).places[0])
    assert 0.7 < score["trustworthiness"] <= 1
    assert 0.7 < score["continuity"] <= 1
    assert score["rows"] == ROWS


def test_maps_of_the_same_space_lie_on_one_another():
    first, second = maps("pca").places
    np.testing.assert_allclose(first, second, atol=1e-3)


DEGENERATE = {
    "constant": np.full((30, 4), 2.5, np.float32),
    "three rows": np.array([[0, 0, 1], [1, 0, 0], [0, 2, 0]], np.float32),
    "one row": np.ones((1, 4), np.float32),
    "duplicates": np.repeat(np.eye(3, 4, dtype=np.float32), 20, axis=0),
    "one column": np.arange(40, dtype=np.float32)[:, None],
    "tiny": 1e-30 * np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32),
    "huge": 1e30 * np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32),
    "not finite": np.where(np.eye(30, 4) > 0, np.nan, 1).astype(np.float32),
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("case", DEGENERATE)
def test_a_degenerate_space_is_a_message_and_a_fallback(name, case):
    space = DEGENERATE[case]
    result = project(name, [space, space])
    assert all(np.isfinite(place).all() and place.shape == (len(space), 2) for place in result.places)
    if case in ("constant", "one row", "not finite"):
        assert all("one point" in note for note in result.notes)
    elif case in ("three rows", "duplicates") and not PROJECTIONS[name].instant:
        assert all("20 different rows" in note and "PCA instead" in note for note in result.notes)
    faithfulness(space, result.places[0])


def test_pca_is_the_plane_of_largest_variance():
    space = np.random.default_rng(0).normal(size=(50, 6)) * [9, 1, 5, 1, 1, 1]
    (place,) = project("pca", [space]).places
    centred = space - space.mean(0)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    slow = (u * s)[:, :2] / np.sqrt(np.square((u * s)[:, :2]).mean())
    np.testing.assert_allclose(np.abs(place), np.abs(slow), atol=1e-3)
    wide = project("pca", [np.hstack([space, np.zeros((50, 100))])]).places[0]
    np.testing.assert_allclose(np.abs(wide), np.abs(slow), atol=1e-3)


def test_frames_share_one_basis_and_new_ones_do_not_turn_it():
    rng = np.random.default_rng(0)
    last = rng.normal(size=(40, 8)) * [6, 3, 1, 1, 1, 1, 1, 1]
    anchor = last[:, :2] @ [[0, 1], [-1, 0]]
    frames = np.stack([0.1 * last, 0.5 * last, last])
    flat = project_frames(frames, anchor)
    np.testing.assert_allclose(flat[0] - flat[0].mean(0), 0.1 * (flat[2] - flat[2].mean(0)), atol=1e-4)
    np.testing.assert_allclose(flat[1] - flat[1].mean(0), 0.5 * (flat[2] - flat[2].mean(0)), atol=1e-4)
    shorter = project_frames(frames[:2], anchor)
    np.testing.assert_allclose(shorter[1] - shorter[1].mean(0), flat[2] - flat[2].mean(0), atol=1e-3)
    assert not project_frames(np.ones((2, 5, 3))).any()


def test_the_neighbours_of_some_rows_are_those_of_the_whole_table():
    space, _ = blobs()
    np.testing.assert_array_equal(find_neighbours(space, 4, rows=[7, 3, 50]), find_neighbours(space, 4)[[7, 3, 50]])
    assert shared_neighbours(find_neighbours(space, 4), find_neighbours(space, 4)).min() == 1


def test_umap_is_loaded_only_with_its_first_map():
    code = (
        "import sys, numpy as np; from kdlib.analysis.projection import project;"
        "project('pca', [np.eye(30)]); project('tsne', [np.eye(3)]);"
        "print('umap' in sys.modules or 'numba' in sys.modules)"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
        == "False"
    )
