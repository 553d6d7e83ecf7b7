"""KD Lab's library: embedding compression in teacher-to-student knowledge transfer.

The flow, which `kdlib.pipeline` spells out: load a dataset, embed it with a teacher, compress the embeddings, train students that are
pulled towards them, evaluate.

    from kdlib import RunSpec
    from kdlib.pipeline import compare, run

What to read, in the order in which modules build on one another:

    spec        what to run, how it is going, what came of it
    registry    looking names up
    cache       arrays on disk under a content key
    spectrograms  sound as a picture
    sounds      notes of instrument families            to add one: a function and a line in FAMILIES
    intake      the gate every foreign file passes
    imported    what people imported, on disk
    catalog     what there is to choose from, without loading it
    datasets    built-in datasets                       to add one: a function and a line in DATASETS
    files       from a foreign file to a dataset
    teachers    providers of embeddings                 to add one: a function and a line in TEACHERS
    optimiser   AdamW
    compressors from embedding to compact target        to add one: a builder and a line in COMPRESSORS
    students    the small networks                      to add one: a builder and a line in STUDENTS
    losses      distances between student and target    to add one: a function and a line in LOSSES
    devices     where to compute
    population  many networks as one
    snapshots   where some rows lie while spaces form
    training_state  what changes while members train, and its checkpoint
    training    the loop
    evaluation  scores and probes
    intervals   one number per seed becomes a mean and its interval
    geometry    spaces against spaces
    projection  spaces drawn in the plane               to add one: a function and a line in PROJECTIONS
    pretraining how the built-in teachers were made
    checks      what a spec must satisfy
    measuring   what trained members are worth
    pipeline    the whole flow
    comparison  several results side by side
    papers      what the papers compare, as one table
    store       runs in MLflow
    engine      background execution on dask.distributed
    runs        launch, list, watch, cancel, resume: store and engine brought together
    sweeps      a grid of specs
    spaces      the spaces of a run: rows, maps, scorecard, neighbours, replay
    library     deleting what was imported
    figures     data frames in, plotly figures out

Importing this package is cheap: torch comes with the first module that needs it.
"""

import os

# Threads that wait for one another by spinning slow training down several times as soon as anything else runs on the machine. OpenMP reads
# this when torch is first imported, so it is set here, before that.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from kdlib.spec import RunSpec

__all__ = ["RunSpec"]
__version__ = "0.1.0"
