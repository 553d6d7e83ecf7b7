"""The child process: `python -m kdlib.data.intake FILE NAME FOLDER LIMITS FORM LAYOUT`, limits and form as JSON."""

import json
import sys
from pathlib import Path

from kdlib.data.intake.child import enter, leave_result
from kdlib.data.intake.formats import InputFormat
from kdlib.data.intake.limits import Limits

if __name__ == "__main__":
    path, name, folder, limits_json, form_json, layout = sys.argv[1:]
    limits = Limits(**json.loads(limits_json))
    reporter = enter(limits)
    from kdlib.data.intake import reading  # after the limits are set, so that they hold for what the readers load too

    form, out = InputFormat(**json.loads(form_json)), Path(folder)
    leave_result(
        lambda: reading.read(Path(path), name, out, limits, reporter, form, layout).to_dict(), name, out, limits
    )
