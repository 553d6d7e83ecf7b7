"""What is known of an ONNX file once it was checked: its inputs, its tensors, its size. Plain values, JSON between
the process that reads it and the one that asked."""

from dataclasses import asdict, dataclass
from typing import Any

Dimension = int | str  # a length, or a name for one that may differ; "" where nothing is known
NUMBERS = ("float", "float16", "double", "uint8")  # types of numbers that an input may take


@dataclass(frozen=True)
class Tensor:
    """A tensor of a graph.

    Attributes:
        name: of the tensor.
        type: of its numbers, such as "float"; "" where it is not known, "sequence" or the like for no tensor at all.
        shape: its dimensions; None where not even their number is known.
        operation: which makes it; "" for an input.
        is_output: whether the graph gives it by itself.
    """

    name: str
    type: str
    shape: tuple[Dimension, ...] | None
    operation: str = ""
    is_output: bool = False

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> "Tensor":
        """Return the tensor that a dict of JSON holds."""
        known = dict(record)
        shape = known.pop("shape")
        return cls(shape=None if shape is None else tuple(shape), **known)

    def describe_shape(self) -> str:
        """Return the shape in words: "n × 3 × 224 × 224"; an open axis that is not the items' is "?"."""
        if self.shape is None:
            return "not known"
        axes = [str(each) if isinstance(each, int) else "?" for each in self.shape]
        if axes[:1] == ["?"]:
            axes[0] = "n"
        return " × ".join(axes) or "one number"


@dataclass(frozen=True)
class Network:
    """What is known of an ONNX file.

    Attributes:
        file: its name.
        hash: SHA-256 of its bytes and of those of the files beside it that it names.
        bytes: of all these.
        parameters: numbers in its weights.
        operations: nodes of its graph.
        input: the only tensor that it needs.
        tensors: what it gives, the outputs of the graph first and last what is computed first.
    """

    file: str
    hash: str
    bytes: int
    parameters: int
    operations: int
    input: Tensor
    tensors: tuple[Tensor, ...]

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> "Network":
        """Return the network that a dict of JSON holds."""
        known = dict(record)
        tensors = tuple(Tensor.from_dict(each) for each in known.pop("tensors"))
        return cls(input=Tensor.from_dict(known.pop("input")), tensors=tensors, **known)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return asdict(self)

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """Return the tensors that the graph gives by itself."""
        return tuple(each for each in self.tensors if each.is_output)
