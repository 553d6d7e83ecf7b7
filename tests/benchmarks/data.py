"""What a large import costs: `python -m tests.benchmarks.data`. Times and memory depend on the machine.

1,000,000 embeddings of 512 numbers (2 GB) are written, imported and compressed, each in a process of its own; then how
fast and how cheaply every evil file of the tests is refused. The promise: 2 GB of memory at most while importing and
training, 2 s for a refusal.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

from kdlib.data import intake
from kdlib.data.intake import IntakeError
from tests.evil_files import EVIL

STEP = 10_000  # rows written at a time


def write(path: Path, rows: int, width: int, classes: int = 20) -> None:
    """Write embeddings whose first numbers tell a class, and a table of labels beside them."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(classes, width)).astype(np.float32)
    label = rng.integers(0, classes, rows)
    with path.open("wb") as out:  # not mapped: a process begins with the memory peak of the one that started it
        np.lib.format.write_array_header_1_0(out, {"descr": "<f4", "fortran_order": False, "shape": (rows, width)})
        for start in range(0, rows, STEP):
            part = label[start : start + STEP]
            out.write((0.15 * centres[part] + rng.normal(size=(len(part), width))).astype(np.float32).tobytes())
    path.with_suffix(".csv").write_text("label\n" + "\n".join(f"class {each}" for each in label) + "\n")


def run(console: Console, title: str, *arguments: str) -> None:
    """Run one command of the library in a process of its own and print its time and its highest memory."""
    code = "import sys, resource; from kdlib.cli.main import main; code = main(sys.argv[1:]); "
    code += "usage = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)); "
    code += "print('PEAK', *usage); sys.exit(code)"
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    if done.returncode:
        raise SystemExit(done.stderr)
    lines = done.stdout.strip().splitlines()
    parent, child = (int(number) / 1024 for number in lines[-1].split()[1:])
    console.print("\n".join(lines[:-1]), markup=False)
    console.print(
        f"{title}: {seconds:.0f} s, at most {parent:,.0f} MB of memory, its child {child:,.0f} MB\n", style="bold"
    )


def refusals(console: Console) -> None:
    """Refuse every evil file in a child process, as the app does; print the slowest and the memory of this process."""
    rows, grown = [], 0
    for name, (file, _, limits, make) in EVIL.items():
        with tempfile.TemporaryDirectory() as folder:
            path, out = Path(folder) / file, Path(folder) / "out"
            make(path)
            out.mkdir()
            before, started = psutil.Process().memory_info().rss, time.perf_counter()
            try:
                intake.read(path, out, limits=limits)
            except IntakeError:
                rows.append((time.perf_counter() - started, name))
            grown = max(grown, psutil.Process().memory_info().rss - before)
    table = Table("slowest refusals", "s", box=None)
    for seconds, name in sorted(rows, reverse=True)[:5]:
        table.add_row(name, f"{seconds:.2f}")
    console.print(table)
    summary = f"{len(rows)} of {len(EVIL)} refused, this process grew by {grown / (1 << 20):.1f} MB at most"
    console.print(summary, style="bold")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--width", type=int, default=512)
    given = parser.parse_args()
    out = Console(highlight=False)
    refusals(out)
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as place:
        os.environ["KDLIB_HOME"] = str(Path(place) / "home")
        file = Path(place) / "large.npy"
        write(file, given.rows, given.width)
        out.print(f"\n{given.rows:,} x {given.width} float32, {file.stat().st_size / 1e9:.1f} GB", style="bold")
        run(out, "import", "import", str(file), "--labels", str(file.with_suffix(".csv")), "--name", "large", "--large")
        file.unlink()
        methods = (
            "--methods",
            "baseline,raw,pca,mlp",
            "--epochs",
            "5",
            "--seeds",
            "2",
            "--labels",
            "10000",
            "--width",
            "16",
        )
        run(out, "compare", "compare", "--dataset", "large", "--lr", "0.005", *methods)
