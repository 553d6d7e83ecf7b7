"""The child process: `python -m kdlib.intake FILE NAME FOLDER LIMITS-AS-JSON`."""

import json
import sys
from pathlib import Path

from kdlib.intake.limits import Limits

if __name__ == "__main__":
    path, name, folder, limits = sys.argv[1:]
    allowed = Limits(**json.loads(limits))
    allowed.confine()
    from kdlib.intake import reading  # after confine: whatever the readers load is under the limits as well

    reading.answer(Path(path), name, Path(folder), allowed)
