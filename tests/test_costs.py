"""Costs: the multiplications are those of torch's own counter, for every student and every kind of input."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from kdlib.analysis.costs import multiply_adds
from kdlib.models import students
from kdlib.models.students import STUDENTS

SHAPES = [(1, 16, 16), (1, 32, 32), (3, 28, 28), (40,)]
CASES = [(name, shape) for shape in SHAPES for name in students.compatible_students(shape)]


@pytest.mark.parametrize(("name", "shape"), CASES)
def test_multiply_adds_are_those_of_the_flop_counter(name, shape):
    student = students.build_student(name, shape, width=8, classes=5)
    network, item = nn.Sequential(student.body, student.head), torch.zeros(1, *shape)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(item)
    with torch.no_grad():
        assert 2 * multiply_adds(network, item) == counter.get_total_flops() > 0
    assert not any(module._forward_hooks for module in network.modules())


def test_every_student_is_counted():
    assert {name for name, _ in CASES} == set(STUDENTS)
