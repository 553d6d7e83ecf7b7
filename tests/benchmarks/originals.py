"""What importing pictures and recordings costs: `python -m tests.benchmarks.originals`. Times depend on the machine.

4,000 jpegs of 224 x 224 and 500 recordings of 10 s at 32 kHz are written, and imported in several forms, each in a
process of its own. The promise: about 20 s each, and a process that grows by less than 32 MB.
"""

import argparse
import io
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image
from rich.console import Console
from rich.table import Table

CODE = """
import sys, time, psutil
from pathlib import Path
from kdlib.data import imported, importing

process, form = psutil.Process(), importing.InputFormat(*map(int, sys.argv[2:]))
before, peak = process.memory_info().rss, 0
def watch(_):
    global peak
    peak = max(peak, process.memory_info().rss)
started = time.perf_counter()
source = importing.stage(Path(sys.argv[1]), form=form, on_progress=watch)
draft = importing.build_draft(source, importing.guess_plan(source))
name = importing.store_dataset(source, draft, "measured", watch)
seconds = time.perf_counter() - started
importing.discard(source.token)
files = {path.name: path.stat().st_size for path in imported.dataset_folder(name).iterdir()}
originals = sum(files[file] for file in source.originals)
shape = "x".join(map(str, draft.shape))
print(shape, round(seconds, 1), *(round(size / 1e6, 1) for size in (originals, files["inputs.npy"], peak - before)))
"""
FORMS = {  # size, seconds, mels, rate
    "pictures.zip": ((64, 4, 32, 16_000), (128, 4, 32, 16_000), (192, 4, 32, 16_000)),
    "recordings.zip": ((64, 4, 32, 16_000), (64, 10, 64, 16_000), (64, 10, 128, 32_000)),
}


def write_pictures(path: Path, count: int) -> None:
    """Write noisy colour pictures of 224 x 224 in ten folders."""
    rng = np.random.default_rng(0)
    with zipfile.ZipFile(path, "w") as archive:
        for row in range(count):
            smooth = Image.fromarray(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)).resize((224, 224))
            noisy = np.asarray(smooth).astype(np.int16) + rng.integers(-12, 13, (224, 224, 3), dtype=np.int16)
            out = io.BytesIO()
            Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(out, "JPEG", quality=85)
            archive.writestr(f"{row % 10}/{row:05d}.jpg", out.getvalue())


def write_recordings(path: Path, count: int, rate: int = 32_000) -> None:
    """Write tones of 10 s with noise in five folders."""
    rng, time = np.random.default_rng(0), np.arange(10 * rate) / rate
    with zipfile.ZipFile(path, "w") as archive:
        for row in range(count):
            wave = 0.3 * np.sin(2 * np.pi * (200 + row) * time) + rng.normal(0, 0.05, len(time))
            out = io.BytesIO()
            soundfile.write(out, wave, rate, format="WAV")
            archive.writestr(f"{row % 5}/{row:05d}.wav", out.getvalue())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=4000)
    parser.add_argument("--recordings", type=int, default=500)
    given = parser.parse_args()
    table = Table("file", "student gets", "s", "originals, MB", "inputs, MB", "process grew by, MB", box=None)
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as place:
        write_pictures(Path(place) / "pictures.zip", given.pictures)
        write_recordings(Path(place) / "recordings.zip", given.recordings)
        for name, forms in FORMS.items():
            for form in forms:
                with tempfile.TemporaryDirectory(dir=place) as home:
                    command = [sys.executable, "-c", CODE, str(Path(place) / name), *map(str, form)]
                    environment = os.environ | {"KDLIB_HOME": home}
                    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
                table.add_row(name, *done.stdout.split())
    Console(highlight=False).print(table)
