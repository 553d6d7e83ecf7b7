"""Every compressor: widths, new rows, and that what is called trained or fixed is."""

import numpy as np
import pytest
import torch

from kdlib import checks
from kdlib.models import compressors
from kdlib.models.branches import TeacherBranch
from kdlib.models.compressors import COMPRESSORS
from kdlib.progress import CancelledError
from kdlib.spec import RunSpec

FIXED = [name for name, entry in COMPRESSORS.items() if not entry.trainable]
TRAINABLE = [name for name, entry in COMPRESSORS.items() if entry.trainable]


def _rows(n: int = 60, d_t: int = 12, k: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = np.arange(n) % k
    return (rng.normal(size=(n, d_t)) + 3 * np.eye(k, d_t)[labels]).astype(np.float32), labels


@pytest.mark.parametrize("name", FIXED)
@pytest.mark.parametrize("dim", [1, 3, 8])
def test_fixed_ones_give_the_width_they_tell_for_new_rows(name, dim):
    rows, labels = _rows()
    fitted = COMPRESSORS[name].build(dim, 0).fit(rows, labels)
    compressed = fitted.transform(rows[:5] + 1)
    assert compressed.shape == (5, COMPRESSORS[name].width(12, dim, 4))
    assert np.isfinite(compressed).all()


@pytest.mark.parametrize("name", FIXED)
def test_fixed_ones_depend_on_the_seed_as_they_tell(name):
    rows, labels = _rows()
    first, same, other = (COMPRESSORS[name].build(3, seed).fit(rows, labels).transform(rows) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, same)
    assert np.allclose(first, other, atol=1e-4) != COMPRESSORS[name].seeded


@pytest.mark.parametrize("name", TRAINABLE)
@pytest.mark.parametrize("dim", [1, 2, 6, 8])
def test_trainable_ones_give_the_width_and_one_head_per_prefix(name, dim):
    entry = COMPRESSORS[name]
    branch = TeacherBranch(entry.build(12, dim), entry.prefixes(dim), 4)
    compressed, logits = branch(torch.randn(5, 12))
    assert compressed.shape == (5, dim)
    assert entry.prefixes(dim)[-1] == dim
    assert [each.shape for each in logits] == [(5, 4)] * len(entry.prefixes(dim))


def test_matryoshka_trains_every_doubling_prefix():
    assert [COMPRESSORS["matryoshka"].prefixes(dim) for dim in (1, 2, 3, 8, 12)] == [
        (1,),
        (2,),
        (2, 3),
        (2, 4, 8),
        (2, 4, 8, 12),
    ]


def test_pca_keeps_the_widest_directions():
    rng = np.random.default_rng(0)
    rows = (rng.normal(size=(500, 3)) * [10, 1, 0.1]).astype(np.float32)
    compressed = COMPRESSORS["pca"].build(1, 0).fit(rows, np.zeros(500)).transform(rows)
    assert abs(np.corrcoef(compressed[:, 0], rows[:, 0])[0, 1]) > 0.999


def test_lda_separates_what_pca_does_not():
    rng = np.random.default_rng(0)
    labels = np.arange(400) % 2
    rows = np.stack([rng.normal(size=400) * 20, labels * 4 + rng.normal(size=400)], axis=1).astype(np.float32)
    pca, lda = (COMPRESSORS[name].build(1, 0).fit(rows, labels).transform(rows)[:, 0] for name in ("pca", "lda"))
    assert abs(np.corrcoef(lda, labels)[0, 1]) > 0.85
    assert abs(np.corrcoef(pca, labels)[0, 1]) < 0.3


def test_pls_separates_what_pca_does_not_and_is_not_bound_to_the_classes():
    rng = np.random.default_rng(0)
    labels = np.arange(400) % 2
    rows = np.c_[rng.normal(size=400) * 20, labels * 4 + rng.normal(size=400), rng.normal(size=400)].astype(np.float32)
    compressed = COMPRESSORS["pls"].build(2, 0).fit(rows, labels).transform(rows)
    assert compressed.shape == (400, 2)
    assert abs(np.corrcoef(compressed[:, 0], labels)[0, 1]) > 0.85


def test_the_first_direction_of_pls_is_that_of_the_covariances():
    # by definition: the unit vector w that maximises cov(standardised rows · w, labels)
    rng = np.random.default_rng(1)
    labels = np.arange(50) % 2
    rows = (rng.normal(size=(50, 4)) + labels[:, None] * [2, 1, 0, 0]).astype(np.float32)
    standardised = (rows - rows.mean(0)) / rows.std(0, ddof=1)
    weights = standardised.T @ (labels - labels.mean())
    first = standardised @ weights / np.linalg.norm(weights)
    compressed = COMPRESSORS["pls"].build(3, 0).fit(rows, labels).transform(rows)[:, 0]
    np.testing.assert_allclose(np.abs(compressed), np.abs(first), rtol=1e-4, atol=1e-5)


def test_pls_takes_several_labels_per_item_and_missing_ones():
    rows, labels = _rows()
    many = np.eye(4, dtype=np.float32)[labels]
    many[::3, 1] = np.nan
    many[:, 3] = np.nan
    compressed = COMPRESSORS["pls"].build(2, 0).fit(rows, many).transform(rows)
    assert np.isfinite(compressed).all()
    kept = np.where(np.arange(len(labels)) % 7 == 0, -1, labels)
    without = COMPRESSORS["pls"].build(2, 0).fit(rows[kept >= 0], kept[kept >= 0]).transform(rows)
    np.testing.assert_allclose(COMPRESSORS["pls"].build(2, 0).fit(rows, kept).transform(rows), without)


def test_pls_says_that_one_class_is_too_few():
    with pytest.raises(ValueError, match="pls needs at least 2 classes"):
        COMPRESSORS["pls"].build(2, 0).fit(_rows()[0], np.zeros(60, int))


def _two_bands(n=120):
    """Two classes side by side in the second number, while the first one, which says nothing, varies most."""
    rng, labels = np.random.default_rng(0), np.arange(n) % 2
    return np.c_[10 * rng.normal(size=n), 2 * labels + 0.4 * rng.normal(size=n)].astype(np.float32), labels


def test_nca_drops_the_direction_that_says_nothing():
    rows, labels = _two_bands()
    fitted = COMPRESSORS["nca"].build(1, 0).fit(rows, labels)
    assert abs(np.corrcoef(fitted.transform(rows)[:, 0], labels)[0, 1]) > 0.9
    assert abs(fitted.components[0, 0]) < 0.02 * abs(fitted.components[0, 1])
    pca = COMPRESSORS["pca"].build(1, 0).fit(rows, labels).transform(rows)[:, 0]
    assert abs(np.corrcoef(pca, labels)[0, 1]) < 0.2


def test_nca_finds_the_direction_of_the_most_neighbours_of_the_same_class():
    """Of all directions of that length none has a higher objective, by the sums of Goldberger et al. 2004."""
    rows, labels = _two_bands(60)

    def objective(direction):
        total = 0.0
        for i, row in enumerate(rows):
            squares = np.delete(((rows - row) @ direction) ** 2, i)
            near = np.insert(np.exp(squares.min() - squares), i, 0)
            total += near[labels == labels[i]].sum() / near.sum()
        return total

    direction = COMPRESSORS["nca"].build(1, 0).fit(rows, labels).components[0]
    others = np.deg2rad(np.arange(0, 180, 1))
    best = max(objective(np.linalg.norm(direction) * np.array([np.cos(at), np.sin(at)])) for at in others)
    assert objective(direction) > best - 0.05


def test_nca_learns_from_its_share_of_many_rows_and_can_be_stopped(monkeypatch):
    rows, labels = _two_bands(200)
    monkeypatch.setattr(compressors, "NEIGHBOUR_ROWS", 100)
    labels[::5] = -1
    known = np.flatnonzero(labels >= 0)[:100]
    one, other = (COMPRESSORS["nca"].build(2, 0).fit(*each) for each in ((rows, labels), (rows[known], labels[known])))
    np.testing.assert_array_equal(one.components, other.components)
    with pytest.raises(CancelledError):
        COMPRESSORS["nca"].build(1, 0).fit(rows, labels, lambda progress: progress.step > 1)


def test_nca_says_which_labels_it_cannot_separate(monkeypatch):
    with pytest.raises(ValueError, match=r"^nca needs one label per item.*compressor$"):
        COMPRESSORS["nca"].build(2, 0).fit(np.zeros((4, 3)), np.zeros((4, 2)))
    with pytest.raises(ValueError, match=r"^nca separates classes and needs at least 2.*compressor$"):
        COMPRESSORS["nca"].build(2, 0).fit(_rows()[0], np.zeros(60, int))
    with pytest.raises(ValueError, match="nca needs one label per item"):
        checks._check_compressor(RunSpec(method="nca"), np.zeros((4, 3)))
    monkeypatch.setattr(checks, "NEIGHBOUR_ROWS", 10)
    with pytest.raises(ValueError, match="got dim 16 and 10 rows"):
        checks._check_compressor(RunSpec(method="nca", labels=2000), np.arange(2000) % 10)


@pytest.mark.parametrize(("dim", "on"), [(1, 1), (3, 1), (8, 2), (16, 4)])
def test_sparse_keeps_the_largest_quarter_and_its_gradient(dim, on):
    module = COMPRESSORS["sparse"].build(12, dim)
    rows = torch.randn(5, 12)
    compressed, dense = module(rows), module[:-1](rows)
    assert ((compressed != 0).sum(-1) == on).all()
    threshold = dense.sort(descending=True).values[:, on - 1 : on]
    torch.testing.assert_close(compressed, torch.where(dense >= threshold, dense, 0))
    compressed.sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in module.parameters())


def test_lda_refuses_several_labels_per_item():
    with pytest.raises(ValueError, match="one label per item"):
        COMPRESSORS["lda"].build(2, 0).fit(np.zeros((4, 3)), np.zeros((4, 2)))


@pytest.mark.parametrize("labels", [[0] * 9, [0, 1], [0, 1, 2, 2], [0, 0, 1, 1, 2, 2], [0, 0, -1, -1, -1, 1, 1]])
def test_lda_says_which_labels_it_cannot_separate(labels):
    rows = np.random.default_rng(0).normal(size=(len(labels), 20)).astype(np.float32)
    with pytest.raises(ValueError, match=r"^lda (needs|separates).*compressor$"):
        COMPRESSORS["lda"].build(2, 0).fit(rows, np.array(labels))


@pytest.mark.parametrize("labels", [[0, 1, 1, 1], [0, 0, 1, 1, 1], [0, 1, 2, 2, 2]])
def test_lda_takes_classes_of_one_row_beside_one_of_three(labels):
    rows = np.random.default_rng(0).normal(size=(len(labels), 20)).astype(np.float32)
    fitted = COMPRESSORS["lda"].build(1, 0).fit(rows, np.array(labels))
    assert np.isfinite(fitted.transform(rows)).all()


def test_lda_says_that_rows_do_not_differ_within_the_classes():
    labels = np.repeat([0, 1, 2], 4)
    with pytest.raises(ValueError, match="lda needs embeddings that differ within the classes"):
        COMPRESSORS["lda"].build(2, 0).fit(np.eye(3, 5, dtype=np.float32)[labels], labels)


def test_autoencoder_keeps_what_restores_the_rows():
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(300, 2))
    rows = (hidden @ rng.normal(size=(2, 10))).astype(np.float32)
    compressed = COMPRESSORS["autoencoder"].build(2, 0).fit(rows, np.zeros(300)).transform(rows)
    fit = np.linalg.lstsq(np.c_[compressed, np.ones(300)], hidden, rcond=None)[0]
    assert np.corrcoef((np.c_[compressed, np.ones(300)] @ fit).ravel(), hidden.ravel())[0, 1] > 0.9
