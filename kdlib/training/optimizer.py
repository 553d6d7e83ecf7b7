"""The optimizer of all training here: AdamW, without what loads a compiler, and with a learning rate for each member.

`tests/test_member_rates.py` holds that a member learns as it would alone at its rate.
"""

import inspect
from collections.abc import Sequence

import torch
from torch import Tensor


class AdamW(torch.optim.AdamW):
    """torch's AdamW, taken out of its wrappers.

    They load a compiler, for three seconds of every process, only to tell it not to compile an optimizer; nothing here
    is compiled.
    """

    add_param_group = inspect.unwrap(torch.optim.AdamW.add_param_group)
    zero_grad = inspect.unwrap(torch.optim.AdamW.zero_grad)
    state_dict = inspect.unwrap(torch.optim.AdamW.state_dict)
    load_state_dict = inspect.unwrap(torch.optim.AdamW.load_state_dict)
    step = torch.no_grad()(inspect.unwrap(torch.optim.AdamW.step))


class MemberAdamW(AdamW):
    """AdamW over stacked parameters (m, ...) whose members learn at different rates.

    A step of AdamW, its weight decay included, is proportional to the learning rate. So a step is taken at the highest
    rate, and each member goes its share of the way: for a share of 1 exactly that step.

    Args:
        parameters: leaf tensors, (m, ...) each.
        rates: of the members of each parameter, (m,) > 0.
        fused: as in torch.

    Attributes:
        highest: the learning rate of the optimizer, the highest of all.

    Example:
        >>> optimizer = MemberAdamW([torch.zeros(2, 3, requires_grad=True)], [[0.01, 0.03]])
        >>> optimizer.highest
        0.03
    """

    def __init__(self, parameters: Sequence[Tensor], rates: Sequence[Sequence[float]], fused: bool = False) -> None:
        self.highest = max(max(each) for each in rates)
        super().__init__(parameters, lr=self.highest, fused=fused)
        self._parameters = list(parameters)
        self._shares = [
            _broadcast([rate / self.highest for rate in each], parameter)
            for parameter, each in zip(parameters, rates, strict=True)
        ]
        self._alike = all(rate == self.highest for each in rates for rate in each)

    @torch.no_grad()
    def step(self) -> None:
        """Take a step with the gradients as they are."""
        if self._alike:
            super().step()
            return
        before = [parameter.detach().clone() for parameter in self._parameters]
        super().step()
        for old, parameter, share in zip(before, self._parameters, self._shares, strict=True):
            torch.lerp(old, parameter, share, out=parameter)


def _broadcast(shares: Sequence[float], parameter: Tensor) -> Tensor:
    """Return numbers of members (m,) as a tensor that multiplies a parameter (m, ...)."""
    values = torch.tensor(shares, dtype=parameter.dtype, device=parameter.device)
    return values.view(-1, *[1] * (parameter.ndim - 1))
