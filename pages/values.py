"""Several numbers for one setting: those offered, and any that is typed in."""

from collections.abc import Sequence

import streamlit as st

from kdlib.spec import EXPECTED
from pages.text import escape


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
