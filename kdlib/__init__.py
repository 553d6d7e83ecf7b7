"""KD Lab's library."""

from kdlib.spec import RunSpec

__all__ = ["RunSpec"]
