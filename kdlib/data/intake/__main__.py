"""The child process: `python -m kdlib.data.intake FILE NAME FOLDER LIMITS-AS-JSON`."""

import json
import os
import sys
from pathlib import Path

from kdlib.data.intake.limits import Limits
from kdlib.data.intake.progress import Reporter, encode

if __name__ == "__main__":
    path, name, folder, limits = sys.argv[1:]
    allowed = Limits(**json.loads(limits))
    allowed.apply_to_process()
    pipe = os.dup(1)
    os.dup2(2, 1)  # what a library prints must not mix with the reports
    reporter = Reporter(lambda step, steps: os.write(pipe, encode(step, steps)))
    reporter.advance()
    from kdlib.data.intake import reading  # after confine: whatever the readers load is under the limits as well

    reading.answer(Path(path), name, Path(folder), allowed, reporter)
