"""Models for the gate of ONNX files: small good ones, and those that must be refused.

`EVIL`: name -> (name of the file, what the refusal must say, limits or None, how to write it).
"""

import pickle
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from kdlib.data.intake import Limits
from tests.file_writers import Planted, Write, png, torch_file

Shape = Sequence[int | str]


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: dict[str, Shape],
    outputs: dict[str, Shape],
    weights: dict[str, np.ndarray] | None = None,
    **more: object,
) -> onnx.ModelProto:
    def values(shapes: dict[str, Shape]) -> list[onnx.ValueInfoProto]:
        return [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]

    initializers = [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()]
    graph = helper.make_graph(nodes, "graph", values(inputs), values(outputs), initializers)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1), helper.make_opsetid("f", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9, **more)


def image_model(side: int | str = 32, batch: int | str = "n", channels: int = 3, nhwc: bool = False) -> onnx.ModelProto:
    """A convolution, its mean over places ("features", 8 wide), a classifier ("logits", 5 wide)."""
    rng = np.random.default_rng(0)
    weights = {
        "kernel": rng.normal(0, 0.2, (8, channels, 4, 4)).astype(np.float32),
        "matrix": rng.normal(size=(8, 5)).astype(np.float32),
    }
    first = [helper.make_node("Transpose", ["image"], ["turned"], perm=[0, 3, 1, 2])] if nhwc else []
    nodes = [
        *first,
        helper.make_node("Conv", ["turned" if nhwc else "image", "kernel"], ["map"], strides=[4, 4]),
        helper.make_node("Relu", ["map"], ["places"]),
        helper.make_node("GlobalAveragePool", ["places"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["features"]),
        helper.make_node("MatMul", ["features", "matrix"], ["logits"]),
    ]
    shape = [batch, side, side, channels] if nhwc else [batch, channels, side, side]
    return model(nodes, {"image": shape}, {"logits": [batch, 5]}, weights)


def wave_model(samples: int | str = "samples", axes: str = "ns") -> onnx.ModelProto:
    """Means of the wave and of its square, side by side: two numbers for each item."""
    shape: dict[str, list[int | str]] = {"ns": ["n", samples], "n1s": ["n", 1, samples], "ns1": ["n", samples, 1]}
    over = {"ns": [1], "n1s": [2], "ns1": [1]}[axes]
    nodes = [
        helper.make_node("Mul", ["wave", "wave"], ["square"]),
        helper.make_node("ReduceMean", ["wave"], ["mean"], axes=over, keepdims=axes == "ns"),
        helper.make_node("ReduceMean", ["square"], ["power"], axes=over, keepdims=axes == "ns"),
        helper.make_node("Concat", ["mean", "power"], ["both"], axis=1),
    ]
    return model(nodes, {"wave": shape[axes]}, {"both": ["n", 2]})


def saved(make: Callable[[], onnx.ModelProto]) -> Write:
    return lambda path: path.write_bytes(make().SerializeToString())


def changed(change: Callable[[onnx.ModelProto], object]) -> Write:
    """A good model with one thing done to it."""

    def write(path: Path) -> None:
        each = image_model()
        change(each)
        path.write_bytes(each.SerializeToString())

    return write


def external(location: str, offset: str = "0", before: Callable[[Path], object] | None = None) -> Write:
    """A model whose kernel lies in another file."""

    def write(path: Path) -> None:
        each = image_model()
        kernel = each.graph.initializer[0]
        size = len(kernel.raw_data)
        kernel.ClearField("raw_data")
        kernel.data_location = TensorProto.EXTERNAL
        for key, value in (("location", location), ("offset", offset), ("length", str(size))):
            kernel.external_data.add(key=key, value=value)
        (path.parent.parent / "secret").write_bytes(bytes(size))
        if before:
            before(path.parent)
        path.write_bytes(each.SerializeToString())

    return write


def node(*words: object, **more: object) -> Callable[[onnx.ModelProto], object]:
    """Add a node at the end of the graph."""
    return lambda each: each.graph.node.append(helper.make_node(*words, **more))


def replaced_input(shape: Shape | None, number: int = TensorProto.FLOAT) -> Callable[[onnx.ModelProto], object]:
    def change(each: onnx.ModelProto) -> None:
        each.graph.input[0].CopyFrom(helper.make_tensor_value_info("image", number, shape))

    return change


def second_input(each: onnx.ModelProto) -> None:
    each.graph.input.append(helper.make_tensor_value_info("mask", TensorProto.FLOAT, ["n", 5]))
    each.graph.node.append(helper.make_node("Add", ["logits", "mask"], ["masked"]))


def cycle(each: onnx.ModelProto) -> None:
    each.graph.node[0].input[0] = "logits"


def huge(each: onnx.ModelProto) -> None:
    each.graph.initializer[0].dims[:] = [1 << 20, 1 << 12, 4, 4]


def overflowing(each: onnx.ModelProto) -> None:
    each.graph.initializer[0].dims[:] = [1 << 32, 1 << 32]


def lying(each: onnx.ModelProto) -> None:
    each.graph.initializer[0].dims[0] = 800


def negative(each: onnx.ModelProto) -> None:
    each.graph.initializer[0].dims[0] = -8


def unknown_type(each: onnx.ModelProto) -> None:
    each.graph.initializer[0].data_type = 999


def huge_constant(each: onnx.ModelProto) -> None:
    tensor = TensorProto(name="c", data_type=TensorProto.FLOAT, dims=[1 << 31, 8])
    each.graph.node.insert(0, helper.make_node("Constant", [], ["c"], value=tensor))


def sequence(each: onnx.ModelProto) -> None:
    each.graph.node.append(helper.make_node("SequenceConstruct", ["logits"], ["list"]))
    each.graph.output[0].CopyFrom(helper.make_tensor_sequence_value_info("list", TensorProto.FLOAT, None))


def map_output(each: onnx.ModelProto) -> None:
    each.graph.node.append(
        helper.make_node("ZipMap", ["logits"], ["map of"], domain="ai.onnx.ml", classlabels_int64s=[1])
    )
    each.opset_import.append(helper.make_opsetid("ai.onnx.ml", 1))
    numbers = helper.make_tensor_type_proto(TensorProto.FLOAT, None)
    kind = helper.make_map_type_proto(TensorProto.INT64, numbers)
    each.graph.output[0].CopyFrom(helper.make_value_info("map of", helper.make_sequence_type_proto(kind)))


def empty_width(each: onnx.ModelProto) -> None:
    each.graph.output[0].CopyFrom(helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 0]))


def without_nodes(each: onnx.ModelProto) -> None:
    del each.graph.node[:]


def laughing(each: onnx.ModelProto) -> None:
    """Ten functions, each of which calls the next ten times: ten thousand million operations in a few kB."""
    for level in range(10):
        inner = [helper.make_node(f"f{level + 1}", ["x"], ["y"], domain="f") for _ in range(10)]
        if level == 9:
            inner = [helper.make_node("Relu", ["x"], ["y"])]
        opsets = [helper.make_opsetid("", 17), helper.make_opsetid("f", 1)]
        each.functions.append(helper.make_function("f", f"f{level}", ["x"], ["y"], inner, opsets))
    each.graph.node.append(helper.make_node("f0", ["logits"], ["laughed"], domain="f"))


def recursive(each: onnx.ModelProto) -> None:
    inner = [helper.make_node("again", ["x"], ["y"], domain="f")]
    each.functions.append(helper.make_function("f", "again", ["x"], ["y"], inner, [helper.make_opsetid("f", 1)]))
    each.graph.node.append(helper.make_node("again", ["logits"], ["more"], domain="f"))


def nested(each: onnx.ModelProto) -> None:
    graph = helper.make_graph([helper.make_node("Relu", ["logits"], ["inner"])], "g", [], [])
    for level in range(24):
        made = helper.make_node("If", ["logits"], [f"out{level}"], then_branch=graph, else_branch=graph)
        del made.attribute[1]
        graph = helper.make_graph([made], "g", [], [])
    each.graph.node.extend(graph.node)


def inner_custom(each: onnx.ModelProto) -> None:
    graph = helper.make_graph([helper.make_node("Evil", ["logits"], ["inner"], domain="evil")], "g", [], [])
    each.graph.node.append(helper.make_node("If", ["logits"], ["out"], then_branch=graph, else_branch=graph))


def pickled(path: Path) -> None:
    path.write_bytes(pickle.dumps(Planted(path.parent / "planted")))


def zipped_model(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model.onnx", image_model().SerializeToString())


def cut_off(path: Path) -> None:
    content = image_model().SerializeToString()
    path.write_bytes(content[: len(content) // 2])


def linked(folder: Path) -> None:
    (folder / "weights").symlink_to(folder.parent / "secret")


def linked_folder(folder: Path) -> None:
    (folder / "sub").symlink_to(folder.parent)


ONE_MB = Limits(model_mb=1)
EVIL: dict[str, tuple[str, str, Limits | None, Write]] = {
    "torch": ("m.onnx", "is a zip, as PyTorch's .pt files are", None, torch_file),
    "pickle": ("m.onnx", "is a pickle", None, pickled),
    "zip": ("m.onnx", "is a zip", None, zipped_model),
    "empty": ("m.onnx", "is empty", None, lambda path: path.write_bytes(b"")),
    "text": ("m.onnx", "is text", None, lambda path: path.write_text("hello, model\n" * 9)),
    "picture": ("m.onnx", "is a png", None, lambda path: path.write_bytes(png())),
    "noise": ("m.onnx", "no ONNX model", None, lambda path: path.write_bytes(np.random.default_rng(1).bytes(9999))),
    "cut off": ("m.onnx", "is no ONNX model, or is damaged", None, cut_off),
    "no graph": ("m.onnx", "has no graph", None, lambda path: path.write_bytes(b"\x08\x09")),
    "too large": ("m.onnx", "at most 1 MB", ONE_MB, lambda path: path.write_bytes(b"\x08\x09" + bytes(2 << 20))),
    "absolute path": ("m.onnx", "'/etc/passwd', which lies outside", None, external("/etc/passwd")),
    "climbing path": ("m.onnx", "'../secret', which lies outside", None, external("../secret")),
    "hidden climb": ("m.onnx", "lies outside", None, external("x/../../secret")),
    "path of Windows": ("m.onnx", "lies outside", None, external("c:\\secret")),
    "climb of Windows": ("m.onnx", "lies outside", None, external("..\\secret")),
    "no path": ("m.onnx", "lies outside", None, external("")),
    "symbolic link": ("m.onnx", "'weights', which is a symbolic link", None, external("weights", before=linked)),
    "linked folder": ("m.onnx", "which is a symbolic link", None, external("sub/secret", before=linked_folder)),
    "missing file": ("m.onnx", "'weights', which is not beside it", None, external("weights")),
    "short file": (
        "m.onnx", "their file has 3", None,
        external("weights", before=lambda folder: (folder / "weights").write_bytes(b"abc")),
    ),
    "odd place": (
        "m.onnx", "a place in their file that is no number", None,
        external("weights", "-1", before=lambda folder: (folder / "weights").write_bytes(bytes(9999))),
    ),
    "custom operation": ("m.onnx", "'Evil' of 'ops'", None, changed(node("Evil", ["map"], ["e"], domain="ops"))),
    "custom operation inside": ("m.onnx", "'Evil' of 'evil'", None, changed(inner_custom)),
    "operation that is none": ("m.onnx", "which ONNX does not have", None, changed(node("Evil", ["map"], ["e"]))),
    "huge weights": ("m.onnx", "would take 256 GB", None, changed(huge)),
    "overflowing weights": ("m.onnx", "would take", None, changed(overflowing)),
    "huge constant": ("m.onnx", "would take 64 GB", None, changed(huge_constant)),
    "lying weights": ("m.onnx", "38,400 numbers by their shape", None, changed(lying)),
    "negative weights": ("m.onnx", "negative dimension", None, changed(negative)),
    "weights of no type": ("m.onnx", "unknown type", None, changed(unknown_type)),
    "two inputs": ("m.onnx", r"needs 2 inputs \('image', 'mask'\)", None, changed(second_input)),
    "no input": ("m.onnx", "before anything makes it", None, changed(lambda each: each.graph.ClearField("input"))),
    "cycle": ("m.onnx", "uses 'logits' before anything makes it", None, changed(cycle)),
    "made twice": ("m.onnx", "'logits' of m.onnx is made twice", None, changed(node("Relu", ["map"], ["logits"]))),
    "no operations": ("m.onnx", "without operations", None, changed(without_nodes)),
    "nobody's output": (
        "m.onnx", "nothing in m.onnx makes its output 'x'", None,
        changed(lambda each: setattr(each.graph.output[0], "name", "x")),
    ),
    "functions that multiply": ("m.onnx", "more than 200,000 operations", None, changed(laughing)),
    "function that calls itself": ("m.onnx", "'again' of m.onnx calls itself", None, changed(recursive)),
    "graphs inside graphs": ("m.onnx", "inside one another", None, changed(nested)),
}  # fmt: skip

# Refused once somebody says what it takes: name -> (what the refusal must say, how to write it).
UNFIT: dict[str, tuple[str, Write]] = {
    "wrong rank": ("'image' of m.onnx has the shape n × 3 × 4 × 32 × 32", changed(replaced_input(["n", 3, 4, 32, 32]))),
    "no shape": ("has the shape not known", changed(replaced_input(None))),
    "no room": ("has no room", changed(replaced_input(["n", 3, 0, 32]))),
    "token numbers": ("takes int64", changed(replaced_input(["n", 3, 32, 32], TensorProto.INT64))),
    "texts": ("takes string", changed(replaced_input(["n", 3, 32, 32], TensorProto.STRING))),
    "five channels": ("has 5 channels", saved(lambda: image_model(channels=5))),
    "huge pictures": ("sides from 1 to 1024", saved(lambda: image_model(side=5000))),
    "list as output": ("is sequence", changed(sequence)),
    "map as output": ("is sequence", changed(map_output)),
    "no width": ("has width 0", changed(empty_width)),
}
