"""The child process: `python -m kdlib.models.providers.onnx FILE NAME FOLDER LIMITS PLAN`, the last two as JSON.

Without a plan ("null") it says what the file holds, with one it tries that out.
"""

import json
import sys
from pathlib import Path

from kdlib.data.intake.child import enter, leave_result
from kdlib.data.intake.limits import Limits

if __name__ == "__main__":
    path, name, folder, limits_json, plan_json = sys.argv[1:]
    limits, record = Limits(**json.loads(limits_json)), json.loads(plan_json)
    reporter = enter(limits)
    from kdlib.models.providers.onnx.plan import Plan
    from kdlib.models.providers.onnx.reading import read_network
    from kdlib.models.providers.onnx.trial import run_trial

    if record is None:
        leave_result(lambda: read_network(Path(path), name, limits).to_dict(), name, Path(folder), limits)
    else:
        plan = Plan.from_dict(record)
        leave_result(
            lambda: run_trial(Path(path), name, plan, Path(folder), limits, reporter), name, Path(folder), limits
        )
