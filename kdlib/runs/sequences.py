"""Comparisons in rounds as runs of the store: on other labelled rows and with later seeds, until it is sure enough.

What a round is: `kdlib.analysis.rounds`. All runs of a comparison form a group, like those of a sweep, and each carries
the plan. A worker that has ended one looks whether the round is over, and launches the next: no process waits, and
how far it is follows from the runs alone. A worker of a cluster launches nothing; there whoever looks does.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace

from kdlib import engine, runs, store
from kdlib.analysis.rounds import Repetition, join_rounds, missing_specs, pool, widest_half_width, with_looks
from kdlib.analysis.subsets import with_subsets
from kdlib.results import RunResult
from kdlib.runs import sweeps
from kdlib.runs.reconcile import with_retry
from kdlib.spec import RunSpec
from kdlib.store import DONE, RunInfo

# A round is training; the next one can be launched; a run failed or was cancelled; every interval is as narrow as was
# asked for; all that was planned is trained.
TRAINING, WAITING, STOPPED, REACHED, SPENT = "training", "waiting", "stopped", "reached", "spent"


@dataclass(frozen=True)
class Plan:
    """What is planned for a comparison before its first look.

    Attributes:
        looks: seeds at each look that is to come.
        allowed: looks that every interval allows for: these, and those that were taken before.
        half_width: of the widest interval at which it stops, a fraction; 0 goes on to the last look.
        subsets: draws of labelled rows.
        name: of its runs, "" for their methods.
        device: as in `runs.launch`.
    """

    looks: tuple[int, ...]
    allowed: int = 1
    half_width: float = 0.0
    subsets: int = 1
    name: str = ""
    device: str = "auto"

    def to_json(self) -> str:
        """Return it as JSON."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "Plan":
        """Return the plan that `to_json` wrote; fields of a later version are left out."""
        values = {name: value for name, value in json.loads(text).items() if name in cls.__dataclass_fields__}
        plan = cls(**values)
        return replace(plan, looks=tuple(plan.looks))


@dataclass(frozen=True)
class Look:
    """What one look showed.

    Attributes:
        seeds: of each method.
        half_width: of the widest interval that counts, a fraction.
    """

    seeds: int
    half_width: float


@dataclass(frozen=True)
class ComparisonProgress:
    """How far a comparison is.

    Attributes:
        name: of its group.
        plan: of it.
        state: "training", "waiting", "stopped", "reached" or "spent".
        looks: that were taken, each with all seeds of that look.
        missing: what the next round trains, as far as it is not launched.
        stopped: runs that failed or were cancelled.
    """

    name: str
    plan: Plan
    state: str
    looks: tuple[Look, ...] = ()
    missing: tuple[RunSpec, ...] = ()
    stopped: tuple[RunInfo, ...] = ()


def launch(
    specs: Sequence[RunSpec], repetition: Repetition, *, name: str = "", user: str = "", device: str = "auto"
) -> sweeps.Sweep:
    """Launch the first round of a comparison, or what is missing of it; later rounds launch themselves.

    Launching the same again goes on with it: runs that are done are not trained again, stopped ones are resumed.

    Args:
        specs: with the seeds to begin with, the same number for all where seeds are added.
        repetition: how often.
        name, user, device: as in `runs.launch`.

    Raises:
        ValueError: a spec cannot be run, the numbers make no sense, or the engine or the store does not answer.

    Example:
        >>> launch([RunSpec(method="raw"), RunSpec()], Repetition(half_width=0.01, most_seeds=40)).name
    """
    if repetition.half_width and len({spec.seeds for spec in specs}) > 1:
        raise ValueError("all methods begin with the same number of seeds, got several numbers")
    looks = tuple(repetition.looks(max(spec.seeds for spec in specs)))
    plan = Plan(looks, len(looks), repetition.half_width, repetition.subsets, name, device)
    return _begin(with_subsets(specs, repetition.subsets), plan, user)


def add_seeds(infos: Sequence[RunInfo], seeds: int, allowed: int, *, user: str = "") -> sweeps.Sweep:
    """Launch what some finished runs of one comparison lack of so many seeds each.

    Args:
        infos: the runs, of all its rounds.
        seeds: that each method shall have.
        allowed: looks that intervals allow for then, the one that is planned here included.
        user: as in `runs.launch`.

    Example:
        >>> add_seeds([runs.get(run_id) for run_id in ids], 20, allowed=2)
    """
    draws = [run.spec.subset for run in infos]
    subsets = 1 + max(draws) - min(draws)
    return _begin([run.spec for run in infos], Plan((seeds,), allowed, subsets=subsets), user)


def _begin(specs: Sequence[RunSpec], plan: Plan, user: str) -> sweeps.Sweep:
    key = [*sorted(spec.identity for spec in specs), list(plan.looks), plan.allowed, plan.half_width, plan.subsets]
    group = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:12]
    stopped = [run.id for run in members(group) if run.state in (store.FAILED, store.CANCELLED)]
    launched = sweeps.launch(specs, name=plan.name, user=user, device=plan.device, group=group, plan=plan.to_json())
    for run_id in stopped:
        if run_id not in launched.runs:  # those of the first round are resumed by now, and may have failed again
            runs.resume(run_id, restarts=sweeps.RESTARTS)
    advance(group)
    return launched


def members(name: str) -> list[RunInfo]:
    """Return the runs of a comparison as they are now, in the order in which they were launched."""
    return list(reversed(sweeps.sweep_members(name)))


def plan_of(infos: Iterable[RunInfo], name: str = "") -> tuple[str, Plan] | None:
    """Return the comparison in rounds that some runs are part of, the last planned of several; None without one.

    Args:
        infos: the runs, at least one.
        name: of the one that is asked for.
    """
    shared: dict[str, Plan] | None = None
    for run in infos:
        plans = {group: Plan.from_json(text) for group, text in run.plans.items()}
        shared = plans if shared is None else {group: plan for group, plan in shared.items() if group in plans}
    found = {group: plan for group, plan in (shared or {}).items() if name in ("", group)}
    return max(found.items(), key=lambda each: (each[1].allowed, each[1].looks), default=None)


def allowed_looks(run: RunInfo) -> int:
    """Return how many looks the intervals of a run allow for: 1 where none but the last was planned."""
    return max((Plan.from_json(text).allowed for text in run.plans.values()), default=1)


def pool_runs(infos: Sequence[RunInfo], results: Sequence[RunResult]) -> list[RunResult]:
    """Return the results of some runs, as one where they belong together, with intervals that allow for their looks.

    Of one comparison in rounds all methods have as many seeds, also while a round trains.

    Args:
        infos: the runs.
        results: of those that are measured.

    Example:
        >>> pool_runs(infos, [runs.result(run.id) for run in infos if run.state == "done"])
    """
    allowed = {run.spec.identity: allowed_looks(run) for run in infos}
    widened = [with_looks(result, allowed.get(result.spec.identity, 1)) for result in results]
    if plan_of(infos) is None:
        return pool(widened)
    seeds = [each.spec.seeds for each in join_rounds(widened) if not each.spec.first_seed]
    return pool(widened, min(seeds, default=None))


def by_method(infos: Iterable[RunInfo]) -> list[list[RunInfo]]:
    """Return some runs, those of one setting together, whatever their labelled rows and seeds are: the first first.

    What was chosen on validation is known once that run is over; runs of that setting then belong to it.

    Example:
        >>> [len(group) for group in by_method(members(name))]
    """
    groups: dict[str, list[RunInfo]] = {}
    for run in sorted(infos, key=lambda run: (not run.spec.searched, run.spec.first_seed, run.spec.subset)):
        plain = run.spec.replace(first_seed=0, seeds=1)
        own = plain.identity if run.spec.searched else plain.replace(subset=0).identity
        chosen = run.setting.replace(first_seed=0, seeds=1, subset=0).identity
        group = groups.get(own) or groups.setdefault(own, [])
        group.append(run)
        groups.setdefault(chosen, group)
    found = {id(group): group for group in groups.values()}
    return list(found.values())


def read_progress(
    name: str, infos: Sequence[RunInfo], read_result: Callable[[RunInfo], RunResult] = lambda run: runs.result(run.id)
) -> ComparisonProgress:
    """Return how far a comparison is.

    Args:
        name: of its group.
        infos: its runs.
        read_result: of a run that is done.

    Raises:
        ValueError: there is no such comparison.

    Example:
        >>> read_progress(name, members(name)).looks
    """
    found = plan_of(infos, name)
    if found is None:
        raise ValueError(f"no comparison in rounds is called {name!r} in this store; see `kdlib runs`")
    plan = found[1]
    stopped = tuple(run for run in infos if run.state in (store.FAILED, store.CANCELLED))
    known = {run.spec.identity for run in infos}
    first = min(run.spec.subset for run in infos)
    begun = [run for run in infos if run.spec.subset == first and not run.spec.first_seed]
    active = any(run.active for run in infos)
    if any(run.state != DONE for run in begun):  # what the others shall train is not known yet
        return ComparisonProgress(name, plan, TRAINING if active else STOPPED, stopped=stopped)
    results = [with_looks(read_result(run), plan.allowed) for run in infos if run.state == DONE]
    looks: list[Look] = []
    for seeds in plan.looks:
        goal = seeds if plan.half_width or plan.allowed > 1 else None
        if missing := missing_specs(results, plan.subsets, goal):
            unknown = tuple(spec for spec in missing if spec.identity not in known)
            state = TRAINING if active else STOPPED if stopped else WAITING
            return ComparisonProgress(name, plan, state, tuple(looks), unknown, stopped)
        looks.append(Look(seeds, widest_half_width(pool(results, goal))))
        if plan.half_width and looks[-1].half_width <= plan.half_width:
            return ComparisonProgress(name, plan, REACHED, tuple(looks))
    return ComparisonProgress(name, plan, SPENT, tuple(looks))


def describe(progress: ComparisonProgress) -> str:
    """Return in words how sure a comparison is and what comes next, in points.

    Example:
        >>> describe(read_progress(name, members(name)))
    """
    plan, looks = progress.plan, progress.looks
    goal = f", asked for: ± {100 * plan.half_width:.2f}" if plan.half_width else ""
    known = f"the widest interval is ± {100 * looks[-1].half_width:.2f} points" if looks else ""
    if progress.state == REACHED:
        return f"Sure enough after {looks[-1].seeds} of at most {plan.looks[-1]} seeds: {known}{goal}."
    if progress.state == SPENT:
        still = f", not yet the ± {100 * plan.half_width:.2f} that were asked for" if plan.half_width else ""
        return f"All {looks[-1].seeds} seeds that were planned are trained: {known}{still}."
    seeds = plan.looks[len(looks)]
    if looks:
        words = f"Look {len(looks)} of {len(plan.looks)}, after {looks[-1].seeds} seeds: {known}{goal}"
        words += f". The next look is at {seeds} seeds, the last at {plan.looks[-1]}."
    else:
        words = f"The first of {len(plan.looks)} looks is at {seeds} seeds." if len(plan.looks) > 1 else ""
        words = words or f"It is compared when all {seeds} seeds are trained."
    if progress.state == STOPPED:
        names = ", ".join(f"“{run.name}” {run.state}" for run in progress.stopped)
        words += f" It waits, because a run did not end: {names}. Resume it to go on."
    return words


def advance(name: str, infos: Sequence[RunInfo] = ()) -> ComparisonProgress:
    """Launch the next round of a comparison, if there is one to launch; return how far it is.

    Args:
        name: of its group.
        infos: its runs, by default read from the store.

    Example:
        >>> advance(name).state
    """
    infos = infos or members(name)
    progress = read_progress(name, infos)
    if progress.missing and not progress.stopped:
        plan, user = progress.plan, infos[0].user
        shared = {"name": plan.name, "user": user, "device": plan.device, "group": name, "plan": plan.to_json()}
        sweeps.launch(progress.missing, **shared, resume=False)  # somebody may have begun them just now
    return progress


def go_on(run_id: str) -> None:
    """Launch the next round of the comparisons that a run is part of; a worker calls it when it has ended the run.

    To the engine that run still trains, so what counts is what the store has. Of several that end at once, the last
    goes on.
    """
    run = with_retry(lambda: store.fetch(run_id))
    if run.plans and run.engine == engine.engine_id():  # a worker of a cluster would start an engine of its own
        for name in run.plans:
            infos = list(reversed(with_retry(lambda name=name: store.group_members(name))))
            if not any(each.active for each in infos):
                advance(name, infos)
