"""Text on a page: what markdown shows literally, and what a visitor reads when something goes wrong."""

import logging
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf

import streamlit as st

log = logging.getLogger("kdlib.app")


def escape(text: object) -> str:
    """Return text as markdown shows it literally."""
    return re.sub(r"([\\`*_{}\[\]()#+\-.!|<>~$:&^=])", r"\\\1", " ".join(str(text).split()))


def describe_seconds(seconds: float) -> str:
    """Return a duration in words: "5 s", "12 min", "3 h"."""
    if seconds < 90:
        return f"{max(1, seconds):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.0f} h"


def describe_range(low: float, high: float) -> str:
    """Return a range of seconds in round words: "5 to 10 s", "2 to 3 min", "50 s to 2 min", "at least 20 s"."""
    if high == inf:
        return f"at least {describe_seconds(max(5 * int(low / 5), 1))}"
    unit, size, name = (60, 60, "min") if high > 100 else (10, 1, "s") if high > 30 else (5, 1, "s")
    first, last = unit * int(low / unit), unit * max(1, -int(-high // unit))
    if first:
        return f"{first // size} to {last // size} {name}"
    tens = 10 * int(low / 10) if name == "min" else 0
    return f"{tens} s to {last // size} {name}" if tens else f"up to {last // size} {name}"


@contextmanager
def show_errors() -> Iterator[None]:
    """Show an error in place of the rest: our own messages as they are, others as an incident id found in the log."""
    try:
        yield
    except ValueError as error:
        log.warning("%s", error, exc_info=True)
        st.error(escape(_sentence(error)), icon=":material/error:")
    except Exception:  # a visitor gets words whatever it is, the log gets the trace
        incident = secrets.token_hex(4)
        log.exception("incident %s", incident)
        st.error(
            f"Something went wrong here. The log has the details under incident {incident}.", icon=":material/error:"
        )


def _sentence(error: Exception) -> str:
    text = str(error) or type(error).__name__
    return text[0].upper() + text[1:] + ("" if text.endswith(".") else ".")
