"""How much faster a grid trains as one population than one run after another: `python -m tests.benchmarks.grid`.

Both sides are the library's own training, in one process, of the same members: on one side all of them in one
population, on the other a population per setting. Nothing here is a test: times depend on the machine, so they are
printed.
"""

import argparse
import time
from dataclasses import replace

import torch
from rich.console import Console
from rich.table import Table

from kdlib.models import students
from kdlib.models.branches import TeacherBranch
from kdlib.models.compressors import mlp
from kdlib.training.loop import train
from kdlib.training.step_loss import MethodGroup, TrainingData

WEIGHTS, RATES = (0.0, 0.25, 0.5, 0.75, 0.9), (0.003, 0.01, 0.02, 0.03, 0.05)
D_T, D_C, K, ROWS, BATCH = 128, 16, 10, 320, 32
SHAPES = {"cnn": (1, 16, 16), "mel-cnn": (1, 32, 32)}
WIDTHS = {"cnn": 8, "mel-cnn": 4}


def group(student: str, weight: float, seeds: int) -> MethodGroup:
    """Return the untrained members of one setting."""
    bodies = [students.build_student(student, SHAPES[student], WIDTHS[student], K) for _ in range(seeds)]
    teachers = [TeacherBranch(mlp(D_T, D_C), (D_C,), K) for _ in range(seeds)]
    return MethodGroup(bodies, range(seeds), teachers, distance_weight=[weight] * seeds)


def joined(groups: list[MethodGroup]) -> MethodGroup:
    """Return the members of several settings as those of one grid."""
    return replace(
        groups[0],
        students=[student for each in groups for student in each.students],
        seeds=[seed for each in groups for seed in each.seeds],
        teachers=[teacher for each in groups for teacher in each.teachers],
        distance_weight=[weight for each in groups for weight in each.member_weights("distance_weight")],
    )


def seconds(members: MethodGroup, rates: list[float], rows: TrainingData, epochs: int) -> float:
    """Return how long a training takes."""
    started = time.perf_counter()
    settings = {"loss": "distance_correlation", "epochs": epochs, "batch_size": BATCH}
    train([members], rows, lr=rates, **settings, score=lambda logits: [0.0] * len(logits))
    return time.perf_counter() - started


def main() -> None:
    """Print the ratio of five settings with three seeds each, together and one after another."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--epochs", type=int, default=6)
    given = options.parse_args()
    title = f"{len(WEIGHTS)} settings x {given.seeds} seeds, {given.epochs * ROWS // BATCH} steps"
    table = Table(
        "student", "grid, s", "one run after another, s", "ratio", title=f"{title}; {torch.get_num_threads()} threads"
    )
    for student, shape in SHAPES.items():
        inputs, labels = torch.randn(ROWS, *shape), torch.arange(ROWS) % K
        rows = TrainingData(inputs, labels, torch.randn(ROWS, D_T), inputs[:50], labels[:50])
        groups = [group(student, weight, given.seeds) for weight in WEIGHTS]
        rates = [rate for rate in RATES for _ in range(given.seeds)]
        seconds(groups[0], [0.01] * given.seeds, rows, 1)  # warm
        times = []
        for _ in range(2):  # the better of two, in turn, so that other work on the machine counts less
            together = seconds(joined(groups), rates, rows, given.epochs)
            alone = sum(
                seconds(each, [rate] * given.seeds, rows, given.epochs)
                for each, rate in zip(groups, RATES, strict=True)
            )
            times.append((together, alone))
        together, alone = (min(each) for each in zip(*times, strict=True))
        table.add_row(student, f"{together:.2f}", f"{alone:.2f}", f"{alone / together:.1f} x")
    Console().print(table)


if __name__ == "__main__":
    main()
