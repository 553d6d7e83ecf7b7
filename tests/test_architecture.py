"""The shape of the code, proved from its syntax trees: who imports whom, one door per library, no unsafe reading."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from kdlib import store
from kdlib.results import Point
from kdlib.spec import RunSpec

ROOT = Path(__file__).resolve().parent.parent

# The rooms, in the order in which they build on one another, and the modules in them in theirs: a module imports only
# what stands before it. A package that is named here as a module counts as one. "" is kdlib/ itself.
ROOMS = (
    ("", "spec names colours trials summary results progress processes registry cache recording"),
    ("data", "dataset spectrograms sounds texts intake imported digit_sets sound_sets datasets importing"),
    (
        "training",
        "optimizer rows member_distance pointwise_losses losses distances pairs label_losses target_normalisers "
        "augmentation streaming devices member_chains member_layers",
    ),
    ("training", "population prefixes replay state step_loss gradients stepper loop shards search rungs"),
    (
        "models",
        "encoder teacher pooling providers teachers embedding quantization embedding_files branches compressors",
    ),
    ("models", "projectors separation students nesting pretraining"),
    (
        "analysis",
        "logistic intervals merging subsets significance estimates evaluation linear_probe calibration",
    ),
    (
        "analysis",
        "class_scores geometry neighbours retrieval width_precision projection placement costs probes split_scores",
    ),
    ("analysis", "grid scaling measure widths failure"),
    ("analysis", "teacher_probes teacher_report comparison rounds benchmarks tuned verdicts diagnosis papers frames"),
    ("analysis", "landscape result_tables items figures"),
    ("", "catalog checks groups tuning pipeline sequential store engine runs spaces trying durations planning"),
    ("", "step_sessions lessons notebook export"),
    ("cli", "tables output data teacher embed rounds runs sweeps benchmark widths export report store record main"),
    ("", "__main__"),
)
ORDER = tuple(f"{room}.{name}".lstrip(".") for room, names in ROOMS for name in names.split())

# Outside library -> the only places that import it: kdlib modules, or the app's own files.
DOORS = {
    "mlflow": ("store",),
    "distributed": ("engine",),
    "dask": ("engine",),
    "optuna": ("training.search",),
    "plotly": ("analysis.figures",),
    "umap": ("analysis.projection",),
    "soundfile": ("data.intake",),
    "pyarrow": ("data.intake", "models.embedding_files"),  # foreign tables come in, embeddings go out
    "onnx": ("models.providers", "export"),
    "onnxruntime": ("models.providers", "export"),
    "transformers": ("models.providers",),
    "tokenizers": ("models.providers",),
    "timm": ("models.providers",),
    "torchaudio": ("models.providers",),
    "huggingface_hub": ("models.providers",),
    "jinja2": ("export",),
    "nbformat": ("export",),
    "streamlit": ("app",),
}
NEVER_IN_THE_APP = {"torch", "sklearn", "umap", "mlflow", "distributed", "dask"}
LONGEST, LONGEST_FUNCTION = 350, 50  # lines


def files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


LIBRARY = files("kdlib")
SCRIPTS = sorted((ROOT / "assets").rglob("*.js"))
APP = [path for path in [ROOT / "app.py", *files("pages")] if path.exists()]


def place(path: Path) -> str:
    """Return the name in `ORDER` of a file; `__init__` for that of kdlib or of a room, "app" outside kdlib."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return unit(".".join(parts[1:])) if parts[0] == "kdlib" else "app"


def unit(dotted: str) -> str:
    """Return the name in `ORDER` of a module of kdlib or of what is in it, "__init__" for kdlib and its rooms."""
    while dotted and dotted not in ORDER:
        dotted = dotted.rpartition(".")[0]
    return dotted or "__init__"


def imported(path: Path) -> set[str]:
    """Return the dotted names a file imports, at its top or inside a function."""
    package = list(path.relative_to(ROOT).with_suffix("").parts[:-1])
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            base = [*base, *(node.module.split(".") if node.module else [])]
            names |= {".".join([*base, alias.name]) for alias in node.names}
    return names


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", LIBRARY, ids=relative)
def test_a_module_imports_only_modules_before_it(path):
    here = place(path)
    used = {unit(name.removeprefix("kdlib.")) for name in imported(path) if name.startswith("kdlib.")} - {here}
    if here == "__init__":
        assert path.name == "__init__.py", f"{relative(path)} is not in ROOMS: add it where it belongs"
        # Importing kdlib stays cheap: `notebook` loads what it builds on when it is called.
        assert used <= {"spec", "notebook"}, "rooms only say what is in them"
        return
    assert "__init__" not in used, f"{here} imports something that is not in ROOMS: add it where it belongs"
    below = sorted(name for name in used if ORDER.index(name) > ORDER.index(here))
    assert not below, f"{here} imports {below}, which stand after it"


@pytest.mark.parametrize("path", [*LIBRARY, *APP], ids=relative)
def test_an_outside_library_has_its_doors(path):
    outside = {name.split(".")[0] for name in imported(path)}
    wrong = sorted(name for name in outside & set(DOORS) if place(path) not in DOORS[name])
    assert not wrong, f"{relative(path)} imports {wrong}; their doors: { {name: DOORS[name] for name in wrong} }"


@pytest.mark.parametrize("path", APP, ids=relative)
def test_pages_leave_heavy_libraries_to_kdlib(path):
    assert not {name.split(".")[0] for name in imported(path)} & NEVER_IN_THE_APP


def unsafe(tree: ast.AST) -> list[str]:
    """Return what a file does that may run code from a foreign file, or hide an error."""
    problems = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler) and node.type is None:
            problems.append(f"line {node.lineno}: bare except")
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name in ("eval", "exec") or name.split(".")[0] in (
                "pickle",
                "cloudpickle",
                "joblib",
                "dill",
                "marshal",
                "shelve",
            ):
                problems.append(f"line {node.lineno}: {name}()")
            for keyword in node.keywords:
                value = getattr(keyword.value, "value", None)
                if (keyword.arg, value) in {("allow_pickle", True), ("weights_only", False), ("shell", True)}:
                    problems.append(f"line {node.lineno}: {keyword.arg}={value}")
    return problems


@pytest.mark.parametrize("path", [*LIBRARY, *APP], ids=relative)
def test_nothing_unsafe(path):
    assert not unsafe(ast.parse(path.read_text(encoding="utf-8")))


def test_the_unsafe_check_sees_what_it_is_for():
    text = (
        "import numpy as np\ntry:\n    np.load(f, allow_pickle=True)\n"
        "except:\n    torch.load(f, weights_only=False); pickle.load(f)\n"
    )
    assert len(unsafe(ast.parse(text))) == 4


@pytest.mark.parametrize("path", SCRIPTS, ids=relative)
def test_scripts_of_the_page_make_no_markup_of_text(path):
    matches = re.findall(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function",
        path.read_text(encoding="utf-8"),
    )
    assert not matches, "names of classes and items are a person's own: textContent shows them literally"


@pytest.mark.parametrize("path", [*LIBRARY, *APP, *SCRIPTS, *files("tests")], ids=relative)
def test_a_file_can_be_read_in_one_sitting(path):
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= LONGEST, f"{relative(path)} has {lines} lines, at most {LONGEST}: make it a package that re-exports"


def functions(path: Path) -> dict[str, int]:
    """Return how many lines each function of a file has, from its `def` to its end."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    definitions = [node for node in nodes if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    return {f"{node.name}, line {node.lineno}": (node.end_lineno or 0) - node.lineno + 1 for node in definitions}


@pytest.mark.parametrize("path", [*LIBRARY, *APP], ids=relative)
def test_a_function_fits_on_a_screen(path):
    long = {name: lines for name, lines in functions(path).items() if lines > LONGEST_FUNCTION}
    assert not long, f"{relative(path)}: at most {LONGEST_FUNCTION} lines a function; split where the concept splits"


HEAVY = "torch sklearn scipy pandas mlflow distributed umap plotly onnx onnxruntime optuna"


def loaded(code: str, **environment: str) -> set[str]:
    """Return which heavy libraries a fresh process has loaded after some code."""
    code += f"\nimport sys; print('loaded:', *sorted(set({HEAVY!r}.split()) & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return set(done.stdout.splitlines()[-1].split()[1:])


@pytest.mark.parametrize(
    "module",
    [
        "kdlib",
        "kdlib.cli.main",
        "kdlib.runs",
        "pages.server",
        "pages.address",
        "pages.chain",
        "pages.live",
        "pages.registries",
    ],
)
def test_what_a_command_or_the_server_begins_with_loads_in_a_moment(module):
    assert loaded(f"import {module}") <= (
        {"plotly"} if module.startswith("pages.") else set()
    )  # which Streamlit brings along


@pytest.mark.parametrize(
    "words",
    [
        ["runs"],
        ["runs", "--json"],
        ["show", "mine"],
        ["show", "mine", "--json"],
        ["list", "losses"],
        ["list", "teachers"],
        ["data", "list"],
    ],
)
def test_commands_that_only_look_once_loaded_seconds_of_libraries(words, fresh_home):
    run_id = store.create(RunSpec(), name="mine", user="")
    store.log_points(run_id, [Point(0, val=[0.5], t=1.0)])
    store.set_state(run_id, "done")
    assert not loaded(f"from kdlib.cli.main import main\nassert main({words!r}) == 0", KDLIB_HOME=str(fresh_home))


def test_looking_into_an_empty_store_once_made_its_database(tmp_path):
    code = "from kdlib.cli.main import main\nassert main(['runs']) == 0"
    assert not loaded(code, KDLIB_HOME=str(tmp_path / "home"))
    assert not (tmp_path / "home" / "mlflow.db").exists()


def test_the_button_of_the_first_page_once_waited_for_the_libraries_behind_it(tmp_path):
    code = """
import sys, streamlit, streamlit.testing.v1 as testing
shown, before = streamlit.button, set(sys.modules)
def button(*words, **more):
    loaded = {"torch", "sklearn", "scipy", "mlflow", "distributed"} & (set(sys.modules) - before)
    print("at the button:", *sorted(loaded), "end")
    return shown(*words, **more)
streamlit.button = button
app = testing.AppTest.from_file("app.py", default_timeout=100).run()
assert app.button(key="go") and not app.exception and not app.error
"""
    code = code.replace(
        "app = ",
        "from streamlit.runtime.pages_manager import PagesManager; PagesManager.uses_pages_directory = False\napp = ",
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | {"KDLIB_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[0] == "at the button: end"
