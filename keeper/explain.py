# SPDX-License-Identifier: MIT
"""
The sum behind a decision, line by line.

A line is read from the snapshot or the policy (its formula starts with "="), or is derived: then
the formula is an expression over the names of lines before it, which `recompute` evaluates. A
size found by search says "search:" and the rule that the next larger size would break.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from keeper.units import div_ceil, div_floor, sign


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One number of the sum."""

    name: str
    formula: str
    value: int
    unit: str


class Sheet:
    """Collects lines; later lines of the same name count."""

    def __init__(self) -> None:
        self._lines: list[Line] = []

    def read(self, name: str, source: str, value: int, unit: str) -> int:
        """Add a number that was read, with where it was read."""
        return self._add(name, f"= {source}", value, unit)

    def derive(self, name: str, formula: str, value: int, unit: str) -> int:
        """Add a number that `formula` gives from the lines before."""
        return self._add(name, formula, value, unit)

    def search(self, name: str, rule: str, value: int, unit: str) -> int:
        """Add the largest number that breaks no rule."""
        return self._add(name, f"search: {rule}", value, unit)

    def lines(self) -> tuple[Line, ...]:
        """Return the lines in order."""
        return tuple(self._lines)

    def _add(self, name: str, formula: str, value: int, unit: str) -> int:
        self._lines.append(Line(name=name, formula=formula, value=value, unit=unit))
        return value


_CALLS: Final[Mapping[str, Callable[..., int]]] = {
    "abs": abs,
    "div_ceil": div_ceil,
    "div_floor": div_floor,
    "max": max,
    "min": min,
    "sign": sign,
}
_OPERATORS: Final[Mapping[type[ast.operator], Callable[[int, int], int]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
}


def is_derived(line: Line) -> bool:
    """Return whether the line's formula can be evaluated."""
    return not line.formula.startswith(("= ", "search: "))


def recompute(lines: Sequence[Line]) -> Line | None:
    """Return the first derived line whose formula does not give its value, or None."""
    names: dict[str, int] = {}
    for line in lines:
        if is_derived(line):
            tree = ast.parse(line.formula, mode="eval")
            if _evaluate(tree.body, names) != line.value:
                return line
        names[line.name] = line.value
    return None


def _evaluate(node: ast.expr, names: Mapping[str, int]) -> int:
    match node:
        case ast.Constant(value=int(value)):
            return value
        case ast.Name(id=name):
            return names[name]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_evaluate(operand, names)
        case ast.BinOp(left=left, op=op, right=right):
            return _OPERATORS[type(op)](_evaluate(left, names), _evaluate(right, names))
        case ast.Call(func=ast.Name(id=name), args=args):
            return _CALLS[name](*(_evaluate(argument, names) for argument in args))
    raise ValueError(f"not a formula: {ast.unparse(node)}")
