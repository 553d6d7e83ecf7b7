"""A comparison in rounds, in this process: on several draws of labelled rows, and until it is sure enough.

What a round is, and why intervals are wider where one looks several times: `kdlib.analysis.rounds`.
`tests/test_sequential.py` simulates that. `kdlib.runs.sequences` does the same as runs in the background.
"""

from collections.abc import Callable, Sequence

from kdlib.analysis.rounds import Repetition, join_rounds, missing_specs, pool, widest_half_width, with_looks
from kdlib.analysis.subsets import with_subsets
from kdlib.pipeline import compare
from kdlib.progress import OnProgress
from kdlib.results import Comparison, RunResult
from kdlib.spec import RunSpec

OnLook = Callable[[int, float], None]  # called after each look with the seeds and the widest half-width


def compare_repeated(
    specs: Sequence[RunSpec],
    repetition: Repetition,
    *,
    device: str = "auto",
    on_progress: OnProgress | None = None,
    on_look: OnLook | None = None,
) -> Comparison:
    """Return the result of each spec on each draw of labelled rows, after as many seeds as it took; none trained twice.

    With a `half_width` it stops as soon as no difference to baseline or raw on the test set has a wider interval;
    without any such difference the scores themselves count. The differences are those over all draws. A grid, and what
    is tuned, is decided with the first seeds on the first draw and stays.

    Args:
        specs: with the seeds to begin with, the same number for all where seeds are added.
        repetition: how often.
        device, on_progress: as in `kdlib.pipeline.run`. A comparison that is stopped has the seeds of its last look.
        on_look: called with the seeds and the widest half-width at each look.

    Returns:
        results that `kdlib.analysis.rounds.pool` makes one per method.

    Raises:
        ValueError: as in `kdlib.pipeline.compare`, or one of these numbers makes no sense.

    Example:
        >>> pool(compare_repeated([RunSpec(method="raw"), RunSpec()], Repetition(3, 0.01, 40)))[0].spec.seeds
    """
    if repetition.half_width and len({spec.seeds for spec in specs}) > 1:
        raise ValueError("all methods begin with the same number of seeds, got several numbers")
    looks: list[int | None] = [*repetition.looks(specs[0].seeds)] if repetition.half_width else [None]
    results: list[RunResult] = compare(with_subsets(specs, repetition.subsets), device=device, on_progress=on_progress)
    for seeds in looks:
        missing = missing_specs(results, repetition.subsets, seeds) if all(each.metrics for each in results) else []
        added = compare(missing, device=device, on_progress=on_progress) if missing else []
        if not all(each.metrics for each in [*results, *added]):
            break
        results = [*results, *added]
        if seeds is None:
            break
        widest = widest_half_width(pool([with_looks(each, len(looks)) for each in results]))
        if on_look is not None:
            on_look(seeds, widest)
        if widest <= repetition.half_width:
            break
    return Comparison(join_rounds([with_looks(each, len(looks)) for each in results]))
