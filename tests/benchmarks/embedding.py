"""What embedding costs: `python -m tests.benchmarks.embedding [items]`. Times and memory depend on the machine.

As many colour pictures of 224 x 224 (4,000) are imported as JPEG files and embedded, in a process of its own, by a
convolutional network of 5 million parameters in an ONNX file. Printed: items a second, how many cores it used, and the
largest memory. The promise: 90 % of all cores, 1.5 GB.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread

import numpy as np
import onnx as onnx_library
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

SIDE, KINDS = 224, 200  # of the pictures; so many are different
WIDTHS = (32, 64, 128, 256, 256, 512, 512)  # channels after each convolution
STRIDES = (2, 2, 2, 2, 1, 2, 1)


def network() -> onnx_library.ModelProto:
    """Return seven convolutions, a mean over places and a classifier of 1,000 classes: 5 million numbers."""
    rng = np.random.default_rng(0)
    nodes, weights, before, name = [], [], 3, "image"
    for number, (width, stride) in enumerate(zip(WIDTHS, STRIDES, strict=True)):
        kernel = rng.normal(0, (2 / (9 * before)) ** 0.5, (width, before, 3, 3)).astype(np.float32)
        weights.append(numpy_helper.from_array(kernel, f"kernel{number}"))
        nodes += [
            helper.make_node("Conv", [name, f"kernel{number}"], [f"map{number}"], strides=[stride] * 2, pads=[1] * 4),
            helper.make_node("Relu", [f"map{number}"], [f"places{number}"]),
        ]
        before, name = width, f"places{number}"
    classifier = rng.normal(0, before**-0.5, (before, 1000)).astype(np.float32)
    weights.append(numpy_helper.from_array(classifier, "classifier"))
    nodes += [
        helper.make_node("GlobalAveragePool", [name], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["features"]),
        helper.make_node("MatMul", ["features", "classifier"], ["logits"]),
    ]
    taken = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, SIDE, SIDE])
    given = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 1000])
    graph = helper.make_graph(nodes, "network", [taken], [given], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def write_pictures(folder: Path, count: int) -> None:
    """Write pictures of two classes, in a folder each."""
    rng = np.random.default_rng(0)
    for label in ("a", "b"):
        (folder / label).mkdir(parents=True)
    for number in range(count):
        path = folder / "ab"[number % 2] / f"{number:05d}.jpg"
        if number < KINDS:
            coarse = rng.integers(0, 256, (28, 28, 3), np.uint8)
            Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(path, quality=90)
        else:
            path.write_bytes((folder / "ab"[number % 2] / f"{number % KINDS:05d}.jpg").read_bytes())


def prepare(folder: Path, count: int) -> str:
    """Import the pictures, add the network, and return the name of the dataset."""
    from kdlib.data import importing
    from kdlib.models.providers import onnx

    write_pictures(folder / "pictures", count)
    source = importing.stage(folder / "pictures")
    plan = importing.guess_plan(source)
    dataset = importing.store_dataset(source, importing.build_draft(source, plan), "pictures")
    (folder / "network.onnx").write_bytes(network().SerializeToString())
    draft = onnx.stage(folder / "network.onnx")
    wanted = onnx.make_plan(draft.network, onnx.Wishes(output="features"))
    onnx.keep_draft(draft, wanted, onnx.try_out(draft, wanted, dataset), "network", onnx.About())
    return dataset


class Watch(Thread):
    """Notes four times a second how long each thread of this process has run, and has waited for a core."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.over, self.threads = Event(), {}

    def run(self) -> None:
        while not self.over.wait(0.25):
            for path in Path("/proc/self/task").glob("*/schedstat"):
                with suppress(OSError):  # it has just ended
                    ran, waited, _ = path.read_text().split()
                    self.threads[path.parent.name] = int(ran) / 1e9, int(waited) / 1e9


def measure(dataset: str) -> None:
    """Embed the dataset in this process and print what it cost."""
    from kdlib.data import datasets
    from kdlib.models.embedding import embed

    datasets.load(dataset)
    watch = Watch()
    watch.start()
    started, own = time.perf_counter(), time.process_time()
    count = len(embed("onnx:network", dataset))
    seconds, own = time.perf_counter() - started, time.process_time() - own
    watch.over.set()
    watch.join()
    wanted = sum(ran + waited for ran, waited in watch.threads.values())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    sys.stdout.write(
        f"{count:,} items of {SIDE} x {SIDE} in {seconds:.1f} s, {count / seconds:.1f} items a second, "
        f"{1000 * own / count:.1f} ms of a core each\n"
        f"of {os.cpu_count()} cores it had {own / seconds:.2f} and its threads asked for {wanted / seconds:.2f}; "
        f"largest memory {peak:.2f} GB\n"
    )


if __name__ == "__main__":
    if len(sys.argv) == 3:
        measure(sys.argv[2])
    else:
        with tempfile.TemporaryDirectory() as home:
            os.environ["KDLIB_HOME"] = f"{home}/home"
            count = int(sys.argv[1]) if len(sys.argv) > 1 else 4000
            dataset = prepare(Path(home), count)
            subprocess.run([sys.executable, "-m", "tests.benchmarks.embedding", "measure", dataset], check=True)
