# SPDX-License-Identifier: MIT
"""
Small faults in Vyper sources, placed by the compiler's own syntax tree.

A mutant replaces one stretch of text: an operator, a name, a number or a statement. It is known by
file, function, and its lines before and after, so that what is said of it outlives moved lines.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from vyper import ast as vyper_ast
from vyper.ast.parse import parse_to_ast

COMPARISONS = {
    "<": "<=",
    "<=": "<",
    ">": ">=",
    ">=": ">",
    "==": "!=",
    "!=": "==",
    "in": "not in",
    "not in": "in",
}
OPERATORS = {
    "+": ("sign", "-"),
    "-": ("sign", "+"),
    "*": ("arithmetic", "//"),
    "//": ("arithmetic", "*"),
    "&": ("arithmetic", "|"),
    "|": ("arithmetic", "&"),
    "^": ("arithmetic", "|"),
    "<<": ("arithmetic", ">>"),
    ">>": ("arithmetic", "<<"),
}
ROUNDINGS = {
    "mul_div_up": "mul_div_down",
    "mul_div_down": "mul_div_up",
    "div_floor": "div_ceil",
    "div_ceil": "div_floor",
}
EXTREMES = {"min": "max", "max": "min"}
LOGIC = {"and": "or", "or": "and"}
CHECKS = re.compile(r"(self|ownable|limit_rules|ledger)\._?(check|only|require)")
LARGE = 1_000  # a constant from here on is doubled, one below grows by one


@dataclass(frozen=True, order=True)
class Mutant:
    """One fault: `text` in place of what stands from `start` to `end` (offsets) of a file."""

    file: str
    line: int
    kind: str
    function: str
    start: int
    end: int
    text: str
    was: str  # the first line that differs
    now: str

    @property
    def key(self) -> str:
        fault = self.file, self.function, self.kind, self.was, self.now
        return hashlib.sha256("\0".join(fault).encode()).hexdigest()[:16]

    def apply(self, source: str) -> str:
        """Return the source with the fault."""
        return source[: self.start] + self.text + source[self.end :]


def mutants_of(file: str, source: str) -> list[Mutant]:
    """Return every mutant of a file, in its order; those that read alike once."""
    made: dict[str, Mutant] = {}
    for mutant in _Maker(file, source).make():
        made.setdefault(mutant.key, mutant)
    return sorted(made.values())


def spread(mutants: Iterable[Mutant], seed: int) -> list[Mutant]:
    """Order mutants so that any first part has all files, and of each file all kinds, evenly."""
    chance = random.Random(seed)
    by_file: dict[str, dict[str, list[Mutant]]] = defaultdict(lambda: defaultdict(list))
    for mutant in sorted(mutants):
        by_file[mutant.file][mutant.kind].append(mutant)
    turns = []
    for kinds in by_file.values():
        for some in kinds.values():
            chance.shuffle(some)
        order = sorted(kinds)
        chance.shuffle(order)
        turns.append(_in_turn([kinds[kind] for kind in order]))
    return _in_turn(turns)


def _in_turn(piles: list[list[Mutant]]) -> list[Mutant]:
    longest = max(map(len, piles), default=0)
    return [pile[n] for n in range(longest) for pile in piles if n < len(pile)]


class _Maker:
    def __init__(self, file: str, source: str) -> None:
        self.file = file
        self.source = source
        self.tree = parse_to_ast(source)
        self.starts = [0]
        for line in source.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line))

    def make(self) -> Iterator[Mutant]:
        for declared in self.tree.get_children(vyper_ast.VariableDecl):
            if declared.is_constant:
                for number in [declared.value, *declared.value.get_descendants()]:
                    yield from self._number(number, declared.target.id)
        for function in self.tree.get_children(vyper_ast.FunctionDef):
            yield from self._function(function)

    def _function(self, function: Any) -> Iterator[Mutant]:
        addresses = [
            argument.arg
            for argument in function.args.args
            if getattr(argument.annotation, "id", "") == "address"
        ]
        for statement in function.body:
            for node in [statement, *statement.get_descendants()]:
                if not _is_type(node):
                    yield from self._node(node, function.name, addresses)

    def _node(self, node: Any, name: str, addresses: list[str]) -> Iterator[Mutant]:
        match node:
            case vyper_ast.Compare() | vyper_ast.BinOp():
                yield from self._between(node.left, node.right, name)
            case vyper_ast.BoolOp():
                yield from self._between(node.values[0], node.values[1], name)
            case vyper_ast.AugAssign():
                yield from self._between(node.target, node.value, name)
            case vyper_ast.UnaryOp():
                yield from self._unary(node, name)
            case vyper_ast.Assert() | vyper_ast.Raise() | vyper_ast.Expr():
                yield from self._check(node, name)
            case vyper_ast.Attribute() if node.attr in ROUNDINGS:
                text = self._text(node).replace(node.attr, ROUNDINGS[node.attr])
                yield self._mutant("rounding", name, node, text)
            case vyper_ast.Call() if getattr(node.func, "id", "") in EXTREMES:
                yield self._mutant("extreme", name, node.func, EXTREMES[node.func.id])
            case vyper_ast.Int():
                yield from self._number(node, name)
            case vyper_ast.NameConstant():
                yield self._mutant("constant", name, node, str(not node.value))
        yield from self._account(node, name, addresses)

    def _between(self, left: Any, right: Any, name: str) -> Iterator[Mutant]:
        """Exchange the operator between two operands; brackets around them may stand between."""
        start, end = self._offset(left, end=True), self._offset(right)
        found = re.fullmatch(r"([\s()]*)([^\s()]+(?: in)?)([\s()]*)", self.source[start:end])
        if found is None:
            return
        operator = found[2]
        place = start + found.start(2), start + found.end(2)
        base = operator.removesuffix("=")
        if operator in COMPARISONS:
            yield self._at(*place, "comparison", name, COMPARISONS[operator])
        elif operator in LOGIC:
            yield self._at(*place, "logic", name, LOGIC[operator])
        elif base in OPERATORS:
            kind, other = OPERATORS[base]
            yield self._at(*place, kind, name, operator.replace(base, other))

    def _check(self, node: Any, name: str) -> Iterator[Mutant]:
        if not isinstance(node, vyper_ast.Expr) or CHECKS.match(self._text(node)):
            yield self._mutant("check", name, node, "pass")

    def _unary(self, node: Any, name: str) -> Iterator[Mutant]:
        start, end = self._offset(node), self._offset(node.operand)
        operator = self.source[start:end].strip()
        if operator in {"-", "not"}:
            kind = "sign" if operator == "-" else "logic"
            yield self._at(start, end, kind, name, "")

    def _number(self, node: Any, name: str) -> Iterator[Mutant]:
        if isinstance(node, vyper_ast.Int) and not _is_type(node):
            number = node.value * 2 if node.value >= LARGE else node.value + 1
            yield self._mutant("constant", name, node, str(number))

    def _account(self, node: Any, name: str, addresses: list[str]) -> Iterator[Mutant]:
        """Take another account of those that the function knows."""
        text = self._text(node) if isinstance(node, vyper_ast.Name | vyper_ast.Attribute) else ""
        of_self = isinstance(node.get_ancestor(), vyper_ast.Attribute)
        if text == "msg.sender":
            others = [*addresses, "self"]
        elif text == "self" and not of_self:
            others = ["msg.sender"]
        elif text in addresses and not of_self:
            others = [*addresses, "msg.sender"]
        else:
            return
        for other in others:
            if other != text:
                yield self._mutant("account", name, node, other)

    def _mutant(self, kind: str, name: str, node: Any, text: str) -> Mutant:
        return self._at(self._offset(node), self._offset(node, end=True), kind, name, text)

    def _at(self, start: int, end: int, kind: str, name: str, text: str) -> Mutant:
        line = self.source.count("\n", 0, start)
        first = self.starts[line]
        after = self.source[:start] + text + self.source[end:]
        return Mutant(
            self.file,
            line + 1,
            kind,
            name,
            start,
            end,
            text,
            self.source[first:].split("\n", 1)[0].strip(),
            after[first:].split("\n", 1)[0].strip(),
        )

    def _text(self, node: Any) -> str:
        return self.source[self._offset(node) : self._offset(node, end=True)]

    def _offset(self, node: Any, *, end: bool = False) -> int:
        if end:
            return int(self.starts[node.end_lineno - 1] + node.end_col_offset)
        return int(self.starts[node.lineno - 1] + node.col_offset)


def _is_type(node: Any) -> bool:
    """Tell what sizes or names a type, or bounds a loop for the compiler."""
    while True:
        above = node.get_ancestor()
        if above is None or isinstance(above, vyper_ast.FunctionDef | vyper_ast.Module):
            return False
        if getattr(above, "annotation", None) is node:
            return True
        if isinstance(above, vyper_ast.keyword) and above.arg in {"bound", "output_type"}:
            return True
        node = above
