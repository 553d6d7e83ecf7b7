"""The user's own data: from a file or a folder to a dataset, in three steps that a page and the command line share.

    source = stage(path)               read through `intake`, kept in a waiting room: columns of text and of numbers
    draft = build_draft(source, plan)  what each column is: labels, splits, attributes; warnings, or a refusal in words
    name = store_dataset(source, draft, "birds")

To read another kind of file, add it to `intake.kinds` and `intake.reading`; `tests/test_importing.py` holds the steps.
"""

from kdlib.data.importing.build import MAX_CATEGORIES, DatasetDraft, build_draft
from kdlib.data.importing.guess import TABLE_AXES, column_values, guess_plan
from kdlib.data.importing.plan import ImportPlan, pattern_parts
from kdlib.data.importing.source import Source, discard, reopen, stage, stage_uploads
from kdlib.data.importing.store import store_dataset
from kdlib.data.intake import Column, InputFormat

__all__ = [
    "MAX_CATEGORIES",
    "TABLE_AXES",
    "Column",
    "DatasetDraft",
    "ImportPlan",
    "InputFormat",
    "Source",
    "build_draft",
    "column_values",
    "discard",
    "guess_plan",
    "pattern_parts",
    "reopen",
    "stage",
    "stage_uploads",
    "store_dataset",
]
