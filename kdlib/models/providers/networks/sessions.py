"""ONNX networks out of packages, run by onnxruntime up to an inner tensor."""

from pathlib import Path
from typing import Any

import onnx

from kdlib.models.providers.onnx.running import open_session


def open_cut_session(weights: Path, tensor: str) -> Any:
    """Return onnxruntime's session of an ONNX file whose only output is an inner tensor."""
    model = onnx.load(str(weights), load_external_data=False)
    del model.graph.output[:]
    model.graph.output.append(onnx.helper.make_tensor_value_info(tensor, onnx.TensorProto.FLOAT, None))
    return open_session(model.SerializeToString())
