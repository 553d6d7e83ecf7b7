"""A student as a graph that runs anywhere: pixels, waves or numbers in, probabilities, logits and features out.

`tests/test_export.py` compares the graph of every student with torch.
"""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kdlib.data.spectrograms import QUIETEST, hop, mel_filters, window_samples
from kdlib.export.inputs import PIXELS, WAVE, InputSpec
from kdlib.models.students import Student

OUTPUTS = ("probabilities", "logits", "features")
OPSET = 20
SMALLEST = 1e-7  # probability, so that the logit of a mean of probabilities is finite


class LogMel(nn.Module):
    """`kdlib.data.spectrograms.log_mel` as a network: waves (n, samples) -> (n, 1, mels, frames).

    Args:
        rate: of the waves, Hz.
        mels: bands.
        clipped: whether what lies outside [0, 1] is brought there, as it is of imported recordings.
    """

    window: Tensor
    filters: Tensor

    def __init__(self, rate: int, mels: int, clipped: bool) -> None:
        super().__init__()
        filters, wide = mel_filters(rate, mels), window_samples(rate)
        self.step, self.bins, self.clipped = hop(rate), 2 * (len(filters) - 1), clipped
        self.before = (wide - self.step) // 2
        self.after = wide - self.step - self.before + self.bins - wide
        window = np.hanning(wide).astype(np.float32)
        # log10(1 + p / floor) is log10(p + floor) less that of the floor: no tiny constant that an optimizer of graphs
        # takes for zero.
        scale = np.float32(10 ** (-QUIETEST / 10)) / np.square(window.sum() / 2)
        self.register_buffer("window", torch.from_numpy(np.pad(window, (0, self.bins - wide))))
        self.register_buffer("filters", torch.from_numpy(np.ascontiguousarray((filters * scale).T)))

    def forward(self, waves: Tensor) -> Tensor:
        padded = nn.functional.pad(waves, (self.before, self.after))
        spectra = torch.stft(
            padded, self.bins, self.step, self.bins, self.window, center=False, return_complex=True
        )  # (n, bins, frames)
        power = torch.view_as_real(spectra).square().sum(-1)
        mel = (10 / -QUIETEST) * torch.log10(1 + self.filters @ power)
        return (mel.clamp(0, 1) if self.clipped else mel)[:, None]


class Scale(nn.Module):
    """Bytes as numbers in [0, 1]."""

    def forward(self, pixels: Tensor) -> Tensor:
        return pixels.to(torch.float32) / 255


def preprocessing(form: InputSpec) -> nn.Module:
    """Return what turns a model's input into what its student sees.

    Example:
        >>> preprocessing(InputSpec("pixels", (1, 8, 8)))(torch.zeros(2, 1, 8, 8, dtype=torch.uint8)).dtype
        torch.float32
    """
    if form.kind == PIXELS:
        return Scale()
    return LogMel(form.rate, form.student_shape[1], form.clipped) if form.kind == WAVE else nn.Identity()


class PortableStudent(nn.Module):
    """One or several students with their preprocessing: inputs -> probabilities (n, k), logits (n, k), features.

    Several average their probabilities; their features stand side by side, (n, m · d_s).

    Args:
        members: of one architecture.
        form: of the input.
        multi_label: whether every class has a probability of its own.
    """

    def __init__(self, members: Sequence[Student], form: InputSpec, multi_label: bool) -> None:
        super().__init__()
        self.prepare = preprocessing(form)
        self.bodies = nn.ModuleList(member.body for member in members)
        self.heads = nn.ModuleList(member.head for member in members)
        self.multi_label = multi_label

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        prepared = self.prepare(inputs)
        features = [body(prepared) for body in self.bodies]
        logits = [head(each) for head, each in zip(self.heads, features, strict=True)]
        probabilities = [each.sigmoid() if self.multi_label else each.softmax(-1) for each in logits]
        if len(logits) == 1:
            return probabilities[0], logits[0], features[0]
        mean = torch.stack(probabilities).mean(0)
        bounded = mean.clamp(SMALLEST, 1 - SMALLEST)
        combined = bounded.log() - (1 - bounded).log() if self.multi_label else bounded.log()
        return mean, combined, torch.cat(features, dim=-1)


def to_onnx(network: nn.Module, example: Tensor, input_name: str, outputs: Sequence[str]) -> Any:
    """Return a network as an `onnx.ModelProto` whose first axis is free.

    Args:
        network: in any mode; it is put into that of evaluation.
        example: an input (2, ...): torch takes a batch of one for a constant.
        input_name: of the input.
        outputs: names of the outputs.
    """
    with warnings.catch_warnings():
        # torch 2.13 copies its own descriptions of trees in a way that it has deprecated itself.
        warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)` is deprecated", FutureWarning)
        program = torch.onnx.export(
            network.eval(),
            (example,),
            dynamo=True,
            verbose=False,
            input_names=[input_name],
            output_names=list(outputs),
            dynamic_shapes=({0: torch.export.Dim("n")},),
            opset_version=OPSET,
        )
    if program is None:
        raise RuntimeError("torch made no graph")
    return _anonymous(program.model_proto)


def _anonymous(model: Any) -> Any:
    """Return a model without what the exporter notes beside the graph: lines of code, paths of this machine."""
    for part in (model, model.graph, *model.graph.node, *model.graph.input, *model.graph.output, *model.functions):
        del part.metadata_props[:]
        part.doc_string = ""
    for part in (*model.graph.initializer, *model.graph.value_info):
        del part.metadata_props[:]
    for node in (node for function in model.functions for node in function.node):
        del node.metadata_props[:]
    model.producer_name, model.producer_version = "kdlib", ""
    return model


def export_graph(network: PortableStudent, form: InputSpec) -> Any:
    """Return students as an `onnx.ModelProto` with the outputs `OUTPUTS`.

    Example:
        >>> form = InputSpec("pixels", (1, 16, 16))
        >>> students = [build_student("cnn", (1, 16, 16), width=8, classes=10)]
        >>> export_graph(PortableStudent(students, form, multi_label=False), form).graph.output[0].name
        'probabilities'
    """
    example = torch.zeros(2, *form.shape, dtype=torch.uint8 if form.kind == PIXELS else torch.float32)
    return to_onnx(network, example, form.name, OUTPUTS)
