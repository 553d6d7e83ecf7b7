"""Our optimiser is torch's to the bit, and whoever trains and measures does not load a compiler."""

import subprocess
import sys

import torch

from kdlib.training.optimizer import AdamW


def walk(kind: type[torch.optim.Optimizer], steps: int, resumed_at: int) -> torch.Tensor:
    """Return where a fixed walk leads, its optimiser replaced by one that took over its state on the way."""
    rng = torch.Generator().manual_seed(0)
    parameter = torch.randn(3, 4, generator=rng).requires_grad_()

    def begin() -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
        optimiser = kind([parameter], lr=0.05, fused=True)
        return optimiser, torch.optim.lr_scheduler.OneCycleLR(optimiser, 0.05, total_steps=steps)

    optimiser, schedule = begin()
    for step in range(steps):
        if step == resumed_at:
            state = optimiser.state_dict()
            optimiser, schedule = begin()
            optimiser.load_state_dict(state)
            schedule.last_epoch = step
        optimiser.zero_grad()
        (parameter * torch.randn(3, 4, generator=rng)).square().sum().backward()
        optimiser.step()
        schedule.step() if step + 1 < steps else None
    return parameter.detach()


def test_it_goes_where_the_optimiser_of_torch_goes():
    ours, theirs = walk(AdamW, 20, resumed_at=7), walk(torch.optim.AdamW, 20, resumed_at=7)
    assert torch.equal(ours, theirs)
    assert torch.isfinite(ours).all()


def test_training_and_measuring_load_no_compiler():
    code = """
import sys
from kdlib.pipeline import compare
from kdlib.spec import RunSpec
spec = RunSpec(labels=100, epochs=1, seeds=1)
specs = [spec.replace(method=name) for name in ("baseline", "mlp", "autoencoder")]
assert all(each.status == "done" for each in compare(specs))
assert not {"torch._dynamo", "sympy"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)
