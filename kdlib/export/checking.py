"""Whether an exported graph does what the student did, measured with onnxruntime."""

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from kdlib.analysis.geometry import sample_rows
from kdlib.export.inputs import graph_inputs
from kdlib.export.source import ExportSource

if TYPE_CHECKING:
    from kdlib.export.graph import PortableStudent

CHECKED = 1000  # items at most on which a graph is compared with torch
BATCH = 100  # of them at once
TIMED_CALLS = 30  # of which the latency is the median
TOLERANCE = 1e-3  # in a probability, beyond which a graph is refused: it would be another student
MOST = 0.99  # of the items must be within it: of silence a student says anything, and rounding decides what


@dataclass(frozen=True)
class Agreement:
    """How far a graph and torch are apart on the same items.

    Attributes:
        items: that were compared.
        probabilities, logits, features: the largest difference.
    """

    items: int
    probabilities: float
    logits: float
    features: float

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold, rounded to two digits."""
        return {name: float(f"{value:.2g}") if name != "items" else value for name, value in asdict(self).items()}


def open_graph(model: Path, threads: int = 1) -> Any:
    """Return onnxruntime's session of a graph that this program wrote."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level = threads, 1, 3
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


def run_graph(session: Any, inputs: np.ndarray, outputs: list[str]) -> list[np.ndarray]:
    """Return the outputs of a graph for inputs (n, ...), batch by batch."""
    name = session.get_inputs()[0].name
    parts = [session.run(outputs, {name: inputs[start : start + BATCH]}) for start in range(0, len(inputs), BATCH)]
    return [np.concatenate(each) for each in zip(*parts, strict=True)]


def check_agreement(source: ExportSource, network: "PortableStudent", model: Path) -> Agreement:
    """Return how far a graph and torch are apart on items of the test set.

    Raises:
        ValueError: further than `TOLERANCE` on more than a few: the graph is not the student.
    """
    import torch

    test = source.data.splits["test"]
    inputs = graph_inputs(source.data, source.form, test[sample_rows(len(test), CHECKED)])
    names = ["probabilities", "logits", "features"]
    computed = run_graph(open_graph(model), inputs, names)
    with torch.no_grad():
        parts = [network(torch.from_numpy(inputs[i : i + BATCH])) for i in range(0, len(inputs), BATCH)]
    expected = [torch.cat(each).numpy() for each in zip(*parts, strict=True)]
    apart = [np.abs(one - other) for one, other in zip(computed, expected, strict=True)]
    usual = float(np.quantile(apart[0].max(axis=1), MOST))
    if not usual <= TOLERANCE:
        raise ValueError(
            f"the graph of {source.run.name!r} differs from the student by {usual:.2g} in a probability, at most "
            f"{TOLERANCE:g} is accepted; please report it"
        )
    return Agreement(len(inputs), *(float(each.max()) for each in apart))


def latency_ms(session: Any, item: np.ndarray) -> float:
    """Return the median milliseconds of a call with one item (1, ...)."""
    name, seconds = session.get_inputs()[0].name, []
    for _ in range(TIMED_CALLS):
        started = time.perf_counter()
        session.run(["probabilities"], {name: item})
        seconds.append(time.perf_counter() - started)
    return 1000 * median(seconds)
