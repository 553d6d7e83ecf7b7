"""Maps and scorecards: from the cache at once, otherwise made by the engine. PCA maps are made on the spot."""

import json
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from kdlib import engine
from kdlib.analysis.geometry import distance_correlation, effective_rank, linear_cka, sample_rows, silhouette
from kdlib.analysis.neighbours import find_neighbours, permuted_overlap, shared_neighbours
from kdlib.analysis.projection import PROJECTIONS, Maps, faithfulness, project
from kdlib.cache import Arrays, atomic_path, content_key, home
from kdlib.data import datasets
from kdlib.registry import lookup
from kdlib.spaces.presentation import first_label
from kdlib.spaces.rows import Spaces, load_spaces

VERSION = 1  # of the answers: raise it when the same question would be answered otherwise
K = 10  # neighbours


@dataclass(frozen=True)
class SpaceRequest:
    """What is to be found out about a run's spaces.

    Attributes:
        run, split, member: which spaces.
        projection: a name in `PROJECTIONS`; "" asks for the scorecard.
        strength: of a joint projection.
    """

    run: str
    split: str = "test"
    member: int = 0
    projection: str = ""
    strength: float = 0.0

    def key(self, spaces: Spaces) -> str:
        """Return what names the answer by everything that decides it."""
        strength = (
            self.strength if self.projection and lookup(PROJECTIONS, self.projection, "projection").joint else 0.0
        )
        return content_key(version=VERSION, k=K, spaces=spaces.key, projection=self.projection, strength=strength)


def _path(key: str) -> Path:
    return home() / "cache" / "spaces" / f"{key}.safetensors"


def cached(question: SpaceRequest, spaces: Spaces) -> dict[str, Any]:
    """Return the answer if it has been found, `{}` if not, `{"error": why}` when finding it failed.

    Maps: "shown" (r,), which of the rows are drawn, "places" space -> (r, 2), "notes" and "faithful" space -> `faithfulness`.
    Scorecard: "pairs", "spaces", "faithful" of the PCA maps, all JSON, and "change": "a>b" -> (n,), the fraction of neighbours lost.
    """
    path = _path(question.key(spaces))
    try:
        with safe_open(path, framework="np") as file:
            found = dict(json.loads(file.metadata()["report"]))
            for name in file.keys():  # noqa: SIM118
                group, _, part = name.partition("/")
                if part:
                    found.setdefault(group, {})[part] = file.get_tensor(name)
                else:
                    found[group] = file.get_tensor(name)
            return found
    except FileNotFoundError:
        return {}
    except (SafetensorError, OSError, ValueError, TypeError, KeyError):
        path.unlink(missing_ok=True)  # damaged by something outside: an answer can always be found again
        return {}


def request(question: SpaceRequest, spaces: Spaces) -> dict[str, Any]:
    """Return what is `known`; if that is nothing yet, let the engine find it. Asking again and again is one piece of work."""
    found = cached(question, spaces)
    if not found:
        engine.submit(compute, asdict(question), key=f"spaces-{question.key(spaces)}", priority=1.0)
    return found


def discard(question: SpaceRequest, spaces: Spaces) -> None:
    """Forget an answer that failed, so that the next `read` asks again."""
    _path(question.key(spaces)).unlink(missing_ok=True)


def compute(fields: dict[str, Any]) -> None:
    """Find an answer and keep it; what goes wrong is kept as its "error"."""
    question = SpaceRequest(**fields)
    spaces = load_spaces(question.run, question.split, question.member)
    try:
        report, arrays = compute_maps(question, spaces) if question.projection else compute_scorecard(spaces)
    except Exception as error:  # whoever waits for the answer must learn that none will come
        traceback.print_exc()
        report, arrays = {"error": " ".join(str(error).split()) or type(error).__name__}, {}
    with atomic_path(_path(question.key(spaces))) as temporary:
        save_file(
            {name: np.ascontiguousarray(value) for name, value in arrays.items()},
            temporary,
            {"report": json.dumps(report)},
        )


def project_now(spaces: Spaces, name: str = "pca", strength: float = 0.0) -> tuple[np.ndarray, Maps]:
    """Return which rows a projection draws, and their maps, made here and now, one per space in the order of `spaces.spaces`."""
    shown = sample_rows(len(spaces.rows), PROJECTIONS[name].rows)
    return shown, project(name, [space[shown] for space in spaces.spaces.values()], strength)


def compute_maps(question: SpaceRequest, spaces: Spaces) -> tuple[dict[str, Any], Arrays]:
    """Return the maps of a projection that takes long, with their faithfulness."""
    shown, maps = project_now(spaces, question.projection, question.strength)
    faithful = {
        name: faithfulness(space[shown], places)
        for (name, space), places in zip(spaces.spaces.items(), maps.places, strict=True)
    }
    arrays = {f"places/{name}": places for name, places in zip(spaces.spaces, maps.places, strict=True)}
    return {"notes": dict(zip(spaces.spaces, maps.notes, strict=True)), "faithful": faithful}, arrays | {"shown": shown}


def compute_scorecard(spaces: Spaces) -> tuple[dict[str, Any], Arrays]:
    """Return what the spaces say about one another, and how much each row's neighbourhood changed between each two.

    A number that does not exist is None, and "undefined" says why.
    """
    undefined: list[str] = []

    def of(what: str, measure: Callable[[], Any]) -> Any:
        try:
            return measure()
        except ValueError as error:
            undefined.append(f"{what}: {str(error).removeprefix('undefined: ')}")
            return None

    data = datasets.load(spaces.spec.dataset)
    labels = first_label(data.labels[spaces.rows])
    shown, maps = project_now(spaces)
    tables, report, arrays = (
        {},
        {"pairs": {}, "spaces": {}, "faithful": {}, "n": len(spaces.rows), "k": K, "undefined": undefined},
        {},
    )
    for (name, space), places in zip(spaces.spaces.items(), maps.places, strict=True):
        tables[name] = of(f"neighbours, {name}", lambda space=space: find_neighbours(space, K))
        report["faithful"][name] = faithfulness(space[shown], places)
        report["spaces"][name] = {
            "width": space.shape[1],
            "effective rank": of(f"effective rank, {name}", lambda space=space: effective_rank(space)),
            "silhouette": of(f"silhouette, {name}", lambda space=space: silhouette(space, labels)),
        }
    for a, b in spaces.pairs:
        one, other, before, after = spaces.spaces[a], spaces.spaces[b], tables[a], tables[b]
        shared = chance = None
        if before is not None and after is not None:
            shared, chance = shared_neighbours(before, after), permuted_overlap(before, after)
        report["pairs"][f"{a}>{b}"] = {
            "overlap": None if shared is None else float(shared.mean()),
            "chance": chance,
            "cka": of(f"CKA, {a} and {b}", lambda one=one, other=other: linear_cka(one, other)),
            "distance correlation": of(
                f"distance correlation, {a} and {b}", lambda one=one, other=other: distance_correlation(one, other)
            ),
        }
        if shared is not None:
            arrays[f"change/{a}>{b}"] = (1 - shared).astype(np.float32)
    return report, arrays
