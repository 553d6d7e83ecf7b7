"""Items that can be heard: players and spectrograms."""

from collections.abc import Sequence

import streamlit as st

from kdlib.analysis import frames
from kdlib.analysis.figures.pictures import plot_spectrogram
from kdlib.analysis.items import describe_item, rows_of_class
from kdlib.data import spectrograms
from kdlib.data.datasets import Dataset, to_float
from pages import show
from pages.text import escape


def show_sound(data: Dataset, number: int) -> None:
    """Show an item that can be heard: a player, its spectrogram, what is known of it.

    Args:
        data: a dataset with `listen`.
        number: another number, another item.
    """
    left, right = st.columns(2)
    classes, splits = [str(name) for name in data.classes], [split for split in data.splits if split != "train"]
    for key, options in (("heard", classes), ("from", splits)):
        if st.session_state.get(key, options[0]) not in options:  # chosen for another dataset
            del st.session_state[key]
    label = left.selectbox("Listen to", classes, key="heard", help="A class of sounds.", bind="query-params")
    split = right.selectbox(
        "From",
        splits,
        index=splits.index("test"),
        key="from",
        format_func=frames.split_name,
        help="Which test set.",
        bind="query-params",
    )
    rows = rows_of_class(data, classes.index(label), split)
    if data.listen is None or not len(rows):
        st.info("No item of this part is known to be of this class.", icon=":material/music_off:")
        return
    row = int(rows[number % len(rows)])
    rate, samples = data.listen(row)
    st.audio(spectrograms.wav(rate, samples), format="audio/wav")
    # What a student gets may be shorter than the sound, or end in silence.
    picture = to_float(data.inputs[row]).mean(0)
    seconds = picture.shape[1] * spectrograms.hop(data.rate) / data.rate
    figure = plot_spectrogram(picture, spectrograms.frequencies(data.rate, len(picture)), seconds)
    show.figure(figure, "spectrogram", "Spectrogram of the sound: time to the right, frequency upwards")
    lines = [f"{escape(k)}: **{escape(value)}**" for k, value in describe_item(data, row).items()]
    st.caption("  \n".join(lines))


def show_players(data: Dataset, rows: Sequence[int]) -> None:
    """Show a player for each of some items, nothing for a dataset without sounds."""
    if data.listen is None:
        return
    for cell, row in zip(show.grid(len(rows), 4), rows, strict=True):
        rate, samples = data.listen(row)
        with cell:
            st.caption(escape(data.ids[row] if len(data.ids) else row))
            st.audio(spectrograms.wav(rate, samples), format="audio/wav")
