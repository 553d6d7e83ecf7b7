"""What there is to choose from, read from the source text of the stage modules.

A list of names needs neither torch nor scikit-learn, which those modules load for seconds. So their registries are
evaluated as text: a dict of names, of functions, and of calls whose arguments are constants. Once a module is loaded,
its registry is asked itself. `tests/test_catalog.py` holds that both say the same; an entry that cannot be read as text
makes its module load.
"""

import ast
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

from kdlib.data import imported
from kdlib.data.dataset import ITEM_NAMES
from kdlib.models.providers import list_model_teachers
from kdlib.registry import first_line, lookup
from kdlib.spec import METHOD_HELPS

FOLDER = Path(__file__).parent
MODULES = {  # registry -> the module that ends in it
    "datasets": "kdlib.data.datasets",
    "teachers": "kdlib.models.providers.built_in",
    "compressors": "kdlib.models.compressors",
    "losses": "kdlib.training.losses",
    "students": "kdlib.models.students",
    "poolings": "kdlib.models.pooling",
    "projectors": "kdlib.models.projectors",
    "target-normalisers": "kdlib.training.target_normalisers",
    "soft-label-losses": "kdlib.training.label_losses",
    "augmentations": "kdlib.training.augmentation",
}
SUPERVISION = {True: "supervised", False: "unsupervised", None: "untrained"}
NAMES = (
    "datasets",
    "teachers",
    "methods",
    "compressors",
    "losses",
    "projectors",
    "target-normalisers",
    "soft-label-losses",
    "students",
    "poolings",
    "augmentations",
)
# Registry -> the attribute of an entry whose docstring is the help; "" for the entry itself.
FUNCTION = {
    "datasets": "",
    "students": "",
    "projectors": "",
    "target-normalisers": "function",
    "soft-label-losses": "",
    "compressors": "build",
    "losses": "function",
    "poolings": "function",
    "augmentations": "function",
}

Entry = dict[str, str]


class UnreadableError(Exception):
    """An entry of a registry is more than a constant call."""


def list_entries(what: str) -> list[Entry]:
    """Return name and one-line help of each entry of a registry; for teachers also items, source task and supervision.

    Args:
        what: one of `NAMES`.

    Raises:
        ValueError: unknown registry.

    Example:
        >>> [entry["name"] for entry in list_entries("losses")][0]
        'distance_correlation'
    """
    lookup(dict.fromkeys(NAMES), what, "registry")
    if what == "methods":
        helps = METHOD_HELPS | {entry["name"]: entry["help"] for entry in list_entries("compressors")}
        return [{"name": name, "help": text} for name, text in helps.items()]
    if what == "teachers":
        networks = _registry(what) | list_model_teachers()
        return [_teacher(name, about) for name, about in networks.items()] + _imported_teachers()
    entries = [{"name": name, "help": _help(FUNCTION[what], value)} for name, value in _registry(what).items()]
    if what == "datasets":
        entries += [{"name": name, "help": card.describe()} for name, card in imported.cards().items()]
    return entries


def _registry(what: str) -> dict[str, Any]:
    """Return the dict in which a module registers its entries, as objects or as what their text says."""
    loaded, name = sys.modules.get(MODULES[what]), _constant(what)
    if loaded is None or not hasattr(loaded, name):  # not there, or another thread is about to load it
        try:
            return read_registry(what)
        except UnreadableError:
            loaded = import_module(MODULES[what])
    return getattr(loaded, name)


def _constant(what: str) -> str:
    """Return what a module calls the dict of a registry."""
    return what.replace("-", "_").upper()


def _help(attribute: str, value: Any) -> str:
    if isinstance(value, dict):
        value = value.get(attribute)
    elif attribute and not isinstance(value, ast.AST):
        value = getattr(value, attribute)
    return _first_line(value) if isinstance(value, ast.FunctionDef) else first_line(value)


def _first_line(function: ast.FunctionDef) -> str:
    return (ast.get_docstring(function) or "").partition("\n")[0].rstrip(".")


def _teacher(name: str, about: Any) -> Entry:
    about = about if isinstance(about, dict) else vars(about)
    is_known = about["supervised"] is not None or ":" not in name  # of other people's networks nobody may have said
    return {
        "name": name,
        "takes": ITEM_NAMES[about["modality"]],
        "supervision": SUPERVISION[about["supervised"]] if is_known else "not said",
        "source task": about["source_task"],
        "help": about["help"],
    }


def _imported_teachers() -> list[Entry]:
    return [
        {
            "name": f"{name}/{table}",
            "takes": ITEM_NAMES[card.modality],
            "supervision": "imported",
            "source task": about.source_task,
            "help": card.describe_table(table),
        }
        for name, card in imported.cards().items()
        for table, about in card.tables.items()
    ]


@lru_cache
def read_registry(what: str) -> dict[str, Any]:
    """Return a registry from the text of its module: functions as syntax trees, objects as dicts of their fields.

    Raises:
        UnreadableError: its text alone does not say what is in it.
    """
    tree = _tree(MODULES[what])
    for node in tree.body:
        if not (isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value):
            continue
        if node.target.id == _constant(what):
            return _evaluate(node.value, _scope(tree))
    raise UnreadableError(f"{MODULES[what]} has no {_constant(what)}")


def _tree(module: str) -> ast.Module:
    return ast.parse((FOLDER.parent / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8"))


def _scope(tree: ast.Module) -> dict[str, ast.AST]:
    """Return name -> what a module calls so: functions, classes, constants, and imports from kdlib."""
    scope: dict[str, ast.AST] = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            scope[node.name] = node
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                names, values = ([target], [node.value]) if isinstance(target, ast.Name) else _pairs(target, node.value)
                scope |= {
                    name.id: value for name, value in zip(names, values, strict=True) if isinstance(name, ast.Name)
                }
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("kdlib."):
            scope |= {alias.asname or alias.name: node for alias in node.names}
    return scope


def _pairs(target: ast.expr, value: ast.expr) -> tuple[list[ast.expr], list[ast.expr]]:
    return (target.elts, value.elts) if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) else ([], [])


def _evaluate(node: ast.AST | None, scope: Mapping[str, Any]) -> Any:
    """Return what an expression stands for.

    Raises:
        UnreadableError: its text alone does not say it.
    """
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Dict):
        items = zip(node.keys, node.values, strict=True)
        return {_evaluate(key, scope): _evaluate(value, scope) for key, value in items}
    if isinstance(node, ast.Name) and node.id in scope:
        meaning = scope[node.id]
        if isinstance(meaning, ast.ImportFrom) and meaning.module:
            alias = next(alias for alias in meaning.names if (alias.asname or alias.name) == node.id)
            return _evaluate(ast.Name(alias.name), _scope(_tree(meaning.module)))
        return _evaluate(meaning, scope) if isinstance(meaning, ast.expr) else meaning
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return _call(_evaluate(node.func, scope), node, scope)
    raise UnreadableError(ast.unparse(node) if node else "a dict that takes in another one")


def _call(callee: Any, node: ast.Call, scope: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of the object that a class, or a function that only calls one, makes.

    Fields whose text alone does not say their value are left out.

    Raises:
        UnreadableError: the callee is something else.
    """
    names, defaults = _parameters(callee)
    passed = dict(zip(names, node.args, strict=False)) | {word.arg: word.value for word in node.keywords if word.arg}
    values: dict[str, Any] = {}
    for name, value in (defaults | passed).items():
        with suppress(UnreadableError):
            values[name] = _evaluate(value, scope)
    if isinstance(callee, ast.ClassDef):
        return values
    nodes = {name: value if isinstance(value, ast.AST) else ast.Constant(value) for name, value in values.items()}
    return _evaluate(_returned(callee), {**scope, **nodes})


def _parameters(callee: Any) -> tuple[list[str], dict[str, ast.expr]]:
    """Return the names of what a class or function takes, and the defaults."""
    if isinstance(callee, ast.ClassDef):
        fields = [node for node in callee.body if isinstance(node, ast.AnnAssign)]
        pairs = [(node.target.id, node.value) for node in fields if isinstance(node.target, ast.Name)]
        return [name for name, _ in pairs], {name: value for name, value in pairs if value}
    _returned(callee)
    names, defaults = [argument.arg for argument in callee.args.args], callee.args.defaults
    return names, dict(zip(names[len(names) - len(defaults) :], defaults, strict=True))


def _returned(function: Any) -> ast.expr | None:
    """Return what a function returns that does nothing else.

    Raises:
        UnreadableError: it is no such function.
    """
    if isinstance(function, ast.FunctionDef) and len(function.body) == 1 and isinstance(function.body[0], ast.Return):
        return function.body[0].value
    raise UnreadableError(f"no function of one return statement: {function}")
