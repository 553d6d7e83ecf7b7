"""Reading an ONNX file in the child process: check it, say what is in it, cut it at the tensor that is wanted.

`checking` holds what is refused. Nothing is computed here; `trial` is the first that runs a network.
"""

import hashlib
import logging
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from kdlib.data.intake.kinds import HEAD_BYTES, sniff
from kdlib.data.intake.limits import MB, TEXT, IntakeError, Limits
from kdlib.models.providers.onnx.checking import check_model
from kdlib.models.providers.onnx.network import Dimension, Network, Tensor

MAX_TENSORS = 5000  # that a list shows
MAX_INLINE = 1 << 30  # bytes of weights from which they go into a file beside the model
DATA_FILE = "model.data"
log = logging.getLogger("kdlib.models.onnx")


def read_network(path: Path, name: str, limits: Limits) -> Network:
    """Return what is in an ONNX file.

    Args:
        path: of the file; files that it names lie beside it.
        name: shown in messages.
        limits: that it must keep.

    Raises:
        IntakeError: it is refused.
    """
    model, beside = load_checked(path, name, limits)
    graph = model.graph
    made = {output: node.op_type for node in graph.node for output in node.output if output}
    inferred = _infer_shapes(model)
    outputs = {each.name: each for each in graph.output}
    values = {each.name: each for each in (*inferred.value_info, *inferred.output)} | outputs
    names = [*outputs, *(each for each in reversed(made) if each not in outputs)]
    tensors = [_describe(each, values.get(each), made.get(each, ""), each in outputs) for each in names]
    needed = _needed_inputs(graph, name)
    weights = (*graph.initializer, *(each.values for each in graph.sparse_initializer))
    return Network(
        file=name,
        hash=_hash([path, *beside]),
        bytes=sum(each.stat().st_size for each in (path, *beside)),
        parameters=sum(math.prod(each.dims) for each in weights),
        operations=len(graph.node),
        input=_describe(needed.name, needed, "", False),
        tensors=tuple(each for each in tensors if len(each.name) <= TEXT)[:MAX_TENSORS],
    )


def load_checked(path: Path, name: str, limits: Limits) -> tuple[Any, list[Path]]:
    """Return the model in a file, without weights that lie beside it, and the files that hold these.

    Raises:
        IntakeError: it is refused.
    """
    import onnx
    from google.protobuf.message import DecodeError

    _check_file(path, name, limits)
    try:
        model = onnx.load_model_from_string(path.read_bytes())
        return model, check_model(model, name, path.parent, limits)
    except (DecodeError, UnicodeDecodeError) as error:
        raise IntakeError(f"{name} is no ONNX model, or is damaged or cut off") from error


def _check_file(path: Path, name: str, limits: Limits) -> None:
    """Raise an `IntakeError` if a file is too large, or something else by its first bytes."""
    size = path.stat().st_size
    if size > limits.model_mb * MB:
        raise IntakeError(
            f"{name} has {size / MB:,.0f} MB, at most {limits.model_mb:,} MB can be read (KDLIB_MAX_MODEL_MB)"
        )
    with path.open("rb") as stream:
        kind = sniff(stream.read(HEAD_BYTES))
    if kind == "empty":
        raise IntakeError(f"{name} is empty (0 bytes)")
    if kind in ("pickle", "zip"):
        what = "a pickle" if kind == "pickle" else "a zip, as PyTorch's .pt files are"
        raise IntakeError(f"{name} is {what}: pickles can run code and are never opened; export the network to ONNX")
    if kind != "unknown":
        raise IntakeError(f"{name} is {'text' if kind == 'csv' else f'a {kind}'}; expected an ONNX model")


def _hash(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    paths = list(paths)
    for path in paths:
        with path.open("rb") as stream:
            of_file = hashlib.file_digest(stream, "sha256")
        if len(paths) == 1:
            return of_file.hexdigest()  # as sha256sum prints it
        digest.update(of_file.digest())
    return digest.hexdigest()


def _infer_shapes(model: Any) -> Any:
    """Return the graph with the shapes of its inner tensors, as far as they follow from those of its inputs."""
    import onnx

    try:
        return onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    except (onnx.shape_inference.InferenceError, ValueError, RuntimeError) as error:
        log.warning("no shapes of inner tensors: %s", error)
        return model.graph


def _needed_inputs(graph: Any, name: str) -> Any:
    """Return the one input that has no default value.

    Raises:
        IntakeError: there are more, or none.
    """
    given = {each.name for each in graph.initializer}
    needed = [each for each in graph.input if each.name not in given]
    if len(needed) != 1:
        listed = ", ".join(repr(each.name[:TEXT]) for each in needed[:8])
        inputs = f"{len(needed)} inputs ({listed})" if needed else "no input"
        raise IntakeError(f"{name} needs {inputs}; a teacher gets one: an image or a waveform")
    return needed[0]


def _describe(name: str, value: Any, operation: str, is_output: bool) -> Tensor:
    """Return what a `ValueInfoProto` says of a tensor; None says nothing."""
    import onnx

    kind = None if value is None else value.type.WhichOneof("value")
    if value is None or kind is None:
        return Tensor(name, "", None, operation, is_output)
    if kind != "tensor_type":
        return Tensor(name, kind.removesuffix("_type"), None, operation, is_output)
    tensor = value.type.tensor_type
    number = tensor.elem_type
    known = number in onnx.TensorProto.DataType.values()
    type_name = onnx.TensorProto.DataType.Name(number).lower() if known else ""
    shape = tuple(map(_dimension, tensor.shape.dim)) if tensor.HasField("shape") else None
    return Tensor(name, type_name, shape, operation, is_output)


def _dimension(dimension: Any) -> Dimension:
    if dimension.HasField("dim_value"):
        return int(dimension.dim_value)
    return dimension.dim_param[:TEXT]


def write_cut(path: Path, name: str, output: str, target: Path, limits: Limits) -> None:
    """Write the part of a model that computes one tensor, checked, with all its weights.

    Args:
        path: of the model.
        name: shown in messages.
        output: the tensor that it shall give, alone.
        target: of the part; weights of more than `MAX_INLINE` bytes go into `DATA_FILE` beside it.
        limits: that the model must keep.

    Raises:
        IntakeError: the model is refused, or has no such tensor.
    """
    import onnx

    model, beside = load_checked(path, name, limits)
    cut(model, output, name)
    if beside:
        onnx.load_external_data_for_model(model, str(path.parent))
    large = path.stat().st_size + sum(each.stat().st_size for each in beside) > MAX_INLINE
    onnx.save_model(model, target, save_as_external_data=large, location=DATA_FILE)


def cut(model: Any, output: str, name: str) -> None:
    """Leave in a model only what one tensor needs, which becomes its output.

    Raises:
        IntakeError: the model has no such tensor.
    """
    import onnx

    graph = model.graph
    value = onnx.ValueInfoProto(name=output)
    for each in (*_infer_shapes(model).value_info, *graph.output):
        if each.name == output:
            value.CopyFrom(each)
    needed, kept = {output}, set()
    for number, node in reversed(list(enumerate(graph.node))):
        if needed & set(node.output):
            kept.add(number)
            needed |= _used(node)
    if not kept:
        raise IntakeError(f"{name} has no tensor {output[:TEXT]!r}; --outputs lists them")
    inputs = _needed_inputs(graph, name)
    if inputs.name not in needed:
        raise IntakeError(f"{output[:TEXT]!r} of {name} does not depend on its input: it is the same for every item")
    _keep(graph.node, lambda number, _: number in kept)
    _keep(graph.initializer, lambda _, each: each.name in needed)
    _keep(graph.sparse_initializer, lambda _, each: each.values.name in needed)
    _keep(graph.input, lambda _, each: each.name in needed)
    for unused in (graph.output, graph.value_info, model.metadata_props):
        del unused[:]
    graph.output.append(value)


def _used(node: Any) -> set[str]:
    """Return every name that a node and the graphs inside it read."""
    names = set(node.input)
    for attribute in node.attribute:
        for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
            names |= {each.name for each in inner.output}
            for each in inner.node:
                names |= _used(each)
    return names


def _keep(repeated: Any, is_wanted: Callable[[int, Any], bool]) -> None:
    """Remove from a repeated field what is not wanted, in place: weights are not copied."""
    for number in reversed(range(len(repeated))):
        if not is_wanted(number, repeated[number]):
            del repeated[number]
