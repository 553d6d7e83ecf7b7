"""Several numbers for one setting: those offered, and any that is typed in; the grid of Distill, made of such."""

from collections.abc import Sequence

import streamlit as st

from kdlib.names import AXES
from kdlib.spec import EXPECTED, RunSpec, grid_values
from pages.text import escape

GRID = "grid"  # key of the switch that lets some fields have several values
GRID_OFFERS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {  # field -> values at first, further ones
    "distance_weight": ((0.25, 0.5, 0.75, 0.9), (0, 0.1, 0.6, 0.85, 0.95, 1)),
    "lr": ((), (0.001, 0.003, 0.01, 0.03, 0.1)),
    "soft_label_weight": ((), (0, 0.25, 0.5, 1, 2)),
}


def number_values(label: str, key: str, default: Sequence[float], options: Sequence[float], kind: type) -> list[float]:
    """Show a box of numbers, bound to the address; return those that are chosen, ascending.

    Args:
        label: of the box.
        key: of the box, in session state and address.
        default: what is chosen at first.
        options: what is offered; any other number can be typed in.
        kind: int or float.
    """
    offered = sorted({*options, *default})
    chosen = st.multiselect(
        label,
        [f"{each:g}" for each in offered],
        [f"{each:g}" for each in default],
        key=key,
        accept_new_options=True,
        bind="query-params",
        help="Choose values, or type one and press Enter.",
        placeholder="at least one value",
    )
    values = set()
    for text in chosen:
        try:
            values.add(kind(text.replace(",", "")))
        except ValueError:
            st.error(f"{escape(label)}: expected {EXPECTED[kind]}, got {escape(repr(text))}.", icon=":material/block:")
    return sorted(values)


def grid_is_on() -> bool:
    """Return whether the grid's switch is on, or will be by the address."""
    return st.session_state.get(GRID, st.query_params.get(GRID) == "true")


def grid_controls(spec: RunSpec) -> RunSpec:
    """Show the switch that lets some fields have several values, and these; return the spec with them."""
    text = (
        "Trains every combination of the values below with every seed, all of them at once. The setting that is best "
        "on validation is tested, and no other."
    )
    if not st.toggle("Grid: several values of λ, learning rate, soft labels", key=GRID, help=text, bind="query-params"):
        return spec
    values = {}
    for name, (first, further) in GRID_OFFERS.items():
        at_first = first or grid_values(getattr(spec, name))
        label = AXES[name][0].upper() + AXES[name][1:]
        values[name] = number_values(label, f"grid-{name}", at_first, further, float) or getattr(spec, name)
    return spec.replace(**values)
