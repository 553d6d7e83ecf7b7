"""How much faster members train together than one by one: `python -m tests.benchmarks.population`.

All sides do the same work on the same cores: gather a batch, student and trainable compressor forward, three losses,
backward, AdamW. torch is imported before kdlib here, so that the loops of one member have threads that wait by
spinning, which is best for them on a quiet machine. One by one is the loop one would write without populations, in
plain PyTorch or with PyTorch Lightning (`make bench` installs it; left out where it is not). They take turns, and the
best turn of each counts. Nothing here is a test: times depend on the machine, so they are printed.
"""

import argparse
import logging
import os
import resource
import time
import warnings
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from kdlib.data import datasets
from kdlib.models import students
from kdlib.models.branches import TeacherBranch
from kdlib.models.compressors import mlp
from kdlib.models.providers.hub.loading import declare_torchvision_operators
from kdlib.pipeline import compare
from kdlib.progress import Progress
from kdlib.spec import RunSpec
from kdlib.training import losses
from kdlib.training.devices import pick_device
from kdlib.training.shards import train_in_shards
from kdlib.training.step_loss import MethodGroup, TrainingData

declare_torchvision_operators()  # torchmetrics, which Lightning brings, imports torchvision where there is one
try:
    import pytorch_lightning  # pyright: ignore[reportMissingImports]
except ImportError:
    pytorch_lightning = None

D_T, SPEC = 128, RunSpec()


def material(rows: int) -> TrainingData:
    """Return rows of the default dataset with made-up embeddings: their content does not matter for time."""
    data = datasets.load(SPEC.dataset)
    index = data.labelled(rows)
    inputs, labels = torch.from_numpy(data.inputs[index]), torch.from_numpy(data.labels[index])
    return TrainingData(inputs, labels, torch.randn(rows, D_T), inputs[:10], labels[:10])


def members(student: str, count: int) -> tuple[list, list]:
    """Return untrained students and teacher branches."""
    bodies = [students.build_student(student, (1, 16, 16), SPEC.width, 10) for _ in range(count)]
    return bodies, [TeacherBranch(mlp(D_T, SPEC.dim), (SPEC.dim,), 10) for _ in range(count)]


def together(student: str, count: int, steps: int, device: torch.device) -> float:
    """Return seconds for `steps` steps of `count` members in one population, on all cores."""
    rows = material(960)
    bodies, teachers = members(student, count)
    branch = MethodGroup(bodies, range(count), teachers, distance_weight=0.5)
    stamps: list[tuple[int, float]] = []

    def stamp(progress: Progress) -> None:
        synchronise(device)
        stamps.append((progress.step, time.perf_counter()))

    epochs = 1 + -(-5 * steps // (960 // SPEC.batch_size))  # long enough for many reports
    train_in_shards(
        [branch], rows, loss=SPEC.loss, epochs=epochs, batch_size=SPEC.batch_size, lr=0.01, augmentation="none",
        device=device, score=lambda logits: [0.0] * len(logits), on_progress=stamp,
    )  # fmt: skip
    (first, started), (last, ended) = next(each for each in stamps if each[0] >= 5), stamps[-1]
    return (ended - started) / (last - first) * steps


def one_by_one(student: str, count: int, steps: int, device: torch.device) -> float:
    """Return seconds for `steps` steps of `count` members, each in a plain PyTorch loop of its own."""
    rows = material(960).to(device)
    total = 0.0
    for body, teacher in zip(*members(student, count), strict=True):
        body, teacher = body.to(device), teacher.to(device)
        optimiser = torch.optim.AdamW([*body.parameters(), *teacher.parameters()], lr=0.01)

        def step(body=body, teacher=teacher, optimiser=optimiser) -> None:
            index = torch.randint(0, 960, (SPEC.batch_size,), device=device)
            loss = plain_loss(body, teacher, rows.inputs[index], rows.labels[index], rows.embeddings[index])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()

        for _ in range(3):
            step()
        synchronise(device)
        started = time.perf_counter()
        for _ in range(steps):
            step()
        synchronise(device)
        total += time.perf_counter() - started
    return total


def plain_loss(body: nn.Module, teacher: nn.Module, inputs: Tensor, labels: Tensor, embeddings: Tensor) -> Tensor:
    """Return the loss of one member as one would write it."""
    features, logits, _ = body(inputs)
    compressed, (teacher_logits,) = teacher(embeddings)
    prediction = functional.cross_entropy(logits, labels)
    teaching = functional.cross_entropy(teacher_logits, labels)
    return 0.5 * prediction + 0.5 * losses.LOSSES[SPEC.loss].function(features, compressed.detach()) + teaching


def with_lightning(student: str, count: int, steps: int, device: torch.device) -> float:
    """Return seconds for `steps` steps of `count` members, each by a Trainer of its own that logs and shows nothing."""
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    rows, total = material(960), 0.0
    for body, teacher in zip(*members(student, count), strict=True):
        loader = DataLoader(TensorDataset(rows.inputs, rows.labels, rows.embeddings), SPEC.batch_size, shuffle=True)
        module = lightning_module(body, teacher, device)
        trainer = pytorch_lightning.Trainer(
            accelerator=device.type, devices=1, max_steps=steps + 3, logger=False, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False,
        )  # fmt: skip
        trainer.fit(module, loader)
        total += module.stamps[-1] - module.stamps[2]
    return total


def lightning_module(body: nn.Module, teacher: nn.Module, device: torch.device) -> Any:
    """Return a LightningModule that notes when each step was over."""

    class Member(pytorch_lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.teacher, self.stamps = body, teacher, []

        def training_step(self, batch: list[Tensor], number: int) -> Tensor:
            return plain_loss(self.body, self.teacher, *batch)

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.AdamW(self.parameters(), lr=0.01)

        def on_train_batch_end(self, *_: Any) -> None:
            synchronise(device)
            self.stamps.append(time.perf_counter())

    return Member()


def synchronise(device: torch.device) -> None:
    """Wait for what the device still has to do."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def measured(student: str, count: int, steps: int, turns: int, device: torch.device) -> list[float]:
    """Return milliseconds per member and step together, one by one, and with Lightning where it is installed.

    They take turns, and the best turn of each counts, so that others on the machine count less.
    """
    singles = min(count, 5)  # one by one, a member takes as long as any other
    sides = [(together, count), (one_by_one, singles), *([(with_lightning, singles)] if pytorch_lightning else [])]
    times = [[run(student, size, steps, device) / steps / size for run, size in sides] for _ in range(turns)]
    return [1000 * min(side) for side in zip(*times, strict=True)]


def main() -> None:
    """Print throughput ratios, and time and memory of the default comparison."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--device", default="auto")
    options.add_argument("--members", type=int, help="default: 25; on a GPU 256")
    options.add_argument("--steps", type=int, default=30)
    options.add_argument("--turns", type=int, default=3)
    options.add_argument("--students", default=",".join(students.STUDENTS))
    given = options.parse_args()
    device = pick_device(given.device)
    count = given.members or (256 if device.type == "cuda" else 25)
    title = f"ms per member and step of {SPEC.batch_size} rows, {device}, load {os.getloadavg()[0]:.1f}"
    table = Table("student", "members", "together", "plain PyTorch", "ratio", "Lightning", "ratio", title=title)
    for student in given.students.split(","):
        fast, *slow = measured(student, count, given.steps, given.turns, device)
        cells = [cell for each in slow for cell in (f"{each:.3f}", f"{each / fast:.1f} x")]
        table.add_row(student, str(count), f"{fast:.3f}", *cells)
    console = Console()
    console.print(table)

    specs = [SPEC.replace(method=method) for method in ("baseline", "raw", "pca", "linear", "mlp")]
    compare([spec.replace(epochs=1) for spec in specs], device=given.device)  # fills the caches
    seen: dict[str, float] = {}  # phase -> when it began
    started = time.perf_counter()
    compare(specs, device=given.device, on_progress=lambda each: seen.setdefault(each.phase, time.perf_counter()) < 0)
    ended = time.perf_counter()
    measuring = ended - seen["measuring"]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    console.print(
        f"default comparison, 5 methods x {SPEC.seeds} seeds: {ended - started:.1f} s, "
        f"of it measuring {measuring:.2f} s ({100 * measuring / (ended - started):.0f} %), "
        f"peak memory {peak:.2f} GiB"
    )


if __name__ == "__main__":
    main()
