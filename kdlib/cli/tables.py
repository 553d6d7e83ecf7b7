"""What the command line prints: the comparison and the registries, as tables that fit the terminal."""

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from kdlib import catalog
from kdlib.analysis import papers
from kdlib.analysis.comparison import (
    METRIC_NAMES,
    differences_to_references,
    format_differences,
    format_percent,
    metric_names,
)
from kdlib.analysis.grid import describe_left_out, grid_table
from kdlib.analysis.tuned import choice_rows, describe_budget
from kdlib.analysis.verdicts import verdict
from kdlib.names import cell_name, in_order, method_name, teacher_name
from kdlib.results import RunResult, TeacherStats
from kdlib.spec import BASELINE, RAW
from kdlib.summary import Probe, Summary

MIN_WIDTH, MAX_WIDTH = 140, 1000  # columns of sentences, and of tables at most


def print_entries(what: str) -> None:
    """Print the entries of a registry, a line each; lines are not broken, so that other programs can read them."""
    rows = catalog.list_entries(what)
    short = [key for key in rows[0] if key != "help"]
    widths = {key: max(len(row[key]) for row in rows) for key in short}
    console = Console(highlight=False, soft_wrap=True)
    for row in rows:
        console.print("  ".join([*(row[key].ljust(widths[key]) for key in short), row["help"]]), markup=False)


def print_comparison(results: Sequence[RunResult], seconds: float) -> None:
    """Print accuracies with intervals, differences, what the spaces still tell, and costs.

    Args:
        results: what `pipeline.compare` returned.
        seconds: how long all of it took.
    """
    console, spec = _wide(), results[0].spec
    results = in_order(results, lambda each: each.spec)
    for each in results:
        if each.status == "failed":
            console.print(f"[red]{method_name(each.spec.method)} failed[/]: ", end="")
            console.print(each.reason, markup=False)
    done = [each for each in results if each.metrics]
    if not done:
        return
    metric = done[0].primary_name
    sample = f"n = {done[0].metrics['test'].primary.sample}; {spec.labels} labels of {spec.dataset}"
    console.print(f"\n{metric_names(done)}, % (mean ± 95 % interval, {sample})")
    _print(_accuracies(done, metric))
    if any(each.grid for each in done):
        title = f"Validation {METRIC_NAMES[metric]} over the grid, % (mean over seeds; * the one that was tested)"
        console.print(f"\n{title}")
        _print(_grids(done))
        if left_out := describe_left_out(done):
            console.print(left_out, markup=False)
    for other in ("roc_auc", "f1") if metric == "map" else ():
        console.print(
            f"\n{METRIC_NAMES[other]}, %{' (thresholds chosen on validation, per class)' if other == 'f1' else ''}"
        )
        _print(_accuracies(done, other))
    if any(differences_to_references(done, each) for each in done):
        console.print("\nPaired difference, points (* clear at 5 %, corrected for all of this table)")
        _print(_differences(done))
    target = ", of the target mAP %" if metric == "map" else ""
    console.print(
        f"\nWhat a linear probe still reads on test rows, accuracy %{target}, and the effective rank of each space"
    )
    _print(_probes(done))
    console.print("\nCost")
    _print(_costs(done))
    console.print(f"\n{verdict(done)}", markup=False)
    console.print(f"Total {seconds:.1f} s.", style="dim")


def print_tuned(results: Sequence[RunResult]) -> None:
    """Print what each tuned method chose and what that came to, and their differences.

    Args:
        results: of `pipeline.compare`, all of them tuned.
    """
    done = in_order([each for each in results if each.metrics], lambda each: each.spec)
    if not done:
        return
    console = _wide()
    console.print(
        f"\n{describe_budget(done).capitalize()}: best on validation, then trained with fresh seeds and tested once; "
        f"% (mean ± 95 % interval, n = {done[0].spec.seeds} seeds)"
    )
    rows = choice_rows(done)
    table = _table(*rows[0])
    for row in rows:
        table.add_row(*row.values())
    _print(table)
    if any(differences_to_references(done, each) for each in done):
        console.print("\nPaired difference between tuned methods, points (* clear at 5 %, corrected for the table)")
        _print(_differences(done))
    console.print(f"\n{verdict(done)}", markup=False)


def print_papers(rows: Sequence[papers.PaperRow], seconds: float) -> None:
    """Print the papers' comparison: a line per teacher and treatment, scores with intervals and paired differences.

    Args:
        rows: from `papers.paper_rows`.
        seconds: how long all of it took.
    """
    console, first = _wide(), rows[0].result
    metric, spec = first.primary_name, first.spec
    settings = f"{spec.labels} labels, student {spec.student} of width {spec.width}, {spec.epochs} epochs"
    console.print(
        f"\n{spec.dataset}: {METRIC_NAMES[metric]}, % (mean ± 95 % interval, n = {spec.seeds} seeds; {settings})",
        markup=False,
    )
    console.print("Differences are paired, in points; * clear at 5 %, corrected for all of this table (Holm).")
    others = ("roc_auc", "f1") if metric == "map" else ()
    table = _table(
        "teacher",
        "treatment",
        "test",
        "mean ood",
        "- baseline",
        "- raw",
        "ood - raw",
        *(METRIC_NAMES[name] for name in others),
    )
    differences = format_differences(
        [[row.to_baseline.get("test"), row.to_raw.get("test"), row.to_raw.get("ood")] for row in rows]
    )
    for row, words in zip(rows, differences, strict=True):
        cells = [*(format_percent(row.result.score(split)) for split in ("test", "ood")), *words]
        cells += [format_percent(row.result.metrics["test"][name]) for name in others]
        table.add_row(teacher_name(row.teacher) if row.teacher else "–", row.treatment, *cells)
    _print(table)
    console.print(f"Total {seconds:.0f} s.", style="dim")


def _wide() -> Console:
    """Return a console for sentences."""
    return Console(highlight=False, width=max(Console().width, MIN_WIDTH))


def _print(table: Table) -> None:
    """Print a table as wide as it is: a narrow terminal breaks its lines instead of cutting numbers off."""
    Console(highlight=False, width=MAX_WIDTH).print(table)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column(escape(columns[0]), no_wrap=True)
    for column in columns[1:]:
        table.add_column(escape(column), justify="right", no_wrap=True)  # attributes are called as their owner likes
    return table


def _accuracies(done: Sequence[RunResult], metric: str) -> Table:
    splits = [*(name for name in done[0].metrics if name not in ("val", "ood")), "ood"]
    grids = any(each.grid for each in done)
    names = ["mean ood" if split == "ood" else split for split in splits]
    table = _table("method", *(["chosen on validation", "validation"] if grids else []), *names)
    for each in done:
        chosen = cell_name(each.grid.best.settings) if each.grid else "–"
        cells = [chosen, format_percent(_score(each, "val", metric))] if grids else []
        cells += [format_percent(_score(each, split, metric)) for split in splits]
        table.add_row(method_name(each.spec.method), *cells)
    return table


def _grids(done: Sequence[RunResult]) -> Table:
    """Return a row per cell of the grids, and a column per method."""
    columns, rows = grid_table(done)
    table = _table(*columns)
    for row in rows:
        table.add_row(*row)
    return table


def _score(result: RunResult, split: str, metric: str) -> Summary | None:
    return result.metrics[split][metric] if split in result.metrics else None


def _differences(done: Sequence[RunResult]) -> Table:
    table = _table("method", "test - baseline", "ood - baseline", "test - raw", "ood - raw")
    found: dict[str, list[Summary | None]] = {}
    for each in done:
        if each.spec.method == BASELINE:  # raw less baseline says the same
            continue
        differences = differences_to_references(done, each)
        cells = [differences.get(other, {}).get(split) for other in (BASELINE, RAW) for split in ("test", "ood")]
        if any(cells):
            found[method_name(each.spec.method)] = cells
    for method, words in zip(found, format_differences(list(found.values())), strict=True):
        table.add_row(method, *words)
    return table


def _probes(done: Sequence[RunResult]) -> Table:
    """Return a row per space: the raw embedding once, then compressed and student of every method."""
    names = list(done[0].attributes)
    table = _table("space", "width", "rank", "target", *names)
    taught: list[tuple[RunResult, TeacherStats]] = [(each, each.teacher) for each in done if each.teacher]
    target_chance = [_chance(taught[0][1].probe) if taught else "–"]
    table.add_row("chance", "", "", *target_chance, *(_chance(done[0].attributes[name]) for name in names))

    def add_row(label: str, result: RunResult, space: str, target: Summary | None) -> None:
        stats = result.spaces[space]
        scores = [target, *(getattr(result.attributes[name], space) for name in names)]
        rank = f"{stats.effective_rank.mean:.1f}"
        cells = (format_percent(value).replace(" ", "") for value in scores)
        table.add_row(escape(label), str(stats.width), rank, *cells)

    if taught:
        result, teacher = taught[0]
        add_row(f"raw: {teacher_name(result.spec.teacher)}", result, "raw", teacher.probe.raw)
    for result, teacher in taught:
        if result.spec.method not in (RAW, "none"):
            add_row(f"compressed: {method_name(result.spec.method)}", result, "compressed", teacher.probe.compressed)
    for result in done:
        add_row(f"student: {method_name(result.spec.method)}", result, "student", result.spaces["student"].probe)
    return table


def _chance(probe: Probe) -> str:
    return "–" if probe.chance is None else f"{100 * probe.chance:.1f}"


def _costs(done: Sequence[RunResult]) -> Table:
    table = _table("method", "parameters", "multiply-adds", "latency, ms", "bytes per embedding", "seconds")
    for each in done:
        cost = each.cost
        table.add_row(
            method_name(each.spec.method),
            f"{cost.parameters:,}",
            f"{cost.multiply_adds:,}",
            f"{cost.latency_ms:.2f}",
            f"{cost.bytes_per_embedding:,}" if cost.bytes_per_embedding else "–",
            f"{cost.seconds:.1f}",
        )
    return table
