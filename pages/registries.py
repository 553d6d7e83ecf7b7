"""Controls made of the registries: select boxes, lists for the help behind a question mark, filters of runs."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.components.v2 import component

from kdlib import catalog
from kdlib.names import method_name, teacher_name
from pages import address
from pages.text import escape

ASSETS = Path(__file__).parent.parent / "assets"
PLAIN_NAMES = {"teachers": teacher_name, "methods": method_name, "compressors": method_name}  # registry -> names of it
FILTER_HELPS = {  # field of a spec -> what filtering by it does
    "dataset": "Only runs on these data.",
    "teacher": "Only runs that learn from these; a baseline learns from none.",
    "method": "Only runs that do this with the teacher's embedding.",
}


def describe(registry: str) -> dict[str, str]:
    """Return name -> one-line help of a registry."""
    return {entry["name"]: entry["help"] for entry in catalog.list_entries(registry)}


def markdown_list(registry: str) -> str:
    """Return a registry as a list, for the help behind a question mark."""
    plain = PLAIN_NAMES.get(registry, str)
    return "\n".join(f"- **{escape(plain(name))}**: {escape(line)}" for name, line in describe(registry).items())


def list_teachers(dataset: str) -> list[dict[str, str]]:
    """Return name, help, source task and supervision of each teacher that takes what the dataset holds."""
    from kdlib.models.teachers import compatible_teachers  # loads torch, which a first page does without

    names = set(compatible_teachers(dataset))
    return [entry for entry in catalog.list_entries("teachers") if entry["name"] in names]


def select_entry(
    label: str,
    registry: str,
    key: str,
    default: str,
    names: Sequence[str] | None = None,
    on_change: Callable[[], None] | None = None,
) -> str:
    """Show a select box of a registry, bound to the address, with help on the selected entry below; return its name.

    Args:
        label: of the box.
        registry: a name in `catalog.NAMES`.
        key: of the box, in session state and address.
        default: what is selected at first; "" for nothing.
        names: the entries to choose from, by default all. Empty: only a note is shown, and the default is returned.
        on_change: called when a visitor selects another entry.
    """
    names = list(describe(registry)) if names is None else list(names)
    plain = PLAIN_NAMES.get(registry)
    if not names:
        st.caption(f"{label}: there is none for this dataset.")
        return default
    position = (names.index(default) if default in names else 0) if default else None
    chosen = st.session_state.get(key)
    if chosen is not None and chosen not in names:  # it is gone, or does not fit any more
        st.session_state[key] = None if position is None else names[position]
    if plain is None:
        name = st.selectbox(label, names, index=position, key=key, bind="query-params", on_change=on_change)
    else:
        if asked := address.read_choice(key, names):
            st.session_state[key] = asked[0]
        position = 0 if key in st.session_state else position
        name = st.selectbox(label, names, index=position, key=key, format_func=plain, on_change=on_change)
        address.write_choice(key, [name] if name else [], [default] if default else [])
    if name:
        st.caption(escape(describe(registry)[name]))
    return name or ""


def select_entries(label: str, registry: str, key: str, default: Sequence[str] = (), **options: Any) -> list[str]:
    """Show a box in which several entries of a registry can be selected, kept in the address; return their names.

    Args:
        label: of the box.
        registry: a name in `catalog.NAMES`.
        key: of the box, in session state and address.
        default: what is selected at first.
        options: of `st.multiselect`.
    """
    names = [name for name in describe(registry) if registry != "compressors" or name != "none"]
    if key not in st.session_state:
        st.session_state[key] = address.read_choice(key, names) or [name for name in default if name in names]
    chosen = st.multiselect(label, names, key=key, format_func=PLAIN_NAMES.get(registry, str), **options)
    address.write_choice(key, chosen, default)
    return chosen


@st.cache_resource(show_spinner=False)
def _keys() -> Callable[..., Any]:
    return component("kd_keys", js=(ASSETS / "keys.js").read_text(encoding="utf-8"))


def run_filters() -> tuple[str, dict[str, list[str]]]:
    """Show what runs can be filtered by; return `text` and `where` as `runs.list_runs` takes them."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        text = st.text_input(
            "Search",
            key="text",
            max_chars=80,
            placeholder="name, loss, number ...",
            help="Only runs whose name or settings contain this text. The key / brings you here.",
            bind="query-params",
        )
        where = {
            name: select_entries(name.title(), f"{name}s", f"only-{name}", placeholder="all", help=line)
            for name, line in FILTER_HELPS.items()
        }
        _keys()(key="keys", width=1, height=1)
    return text, where
