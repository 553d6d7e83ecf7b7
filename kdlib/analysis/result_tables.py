"""Tables of results for people: all numbers of runs, differences to one run; and a table as CSV or LaTeX."""

import re
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

import pandas as pd

from kdlib.analysis.comparison import METRIC_NAMES, format_differences, format_percent, paired_differences, why_unpaired
from kdlib.analysis.frames import COST_NAMES, differing_fields, run_labels, split_name
from kdlib.analysis.significance import effect_size, seeds_to_settle
from kdlib.names import setting_name
from kdlib.results import RunResult
from kdlib.spec import RunSpec, setting_text, unused_fields
from kdlib.summary import Summary

NONE = "–"  # in a cell without a value


def differences_to(results: Sequence[RunResult], number: int) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return paired differences to one of the results, and which results cannot be paired with it.

    Args:
        results: of runs that may differ in anything.
        number: index of the result that is subtracted.

    Returns:
        One row per result that can be paired, in words: "+4.9 ± 2.1", a star where it is clear among all of the table,
            "n" the seeds that both have, "effect size" and "seeds to settle" of the test set; and for the others their
            label -> the reason.

    Example:
        >>> frame, left_out = differences_to(results, 0)
    """
    labels, other = run_labels([result.spec for result in results]), results[number]
    paired: dict[str, dict[str, Summary]] = {}
    left_out = {}
    for result, label in zip(results, labels, strict=True):
        if reason := "" if result is other else why_unpaired(result, other):
            left_out[label] = reason
        elif result is not other:
            found = paired_differences(result, other)
            paired[label] = {split_name(split): found[split] for split in found if split != "val"}
    names = list(dict.fromkeys(name for found in paired.values() for name in found))
    words = format_differences([[found.get(name) for name in names] for found in paired.values()])
    rows = [
        {"method": label, "compared with": labels[number], **dict(zip(names, cells, strict=True)), **_settling(found)}
        for (label, found), cells in zip(paired.items(), words, strict=True)
    ]
    return pd.DataFrame(rows), left_out


def _settling(differences: Mapping[str, Summary]) -> dict[str, Any]:
    """Return what else is told of the differences to one result: of the test set."""
    first = differences[split_name("test")]
    size, seeds = effect_size(first), seeds_to_settle(first)
    return {
        "n": len(first.values),
        "effect size": NONE if size is None else f"{size:+.1f}",
        "seeds to settle": NONE if seeds is None else str(seeds),
    }


def result_table(results: Sequence[RunResult]) -> pd.DataFrame:
    """Return one row per result for reading: what differs, scores as "72.9 ± 1.2" percent, costs.

    Example:
        >>> print(to_latex(result_table(results)))
    """
    rows = []
    for result, settings in zip(results, _settings(results), strict=True):
        row = {name: NONE if value is None else setting_name(name, value) for name, value in settings.items()}
        scores = _primary_scores(result) | _secondary_scores(result)
        row |= {f"{label} %": format_percent(score) for label, score in scores.items()}
        row |= {label: _format_cost(value) for label, value in _costs(result).items()}
        rows.append(row)
    return pd.DataFrame(rows)


def result_numbers(results: Sequence[RunResult]) -> pd.DataFrame:
    """Return one row per result for computing: what differs, scores in percent with the interval apart, costs.

    Example:
        >>> result_numbers(results).to_csv("comparison.csv")
    """
    rows = []
    for result, row in zip(results, _settings(results), strict=True):
        for label, score in _primary_scores(result).items():
            row[f"{label} %"] = 100 * score.mean
            row[f"{label} ± 95 %"] = None if score.ci95 is None else 100 * score.ci95
        row |= {f"{label} %": 100 * score.mean for label, score in _secondary_scores(result).items()}
        rows.append(row | _costs(result))
    return pd.DataFrame(rows)


def _settings(results: Sequence[RunResult]) -> list[dict[str, Any]]:
    """Return per result its method and the fields in which the results differ, None where not used."""
    specs = [result.spec for result in results]
    names = list(dict.fromkeys(["method", *differing_fields(specs)]))
    grids = {name for name in names if any(isinstance(getattr(spec, name), tuple) for spec in specs)}

    def value_of(spec: RunSpec, name: str) -> Any:
        value = getattr(spec, name)
        return None if name in unused_fields(spec) else setting_text(value) if name in grids else value

    return [{name: value_of(spec, name) for name in names} for spec in specs]


def _primary_scores(result: RunResult) -> dict[str, Summary]:
    """Return the score that counts first on every split, by label."""
    metric = "" if result.primary_name == "accuracy" else f" {METRIC_NAMES[result.primary_name]}"
    return {
        ("validation" if split == "val" else split_name(split)) + metric: scores.primary
        for split, scores in result.metrics.items()
    }


def _secondary_scores(result: RunResult) -> dict[str, Summary]:
    """Return the other scores on the test set, by label; there are some for several labels an item only."""
    if result.primary_name != "map":
        return {}
    return {f"{METRIC_NAMES[name]} in-domain": result.metrics["test"][name] for name in ("roc_auc", "f1")}


def _costs(result: RunResult) -> dict[str, Any]:
    score = result.score("test")
    seeds = result.spec.seeds if score is None else len(score.values)
    return {"n": seeds} | {label: getattr(result.cost, name) for name, label in COST_NAMES.items()}


def _format_cost(value: float | None) -> float | str:
    return NONE if value is None else round(value, 1) if isinstance(value, float) else value


def to_csv(frame: pd.DataFrame) -> str:
    """Return a table as CSV; text that a spreadsheet would take for a formula is quoted with an apostrophe.

    Example:
        >>> Path("comparison.csv").write_text(to_csv(result_table(results)))
    """

    def quote(cell: Any) -> Any:
        return f"'{cell}" if isinstance(cell, str) and re.match(r"[=+\-@\t\r]", cell) else cell

    quoted = frame.map(quote)
    quoted.columns = [quote(name) for name in frame.columns]
    return quoted.to_csv(index=False)


LATEX_ESCAPES = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "–": "--",
    "λ": r"$\lambda$",
} | {character: f"\\{character}" for character in "&%$#_{}"}


def to_latex(frame: pd.DataFrame) -> str:
    """Return a table as a LaTeX tabular in booktabs style, everything special in it escaped.

    Example:
        >>> print(to_latex(result_table(results)))
    """
    lines = [frame.columns, *frame.itertuples(index=False)]
    head, *body = (" & ".join(map(_latex_cell, line)) + r" \\" for line in lines)
    columns = "l" + "r" * (len(frame.columns) - 1)
    begin, end = [f"\\begin{{tabular}}{{{columns}}}", "\\toprule"], ["\\bottomrule", "\\end{tabular}", ""]
    return "\n".join([*begin, head, "\\midrule", *body, *end])


def _latex_cell(cell: Any) -> str:
    if cell is None or (isinstance(cell, float) and not isfinite(cell)):
        return "--"
    text = f"{cell:,}" if isinstance(cell, int) else f"{cell:.1f}" if isinstance(cell, float) else str(cell)
    return "".join(LATEX_ESCAPES.get(character, character) for character in text)
