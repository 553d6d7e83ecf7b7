"""The trial of a network on three items, in the child process: nothing is kept that does not embed them well."""

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kdlib.data.intake.limits import IntakeError, Limits
from kdlib.data.intake.progress import Reporter
from kdlib.models.providers.onnx.plan import Plan
from kdlib.models.providers.onnx.reading import write_cut
from kdlib.models.providers.onnx.running import Runner

ITEMS = 3
ITEMS_FILE, MODEL_FILE = "items.npz", "model.onnx"
TOLERANCE = 1e-3  # of the largest number: other batches are computed in another order


@dataclass(frozen=True)
class Trial:
    """What came of a trial.

    Attributes:
        width: d_t, numbers of an embedding.
        low, high: smallest and largest number of the embeddings.
        seconds_per_item: that the network computed, s.
        dataset: whose items it got.
    """

    width: int
    low: float
    high: float
    seconds_per_item: float
    dataset: str = ""


def run_trial(path: Path, name: str, plan: Plan, folder: Path, limits: Limits, reporter: Reporter) -> dict[str, Any]:
    """Cut the network at the tensor that is wanted, into `folder`, and embed the items that lie there.

    Raises:
        IntakeError: the network is refused, or its embeddings are.
    """
    write_cut(path, name, plan.output, folder / MODEL_FILE, limits)
    reporter.advance()
    with np.load(folder / ITEMS_FILE, allow_pickle=False) as stored:
        items = [stored[key] for key in stored.files]
    runner = Runner(folder / MODEL_FILE, plan, name)
    reporter.advance()
    alone = []
    for item in items:
        alone.append(runner.embed([item]))
        _check(alone[-1], name, plan, limits)
        reporter.advance()
    started = time.perf_counter()
    together = runner.embed(items)
    seconds = (time.perf_counter() - started) / len(items)
    reporter.advance()
    _compare(np.concatenate(alone), together, runner.embed(items), name, plan)
    return asdict(Trial(together.shape[1], float(together.min()), float(together.max()), seconds))


def _check(values: np.ndarray, name: str, plan: Plan, limits: Limits) -> None:
    what = f"{plan.output!r} of {name}"
    if values.shape[1] < 2:
        raise IntakeError(f"{what} has width {values.shape[1]}; an embedding needs two or more numbers")
    if values.shape[1] > limits.width:
        raise IntakeError(
            f"{what} has {values.shape[1]:,} numbers an item, at most {limits.width:,} can be kept "
            "(KDLIB_MAX_WIDTH); pool with mean"
        )
    if not np.isfinite(values).all():
        raise IntakeError(f"{what} is not finite (NaN or infinite) for items it was tried on; is the range right?")


def _compare(alone: np.ndarray, together: np.ndarray, again: np.ndarray, name: str, plan: Plan) -> None:
    """Raise an `IntakeError` unless an item's embedding depends on the item, and on nothing else."""
    what, scale = f"{plan.output!r} of {name}", float(np.abs(together).max())
    if not np.allclose(again, together, rtol=0, atol=TOLERANCE * scale):
        raise IntakeError(f"{what} is another one each time: the network draws random numbers; export it for inference")
    if not np.allclose(alone, together, rtol=0, atol=TOLERANCE * scale):
        raise IntakeError(
            f"{what} depends on the other items of a batch: export the network for inference (model.eval())"
        )
    if np.ptp(together, axis=0).max() <= 1e-6 * scale:
        raise IntakeError(f"{what} is constant: three different items have the same embedding")
