"""ONNX networks out of packages, run by onnxruntime up to an inner tensor."""

import os
from pathlib import Path

import onnx
import onnxruntime


def open_session(weights: Path, tensor: str) -> onnxruntime.InferenceSession:
    """Return a session of an ONNX file whose only output is an inner tensor.

    It computes on all cores, unless `KDLIB_WORKER_THREADS` says otherwise.
    """
    model = onnx.load(str(weights), load_external_data=False)
    del model.graph.output[:]
    model.graph.output.append(onnx.helper.make_tensor_value_info(tensor, onnx.TensorProto.FLOAT, None))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(os.environ.get("KDLIB_WORKER_THREADS") or len(os.sched_getaffinity(0)))
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = options.enable_mem_pattern = False  # memory stays flat whatever sizes come
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
