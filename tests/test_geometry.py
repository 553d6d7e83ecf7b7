"""Comparing spaces: against slow loops, by what must not change a number, and what a person reads when there is no number."""

import math

import numpy as np
import pytest

from kdlib.analysis.geometry import (
    compare_neighbours,
    continuity,
    distance_correlation,
    effective_rank,
    expected_overlap,
    knn_overlap,
    linear_cka,
    neighbour_changes,
    neighbours,
    permuted_overlap,
    procrustes_align,
    shared_neighbours,
    silhouette,
    trustworthiness,
)

PAIRWISE = [
    knn_overlap,
    neighbour_changes,
    linear_cka,
    distance_correlation,
    trustworthiness,
    continuity,
    procrustes_align,
]


def draw(n, d, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d))


def rotation(d, seed=7):
    return np.linalg.qr(draw(d, d, seed))[0]


def clusters(n=90, d=5, classes=3, seed=0):
    """Return rows around well separated centres, and their classes."""
    labels = np.arange(n) % classes
    return 20 * draw(classes, d, seed)[labels] + draw(n, d, seed + 1), labels


def brute_force(x, k):
    """Return the k nearest other rows of each row, one distance at a time; of equally near rows the first."""
    rows = range(len(x))
    return np.array([sorted((math.dist(x[i], x[j]), j) for j in rows if j != i)[:k] for i in rows])[:, :, 1].astype(int)


# Neighbours.


@pytest.mark.parametrize(("n", "d"), [(12, 1), (60, 2), (150, 3), (80, 40), (40, 300)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_neighbours_equal_brute_force(n, d, dtype):
    x = draw(n, d).astype(dtype)
    np.testing.assert_array_equal(neighbours(x, 10), brute_force(x, 10))


def test_neighbours_are_found_over_many_blocks(monkeypatch):
    x = draw(150, 6)
    monkeypatch.setattr("kdlib.analysis.geometry.BLOCK", 1000)
    np.testing.assert_array_equal(neighbours(x, 5), brute_force(x, 5))


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_neighbours_do_not_depend_on_scale_or_offset(scale):
    x = draw(100, 4)
    np.testing.assert_array_equal(neighbours(x * scale, 5), brute_force(x, 5))
    np.testing.assert_array_equal(neighbours(x + 1e4, 5), brute_force(x, 5))


def test_neighbours_inside_clusters_too_tight_for_float32_products_are_right():
    x = np.repeat(draw(4, 8), 25, axis=0) + 1e-5 * draw(100, 8, seed=1)
    np.testing.assert_array_equal(neighbours(x, 10), brute_force(x, 10))


@pytest.mark.parametrize("d", [1, 7, 64])
def test_a_row_among_duplicates_is_never_its_own_neighbour_and_ties_go_to_the_first(d):
    x = np.repeat(draw(6, d), 20, axis=0)[np.random.default_rng(1).permutation(120)].astype(np.float32)
    table = neighbours(x, 10)
    assert not (table == np.arange(120)[:, None]).any()
    np.testing.assert_array_equal(table, brute_force(x, 10))


def test_neighbours_when_a_third_of_the_rows_is_zero():
    x = np.maximum(draw(90, 5), 0)
    x[::3] = 0
    np.testing.assert_array_equal(neighbours(x, 7), brute_force(x, 7))


def test_all_other_rows_are_neighbours_at_the_largest_k():
    assert neighbours(np.array([[0.0], [1.0], [5.0]]), 2).tolist() == [[1, 2], [0, 2], [1, 0]]


# Two tables of neighbours.


def test_kept_lost_and_gained_of_four_points_on_a_line():
    a, b = np.array([[0.0], [1.0], [2.1], [3.3]]), np.array([[0.0], [1.0], [10.0], [-1.1]])
    changes = neighbour_changes(a, b, k=2)
    assert neighbours(a, 2).tolist()[0] == [1, 2]
    assert neighbours(b, 2).tolist()[0] == [1, 3]
    assert [part[0].tolist() for part in changes] == [[1], [2], [3]]


def test_kept_lost_and_gained_equal_sets():
    before, after = neighbours(draw(70, 4), 8), neighbours(draw(70, 3, seed=1), 8)
    changes = compare_neighbours(before, after)
    for i in range(70):
        old, new = before[i].tolist(), after[i].tolist()
        assert changes.kept[i].tolist() == [j for j in old if j in new]
        assert changes.lost[i].tolist() == [j for j in old if j not in new]
        assert changes.gained[i].tolist() == [j for j in new if j not in old]
        assert shared_neighbours(before, after)[i] == len(set(old) & set(new)) / 8


def test_overlap_is_all_of_a_turned_space_and_chance_of_an_unrelated_one():
    x = draw(800, 6)
    assert knn_overlap(x, 3 * x @ rotation(6) + 4, k=5) == 1
    shuffled = x[np.random.default_rng(3).permutation(800)]
    assert knn_overlap(x, shuffled, k=10) == pytest.approx(
        expected_overlap(800, 10), abs=0.005
    )  # 8,000 draws of 1.25 %


def test_expected_overlap_is_that_of_all_permutations():
    assert expected_overlap(11, 10) == 1
    assert expected_overlap(101, 10) == 0.1


# Numbers that compare two spaces.


def slow_cka(a, b):
    n = len(a)
    centring = np.eye(n) - np.ones((n, n)) / n
    k, l = centring @ a @ a.T @ centring, centring @ b @ b.T @ centring  # noqa: E741
    return np.trace(k @ l) / math.sqrt(np.trace(k @ k) * np.trace(l @ l))


def slow_distance_correlation(a, b):
    def centred(x):
        d = np.array([[math.dist(p, q) for q in x] for p in x])
        return np.array(
            [[d[i, j] - d[i].mean() - d[:, j].mean() + d.mean() for j in range(len(x))] for i in range(len(x))]
        )

    a, b = centred(a), centred(b)
    return math.sqrt((a * b).mean() / math.sqrt((a * a).mean() * (b * b).mean()))


@pytest.mark.parametrize(
    ("function", "slow"), [(linear_cka, slow_cka), (distance_correlation, slow_distance_correlation)]
)
@pytest.mark.parametrize(("n", "d_a", "d_b"), [(30, 4, 7), (10, 3, 50), (3, 1, 2)])
def test_equals_its_slow_reference(function, slow, n, d_a, d_b):
    a, b = draw(n, d_a), draw(n, d_b, seed=1)
    assert function(a, b) == pytest.approx(slow(a, b), abs=1e-9)


@pytest.mark.parametrize("function", [linear_cka, distance_correlation])
def test_one_for_a_turned_space_and_symmetric_at_any_scale(function):
    a, b = draw(50, 4), draw(50, 6, seed=1)
    assert function(a, 5 * a @ rotation(4) + 3) == pytest.approx(1, abs=1e-9)
    for scale in (1e-30, 1e30):
        assert function(b, a * scale) == pytest.approx(function(a, b), abs=1e-9)


def test_distance_correlation_sees_a_relation_that_cka_does_not():
    x = np.linspace(-1, 1, 201)[:, None]
    assert linear_cka(x, x**2) < 1e-9
    assert distance_correlation(x, x**2) > 0.4


def test_a_sample_stands_for_all_rows():
    a = draw(3000, 3)
    b = a + draw(3000, 3, seed=1)
    assert distance_correlation(a, b, sample=600) == pytest.approx(distance_correlation(a, b, sample=3000), abs=0.03)
    assert distance_correlation(a, b, sample=600) == distance_correlation(a, b, sample=600)


# Numbers of one space.


@pytest.mark.parametrize(("n", "d"), [(40, 6), (6, 40), (2, 3), (9, 1)])
def test_effective_rank_equals_the_entropy_of_the_singular_values(n, d):
    x = draw(n, d)
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
    assert abs(silhouette(draw(90, 5), labels)) < 0.1
    hidden = np.where(np.arange(90) < 30, -1, labels)
    assert silhouette(x, hidden) == silhouette(x[30:], labels[30:])


# Maps.


def slow_trustworthiness(space, projected, k):
    n = len(space)
    near, ranks = brute_force(projected, k), brute_force(space, n - 1)
    penalty = sum(max(ranks[i].tolist().index(j) + 1 - k, 0) for i in range(n) for j in near[i])
    return 1 - penalty * 2 / (n * k * (2 * n - 3 * k - 1))


def test_trustworthiness_and_continuity_equal_their_slow_reference():
    space, projected = draw(40, 6), draw(40, 6)[:, :2]
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
    fixed = draw(30, 2)
    moved = scale * (fixed @ rotation(2) * [1, mirror] * 3 + 5)
    np.testing.assert_allclose(procrustes_align(moved, fixed), fixed, atol=1e-9)
    np.testing.assert_allclose(procrustes_align(fixed, moved), moved, atol=1e-9 * scale)


def test_procrustes_is_the_best_of_all_turns_and_keeps_the_shape():
    moving, fixed = draw(20, 2), draw(20, 2, seed=1)
    aligned = procrustes_align(moving, fixed)
    assert ((aligned - fixed) ** 2).sum() <= ((moving - moving.mean(0) + fixed.mean(0) - fixed) ** 2).sum()
    best, centred = ((aligned - fixed) ** 2).sum(), aligned - aligned.mean(0)
    for angle in np.linspace(-3, 3, 61):
        for size in (0.9, 1.0, 1.1):
            turn = size * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
            assert ((centred @ turn + aligned.mean(0) - fixed) ** 2).sum() >= best - 1e-9
    np.testing.assert_array_equal(neighbours(aligned, 3), neighbours(moving, 3))


# Spaces in which there is little or nothing to see: a number, or "undefined: reason", never NaN and never a warning.

DEGENERATE = {
    "constant": np.ones((30, 3)),
    "zero": np.zeros((30, 3)),
    "constant but for rounding": np.full((30, 3), 0.1) + 0.2,
    "one row": draw(1, 3),
    "two rows": draw(2, 3),
    "three rows": draw(3, 3),
    "no rows": np.zeros((0, 3)),
    "no columns": np.zeros((30, 0)),
    "two places only": np.repeat([[0.0, 0.0], [1.0, 2.0]], 15, axis=0),
    "one row differs": np.vstack([np.ones((29, 2)), [[1.0, 2.0]]]),
    "width one": draw(30, 1),
    "NaN": np.where(np.eye(30, 3) > 0, np.nan, draw(30, 3)),
    "infinite": np.where(np.eye(30, 3) > 0, np.inf, draw(30, 3)),
    "mixed scales": draw(30, 3) * np.logspace(-30, 30, 30)[:, None],
}
OF_TWO = {f.__name__: f for f in (knn_overlap, linear_cka, distance_correlation, trustworthiness, continuity)}
OF_TWO["trustworthiness of 1"] = lambda a, b: trustworthiness(a, b, k=1)
OF_ONE = {"effective_rank": effective_rank, "silhouette": lambda x: silhouette(x, np.arange(len(x)) % 2)}


def defined_or_said(compute):
    try:
        value = compute()
    except ValueError as error:
        assert str(error).startswith("undefined: ")  # noqa: PT017 - either outcome is right
        return None
    assert np.isfinite(value).all()
    return value


@pytest.mark.parametrize("case", DEGENERATE)
@pytest.mark.parametrize("name", OF_TWO)
def test_degenerate_spaces_have_a_number_or_a_reason(name, case):
    x = DEGENERATE[case]
    for a, b in ((x, draw(len(x), 2, seed=5)), (draw(len(x), 2, seed=5), x), (x, x)):
        value = defined_or_said(lambda: OF_TWO[name](a, b))  # noqa: B023 - called at once
        assert value is None or 0 <= value <= 1


@pytest.mark.parametrize("case", DEGENERATE)
@pytest.mark.parametrize("name", OF_ONE)
def test_degenerate_space_alone_has_a_number_or_a_reason(name, case):
    defined_or_said(lambda: OF_ONE[name](DEGENERATE[case]))


@pytest.mark.parametrize("case", DEGENERATE)
def test_degenerate_maps_align_or_say_why_not(case):
    x = DEGENERATE[case]
    other = draw(*x.shape, seed=5)
    defined_or_said(lambda: procrustes_align(x, other))
    defined_or_said(lambda: procrustes_align(other, x))


def test_what_is_defined_is_not_refused():
    for name in ("two places only", "one row differs", "width one", "mixed scales"):
        assert knn_overlap(DEGENERATE[name], DEGENERATE[name]) == 1
        assert linear_cka(DEGENERATE[name], DEGENERATE[name]) == pytest.approx(1)
        assert effective_rank(DEGENERATE[name]) >= 1
    assert linear_cka(DEGENERATE["three rows"], draw(3, 2, seed=1)) > 0


@pytest.mark.parametrize(
    ("compute", "message"),
    [
        (lambda: neighbours(draw(3, 2), 10), "^undefined: 10 neighbours need at least 11 rows, got 3$"),
        (lambda: neighbours(draw(3, 2), 0), "^the number of neighbours must be at least 1, got 0$"),
        (lambda: expected_overlap(10), "^undefined: 10 neighbours need at least 11 rows, got 10$"),
        (lambda: neighbours(np.ones((20, 2)), 3), "^undefined: all rows of the space are equal$"),
        (lambda: effective_rank(DEGENERATE["NaN"]), "^undefined: some entries are not finite$"),
        (lambda: effective_rank(np.ones(3)), r"^a space is an array of rows and columns, got shape \(3,\)$"),
        (
            lambda: trustworthiness(draw(9, 3), draw(9, 2)),
            "^undefined: trustworthiness of 10 neighbours needs more than 20 rows, got 9$",
        ),
        (
            lambda: silhouette(draw(4, 2), np.zeros(4, int)),
            "^undefined: a silhouette needs two classes .*, got 4 rows, 1 class",
        ),
        (
            lambda: procrustes_align(draw(4, 2), draw(4, 3)),
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
        function(draw(64, 2), draw(63, 2))


def test_the_permuted_overlap_is_what_chance_shares():
    a, b = np.random.default_rng(0).normal(size=(2, 300, 4))
    before, after = neighbours(a, 10), neighbours(b, 10)
    assert permuted_overlap(before, after) == pytest.approx(expected_overlap(300), abs=0.01)
    assert permuted_overlap(before, before) == pytest.approx(expected_overlap(300), abs=0.01)
