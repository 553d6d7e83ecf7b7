"""The spaces of a run: what the teacher, the compressor and a student make of the same rows.

rows.py            which rows, where they lie in each space
results.py         what is computed about spaces, typed
presentation.py    what rows are coloured by, which neighbours they keep, how spaces formed
jobs.py            maps and scorecard, from the cache or computed by the engine
teacher_jobs.py    what a teacher knows of a dataset, found out by the engine
embedding_jobs.py  embedding a dataset, by the engine
precision_jobs.py  what widths and precisions of an embedding are worth, measured by the engine
space_embeddings.py  the embeddings of any dataset in a space of a run
export_jobs.py     these as a file to download, written by the engine
deletion.py        deleting what was imported
"""

from kdlib.analysis.failure import Failure
from kdlib.spaces.jobs import SpaceRequest, cached, compute, compute_scorecard, discard, project_now, request
from kdlib.spaces.presentation import (
    Colouring,
    Replay,
    colourings,
    colours,
    first_label,
    neighbour_changes,
    pair_frame,
    pair_table,
    predictions,
    probe_table,
    replay,
    row_table,
    space_table,
)
from kdlib.spaces.results import Scorecard, SpaceMaps
from kdlib.spaces.rows import PAIRS, SPACE_NAMES, Spaces, list_splits, load_spaces, result_spaces

__all__ = [
    "PAIRS",
    "SPACE_NAMES",
    "Colouring",
    "Failure",
    "Replay",
    "Scorecard",
    "SpaceMaps",
    "SpaceRequest",
    "Spaces",
    "cached",
    "colourings",
    "colours",
    "compute",
    "compute_scorecard",
    "discard",
    "first_label",
    "list_splits",
    "load_spaces",
    "neighbour_changes",
    "pair_frame",
    "pair_table",
    "predictions",
    "probe_table",
    "project_now",
    "replay",
    "request",
    "result_spaces",
    "row_table",
    "space_table",
]
