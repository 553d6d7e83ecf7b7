"""What there is to choose from, read from the source text of the stage modules.

A list of names needs neither torch nor scikit-learn, which those modules load for seconds. So their registries are evaluated as text: a
dict of names, of functions, and of calls whose arguments are constants. Once a module is loaded, its registry is asked itself.
`tests/test_catalog.py` holds that both say the same; an entry that cannot be read as text makes its module load.
"""

import ast
import sys
from collections.abc import Mapping
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

from kdlib.data import imported
from kdlib.data.dataset import ITEM_NAMES
from kdlib.registry import first_line, lookup
from kdlib.spec import METHOD_HELPS

FOLDER = Path(__file__).parent
MODULES = {  # registry -> the module that ends in it
    "datasets": "kdlib.data.datasets",
    "teachers": "kdlib.models.teachers",
    "compressors": "kdlib.models.compressors",
    "losses": "kdlib.training.losses",
    "students": "kdlib.models.students",
}
SUPERVISION = {True: "supervised", False: "unsupervised", None: "untrained"}
NAMES = ("datasets", "teachers", "methods", "compressors", "losses", "students")
FUNCTION = {
    "datasets": "",
    "students": "",
    "compressors": "build",
    "losses": "function",
}  # attribute of an entry that has the help

Entry = dict[str, str]


class UnreadableError(Exception):
    """An entry of a registry is more than a constant call."""


def list_entries(what: str) -> list[Entry]:
    """Return name and one-line help of each entry of a registry, for teachers also what they take, source task and supervision."""
    lookup(dict.fromkeys(NAMES), what, "registry")
    if what == "methods":
        helps = METHOD_HELPS | {entry["name"]: entry["help"] for entry in list_entries("compressors")}
        return [{"name": name, "help": told} for name, told in helps.items()]
    if what == "teachers":
        return [_teacher(name, about) for name, about in _registry(what).items()] + _imported_teachers()
    found = [{"name": name, "help": _help(FUNCTION[what], value)} for name, value in _registry(what).items()]
    if what == "datasets":
        found += [{"name": name, "help": card.describe()} for name, card in imported.cards().items()]
    return found


def _registry(what: str) -> Mapping[str, Any]:
    """Return the dict in which a module registers its entries, as objects or as what their text says."""
    loaded = sys.modules.get(MODULES[what])
    if loaded is None or not hasattr(loaded, what.upper()):  # not there, or another thread is about to load it
        try:
            return read_registry(what)
        except UnreadableError:
            loaded = import_module(MODULES[what])
    return getattr(loaded, what.upper())


def _help(attribute: str, value: Any) -> str:
    value = (
        value.get(attribute)
        if isinstance(value, dict)
        else getattr(value, attribute)
        if attribute and not isinstance(value, ast.AST)
        else value
    )
    return _first_line(value) if isinstance(value, ast.FunctionDef) else first_line(value)


def _first_line(function: ast.FunctionDef) -> str:
    return (ast.get_docstring(function) or "").partition("\n")[0].rstrip(".")


def _teacher(name: str, about: Any) -> Entry:
    about = about if isinstance(about, dict) else vars(about)
    return {
        "name": name,
        "takes": ITEM_NAMES[about["modality"]],
        "supervision": SUPERVISION[about["supervised"]],
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
        target = node.target if isinstance(node, ast.AnnAssign) else None
        if isinstance(target, ast.Name) and target.id == what.upper():
            return _evaluate(node.value, _scope(tree))
    raise UnreadableError(f"{MODULES[what]} has no {what.upper()}")


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


def _pairs(target: ast.AST, value: ast.AST) -> tuple[list[ast.AST], list[ast.AST]]:
    return (target.elts, value.elts) if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) else ([], [])


def _evaluate(node: ast.AST, scope: Mapping[str, Any]) -> Any:
    """Return what an expression stands for.

    Raises:
        UnreadableError: its text alone does not say it.
    """
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Dict) and all(node.keys):
        return {
            _evaluate(key, scope): _evaluate(value, scope) for key, value in zip(node.keys, node.values, strict=True)
        }
    if isinstance(node, ast.Name) and node.id in scope:
        found = scope[node.id]
        if isinstance(found, ast.ImportFrom):
            alias = next(alias for alias in found.names if (alias.asname or alias.name) == node.id)
            return _evaluate(ast.Name(alias.name), _scope(_tree(found.module)))
        return _evaluate(found, scope) if isinstance(found, ast.expr) else found
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return _call(_evaluate(node.func, scope), node, scope)
    raise UnreadableError(ast.unparse(node))


def _call(callee: Any, node: ast.Call, scope: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of the object that a class, or a function that only calls one, makes; what its text does not say is left out."""
    if isinstance(callee, ast.ClassDef):
        fields = [each for each in callee.body if isinstance(each, ast.AnnAssign)]
        names, defaults = (
            [each.target.id for each in fields],
            {each.target.id: each.value for each in fields if each.value},
        )
    elif isinstance(callee, ast.FunctionDef) and isinstance(callee.body[-1], ast.Return) and len(callee.body) == 1:
        names, given = [each.arg for each in callee.args.args], callee.args.defaults
        defaults = dict(zip(names[len(names) - len(given) :], given, strict=True))
    else:
        raise UnreadableError(ast.unparse(node))
    passed = dict(zip(names, node.args, strict=False)) | {each.arg: each.value for each in node.keywords}
    found = {}
    for name, value in (defaults | passed).items():
        try:
            found[name] = _evaluate(value, scope)
        except UnreadableError:
            continue
    if isinstance(callee, ast.ClassDef):
        return found
    return _evaluate(
        callee.body[0].value,
        scope | {name: value if isinstance(value, ast.AST) else ast.Constant(value) for name, value in found.items()},
    )
