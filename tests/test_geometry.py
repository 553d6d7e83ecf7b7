"""Geometry against slow loops, by what must not change a number, and the messages when there is no number."""

import math

import numpy as np
import pytest

from kdlib.analysis.geometry import (
    continuity,
    distance_correlation,
    effective_rank,
    linear_cka,
    procrustes_align,
    silhouette,
    trustworthiness,
)
from kdlib.analysis.neighbours import find_neighbours
from tests.random_spaces import DEGENERATE, compute_or_undefined, nearest_by_brute_force, random_rows, rotation

PAIRWISE = [linear_cka, distance_correlation, trustworthiness, continuity, procrustes_align]


def clusters(n=90, d=5, classes=3, seed=0):
    """Return rows around well separated centres, and their classes."""
    labels = np.arange(n) % classes
    return 20 * random_rows(classes, d, seed)[labels] + random_rows(n, d, seed + 1), labels


# Numbers that compare two spaces.


def slow_cka(a, b):
    n = len(a)
    centring = np.eye(n) - np.ones((n, n)) / n
    k, l = centring @ a @ a.T @ centring, centring @ b @ b.T @ centring  # noqa: E741
    return np.trace(k @ l) / math.sqrt(np.trace(k @ k) * np.trace(l @ l))


def slow_distance_correlation(a, b):
    def double_centred(x):
        d = np.array([[math.dist(p, q) for q in x] for p in x])
        return np.array(
            [[d[i, j] - d[i].mean() - d[:, j].mean() + d.mean() for j in range(len(x))] for i in range(len(x))]
        )

    a, b = double_centred(a), double_centred(b)
    return math.sqrt((a * b).mean() / math.sqrt((a * a).mean() * (b * b).mean()))


@pytest.mark.parametrize(
    ("function", "slow"), [(linear_cka, slow_cka), (distance_correlation, slow_distance_correlation)]
)
@pytest.mark.parametrize(("n", "d_a", "d_b"), [(30, 4, 7), (10, 3, 50), (3, 1, 2)])
def test_equals_its_slow_reference(function, slow, n, d_a, d_b):
    a, b = random_rows(n, d_a), random_rows(n, d_b, seed=1)
    assert function(a, b) == pytest.approx(slow(a, b), abs=1e-9)


@pytest.mark.parametrize("function", [linear_cka, distance_correlation])
def test_one_for_a_turned_space_and_symmetric_at_any_scale(function):
    a, b = random_rows(50, 4), random_rows(50, 6, seed=1)
    assert function(a, 5 * a @ rotation(4) + 3) == pytest.approx(1, abs=1e-9)
    for scale in (1e-30, 1e30):
        assert function(b, a * scale) == pytest.approx(function(a, b), abs=1e-9)


def test_distance_correlation_sees_a_relation_that_cka_does_not():
    x = np.linspace(-1, 1, 201)[:, None]
    assert linear_cka(x, x**2) < 1e-9
    assert distance_correlation(x, x**2) > 0.4


def test_a_sample_stands_for_all_rows():
    a = random_rows(3000, 3)
    b = a + random_rows(3000, 3, seed=1)
    assert distance_correlation(a, b, sample=600) == pytest.approx(distance_correlation(a, b, sample=3000), abs=0.03)
    assert distance_correlation(a, b, sample=600) == distance_correlation(a, b, sample=600)


# Numbers of one space.


@pytest.mark.parametrize(("n", "d"), [(40, 6), (6, 40), (2, 3), (9, 1)])
def test_effective_rank_equals_the_entropy_of_the_singular_values(n, d):
    x = random_rows(n, d)
    values = np.linalg.svd(x - x.mean(axis=0), compute_uv=False)
    p = values[values > 1e-9] / values.sum()
    assert effective_rank(x) == pytest.approx(math.exp(-sum(q * math.log(q) for q in p)), rel=1e-6)


def test_effective_rank_counts_equal_directions():
    corners = np.array([[i, j, k] for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)], dtype=float)
    assert effective_rank(corners) == pytest.approx(3)
    assert effective_rank(np.hstack([corners[:, :2], np.zeros((8, 5))]) @ rotation(7) + 9) == pytest.approx(2)
    assert effective_rank(np.outer(np.arange(9), [1, 2, 3])) == pytest.approx(1)


def test_silhouette_of_four_points_on_a_line():
    # a = 1; b = 10.5 for the outer rows (mean of 10 and 11), 9.5 for the inner ones
    expected = (2 * (10.5 - 1) / 10.5 + 2 * (9.5 - 1) / 9.5) / 4
    assert silhouette(np.array([[0.0], [1], [10], [11]]), np.array([0, 0, 1, 1])) == pytest.approx(expected)


def test_silhouette_tells_separated_from_mixed_classes_and_skips_missing_labels():
    x, labels = clusters()
    assert silhouette(x, labels) > 0.7
    assert abs(silhouette(random_rows(90, 5), labels)) < 0.1
    hidden = np.where(np.arange(90) < 30, -1, labels)
    assert silhouette(x, hidden) == silhouette(x[30:], labels[30:])


# Maps.


def slow_trustworthiness(space, projected, k):
    n = len(space)
    near, ranks = nearest_by_brute_force(projected, k), nearest_by_brute_force(space, n - 1)
    penalty = sum(max(ranks[i].tolist().index(j) + 1 - k, 0) for i in range(n) for j in near[i])
    return 1 - penalty * 2 / (n * k * (2 * n - 3 * k - 1))


def test_trustworthiness_and_continuity_equal_their_slow_reference():
    space, projected = random_rows(40, 6), random_rows(40, 6)[:, :2]
    assert trustworthiness(space, projected, k=5) == pytest.approx(slow_trustworthiness(space, projected, 5))
    assert continuity(space, projected, k=5) == pytest.approx(slow_trustworthiness(projected, space, 5))


def test_folding_a_map_harms_trust_and_cutting_it_harms_continuity():
    line = np.linspace(0, 1, 100)[:, None]
    folded, cut = (
        np.abs(line - 0.5),
        np.where(line < 0.5, line, line + 50) * np.where(np.arange(100) % 2, 1, -1)[:, None],
    )
    assert continuity(line, folded, k=4) > trustworthiness(line, folded, k=4) + 0.05
    assert trustworthiness(line, cut, k=4) > continuity(line, cut, k=4) + 0.01
    assert trustworthiness(line, 7 * line - 3, k=4) == continuity(line, 7 * line - 3, k=4) == 1


def test_a_sample_judges_the_map_like_all_rows():
    space, _ = clusters(900)
    assert trustworthiness(space, space[:, :2], sample=300) == pytest.approx(
        trustworthiness(space, space[:, :2]), abs=0.05
    )


@pytest.mark.parametrize("scale", [1e-30, 1, 1e30])
@pytest.mark.parametrize("mirror", [1, -1])
def test_procrustes_undoes_rotation_mirror_scale_and_shift(scale, mirror):
    fixed = random_rows(30, 2)
    moved = scale * (fixed @ rotation(2) * [1, mirror] * 3 + 5)
    np.testing.assert_allclose(procrustes_align(moved, fixed), fixed, atol=1e-9)
    np.testing.assert_allclose(procrustes_align(fixed, moved), moved, atol=1e-9 * scale)


def test_procrustes_is_the_best_of_all_turns_and_keeps_the_shape():
    moving, fixed = random_rows(20, 2), random_rows(20, 2, seed=1)
    aligned = procrustes_align(moving, fixed)
    assert ((aligned - fixed) ** 2).sum() <= ((moving - moving.mean(0) + fixed.mean(0) - fixed) ** 2).sum()
    best, centred = ((aligned - fixed) ** 2).sum(), aligned - aligned.mean(0)
    for angle in np.linspace(-3, 3, 61):
        for size in (0.9, 1.0, 1.1):
            turn = size * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
            assert ((centred @ turn + aligned.mean(0) - fixed) ** 2).sum() >= best - 1e-9
    np.testing.assert_array_equal(find_neighbours(aligned, 3), find_neighbours(moving, 3))


# Spaces in which there is little or nothing to see: a number, or "undefined: reason", never NaN and never a warning.

OF_TWO = {f.__name__: f for f in (linear_cka, distance_correlation, trustworthiness, continuity)}
OF_TWO["trustworthiness of 1"] = lambda a, b: trustworthiness(a, b, k=1)
OF_ONE = {"effective_rank": effective_rank, "silhouette": lambda x: silhouette(x, np.arange(len(x)) % 2)}


@pytest.mark.parametrize("case", DEGENERATE)
@pytest.mark.parametrize("name", OF_TWO)
def test_degenerate_spaces_have_a_number_or_a_reason(name, case):
    x = DEGENERATE[case]
    for a, b in ((x, random_rows(len(x), 2, seed=5)), (random_rows(len(x), 2, seed=5), x), (x, x)):
        value = compute_or_undefined(lambda: OF_TWO[name](a, b))  # noqa: B023 - called at once
        assert value is None or 0 <= value <= 1


@pytest.mark.parametrize("case", DEGENERATE)
@pytest.mark.parametrize("name", OF_ONE)
def test_degenerate_space_alone_has_a_number_or_a_reason(name, case):
    compute_or_undefined(lambda: OF_ONE[name](DEGENERATE[case]))


@pytest.mark.parametrize("case", DEGENERATE)
def test_degenerate_maps_align_or_say_why_not(case):
    x = DEGENERATE[case]
    other = random_rows(*x.shape, seed=5)
    compute_or_undefined(lambda: procrustes_align(x, other))
    compute_or_undefined(lambda: procrustes_align(other, x))


def test_what_is_defined_is_not_refused():
    for name in ("two places only", "one row differs", "width one", "mixed scales"):
        assert linear_cka(DEGENERATE[name], DEGENERATE[name]) == pytest.approx(1)
        assert effective_rank(DEGENERATE[name]) >= 1
    assert linear_cka(DEGENERATE["three rows"], random_rows(3, 2, seed=1)) > 0


@pytest.mark.parametrize(
    ("compute", "message"),
    [
        (lambda: effective_rank(DEGENERATE["NaN"]), "^undefined: some entries are not finite$"),
        (lambda: effective_rank(np.ones(3)), r"^a space is an array of rows and columns, got shape \(3,\)$"),
        (
            lambda: trustworthiness(random_rows(9, 3), random_rows(9, 2)),
            "^undefined: trustworthiness of 10 neighbours needs more than 20 rows, got 9$",
        ),
        (
            lambda: silhouette(random_rows(4, 2), np.zeros(4, int)),
            "^undefined: a silhouette needs two classes .*, got 4 rows, 1 class",
        ),
        (
            lambda: procrustes_align(random_rows(4, 2), random_rows(4, 3)),
            r"^aligning needs two maps of the same shape, got \(4, 2\) and \(4, 3\)$",
        ),
    ],
)
def test_the_reason_can_be_read(compute, message):
    with pytest.raises(ValueError, match=message):
        compute()


@pytest.mark.parametrize("function", PAIRWISE, ids=lambda function: function.__name__)
def test_different_numbers_of_rows_are_refused(function):
    with pytest.raises(ValueError, match=r"got .*\b64\b.* and .*\b63\b"):
        function(random_rows(64, 2), random_rows(63, 2))
