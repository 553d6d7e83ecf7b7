"""Sweeps: a grid of specs, each computation once, on the engine; what the store already holds is not computed again.

A sweep is named by its specs: launching the same grid again goes on with the same sweep, whether or not its first
launch was interrupted.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import product
from typing import Any

from kdlib import runs, store
from kdlib.results import RunResult
from kdlib.runs.commands import named_lock
from kdlib.runs.reconcile import with_retry, with_short_timeout
from kdlib.spec import GRID_FIELDS, RunSpec, unused_fields
from kdlib.store import RunInfo

RESTARTS = 3  # nobody watches a sweep: each run is started again after this many deaths of its worker


@dataclass(frozen=True)
class Sweep:
    """A launched sweep.

    Attributes:
        name: 12 hexadecimal digits, from its specs.
        specs: what it consists of.
        runs: the run of each spec, in the same order.
        reused: how many of them the store had: done, or active.
    """

    name: str
    specs: tuple[RunSpec, ...]
    runs: tuple[str, ...]
    reused: int


def expand(base: RunSpec, axes: Mapping[str, Sequence[Any]], *, grid: bool = False) -> list[RunSpec]:
    """Return every combination of the values of the axes, each computation once; the last axis varies fastest.

    Args:
        base: decides every other field.
        axes: field -> its values.
        grid: let the values of λ, learning rate, soft labels and prefix train as one population, a grid in each run, of
            which the setting that is best on validation is tested; otherwise each combination is a run of its own.

    Raises:
        ValueError: an axis is no field of a spec, or has no values.

    Example:
        >>> [spec.dim for spec in expand(RunSpec(), {"dim": [2, 4]})]
        [2, 4]
    """
    known = [f.name for f in fields(RunSpec)]
    for name, values in axes.items():
        if name not in known:
            raise ValueError(f"unknown field {name!r} in a sweep, choose from: {', '.join(known)}")
        if not values:
            raise ValueError(f"the sweep has no values for {name}")
    specs: dict[str, RunSpec] = {}
    shared = {name: tuple(values) for name, values in axes.items() if grid and name in GRID_FIELDS}
    apart = {name: values for name, values in axes.items() if name not in shared}
    for values in product(*apart.values()):
        spec = base.replace(**shared, **dict(zip(apart, values, strict=True)))
        specs.setdefault(spec.identity, spec)
    return list(specs.values())


def sweep_name(specs: Iterable[RunSpec]) -> str:
    """Return what names the sweep of these specs, in whatever order."""
    return hashlib.sha256("".join(sorted(spec.identity for spec in specs)).encode()).hexdigest()[:12]


def launch(
    specs: Sequence[RunSpec],
    *,
    name: str = "",
    user: str = "",
    device: str = "auto",
    group: str = "",
    plan: str = "",
    resume: bool = True,
) -> Sweep:
    """Launch what is missing of a sweep. Done and active runs of the same specs are reused, others of them resumed.

    Args:
        name, user, device: as in `runs.launch`, for runs that are new.
        group: the name of the sweep, by default `sweep_name`.
        plan: of the group, see `kdlib.runs.sequences`.
        resume: whether runs that this group has already are resumed too.

    Raises:
        ValueError: a spec cannot be run, or the engine or the store does not answer.

    Example:
        >>> sweep = launch(expand(RunSpec(), {"dim": [2, 4, 8], "method": ["pca", "mlp"]}))
        >>> [result.spec.dim for result in results(sweep.runs)]
    """
    group = group or sweep_name(specs)
    existing: dict[str, RunInfo] = {}
    with named_lock("sweep"):  # a sweep that overlaps, launched next, then sees our runs
        for spec in specs:
            candidates = [_update(run) for run in with_retry(lambda spec=spec: store.find(identity=spec.identity))]
            best = min(candidates, key=lambda run: (run.state != store.DONE, not run.active), default=None)
            if best is not None:
                existing[spec.identity] = best
                with_retry(lambda run=best: store.add_to_group(run.id, group, plan))
        missing = [spec for spec in specs if spec.identity not in existing]
        launched = []
        if missing:
            launched = runs.launch(
                missing, name=name, user=user, group=group, plan=plan, device=device, restarts=RESTARTS
            )
    stopped = [run for run in existing.values() if not run.active and run.state != store.DONE]
    resumed = [run for run in stopped if resume or group not in run.plans]
    for run in resumed:
        runs.resume(run.id, restarts=RESTARTS)
    ids = {identity: run.id for identity, run in existing.items()}
    ids |= zip((spec.identity for spec in missing), launched, strict=True)
    return Sweep(group, tuple(specs), tuple(ids[spec.identity] for spec in specs), len(existing) - len(resumed))


def sweep_members(name: str) -> list[RunInfo]:
    """Return the runs of a sweep as they are now, newest first."""
    return [_update(run) for run in with_retry(lambda: store.group_members(name))]


def member_ids(name: str) -> list[str]:
    """Return the ids of the runs of a sweep, in the order in which they were launched; [] where there is no such sweep.

    Example:
        >>> member_ids(sweep.name) == list(sweep.runs)
    """
    return [run.id for run in reversed(with_short_timeout(lambda: store.group_members(name)))]


def sweep_title(name: str) -> str:
    """Return what a person called a sweep, "" where nobody did.

    Example:
        >>> sweep_title(sweep.name)
        'first try'
    """
    titles = {run.name.partition(" · ")[0] for run in with_short_timeout(lambda: store.group_members(name))}
    [title] = titles if len(titles) == 1 else [""]
    return title


def _update(run: RunInfo) -> RunInfo:
    return runs.get(run.id) if run.active else run


def results(run_ids: Iterable[str]) -> list[RunResult]:
    """Return the results of those runs that are done, in the given order.

    Example:
        >>> [result.spec.dim for result in results(sweep.runs)]
    """
    return [runs.result(run_id) for run_id in run_ids if runs.get(run_id).state == store.DONE]


def varying_fields(specs: Iterable[RunSpec]) -> list[str]:
    """Return the fields in which specs differ, in the order of `RunSpec`, of those that the methods use."""
    used: dict[str, set[Any]] = {f.name: set() for f in fields(RunSpec)}
    for spec in specs:
        for name, values in used.items():
            if name not in unused_fields(spec):
                values.add(getattr(spec, name))
    return [name for name, values in used.items() if len(values) > 1]


def group_curves(
    results: Iterable[RunResult], x: str, by: str = "method"
) -> tuple[dict[Any, list[RunResult]], list[RunResult]]:
    """Return the curves of a chart over a field: one list of results per value of `by`, each in the order of `x`.

    The second list has the results that do not use the field (baseline and raw over the dimension): flat lines.

    Example:
        >>> curves, flat = group_curves(results(sweep.runs), x="dim")
        >>> list(curves)
    """
    curves: dict[Any, list[RunResult]] = {}
    flat = []
    for result in results:
        if x in unused_fields(result.spec):
            flat.append(result)
        else:
            curves.setdefault(getattr(result.spec, by), []).append(result)
    return {name: sorted(line, key=lambda result: getattr(result.spec, x)) for name, line in curves.items()}, flat
