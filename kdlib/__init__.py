"""KD Lab's library: embedding compression in teacher-to-student knowledge transfer.

The flow, which `kdlib.pipeline` spells out: load a dataset, embed it with a teacher, compress the embeddings, train
students that are pulled towards them, evaluate.

    from kdlib import RunSpec
    from kdlib.pipeline import compare, run

The rooms, in the order in which they build on one another; each room's `__init__` lists what is in it:

    spec, results    what to run, and what came of it; summary: scores over seeds
    names, colours   what people call methods and teachers, in which order; the colours of roles and classes
    recording        the race that is shown before a first one
    progress         how work is going, and how it is asked to stop; processes: work of several parts on several cores
    registry, cache  looking names up; arrays on disk under a content key
    data/            datasets, sounds, spectrograms, imported data      to add a dataset: data/datasets.py
    training/        losses, the loop, populations of networks, replay  to add a loss: training/losses.py
    models/          teachers, compressors, students, pretraining       to add one: a function and a line in its module
    analysis/        scores, probes, geometry, maps, comparisons, charts  to add a chart: analysis/figures/
    checks, groups   what a spec must satisfy; what trains together
    trials, tuning   the settings that were tried for a method; finding the best one on validation
    pipeline         the whole flow: read this first; sequential: more seeds until it is sure enough
    store/ engine/   runs in MLflow; background execution on dask.distributed
    runs/            launch, list, watch, cancel, resume, sweep: store and engine brought together
    spaces/          the spaces of a run: rows, maps, scorecard, neighbours; what a teacher knows
    durations        how long a launch takes, and what is left of it
    planning         what a launch will cost, what speaks against it
    step_sessions    a training gone through step by step
    notebook         results in a notebook: `kdlib.open`, figures, cards
    export/          what leaves the lab: a trained student as files that run anywhere, reports
    cli/             the command line                                   to add a command: one function in its group

Every registry is a dict literal at the end of its module: that dict is the select box, the command-line choice and the
contract test.
Importing this package is cheap: torch comes with the first module that needs it.
"""

import os

# Threads that wait for one another by spinning slow training down several times as soon as anything else runs on the
# machine; threads that sleep at once need a fifth longer where nothing else does. So they spin for some microseconds,
# then sleep. OpenMP reads this when torch is first imported, so it is set here, before that.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "3000")

from kdlib.notebook import open_run as open
from kdlib.spec import RunSpec

__version__ = "0.1.0"
__all__ = ["RunSpec", "open"]
