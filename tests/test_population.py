"""A population of m is m networks: same outputs, same gradients, same weights after training."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from kdlib.models import students
from kdlib.training.population import Population

CPU = torch.device("cpu")


def _students(name: str, count: int) -> list[nn.Module]:
    torch.manual_seed(0)
    return [students.build_student(name, (1, 16, 16), 4, classes=5) for _ in range(count)]


# In double precision the two agree to 1e-13 for every student. In single precision, networks of many layers turn the
# rounding of one step (two orders of adding up) into more than that within 20, so there it is held for the two that are
# not deep.
EXACT = [(name, torch.float64, 1e-9) for name in students.STUDENTS]
SINGLE = [("cnn", torch.float32, 1e-5), ("mlp", torch.float32, 1e-5)]


@pytest.mark.parametrize(("name", "precision", "tolerance"), EXACT + SINGLE)
def test_population_equals_each_member_alone_after_20_steps(name, precision, tolerance):
    members = [member.to(precision) for member in _students(name, 3)]
    rng = torch.Generator().manual_seed(1)
    inputs = torch.randn(20, 3, 12, 1, 16, 16, generator=rng, dtype=torch.float32).to(precision)  # (steps, m, b, ...)
    labels = torch.randint(0, 5, (20, 3, 12), generator=rng)

    population = Population(members, CPU)
    optimiser = torch.optim.AdamW(population.parameters.values(), lr=0.01)
    for x, y in zip(inputs, labels, strict=True):
        optimiser.zero_grad()
        _, logits, _ = population(x)
        sum(functional.cross_entropy(logits[i], y[i]) for i in range(3)).backward()
        optimiser.step()

    for i, member in enumerate(members):
        single = copy.deepcopy(member)
        optimiser = torch.optim.AdamW(single.parameters(), lr=0.01)
        for x, y in zip(inputs[:, i], labels[:, i], strict=True):
            optimiser.zero_grad()
            functional.cross_entropy(single(x)[1], y).backward()
            optimiser.step()
        together = population.member(i).state_dict()
        for key, value in single.state_dict().items():
            torch.testing.assert_close(together[key], value, atol=tolerance, rtol=0)


@pytest.mark.parametrize("name", students.STUDENTS)
def test_the_same_inputs_for_all_give_what_each_member_makes_of_them_alone(name):
    members = _students(name, 3)
    inputs = torch.randn(7, 1, 16, 16, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        together = Population(members, CPU).on_same(inputs)
        for i, member in enumerate(members):
            for outputs, single in zip(together, member(inputs), strict=True):
                torch.testing.assert_close(outputs[i], single, atol=1e-5, rtol=1e-5)  # two orders of adding up


def test_state_and_load_round_trip_without_sharing_memory():
    population = Population(_students("mlp", 2), CPU)
    state = population.state()
    with torch.no_grad():
        for value in population.parameters.values():
            value.add_(1)
    assert all(not torch.equal(state[name], value) for name, value in population.parameters.items())
    population.load(state)
    assert all(torch.equal(state[name], value) for name, value in population.parameters.items())


def test_members_with_buffers_are_refused():
    with pytest.raises(ValueError, match="buffers"):
        Population([nn.BatchNorm1d(3), nn.BatchNorm1d(3)], CPU)
