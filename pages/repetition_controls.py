"""The controls of Distill for how sure a comparison is: labelled subsets, seeds until it is sure, tuning first."""

from collections.abc import Sequence

import streamlit as st

from kdlib.analysis.rounds import Repetition, expected_specs
from kdlib.checks import MAX_TRIALS
from kdlib.spec import RunSpec
from pages.glossary import term

SUBSETS, SURE, UNTIL, MOST, TUNE, TRIALS = "subsets", "until-sure", "until", "most_seeds", "tune-first", "trials"
KEYS = (SUBSETS, SURE, UNTIL, MOST, TUNE, TRIALS)
MAX_SUBSETS, MAX_SEEDS = 5, 200
USUAL_POINTS, USUAL_MOST, USUAL_TRIALS = 1.0, 40, 20
SUBSETS_HELP = (
    "On how many draws of labelled items each method is trained, each with every seed: one draw can suit a method by "
    "luck. A setting that is searched is chosen on the first draw and then trained on the others."
)
SURE_HELP = (
    "Goes on in the background until every difference to the methods without teacher and without compression has a "
    "narrow enough 95 % interval, or the most seeds are trained. All intervals allow for looking several times."
)
TRIALS_HELP = "Settings that are tried. The worse half is stopped after half of the epochs, again after three quarters."


def reset() -> None:
    """Set every control back to its default."""
    st.session_state[SUBSETS], st.session_state[SURE], st.session_state[TUNE] = 1, False, False


def show(seeds: int) -> Repetition:
    """Show what repeats a comparison beside its seeds; return it.

    Args:
        seeds: of every method at first.
    """
    subsets = st.slider("Labelled subsets", 1, MAX_SUBSETS, 1, key=SUBSETS, help=SUBSETS_HELP, bind="query-params")
    sure = st.toggle(
        "Add seeds until it is sure",
        key=SURE,
        help=SURE_HELP if seeds > 1 else "Of a single seed nothing is known: choose at least 2.",
        disabled=seeds < 2,
        bind="query-params",
    )
    if not sure or seeds < 2:
        return Repetition(subsets)
    left, right = st.columns(2)
    points = left.number_input(
        "Interval at most, ± points",
        0.1,
        20.0,
        USUAL_POINTS,
        0.1,
        format="%.1f",
        key=UNTIL,
        help=term("interval"),
        bind="query-params",
    )
    most = right.number_input(
        "Most seeds",
        2,
        MAX_SEEDS,
        USUAL_MOST,
        key=MOST,
        help="The budget: seeds that each method has at most.",
        bind="query-params",
    )
    repetition = Repetition(subsets, points / 100, max(most, seeds))
    looks = repetition.looks(seeds)
    st.caption(f"{'Looks' if len(looks) > 1 else 'One look'} at {', '.join(map(str, looks))} seeds.", help=term("look"))
    return repetition


def describe(seeds: int, repetition: Repetition) -> str:
    """Return how often each method is trained, in words.

    Example:
        >>> describe(5, Repetition(3, 0.01, 40))
        '3 labelled subsets x 5 to 40 seeds until ± 1 points'
    """
    count = f"{seeds} to {repetition.most_seeds}" if repetition.most_seeds > seeds else f"{seeds}"
    words = f"{count} seed{'' if count == '1' else 's'}"
    if repetition.subsets > 1:
        words = f"{repetition.subsets} labelled subsets x {words}"
    return f"{words} until ± {100 * repetition.half_width:g} points" if repetition.half_width else words


def count_runs(specs: Sequence[RunSpec], repetition: Repetition) -> str:
    """Return how many runs a comparison is, in words: "3 runs", "6 to 18 runs" where seeds may be added.

    Args:
        specs: of what is compared.
        repetition: how often.
    """
    first = len(expected_specs(specs, repetition))
    looks = len(repetition.looks(specs[0].seeds)) if repetition.half_width else 1
    most = first + (looks - 1) * len(specs) * repetition.subsets
    return f"{first} to {most} runs" if most > first else f"{first} run{'' if first == 1 else 's'}"


def show_tuning() -> int:
    """Show whether each method is tuned first, and with how many trials; return these, 0 without."""
    tuned = st.toggle(
        "Tune each method first",
        key="tune-first",
        help="Every method, the baseline and raw included, tries the same number of settings (learning rate, λ, "
        "dimension, soft labels, as far as it has them) on validation items, with other seeds. Its best one is then "
        "trained and tested. The methods as they are set here run beside them.",
        bind="query-params",
    )
    if not tuned:
        return 0
    return int(
        st.number_input(
            "Trials of each method", 2, MAX_TRIALS, USUAL_TRIALS, key="trials", help=TRIALS_HELP, bind="query-params"
        )
    )
