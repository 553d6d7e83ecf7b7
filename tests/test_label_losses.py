"""Losses on labels, soft and hard: right against slow loops, finite where they could break, the same under vmap."""

import math

import numpy as np
import pytest
import torch
from torch.func import grad, vmap

from kdlib.training.label_losses import SOFT_LABEL_LOSSES, dist, prediction, soft_labels


def draw(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


# Soft labels.


def softmax(row, temperature):
    powers = [math.exp(z / temperature) for z in row]
    return [p / sum(powers) for p in powers]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_soft_labels_equal_the_divergence_term_by_term(temperature):
    s, t = draw(7, 5), draw(7, 5, seed=1)
    kl = lambda p, q: sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))  # noqa: E731
    expected = np.mean(
        [kl(softmax(y, temperature), softmax(x, temperature)) for x, y in zip(s.tolist(), t.tolist(), strict=True)]
    )
    assert float(soft_labels(s, t, temperature)) == pytest.approx(temperature**2 * expected, abs=1e-5)
    sigmoid = lambda z: 1 / (1 + math.exp(-z / temperature))  # noqa: E731
    pairs = [(sigmoid(y), sigmoid(x)) for x, y in zip(s.ravel().tolist(), t.ravel().tolist(), strict=True)]
    expected = np.mean([kl((p, 1 - p), (q, 1 - q)) for p, q in pairs])
    assert float(soft_labels(s, t, temperature, multi_label=True)) == pytest.approx(temperature**2 * expected, abs=1e-5)


@pytest.mark.parametrize("multi_label", [False, True])
def test_soft_labels_are_smooth_everywhere(multi_label):
    s, t = draw(4, 3, dtype=torch.float64), draw(4, 3, seed=1, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: soft_labels(x, t, 2.0, multi_label), (s.requires_grad_(),))
    assert float(soft_labels(t, t, 2.0, multi_label)) == pytest.approx(0, abs=1e-12)
    many = draw(3, 4, 5), draw(3, 4, 5, seed=1)
    loop = torch.stack([soft_labels(x, y, 4.0, multi_label) for x, y in zip(*many, strict=True)])
    torch.testing.assert_close(vmap(lambda x, y: soft_labels(x, y, 4.0, multi_label))(*many), loop)


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("temperature", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("scale", [0, 1e-30, 1, 1e4, 1e30])
def test_soft_labels_stay_finite_at_extreme_logits_and_temperatures(multi_label, temperature, scale):
    s = (draw(4, 3) * scale).requires_grad_()
    value = soft_labels(s, draw(4, 3, seed=1) * scale, temperature, multi_label)
    value.backward()
    assert value.isfinite()
    assert s.grad.isfinite().all()


def test_the_size_of_the_soft_label_gradient_does_not_depend_on_a_high_temperature():
    s, t = draw(16, 5), draw(16, 5, seed=1)
    sizes = [float(grad(soft_labels)(s, t, temperature).norm()) for temperature in (50.0, 500.0)]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.05)


@pytest.mark.parametrize("multi_label", [False, True])
def test_weighted_soft_labels_are_the_weighted_mean_of_the_rows(multi_label):
    s, t, weights = draw(5, 3), draw(5, 3, seed=1), [0.0, 1.0, 0.5, 0.25, 2.0]
    rows = [weight * soft_labels(s[i : i + 1], t[i : i + 1], 2.0, multi_label) for i, weight in enumerate(weights)]
    together = soft_labels(s, t, 2.0, multi_label, torch.tensor(weights))
    torch.testing.assert_close(together, torch.stack(rows).mean())


# Hard labels.


def test_weighted_predictions_of_two_labels_are_the_loss_of_their_mixture():
    logits, share = draw(4, 3), torch.tensor([0.0, 1.0, 0.25, 0.5])
    one, other = torch.tensor([0, 1, 2, 1]), torch.tensor([2, 2, 0, 1])
    mixed = share[:, None] * torch.eye(3)[one] + (1 - share[:, None]) * torch.eye(3)[other]
    expected = -(mixed * logits.log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(prediction(logits, one, share) + prediction(logits, other, 1 - share), expected)
    both = torch.eye(3)[one], torch.eye(3)[other]
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, mixed)
    torch.testing.assert_close(prediction(logits, both[0], share) + prediction(logits, both[1], 1 - share), expected)


def test_a_missing_label_counts_nothing_whatever_its_weight():
    logits, labels = draw(3, 2), torch.tensor([[1.0, math.nan], [0.0, 1.0], [math.nan, math.nan]])
    assert prediction(logits, labels, torch.tensor([1.0, 1.0, 50.0])) == prediction(logits, labels)
    classes = torch.tensor([0, 1, -1])
    assert prediction(logits, classes, torch.tensor([1.0, 1.0, 50.0])) == prediction(logits, classes)


def test_prediction_of_classes_is_the_cross_entropy_of_the_known_rows():
    logits, labels = draw(6, 4), torch.tensor([0, 3, -1, 2, 1, -1])
    rows = [(z, y) for z, y in zip(logits.tolist(), labels.tolist(), strict=True) if y >= 0]
    expected = np.mean([-math.log(softmax(z, 1)[y]) for z, y in rows])
    assert float(prediction(logits, labels)) == pytest.approx(expected, abs=1e-6)


def test_prediction_of_several_labels_is_the_mean_over_known_entries():
    logits = draw(3, 2)
    labels = torch.tensor([[1.0, math.nan], [0.0, 1.0], [math.nan, math.nan]])
    sigmoid = lambda z: 1 / (1 + math.exp(-z))  # noqa: E731
    z = logits.tolist()
    expected = -(math.log(sigmoid(z[0][0])) + math.log(1 - sigmoid(z[1][0])) + math.log(sigmoid(z[1][1]))) / 3
    assert float(prediction(logits, labels)) == pytest.approx(expected, abs=1e-6)
    assert grad(prediction)(logits, labels)[labels.isnan()].tolist() == [0, 0, 0]


@pytest.mark.parametrize("labels", [torch.full((4,), -1), torch.full((4, 3), math.nan)], ids=["classes", "several"])
def test_prediction_without_any_known_label_is_zero_with_zero_gradient(labels):
    gradient = grad(prediction)(draw(4, 3), labels)
    assert float(prediction(draw(4, 3), labels)) == 0
    assert not gradient.any()


@pytest.mark.parametrize(
    "labels", [torch.tensor([[0, 1, 2], [2, -1, 0]]), torch.tensor([[[1.0, 0.0], [math.nan, 1.0], [0.0, 0.0]]] * 2)]
)
def test_prediction_under_vmap_equals_the_loop(labels):
    logits = draw(2, 3, 3 if labels.ndim == 2 else 2)
    loop = torch.stack([prediction(x, y) for x, y in zip(logits, labels, strict=True)])
    torch.testing.assert_close(vmap(prediction)(logits, labels), loop)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_prediction_stays_finite_at_extreme_logits(scale):
    for labels in (torch.tensor([0, 1]), torch.tensor([[0.0, 1.0], [1.0, 0.0]])):
        logits = draw(2, 2) * scale
        assert prediction(logits, labels).isfinite()
        assert grad(prediction)(logits, labels).isfinite().all()


def test_prediction_refuses_shapes_that_would_broadcast():
    with pytest.raises(ValueError, match=r"^logits and labels need the same number of rows, got 4 and 1$"):
        prediction(draw(4, 3), torch.tensor([0]))
    with pytest.raises(
        ValueError, match=r"^logits and multi-label labels need the same shape, got \(4, 3\) and \(4, 1\)$"
    ):
        prediction(draw(4, 3), torch.zeros(4, 1))


# Correlations instead of a divergence.


def slow_dist(p, q, temperature):
    correlation = lambda a, b: np.corrcoef(a, b)[0, 1]  # noqa: E731
    items = np.mean([1 - correlation(a, b) for a, b in zip(p, q, strict=True)])
    classes = np.mean([1 - correlation(a, b) for a, b in zip(p.T, q.T, strict=True)])
    return temperature**2 * (items + classes)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_dist_equals_the_correlations_one_by_one(temperature):
    s, t = draw(7, 5, dtype=torch.float64), draw(7, 5, seed=1, dtype=torch.float64)
    p, q = (np.array([softmax(row, temperature) for row in logits.tolist()]) for logits in (s, t))
    assert float(dist(s, t, temperature)) == pytest.approx(slow_dist(p, q, temperature), rel=1e-4)
    p, q = ((logits / temperature).sigmoid().numpy() for logits in (s, t))
    assert float(dist(s, t, temperature, multi_label=True)) == pytest.approx(slow_dist(p, q, temperature), rel=1e-4)


def test_dist_by_hand():
    """Two items of two classes: every row and column of the predictions is a straight line, up or down."""
    s, t = torch.tensor([[2.0, 0.0], [0.0, 2.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert float(dist(s, t, 1.0)) == pytest.approx(0, abs=1e-4)
    assert float(dist(s, t.flip(0), 1.0)) == pytest.approx(4, abs=1e-4)  # all four correlations are -1
    assert float(dist(s, t.flip(0), 2.0)) == pytest.approx(16, abs=1e-3)


@pytest.mark.parametrize("multi_label", [False, True])
def test_dist_is_smooth_finite_and_the_same_for_many_members(multi_label):
    s, t = draw(4, 3, dtype=torch.float64), draw(4, 3, seed=1, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: dist(x, t, 2.0, multi_label), (s.requires_grad_(),))
    many = draw(3, 4, 5), draw(3, 4, 5, seed=1)
    loop = torch.stack([dist(x, y, 4.0, multi_label) for x, y in zip(*many, strict=True)])
    torch.testing.assert_close(vmap(lambda x, y: dist(x, y, 4.0, multi_label))(*many), loop)
    for scale in (0, 1e-30, 1e-3, 1e4, 1e30):
        x = (draw(4, 3) * scale).requires_grad_()
        value = dist(x, draw(4, 3, seed=1), 4.0, multi_label)
        value.backward()
        assert value.isfinite()
        assert x.grad.abs().max() < 1e4


def test_dist_cannot_weigh_rows():
    with pytest.raises(ValueError, match="cannot weigh its rows, got weights; choose kl"):
        dist(draw(4, 3), draw(4, 3), 1.0, weights=torch.ones(4))


@pytest.mark.parametrize("name", SOFT_LABEL_LOSSES)
def test_every_loss_of_soft_labels_is_0_where_both_agree_and_falls_when_followed(name):
    loss, t = SOFT_LABEL_LOSSES[name], draw(8, 5, seed=1)
    assert float(loss(t, t, 2.0)) == pytest.approx(0, abs=1e-4)
    s = draw(8, 5).requires_grad_()
    before, optimizer = loss(s, t, 2.0).item(), torch.optim.Adam([s], lr=0.05)
    for _ in range(100):
        optimizer.zero_grad()
        value = loss(s, t, 2.0)
        value.backward()
        optimizer.step()
    assert value.item() < 0.2 * before
