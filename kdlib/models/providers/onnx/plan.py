"""How items become what a network takes, and its tensor an embedding: what the file says, and what a person says."""

from dataclasses import asdict, dataclass
from typing import Any

from kdlib.data.dataset import AUDIO, IMAGE
from kdlib.data.intake.limits import IntakeError
from kdlib.models.providers.onnx.network import NUMBERS, Dimension, Network, Tensor
from kdlib.registry import lookup

MODALITIES = {"image": IMAGE, "waveform": AUDIO}  # what an input is, in words -> modality
POOLS = ("mean", "cls", "flatten")
FEATURES = ("first", "last")
RATE, SIDE = 16_000, 224  # Hz, pixels: where neither the file nor a person says anything
MAX_SIDE, MAX_RATE, MIN_RATE = 1024, 192_000, 1000
FLOATS = ("float", "float16", "double", "bfloat16")


@dataclass(frozen=True)
class Preset:
    """How a family of networks wants its pictures.

    Attributes:
        mean, std: of each channel, of values in [0, 1].
        margin: the shorter side is made this many times the size before the centre is cut out.
        bicubic: whether it is resized so; otherwise bilinearly.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    margin: float = 1.0
    bicubic: bool = False


PRESETS = {
    "imagenet": Preset((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 256 / 224),
    "clip": Preset((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711), bicubic=True),
    "dino": Preset((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 256 / 224, bicubic=True),
    "none": Preset((0.0,), (1.0,)),
}


@dataclass(frozen=True)
class Wishes:
    """What a person says of a network; what is empty follows from the file.

    Attributes:
        input: "image" or "waveform".
        size: side of the pictures, pixels.
        rate: of the sound, Hz.
        mean, std: as in `Preset`, one or one for each channel.
        preset: a name in `PRESETS`.
        output: name of the tensor that is the embedding.
        pool: one of `POOLS`.
        features: where the features of a tensor of places are: one of `FEATURES`.
    """

    input: str = ""
    size: int = 0
    rate: int = 0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    preset: str = ""
    output: str = ""
    pool: str = ""
    features: str = ""


@dataclass(frozen=True)
class Plan:
    """How a network embeds an item; with the weights it decides the embeddings.

    Attributes:
        modality: of the items.
        layout: of the input: "nchw" or "nhwc"; "ns", "n1s" or "ns1" for waves.
        type: of its numbers: one of `NUMBERS`.
        batch: items that it takes at once; 0 for any number.
        channels, height, width: of its pictures.
        margin, bicubic, mean, std: as in `Preset`.
        rate: of its sound, Hz.
        samples: of its waves; 0 for any number.
        output: the tensor that is the embedding.
        pool: "mean" over places or tokens, "cls" for the first token, "flatten" for all numbers.
        features: whether the features of a tensor of places come "first", after the items, or "last".
    """

    modality: str
    layout: str
    type: str
    batch: int
    output: str
    pool: str
    features: str
    channels: int = 0
    height: int = 0
    width: int = 0
    margin: float = 1.0
    bicubic: bool = False
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    rate: int = 0
    samples: int = 0

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> "Plan":
        """Return the plan that a dict of JSON holds."""
        known = dict(record)
        mean, std = tuple(known.pop("mean")), tuple(known.pop("std"))
        return cls(mean=mean, std=std, **known)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return asdict(self)

    def describe_input(self) -> str:
        """Return what the network gets, in words."""
        if self.modality == AUDIO:
            length = f"pieces of {self.samples / self.rate:.2f} s" if self.samples else "whole recordings"
            return f"{length} at {self.rate:,} Hz"
        return f"{'grey' if self.channels == 1 else 'colour'} pictures of {self.height} × {self.width}"


def needs_size(network: Network) -> bool:
    """Return whether a network takes pictures of any size, so that a person says which."""
    shape = network.input.shape or ()
    return len(shape) == 4 and not all(isinstance(each, int) for each in _sides(shape)[1:])


def guess_input(network: Network) -> str:
    """Return what the shape of a network's input shows: "image", "waveform", or "" for neither."""
    shape = network.input.shape
    if shape is not None and len(shape) == 4:
        return "image"
    if shape is not None and (len(shape) == 2 or (len(shape) == 3 and 1 in shape[1:])):
        return "waveform"
    return ""


def make_plan(network: Network, wishes: Wishes) -> Plan:
    """Return how a network embeds an item: what a person says, else what the file says.

    Raises:
        IntakeError: that does not fit the file; the message says what it holds.

    Example:
        >>> make_plan(network, Wishes(preset="dino", pool="cls")).size
    """
    taken, shape = network.input, network.input.shape
    if taken.type not in NUMBERS:
        kind = taken.type or "something unknown"
        raise IntakeError(
            f"the input {taken.name!r} of {network.file} takes {kind}; a teacher takes numbers: {', '.join(NUMBERS)}"
        )
    if wishes.input:
        lookup(MODALITIES, wishes.input, "input")
    kind = guess_input(network)
    if shape is None or not kind or (wishes.input and wishes.input != kind):
        wanted = {"image": "an image (n, 3, h, w)", "waveform": "a wave (n, samples)"}
        raise IntakeError(
            f"the input {taken.name!r} of {network.file} has the shape {taken.describe_shape()}; "
            f"expected {wanted.get(wishes.input) or ' or '.join(wanted.values())}"
        )
    output = _output(network, wishes.output)
    batch = shape[0] if isinstance(shape[0], int) else 0
    if 0 in shape or batch < 0:
        raise IntakeError(f"the input {taken.name!r} of {network.file} has no room: {taken.describe_shape()}")
    fields = _picture_fields(network, wishes) if kind == "image" else _wave_fields(network, wishes)
    pool, features = _pooling(output, wishes, "first" if fields["layout"] == "nchw" else "last")
    return Plan(
        modality=MODALITIES[kind], type=taken.type, batch=batch, output=output.name, pool=pool, features=features,
        **fields,
    )  # fmt: skip


def _output(network: Network, name: str) -> Tensor:
    if name:
        output = next((each for each in network.tensors if each.name == name), None)
        if output is None:
            raise IntakeError(
                f"{network.file} has no tensor {name!r}; its outputs are "
                f"{', '.join(repr(each.name) for each in network.outputs)}, and --outputs lists the inner ones"
            )
    else:
        output = next((each for each in network.outputs if each.type in FLOATS), network.outputs[0])
    if output.type and output.type not in FLOATS:
        raise IntakeError(f"{output.name!r} of {network.file} is {output.type}; an embedding consists of real numbers")
    if output.shape is not None and 0 in output.shape:
        raise IntakeError(f"{output.name!r} of {network.file} has width 0: {output.describe_shape()}")
    return output


def _pooling(output: Tensor, wishes: Wishes, default: str) -> tuple[str, str]:
    rank = len(output.shape) if output.shape is not None else 0
    for given, choices, what in ((wishes.pool, POOLS, "pool"), (wishes.features, FEATURES, "place of the features")):
        if given:
            lookup(dict.fromkeys(choices), given, what)
    if wishes.pool == "cls" and rank and rank != 3:
        raise IntakeError(
            f"{output.name!r} has the shape {output.describe_shape()}; the pool cls takes the first of several tokens, "
            "(n, tokens, width); choose mean or flatten"
        )
    return wishes.pool or "mean", wishes.features or ("last" if rank == 3 else default)


def _sides(shape: tuple[Dimension, ...]) -> tuple[str, Dimension, Dimension, Dimension]:
    """Return layout, channels, height and width of a shape of four axes."""
    if shape[3] in (1, 3) and shape[1] not in (1, 3):
        return "nhwc", shape[3], shape[1], shape[2]
    return "nchw", shape[1], shape[2], shape[3]


def _picture_fields(network: Network, wishes: Wishes) -> dict[str, Any]:
    """Return the fields of a plan for pictures."""
    taken, shape = network.input, network.input.shape or ()
    layout, channels, height, width = _sides(shape)
    channels = channels if isinstance(channels, int) else 3
    if channels not in (1, 3):
        raise IntakeError(
            f"the input {taken.name!r} of {network.file} has {channels} channels ({taken.describe_shape()}); "
            "a picture has 1 or 3"
        )
    sides = []
    for each in (height, width):
        if isinstance(each, int) and wishes.size and each != wishes.size:
            raise IntakeError(f"{network.file} takes pictures of {height} × {width} only, got size {wishes.size}")
        sides.append(each if isinstance(each, int) else wishes.size or SIDE)
    if min(sides) < 1 or max(sides) > MAX_SIDE:
        raise IntakeError(f"pictures have sides from 1 to {MAX_SIDE} pixels, got {sides[0]} × {sides[1]}")
    name = wishes.preset or ("imagenet" if channels == 3 and taken.type != "uint8" else "none")
    preset = lookup(PRESETS, name, "preset")
    mean, std = wishes.mean or preset.mean, wishes.std or preset.std
    for what, values in (("mean", mean), ("std", std)):
        if len(values) not in (1, channels):
            raise IntakeError(f"the {what} has {len(values)} numbers, expected 1 or {channels}")
    if min(std) <= 0:
        raise IntakeError(f"the std must be above 0, got {min(std):g}")
    return {
        "layout": layout, "channels": channels, "height": sides[0], "width": sides[1],
        "margin": preset.margin, "bicubic": preset.bicubic, "mean": mean, "std": std,
    }  # fmt: skip


def _wave_fields(network: Network, wishes: Wishes) -> dict[str, Any]:
    """Return the fields of a plan for waves."""
    shape = list(network.input.shape or ())
    layout = "ns" if len(shape) == 2 else "n1s" if shape[1] == 1 else "ns1"
    samples = shape[2] if layout == "n1s" else shape[1]
    if network.input.type == "uint8":
        raise IntakeError(f"{network.file} takes whole numbers; a wave consists of numbers from -1 to 1")
    rate = wishes.rate or RATE
    if not MIN_RATE <= rate <= MAX_RATE:
        raise IntakeError(f"the rate lies between {MIN_RATE:,} and {MAX_RATE:,} Hz, got {rate:,}")
    return {"layout": layout, "rate": rate, "samples": samples if isinstance(samples, int) else 0}
