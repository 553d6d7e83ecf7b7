"""In what form a student gets pictures and recordings; teachers see the originals."""

from dataclasses import dataclass

from kdlib.data.intake.limits import IntakeError, Limits

MIN_SIDE, MIN_S, MIN_MELS, MIN_RATE = 8, 0.25, 8, 1_000  # pixels, s, bands, Hz


@dataclass(frozen=True)
class InputFormat:
    """In what form a student gets pictures and recordings. All are upper bounds: nothing is enlarged.

    Attributes:
        size: side of a picture, pixels.
        seconds: length of a spectrogram, s.
        mels: bands of a spectrogram.
        rate: sampling rate of the sound that it shows, Hz.
        exact: (channels, height, width) that pictures are brought to, whatever they have; () goes by `size`.

    Example:
        source = importing.stage(Path("birds.zip"), form=InputFormat(seconds=10, mels=128, rate=32_000))
    """

    size: int = 64
    seconds: float = 4.0
    mels: int = 32  # as of the built-in sounds
    rate: int = 16_000
    exact: tuple[int, ...] = ()

    def check(self, limits: Limits) -> "InputFormat":
        """Return it if it is within the limits.

        Raises:
            IntakeError: it is not; the message says which number, and what would do.
        """
        bounds = (
            ("the side of a picture", self.size, MIN_SIDE, limits.side, "pixels", "SIDE"),
            ("the length of a spectrogram", self.seconds, MIN_S, limits.input_s, "s", "INPUT_S"),
            ("the mel bands of a spectrogram", self.mels, MIN_MELS, limits.mels, "bands", "MELS"),
            ("the sampling rate of a spectrogram", self.rate, MIN_RATE, limits.rate, "Hz", "RATE"),
        )
        for what, got, low, high, unit, variable in bounds:
            if not low <= got <= high:
                raise IntakeError(f"{what} must be from {low:g} to {high:,} {unit} (KDLIB_MAX_{variable}), got {got:,}")
        return self
