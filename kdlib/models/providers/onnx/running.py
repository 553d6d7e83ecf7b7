"""Running a network that was checked: onnxruntime on the processor, the next items prepared while it computes."""

import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from kdlib.data.dataset import Dataset
from kdlib.data.intake.limits import IntakeError
from kdlib.models.providers.onnx.plan import Plan
from kdlib.models.providers.onnx.preparation import prepare

STEP = 8  # items that a network gets at once: few, so that what it computes stays in the processor's cache
REFUSALS = {  # onnxruntime's error -> what it means
    "NotImplemented": "uses an operation that onnxruntime cannot compute on a processor",
    "InvalidGraph": "has a graph that breaks the rules of ONNX",
    "InvalidProtobuf": "is damaged",
    "NoSuchFile": "names a file that is not there",
}


def threads() -> int:
    """Return with how many threads a network computes: all cores, unless `KDLIB_WORKER_THREADS` says otherwise.

    An embedding is one piece of work at a time on the whole machine; its threads sleep while they have nothing to do.
    """
    return int(os.environ.get("KDLIB_WORKER_THREADS") or len(os.sched_getaffinity(0)))


def open_session(model: Path | bytes) -> Any:
    """Return onnxruntime's session of a network that was checked: a file, or its bytes."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads(), 1
    options.enable_cpu_mem_arena = options.enable_mem_pattern = False  # memory stays flat whatever comes
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


class Runner:
    """A network that is ready to embed.

    Args:
        model: path of the file; it must have been checked.
        plan: how.
        name: shown in messages.

    Raises:
        IntakeError: onnxruntime does not run it.
    """

    def __init__(self, model: Path, plan: Plan, name: str) -> None:
        self.plan, self.name = plan, name
        try:
            self._session = open_session(model)
        except Exception as error:  # its errors have no common class
            raise self._explain(error) from error
        self._input = self._session.get_inputs()[0].name

    def _explain(self, error: Exception) -> Exception:
        """Return what to raise for an error of onnxruntime."""
        if isinstance(error, MemoryError) or "alloc" in str(error):
            return MemoryError(str(error))
        meaning = REFUSALS.get(type(error).__name__, "cannot be computed with items of that shape")
        return IntakeError(f"{self.name} {meaning}; the log has the details")

    def compute(self, values: np.ndarray) -> np.ndarray:
        """Return the wanted tensor for inputs (b, ...), not pooled.

        Raises:
            IntakeError: onnxruntime cannot compute it, or it is no tensor of numbers.
        """
        count, batch = len(values), self.plan.batch
        if batch:  # the network takes just so many
            values = np.concatenate([values, np.repeat(values[-1:], -count % batch, axis=0)])
        step = batch or STEP
        parts = []
        for start in range(0, len(values), step):
            part = values[start : start + step]
            try:
                result: Any = self._session.run([self.plan.output], {self._input: part})[0]
            except Exception as error:  # its errors have no common class
                raise self._explain(error) from error
            if not isinstance(result, np.ndarray) or result.dtype.kind != "f":
                raise IntakeError(f"{self.plan.output!r} of {self.name} is no tensor of real numbers")
            if result.ndim < 2 or len(result) != len(part):
                raise IntakeError(
                    f"{self.plan.output!r} of {self.name} has the shape {result.shape} for {len(part)} items; "
                    "expected one row for each"
                )
            parts.append(result)
        return np.concatenate(parts)[:count]

    def embed(self, items: Sequence[np.ndarray]) -> np.ndarray:
        """Return embeddings (b, d) float32 of prepared items, the mean over the pieces of one that was cut."""
        same = len({item.shape[1:] for item in items}) == 1
        groups = [items] if same else [[item] for item in items]
        pieces = [pool(self.compute(np.concatenate(group)), self.plan, self.name) for group in groups]
        ends = np.cumsum([len(item) for item in items])[:-1]
        return np.stack([part.mean(axis=0) for part in np.split(np.concatenate(pieces), ends)])


def pool(values: np.ndarray, plan: Plan, name: str) -> np.ndarray:
    """Return one row of numbers for each item, (b, d) float32, of a tensor (b, ...)."""
    values = values.astype(np.float32)
    if values.ndim > 2 and plan.pool != "flatten":
        if plan.features == "first":
            values = np.moveaxis(values, 1, -1)
        if plan.pool == "cls" and values.ndim != 3:
            raise IntakeError(f"{plan.output!r} of {name} has the shape {values.shape}; cls takes tokens (n, t, width)")
        values = values.reshape(len(values), -1, values.shape[-1])
        values = values[:, 0] if plan.pool == "cls" else values.mean(axis=1)
    return values.reshape(len(values), -1)


class Embedder:
    """Embeds rows of datasets; while it computes some, a thread prepares the next.

    Args:
        runner: the network.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._pool = ThreadPoolExecutor(1, "prepare")
        self._ahead: dict[tuple[str, int, int], Future] = {}  # name, first row, rows -> what was begun unasked

    def __call__(self, data: Dataset, rows: np.ndarray) -> np.ndarray:
        """Return embeddings (b, d) float32; the rows that follow the last are then prepared, as they come next."""
        step = self._runner.plan.batch or STEP
        parts = [rows[start : start + step] for start in range(0, len(rows), step)]
        last = int(rows[-1]) + 1
        following = np.arange(last, min(last + step, len(data.inputs)))
        results, waiting = [], self._begin(data, parts[0])
        for number in range(len(parts)):
            items = waiting.result()
            waiting = self._begin(data, parts[number + 1] if number + 1 < len(parts) else following)
            results.append(self._runner.embed(items))
        self._ahead = {_key(data, following): waiting}
        return np.concatenate(results)

    def _begin(self, data: Dataset, rows: np.ndarray) -> Future:
        begun = self._ahead.pop(_key(data, rows), None) if _are_consecutive(rows) else None
        plan = self._runner.plan
        return begun or self._pool.submit(lambda: [prepare(data, int(row), plan) for row in rows])


def _key(data: Dataset, rows: np.ndarray) -> tuple[str, int, int]:
    return data.name, int(rows[0]) if len(rows) else -1, len(rows)


def _are_consecutive(rows: np.ndarray) -> bool:
    return len(rows) > 0 and int(rows[-1]) - int(rows[0]) == len(rows) - 1 and bool((np.diff(rows) == 1).all())
