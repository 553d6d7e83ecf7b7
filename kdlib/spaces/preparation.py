"""What the Embeddings page may show of a run that is done, computed before anybody asks: see `engine.background`.

Of every noted run first the scorecard, then the projection that is asked for most, for the rows and the seed with which
the page opens. The others take a minute of a processor each and are computed when somebody asks.
"""

from kdlib.analysis.projection import STRENGTH
from kdlib.engine import background
from kdlib.spaces import jobs
from kdlib.spaces.jobs import SpaceRequest
from kdlib.spaces.rows import load_spaces

ANSWERS = ("", "umap")  # what is computed of a run, in this order: "" for the scorecard, and names of projections


def main() -> int:
    """Compute what is missing of the noted runs, the newest first, and forget them; return 0."""
    waiting: dict[str, tuple[str, ...]] = {}
    while True:
        waiting = {run: waiting.get(run, ANSWERS) for run in background.noted()}
        if not waiting:
            return 0
        run = min(waiting, key=lambda run: ANSWERS.index(waiting[run][0]))
        prepare(run, waiting[run][0])
        waiting[run] = waiting[run][1:]
        if not waiting[run]:
            background.forget(run)


def prepare(run: str, projection: str) -> None:
    """Compute an answer about a run unless it is there, or the files of the run are gone."""
    request = SpaceRequest(run, projection=projection, strength=STRENGTH if projection else 0.0)
    try:
        spaces = load_spaces(run)
    except ValueError:
        return
    if jobs.cached(request, spaces) is None:
        jobs.answer(request, spaces)
