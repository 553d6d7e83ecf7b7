"""Looking names up in the tables that say what exists.

Every stage module ends in one dict literal (`DATASETS`, `TEACHERS`, `COMPRESSORS`, ...). That dict is the select box,
the command-line choice and the parametrisation of the contract tests. Looking up, and the wording of "unknown", live
here and nowhere else.
"""

from collections.abc import Callable, Iterable, Mapping
from inspect import getdoc, signature
from typing import Any, TypeVar

from kdlib.progress import OnProgress

Entry = TypeVar("Entry")


def lookup(table: Mapping[str, Entry], name: str, kind: str, others: Iterable[str] = ()) -> Entry:
    """Return the entry called `name`. `others`: names from elsewhere that would do too.

    Raises:
        ValueError: there is no such entry; the message lists the choices.

    Example:
        >>> lookup({"a": 1, "b": 2}, "b", "letter")
        2
    """
    if name not in table:
        raise ValueError(f"unknown {kind} {name!r}, choose one of: {', '.join([*others, *table])}")
    return table[name]


def call_reporting(function: Callable[..., Any], *arguments: Any, on_progress: OnProgress | None) -> Any:
    """Return what a function of a registry returns; it gets `on_progress` if it has a parameter of that name."""
    if on_progress is not None and "on_progress" in signature(function).parameters:
        return function(*arguments, on_progress=on_progress)
    return function(*arguments)


def first_line(thing: object) -> str:
    """Return the first line of a docstring: the help of a registry entry in the app and on the command line."""
    return (getdoc(thing) or "").partition("\n")[0].rstrip(".")
