"""Tuned runs in words and tables: what each method chose, and every trial behind it."""

from collections.abc import Mapping, Sequence

from kdlib.analysis.comparison import METRIC_NAMES, format_percent
from kdlib.names import AXES, method_name
from kdlib.results import RunResult
from kdlib.spec import TUNED_FIELDS, unused_fields
from kdlib.trials import FINISHED, PRUNED, Trial

SPLITS = {"val": "validation", "test": "test", "ood": "mean ood"}
NONE = "–"  # in a cell without a value


def split_tuned(results: Sequence[RunResult]) -> tuple[list[RunResult], list[RunResult]]:
    """Return the results whose settings were given, and those whose settings were searched.

    Example:
        >>> fixed, tuned = split_tuned(results)
    """
    return [each for each in results if not each.spec.tune], [each for each in results if each.spec.tune]


def describe_budget(results: Sequence[RunResult]) -> str:
    """Return how much was searched for each of some tuned results.

    Example:
        >>> describe_budget(tuned)
        'tuned, 20 trials each'
    """
    counts = sorted({result.spec.tune for result in results})
    if len(counts) > 1:
        return f"tuned, {counts[0]} to {counts[-1]} trials each: not the same budget, so not a fair comparison"
    return f"tuned, {counts[0]} trials each"


def setting_cells(settings: Mapping[str, float]) -> dict[str, str]:
    """Return the name of each field that is searched, with its value in few digits; a dash where it is not used.

    Example:
        >>> setting_cells({"lr": 0.012345})["learning rate"]
        '0.012'
    """
    words = {name: f"{value:.0f}" if name == "dim" else f"{value:.2g}" for name, value in settings.items()}
    return {label: words.get(name, NONE) for name, label in AXES.items() if name in TUNED_FIELDS}


def choice_rows(results: Sequence[RunResult]) -> list[dict[str, str]]:
    """Return a row for each tuned result: what it chose, its scores, and how many trials ran to their end.

    Example:
        >>> choice_rows(results)[0]["learning rate"]
    """
    rows = []
    for result in results:
        if result.tuning is not None:
            ended = sum(trial.state == FINISHED for trial in result.tuning.trials)
            metric = METRIC_NAMES[result.primary_name]
            cells = {"method": method_name(result.spec.method)} | setting_cells(result.tuning.best.settings)
            cells |= {f"{name} {metric}, %": format_percent(result.score(split)) for split, name in SPLITS.items()}
            rows.append(cells | {"trials": f"{len(result.tuning.trials)}, {ended} to the end"})
    return rows


def given_rows(results: Sequence[RunResult]) -> list[dict[str, str]]:
    """Return a row for each result whose settings were given: these, and its scores.

    Example:
        >>> given_rows(results)[0]["learning rate"]
    """
    rows = []
    for result in results:
        unused, metric = unused_fields(result.setting), METRIC_NAMES[result.primary_name]
        settings = {name: getattr(result.setting, name) for name in AXES if name not in unused}
        cells = {"method": method_name(result.spec.method)} | setting_cells(settings)
        scores = {f"{name} {metric}, %": format_percent(result.score(split)) for split, name in SPLITS.items()}
        rows.append(cells | scores)
    return rows


def trial_rows(result: RunResult) -> list[dict[str, str]]:
    """Return a row for each trial of a tuned result, in the order in which they were begun; a star marks the chosen.

    Example:
        >>> trial_rows(result)[0]["validation, %"]
    """
    tuning = result.tuning
    trials = [] if tuning is None else tuning.trials
    return [
        {
            "trial": f"{number + 1}{' *' if tuning is not None and number == tuning.chosen else ''}",
            **setting_cells(trial.settings),
            "validation, %": NONE if trial.val is None else f"{100 * trial.val:.1f}",
            "ended": describe_ending(trial),
        }
        for number, trial in enumerate(trials)
    ]


def describe_ending(trial: Trial) -> str:
    """Return how a trial ended, and after how many epochs."""
    if trial.state == FINISHED:
        return f"trained to the end, {trial.epochs} epochs"
    how = "stopped" if trial.state == PRUNED else "its loss was no number any more"
    return f"{how} after epoch {trial.epochs}"
