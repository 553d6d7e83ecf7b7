"""The user's own data: from a file or a folder to a dataset among the others, in three steps that a page and the command line share.

    source = stage(path)              read through `intake`, kept in a waiting room: columns of text and of numbers
    draft = understand(source, plan)  what each column is: labels, splits, attributes; warnings, or a refusal in words
    name = keep(source, draft, "birds")

To read another kind of file, add it to `intake.kinds` and `intake.reading`; `tests/test_files.py` holds these steps.
"""

from kdlib.data.importing.build import MOST_CATEGORIES, Draft, guess, understand, values
from kdlib.data.importing.plan import Plan, parts
from kdlib.data.importing.source import Source, drop, reopen, stage, stage_uploads
from kdlib.data.importing.store import keep

__all__ = [
    "MOST_CATEGORIES",
    "Draft",
    "Plan",
    "Source",
    "drop",
    "guess",
    "keep",
    "parts",
    "reopen",
    "stage",
    "stage_uploads",
    "understand",
    "values",
]
