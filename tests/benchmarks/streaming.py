"""What training from disk costs: `python -m tests.benchmarks.streaming`. Times and memory depend on the machine.

The same training is timed with its inputs in memory and streamed, on a size that fits both. Then 15,000 spectrograms of
128 x 1,000 as half precision (3.8 GB, as float32 7.7) are trained on and measured in a process of its own. The promise:
nine tenths of the throughput, and 2 GB of memory at most.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from rich.console import Console

from kdlib import pipeline
from kdlib.cache import MappedArray
from kdlib.data import datasets
from kdlib.data.dataset import AUDIO, Dataset
from kdlib.progress import Progress
from kdlib.spec import RunSpec
from kdlib.training.streaming import LIMIT

SHAPE, CLASSES, STEP = (1, 128, 1000), 20, 100
NAME = "benchmark-clips"
SPEC = RunSpec(dataset=NAME, method="baseline", student="mobile-fcn", width=8, labels=960, epochs=1, seeds=1)


def write(path: Path, rows: int) -> None:
    """Write noisy clips of half precision, each class with a band of its own."""
    rng = np.random.default_rng(0)
    noise = (rng.random((2 * STEP, *SHAPE)) * 0.5).astype(np.float16)  # the content does not matter for time
    with path.open("wb") as out:
        np.lib.format.write_array_header_1_0(out, {"descr": "<f2", "fortran_order": False, "shape": (rows, *SHAPE)})
        for start in range(0, rows, STEP):
            part = noise[start % STEP : start % STEP + STEP].copy()
            for row in range(STEP):
                part[row, 0, 5 * ((start + row) % CLASSES)] += 0.5
            out.write(part[: rows - start].tobytes())


def register(path: Path, train: int) -> None:
    """Make a dataset of the clips: the first are for training, the rest is halved into validation and test."""
    inputs = np.load(path, mmap_mode="c", allow_pickle=False).view(MappedArray)
    rest = np.arange(train, len(inputs))
    splits = {"train": np.arange(train), "val": rest[::2], "test": rest[1::2]}
    names = tuple(f"class {number}" for number in range(CLASSES))
    data = Dataset(NAME, inputs, np.arange(len(inputs)) % CLASSES, names, splits, modality=AUDIO)
    datasets.DATASETS[NAME] = lambda: data


def step_seconds(spec: RunSpec) -> list[float]:
    """Return the seconds from step to step of a training, without those that end in a validation."""
    stamps: list[float] = []

    def stamp(at: Progress) -> bool:
        if at.phase == "training" and not at.point:
            stamps.append(time.perf_counter())
        return False

    pipeline.run(spec, on_progress=stamp)
    return np.diff(stamps).tolist()


def compare_throughput(console: Console, spec: RunSpec, turns: int) -> None:
    """Print rows per second in memory and streamed: those of the fastest quarter of the steps.

    Both take turns, and slow steps do not count, so that others on the machine count less.
    """
    seconds: dict[str, list[float]] = {"1000000": [], "1": []}
    for _ in range(turns):
        for limit, values in seconds.items():
            os.environ[LIMIT] = limit
            values += step_seconds(spec)
    memory, streamed = (spec.batch_size / np.quantile(values, 0.25) for values in seconds.values())
    console.print(
        f"{spec.student}, width {spec.width}, {spec.seeds} seed(s): {memory:.1f} rows/s in memory, {streamed:.1f} "
        f"streamed: {streamed / memory:.2f} x",
        style="bold",
    )


def measure_memory(console: Console, path: Path, rows: int, epochs: int) -> None:
    """Train on all clips in a process of its own, and print its time and its highest memory."""
    code = (
        "import sys; from pathlib import Path; from kdlib import pipeline; "
        "from tests.benchmarks.streaming import SPEC, register; path, rows, epochs = sys.argv[1:]; "
        "register(Path(path), int(rows)); spec = SPEC.replace(labels=int(rows), epochs=int(epochs)); "
        "print(pipeline.run(spec).score('test').mean); "
        "print(Path('/proc/self/status').read_text().partition('VmHWM:')[2].split()[0])"  # Linux; of this process alone
    )
    started = time.perf_counter()
    command = [sys.executable, "-c", code, str(path), str(rows), str(epochs)]
    environment = os.environ | {LIMIT: "1024"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    accuracy, peak = map(float, done.stdout.split())
    console.print(
        f"{rows:,} clips, {epochs} epoch(s): {time.perf_counter() - started:.0f} s, at most {peak / 1024:,.0f} MB of "
        f"memory, test accuracy {100 * accuracy:.0f} %",
        style="bold",
    )


def main() -> None:
    """Print throughput and memory."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--folder", type=Path, help="where the clips are written, by default a temporary folder")
    options.add_argument("--rows", type=int, default=15_000)
    options.add_argument("--turns", type=int, default=4)
    options.add_argument("--epochs", type=int, default=1)
    given = options.parse_args()
    console = Console()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        path = Path(folder) / "clips.npy"
        write(path, given.rows + 400)
        register(path, given.rows)
        for student in ("mobile-fcn", "cp-resnet"):
            compare_throughput(console, SPEC.replace(student=student), given.turns)
        measure_memory(console, path, given.rows, given.epochs)


if __name__ == "__main__":
    main()
