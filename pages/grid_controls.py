"""The switch on Distill that lets some fields have several values, which train as one population."""

from collections.abc import Sequence

import streamlit as st

from kdlib import planning
from kdlib.names import AXES
from kdlib.spec import GRID_FIELDS, RunSpec, grid_values
from pages.values import number_values

KEY = "grid"  # of the switch
ALL = "all"  # numbers of the compressed embedding, however many
OFFERS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {  # field -> values at first, further ones
    "distance_weight": ((0.25, 0.5, 0.75, 0.9), (0, 0.1, 0.6, 0.85, 0.95, 1)),
    "lr": ((), (0.001, 0.003, 0.01, 0.03, 0.1)),
    "soft_label_weight": ((), (0, 0.25, 0.5, 1, 2)),
}


def is_on() -> bool:
    """Return whether fields have several values."""
    return st.session_state.get(KEY, st.query_params.get(KEY) == "true")


def query(spec: RunSpec) -> dict[str, str | list[str]]:
    """Return the part of an address that sets the switch and its values to those of a spec; {} for a single setting."""
    if not spec.grid:
        return {}
    values: dict[str, str | list[str]] = {
        f"grid-{name}": [f"{each:g}" for each in grid_values(getattr(spec, name))] for name in GRID_FIELDS
    }
    values["grid-prefix"] = [ALL if each in (0, spec.dim) else str(each) for each in grid_values(spec.prefix)]
    return values | {KEY: "true"}


def show_grid(spec: RunSpec, methods: Sequence[str]) -> RunSpec:
    """Show the switch and the values of the fields; return the spec with them.

    Args:
        spec: with one value in each field.
        methods: to be compared; prefixes are for those that train them.
    """
    prefixes = planning.list_prefixes(methods, spec.dim)
    text = (
        "Trains every combination of the values below with every seed, all of them at once. The setting that is best "
        "on validation is tested, and no other."
    )
    names = f"λ, learning rate, soft labels{', prefix' if prefixes else ''}"
    if not st.toggle(f"Grid: several values of {names}", key=KEY, help=text, bind="query-params"):
        return spec
    values = {}
    for name, (first, further) in OFFERS.items():
        at_first = first or grid_values(getattr(spec, name))
        label = AXES[name][0].upper() + AXES[name][1:]
        values[name] = number_values(label, f"grid-{name}", at_first, further, float) or getattr(spec, name)
    return spec.replace(**values, prefix=_prefix_values(prefixes) or RunSpec.prefix)


def _prefix_values(prefixes: Sequence[int]) -> list[int]:
    """Show the box of prefixes, if there are any; return those that are chosen, [] for all numbers alone."""
    if not prefixes:
        return []
    key, names = "grid-prefix", [*map(str, prefixes[:-1]), ALL]
    if key in st.session_state:  # the widest may have changed
        st.session_state[key] = [name for name in st.session_state[key] if name in names]
    chosen = st.multiselect(
        "Prefix",
        names,
        [ALL],
        key=key,
        bind="query-params",
        help="How many leading numbers of the compressed embedding a student is taught. The compressor trains all of "
        "them at once, so these are widths of one embedding.",
        placeholder=ALL,
    )
    values = [prefixes[-1] if name == ALL else int(name) for name in chosen]
    return [] if values == [prefixes[-1]] else values
