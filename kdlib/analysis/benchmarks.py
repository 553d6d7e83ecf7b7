"""Losses x methods on one dataset: which combination is best, how sure that is, as a ranking and as a matrix.

Cells are ranked by validation; test scores are only reported. Every cell is compared with the baseline, paired seed by
seed, and all of these comparisons are one family: a star means clear at 5 % after Holm's correction.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kdlib.analysis.comparison import METRIC_NAMES, format_percent, paired_differences
from kdlib.analysis.significance import are_clear
from kdlib.names import method_name, teacher_name
from kdlib.results import RunResult, Summary
from kdlib.spec import BASELINE, RunSpec, setting_text

Results = Mapping[tuple[str, str], RunResult]  # (loss, method) -> result; the baseline under ("", "baseline")
NO_LOSS = ("", BASELINE)


@dataclass(frozen=True)
class BenchmarkRow:
    """One loss with one method.

    Attributes:
        loss: its name; "" for the baseline.
        method: its name.
        val, test: the metric that counts first, over the seeds.
        ood: the same, a mean over the out-of-domain sets; None without any.
        difference: on test, to the baseline, paired seed by seed; None for the baseline.
        clear: whether that difference is clear at 5 %, corrected for all rows.
    """

    loss: str
    method: str
    val: Summary
    test: Summary
    ood: Summary | None
    difference: Summary | None
    clear: bool


def benchmark_specs(base: RunSpec, losses: Sequence[str], methods: Sequence[str]) -> dict[tuple[str, str], RunSpec]:
    """Return (loss, method) -> spec; the baseline, which has no loss, comes first and once.

    Args:
        base: what all of them share.
        losses: names in `LOSSES`.
        methods: "raw" and names in `COMPRESSORS`; a baseline is there in any case.

    Example:
        >>> list(benchmark_specs(RunSpec(), ["mse", "cka"], ["raw"]))
        [('', 'baseline'), ('mse', 'raw'), ('cka', 'raw')]
    """
    cells = {(loss, method): base.replace(loss=loss, method=method) for loss in losses for method in methods}
    return {NO_LOSS: base.replace(method=BASELINE)} | {key: spec for key, spec in cells.items() if key[1] != BASELINE}


def benchmark_rows(results: Results) -> list[BenchmarkRow]:
    """Return a row per result that has metrics, the best on validation first.

    Example:
        >>> specs = benchmark_specs(RunSpec(seeds=3), ["mse", "cka"], ["raw", "mlp"])
        >>> results = dict(zip(specs, kdlib.pipeline.compare(list(specs.values()))))
        >>> benchmark_rows(results)[0].loss
    """
    baseline = results[NO_LOSS]
    done = {key: result for key, result in results.items() if result.metrics}
    differences = {
        key: paired_differences(result, baseline).get("test") for key, result in done.items() if key != NO_LOSS
    }
    clear = dict(zip(differences, are_clear(list(differences.values())), strict=True))
    rows = [
        BenchmarkRow(
            *key,
            result.metrics["val"].primary,
            result.metrics["test"].primary,
            result.score("ood"),
            differences.get(key),
            clear.get(key, False),
        )
        for key, result in done.items()
    ]
    return sorted(rows, key=lambda row: -row.val.mean)


def row_cells(row: BenchmarkRow) -> list[str]:
    """Return what a table says of a row: loss, method, validation, test, out of domain, difference to the baseline."""
    difference = format_percent(row.difference, signed=True) + ("*" if row.clear else "")
    scores = [format_percent(value) for value in (row.val, row.test, row.ood)]
    return [row.loss or "–", method_name(row.method), *scores, difference]


def mean_gains(rows: Sequence[BenchmarkRow], field: str) -> dict[str, float]:
    """Return each loss or method -> its mean test difference to the baseline over all of its rows, largest first.

    Args:
        rows: of one benchmark.
        field: "loss" or "method".

    Example:
        >>> mean_gains(rows, "loss")
        {'distance_correlation': 0.051, 'mse': 0.012}
    """
    gains: dict[str, list[float]] = {}
    for row in rows:
        if row.difference is not None:
            gains.setdefault(getattr(row, field), []).append(row.difference.mean)
    means = {name: sum(values) / len(values) for name, values in gains.items()}
    return dict(sorted(means.items(), key=lambda pair: -pair[1]))


def describe(spec: RunSpec, metric: str) -> str:
    """Return what was trained and how the numbers are to be read, as a sentence or two."""
    return (
        f"{METRIC_NAMES[metric]} on {spec.dataset} in %, mean ± 95 % interval over {spec.seeds} seeds; {spec.labels} "
        f"labels, teacher {teacher_name(spec.teacher)}, d_c = {spec.dim}, λ = {setting_text(spec.distance_weight)}, "
        f"student {spec.student} of width {spec.width}, {spec.epochs} epochs. "
        "Differences are paired seed by seed; * clear at 5 %, corrected for the whole table (Holm)."
    )


def to_markdown(results: Results) -> str:
    """Return the matrix of test scores, losses by methods, and the ranking, as markdown.

    Example:
        >>> print(to_markdown(results))
    """
    rows, spec = benchmark_rows(results), results[NO_LOSS].spec
    cells = {(row.loss, row.method): row for row in rows}
    losses, methods = mean_gains(rows, "loss"), mean_gains(rows, "method")
    base = cells[NO_LOSS]
    lines = [describe(next(iter(results.values())).spec, results[NO_LOSS].primary_name), ""]
    lines += [f"Baseline without a teacher: {format_percent(base.test)}. Test difference to it, in points:", ""]
    header = ["loss", *(method_name(method) for method in methods), "mean"]
    lines += [_line(header), _line(["---"] * len(header))]
    for loss, gain in losses.items():
        found = [cells.get((loss, method)) for method in methods]
        words = ["–" if each is None else row_cells(each)[-1] for each in found]
        lines.append(_line([f"`{loss}`", *words, f"{100 * gain:+.1f}"]))
    lines.append(_line(["mean", *(f"{100 * gain:+.1f}" for gain in methods.values()), ""]))
    lines += ["", "The ten that are best on validation, and the baseline:", ""]
    columns = ["loss", "method", "validation", "test", "out of domain", "test − baseline"]
    lines += [_line(columns), _line(["---"] * len(columns))]
    lines += [_line(row_cells(row)) for row in [*[row for row in rows if row.loss][:10], base]]
    failed = [f"{loss} with {method}" for (loss, method), result in results.items() if not result.metrics]
    lines += ["", f"Without a result: {', '.join(failed)}."] if failed else []
    return "\n".join(lines) + f"\n\nTeacher, labels and everything else: `{spec.to_json()}`\n"


def to_record(results: Results) -> dict[str, Any]:
    """Return the rows as JSON can hold them."""
    return {
        "spec": results[NO_LOSS].spec.to_dict(),
        "rows": [
            {
                name: vars(value) if isinstance(value, Summary) else value
                for name, value in vars(row).items()
                if value is not None
            }
            for row in benchmark_rows(results)
        ],
        "failed": {" ".join(key): result.reason for key, result in results.items() if not result.metrics},
    }


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
