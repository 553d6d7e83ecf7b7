"""In which form a student gets a person's own pictures and recordings, chosen before they are read."""

import streamlit as st

from kdlib.data.importing import InputFormat
from kdlib.data.intake import Limits

SIDES = (32, 64, 96, 128, 192, 256)  # pixels
BANDS = (32, 64, 96, 128)
RATES = (8_000, 16_000, 22_050, 32_000, 44_100, 48_000)  # Hz


def choose_format() -> InputFormat:
    """Show the controls, closed, and below them what they say; return it."""
    usual, limits = InputFormat(), Limits.current()
    with st.expander("Size of what the student gets", icon=":material/photo_size_select_large:", key="own-format"):
        columns = st.columns(4)
        with columns[0]:
            size = _choose(
                "Side of pictures, pixels", SIDES, usual.size, limits.side, "own-size", "Nothing is enlarged."
            )
        with columns[1]:
            seconds = st.number_input(
                "Length of sounds, s",
                0.25,
                float(limits.input_s),
                min(usual.seconds, float(limits.input_s)),
                step=1.0,
                key="own-seconds",
                help="The beginning of each recording; shorter ones end in silence.",
            )
        with columns[2]:
            mels = _choose("Mel bands", BANDS, usual.mels, limits.mels, "own-mels", "Rows of a spectrogram.")
        with columns[3]:
            text = "Recordings of a higher rate are resampled."
            rate = _choose("Sampling rate, Hz", RATES, usual.rate, limits.rate, "own-rate", text)
    st.caption(
        f"The student gets pictures of at most {size} × {size} pixels, sounds of at most {seconds:g} s at {rate:,} Hz "
        f"in {mels} mel bands. The originals are kept for teachers."
    )
    return InputFormat(size, seconds, mels, rate)


def _choose(label: str, choices: tuple[int, ...], usual: int, limit: int, key: str, help: str) -> int:
    """Return a choice that is within the limit."""
    allowed = [choice for choice in choices if choice <= limit] or [limit]
    place = allowed.index(usual) if usual in allowed else 0
    return st.selectbox(label, allowed, index=place, key=key, format_func="{:,}".format, help=help) or usual
