"""Maps and scorecards: from the cache at once, otherwise computed by the engine. PCA maps are made on the spot."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import numpy as np

from kdlib import engine
from kdlib.analysis.failure import Failure
from kdlib.analysis.geometry import distance_correlation, effective_rank, linear_cka, sample_rows, silhouette
from kdlib.analysis.neighbours import find_neighbours, permuted_overlap, shared_neighbours
from kdlib.analysis.projection import PROJECTIONS, Maps, OnLayout, faithfulness, project
from kdlib.cache import content_key
from kdlib.data import datasets
from kdlib.engine import background
from kdlib.registry import lookup
from kdlib.spaces.presentation import first_label
from kdlib.spaces.results import PairScores, Scorecard, SpaceMaps, SpaceScores
from kdlib.spaces.rows import Spaces, load_spaces
from kdlib.spaces.storage import answer_path, read_answer, read_progress, write_answer, write_progress

VERSION = 1  # of the answers: raise it when the same request would be answered otherwise
K = 10  # neighbours
Number = TypeVar("Number")


@dataclass(frozen=True)
class SpaceRequest:
    """What is to be computed about a run's spaces.

    Attributes:
        run, split, member: which spaces.
        projection: a name in `PROJECTIONS`; "" requests the scorecard.
        strength: of a joint projection.
    """

    run: str
    split: str = "test"
    member: int = 0
    projection: str = ""
    strength: float = 0.0

    def key(self, spaces: Spaces) -> str:
        """Return the cache key of the answer: everything that decides it."""
        strength = (
            self.strength if self.projection and lookup(PROJECTIONS, self.projection, "projection").joint else 0.0
        )
        return content_key(version=VERSION, k=K, spaces=spaces.key, projection=self.projection, strength=strength)


def cached(request: SpaceRequest, spaces: Spaces) -> Scorecard | SpaceMaps | Failure | None:
    """Return the answer if it has been computed, None if not, a `Failure` when computing it failed.

    A request for a projection is answered by `SpaceMaps`, one without by a `Scorecard`.
    """
    make = SpaceMaps.from_parts if request.projection else Scorecard.from_parts
    return read_answer(request.key(spaces), make)


def request(request: SpaceRequest, spaces: Spaces) -> Scorecard | SpaceMaps | Failure | None:
    """Return what is `cached`; if nothing is, have the engine compute it. Repeated requests are one piece of work.

    Example:
        >>> request(SpaceRequest(run_id), load_spaces(run_id))
    """
    answer = cached(request, spaces)
    if answer is None:
        engine.submit(compute, asdict(request), key=f"spaces-{request.key(spaces)}", priority=1.0)
    return answer


def laying_out(request: SpaceRequest, spaces: Spaces) -> int | None:
    """Return the number of the space whose map is being made, in the order of `spaces.spaces`; None while none is."""
    share = read_progress(request.key(spaces))
    return None if share is None else round(share * len(spaces.spaces))


def discard(request: SpaceRequest, spaces: Spaces) -> None:
    """Forget an answer that failed, so that the next `request` has it computed again."""
    answer_path(request.key(spaces)).unlink(missing_ok=True)


def compute(fields: dict[str, Any]) -> None:
    """Compute an answer and store it; what goes wrong is stored as its "error".

    Args:
        fields: of a `SpaceRequest`.
    """
    request = SpaceRequest(**fields)
    background.interrupt()  # it may be computing the same, but slowly
    answer(request, load_spaces(request.run, request.split, request.member))


def answer(request: SpaceRequest, spaces: Spaces) -> None:
    """Compute an answer about these spaces and store it; what goes wrong is stored as its "error"."""
    write_answer(
        request.key(spaces),
        lambda: (compute_maps(request, spaces) if request.projection else compute_scorecard(spaces)).to_parts(),
    )


def project_now(
    spaces: Spaces, name: str = "pca", strength: float = 0.0, on_layout: OnLayout | None = None
) -> tuple[np.ndarray, Maps]:
    """Return which rows a projection draws, and their maps, made here and now, in the order of `spaces.spaces`.

    Args:
        spaces: the rows in their spaces.
        name: in `PROJECTIONS`.
        strength: of a joint projection.
        on_layout: as in `project`.

    Example:
        >>> rows, maps = project_now(load_spaces(run_id))
        >>> maps.places[0].shape
    """
    shown = sample_rows(len(spaces.rows), PROJECTIONS[name].rows)
    return shown, project(name, [space[shown] for space in spaces.spaces.values()], strength, on_layout)


def compute_maps(request: SpaceRequest, spaces: Spaces) -> SpaceMaps:
    """Return the maps of a projection that takes long, with their faithfulness."""
    key, count = request.key(spaces), len(spaces.spaces)
    shown, maps = project_now(
        spaces, request.projection, request.strength, lambda number: write_progress(key, number / count)
    )
    places = dict(zip(spaces.spaces, maps.places, strict=True))
    faithful = {name: faithfulness(space[shown], places[name]) for name, space in spaces.spaces.items()}
    return SpaceMaps(shown, places, dict(zip(spaces.spaces, maps.notes, strict=True)), faithful)


def compute_scorecard(spaces: Spaces) -> Scorecard:
    """Return what the spaces say about one another, and how much each row's neighbourhood changed between each two."""
    undefined: list[str] = []

    def measure(name: str, function: Callable[[], Number]) -> Number | None:
        try:
            return function()
        except ValueError as error:
            undefined.append(f"{name}: {str(error).removeprefix('undefined: ')}")
            return None

    labels = first_label(datasets.load(spaces.spec.dataset).labels[spaces.rows])
    shown, maps = project_now(spaces)
    tables, scores, faithful = {}, {}, {}
    for (name, space), places in zip(spaces.spaces.items(), maps.places, strict=True):
        tables[name] = measure(f"neighbours, {name}", lambda space=space: find_neighbours(space, K))
        faithful[name] = faithfulness(space[shown], places)
        rank = measure(f"effective rank, {name}", lambda space=space: effective_rank(space))
        score = measure(f"silhouette, {name}", lambda space=space: silhouette(space, labels))
        scores[name] = SpaceScores(space.shape[1], rank, score)
    pairs, change = {}, {}
    for a, b in spaces.pairs:
        one, other, before, after = spaces.spaces[a], spaces.spaces[b], tables[a], tables[b]
        shared = chance = None
        if before is not None and after is not None:
            shared, chance = shared_neighbours(before, after), permuted_overlap(before, after)
            change[f"{a}>{b}"] = (1 - shared).astype(np.float32)
        cka = measure(f"CKA, {a} and {b}", lambda one=one, other=other: linear_cka(one, other))
        correlation = measure(
            f"distance correlation, {a} and {b}", lambda one=one, other=other: distance_correlation(one, other)
        )
        pairs[f"{a}>{b}"] = PairScores(None if shared is None else float(shared.mean()), chance, cka, correlation)
    return Scorecard(pairs, scores, faithful, len(spaces.rows), K, undefined, change)
