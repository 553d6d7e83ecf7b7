"""What exporting a million embeddings costs: `python -m tests.benchmarks.export [rows] [width]`.

Printed for each format and precision: seconds, seconds of the processor, by how much the memory of the process grew,
and the size of the file. It needs twice the size of the table on the disk, 6 GB.
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

from kdlib.cache import open_array
from kdlib.models.embedding_files import WRITERS, write_embeddings
from kdlib.models.quantization import PRECISIONS, calibrate

MB = 1 << 20
PIECE = 10_000


def make_table(path: Path, rows: int, width: int) -> np.ndarray:
    """Return an array on disk."""
    table = np.lib.format.open_memmap(path, "w+", "<f4", (rows, width))
    piece = np.random.default_rng(0).normal(size=(PIECE, width)).astype(np.float32)
    for start in range(0, rows, PIECE):
        table[start : start + PIECE] = piece[: rows - start]
    del table
    return open_array(path)


def main(rows: int = 1_000_000, width: int = 768) -> None:
    process = psutil.Process()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table, ids = make_table(folder / "table.npy", rows, width), np.arange(rows).astype("U7")
        training = table[np.arange(0, rows, 50)]
        for ending in WRITERS:
            for precision in PRECISIONS:
                path, most, before = folder / f"out{ending}", [0], process.memory_info().rss

                def note(_, most=most, before=before):
                    most[0] = max(most[0], process.memory_info().rss - before)

                started, cpu = time.perf_counter(), time.process_time()
                write_embeddings(path, ids, table, calibrate(precision, training), note)
                took = f"{time.perf_counter() - started:6.1f} s, {time.process_time() - cpu:5.1f} s of the processor"
                size = f"+{most[0] // MB:4} MB of memory, file of {path.stat().st_size // MB:5,} MB"
                print(f"{ending:8} {precision:8} {took}, {size}", flush=True)
                path.unlink()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
