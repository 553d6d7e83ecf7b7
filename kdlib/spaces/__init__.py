"""The spaces of a run: what the teacher, the compressor and a student make of the same rows.

rows.py      which rows, where they lie in each space
answers.py   maps and scorecard, from the cache or made by the engine
looks.py     what rows are coloured by, which neighbours they keep, how spaces formed
"""

from kdlib.spaces.jobs import Question, drawn_now, known, read, retry, write
from kdlib.spaces.presentation import (
    Colouring,
    Replay,
    by_row,
    changes,
    colourings,
    colours,
    first_label,
    pair_table,
    predictions,
    probes,
    replay,
    space_table,
)
from kdlib.spaces.rows import NAMES, PAIRS, Spaces, load, splits

__all__ = [
    "NAMES",
    "PAIRS",
    "Colouring",
    "Question",
    "Replay",
    "Spaces",
    "by_row",
    "changes",
    "colourings",
    "colours",
    "drawn_now",
    "first_label",
    "known",
    "load",
    "pair_table",
    "predictions",
    "probes",
    "read",
    "replay",
    "retry",
    "space_table",
    "splits",
    "write",
]
