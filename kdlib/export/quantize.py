"""A quantised graph: weights and activations in 8 bits, calibrated on training items; the preprocessing stays exact."""

import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from kdlib.analysis.geometry import sample_rows
from kdlib.export.inputs import graph_inputs
from kdlib.export.source import ExportSource

CALIBRATION_ROWS = 200
QUANTISED = ("Conv", "MatMul", "Gemm")  # where the multiplications are
CHUNK = 20  # items at once


def quantize(source: ExportSource, model: Path, target: Path) -> None:
    """Write the graph in 8 bits: onnxruntime's static quantisation with QDQ nodes, calibrated on labelled rows.

    Args:
        source: whose labelled training rows are used.
        model: the float graph.
        target: of the quantised one.
    """
    from onnxruntime import quantization

    labelled = source.data.labelled(source.result.spec.labels, source.result.spec.subset)
    inputs = graph_inputs(source.data, source.form, labelled[sample_rows(len(labelled), CALIBRATION_ROWS)])

    class Reader(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self._parts: Iterator[np.ndarray] = iter(np.array_split(inputs, max(1, len(inputs) // CHUNK)))

        def get_next(self) -> dict[str, np.ndarray] | None:  # pyright: ignore[reportIncompatibleMethodOverride]
            return next(({source.form.name: part} for part in self._parts), None)

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        prepared = Path(folder) / "prepared.onnx"
        quantization.quant_pre_process(str(model), str(prepared), skip_symbolic_shape=True)
        quantization.quantize_static(
            str(prepared),
            str(target),
            Reader(),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=list(QUANTISED),
            nodes_to_exclude=_preprocessing_nodes(prepared),
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )


def _preprocessing_nodes(model: Path) -> list[str]:
    """Return the names of the nodes that make a spectrogram, up to its logarithm: mel filters are no weights."""
    import onnx

    nodes = onnx.load(model).graph.node
    kinds = [node.op_type for node in nodes]
    return [node.name for node in nodes[: kinds.index("Log") + 1]] if "STFT" in kinds else []
