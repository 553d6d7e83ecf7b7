"""Looking names up: what is found, and what a person reads when it is not."""

import pytest

from kdlib.registry import first_line, lookup


def documented():
    """Return nothing, politely.

    A second paragraph that is no part of the help.
    """


def test_an_entry_is_found_by_its_name():
    assert lookup({"a": 1, "b": 2}, "b", "letter") == 2


def test_an_unknown_name_lists_the_choices_in_the_order_of_the_table():
    with pytest.raises(ValueError, match=r"^unknown loss 'kl', choose one of: pkt, cka$"):
        lookup({"pkt": 1, "cka": 2}, "kl", "loss")


def test_the_summary_is_the_first_docstring_line_without_its_full_stop():
    assert first_line(documented) == "Return nothing, politely"
    assert first_line(lambda: None) == ""
