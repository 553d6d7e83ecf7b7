"""How much faster members train together than one by one: `python -m tests.benchmarks.population`.

Both sides do the same work in the same process: gather a batch, student and trainable compressor forward, three losses,
backward, AdamW. One by one is the loop one would write without populations. Nothing here is a test: times depend on the
machine, so they
are printed.
"""

import argparse
import resource
import time
from collections.abc import Callable

import torch
from rich.console import Console
from rich.table import Table
from torch.nn import functional

from kdlib.data import datasets
from kdlib.models import students
from kdlib.models.branches import TeacherBranch
from kdlib.models.compressors import mlp
from kdlib.pipeline import compare
from kdlib.spec import RunSpec
from kdlib.training import losses
from kdlib.training.devices import pick_device
from kdlib.training.loop import train
from kdlib.training.step_loss import MethodGroup, TrainingData

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
    """Return seconds for `steps` steps of `count` members in one population."""
    rows = material(SPEC.batch_size * steps if steps < 30 else 960)
    bodies, teachers = members(student, count)
    branch = MethodGroup(bodies, range(count), teachers, distance_weight=0.5)
    stamps: list[float] = []

    def stamp(at: object) -> None:
        synchronise(device)
        stamps.append(time.perf_counter())

    epochs = -(-steps // (len(rows.inputs) // SPEC.batch_size)) + 1
    settings = {"loss": SPEC.loss, "epochs": epochs, "batch_size": SPEC.batch_size, "lr": 0.01, "device": device}
    train([branch], rows, **settings, score=lambda logits: [0.0] * len(logits), on_progress=stamp)
    warm = len(stamps) - steps
    return stamps[-1] - stamps[warm - 1]


def one_by_one(student: str, count: int, steps: int, device: torch.device) -> float:
    """Return seconds for `steps` steps of `count` members, each in a plain PyTorch loop of its own."""
    rows = material(960).to(device)
    distance = losses.LOSSES[SPEC.loss].function
    total = 0.0
    for body, teacher in zip(*members(student, count), strict=True):
        body, teacher = body.to(device), teacher.to(device)
        optimiser = torch.optim.AdamW([*body.parameters(), *teacher.parameters()], lr=0.01)

        def step(body=body, teacher=teacher, optimiser=optimiser) -> None:
            index = torch.randint(0, 960, (SPEC.batch_size,), device=device)
            labels = rows.labels[index]
            features, logits, _ = body(rows.inputs[index])
            compressed, (teacher_logits,) = teacher(rows.embeddings[index])
            prediction = functional.cross_entropy(logits, labels)
            teaching = functional.cross_entropy(teacher_logits, labels)
            loss = 0.5 * prediction + 0.5 * distance(features, compressed.detach()) + teaching
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


def synchronise(device: torch.device) -> None:
    """Wait for what the device still has to do."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def measured(run: Callable[..., float], student: str, count: int, steps: int, device: torch.device) -> float:
    """Return milliseconds per member and step: the better of two runs, so that others on the machine count less."""
    return min(run(student, count, steps, device) for _ in range(2)) / steps / count * 1000


def main() -> None:
    """Print throughput ratios, and time and memory of the default comparison."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--device", default="auto")
    options.add_argument("--members", type=int, help="default: 25; on a GPU 256")
    options.add_argument("--steps", type=int, default=30)
    given = options.parse_args()
    device = pick_device(given.device)
    count = given.members or (256 if device.type == "cuda" else 25)
    singles = min(count, 5)  # one by one, a member takes as long as any other
    title = f"per member and step of {SPEC.batch_size} rows, {device}"
    table = Table("student", "members", "together, ms", "one by one, ms", "ratio", title=title)
    for student in students.STUDENTS:
        fast = measured(together, student, count, given.steps, device)
        slow = measured(one_by_one, student, singles, given.steps, device)
        table.add_row(student, str(count), f"{fast:.3f}", f"{slow:.3f}", f"{slow / fast:.1f} x")
    console = Console()
    console.print(table)

    specs = [SPEC.replace(method=method) for method in ("baseline", "raw", "pca", "linear", "mlp")]
    compare([spec.replace(epochs=1) for spec in specs], device=given.device)  # fills the caches
    started = time.perf_counter()
    compare(specs, device=given.device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    console.print(
        f"default comparison, 5 methods x {SPEC.seeds} seeds: {time.perf_counter() - started:.1f} s, "
        f"peak memory {peak:.2f} GiB"
    )


if __name__ == "__main__":
    main()
