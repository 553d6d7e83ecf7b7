"""The shape of the code, proved from its syntax trees: who imports whom, one outside library per door, no unsafe reading."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from kdlib import store
from kdlib.spec import RunSpec

ROOT = Path(__file__).resolve().parent.parent

# A module imports kdlib modules that stand before it, nothing else of kdlib. The parts of a package count as the package.
# fmt: off
ORDER = (
    "spec", "registry", "cache", "spectrograms", "sounds", "intake", "imported", "catalog",
    "datasets", "files", "teachers", "optimiser", "compressors", "students", "losses", "checks", "devices",
    "population", "snapshots", "training_state", "training", "evaluation", "intervals",
    "pretraining", "geometry", "projection", "measuring", "comparison", "papers",
    "pipeline",
    "store", "engine", "runs", "sweeps", "knowledge", "spaces", "planning", "views",
    "library", "export", "figures", "tables", "cli_data", "cli_runs", "cli_store", "cli", "__main__",
)
# fmt: on

# Outside library -> the only place that imports it: a kdlib module, or the app's own files.
DOORS = {
    "mlflow": "store",
    "distributed": "engine",
    "dask": "engine",
    "plotly": "figures",
    "umap": "projection",
    "soundfile": "intake",
    "pyarrow": "intake",
    "streamlit": "app",
}
NEVER_IN_THE_APP = {"torch", "sklearn", "umap", "mlflow", "distributed", "dask"}
LONGEST = 400  # lines


def files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


LIBRARY = files("kdlib")
SCRIPTS = sorted((ROOT / "assets").rglob("*.js"))
APP = [path for path in [ROOT / "app.py", *files("pages")] if path.exists()]


def place(path: Path) -> str:
    """Return the name in `ORDER` that a file belongs to; `__init__` for the package's own file, "app" outside kdlib."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[1] if parts[0] == "kdlib" else "app"


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
    used = {name.split(".")[1] for name in imported(path) if name.startswith("kdlib.")}
    if here == "__init__":
        assert used <= {"spec"}, "kdlib/__init__.py imports spec only, so that importing kdlib stays cheap"
        return
    assert here in ORDER, f"{here} is not in ORDER: add it where it belongs"
    modules = used & set(ORDER)
    below = sorted(name for name in modules if ORDER.index(name) > ORDER.index(here))
    assert not below, f"{here} imports {below}, which stand after it"
    assert used - modules <= {"RunSpec", "RunResult", "Progress"}, f"{here} imports {sorted(used - modules)}, not in ORDER"


@pytest.mark.parametrize("path", [*LIBRARY, *APP], ids=relative)
def test_an_outside_library_has_one_door(path):
    outside = {name.split(".")[0] for name in imported(path)}
    wrong = sorted(name for name in outside & set(DOORS) if DOORS[name] != place(path))
    assert not wrong, f"{relative(path)} imports {wrong}; their doors: { {name: DOORS[name] for name in wrong} }"


@pytest.mark.parametrize("path", APP, ids=relative)
def test_pages_leave_heavy_libraries_to_kdlib(path):
    assert not {name.split(".")[0] for name in imported(path)} & NEVER_IN_THE_APP


def unsafe(tree: ast.AST) -> list[str]:
    """Return what a file does that may run code from a foreign file, or hide an error."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler) and node.type is None:
            found.append(f"line {node.lineno}: bare except")
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name in ("eval", "exec") or name.split(".")[0] in ("pickle", "cloudpickle", "joblib", "dill", "marshal", "shelve"):
                found.append(f"line {node.lineno}: {name}()")
            for keyword in node.keywords:
                value = getattr(keyword.value, "value", None)
                if (keyword.arg, value) in {("allow_pickle", True), ("weights_only", False), ("shell", True)}:
                    found.append(f"line {node.lineno}: {keyword.arg}={value}")
    return found


@pytest.mark.parametrize("path", [*LIBRARY, *APP], ids=relative)
def test_nothing_unsafe(path):
    assert not unsafe(ast.parse(path.read_text(encoding="utf-8")))


def test_the_unsafe_check_sees_what_it_is_for():
    text = "import numpy as np\ntry:\n    np.load(f, allow_pickle=True)\nexcept:\n    torch.load(f, weights_only=False); pickle.load(f)\n"
    assert len(unsafe(ast.parse(text))) == 4


@pytest.mark.parametrize("path", SCRIPTS, ids=relative)
def test_scripts_of_the_page_make_no_markup_of_text(path):
    found = re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", path.read_text(encoding="utf-8"))
    assert not found, "names of classes and items are a person's own: textContent shows them literally"


@pytest.mark.parametrize("path", [*LIBRARY, *APP, *SCRIPTS], ids=relative)
def test_a_file_can_be_read_in_one_sitting(path):
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= LONGEST, f"{relative(path)} has {lines} lines, at most {LONGEST}: make it a package that re-exports"


HEAVY = "torch sklearn scipy pandas mlflow distributed umap plotly"


def loaded(code: str, **environment: str) -> set[str]:
    """Return which heavy libraries a fresh process has loaded after some code."""
    code += f"\nimport sys; print('loaded:', *sorted(set({HEAVY!r}.split()) & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, check=True, timeout=120
    )
    return set(done.stdout.splitlines()[-1].split()[1:])


@pytest.mark.parametrize("module", ["kdlib", "kdlib.cli", "kdlib.runs", "pages.server", "pages.ui"])
def test_what_a_command_or_the_server_begins_with_loads_in_a_moment(module):
    assert loaded(f"import {module}") <= ({"plotly"} if module.startswith("pages.") else set())  # which Streamlit brings along


@pytest.mark.parametrize(
    "words", [["runs"], ["runs", "--json"], ["show", "mine"], ["show", "mine", "--json"], ["list", "losses"], ["data", "list"]]
)
def test_commands_that_only_look_once_loaded_seconds_of_libraries(words, fresh_home):
    run_id = store.create(RunSpec(), name="mine", user="")
    store.log_points(run_id, [{"epoch": 0, "t": 1.0, "val": [0.5]}])
    store.set_state(run_id, "done")
    assert not loaded(f"from kdlib.cli import main\nassert main({words!r}) == 0", KDLIB_HOME=str(fresh_home))


def test_looking_into_an_empty_store_once_made_its_database(tmp_path):
    code = "from kdlib.cli import main\nassert main(['runs']) == 0"
    assert not loaded(code, KDLIB_HOME=str(tmp_path / "home"))
    assert not (tmp_path / "home" / "mlflow.db").exists()


def test_the_button_of_the_first_page_once_waited_for_the_libraries_behind_it(tmp_path):
    code = """
import sys, streamlit, streamlit.testing.v1 as testing
shown, before = streamlit.button, set(sys.modules)
def button(*words, **more):
    print("at the button:", *sorted({"torch", "sklearn", "scipy", "mlflow", "distributed"} & (set(sys.modules) - before)), "end")
    return shown(*words, **more)
streamlit.button = button
app = testing.AppTest.from_file("app.py", default_timeout=100).run()
assert app.button(key="go") and not app.exception and not app.error
"""
    code = code.replace(
        "app = ", "from streamlit.runtime.pages_manager import PagesManager; PagesManager.uses_pages_directory = False\napp = "
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=os.environ | {"KDLIB_HOME": str(tmp_path)}, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[0] == "at the button: end"
