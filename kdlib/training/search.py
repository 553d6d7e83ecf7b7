"""Search: which settings to try next, and which trials to stop early, by Optuna. The only module that imports it.

Both are functions of the trials so far, so that a search that was interrupted goes on as if it had not been. A method
is searched over the fields of `RANGES` that it uses.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from kdlib.spec import BASELINE, POINTWISE, UNCOMPRESSED, RunSpec
from kdlib.trials import DIVERGED, FINISHED, Trial

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

MAX_DIM, MIN_DIM = 64, 4  # of the widths that are tried, powers of two


class Range(NamedTuple):
    """The values that are tried of a field.

    Attributes:
        low, high: bounds, both included.
        log: whether small values are as likely as large ones.
        powers: whether these are exponents of two.
    """

    low: float
    high: float
    log: bool = False
    powers: bool = False


RANGES = {
    "lr": Range(1e-3, 1e-1, log=True),
    "distance_weight": Range(0.0, 0.95),
    "soft_label_weight": Range(3e-3, 1.0, log=True),
}


def search_space(spec: RunSpec, widest: int) -> dict[str, Range]:
    """Return field -> range, for the fields that the method of a spec uses.

    Args:
        spec: whose method is tuned.
        widest: the largest width that its compressor may have.

    Example:
        >>> list(search_space(RunSpec(method="baseline"), 0))
        ['lr']
    """
    if spec.method == BASELINE:
        return {"lr": RANGES["lr"]}
    if spec.method in UNCOMPRESSED or spec.loss in POINTWISE:  # students with adapters are of one population per width
        return dict(RANGES)
    high = min(MAX_DIM, widest).bit_length() - 1
    return RANGES | {"dim": Range(min(MIN_DIM.bit_length() - 1, high), high, powers=True)}


def propose(space: Mapping[str, Range], trials: Sequence[Trial], count: int, seed: int) -> list[dict[str, float]]:
    """Return the settings to try next: at random before the first trials, then by a tree-structured Parzen estimator.

    Settings that are asked for together keep their distance from one another.

    Args:
        space: field -> range.
        trials: that are over.
        count: how many to try.
        seed: the same one gives the same settings after the same trials.

    Source: Bergstra et al. 2011, Algorithms for Hyper-Parameter Optimization, sections 4 and 5.

    Example:
        >>> propose({"lr": Range(0.001, 0.1, log=True)}, [], 2, seed=0)
    """
    from optuna.samplers import TPESampler

    sampler = TPESampler(seed=seed, n_startup_trials=count, constant_liar=True)
    study, distributions = _study(sampler=sampler), {name: _distribution(each) for name, each in space.items()}
    for trial in trials:
        study.add_trial(_frozen(trial, space, distributions))
    asked = [study.ask(distributions).params for _ in range(count)]
    return [{name: 2**value if space[name].powers else value for name, value in each.items()} for each in asked]


def below_median(scores: Sequence[float]) -> list[bool]:
    """Return which scores of one rung are below their median: what is stopped there.

    Optuna's median pruner, asked once all trials have reached the rung: it looks at finished trials only, and of a
    population that trains in step there would be none.

    Example:
        >>> below_median([0.5, 0.7, 0.6, 0.8])
        [True, False, True, False]
    """
    from optuna.pruners import MedianPruner
    from optuna.trial import TrialState, create_trial

    study, pruner = _study(), MedianPruner(n_startup_trials=0)
    for score in scores:
        study.add_trial(create_trial(state=TrialState.COMPLETE, value=score, intermediate_values={1: score}))
    return [pruner.prune(study, trial) for trial in study.get_trials(deepcopy=False)]


def _study(**options: object) -> "Study":
    """Return a search in memory for what is highest."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(direction="maximize", **options)  # pyright: ignore[reportArgumentType]


def _distribution(values: Range) -> "BaseDistribution":
    from optuna.distributions import FloatDistribution, IntDistribution

    if values.powers:
        return IntDistribution(int(values.low), int(values.high))
    return FloatDistribution(values.low, values.high, log=values.log)


def _frozen(trial: Trial, space: Mapping[str, Range], distributions: "dict[str, BaseDistribution]") -> "FrozenTrial":
    """Return a trial as Optuna has it; one that diverged is one that was stopped with nothing to show for it."""
    from optuna.trial import TrialState, create_trial

    params = {name: trial.settings[name] for name in space}
    params |= {name: int(params[name]).bit_length() - 1 for name, each in space.items() if each.powers}
    finished = trial.state == FINISHED
    return create_trial(
        state=TrialState.COMPLETE if finished else TrialState.PRUNED,
        value=trial.val if finished else None,
        params=params,
        distributions=distributions,
        intermediate_values={} if trial.state == DIVERGED else dict(trial.rungs),
    )
