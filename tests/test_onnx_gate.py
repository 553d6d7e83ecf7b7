"""The gate of ONNX files: every kind of evil model is refused in words, quickly, and none of its code ever runs."""

import re
import time

import numpy as np
import onnx as onnx_library
import psutil
import pytest
from onnx import helper

from kdlib.data.intake import IntakeError, Limits
from kdlib.models.providers import onnx
from kdlib.models.providers.onnx import reading
from kdlib.progress import CancelledError
from tests.evil_models import EVIL, UNFIT, external, image_model, model

INTERNALS = re.compile(r"ONNXRuntime|onnx\.|protobuf|Traceback|Error\b|\[Errno|0x[0-9a-f]{6}|object at|<class")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("KDLIB_HOME", str(tmp_path / "home"))


def written(tmp_path, name, write):
    folder = tmp_path / "given"
    folder.mkdir()
    write(folder / name)
    return folder / name


@pytest.mark.parametrize("evil", EVIL)
def test_an_evil_model_is_refused_in_words(evil, tmp_path):
    name, message, limits, write = EVIL[evil]
    path = written(tmp_path, name, write)
    with pytest.raises(IntakeError, match=message) as refused:
        reading.read_network(path, name, limits or Limits())
    assert not INTERNALS.search(str(refused.value)), str(refused.value)
    assert not (path.parent / "planted").exists(), "a pickle was opened"


@pytest.mark.parametrize("unfit", UNFIT)
def test_a_model_that_is_no_embedder_of_images_or_waves_is_refused_in_words(unfit, tmp_path):
    message, write = UNFIT[unfit]
    path = written(tmp_path, "m.onnx", write)
    network = reading.read_network(path, "m.onnx", Limits())
    with pytest.raises(ValueError, match=message):
        onnx.make_plan(network, onnx.Wishes())


@pytest.mark.parametrize(
    "evil", ["torch", "climbing path", "custom operation", "huge weights", "functions that multiply"]
)
def test_the_child_refuses_within_two_seconds_and_leaves_nothing(evil, tmp_path):
    name, message, _, write = EVIL[evil]
    path = written(tmp_path, name, write)
    children, started = psutil.Process().children(), time.process_time()
    began = time.perf_counter()
    with pytest.raises(IntakeError, match=message):
        onnx.stage(path)
    assert time.perf_counter() - began < 2 * psutil.cpu_count(), "seconds of a machine that others use too"
    assert time.process_time() - started < 1
    assert psutil.Process().children() == children
    assert not list((tmp_path / "home" / "teachers").iterdir())


def tried(tmp_path, make, **wishes):
    """Return what comes of staging a model and trying it on three digits."""
    path = written(tmp_path, "m.onnx", lambda path: path.write_bytes(make().SerializeToString()))
    draft = onnx.stage(path)
    return onnx.try_out(draft, onnx.make_plan(draft.network, onnx.Wishes(**wishes)), limits=Limits(cpu_s=20))


def with_output(*nodes, shape=("n", 5), weights=None):
    """Return a builder of the good model with something done to its logits, which gives "out"."""

    def make():
        each = image_model()
        each.graph.node.extend(nodes)
        each.graph.initializer.extend(
            onnx_library.numpy_helper.from_array(value, name) for name, value in (weights or {}).items()
        )
        value = helper.make_tensor_value_info("out", onnx_library.TensorProto.FLOAT, shape)
        each.graph.output[0].CopyFrom(value)
        return each

    return make


def endless():
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["go on"]), helper.make_node("Relu", ["v"], ["w"])],
        "body",
        [
            helper.make_tensor_value_info("i", onnx_library.TensorProto.INT64, []),
            helper.make_tensor_value_info("go", onnx_library.TensorProto.BOOL, []),
            helper.make_tensor_value_info("v", onnx_library.TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("go on", onnx_library.TensorProto.BOOL, []),
            helper.make_tensor_value_info("w", onnx_library.TensorProto.FLOAT, None),
        ],
    )
    return helper.make_node("Loop", ["", "", "logits"], ["out"], body=body)


ZERO, BIG = np.zeros(1, np.float32), np.array([100_000, 100_000], np.int64)
DIVIDED = helper.make_node("Div", ["logits", "z"], ["out"])
BATCH = helper.make_node("ReduceMean", ["logits"], ["mean"], axes=[0], keepdims=1)
OUTPUTS = {
    "not finite": ("is not finite", with_output(DIVIDED, weights={"z": ZERO})),
    "constant": ("is constant", with_output(helper.make_node("Mul", ["logits", "z"], ["out"]), weights={"z": ZERO})),
    "one number": (
        "has width 1",
        with_output(helper.make_node("ReduceMean", ["logits"], ["out"], axes=[1]), shape=("n", 1)),
    ),
    "one row for all": (
        "expected one row for each|has width 1",
        with_output(helper.make_node("ReduceMean", ["logits"], ["out"], axes=[0]), shape=(1, 5)),
    ),
    "random": (
        "is another one each time",
        with_output(
            helper.make_node("RandomNormalLike", ["logits"], ["noise"]),
            helper.make_node("Add", ["logits", "noise"], ["out"]),
        ),
    ),
    "batch": (
        "depends on the other items",
        with_output(BATCH, helper.make_node("Add", ["logits", "mean"], ["out"])),
    ),
    "not from the input": (
        "does not depend on its input",
        with_output(helper.make_node("Relu", ["matrix"], ["out"]), shape=(8, 5)),
    ),
    "not for a processor": (
        "breaks the rules|cannot compute|cannot be computed",
        with_output(helper.make_node("NotThere", ["logits"], ["out"], domain="com.microsoft")),
    ),
    "wrong shapes": (
        "breaks the rules|cannot be computed",
        with_output(helper.make_node("MatMul", ["logits", "matrix"], ["out"]), shape=("n", 5)),
    ),
    "a bomb of memory": (
        "MB of memory",
        with_output(
            helper.make_node("ConstantOfShape", ["big"], ["sky"]),
            helper.make_node("ReduceSum", ["sky"], ["sum"], keepdims=0),
            helper.make_node("Add", ["logits", "sum"], ["out"]),
            weights={"big": BIG},
        ),
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", OUTPUTS)
def test_the_trial_refuses_what_is_no_embedding(kind, tmp_path):
    message, make = OUTPUTS[kind]
    with pytest.raises(IntakeError, match=message) as refused:
        tried(tmp_path, make)
    assert not INTERNALS.search(str(refused.value)), str(refused.value)


def test_a_network_that_never_ends_is_ended(tmp_path):
    path = written(tmp_path, "m.onnx", lambda path: path.write_bytes(with_output(endless())().SerializeToString()))
    draft = onnx.stage(path)
    plan = onnx.make_plan(draft.network, onnx.Wishes())
    with pytest.raises(IntakeError, match=r"took more than 2 s of processor time|made no progress for 3 s"):
        onnx.try_out(draft, plan, limits=Limits(cpu_s=2, stall_s=3))


def test_a_trial_can_be_stopped(tmp_path):
    children = psutil.Process().children()
    path = written(tmp_path, "m.onnx", lambda path: path.write_bytes(image_model().SerializeToString()))
    draft = onnx.stage(path)
    with pytest.raises(CancelledError):
        onnx.try_out(draft, onnx.make_plan(draft.network, onnx.Wishes()), on_progress=lambda _: True)
    assert psutil.Process().children() == children


def test_weights_in_a_file_of_their_own_are_read_if_it_lies_beside(tmp_path):
    inside = image_model().graph.initializer[0].raw_data
    write = external("sub/weights", "8", before=lambda folder: _write(folder / "sub" / "weights", bytes(8) + inside))
    path = written(tmp_path, "m.onnx", write)
    draft = onnx.stage(path)
    assert draft.network.bytes == path.stat().st_size + 8 + len(inside)
    plan = onnx.make_plan(draft.network, onnx.Wishes())
    onnx.try_out(draft, plan)
    stored = onnx_library.load(draft.folder / "trial" / "model.onnx")
    assert stored.graph.initializer[0].raw_data == inside


def _write(path, content):
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)


def test_functions_of_the_model_itself_are_no_foreign_code(tmp_path):
    def make():
        each = image_model()
        inner = [helper.make_node("Relu", ["x"], ["y"])]
        each.functions.append(helper.make_function("f", "rectify", ["x"], ["y"], inner, [helper.make_opsetid("", 17)]))
        each.graph.node[1].CopyFrom(helper.make_node("rectify", ["map"], ["places"], domain="f"))
        return each

    assert tried(tmp_path, make, output="features").width == 8


def test_a_model_that_nobody_runs_may_still_be_listed(tmp_path):
    """Shapes of inner tensors are a help: where they do not follow, the tensors are there all the same."""
    each = model([helper.make_node("FusedGelu", ["image"], ["x"], domain="com.microsoft")], {"image": ["n", 3, 8, 8]},
                 {"x": ["n", "c", "h", "w"]})  # fmt: skip
    path = written(tmp_path, "m.onnx", lambda path: path.write_bytes(each.SerializeToString()))
    assert [tensor.name for tensor in reading.read_network(path, "m.onnx", Limits()).tensors] == ["x"]
