"""What is refused of an ONNX model before anything runs it; in the child process only.

Refused: operations that are not onnxruntime's own, graphs whose order does not hold, weights whose shapes promise more
than there is or than fits in memory, files outside the model's own folder.
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kdlib.data.intake.limits import MB, TEXT, IntakeError, Limits

ONNX_DOMAINS = {"": "", "ai.onnx": "", "ai.onnx.ml": "ai.onnx.ml"}  # domains that ONNX itself defines
BUILT_IN_DOMAINS = {*ONNX_DOMAINS, "com.microsoft"}  # whose operations onnxruntime runs without any library
MAX_OPERATIONS = 200_000  # once functions are unfolded
MAX_NESTING = 20  # graphs inside graphs
MAX_TENSOR_BYTES = 4 << 30  # of one tensor in memory
NUMBERS_PER_BYTE = {"UINT4": 2, "INT4": 2, "FLOAT4E2M1": 2, "UINT2": 4, "INT2": 4}  # types that share bytes


def check_model(model: Any, name: str, folder: Path, limits: Limits) -> list[Path]:
    """Return the files beside the model that hold weights, once everything about the model was checked.

    Args:
        model: an `onnx.ModelProto`.
        name: shown in messages.
        folder: the model's own.
        limits: that it must keep.

    Raises:
        IntakeError: it is refused.
    """
    if model.ir_version < 1 or not model.opset_import or not model.HasField("graph"):
        raise IntakeError(f"{name} is no ONNX model: it has no graph, or does not say its version")
    if not model.graph.node:
        raise IntakeError(f"{name} has a graph without operations; expected a network")
    functions = {(each.domain, each.name): each for each in model.functions}
    _count_operations(model.graph.node, functions, name)
    _check_order(model.graph, set(), name)
    tensors = [each for nodes in (model.graph, *model.functions) for each in iterate_tensors(nodes)]
    for each in tensors:
        _check_tensor(each, name)
    return _external_files(tensors, name, folder, limits)


def _inner_graphs(node: Any) -> Iterator[Any]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _count_operations(
    nodes: Any,
    functions: dict[tuple[str, str], Any],
    name: str,
    sizes: dict[tuple[str, str], int] | None = None,
    depth: int = 0,
    inside: tuple = (),
) -> int:
    """Return how many operations some nodes are once functions are unfolded; check where each comes from."""
    import onnx

    sizes, count = {} if sizes is None else sizes, 0
    if depth > MAX_NESTING:
        raise IntakeError(f"{name} has more than {MAX_NESTING} graphs inside one another")
    for node in nodes:
        key, count = (node.domain, node.op_type), count + 1
        if key in functions:
            if key in inside:
                raise IntakeError(f"the function {node.op_type[:TEXT]!r} of {name} calls itself")
            if key not in sizes:
                sizes[key] = _count_operations(functions[key].node, functions, name, sizes, depth + 1, (*inside, key))
            count += sizes[key]
        elif node.domain not in BUILT_IN_DOMAINS:
            raise IntakeError(
                f"{name} needs the operation {node.op_type[:TEXT]!r} of {node.domain[:TEXT]!r}, which is code from "
                "elsewhere and is never loaded; export the network with ONNX's own operations"
            )
        elif node.domain in ONNX_DOMAINS and not onnx.defs.has(node.op_type, ONNX_DOMAINS[node.domain]):
            raise IntakeError(f"{name} uses the operation {node.op_type[:TEXT]!r}, which ONNX does not have")
        for graph in _inner_graphs(node):
            count += _count_operations(graph.node, functions, name, sizes, depth + 1, inside)
        if count > MAX_OPERATIONS:
            raise IntakeError(f"{name} has more than {MAX_OPERATIONS:,} operations")
    return count


def _check_order(graph: Any, outside: set[str], name: str) -> None:
    """Raise an `IntakeError` unless every tensor is made once, and before it is used."""
    known = outside | {each.name for each in (*graph.input, *graph.initializer)}
    known |= {each.values.name for each in graph.sparse_initializer}
    for node in graph.node:
        missing = next((each for each in node.input if each and each not in known), "")
        if missing:
            raise IntakeError(
                f"an operation {node.op_type[:TEXT]!r} of {name} uses {missing[:TEXT]!r} before anything makes it: the "
                "graph is cyclic, out of order or incomplete"
            )
        for inner in _inner_graphs(node):
            _check_order(inner, known, name)
        made = [each for each in node.output if each]
        twice = next((each for each in made if each in known), "")
        if twice:
            raise IntakeError(f"the tensor {twice[:TEXT]!r} of {name} is made twice")
        known.update(made)
    missing = next((each.name for each in graph.output if each.name not in known), None)
    if missing is not None:
        raise IntakeError(f"nothing in {name} makes its output {missing[:TEXT]!r}")


def iterate_tensors(graph: Any) -> Iterator[Any]:
    """Yield every constant tensor of a graph or function, those of inner graphs included."""
    yield from getattr(graph, "initializer", ())
    for sparse in getattr(graph, "sparse_initializer", ()):
        yield from _parts(sparse)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for sparse in (
                *([attribute.sparse_tensor] if attribute.HasField("sparse_tensor") else []),
                *attribute.sparse_tensors,
            ):
                yield from _parts(sparse)
        for inner in _inner_graphs(node):
            yield from iterate_tensors(inner)


def _parts(sparse: Any) -> Iterator[Any]:
    if min(sparse.dims, default=0) < 0 or math.prod(sparse.dims) * 4 > MAX_TENSOR_BYTES:
        raise IntakeError(
            f"the sparse tensor {sparse.values.name[:TEXT]!r} would take more than {MAX_TENSOR_BYTES >> 30} GB"
        )
    yield sparse.values
    yield sparse.indices


def _bytes(tensor: Any, name: str) -> int:
    """Return the bytes of a constant tensor by its shape and type.

    Raises:
        IntakeError: of no known type, or too large.
    """
    import onnx

    shown, numbers = repr(tensor.name[:TEXT]), math.prod(tensor.dims)
    if min(tensor.dims, default=0) < 0:
        raise IntakeError(f"the weights {shown} of {name} have a negative dimension")
    try:
        item = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
        shared = NUMBERS_PER_BYTE.get(onnx.TensorProto.DataType.Name(tensor.data_type), 1)
    except (KeyError, ValueError) as error:
        raise IntakeError(f"the weights {shown} of {name} are of an unknown type") from error
    if numbers * item > MAX_TENSOR_BYTES:
        raise IntakeError(
            f"the weights {shown} of {name} would take {numbers * item / 2**30:,.0f} GB, "
            f"at most {MAX_TENSOR_BYTES >> 30} GB can be loaded"
        )
    return -(-numbers * item // shared)


def _check_tensor(tensor: Any, name: str) -> None:
    """Raise an `IntakeError` if the shape of a constant tensor does not fit what it holds, or memory."""
    import onnx

    size = _bytes(tensor, name)
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        return
    fields = (tensor.float_data, tensor.int32_data, tensor.int64_data, tensor.double_data, tensor.uint64_data)
    numbers, stored = math.prod(tensor.dims), sum(map(len, fields)) + len(tensor.string_data)
    there = f"{len(tensor.raw_data):,} bytes" if tensor.HasField("raw_data") else f"{stored:,}"
    fits = len(tensor.raw_data) == size if tensor.HasField("raw_data") else numbers <= 8 * stored  # some share a field
    if not fits:
        raise IntakeError(
            f"the weights {tensor.name[:TEXT]!r} of {name} are {numbers:,} numbers by their shape, but {there} are "
            "there: the file is damaged"
        )


def _external_files(tensors: list[Any], name: str, folder: Path, limits: Limits) -> list[Path]:
    """Return the files that tensors name, once each was checked to lie in the folder."""
    import onnx

    files: dict[str, Path] = {}
    for tensor in tensors:
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        entries = {each.key: each.value for each in tensor.external_data}
        location = entries.get("location", "")
        if location not in files:
            files[location] = _check_location(location, name, folder)
        _check_extent(tensor, entries, files[location].stat().st_size, name)
    total = sum(path.stat().st_size for path in files.values())
    if total > limits.model_mb * MB:
        raise IntakeError(
            f"the files beside {name} have {total / MB:,.0f} MB, at most {limits.model_mb:,} MB can be read "
            "(KDLIB_MAX_MODEL_MB)"
        )
    return list(files.values())


def _check_location(location: str, name: str, folder: Path) -> Path:
    shown, parts = repr(location[:TEXT]), location.replace("\\", "/").split("/")
    if not location or "\0" in location or location.startswith(("/", "\\")) or ":" in location or ".." in parts:
        raise IntakeError(f"{name} wants to read {shown}, which lies outside its own folder; that is never opened")
    path = folder / location
    if any(each.is_symlink() for each in (path, *path.parents) if each != folder and folder in each.parents):
        raise IntakeError(f"{name} wants to read {shown}, which is a symbolic link; put the file itself there")
    if os.path.realpath(path) != os.path.join(os.path.realpath(folder), os.path.normpath(location)):
        raise IntakeError(f"{name} wants to read {shown}, which lies outside its own folder; that is never opened")
    if not path.is_file():
        raise IntakeError(f"{name} keeps weights in a file of its own, {shown}, which is not beside it; add it too")
    return path


def _check_extent(tensor: Any, entries: dict[str, str], available: int, name: str) -> None:
    """Raise an `IntakeError` if a tensor is not within the file that is to hold it."""
    shown = repr(tensor.name[:TEXT])
    size = _bytes(tensor, name)
    start, length = entries.get("offset", "0"), entries.get("length", str(size))
    if not (start.isdecimal() and length.isdecimal()):
        raise IntakeError(f"the weights {shown} of {name} have a place in their file that is no number")
    if int(length) != size or int(start) + int(length) > available:
        raise IntakeError(
            f"the weights {shown} of {name} need {size:,} bytes from byte {int(start):,} on, but their file has "
            f"{available:,}: it is damaged, or another one"
        )
