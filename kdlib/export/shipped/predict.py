"""Say what is in files: python predict.py [--int8] FILE... Needs onnxruntime and numpy."""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime

sys.path.insert(0, str(Path(__file__).parent))
from reading import read_items

HERE = Path(__file__).parent


def predict(paths: list[str], model: str = "student.onnx") -> list[tuple[str, np.ndarray]]:
    """Return a name and the probabilities (k,) of every item in some files."""
    form = json.loads((HERE / "config.json").read_text(encoding="utf-8"))["input"]
    session = onnxruntime.InferenceSession(str(HERE / model), providers=["CPUExecutionProvider"])
    named = [(f"{path}:{row}" if len(items) > 1 else path, item) for path in paths
             for items in [read_items(path, form)] for row, item in enumerate(items)]  # fmt: skip
    return [
        (name, np.asarray(session.run(["probabilities"], {form["name"]: item[None]})[0])[0]) for name, item in named
    ]


def main(arguments: list[str]) -> None:
    """Print the classes of each item, the most probable first; of several labels, * marks what counts as present."""
    sys.stdout.reconfigure(encoding="utf-8", errors="replace")  # pyright: ignore[reportAttributeAccessIssue]
    labels = json.loads((HERE / "labels.json").read_text(encoding="utf-8"))
    paths = [each for each in arguments if each != "--int8"] or sys.exit(__doc__)
    for name, probabilities in predict(paths, "student-int8.onnx" if "--int8" in arguments else "student.onnx"):
        print(name)
        for number in np.argsort(-probabilities, kind="stable"):
            cut = labels["thresholds"][number] if labels["multi_label"] else None
            mark = "" if cut is None else " *" if probabilities[number] >= cut else f"  (from {cut:.4f})"
            print(f"  {probabilities[number]:.4f}  {labels['classes'][number]!r}{mark}")


if __name__ == "__main__":
    main(sys.argv[1:])
