"""Comparisons of named numbers, as lessons write them: "gain(mlp, raw) > 0 and clear(mlp, raw)".

A text is parsed as a Python expression and walked: only numbers, the functions of `Measured`, arithmetic, comparisons,
`and`, `or` and `not` are understood. Nothing of it is ever run as code.
"""

import ast
import operator
import re
from collections.abc import Callable, Mapping

Argument = str | float
Call = Callable[[str, tuple[Argument, ...]], float]

MAX_LENGTH = 400  # characters of an expression
PLACEHOLDER = re.compile(r"\{([^{}]+)\}")
ARITHMETIC: Mapping[type, Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
}
COMPARISONS: Mapping[type, Callable[[float, float], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
}


class UnknownNumberError(ValueError):
    """A number that the results do not hold."""


def evaluate(text: str, call: Call) -> float:
    """Return the value of an expression; True and False of a comparison as 1 and 0.

    Args:
        text: the expression.
        call: returns the number that a function has for its arguments.

    Raises:
        ValueError: it is no expression, or uses something else than what is listed above.
        UnknownNumberError: `call` does not know a number.

    Example:
        >>> evaluate("test(mlp) - 2 > 0", lambda name, arguments: 3.0)
        1.0
    """
    if len(text) > MAX_LENGTH:
        raise ValueError(f"an expression has at most {MAX_LENGTH} characters, got {len(text)}")
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ValueError(f"{text!r} is no comparison of numbers, write for example: test(mlp) > test(raw)") from None
    return float(_value(tree.body, call))


def fill(text: str, call: Call) -> str:
    """Return a text in which each "{expression}" is replaced by its value with one decimal.

    Raises:
        ValueError: as in `evaluate`.

    Example:
        >>> fill("{test(mlp)} %", lambda name, arguments: 71.24)
        '71.2 %'
    """
    return PLACEHOLDER.sub(lambda found: _minus(f"{evaluate(found[1], call):.1f}"), text)


def format_number(value: float) -> str:
    """Return a number with one decimal, a whole one without, with a minus sign that is as wide as a plus.

    Example:
        >>> format_number(-2.04)
        '−2.0'
    """
    return _minus(f"{value:.{0 if float(value).is_integer() else 1}f}")


def _minus(text: str) -> str:
    return text.replace("-", "−")


def _value(node: ast.expr, call: Call) -> float:
    match node:
        case ast.Constant(value=bool()):
            pass
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
            return call(name, tuple(_argument(argument) for argument in arguments))
        case ast.Name(id=name):
            return call(name, ())
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, call)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return float(not _value(operand, call))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in ARITHMETIC:
            return ARITHMETIC[type(op)](_value(left, call), _value(right, call))
        case ast.BoolOp(op=op, values=values):
            parts = [_value(value, call) for value in values]  # all of them, so that a check sees every name
            return float(all(parts) if isinstance(op, ast.And) else any(parts))
        case ast.Compare(left=left, ops=ops, comparators=others) if all(type(op) in COMPARISONS for op in ops):
            numbers = [_value(part, call) for part in (left, *others)]
            pairs = zip(ops, numbers, numbers[1:], strict=False)
            return float(all(COMPARISONS[type(op)](a, b) for op, a, b in pairs))
    raise ValueError(f"{ast.unparse(node)!r} is not allowed here: only numbers, + - *, < > ==, and, or, not")


def _argument(node: ast.expr) -> Argument:
    match node:
        case ast.Name(id=name):
            return name
        case ast.Constant(value=str() as text):
            return text
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return float(number)
    raise ValueError(f"{ast.unparse(node)!r} is no name and no number")
