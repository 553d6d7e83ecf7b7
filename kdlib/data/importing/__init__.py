"""The user's own data: from a file or a folder to a dataset, in three steps that a page and the command line share.

    source = stage(path)                            read through `intake` into the staging folder: columns of text and of numbers
    draft = build_draft(source, guess_plan(source)) labels, splits, attributes and warnings, or a refusal in words
    name = store_dataset(source, draft, "birds")    stored among the datasets

To read another kind of file, add it to `intake.kinds` and `intake.reading`; `tests/test_importing.py` checks these steps.
"""

from kdlib.data.importing.build import MAX_CATEGORIES, build_draft, column_values
from kdlib.data.importing.draft import DatasetDraft
from kdlib.data.importing.plan import ImportPlan, guess_plan, pattern_parts
from kdlib.data.importing.source import Source, discard, reopen, stage, stage_uploads
from kdlib.data.importing.store import store_dataset

__all__ = [
    "MAX_CATEGORIES",
    "DatasetDraft",
    "ImportPlan",
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
