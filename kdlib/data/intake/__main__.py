"""The child process: `python -m kdlib.data.intake FILE NAME FOLDER LIMITS FORM LAYOUT`, limits and form as JSON."""

import json
import os
import sys
from pathlib import Path

from kdlib.data.intake.formats import InputFormat
from kdlib.data.intake.limits import Limits
from kdlib.data.intake.progress import Reporter, encode

if __name__ == "__main__":
    path, name, folder, limits_json, form_json, layout = sys.argv[1:]
    limits = Limits(**json.loads(limits_json))
    limits.apply_to_process()
    pipe = os.dup(1)
    os.dup2(2, 1)  # output of a library must not mix with the reports
    reporter = Reporter(lambda step, steps: os.write(pipe, encode(step, steps)))
    reporter.advance()
    from kdlib.data.intake import reading  # after the limits are set, so that they hold for what the readers load too

    form = InputFormat(**json.loads(form_json))
    reading.write_result(Path(path), name, Path(folder), limits, reporter, form, layout)
