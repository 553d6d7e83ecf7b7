"""Populations: many networks of one architecture that run and learn as one.

The parameters of m members are stacked to (m, ...) and one vmapped call computes them all. Losses are means over each
member's batch and sums over members, so every member gets exactly the gradient it would get alone;
`tests/test_population.py` compares the two.
"""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from kdlib.training.member_layers import use_member_layers


class Population:
    """Networks of one architecture with stacked parameters.

    Args:
        members: m modules that differ in their weights only, without buffers.
        device: where they live.

    Attributes:
        parameters: name -> (m, ...), leaf tensors for an optimizer.
        size: m.
        device: as given.

    Example:
        >>> population = Population([nn.Linear(2, 3) for _ in range(5)], torch.device("cpu"))
        >>> population.on_same(torch.zeros(4, 2)).shape
        torch.Size([5, 4, 3])
    """

    def __init__(self, members: Sequence[nn.Module], device: torch.device) -> None:
        stacked, buffers = stack_module_state(list(members))
        if buffers:
            raise ValueError(f"members of a population cannot carry buffers, got {', '.join(buffers)}")
        self.parameters = {name: value.detach().to(device).requires_grad_() for name, value in stacked.items()}
        self.size, self.device = len(members), device
        self._template = copy.deepcopy(members[0]).to("meta")
        self._network = use_member_layers(copy.deepcopy(self._template))
        self._forward, self._forward_on_same = vmap(self._one), vmap(self._one, in_dims=(0, None))

    def _one(self, parameters: dict[str, Tensor], *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        return functional_call(self._network, parameters, inputs)

    def __call__(self, *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Return each member's output for its own inputs, each (m, b, ...)."""
        return self._forward(self.parameters, *inputs)

    def on_same(self, inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Return each member's output for the same inputs (b, ...): faster than expanding them to (m, b, ...)."""
        return self._forward_on_same(self.parameters, inputs)

    def state(self) -> dict[str, Tensor]:
        """Return a copy of the parameters."""
        return {name: value.detach().clone() for name, value in self.parameters.items()}

    @torch.no_grad()
    def load(self, state: dict[str, Tensor]) -> None:
        """Take over the parameters of `state`."""
        for name, value in self.parameters.items():
            value.copy_(state[name])

    def subset(self, members: Sequence[int]) -> "Population":
        """Return a population of some members, with copies of their parameters.

        Example:
            >>> population.subset([4, 0]).size
            2
        """
        other = copy.copy(self)
        other.parameters = {
            name: value.detach()[list(members)].requires_grad_() for name, value in self.parameters.items()
        }
        other.size = len(members)
        other._forward, other._forward_on_same = vmap(other._one), vmap(other._one, in_dims=(0, None))
        return other

    def member(self, index: int) -> nn.Module:
        """Return one member as an ordinary module on the CPU."""
        module = copy.deepcopy(self._template)
        module.load_state_dict(
            {name: value[index].detach().cpu().clone() for name, value in self.parameters.items()}, assign=True
        )
        return module
