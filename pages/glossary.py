"""What the words of the field mean, from one file: help behind question marks, and marked words in lessons."""

import html
import tomllib
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import streamlit as st

from kdlib.lessons.reading import HTML, TERM

FILE = Path(__file__).parent.parent / "assets" / "glossary.toml"


@lru_cache
def terms() -> dict[str, str]:
    """Return every term with what it means, plain text."""
    return tomllib.loads(FILE.read_text(encoding="utf-8"))


def term(name: str) -> str:
    """Return what a term means, for the help behind a question mark.

    Raises:
        ValueError: the glossary lacks it.
    """
    known = terms()
    if name.lower() not in known:
        raise ValueError(f"the glossary has no {name!r}, add it to {FILE.name}; it has: {', '.join(known)}")
    return known[name.lower()]


def named_terms(text: str) -> list[str]:
    """Return the terms that a text marks as [[term]] or [[term|as it is written there]], each once."""
    return list(dict.fromkeys(found[0].lower() for found in TERM.findall(text)))


def show_text(text: str) -> None:
    """Show markdown of our own in which terms are marked: each opens what it means under the pointer or the focus."""
    text = text.replace(" %", "\u00a0%")  # a number stays with its unit
    text = HTML.sub(lambda found: html.escape(found[0]), text)  # the only markup is that of the terms
    st.markdown(TERM.sub(lambda found: _marked(found[1], found[2] or found[1]), text), unsafe_allow_html=True)


def _marked(name: str, written: str) -> str:
    meaning = html.escape(term(name))
    return f'<span class="kd-term" tabindex="0">{html.escape(written)}<span class="kd-tip">{meaning}</span></span>'


def show_words(names: Iterable[str]) -> None:
    """Show what opens a list of terms."""
    names = list(names)
    if names:
        with st.popover("Words used here", icon=":material/menu_book:", type="tertiary"):
            st.markdown("\n\n".join(f"**{name}**: {term(name)}" for name in names))
