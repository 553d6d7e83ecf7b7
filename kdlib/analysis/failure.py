"""What is stored in place of an answer that could not be computed."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Failure:
    """Why there is no answer.

    Attributes:
        reason: in one line.
    """

    reason: str

    @classmethod
    def of(cls, error: BaseException) -> "Failure":
        """Return the failure of an exception."""
        return cls(" ".join(str(error).split()) or type(error).__name__)

    def to_dict(self) -> dict[str, str]:
        """Return what JSON can hold."""
        return {"error": self.reason}
