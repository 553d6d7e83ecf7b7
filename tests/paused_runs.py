"""The real training for tests, which waits in the middle of a phase until it is cancelled.

The file "pause" in the data folder names the phase; the file "reached" appears beside it when a run waits there. The
last phase of all is "saving".
"""

import time
from functools import partial
from pathlib import Path

from kdlib import pipeline
from kdlib.cache import home
from kdlib.progress import OnProgress, Progress
from kdlib.results import RunResult
from kdlib.spec import RunSpec


def run(spec: RunSpec, *, device: str = "auto", on_progress: OnProgress, checkpoint: Path | None = None) -> RunResult:
    """Run the pipeline, and wait where the file says."""
    phase = (home() / "pause").read_text() if (home() / "pause").exists() else ""
    result = pipeline.run(spec, device=device, on_progress=partial(_wait, phase, on_progress), checkpoint=checkpoint)
    _wait(phase, on_progress, Progress(1, 1, phase="saving"))
    return result


def _wait(phase: str, on_progress: OnProgress, progress: Progress) -> bool:
    stop = on_progress(progress)
    if progress.phase == phase and progress.step > 0 and not stop:
        (home() / "reached").touch()
        while not on_progress(progress):
            time.sleep(0.01)
        return True
    return bool(stop)
