"""The contract of every projector, what is said of each, and the way of its weights through runs and exports."""

import numpy as np
import pytest
import torch
from torch import nn

from kdlib import pipeline
from kdlib.models.projectors import MEMBERS, PROJECTORS, Orthogonal, projected_width
from kdlib.models.students import Student, build_student
from kdlib.spec import RunSpec
from kdlib.training.population import Population

SIZES = [(8, 3), (3, 8), (5, 5), (4, 1)]
SPEC = RunSpec(
    dataset="digits",
    teacher="random",
    method="pca",  # a target that stays: the distance has to fall
    labels=60,
    loss="mse",
    epochs=6,
    batch_size=20,
    width=2,
    seeds=2,
    dim=4,
)


@pytest.fixture(params=PROJECTORS)
def name(request):
    return request.param


def build(name, d_s, d_c, seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return PROJECTORS[name](d_s, d_c)


@pytest.mark.parametrize(("d_s", "d_c"), SIZES)
def test_it_gives_the_target_width_and_its_weights_say_so(name, d_s, d_c):
    projector = build(name, d_s, d_c)
    assert projector(torch.randn(7, d_s)).shape == (7, d_c)
    shapes = {f"adapter.{key}": value.shape for key, value in projector.state_dict().items()}
    assert projected_width(shapes | {"body.0.weight": (99, 2), "head.weight": (98, d_s)}) == d_c


def test_students_without_one_have_no_width():
    assert projected_width({"body.0.weight": (99, 2), "head.weight": (98, 4)}) == 0


@pytest.mark.parametrize(("d_s", "d_c"), SIZES)
def test_a_population_learns_as_its_members_alone(name, d_s, d_c):
    members = [build(name, d_s, d_c, seed) for seed in range(3)]
    population = Population(members, torch.device("cpu"))
    inputs, targets = torch.randn(3, 6, d_s), torch.randn(3, 6, d_c)
    (population(inputs) - targets).square().mean((1, 2)).sum().backward()
    for number, member in enumerate(members):
        (member(inputs[number]) - targets[number]).square().mean().backward()
        for key, value in member.named_parameters():
            torch.testing.assert_close(population.parameters[key].grad[number], value.grad, atol=1e-5, rtol=1e-4)


def test_a_seed_gives_a_linear_adapter_drawn_after_body_and_head():
    body = build_student("mlp", (4,), 2, 3).body
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        student = Student(body, 3, 5)
        torch.manual_seed(3)
        head, adapter = nn.Linear(8, 3), nn.Linear(8, 5)
    assert torch.equal(student.head.weight, head.weight)
    assert torch.equal(student.adapter.weight, adapter.weight)
    assert torch.equal(student.adapter.bias, adapter.bias)


def test_an_orthogonal_one_has_the_map_that_is_worked_out_by_hand():
    projector = Orthogonal(2, 1)
    projector.weight.data = torch.tensor([[3.0, 4.0]])
    np.testing.assert_allclose(projector.map().detach(), [[0.6, 0.8]], atol=1e-6)
    np.testing.assert_allclose(projector(torch.tensor([[5.0, 10.0]])).detach(), [[11.0]], atol=1e-5)
    projector = Orthogonal(2, 2)
    projector.weight.data = torch.tensor([[3.0, 0.0], [4.0, 5.0]])  # Gram-Schmidt of its columns
    np.testing.assert_allclose(projector.map().detach(), [[0.6, -0.8], [0.8, 0.6]], atol=1e-6)


@pytest.mark.parametrize(("d_s", "d_c"), SIZES)
def test_an_orthogonal_one_stays_orthonormal_while_it_learns(d_s, d_c):
    projector, rng = build("orthogonal", d_s, d_c), torch.Generator().manual_seed(1)
    before = projector.map().detach()
    optimizer = torch.optim.AdamW(projector.parameters(), lr=0.1)
    for _ in range(30):
        optimizer.zero_grad()
        inputs, targets = torch.randn(16, d_s, generator=rng), torch.randn(16, d_c, generator=rng)
        (projector(inputs) - targets).square().mean().backward()
        optimizer.step()
    matrix = projector.map().detach()
    gram = matrix @ matrix.T if d_c <= d_s else matrix.T @ matrix
    np.testing.assert_allclose(gram, np.eye(min(d_s, d_c)), atol=1e-5)
    assert not torch.allclose(matrix, before, atol=1e-2)


def test_an_orthogonal_one_keeps_angles_and_lengths_where_the_target_is_wider():
    features = torch.randn(9, 4)
    projected = build("orthogonal", 4, 11)(features).detach()
    np.testing.assert_allclose(projected @ projected.T, features @ features.T, atol=1e-4)


def test_an_ensemble_is_the_mean_of_members_that_start_differently():
    projector, features = build("ensemble", 4, 2), torch.randn(5, 4)
    outputs = [member(features) for member in projector.members]
    assert len(outputs) == MEMBERS
    torch.testing.assert_close(projector(features), sum(outputs) / MEMBERS)
    assert not torch.allclose(outputs[0], outputs[1])


def test_an_unknown_one_lists_the_choices():
    with pytest.raises(ValueError, match="unknown projector 'cubic', choose one of: linear, mlp"):
        pipeline.run(SPEC.replace(projector="cubic"))


def test_a_run_learns_through_it_and_its_student_costs_the_same(name):
    result, linear = pipeline.run(SPEC.replace(projector=name)), pipeline.run(SPEC)
    assert result.status == "done"
    assert result.cost.parameters == linear.cost.parameters
    shapes = {key.removeprefix("student/"): value.shape[1:] for key, value in result.arrays.items() if "/" in key}
    assert projected_width(shapes) == 4
    points = [np.mean(point.distance) for point in result.history]
    assert points[-1] < points[0]
