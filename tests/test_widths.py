"""Leading widths: which are compared, maps that do not flip, and numbers against slow references."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.spatial.distance import pdist
from scipy.stats import pearsonr
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression

from kdlib.analysis.linear_probe import STRENGTHS
from kdlib.analysis.probes import Probes
from kdlib.analysis.widths import SpaceRows, WidthReport, leading_widths, map_widths, measure_widths
from kdlib.data import datasets

TRAIN, TEST = 300, 200


@pytest.fixture(scope="module")
def data():
    return datasets.load("digits")


@pytest.fixture(scope="module")
def rows(data):
    """Return training and test rows of the digits, and a space of 12 numbers whose first ones vary most."""
    train, test = data.labelled(TRAIN), data.splits["test"][:TEST]
    pixels = data.inputs.reshape(len(data.inputs), -1).astype(np.float32)
    fitted = PCA(12, random_state=0).fit(pixels[train])
    space = SpaceRows(*(fitted.transform(pixels[each]).astype(np.float32) for each in (train, test)))
    return train, test, SpaceRows(pixels[train], pixels[test]), space


@pytest.fixture(scope="module")
def report(data, rows):
    train, test, raw, space = rows
    widths = leading_widths(12)
    return measure_widths({"one": space}, raw, widths, Probes(data, train, test, len(widths) + 1, None))


@pytest.mark.parametrize("dim", [1, 2, 3, 8, 9, 16, 17, 64, 100, 512])
def test_the_widths_ascend_from_one_to_all_with_every_power_of_two(dim):
    widths = leading_widths(dim)
    assert widths == sorted(set(widths))
    assert (widths[0], widths[-1]) == (1, dim)
    assert {2**i for i in range(dim.bit_length())} <= set(widths)
    assert max(b / a for a, b in pairwise(widths)) <= 2 if dim > 1 else widths == [1]


def test_64_numbers_are_compared_in_twenty_steps():
    assert leading_widths(64) == [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64]
    with pytest.raises(ValueError, match="from 1 up"):
        leading_widths(0)


def flipped(before: np.ndarray, after: np.ndarray) -> float:
    """Return how far the turn is that brings one map nearest to another: 0 for none."""
    left, _, right = np.linalg.svd(after.T @ before)
    return float(np.abs(left @ right - np.eye(2)).max())


def test_no_map_is_turned_or_mirrored_against_the_one_of_the_next_width():
    rng = np.random.default_rng(3)
    space = rng.normal(size=(150, 16)).astype(np.float32)  # the axes of PCA change at each width
    maps = map_widths(space, leading_widths(16))
    assert maps.shape == (12, 150, 2)
    turns = [flipped(a, b) for a, b in pairwise(maps[1:])]
    assert max(turns) < 1e-5
    unaligned = [PCA(2).fit_transform(space[:, :width]) for width in (10, 12)]
    assert flipped(*unaligned) > 0.1  # which is what aligning mends


def test_a_map_has_the_distances_of_pca_at_its_width(rows):
    _, _, _, space = rows
    for width, places in zip([2, 5, 12], map_widths(space.test, [2, 5, 12]), strict=True):
        expected = PCA(2).fit_transform(space.test[:, :width].astype(np.float64))
        assert pearsonr(pdist(places), pdist(expected)).statistic > 0.99999
        assert np.square(places).mean() == pytest.approx(1, rel=1e-4)


def test_the_map_of_one_number_is_a_line_in_the_order_of_that_number(rows):
    _, _, _, space = rows
    places = map_widths(space.test, [1, 2])[0].astype(np.float64)
    assert np.linalg.svd(places, compute_uv=False)[1] < 1e-3
    along = places @ np.linalg.svd(places, full_matrices=False)[2][0]
    assert abs(pearsonr(along, space.test[:, 0]).statistic) > 0.9999


def test_the_last_map_is_turned_onto_an_anchor(rows):
    _, _, _, space = rows
    anchor = map_widths(space.test, [12])[0] * [-1, 1]
    assert flipped(anchor, map_widths(space.test, [4, 12], anchor)[-1]) < 1e-5


def test_the_numbers_of_one_width_are_those_of_a_slow_reference(report, data, rows):
    train, test, raw, space = rows
    column, distances = space.test[:, :1].astype(np.float64), raw.test.astype(np.float64)
    kept = []
    for i in range(TEST):
        near = [
            np.argsort(np.abs(x - x[i]).sum(1) if x.shape[1] == 1 else ((x - x[i]) ** 2).sum(1), kind="stable")
            for x in (distances, column)
        ]
        kept.append(len(set(near[0][near[0] != i][:10]) & set(near[1][near[1] != i][:10])) / 10)
    scores = report.scores["one"]
    assert scores.overlap[0] == pytest.approx(np.mean(kept), abs=1e-9)
    assert scores.effective_rank[0] == pytest.approx(1)
    one = space.train[:, :1]
    references = []
    for strength in STRENGTHS:  # the probe takes the one of them that is best on a fifth of the training rows
        model = LogisticRegression(C=strength, tol=1e-8, max_iter=20_000)
        model.fit((one - one.mean()) / one.std(), data.labels[train])
        references.append(model.score((space.test[:, :1] - one.mean()) / one.std(), data.labels[test]))
    assert min(abs(scores.probes["target"][0] - each) for each in references) <= 1 / TEST + 1e-9


def test_wider_is_better_and_never_above_all(report):
    scores = report.scores["one"]
    assert scores.probes["target"][-1] > scores.probes["target"][0] + 0.3
    assert scores.overlap[-1] > scores.overlap[3] > scores.overlap[0] > report.overlap_chance
    assert all(1 <= rank <= width + 1e-9 for rank, width in zip(scores.effective_rank, report.widths, strict=True))
    assert report.raw.overlap == [1.0]
    assert report.chance["target"] < 0.2


def test_a_report_comes_back_from_its_parts(report):
    again = WidthReport.from_parts(*report.to_parts())
    np.testing.assert_array_equal(again.places["one"], report.places["one"])
    assert (again.scores, again.raw, again.widths) == (report.scores, report.raw, report.widths)


def test_a_first_number_that_is_always_the_same_has_no_neighbours_and_no_rank(data, rows):
    train, test, raw, space = rows
    flat = SpaceRows(
        *(np.concatenate([np.ones((len(each), 1), np.float32), each], 1) for each in (space.train, space.test))
    )
    report = measure_widths({"flat": flat}, raw, [1, 2], Probes(data, train, test, 3, None))
    scores = report.scores["flat"]
    assert (scores.overlap[0], scores.effective_rank[0]) == (None, None)
    assert scores.overlap[1] is not None
    assert np.isfinite(report.places["flat"]).all()
