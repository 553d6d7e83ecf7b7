"""Say what is in files: python predict.py [--int8] FILE... Needs onnxruntime and numpy."""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from reading import read_items

HERE = Path(__file__).parent


def predict(paths: list, model: str = "student.onnx") -> list:
    """Return a name and the probabilities (k,) of every item in some files."""
    form, results = json.loads((HERE / "config.json").read_text("utf-8"))["input"], []
    session = onnxruntime.InferenceSession(str(HERE / model), providers=["CPUExecutionProvider"])
    for path in paths:
        for row, item in enumerate(read_items(path, form)):
            outputs = session.run(["probabilities"], {form["name"]: item[None]})
            results.append((f"{path}:{row}" if row else path, np.asarray(outputs[0])[0]))
    return results


def main(arguments: list) -> None:
    """Print the classes of each item, the most probable first; of several labels, * marks what counts as present."""
    labels = json.loads((HERE / "labels.json").read_text("utf-8"))
    cuts = labels["thresholds"] or [2.0] * len(labels["classes"])  # no class of a single label is marked
    paths = [each for each in arguments if each != "--int8"] or sys.exit(__doc__)
    for name, probabilities in predict(paths, "student-int8.onnx" if "--int8" in arguments else "student.onnx"):
        print(name)
        for number in np.argsort(-probabilities, kind="stable"):
            mark = " *" if probabilities[number] >= cuts[number] else ""
            print(f"  {probabilities[number]:.4f}  {ascii(labels['classes'][number])[1:-1]}{mark}")


if __name__ == "__main__":
    main(sys.argv[1:])
