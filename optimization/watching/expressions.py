"""Custom rules: small comparisons over named quantities, parsed and never evaluated as Python.

``drawdown > 0.1 and volatility > 0.25`` becomes a tree of a few known operators, each of which
works on one number or on the arrays of ten thousand portfolios alike.
"""

import ast
import operator
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

MAX_LENGTH = 500
MAX_NODES = 100
"""Bounds on what an expression may cost: no loops, no calls, no powers, and this many steps."""

_ARITHMETIC: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: np.divide,
}
_COMPARISONS: Mapping[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
}

_RUN_TOGETHER = re.compile(r"(?<![\w.])\.?\d[\d_.]*+(?:[eE][+-]?\d+)?+[A-Za-z]")
"""A number with a word at its end: Python would warn, and a stranger could fill the log with it."""

Quantities = Mapping[str, Any]
Term = Callable[[Quantities], Any]


class ExpressionError(ValueError):
    """An expression that is not a rule; the message says where and what is allowed."""


class Expression:
    """A parsed rule.

    Args:
        text: The rule.
        names: The quantities it may name.

    Raises:
        ExpressionError: It is too long, not well formed, or uses something that is not allowed.
    """

    def __init__(self, text: str, names: Collection[str]) -> None:
        if len(text) > MAX_LENGTH:
            raise ExpressionError(f"{len(text)} characters; at most {MAX_LENGTH} are accepted")
        if _RUN_TOGETHER.search(text):
            raise ExpressionError("not an expression: put a space between a number and a word")
        try:
            body = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
            reason = error.msg if isinstance(error, SyntaxError) else str(error)
            raise ExpressionError(f"not an expression: {reason}") from error
        if sum(1 for _ in ast.walk(body)) > MAX_NODES:
            raise ExpressionError(f"too long; at most {MAX_NODES} operators, names and numbers")
        self.text = text
        try:
            self._condition = _condition(body, frozenset(names))
        except OverflowError as error:
            raise ExpressionError("a number is too large") from error

    def holds(self, quantities: Quantities) -> Any:
        """Whether the rule holds: a bool, or an array of them for arrays of quantities.

        A comparison with an unknown quantity (NaN) does not hold.
        """
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            return self._condition(quantities)


def _condition(node: ast.expr, names: frozenset[str]) -> Term:
    """A term that is true or false."""
    match node:
        case ast.BoolOp(op=op, values=values):
            terms = [_condition(value, names) for value in values]
            join = np.logical_and if isinstance(op, ast.And) else np.logical_or
            return lambda q: join.reduce([term(q) for term in terms])
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            inner = _condition(operand, names)
            return lambda q: np.logical_not(inner(q))
        case ast.Compare(left=left, ops=ops, comparators=others):
            return _comparison([left, *others], ops, names)
    raise ExpressionError("compare something, and join comparisons by and, or, not: cvar > 0.1")


def _comparison(nodes: list[ast.expr], ops: list[ast.cmpop], names: frozenset[str]) -> Term:
    if any(type(op) not in _COMPARISONS for op in ops):
        raise ExpressionError("comparisons are >, >=, < and <=")
    compare = [_COMPARISONS[type(op)] for op in ops]
    terms = [_number(node, names) for node in nodes]

    def holds(quantities: Quantities) -> Any:
        values = [term(quantities) for term in terms]
        pairs = zip(compare, values[:-1], values[1:], strict=True)
        return np.logical_and.reduce([test(left, right) for test, left, right in pairs])

    return holds


def _number(node: ast.expr, names: frozenset[str]) -> Term:
    """A term that is a number."""
    match node:
        case ast.Name(id=name) if name in names:
            return lambda q: q[name]
        case ast.Name(id=name):
            raise ExpressionError(f"{name!r} is not a quantity; {', '.join(sorted(names))} are")
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            constant = float(value)
            return lambda _q: constant
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            inner = _number(operand, names)
            return lambda q: -inner(q)
        case ast.BinOp(left=left, right=right) if type(node.op) in _ARITHMETIC:
            apply = _ARITHMETIC[type(node.op)]
            first, second = _number(left, names), _number(right, names)
            return lambda q: apply(first(q), second(q))
    raise ExpressionError("only numbers, quantities, + - * / and comparisons of them are allowed")
