"""The spaces of a run: what the teacher, the compressor and a student make of the same rows.

rows.py      which rows, where they lie in each space
answers.py   maps and scorecard, from the cache or made by the engine
looks.py     what rows are coloured by, which neighbours they keep, how spaces formed
"""

from kdlib.spaces.jobs import SpaceRequest, cached, compute, discard, project_now, request
from kdlib.spaces.presentation import (
    Colouring,
    Replay,
    colourings,
    colours,
    first_label,
    neighbour_changes,
    pair_table,
    predictions,
    probe_table,
    replay,
    row_table,
    space_table,
)
from kdlib.spaces.rows import PAIRS, SPACE_NAMES, Spaces, list_splits, load_spaces

__all__ = [
    "PAIRS",
    "SPACE_NAMES",
    "Colouring",
    "Replay",
    "SpaceRequest",
    "Spaces",
    "cached",
    "colourings",
    "colours",
    "compute",
    "discard",
    "first_label",
    "list_splits",
    "load_spaces",
    "neighbour_changes",
    "pair_table",
    "predictions",
    "probe_table",
    "project_now",
    "replay",
    "request",
    "row_table",
    "space_table",
]
