"""An item on the maps of the training items, and its probabilities as rows for a figure."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd

from kdlib.analysis import frames
from kdlib.analysis.intervals import summarize
from kdlib.analysis.placement import FittedMap, fit_map
from kdlib.spaces import Failure, SpaceMaps, SpaceRequest, project_now, request
from kdlib.trying.answering import Answer, Prediction
from kdlib.trying.loaded import RUNS, load_known

PCA = "pca"
WAITING = "Drawn by PCA until the background has made this map."
MOST_CLASSES = 10  # in a figure of probabilities


@dataclass(frozen=True)
class ItemMap:
    """A map of training items with one more on it.

    Attributes:
        rows: (r,) the training items, row numbers of the dataset.
        places: (r, 2) where they are.
        item: (2,) where the new one is; None where it has no place in this space.
        nearest: (k,) which of the places belong to its nearest items, as far as these are drawn.
        note: how the map was made, where that needs words.
    """

    rows: np.ndarray
    places: np.ndarray
    item: np.ndarray | None
    nearest: np.ndarray
    note: str = ""


@dataclass(frozen=True)
class _Drawn:
    """The maps of the training items of one seed of a run, by PCA.

    Attributes:
        shown: (r,) which of the training items are drawn.
        places: space -> (r, 2).
        fitted: space -> what puts new rows on it.
    """

    shown: np.ndarray
    places: dict[str, np.ndarray]
    fitted: dict[str, FittedMap]


@lru_cache(maxsize=RUNS)
def _draw(run_id: str, member: int) -> _Drawn:
    view = load_known(run_id, member).view
    shown, maps = project_now(view)
    places = dict(zip(view.spaces, maps.places, strict=True))
    fitted = {name: fit_map(view.spaces[name][shown], flat) for name, flat in places.items()}
    return _Drawn(shown, places, fitted)


def item_maps(answer: Answer, run_id: str, member: int = 0, projection: str = PCA) -> dict[str, ItemMap]:
    """Return space -> its map with the item on it.

    On a PCA map the item lies where the map puts it. Other maps cannot take new rows: there it lies in the middle of
    its nearest training items.

    Args:
        answer: about the item, with this run as the one that is shown.
        run_id: of the run.
        member: which of its seeds.
        projection: a name in `PROJECTIONS`; one that takes long is drawn by PCA until the engine has made it.

    Raises:
        ValueError: no such run, or its files are gone.

    Example:
        >>> item_maps(answer(item, [run_id], run_id), run_id)["student"].item
    """
    view, drawn = load_known(run_id, member).view, _draw(run_id, member)
    layout = None if projection == PCA else request(SpaceRequest(run_id, "train", member, projection), view)
    waiting = WAITING if layout is None and projection != PCA else ""
    if isinstance(layout, Failure):
        waiting = f"{projection} failed: {layout.reason}; drawn by PCA."
    maps = {}
    for name in view.spaces:
        placed, note = answer.placed.get(name), waiting
        if isinstance(layout, SpaceMaps):
            shown, places, note = layout.shown, layout.places[name], layout.notes[name]
        else:
            shown, places = drawn.shown, drawn.places[name]
        nearest, item = np.array([], dtype=np.int64), None
        if placed is not None:
            nearest = np.flatnonzero(np.isin(shown, placed.positions))
            item = drawn.fitted[name].place(placed.place[None])[0]
            if isinstance(layout, SpaceMaps):
                item = places[nearest].mean(0) if len(nearest) else None
        maps[name] = ItemMap(view.rows[shown], places, item, nearest, note)
    return maps


def probability_table(predictions: Sequence[Prediction], classes: Sequence[str]) -> pd.DataFrame:
    """Return one row per run and class: label, role, class ("split"), mean, interval and seeds of the probability.

    Of more than ten classes the most probable ten, by the largest mean of any run.

    Args:
        predictions: of the runs.
        classes: all k names.

    Example:
        >>> probability_table(answer.predictions, data.classes)
    """
    labels = frames.run_labels([each.spec for each in predictions])
    highest = np.max([each.probabilities.mean(0) for each in predictions], axis=0)
    shown = np.sort(np.argsort(-highest, kind="stable")[:MOST_CLASSES])
    rows = []
    for label, each in zip(labels, predictions, strict=True):
        role = frames.method_role(each.spec)
        for number in shown.tolist():
            summary = summarize(each.probabilities[:, number].tolist())
            cut = None if each.cuts is None else float(each.cuts[:, number].mean())
            rows.append((label, role, str(classes[number]), False, summary.mean, summary.ci95, summary.values, cut))
    return pd.DataFrame(rows, columns=["label", "role", "split", "outside", "mean", "ci95", "values", "cut"])
