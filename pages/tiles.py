"""Items as tiles: a component of our own in which one is chosen, listened to, or only looked at."""

from collections.abc import Callable, Sequence
from typing import Literal

from kdlib import spaces
from kdlib.analysis.items import short_text
from kdlib.data.datasets import Dataset
from pages import items
from pages.chain import load_component


def class_name(data: Dataset, row: int) -> str:
    """Return the class of an item, the first of several known ones."""
    label = int(spaces.first_label(data.labels[row : row + 1])[0])
    return str(data.classes[label]) if label >= 0 else "–"


def show_tiles(
    data: Dataset,
    rows: Sequence[int],
    key: str,
    *,
    choose: bool = False,
    chosen: int = -1,
    on_choose: Callable[[], None] | None = None,
) -> int:
    """Show items as tiles and return the row that was clicked last, -1 for none.

    Args:
        data: whose items they are.
        rows: their numbers.
        key: of the component.
        choose: whether a click chooses; otherwise it plays what can be heard.
        chosen: the row that is marked.
        on_choose: called when one is clicked.
    """
    mode: Literal["choose", "listen", "look"] = "choose" if choose else "listen" if data.listen else "look"
    state = {
        "tiles": [
            {"row": int(row), "caption": class_name(data, int(row)), "text": short_text(data, int(row))} for row in rows
        ],
        "mode": mode,
        "picture": "" if data.read else items.source(data),
        "sound": items.sound_source(data) if data.listen else "",
        "chosen": chosen,
    }
    shown = load_component("tiles")(
        key=key, data=state, default={"chosen": -1}, on_chosen_change=on_choose or (lambda: None), height="content"
    )
    return int(shown["chosen"])
