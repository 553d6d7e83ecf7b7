"""Costs: what a student takes at inference."""

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from kdlib.data.datasets import Dataset
from kdlib.results import Cost
from kdlib.training.loop import Trained

TIMED_CALLS = 20  # of which the latency is the median


@torch.no_grad()
def student_cost(trained: Trained, data: Dataset) -> Cost:
    """Return what a student costs at inference, without its adapter.

    The latency is the median of 20 calls on this machine's processor, in milliseconds.

    Args:
        trained: its students are of one architecture.
        data: gives the shape of an item.
    """
    student = trained.students.member(0)
    network = nn.Sequential(student.get_submodule("body"), student.get_submodule("head"))
    item = torch.zeros(1, *data.inputs.shape[1:])
    parameters = sum(parameter.numel() for parameter in network.parameters())
    operations = multiply_adds(network, item)
    seconds = []
    for _ in range(TIMED_CALLS):
        started = time.perf_counter()
        network(item)
        seconds.append(time.perf_counter() - started)
    return Cost(parameters, operations, round(1000 * median(seconds), 3))


@torch.no_grad()
def count_activations(network: nn.Module, item: Tensor) -> int:
    """Return the numbers that the layers of a network give for one item: what a step has to hold for its gradient.

    Args:
        network: takes one item.
        item: shape (1, ...).

    Example:
        >>> count_activations(nn.Sequential(nn.Linear(8, 3), nn.ReLU()), torch.zeros(1, 8))
        6
    """
    counts: list[int] = []

    def count(_: nn.Module, __: tuple[Tensor, ...], output: Any) -> None:
        counts.append(output.numel() if isinstance(output, Tensor) else 0)

    hooks = [layer.register_forward_hook(count) for layer in network.modules() if not list(layer.children())]
    network(item)
    for hook in hooks:
        hook.remove()
    return sum(counts)


def multiply_adds(network: nn.Module, item: Tensor) -> int:
    """Return the multiplications in the linear and convolutional layers of a network, for one item.

    Every entry of such a layer's output takes as many as there are weights behind one. torch's own `FlopCounterMode`
    counts the same, as `tests/test_costs.py` shows for every student, but loads torch's compiler for it: three seconds
    of every first run.

    Args:
        network: takes one item.
        item: shape (1, ...).

    Example:
        >>> multiply_adds(nn.Linear(8, 3), torch.zeros(1, 8))
        24
    """
    counts: list[int] = []

    def counter(weights: int) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def count(_: nn.Module, __: tuple[Tensor, ...], output: Tensor) -> None:
            counts.append(output.numel() * weights)

        return count

    hooks = []
    for layer in network.modules():
        weight = getattr(layer, "weight", None)
        if isinstance(weight, Tensor) and weight.ndim > 1:
            hooks.append(layer.register_forward_hook(counter(weight[0].numel())))
    network(item)
    for hook in hooks:
        hook.remove()
    return sum(counts)
