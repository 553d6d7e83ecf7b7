"""The spaces of a run: what the teacher, the compressor and a student make of the same rows.

rows.py            which rows, where they lie in each space
results.py         what is computed about spaces, typed
presentation.py    what rows are coloured by, tables of what was measured, how spaces formed
neighbourhoods.py  what one item is near to in each space, and what these have in common with it
formation.py       how spaces form, as Start draws it
storage.py         the files in which answers are stored
jobs.py            maps and scorecard, from the cache or computed by the engine
preparation.py     these of a run that is done, before anybody asks
width_jobs.py      what every leading width of a run holds, found out by the engine
teacher_jobs.py    what a teacher knows of a dataset, found out by the engine
embedding_jobs.py  embedding a dataset, by the engine
precision_jobs.py  what widths and precisions of an embedding are worth, measured by the engine
space_embeddings.py  the embeddings of any dataset in a space of a run
export_jobs.py     these as a file to download, written by the engine
deletion.py        deleting what was imported
"""

from kdlib.analysis.failure import Failure
from kdlib.spaces.jobs import (
    SpaceRequest,
    cached,
    compute,
    compute_scorecard,
    discard,
    laying_out,
    project_now,
    request,
)
from kdlib.spaces.neighbourhoods import Neighbourhood, describe_neighbourhoods, find_neighbourhoods
from kdlib.spaces.presentation import (
    Colouring,
    Replay,
    colourings,
    colours,
    first_label,
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
    "Neighbourhood",
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
    "describe_neighbourhoods",
    "discard",
    "find_neighbourhoods",
    "first_label",
    "laying_out",
    "list_splits",
    "load_spaces",
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
