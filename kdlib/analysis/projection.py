"""Projections: spaces as maps in the plane, each map with its faithfulness.

Nothing is computed on a map: neighbours, overlaps and scores come from `neighbours` and `geometry`, in the real spaces.
To add a projection, write a function `(n, d) -> (n, 2)` and give it a line in `PROJECTIONS`; `tests/test_projection.py`
runs the contract over every entry. This module is the only importer of umap, whose compiled threads must not share a
process with another's: outside the engine only `instant` entries are computed. What takes long is cached under the
content of the space, so the raw space of all runs of a teacher is laid out once.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.linalg import eigh, orthogonal_procrustes

from kdlib.analysis.geometry import SAMPLE, continuity, procrustes_align, trustworthiness
from kdlib.cache import cached_arrays, content_key
from kdlib.registry import lookup

VERSION = 1  # of the layouts: raise it when the map of the same space would change
STRENGTH = 0.01  # of the pull between maps that are laid out together
STRENGTHS = (0.0, 0.001, 0.01, 0.1, 1.0)
MIN_ROWS = 20  # different rows that a neighbour map needs to be more than an accident
NEIGHBOURS = 15  # per row, for umap and t-SNE
OnLayout = Callable[[int], None]  # called with the number of each space before it is laid out; 0 where all are together


@dataclass(frozen=True)
class Maps:
    """Maps of several spaces of the same rows.

    Attributes:
        places: one map per space, (n, 2) float32, all of one size around 0, turned onto the first.
        notes: one per space: the fallback where the projection does not exist for it, otherwise "".
    """

    places: list[np.ndarray]
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Projection:
    """A way to lay spaces out in the plane.

    Attributes:
        function: `(n, d) -> (n, 2)`, or, if `joint`, `([(n, d), ...], strength) -> [(n, 2), ...]`.
        rows: how many rows it maps at most.
        instant: fast enough to be done while a person waits; the others belong to the engine.
        joint: whether it lays all spaces out together, pulled towards one another.
    """

    function: Callable[..., Any]
    rows: int = SAMPLE
    instant: bool = False
    joint: bool = False


def pca(space: np.ndarray) -> np.ndarray:
    """The two directions of largest variance: instant, and distances mean what they say.

    Args:
        space: shape (n, d).

    Returns:
        (n, 2) float32; the second column is 0 where there is no second direction. Signs are such that the largest
            weight is positive.
    """
    space = _scaled(space)
    n, d = space.shape
    components = min(n, d, 2)
    small = space.T @ space if d <= n else space @ space.T
    variances, vectors = eigh(small, subset_by_index=[len(small) - components, len(small) - 1])
    variances, vectors = variances[::-1], vectors[:, ::-1]
    axes = vectors if d <= n else space.T @ vectors / np.sqrt(np.maximum(variances, np.finfo(np.float32).tiny))
    axes = axes * np.where(np.abs(axes).max(0) == axes.max(0), 1, -1)
    flat = np.zeros((n, 2), np.float32)
    flat[:, :components] = space @ axes
    return flat


def umap(space: np.ndarray) -> np.ndarray:
    """UMAP: neighbours stay together, distances between groups say little.

    Args:
        space: shape (n, d).

    Source: McInnes, Healy & Melville 2018, UMAP: Uniform Manifold Approximation and Projection.
    """
    with _quiet():
        import umap as library

        return library.UMAP(n_neighbors=_neighbour_count(space), random_state=0, n_jobs=1).fit_transform(_scaled(space))


def tsne(space: np.ndarray) -> np.ndarray:
    """t-SNE: neighbours stay together, sizes and distances of groups say nothing.

    Args:
        space: shape (n, d).

    Source: van der Maaten & Hinton 2008, Visualizing data using t-SNE.
    """
    from sklearn.manifold import TSNE

    start = pca(space)
    start *= 1e-4 / max(float(start[:, 0].std()), np.finfo(np.float32).tiny)
    return (
        TSNE(perplexity=2 * _neighbour_count(space), random_state=0)
        .set_params(init=start)
        .fit_transform(_scaled(space))
    )


def aligned(spaces: Sequence[np.ndarray], strength: float = STRENGTH) -> list[np.ndarray]:
    """AlignedUMAP: maps laid out together, rows pulled to their place on the next maps; part of the agreement is made.

    Args:
        spaces: at least two, shapes (n, d_i), the same rows.
        strength: of the pull; 0 = each map for itself.

    Returns:
        One (n, 2) map per space; a row that the library leaves without a place takes that of its PCA map.

    Source: McInnes 2020, the AlignedUMAP of umap-learn.
    """
    same = {row: row for row in range(len(spaces[0]))}
    with _quiet():
        import umap as library

        fit = library.AlignedUMAP(
            n_neighbors=_neighbour_count(spaces[0]), alignment_regularisation=strength, random_state=0
        )
        maps = fit.fit([_scaled(space) for space in spaces], relations=[same] * (len(spaces) - 1)).embeddings_
    return [_fill_missing(np.asarray(flat, np.float32), space) for flat, space in zip(maps, spaces, strict=True)]


PROJECTIONS: dict[str, Projection] = {
    "pca": Projection(pca, rows=20_000, instant=True),
    "umap": Projection(umap),
    "tsne": Projection(tsne),
    "aligned": Projection(aligned, joint=True),
}


def project(
    name: str, spaces: Sequence[np.ndarray], strength: float = STRENGTH, on_layout: OnLayout | None = None
) -> Maps:
    """Return one map per space. Where the projection fails the map is by PCA, or a single point, and its note says so.

    Args:
        name: in `PROJECTIONS`.
        spaces: shapes (n, d_i), the same rows.
        strength: for a joint projection.
        on_layout: learns how far it is.

    Raises:
        ValueError: unknown name, or spaces of different rows.

    Example:
        >>> project("pca", [embeddings[:1000], features[:1000]]).places[0].shape
        (1000, 2)
    """
    entry = lookup(PROJECTIONS, name, "projection")
    if len({len(space) for space in spaces}) > 1:
        raise ValueError(f"maps need spaces of the same rows, got {', '.join(str(len(space)) for space in spaces)}")
    reasons = [_why_impossible(space) or ("" if entry.instant else _too_few(space, name)) for space in spaces]
    on_layout = on_layout or (lambda _: None)
    if entry.joint and len(spaces) > 1 and not any(reasons):
        on_layout(0)
        joint = _try_projection(lambda: _cached_layout(name, spaces, strength))
        if joint is not None:
            return Maps(_align(joint), [""] * len(spaces))
    single = "umap" if entry.joint else name
    layouts = []
    for space, reason in zip(spaces, reasons, strict=True):
        on_layout(len(layouts))
        layouts.append(_project_one(single, name, space, reason))
    notes = [note for _, note in layouts]
    if entry.joint and not any(notes):
        notes = ["Laid out on its own."] * len(spaces)
    return Maps(_align([places for places, _ in layouts]), notes)


def _project_one(name: str, label: str, space: np.ndarray, reason: str) -> tuple[np.ndarray, str]:
    """Return the map of one space (n, 2) and a note on its fallback, "" without one.

    Args:
        name: of a projection that is not joint.
        label: what the note calls it.
        space: shape (n, d).
        reason: why it cannot be laid out by this projection, "" if it can.
    """
    if _why_impossible(space):
        return np.zeros((len(space), 2), np.float32), f"{reason}: drawn as one point."
    layout = None if reason else _try_projection(lambda: _cached_layout(name, [space]))
    if layout:
        return layout[0], ""
    return pca(space), f"{reason or f'{label} found no layout'}: drawn by PCA instead."


def _cached_layout(name: str, spaces: Sequence[np.ndarray], strength: float = 0.0) -> list[np.ndarray]:
    """Return the layouts of a projection, from the cache unless it is instant."""
    entry = PROJECTIONS[name]
    if entry.instant:
        return [entry.function(space) for space in spaces]

    def build() -> dict[str, np.ndarray]:
        maps = entry.function(spaces, strength) if entry.joint else [entry.function(space) for space in spaces]
        return {str(number): np.asarray(flat, np.float32) for number, flat in enumerate(maps)}

    arrays = [np.asarray(space) for space in spaces]
    key = content_key(version=VERSION, projection=name, strength=strength, spaces=arrays)
    layouts = cached_arrays("maps", key, build)
    return [layouts[str(number)] for number in range(len(spaces))]


def faithfulness(space: np.ndarray, places: np.ndarray) -> dict[str, Any]:
    """Return "trustworthiness" and "continuity" of a map, 0 to 1 (best), None where undefined, and how many "rows".

    Args:
        space: shape (n, d).
        places: its map, shape (n, 2).

    Example:
        >>> faithfulness(space, project("pca", [space]).places[0])["trustworthiness"]
    """

    def score(measure: Callable[[np.ndarray, np.ndarray], float]) -> float | None:
        try:
            return measure(space, places)
        except ValueError:
            return None

    return {"trustworthiness": score(trustworthiness), "continuity": score(continuity), "rows": min(len(space), SAMPLE)}


def project_frames(frames: np.ndarray, anchor: np.ndarray | None = None) -> np.ndarray:
    """Return a space over time on one map, (t, n, 2) float32, in the basis of the last frame.

    One basis for all frames: a row that moves on the map has moved in the space.

    Args:
        frames: shape (t, n, d), finite.
        anchor: a fixed map (n, 2) of the same rows; the basis is turned onto it, so that it stays when frames are
            added.
    """
    last = frames[-1]
    if _why_impossible(last):
        return np.zeros((*frames.shape[:2], 2), np.float32)
    mean = last.mean(0, dtype=np.float64)
    _, _, directions = np.linalg.svd((last - mean).astype(np.float64), full_matrices=False)
    axes = np.zeros((last.shape[1], 2))
    axes[:, : min(2, len(directions))] = directions[:2].T
    axes *= np.where(np.abs(axes).max(0) == axes.max(0), 1, -1)
    flat = (frames - mean) @ axes  # (t, n, 2)
    if anchor is not None:
        turn, _ = orthogonal_procrustes(flat[-1] - flat[-1].mean(0), anchor - anchor.mean(0))
        flat = flat @ turn
    size = np.sqrt(np.square(flat[-1]).mean())
    return (flat / (size or 1.0)).astype(np.float32)


def _scaled(space: np.ndarray) -> np.ndarray:
    """Return the space centred, its largest entry 1, float32: scales of 1e-30 and 1e30 give the same map."""
    peak = float(np.abs(space).max()) or 1.0
    centred = np.asarray(space, np.float32) if 1e-15 < peak < 1e15 else (np.asarray(space, np.float64) / peak)
    centred = centred - centred.mean(0, dtype=np.float64).astype(centred.dtype)
    return (centred / (np.abs(centred).max() or 1.0)).astype(np.float32)


def _why_impossible(space: np.ndarray) -> str:
    """Return why a space has no map, "" if it has one."""
    if not len(space):
        return "There are no rows"
    low, high = space.min(0), space.max(0)
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        return "Some numbers of this space are not finite"
    if not (high - low > 1e-6 * max(float(np.abs(low).max()), float(np.abs(high).max()))).any():
        return "All rows of this space are equal"
    return ""


def _too_few(space: np.ndarray, name: str) -> str:
    """Return why a space has too few different rows for a neighbour map, "" if it has enough."""
    different = len(np.unique(space, axis=0))
    if different >= MIN_ROWS:
        return ""
    return f"{name} needs at least {MIN_ROWS} different rows, this space has {different}"


def _neighbour_count(space: np.ndarray) -> int:
    """Return how many neighbours per row a library uses: fewer where there are few rows."""
    return max(2, min(NEIGHBOURS, len(space) // 4))


def _try_projection(layout: Callable[[], Sequence[np.ndarray]]) -> list[np.ndarray] | None:
    """Return the maps of a library, None where it fails on a degenerate space or leaves rows without a place."""
    try:
        maps = list(layout())
    except (ValueError, ArithmeticError, np.linalg.LinAlgError):
        return None
    return maps if all(np.isfinite(flat).all() for flat in maps) else None


def _fill_missing(places: np.ndarray, space: np.ndarray) -> np.ndarray:
    """Return a map in which rows without a finite place have that of the PCA map, at the scale of the others."""
    missing = ~np.isfinite(places).all(1)
    if missing.any() and (~missing).sum() > 2:
        placed = places[~missing]
        fallback = pca(space)
        fallback = fallback / (fallback[~missing].std() or 1.0) * placed.std() + placed.mean(0)
        places[missing] = fallback[missing]
    return places


def align_sequence(maps: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return maps of the same rows centred, of root mean square 1, each turned or mirrored onto the one before it.

    Args:
        maps: each (n, 2); one whose rows are all at one place stays so.

    Example:
        >>> first, second = align_sequence([places, -places])
        >>> np.allclose(first, second)
        True
    """
    return _align(maps, before=-1)


def _align(maps: Sequence[np.ndarray], before: int = 0) -> list[np.ndarray]:
    """Return maps centred, of root mean square 1, each turned or mirrored onto the first, or with -1 the one before."""
    aligned_maps: list[np.ndarray] = []
    for places in maps:
        if aligned_maps:
            try:
                places = procrustes_align(places, aligned_maps[before])
            except ValueError:  # one of them is a single point, or they have nothing in common
                places = np.asarray(places, np.float64)
        places = places - places.mean(0, dtype=np.float64)
        size = float(np.sqrt(np.square(places).mean()))
        aligned_maps.append((places / (size or 1.0)).astype(np.float32))
    return aligned_maps


def _quiet() -> warnings.catch_warnings:
    """Return a context without umap's warnings: no tensorflow, one thread for a fixed seed, cases handled here."""
    return warnings.catch_warnings(action="ignore")
