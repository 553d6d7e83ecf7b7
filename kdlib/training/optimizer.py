"""The optimizer of all training here: AdamW, without what loads a compiler."""

import inspect

import torch


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
