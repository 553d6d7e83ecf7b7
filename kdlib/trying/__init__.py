"""Trying students out: what finished runs say about one item that a person gives.

items.py       an item as students and teachers get it, prepared as in the dataset
uploads.py     pictures and recordings out of foreign files, read in a child process
loaded.py      finished runs in memory: students, compressors, training items in all spaces
answering.py   probabilities, places in the spaces, nearest training items, how unusual it is
maps.py        where the item falls on the maps of the training items
"""

from kdlib.trying.answering import NEIGHBOURS, Answer, Placed, Prediction, answer
from kdlib.trying.items import (
    Item,
    can_be_drawn,
    item_of_drawing,
    item_of_numbers,
    item_of_picture,
    item_of_row,
    item_of_text,
    item_of_wave,
)
from kdlib.trying.maps import ItemMap, item_maps, probability_table
from kdlib.trying.uploads import LARGEST_MB, ReadPicture, ReadSound, find_onset, read_upload

__all__ = [
    "LARGEST_MB",
    "NEIGHBOURS",
    "Answer",
    "Item",
    "ItemMap",
    "Placed",
    "Prediction",
    "ReadPicture",
    "ReadSound",
    "answer",
    "can_be_drawn",
    "find_onset",
    "item_maps",
    "item_of_drawing",
    "item_of_numbers",
    "item_of_picture",
    "item_of_row",
    "item_of_text",
    "item_of_wave",
    "probability_table",
    "read_upload",
]
