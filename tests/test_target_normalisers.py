"""Every target normaliser: its formula against numpy, what degenerate targets become, what of a run it changes."""

import numpy as np
import pytest
import torch
from torch.func import vmap

from kdlib import pipeline
from kdlib.checks import check
from kdlib.spec import RunSpec
from kdlib.training.target_normalisers import TARGET_NORMALISERS, hadamard

SPEC = RunSpec(
    dataset="digits", teacher="random", labels=60, loss="mse", epochs=2, batch_size=20, width=2, seeds=2, dim=4
)
FITTED = [name for name in TARGET_NORMALISERS if name != "none"]


def draw(n=200, d=4, seed=0):
    """Return rows that are correlated, off centre and of different scales."""
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) * np.logspace(0, -1, d) + 3).float()


@pytest.mark.parametrize("name", TARGET_NORMALISERS)
def test_equals_its_slow_reference(name):
    targets = draw()
    rows = targets.double().numpy()
    centred = rows - rows.mean(0)
    variances, axes = np.linalg.eigh(np.cov(rows.T, bias=True))
    axes = axes * np.sign([column[np.argmax(abs(column))] for column in axes.T])
    turn = np.array([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]]) / 2
    expected = {
        "none": rows,
        "standardise": centred / rows.std(0),
        "whiten": np.stack([axes @ np.diag(variances**-0.5) @ axes.T @ row for row in centred]),
        "phi_s": np.stack([turn @ axes.T @ row for row in centred]) / np.sqrt(variances.mean()),
    }[name]
    np.testing.assert_allclose(TARGET_NORMALISERS[name].function(targets), expected, atol=1e-3)


def test_four_points_on_a_line_by_hand():
    targets = torch.tensor([[1.0, 1.0], [3.0, 3.0], [1.0, 1.0], [3.0, 3.0]])
    ones = torch.tensor([[-1.0, -1.0], [1.0, 1.0], [-1.0, -1.0], [1.0, 1.0]])
    np.testing.assert_allclose(TARGET_NORMALISERS["standardise"].function(targets), ones, atol=1e-5)
    # one axis, (1, 1) / √2, of variance 2: whitened it has variance 1, shared by both numbers
    np.testing.assert_allclose(TARGET_NORMALISERS["whiten"].function(targets), ones / 2**0.5, atol=1e-5)
    # coordinates 0 and ± √2 on the axes; (0 ± √2, 0 ∓ √2) / √2 over the scale 1
    turned = TARGET_NORMALISERS["phi_s"].function(targets)
    np.testing.assert_allclose(turned.abs(), torch.ones(4, 2), atol=1e-5)


@pytest.mark.parametrize("name", FITTED)
def test_every_number_varies_alike_afterwards(name):
    normalised = TARGET_NORMALISERS[name].function(draw())
    np.testing.assert_allclose(normalised.mean(0), np.zeros(4), atol=1e-4)
    np.testing.assert_allclose(normalised.std(0, correction=0), np.ones(4), atol=1e-3)


def test_phi_s_keeps_the_geometry_and_whitening_makes_it_round():
    targets = draw()
    before, after = torch.pdist(targets), torch.pdist(TARGET_NORMALISERS["phi_s"].function(targets))
    np.testing.assert_allclose(after / before, (after[0] / before[0]).expand(len(before)), rtol=1e-3)
    covariance = torch.cov(TARGET_NORMALISERS["whiten"].function(targets).T, correction=0)
    np.testing.assert_allclose(covariance, np.eye(4), atol=1e-3)


@pytest.mark.parametrize("name", FITTED)
@pytest.mark.parametrize(
    "targets",
    [torch.zeros(5, 4), torch.ones(1, 4), draw(1).expand(5, -1), draw(3, 8), draw() * 1e-20, draw() * 1e15],
    ids=["zero", "one row", "identical rows", "fewer rows than numbers", "tiny", "huge"],
)
def test_degenerate_targets_stay_finite(name, targets):
    normalised = TARGET_NORMALISERS[name].function(targets)
    assert normalised.shape == targets.shape
    assert normalised.dtype == torch.float32
    assert normalised.isfinite().all()
    if len(targets.unique(dim=0)) == 1:
        np.testing.assert_allclose(normalised, torch.zeros_like(targets), atol=1e-5)


@pytest.mark.parametrize("name", [name for name in TARGET_NORMALISERS if TARGET_NORMALISERS[name].moving])
def test_what_may_move_runs_for_many_members_at_once(name):
    many = torch.stack([draw(seed=seed) for seed in range(3)])
    function = TARGET_NORMALISERS[name].function
    torch.testing.assert_close(vmap(function)(many), torch.stack([function(each) for each in many]))


@pytest.mark.parametrize("size", [1, 2, 8, 64])
def test_a_hadamard_matrix_is_orthonormal_with_entries_of_one_size(size):
    matrix = hadamard(size)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(size), atol=1e-12)
    np.testing.assert_allclose(matrix.abs(), np.full((size, size), size**-0.5))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target_normaliser": "sphere"}, "unknown target normaliser 'sphere', choose one of: none, standardise"),
        ({"target_normaliser": "whiten"}, "whiten is fitted before training, but the compressor mlp learns"),
        ({"target_normaliser": "phi_s", "method": "pca", "dim": 6}, "width is a power of 2, got 6"),
        ({"soft_label_loss": "l1"}, "unknown soft-label loss 'l1', choose one of: kl, dist"),
        ({"soft_label_loss": "dist", "augmentation": "mixup"}, "dist compares whole batches, but augmentation mixup"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(changes, message):
    with pytest.raises(ValueError, match=message):
        check(SPEC.replace(**changes))


@pytest.mark.parametrize("method", ["pca", "autoencoder", "mlp"])
def test_a_run_is_pulled_to_normalised_targets_and_its_compressor_stays(method):
    spec = SPEC.replace(method=method, target_normaliser="standardise", soft_label_weight=0.5, epochs=1)
    plain, normalised = pipeline.run(spec.replace(target_normaliser="none")), pipeline.run(spec)
    assert normalised.status == "done"
    for name in ("compressed/test", "compressed/train"):
        np.testing.assert_allclose(normalised.arrays[name], plain.arrays[name], atol=1e-5)
    assert not np.allclose(normalised.arrays["features/test"], plain.arrays["features/test"], atol=1e-3)
    assert normalised.teacher.head["test"]["accuracy"].values == plain.teacher.head["test"]["accuracy"].values


def test_the_first_distance_is_that_of_the_normalised_targets():
    stepper, rows = pipeline.build_stepper(SPEC.replace(method="pca", target_normaliser="whiten"))
    view = stepper.view(np.arange(len(rows)))
    np.testing.assert_allclose(np.cov(view.target.T, bias=True), np.eye(4), atol=1e-3)
    assert view.losses["distance"] == pytest.approx(np.mean((view.features - view.target) ** 2), rel=1e-4)
    moving, rows = pipeline.build_stepper(SPEC.replace(method="mlp", target_normaliser="standardise"))
    np.testing.assert_allclose(moving.view(np.arange(20)).target.std(0), np.ones(4), atol=1e-3)
