"""How much faster a grid trains as one population than one run after another: `python -m tests.benchmarks.grid`.

Two grids: λ with a learning rate each, and λ x prefixes of a matryoshka embedding.

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

RATES = {0.0: 0.003, 0.25: 0.01, 0.5: 0.02, 0.75: 0.03, 0.9: 0.05}  # λ -> learning rate
PREFIXES, HEADS = (4, 8, 16, 32), (2, 4, 8, 16, 32)
D_T, D_C, K, ROWS, BATCH = 128, 16, 10, 320, 32
SHAPES = {"cnn": (1, 16, 16), "mel-cnn": (1, 32, 32)}
WIDTHS = {"cnn": 8, "mel-cnn": 4}


def group(student: str, weight: float, seeds: int, prefix: int = 0) -> MethodGroup:
    """Return the untrained members of one setting; those with a prefix learn from a wider embedding, part of which."""
    bodies = [students.build_student(student, SHAPES[student], WIDTHS[student], K) for _ in range(seeds)]
    heads = HEADS if prefix else (D_C,)
    teachers = [TeacherBranch(mlp(D_T, heads[-1]), heads, K) for _ in range(seeds)]
    taught = {"prefix": [prefix] * seeds, "heads": heads} if prefix else {}
    return MethodGroup(bodies, range(seeds), teachers, distance_weight=[weight] * seeds, **taught)


def joined(groups: list[MethodGroup]) -> MethodGroup:
    """Return the members of several settings as those of one grid."""
    return replace(
        groups[0],
        students=[student for each in groups for student in each.students],
        seeds=[seed for each in groups for seed in each.seeds],
        teachers=[teacher for each in groups for teacher in each.teachers],
        distance_weight=[weight for each in groups for weight in each.member_weights("distance_weight")],
        prefix=[prefix for each in groups for prefix in each.prefix],
    )


def seconds(members: MethodGroup, rates: list[float], rows: TrainingData, epochs: int) -> float:
    """Return how long a training takes."""
    started = time.perf_counter()
    settings = {"loss": "distance_correlation", "epochs": epochs, "batch_size": BATCH}
    train([members], rows, lr=rates, **settings, score=lambda logits: [0.0] * len(logits))
    return time.perf_counter() - started


def both(settings: list[tuple[MethodGroup, float]], rows: TrainingData, epochs: int) -> tuple[float, float]:
    """Return the seconds of settings, each with its learning rate, as one population and one after another."""
    groups, members = [each for each, _ in settings], len(settings[0][0].seeds)
    rates = [rate for _, rate in settings for _ in range(members)]
    seconds(groups[0], rates[:members], rows, 1)  # warm
    times = []
    for _ in range(2):  # the better of two, in turn, so that other work on the machine counts less
        together = seconds(joined(groups), rates, rows, epochs)
        times.append((together, sum(seconds(each, [rate] * members, rows, epochs) for each, rate in settings)))
    return min(each for each, _ in times), min(each for _, each in times)


def main() -> None:
    """Print the ratio of both grids with three seeds for each setting, together and one after another."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--epochs", type=int, default=6)
    given = options.parse_args()
    title = f"{given.seeds} seeds, {given.epochs * ROWS // BATCH} steps; {torch.get_num_threads()} threads"
    table = Table("student", "settings", "grid, s", "one run after another, s", "ratio", title=title)
    for student, shape in SHAPES.items():
        inputs, labels = torch.randn(ROWS, *shape), torch.arange(ROWS) % K
        rows = TrainingData(inputs, labels, torch.randn(ROWS, D_T), inputs[:50], labels[:50])
        by_rate = [(group(student, weight, given.seeds), rate) for weight, rate in RATES.items()]
        by_prefix = [
            (group(student, weight, given.seeds, prefix), 0.01) for weight in (0.5, 0.75, 0.9) for prefix in PREFIXES
        ]
        for name, settings in (("5 λ", by_rate), ("3 λ x 4 prefixes", by_prefix)):
            together, alone = both(settings, rows, given.epochs)
            table.add_row(student, name, f"{together:.2f}", f"{alone:.2f}", f"{alone / together:.1f} x")
    Console().print(table)


if __name__ == "__main__":
    main()
